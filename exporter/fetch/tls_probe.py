"""The one TLS probe: an endpoint → when its certificate ends, and whether a client would accept it.

Verified first; when the verification fails, once more unverified, because an expired or self-signed certificate
fails the handshake and yet its dates must be known. An endpoint that cannot be reached is an answer too.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from exporter.collectors.contract import Certificate, Probe

PROBLEMS: Final = {
    9: "not_yet_valid",
    10: "expired",
    18: "self_signed",
    19: "untrusted",
    20: "untrusted",
    21: "untrusted",
    23: "revoked",
    62: "wrong_name",
    64: "wrong_name",
}
"""OpenSSL's verification codes (X509_V_ERR_…) → a word. Any other code is `untrusted`."""


def probe(ask: Probe, now: float, timeout: float, ca_file: str | None) -> Certificate:
    """Return what `ask.address:port` shows for `ask.server_name`, within `timeout` seconds. Never raises.

    `valid` goes by the roots in `ca_file`, else by the system's. `problem` is one word: of `PROBLEMS` when a
    certificate was seen; `timeout`, `resolve`, `refused`, `connect`, `tls` or `certificate` (it cannot be read)
    when none was; `roots` when `ca_file` cannot be read, so that nobody knows whether it is valid.
    """
    deadline = time.monotonic() + timeout
    try:
        return _verified(ask, now, deadline, ca_file)
    except ssl.SSLCertVerificationError as error:
        problem = PROBLEMS.get(error.verify_code, "untrusted")
    except Exception as error:  # noqa: BLE001  whatever happens to a probe is its answer
        return _unseen(now, _word(error))
    try:
        return _unverified(ask, now, deadline, problem)
    except Exception as error:  # noqa: BLE001  see above
        return _unseen(now, _word(error))


def _verified(ask: Probe, now: float, deadline: float, ca_file: str | None) -> Certificate:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:
        return _unseen(now, "roots")
    with _shaken(ask, context, deadline) as secure:
        told: Mapping[str, Any] = secure.getpeercert() or {}
    begins, ends = (float(ssl.cert_time_to_seconds(told[moment])) for moment in ("notBefore", "notAfter"))
    return Certificate(now, begins, ends, valid=True)


def _unverified(ask: Probe, now: float, deadline: float, problem: str) -> Certificate:
    """Return the dates of a certificate that ssl, which trusts none of it, shows as bytes only."""
    from cryptography import x509  # noqa: PLC0415  8 MB, which an exporter that meets valid certificates does not need

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _shaken(ask, context, deadline) as secure:
        seen = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    begins, ends = seen.not_valid_before_utc.timestamp(), seen.not_valid_after_utc.timestamp()
    return Certificate(now, begins, ends, valid=False, problem=problem)


@contextmanager
def _shaken(ask: Probe, context: ssl.SSLContext, deadline: float) -> Iterator[ssl.SSLSocket]:
    """Yield a connection after its handshake."""
    with _connected(ask, deadline) as plain:
        plain.settimeout(_left(deadline))
        with context.wrap_socket(plain, server_hostname=ask.server_name) as secure:
            yield secure


def _connected(ask: Probe, deadline: float) -> socket.socket:
    """Connect to the first address that answers, all of them within the deadline."""
    last: OSError = socket.gaierror("no address")
    addresses = _addresses(ask)
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(_left(deadline) / (len(addresses) - position))
            plain.connect(address)
        except OSError as error:
            plain.close()
            last = error
        else:
            return plain
    raise last


def _addresses(ask: Probe) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        ipaddress.ip_address(ask.address)
    except ValueError:
        flags = 0
    else:
        flags = socket.AI_NUMERICHOST
    found = socket.getaddrinfo(ask.address, ask.port, type=socket.SOCK_STREAM, flags=flags)
    return [(int(family), int(kind), protocol, name, address) for family, kind, protocol, name, address in found]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _unseen(now: float, problem: str) -> Certificate:
    return Certificate(now, None, None, None, problem)


_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "timeout"),
    (socket.gaierror, "resolve"),
    (UnicodeError, "resolve"),
    (ConnectionRefusedError, "refused"),
    (ssl.SSLError, "tls"),
    (OSError, "connect"),
)


def _word(error: Exception) -> str:
    return next((word for kind, word in _WORDS if isinstance(error, kind)), "certificate")
