"""The TLS probe: when an endpoint's certificate and chain expire, whether a client would accept it, and if not why.

An invalid certificate has dates too, and an unreachable endpoint is a result too.
pyOpenSSL and cryptography take 12 MB that an exporter without endpoints does not need: the first probe loads them.
"""

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Iterator

from exporter.collectors.contract import Certificate, Probe
from exporter.fetch.name_resolution import resolve
from exporter.fetch.starttls import remaining, start_tls


def probe(request: Probe, now: float, timeout: float, ca_file: str | None) -> Certificate:
    """Probe `request.to` within `timeout` seconds. Never raises."""
    from exporter.fetch.tls_handshake import ATTEMPTS, shake_hands  # noqa: PLC0415  see above
    from exporter.fetch.tls_verdict import judge, reason_of  # noqa: PLC0415  see above

    deadline = time.monotonic() + timeout
    failures: list[Exception] = []
    try:
        for hello, share in ATTEMPTS:
            by = deadline - timeout * (1.0 - share)
            with _connected(request, deadline, by) as plain:
                shown = shake_hands(plain, request, ca_file, by, hello)
            if shown.chain:
                return judge(shown, request.to.server_name, now, old=hello == "old")
            failures.append(shown.error or ssl.SSLError("no certificate was sent"))
    except Exception as error:  # noqa: BLE001  any error is a result of the probe
        failures.append(error)
    return Certificate(now, None, None, *reason_of(failures[0]))


@contextlib.contextmanager
def _connected(request: Probe, deadline: float, by: float) -> Iterator[socket.socket]:
    """Yield a connection ready for TLS, to the first address that answers, all of them within the deadline.

    Those that do not answer leave the last one time to connect and to shake hands `by` then.
    """
    failure: OSError = socket.gaierror("no address")
    addresses = resolve(request.to.address, request.to.port, deadline)
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        plain = socket.socket(family, kind, protocol)
        try:
            left = len(addresses) - position
            plain.settimeout(remaining(by) / left if left > 1 else remaining(deadline))
            plain.connect(address)
        except OSError as error:
            plain.close()
            # An address that cannot be reached from here, often the IPv6 one, says less than the others.
            if isinstance(failure, socket.gaierror) or error.errno not in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
                failure = error
            continue
        with plain:
            if request.to.starttls:
                start_tls(request.to.starttls, plain, request.to.server_name, deadline)
            yield plain
        return
    raise failure
