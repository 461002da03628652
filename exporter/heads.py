"""Requests and answers as cheroot has them, which does not read again what it has read before.

Prometheus sends the same head with every scrape, byte for byte: what was understood of it is remembered. The two
programs share no code, so each has this file; a test holds them equal.
"""

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

from cheroot.server import HeaderReader, HTTPRequest
from cheroot.wsgi import Gateway_10

from exporter.wire import Writer

REMEMBERED = 64
"""Heads remembered; when there are more, all are forgotten."""
LONGEST = 2048
"""Bytes of a head that is remembered."""
_NEVER = (b"Authorization", b"Proxy-Authorization", b"Cookie", b"Content-Length")
"""Headers of requests that are not remembered: they may hold secrets, or announce a body."""
_PARSED = (
    "authority", "close_connection", "inheaders", "method", "path", "qs", "request_protocol", "response_protocol",
    "scheme", "started_request", "uri",
)  # fmt: skip
_FOR_CHEROOT = frozenset({"connection", "date", "server", "transfer-encoding"})
Header = tuple[str, str]


class _Known:
    """What was understood of a head, and the WSGI environment made of it."""

    def __init__(self, parsed: dict[str, Any]) -> None:
        self.parsed = parsed
        self.environ: dict[str, Any] | None = None


class Heads:
    """The heads that came before, as far as they have no body and hold no credentials."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    def get(self, request: bytes) -> _Known | None:
        """Return what is known of a request."""
        return self._known.get(request)

    def keep(self, request: bytes, understood: "Request") -> None:
        """Remember a request, if it may be."""
        parsed = vars(understood)
        if len(request) > LONGEST or any(name in parsed["inheaders"] for name in _NEVER):
            return
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[request] = _Known({name: parsed[name] for name in _PARSED})


@lru_cache(maxsize=REMEMBERED)
def opening(status: str, headers: tuple[Header, ...], server: str) -> tuple[bytes, int] | None:
    """Return the first lines of an answer whose length is known, and that length; None where cheroot must decide."""
    values = {name.lower(): value for name, value in headers}
    if "content-length" not in values or _FOR_CHEROOT & values.keys() or status.startswith("413"):
        return None
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"Server: {server}", ""]
    return "\r\n".join(lines).encode("latin-1"), int(values["content-length"])


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return f"Date: {formatdate(second, usegmt=True)}\r\n\r\n".encode("ascii")


class _HeaderReader(HeaderReader):
    """Leaves out what was obeyed while the request arrived."""

    def _allow_header(self, key_name: bytes) -> bool:
        return key_name != b"Expect"


class Request(HTTPRequest):
    """A request that may be known, and whose answer goes out in few pieces."""

    header_reader = _HeaderReader()
    known: _Known | None = None
    opening: bytes | None = None

    def parse_request(self) -> None:
        """Understand the request, or remember what was understood of it."""
        request, heads = self.conn.rfile.request, self.server.heads
        self.known = heads.get(request)
        if self.known:
            self.conn.rfile.read()
            vars(self).update(self.known.parsed, ready=True)
            return
        super().parse_request()
        if self.ready and not self.chunked_read and not self.conn.rfile.left():
            heads.keep(request, self)

    def respond(self) -> None:
        """Answer. A connection on which a request's end is not certain ends with it."""
        writer: Writer = self.conn.wfile
        writer.answered = True
        try:
            super().respond()
        finally:
            writer.answered = False
            writer.flush()
        if not self.chunked_read and (self.conn.rfile.left() or getattr(self.rfile, "remaining", 0)):
            self.close_connection = True

    def send_headers(self) -> None:
        """Send the answer's head."""
        if self.opening is None:
            super().send_headers()
            return
        self.close_connection = self.close_connection or not self.server.can_add_keepalive_connection
        if not self.close_connection and not self.chunked_read:
            self.rfile.read()
        closing = b"Connection: close\r\n" if self.close_connection else b""
        self.conn.wfile.write(self.opening + closing + _date(int(time.time())))


class Gateway(Gateway_10):
    """WSGI for requests that may be known."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        """Return the environment of one request."""
        known: _Known | None = self.req.known
        if known is None or known.environ is None:
            environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
            if known:
                known.environ = environ.copy()
            return environ
        conn = self.req.conn
        return known.environ | {
            "REMOTE_ADDR": conn.remote_addr or "",
            "REMOTE_PORT": str(conn.remote_port or ""),
            "wsgi.input": self.req.rfile,
        }

    def start_response(self, status: str, headers: list[Header], exc_info: Any = None) -> Callable[[bytes], object]:
        """Take the head of an answer, as WSGI says."""
        write: Callable[[bytes], object] = self.write
        usual = None
        if not self.started_response and self.req.response_protocol == "HTTP/1.1":
            usual = opening(status, tuple(headers), self.req.server.server_name)
        if usual is None:
            self.req.opening = None
            super().start_response(status, headers, exc_info)
            return write
        self.started_response = True
        self.req.status = status.encode("latin-1")
        self.req.opening, self.remaining_bytes_out = usual
        return write
