"""uvicorn embedded in our process: its event loop runs in our thread, on our sockets, and we stop it."""

import asyncio
import contextlib
import errno
import logging
import math
import resource
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import uvicorn
import uvloop

from exporter.toolkit.connection import Connection, Connections
from exporter.toolkit.flags import Address
from exporter.toolkit.front import Front
from exporter.toolkit.refusals import Refusal
from exporter.toolkit.web_config import WebConfigFile

GRACE = 2.0
"""Seconds that requests in flight may take when the program stops."""
MOST = 10_000
"""Most connections, if the file descriptor limit allows that many."""
RESERVE = 100
"""File descriptors kept free for everything else: the database, delivery, polls, files."""
BACKLOG = 128
_log = logging.getLogger(__name__)


class HttpServer:
    """Serves a front on one or more addresses."""

    def __init__(self, front: Front, addresses: Sequence[Address], web_config: WebConfigFile) -> None:
        self._front = front
        self.addresses = list(addresses)
        """The addresses it listens on; once opened, with the ports that the system chose."""
        self._sockets: list[socket.socket] = []
        self._web_config = web_config
        self._connections = Connections(
            limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            lambda status, message, peer: front.refusals.note(Refusal(status, message, peer)),
        )
        self._protocol = type("Connection", (Connection,), {"registry": self._connections})
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                front,
                http=self._protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("server", "vendorwatch")],
                timeout_keep_alive=3600,
            )
        )
        self._beginning: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="http")

    def open(self) -> None:
        """Open every socket; clients wait until `start`. Raises OSError if one cannot be opened; then none is."""
        try:
            for address in self.addresses:
                self._sockets.append(_listening(address))
            self.addresses = [sock.getsockname()[:2] for sock in self._sockets]
        except OSError:
            self.stop()
            raise

    def start(self) -> None:
        """Start serving. Calls `open` first if needed, and raises OSError as it does."""
        if not self._sockets:
            self.open()
        self._loop = uvloop.new_event_loop()
        self._thread.start()

    def stop(self, grace: float = GRACE) -> None:
        """Stop accepting, let requests in flight finish for `grace` seconds, then abort the rest."""
        if self._loop is None:
            self._close()
            return
        self._uvicorn.config.timeout_graceful_shutdown = math.ceil(grace)
        self._uvicorn.should_exit = True
        with contextlib.suppress(RuntimeError):  # already stopped
            self._loop.call_soon_threadsafe(self._close)
            self._loop.call_soon_threadsafe(self._loop.call_later, grace, self._connections.abort)
        self._thread.join(grace + 2)
        self._front.stop(min(grace, 0.5))

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None  # noqa: S101  `start` has made it
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(lambda _loop, context: _note(context))
        try:
            loop.run_until_complete(self._serve())
        finally:
            loop.close()

    async def _serve(self) -> None:
        expiring = asyncio.create_task(self._expire())
        for sock in self._sockets:
            self._listen(sock)
        await self._uvicorn.serve(sockets=[])
        expiring.cancel()
        self._connections.abort()
        await asyncio.sleep(0.05)  # for the sockets to close

    def _listen(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Accept connections. uvicorn's own listener has no connection limit and no timeout for the TLS handshake."""
        try:
            sock, address = listening.accept()
        except OSError as error:  # the client has gone already
            if error.errno in {errno.EMFILE, errno.ENFILE}:  # despite the limit: retry when some may be free
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(1.0, self._listen, listening)
            return
        sock.settimeout(0.0)
        connection = self._protocol(self._uvicorn.config, self._uvicorn.server_state, {})
        task = asyncio.ensure_future(connection.begin(sock, str(address[0]), self._web_config.tls_now()))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _close(self) -> None:
        for sock in self._sockets:
            if self._loop is not None:
                self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._connections.expire(time.monotonic())


def _note(context: dict[str, Any]) -> None:
    """Log an error of the event loop, unless it is a network error, which is the client's problem."""
    error = context.get("exception")
    client = error is None or isinstance(error, OSError)
    _log.log(logging.DEBUG if client else logging.ERROR, "%s", context.get("message"), exc_info=error)


def limit(descriptors: int) -> int:
    """Return how many concurrent connections fit a process's file descriptor limit."""
    return max(16, min(MOST, descriptors - RESERVE)) if descriptors > 0 else MOST


def _listening(address: Address) -> socket.socket:
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE)
    family, _, _, _, where = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        if where[0] in {"127.0.0.1", "::1"} and hasattr(socket, "TCP_CONGESTION"):
            with contextlib.suppress(OSError):  # BBR, if it is the system's default, paces loopback with timers
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
