"""Name resolution within a deadline.

`getaddrinfo` cannot be interrupted and waits for as long as resolv.conf says. Each lookup therefore runs in its own
thread, which is abandoned when the deadline passes; while it still runs, later lookups of that name share it.
"""

import socket
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final

import idna

from exporter.toolkit.threads import in_thread

Addresses = list[tuple[Any, ...]]
"""As getaddrinfo returns them: family, kind, protocol, canonical name, address."""
_lookups: Final[dict[tuple[str, int], "Future[Addresses]"]] = {}
_lock: Final = threading.Lock()


def to_ascii(name: str) -> str:
    """Return `name` as DNS and certificates write it. Raises UnicodeError for an impossible name."""
    # Label by label: the rules for international names would reject an underscore, which other labels may contain.
    return ".".join(part if part.isascii() else idna.encode(part, uts46=True).decode() for part in name.split("."))


def resolve(host: str, port: int, deadline: float) -> Addresses:
    """Return the addresses of `host`, a name or an address, by `deadline` (`time.monotonic`).

    Raises socket.gaierror if there are none or the resolver has not answered by then, UnicodeError for an invalid name.
    """
    name = to_ascii(host)

    def look_up() -> Addresses:
        try:
            return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        finally:
            with _lock:
                del _lookups[name, port]

    with _lock:
        lookup = _lookups.get((name, port))
        if lookup is None:
            lookup = _lookups[name, port] = in_thread(f"resolve {name}", look_up)
    try:
        return lookup.result(max(0.0, deadline - time.monotonic()))
    except FutureTimeout:
        raise socket.gaierror(socket.EAI_AGAIN, "the resolver does not answer") from None
