"""uvicorn's HTTP protocol in our process: an event loop in our thread serves our sockets, until we stop it."""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import threading
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from exporter.toolkit.connection import Connection, Connections
from exporter.toolkit.flags import Address
from exporter.toolkit.front import Front

GRACE = 2.0
"""Seconds that requests in flight may take when the program stops."""
MOST = 4000
"""Most connections, if the file descriptor limit allows that many: each may hold 70 kB of an unfinished request."""
RESERVE = 100
"""File descriptors kept free for everything else: the database, delivery, polls, files."""
BACKLOG = 4096
"""Clients that may wait to be accepted, if the system allows as many: one too many tries again after a whole second."""
_log = logging.getLogger(__name__)


class HttpServer:
    """Serves a front on one or more addresses."""

    def __init__(self, front: Front, addresses: Sequence[Address]) -> None:
        self._front = front
        self.addresses = list(addresses)
        """The addresses it listens on; once opened, with the ports that the system chose."""
        self._sockets: list[socket.socket] = []
        self._connections = Connections(limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), front.refusals)
        self._config = uvicorn.Config(
            front, http="httptools", ws="none", interface="asgi3", log_config=None, log_level="critical",
            access_log=False, proxy_headers=False
        )  # fmt: skip
        self._state = ServerState()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stopping, self._grace = asyncio.Event(), GRACE
        self._thread = threading.Thread(target=self._run, name="http")

    def open(self) -> None:
        """Open every socket; clients wait until `start`. Raises OSError, which names it, if one fails; then none is."""
        for address in self.addresses:
            try:
                self._sockets.append(_listening(address))
            except OSError as error:
                self._close()
                # Python appends the address as a tuple: "… (while attempting to bind on …)".
                reason = str(error.strerror or error).partition(" (while")[0]
                raise OSError(f"cannot listen on {address[0]} port {address[1]}: {reason}") from error
        self.addresses = [sock.getsockname()[:2] for sock in self._sockets]

    def start(self) -> None:
        """Start serving. Calls `open` first if needed, and raises OSError as it does."""
        if not self._sockets:
            self.open()
        self._runner.get_loop().set_exception_handler(_note)
        self._thread.start()
        for host, port in self.addresses:
            _log.info("Listening on %s:%d", f"[{host}]" if ":" in host else host, port)

    def stop(self, grace: float = GRACE) -> None:
        """Stop accepting, let requests in flight finish for `grace` seconds, then abort the rest."""
        if not self._thread.is_alive():
            self._close()
            return
        self._grace = grace
        self._runner.get_loop().call_soon_threadsafe(self._stopping.set)
        self._thread.join(grace + 2)
        self._front.stop(min(grace, 0.5))

    def _run(self) -> None:
        with self._runner as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        for sock in self._sockets:
            self._listen(sock)
        while not self._stopping.is_set():
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode()), (b"server", b"vendorwatch")]
            self._connections.expire()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock)
        self._close()
        await asyncio.sleep(0.02)  # for those just accepted to begin: one that has not is closed by nobody
        for connection in list(self._state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                while self._state.connections or self._state.tasks:  # noqa: ASYNC110  uvicorn sets no event
                    await asyncio.sleep(0.02)
        self._connections.abort()
        await asyncio.sleep(0.05)  # for the sockets to close
        # uvicorn responds to a pipelined request that is cancelled now, on a connection that is gone.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    def _listen(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Accept a connection. uvicorn's own listener has no connection limit and no timeout for the TLS handshake.

        In a callback: what goes wrong is logged and concerns one client, and no accepted socket is lost at the end.
        """
        loop = asyncio.get_running_loop()
        try:
            sock, address = listening.accept()
        except OSError as error:  # the client has gone already
            if error.errno in {errno.EMFILE, errno.ENFILE}:  # despite the limit: retry when some may be free
                loop.remove_reader(listening)
                loop.call_later(1.0, self._listen, listening)
            return
        sock.settimeout(0.0)
        connection = Connection(self._connections, self._config, self._state)
        self._front.web_config.refresh()
        connection.beginning = loop.create_task(connection.begin(sock, str(address[0]), self._front.web_config))

    def _close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of the event loop, unless it is a network error, which is the client's problem."""
    error = context.get("exception")
    client = error is None or isinstance(error, OSError)
    _log.log(logging.DEBUG if client else logging.ERROR, "%s", context.get("message"), exc_info=error)


def limit(descriptors: int) -> int:
    """Return how many concurrent connections fit a process's file descriptor limit."""
    return max(16, min(MOST, descriptors - RESERVE)) if descriptors > 0 else MOST


def _listening(address: Address) -> socket.socket:
    host, port = address
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104  every address was asked for, and this host has no IPv6
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.create_server(where, family=family, backlog=BACKLOG, dualstack_ipv6=where[0] == "::")
    sock.settimeout(0.0)
    if where[0] in {"127.0.0.1", "::1"}:
        # BBR, if it is the system's default, paces loopback with timers. Not every system has a choice.
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    return sock
