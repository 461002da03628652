"""The verdict on a handshake or its failure: the observation, a reason from the closed set, an explanation. Pure."""

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

OBJECTIONS: Final = {9: "not_yet_valid", 10: "expired", 18: "self_signed"}
"""OpenSSL's verification codes (X509_V_ERR_…) → our reason. Any other code is `untrusted`."""
UNFIT: Final = {
    7: "its signature, or one in its chain, is wrong",
    25: "too many authorities in its chain",
    26: "not for a TLS server",
    34: "unknown critical extension",
    47: "its issuer may not sign for this name",
    48: "its issuer may not sign for this name",
    66: "its key is too short",
    67: "a key in its chain is too short",
    68: "a digest in its chain is too weak",
    79: "an issuer in its chain is no authority",
}
"""Verification codes that are `untrusted` for another reason than the root."""
BROKEN: Final = frozenset({"timeout", "tls", "connect"})
"""Reasons that are about the connection, not about the certificate."""
LONGEST: Final = 200
"""Most characters of names in a detail."""
TEXTS: Final = {
    "expired": "the certificate, or one in its chain, has expired",
    "not_yet_valid": "the certificate, or one in its chain, is not valid yet",
    "self_signed": "the certificate is self-signed",
    "client_certificate": "the server demands a client certificate",
    "protocol": "the server offers nothing newer than TLS 1.1, or only ciphers that today's clients reject",
}
KINDS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...]] = (
    (TimeoutError, "timeout", "no answer in time"),
    ((socket.gaierror, UnicodeError), "dns", "the name does not resolve: {}"),
    (StartTlsRefused, "tls", "{}"),
    (EOFError, "tls", "the server closed the connection during the handshake"),
    (SSL.Error, "tls", "the handshake failed: {}"),
    (OSError, "connect", "{}"),
    (Exception, "tls", "the certificate cannot be read: {}"),
)
"""Errors → reason and explanation. The first match wins, so the narrow ones come first."""


def judge(shown: Handshake, server_name: str, now: float, *, old: bool = False) -> Certificate:
    """Return the certificate in `shown`, and whether a client would accept it.

    `old`: it took a protocol that today's clients reject. Validity is unknown if `ca_file` cannot be read, or if the
    connection broke before the server had proved that it owns the certificate.
    """
    leaf = shown.chain[0]
    reason, detail = next(_objections(shown, server_name, old=old), ("", ""))
    is_open = reason in BROKEN or ("ca_file" in shown.unreadable and not old)
    return Certificate(
        now,
        leaf.not_valid_after_utc.timestamp(),
        valid=None if is_open else reason in {"", "client_certificate"},
        reason=reason,
        detail=detail,
        chain_not_after=min(sent.not_valid_after_utc for sent in shown.chain).timestamp(),
        issuer=_issuer(leaf),
        serial=f"{leaf.serial_number:X}",
    )


def _objections(shown: Handshake, server_name: str, *, old: bool) -> Iterator[tuple[str, str]]:
    """Yield why a client would not connect, with an explanation; the problem to fix first comes first."""
    if old:
        yield "protocol", TEXTS["protocol"]
    if "ca_file" in shown.unreadable:
        yield "untrusted", "cannot read ca_file"
    if shown.verify_code:
        reason = OBJECTIONS.get(shown.verify_code, "untrusted")
        why = UNFIT.get(shown.verify_code, "not signed by a trusted root")
        untrusted = f"{why}: issuer {_issuer(shown.chain[-1])}, OpenSSL {shown.verify_code}"
        yield reason, TEXTS.get(reason, untrusted)
    names = names_of(shown.chain[0])
    if not covers(names, server_name):
        yield "name", f"the certificate is for {', '.join(text for _, text in names)[:LONGEST] or 'no name'}"
    if shown.asks_for_certificate and isinstance(shown.error, SSL.Error | EOFError | ConnectionError):
        unreadable = f", and cannot read {', '.join(shown.unreadable)}" if shown.unreadable else ""
        yield "client_certificate", TEXTS["client_certificate"] + unreadable
    if shown.error:
        yield reason_of(shown.error)


def _issuer(certificate: x509.Certificate) -> str:
    try:
        return cut_label(valid(certificate.issuer.rfc4514_string()))
    except ValueError:  # a malformed name must not cost us the dates
        return "unreadable"


def names_of(leaf: x509.Certificate) -> tuple[tuple[str, str], ...]:
    """Return the names of a certificate, as `ssl` writes them: ("DNS", …) and ("IP Address", …)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    # A wildcard matches only a whole label, as in browsers, curl and Go.
    dns = [name for name in names.get_values_for_type(x509.DNSName) if "*" not in name.removeprefix("*.")]
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*(("DNS", name) for name in dns), *(("IP Address", address) for address in addresses))


def covers(names: tuple[tuple[str, str], ...], server_name: str) -> bool:
    """Return whether `names` cover `server_name`, ignoring a trailing dot."""
    try:
        match_hostname({"subjectAltName": names}, to_ascii(server_name).removesuffix("."))
    except CertificateError:
        return False
    return True


def reason_of(error: Exception) -> tuple[str, str]:
    """Return the reason of a failed connection, and an explanation without names, which the operator knows already."""
    if isinstance(error, SSL.Error):
        queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
        detail = str(queue[-1][-1]) if queue else ""
    else:
        detail = getattr(error, "strerror", None) or str(error)[:LONGEST]
    detail = detail or type(error).__name__
    return next((reason, text.format(detail)) for kinds, reason, text in KINDS if isinstance(error, kinds))
