"""One connection's bytes: requests arrive without a thread that waits for them, answers leave in few pieces.

The two programs share no code, so each has this file; a test holds them equal.
"""

import contextlib
import io
import re
import socket
import ssl
import time
from collections.abc import Callable
from enum import Enum, auto

STALLED = 10
"""Seconds that one piece of an answer may take."""
IMPATIENT = 1
"""Seconds without a byte after which a client has to go while others wait for its thread."""
ROOM = 32 * 1024
"""Bytes read at a time: more than a record of TLS, so that none is left half read."""
HEAD_LIMIT = 64 * 1024
"""Bytes of a request's head."""
SMALL = 64 * 1024
"""Bytes of an answer that are not worth a packet of their own."""
FEW = 16
"""Small pieces that may wait for what follows."""
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\nContent-Length[ \t]*:[ \t]*(\d{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding[ \t]*:[^\r]*chunked", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nExpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def unpaced(sock: socket.socket) -> None:
    """Let a connection of loopback go as fast as it can: BBR, where it is the system's choice, paces it with timers."""
    with contextlib.suppress(OSError):
        host = sock.getpeername()[0]
        if hasattr(socket, "TCP_CONGESTION") and (host.startswith("127.") or host == "::1"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")


class Arrival(Enum):
    """How much of the next request is there."""

    WHOLE = auto()
    PART = auto()
    GONE = auto()


def size(came: bytes | bytearray, body_limit: int) -> int | None:
    """Return how many bytes the first request in `came` has, None while it is not whole.

    What is too large to be answered is whole once that can be told.
    """
    end = came.find(_END) + len(_END)
    if end < len(_END):
        return len(came) if len(came) > HEAD_LIMIT else None
    if _CHUNKED.search(came, 0, end):
        return len(came) if came.endswith(b"0" + _END) or len(came) - end > body_limit else None
    length = int((_LENGTH.findall(came, 0, end) or [b"0"])[-1])
    if length > body_limit:
        return end
    return end + length if len(came) >= end + length else None


class Reader:
    """Keeps what a client sends until a request is whole, which is then read as a file. Never waits."""

    bytes_read = 0
    closed = False
    read: Callable[..., bytes]
    readline: Callable[..., bytes]

    def __init__(self, sock: socket.socket, body_limit: int) -> None:
        """`sock` does not block; larger bodies than `body_limit` bytes are not waited for."""
        self._socket = sock
        self._body_limit = body_limit
        self._came = bytearray()
        self._invited = False
        self.since: float | None = None
        """Epoch second at which the request that is not whole yet began."""
        self._open(b"")

    def receive(self) -> Arrival:
        """Take what was sent. A request that its client broke off is as whole as it gets."""
        while not self._whole():
            try:
                piece = self._socket.recv(ROOM)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return Arrival.PART
            except (OSError, ValueError):
                return Arrival.GONE
            if not piece:
                return self._broken_off()
            self._came += piece
        return Arrival.WHOLE

    def has_data(self) -> bool:
        """Whether another request was sent with the last one."""
        return bool(self._came) and size(self._came, self._body_limit) is not None

    def waiting(self) -> int:
        """Return how many bytes wait for the rest of their request."""
        return len(self._came)

    def left(self) -> bool:
        """Whether the request was not read to its end."""
        return self._stream.tell() < len(self.request)

    def close(self) -> None:
        """Let go of all bytes."""
        self.closed = True
        self._came.clear()

    def _whole(self) -> bool:
        if not self._came:
            return False
        length = size(self._came, self._body_limit)
        if length is None:
            self.since = self.since or time.time()
            self._invite()
            return False
        self._open(bytes(memoryview(self._came)[:length]))
        del self._came[:length]
        return True

    def _open(self, request: bytes) -> None:
        self.request = request
        self._stream = io.BytesIO(request)
        self.read, self.readline = self._stream.read, self._stream.readline
        self.since, self._invited = None, False

    def _broken_off(self) -> Arrival:
        if not self._came:
            return Arrival.GONE
        self._open(bytes(self._came))
        self._came.clear()
        return Arrival.WHOLE

    def _invite(self) -> None:
        """Tell a client that waits for leave to send its body that it may."""
        end = self._came.find(_END)
        if not self._invited and end >= 0 and _EXPECTS.search(self._came, 0, end + 2):
            self._invited = True
            with contextlib.suppress(OSError):
                self._socket.send(_CONTINUE)


class Writer:
    """Hands bytes to the socket as they are. While a request is `answered`, what is small goes with what follows."""

    bytes_written = 0

    def __init__(self, sock: socket.socket, wanted: Callable[[], bool] = lambda: False) -> None:
        """`sock` does not block; `wanted` tells whether others wait for this thread."""
        self._socket = sock
        self._wanted = wanted
        self._small: list[bytes] = []
        self.answered = False

    def write(self, piece: bytes) -> int:
        """Send a piece, or keep it until there is more."""
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
        sent = self._at_once(head, piece)
        if sent < len(head) + len(piece):
            self._patiently(head[sent:], memoryview(piece)[max(0, sent - len(head)) :])

    def _at_once(self, head: bytes, piece: bytes) -> int:
        """Send what the socket takes now; TLS takes one piece at a time."""
        if isinstance(self._socket, ssl.SSLSocket):
            return 0
        try:
            return self._socket.sendmsg([head, piece])
        except BlockingIOError:
            return 0

    def _patiently(self, *rest: bytes | memoryview) -> None:
        self._socket.settimeout(IMPATIENT)
        try:
            for piece in filter(len, rest):
                self._wait_for(memoryview(piece))
        finally:
            self._socket.settimeout(0.0)

    def _wait_for(self, piece: memoryview) -> None:
        until = time.monotonic() + STALLED
        while piece:
            try:
                piece = piece[self._socket.send(piece) :]
            except TimeoutError:
                if self._wanted():
                    raise
            if piece and time.monotonic() > until:
                raise TimeoutError("timed out")
