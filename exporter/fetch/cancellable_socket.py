"""The sockets of requests, so that a deadline can cut one in the middle of a read.

A read timeout counts from the last byte: a vendor that drips could hold a request for ever. Here the one who
waits shuts the socket instead, and the thread that reads from it ends.
"""

import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Line:
    """The socket of one request, so that its deadline can cut it in the middle of a read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def hold(self, held: socket.socket | None) -> None:
        """Take the socket that the request was sent on; shut it when the line is cut already."""
        with self._lock:
            self._socket = held
            if self._is_cut:
                self._shut()

    def cut(self) -> None:
        """Shut the socket, now or as soon as there is one."""
        with self._lock:
            self._is_cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is None:
            return
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            self._socket = None  # it was closed already


_THREAD = threading.local()


def use(line: Line) -> None:
    """Make `line` the one that this thread's next request is sent on."""
    _THREAD.line = line


class _Plain(HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        _THREAD.line.hold(self.sock)


class _Secure(HTTPSConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        _THREAD.line.hold(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class Adapter(HTTPAdapter):
    """An adapter whose connections tell their line."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        found = super().proxy_manager_for(*args, **kwargs)
        found.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
        return found
