"""The one TLS probe: an endpoint → when its certificate and its chain end, whether a client would accept it, why not.

A certificate that no client accepts has dates too, and an endpoint that cannot be reached is an answer too.
pyOpenSSL and cryptography are 12 MB that an exporter without endpoints does not need: they are loaded with the first.
"""

import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator

from exporter.collectors.contract import Certificate, Probe
from exporter.fetch.name_resolution import resolve, to_ascii
from exporter.fetch.starttls import remaining, start_tls


def probe(request: Probe, now: float, timeout: float, ca_file: str | None) -> Certificate:
    """Return what `request.address:port` shows for `request.server_name`, within `timeout` seconds. Never raises."""
    from exporter.fetch.tls_handshake import Trust, shake_hands  # noqa: PLC0415  see above
    from exporter.fetch.tls_verdict import judge, unreached  # noqa: PLC0415  see above

    deadline = time.monotonic() + timeout
    trust = Trust(ca_file, request.client_certificate)
    try:
        try:
            ipaddress.ip_address(request.server_name)
            name = ""  # an address is not asked for by name
        except ValueError:
            name = to_ascii(request.server_name).removesuffix(".")  # RFC 6066: without the dot at its end
        with _connected(request, deadline) as plain:
            shown = shake_hands(plain, name, trust, deadline, old=False)
        if shown.chain:
            return judge(shown, request.server_name, now)
        # Nothing in common with a client of today: ask as one of yesterday, for the date.
        with contextlib.suppress(Exception), _connected(request, deadline) as plain:
            older = shake_hands(plain, name, trust, deadline, old=True)
            if older.chain:
                return judge(older, request.server_name, now, old=True)
        return unreached(now, shown.error or ssl.SSLError("no certificate was sent"))
    except Exception as error:  # noqa: BLE001  whatever happens to a probe is its answer
        return unreached(now, error)


@contextlib.contextmanager
def _connected(request: Probe, deadline: float) -> Iterator[socket.socket]:
    """Yield a connection on which TLS can begin: to the first address that answers, all of them within the deadline."""
    last: OSError = socket.gaierror("no address")
    addresses = resolve(request.address, request.port, deadline)
    for position, (family, kind, protocol, address) in enumerate(addresses):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(remaining(deadline) / (len(addresses) - position))
            plain.connect(address)
        except OSError as error:
            plain.close()
            last = error
            continue
        with plain:
            if request.starttls:
                start_tls(request.starttls, plain, request.server_name, deadline)
            yield plain
        return
    raise last
