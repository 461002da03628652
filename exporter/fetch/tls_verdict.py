"""What a handshake, or its failure, means: the observation, its reason from the closed set, a line for people. Pure."""

import socket
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from OpenSSL import SSL
from urllib3.util.ssl_match_hostname import CertificateError, match_hostname

from exporter.collectors.contract import Certificate
from exporter.fetch.name_resolution import to_ascii
from exporter.fetch.starttls import StartTlsRefused
from exporter.fetch.tls_handshake import Handshake
from exporter.toolkit.text import cut_label, valid

Kinds = type[Exception] | tuple[type[Exception], ...]
OBJECTIONS: Final = {9: "not_yet_valid", 10: "expired", 18: "self_signed"}
"""OpenSSL's verification codes (X509_V_ERR_…) → our reason. Any other code is `untrusted`."""
BROKEN: Final = frozenset({"timeout", "tls", "connect"})
"""Reasons that are about the connection, not about the certificate."""
LONGEST: Final = 200
"""Characters of the names that stand in a detail."""
TEXTS: Final = {
    "expired": "the certificate, or another of its chain, has expired",
    "not_yet_valid": "the certificate, or another of its chain, is not valid yet",
    "self_signed": "the certificate is self-signed",
    "client_certificate": "the server demands a client certificate",
    "protocol": "the server speaks nothing newer than TLS 1.1, or only ciphers that no client of today accepts",
}
KINDS: Final[tuple[tuple[Kinds, str, str], ...]] = (
    (TimeoutError, "timeout", "no answer in time"),
    ((socket.gaierror, UnicodeError), "dns", "the name does not resolve: {}"),
    (StartTlsRefused, "tls", "{}"),
    (EOFError, "tls", "the server closed the connection instead of a handshake"),
    (SSL.Error, "tls", "the handshake failed: {}"),
    (OSError, "connect", "{}"),
    (Exception, "tls", "the certificate cannot be read: {}"),
)
"""Errors → reason and explanation. The first that fits counts, so the narrow ones stand first."""


def judge(shown: Handshake, server_name: str, now: float, *, old: bool = False) -> Certificate:
    """Return what is known of the certificate in `shown`, and whether a client would accept it.

    `old`: it took a protocol that no client of today speaks. Validity stays open when `ca_file` cannot be read, and
    when the connection broke before the server had proved that the certificate is its own.
    """
    leaf = shown.chain[0]
    reason, detail = next(_objections(shown, server_name, old=old), ("", ""))
    is_open = reason in BROKEN or ("ca_file" in shown.unreadable and not old)
    return Certificate(
        now,
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
        valid=None if is_open else reason in {"", "client_certificate"},
        reason=reason,
        detail=detail,
        chain_not_after=min(sent.not_valid_after_utc for sent in shown.chain).timestamp(),
        issuer=_issuer(leaf),
        serial=f"{leaf.serial_number:X}",
    )


def _objections(shown: Handshake, server_name: str, *, old: bool) -> Iterator[tuple[str, str]]:
    """Yield why a client would not connect, with an explanation, what an operator must mend first before the rest."""
    if old:
        yield "protocol", TEXTS["protocol"]
    if "ca_file" in shown.unreadable:
        yield "untrusted", "cannot read ca_file"
    if shown.verify_code:
        reason = OBJECTIONS.get(shown.verify_code, "untrusted")
        untrusted = f"no trusted root vouches for it: issuer {_issuer(shown.chain[-1])}, OpenSSL {shown.verify_code}"
        yield reason, TEXTS.get(reason, untrusted)
    names = names_of(shown.chain[0])
    if not covers(names, server_name):
        yield "name", f"the certificate is for {', '.join(text for _, text in names)[:LONGEST] or 'no name at all'}"
    if shown.asks_for_certificate and isinstance(shown.error, SSL.Error | EOFError | ConnectionError):
        unreadable = f", and cannot read {', '.join(shown.unreadable)}" if shown.unreadable else ""
        yield "client_certificate", TEXTS["client_certificate"] + unreadable
    if shown.error:
        yield reason_of(shown.error)


def _issuer(certificate: x509.Certificate) -> str:
    try:
        return cut_label(valid(certificate.issuer.rfc4514_string()))
    except ValueError:  # a name that breaks the standard must not cost the dates
        return "unreadable"


def names_of(leaf: x509.Certificate) -> tuple[tuple[str, str], ...]:
    """Return what the certificate is for, as `ssl` writes it: ("DNS", …) and ("IP Address", …)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    # A wildcard stands for a whole label, or for nothing: that is how browsers, curl and Go read it.
    dns = [name for name in names.get_values_for_type(x509.DNSName) if "*" not in name.removeprefix("*.")]
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*(("DNS", name) for name in dns), *(("IP Address", address) for address in addresses))


def covers(names: tuple[tuple[str, str], ...], server_name: str) -> bool:
    """Tell whether a client that asks for `server_name` finds it among `names`. The dot at its end is no part of it."""
    try:
        match_hostname({"subjectAltName": names}, to_ascii(server_name).removesuffix("."))
    except CertificateError:
        return False
    return True


def unreached(now: float, error: Exception) -> Certificate:
    """Return what is known of an endpoint that showed no certificate."""
    reason, detail = reason_of(error)
    return Certificate(now, None, None, None, reason, detail)


def reason_of(error: Exception) -> tuple[str, str]:
    """Return the reason of a connection that did not come about, and what OpenSSL or the system says of it.

    Names and addresses are the operator's to know already.
    """
    if isinstance(error, SSL.Error):
        queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
        said = str(queue[-1][-1]) if queue else ""
    elif isinstance(error, OSError):
        said = error.strerror or ""
    else:
        said = str(error)[:LONGEST]
    said = said or type(error).__name__
    return next((reason, text.format(said)) for kinds, reason, text in KINDS if isinstance(error, kinds))
