"""The sockets: addresses, clients that are slow and hurt nobody, and a stop that ends in time.

The two programs share no code, so each has this file; a test holds them equal.
"""

import contextlib
import logging
import select
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from queue import Queue
from socket import SHUT_RDWR, socket
from weakref import WeakSet
from wsgiref.types import WSGIApplication

from cheroot.connections import ConnectionManager
from cheroot.errors import FatalSSLAlert
from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter
from cheroot.workers.threadpool import ThreadPool
from cheroot.wsgi import Server

from exporter.heads import Gateway, Heads, Request
from exporter.toolkit.web_config import Access, Gate
from exporter.wire import HEAD_LIMIT, Arrival, Reader, Writer, unpaced

Address = tuple[str, int]

THREADS = 64
"""Requests answered at once: a client that reads slowly occupies one."""
AT_FIRST = 2
"""Threads before there is a need for more."""
IDLE = 90
"""Seconds for which an idle connection is kept: longer than most scrape intervals."""
ARRIVAL = 10
"""Seconds within which a request must be there, from its first byte to its last."""
ARRIVING = 64 * 1024 * 1024
"""Bytes of requests that are not whole yet, all connections together."""
GRACE = 2.0
"""Seconds for requests in flight when the program stops."""
MOMENT = 1
"""Milliseconds for which a thread stays with a client that may ask again at once: two threads less to wake."""
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

    def makefile(self, sock: socket, mode: str = "r", bufsize: int = -1) -> None:
        """Make nothing: a connection reads and writes by itself."""


class _Connection(HTTPConnection):
    """A connection that waits without a thread until a request is whole, and keeps it while one follows another."""

    RequestHandlerClass = Request

    def __init__(self, server: "_Server", sock: socket, _makefile: object = None) -> None:
        super().__init__(server, sock, lambda *_: None)
        sock.settimeout(0.0)
        unpaced(sock)
        self.rfile = Reader(sock, server.max_request_body_size)
        self.wfile = Writer(sock, lambda: server.requests.qsize > 0)
        self._soon = select.poll()
        self._soon.register(sock, select.POLLIN)
        server.open.add(self)

    @property
    def last_used(self) -> float:
        """When its idle time began: earlier for one whose request is late, so that it ends in time."""
        return self._last_used if self.rfile.since is None else self.rfile.since + ARRIVAL - IDLE

    @last_used.setter
    def last_used(self, moment: float) -> None:
        self._last_used = moment

    def communicate(self) -> bool:
        while super().communicate():  # type: ignore[no-untyped-call]
            arrival = self._next()
            if arrival is not Arrival.WHOLE:
                return arrival is Arrival.PART
        return False

    def _next(self) -> Arrival:
        """Look whether the next request is there within a moment, unless somebody waits for this thread."""
        if not self.server.ready or self.server.requests.qsize or not self._soon.poll(MOMENT):
            return Arrival.PART
        arrival: Arrival = self.rfile.receive()
        return arrival


class _Threads(ThreadPool):
    """Has few threads until more are busy at once: each one that has answered keeps some memory."""

    _queue: Queue[object]
    _threads: list[threading.Thread]
    _spawn_worker: Callable[[], threading.Thread]

    def __init__(self, server: "_Server") -> None:
        super().__init__(server, min=AT_FIRST, max=THREADS)
        self._counting = threading.Lock()
        self._free = 0
        self.get = self._taken

    def put(self, obj: object) -> None:
        """Queue a connection, for a thread that is free or a new one."""
        with self._counting:
            self._free -= 1
            if self._free < 0 and AT_FIRST <= len(self._threads) < self.max:
                with contextlib.suppress(RuntimeError):
                    self._threads.append(self._spawn_worker())
        super().put(obj)

    def stop(self, timeout: int = 5) -> None:
        """End all threads, and let none begin."""
        with self._counting:
            self.max = 0
        super().stop(timeout)

    def _taken(self) -> object:
        with self._counting:
            self._free += 1
        return self._queue.get()


class _Server(Server):
    """One address. Speaks to the log, never to standard error."""

    ConnectionClass = _Connection
    keep_alive_conn_limit = CONNECTIONS
    max_request_header_size = HEAD_LIMIT
    _connections: ConnectionManager

    def __init__(self, address: Address, application: WSGIApplication, access: Access, body_limit: int) -> None:
        super().__init__(address, application, request_queue_size=128, timeout=IDLE, server_name="vendorwatch")
        self.requests = _Threads(self)
        self.gateway = Gateway
        self.heads = Heads()
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
        """Give a connection to a thread once its request is whole; let the others wait for theirs."""
        arrival = conn.rfile.receive()
        if arrival is Arrival.WHOLE:
            super().process_conn(conn)
        elif arrival is Arrival.GONE or self._crowded(conn):
            conn.close()
        else:
            self._connections.put(conn)

    def _crowded(self, conn: _Connection) -> bool:
        """Whether a large request that is not whole yet has no room."""
        waiting: int = conn.rfile.waiting()
        return waiting > HEAD_LIMIT and sum(one.rfile.waiting() for one in list(self.open)) > ARRIVING

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
