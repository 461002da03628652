"""The sockets: addresses, TLS handshakes where they hurt nobody, and a stop that ends in time.

The two programs share no code, so each has this file; a test holds them equal.
"""

import contextlib
import io
import logging
import select
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from socket import SHUT_RDWR, SocketIO, socket
from typing import Any
from weakref import WeakSet
from wsgiref.types import WSGIApplication

from cheroot.connections import ConnectionManager
from cheroot.errors import FatalSSLAlert
from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.ssl import Adapter
from cheroot.wsgi import Server

from bridge.access import Access, Gate

Address = tuple[str, int]

THREADS = 64
"""Requests answered at once: a client that reads slowly occupies one."""
IDLE = 90
"""Seconds for which an idle connection is kept: longer than most scrape intervals."""
STALLED = 10
"""Seconds that one read or write may take."""
GRACE = 2.0
"""Seconds for requests in flight when the program stops."""
MOMENT = 1
"""Milliseconds for which a thread stays with a client that may ask again at once: two threads less to wake."""
SMALL = 64 * 1024
"""Bytes of an answer that are not worth a packet of their own."""
FEW = 16
"""Small pieces that may wait for what follows."""
HEADER_LIMIT = 64 * 1024
CONNECTIONS = 10_000
"""Connections that may wait; far above what file descriptors allow."""
_log = logging.getLogger(__name__)


class _Tls(Adapter):
    """Wraps without a handshake: it happens on the first read, in a thread that has time for it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def bind(self, sock: socket) -> socket:
        return sock

    def wrap(self, sock: socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        self._access.refresh()
        context = self._access.tls
        if context is None:
            raise FatalSSLAlert("TLS is switched off")
        try:
            wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            raise FatalSSLAlert(*error.args) from error
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, str]:
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: socket, mode: str = "r", bufsize: int = -1) -> Any:
        return MakeFile(sock, mode, bufsize)


class _Reader(io.BufferedReader):
    """Reads from a socket; what cheroot has for it is written in Python, and is most of what a request costs."""

    bytes_read = 0

    def __init__(self, sock: socket) -> None:
        super().__init__(SocketIO(sock, "rb"))
        self._socket = sock

    def has_data(self) -> bool:
        """Whether something was sent already; a connection that broke has something to tell too."""
        try:
            self._socket.settimeout(0.0)
            return bool(self.peek(1))
        except (OSError, ValueError):
            return True
        finally:
            with contextlib.suppress(OSError):
                self._socket.settimeout(STALLED)


class _Writer:
    """Hands bytes to the socket as they are. While a request is `answered`, what is small goes with what follows."""

    bytes_written = 0

    def __init__(self, sock: socket) -> None:
        self._socket = sock
        self._small: list[bytes] = []
        self.answered = False

    def write(self, piece: bytes) -> int:
        if self.answered and len(piece) < SMALL and len(self._small) < FEW:
            self._small.append(piece)
        else:
            self._send(piece)
        return len(piece)

    def flush(self) -> None:
        """Send what is left."""
        if self._small:
            self._send(b"")

    def _send(self, piece: bytes) -> None:
        head, self._small = b"".join(self._small), []
        sent = self._socket.sendmsg([head, piece])
        for rest in (head[sent:], memoryview(piece)[max(0, sent - len(head)) :]):
            if rest:
                self._socket.sendall(rest)


class _Request(HTTPRequest):
    """A request whose answer goes out in few pieces."""

    def respond(self) -> None:
        writer = self.conn.wfile
        if not isinstance(writer, _Writer):
            super().respond()
            return
        writer.answered = True
        try:
            super().respond()
        finally:
            writer.answered = False
            writer.flush()


class _Connection(HTTPConnection):
    """A connection that waits without a thread until its first byte, and keeps it while one request follows another."""

    fresh = True
    RequestHandlerClass = _Request

    def __init__(self, server: "_Server", sock: socket, makefile: Callable[..., Any] = MakeFile) -> None:
        super().__init__(server, sock, makefile)
        if makefile is MakeFile:
            self.rfile, self.wfile = _Reader(sock), _Writer(sock)
        sock.settimeout(STALLED)
        server.open.add(self)

    def communicate(self) -> bool:
        while super().communicate():  # type: ignore[no-untyped-call]
            if not self._goes_on():
                return True
        return False

    def _goes_on(self) -> bool:
        """Whether the next request is there within a moment, and nobody waits for this thread."""
        if not self.server.ready or self.server.requests.qsize or not isinstance(self.rfile, _Reader):
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(MOMENT))


class _Server(Server):
    """One address. Speaks to the log, never to standard error."""

    ConnectionClass = _Connection
    keep_alive_conn_limit = CONNECTIONS
    max_request_header_size = HEADER_LIMIT
    _connections: ConnectionManager

    def __init__(self, address: Address, application: WSGIApplication, access: Access, body_limit: int) -> None:
        super().__init__(
            address,
            application,
            numthreads=THREADS,
            max=THREADS,
            request_queue_size=128,
            timeout=IDLE,
            server_name="vendorwatch",
        )
        self.open: WeakSet[_Connection] = WeakSet()
        self.max_request_body_size = body_limit
        self.ssl_adapter = _Tls(access) if access.tls else None

    @staticmethod
    def bind_socket(socket_: socket, bind_addr: Address) -> socket:
        """Bind, and leave nothing open when that fails."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def process_conn(self, conn: _Connection) -> None:
        """Give a connection to a thread once it has something to read."""
        fresh, conn.fresh = conn.fresh, False
        if fresh and not (isinstance(conn.rfile, _Reader) and conn.rfile.has_data()):
            self._connections.put(conn)
        else:
            super().process_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: FBT001, FBT002  cheroot's signature
        """Note what went wrong with a client; that is the client's business."""
        _log.debug("%s", msg, exc_info=traceback and level >= logging.ERROR)

    def hang_up(self) -> None:
        """Break the connections that keep a thread waiting."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.socket.shutdown(SHUT_RDWR)


class Listener:
    """Serves an application on some addresses. `body_limit` in bytes: larger requests are answered 413.

    `excepted` tells of a path whether the web config's users are not asked for there.
    """

    def __init__(
        self,
        application: WSGIApplication,
        addresses: Sequence[Address],
        access: Access,
        body_limit: int = 1024 * 1024,
        excepted: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        gate = Gate(application, access, excepted)
        self._servers = [_Server(address, gate, access, body_limit) for address in addresses]

    @property
    def addresses(self) -> list[Address]:
        """Where it listens: after `open` with the ports that the system chose."""
        return [server.bind_addr for server in self._servers]

    def open(self) -> None:
        """Open every socket; clients wait until `start`. OSError when one cannot be opened; then none is."""
        for server in self._servers:
            try:
                server.prepare()
            except OSError:
                self.stop()
                raise

    def start(self) -> None:
        """Serve, once every socket is open. OSError as `open`, for sockets that are not open yet."""
        if not all(server.ready for server in self._servers):
            self.open()
        for server in self._servers:
            threading.Thread(target=server.serve, name="listener").start()

    def stop(self, grace: float = GRACE) -> None:
        """Accept no more, let requests in flight end for `grace` seconds, break the rest."""
        stopping = [threading.Thread(target=server.stop, name="stopping") for server in self._servers]
        for thread in stopping:
            thread.start()
        deadline = time.monotonic() + grace
        for thread in stopping:
            thread.join(max(0.0, deadline - time.monotonic()))
        for server, thread in zip(self._servers, stopping, strict=True):
            if thread.is_alive():
                server.hang_up()
            thread.join(grace)
