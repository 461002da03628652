"""A small honest client: whole answers over a raw socket, every one timed, the same code for every server.

Several clients are several processes, so that one does not wait for another's interpreter. They begin together.
"""

import math
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Self

ROOM = 1 << 20
_HEADER_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """The load of one client: `requests` in turn, for `seconds` or until `most` were answered, but at least `least`."""

    port: int
    requests: Sequence[bytes]
    seconds: float
    most: int = 1_000_000
    least: int = 3
    new_connections: bool = False
    token: bytes = b""
    """Replaced in each request by another hexadecimal number of the same length."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The result: the seconds of each response, how many were 200, the last one's bytes, seconds in all."""

    times: Sequence[float]
    ok: int
    size: int
    took: float


def get(path: str, *, packed: bool = False, accept: str = "text/plain;version=0.0.4", close: bool = False) -> bytes:
    """Return a GET as bytes."""
    encoding = "Accept-Encoding: gzip\r\n" if packed else ""
    connection = "close" if close else "keep-alive"
    return (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: {accept}\r\n{encoding}Connection: {connection}\r\n\r\n"
    ).encode()


def post(path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST of JSON as bytes."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def run(load: Load, begin_at: float = 0.0) -> Heard:
    """Send the load and time every answer, from before its connection is opened to its last byte."""
    time.sleep(max(0.0, begin_at - time.time()))
    times: list[float] = []
    ok = size = 0
    room = bytearray(ROOM)
    sock: socket.socket | None = None
    began = time.perf_counter()
    try:
        for number, request in enumerate(_again(load.requests)):
            sent = request.replace(load.token, b"%0*x" % (len(load.token), number)) if load.token else request
            before = time.perf_counter()
            if sock is None:
                sock = socket.create_connection(("127.0.0.1", load.port), timeout=120)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(sent)
            status, size, stays = _answer(sock, room)
            if load.new_connections or not stays:
                sock.close()
                sock = None
            after = time.perf_counter()
            times.append(after - before)
            ok += status == b"200"
            if len(times) >= load.most or (after - began >= load.seconds and len(times) >= load.least):
                break
    finally:
        if sock is not None:
            sock.close()
    return Heard(times, ok, size, time.perf_counter() - began)


def _again(requests: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


def _answer(sock: socket.socket, room: bytearray) -> tuple[bytes, int, bool]:
    """Read one answer; return its status, the body's bytes, and whether the connection stays open."""
    head = b""
    while _HEADER_END not in head:
        count = sock.recv_into(room)
        if not count:
            raise ConnectionError("the server hung up before it answered")
        head += bytes(room[:count]) if _HEADER_END not in head[-4:] else b""
    head, _, begun = head.partition(_HEADER_END)
    lower = head.lower()
    stays = b"connection: close" not in lower and not head.startswith(b"HTTP/1.0")
    if b"transfer-encoding: chunked" in lower:
        return head[9:12], _chunked(sock, begun), stays
    _, named, after = lower.partition(b"content-length:")
    length = int(after.partition(b"\r\n")[0]) if named else None
    size = len(begun)
    while (length is None or size < length) and (count := sock.recv_into(room)):
        size += count
    return head[9:12], size, stays and length is not None


def _chunked(sock: socket.socket, begun: bytes) -> int:
    """Read a chunked body to its end; return how many bytes there were, the chunks' own lengths included."""
    size, tail = len(begun), begun[-5:]
    while tail != b"0\r\n\r\n":
        piece = sock.recv(ROOM)
        if not piece:
            raise ConnectionError("the server hung up within an answer")
        size += len(piece)
        tail = (tail + piece)[-5:]
    return size


class Clients:
    """Processes that send loads. `with Clients(8) as clients: clients.together(loads)`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool = ProcessPoolExecutor(most, mp_context=get_context("forkserver"))

    def __enter__(self) -> Self:
        list(self._pool.map(time.sleep, [0.2] * self._most))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def together(self, loads: Sequence[Load]) -> list[Heard]:
        """Send each load from a process of its own, all at once."""
        if len(loads) == 1:
            return [run(loads[0])]
        begin_at = time.time() + 0.05
        return list(self._pool.map(run, loads, [begin_at] * len(loads)))


def quantile(times: Sequence[float], part: float) -> float:
    """Return the value below which `part` of the times lie."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, math.floor(part * len(ordered)))]
