"""One connection: uvicorn's, with the limits and timeouts that it lacks.

Only the methods that asyncio and httptools call on uvicorn's protocol class are overridden, nothing else.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from itertools import chain, takewhile
from math import inf
from typing import Any, ClassVar, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.toolkit.web_config import TlsNow

EXTENSION = "vendorwatch.connection"
"""The key under which an ASGI scope holds its connection."""
HANDSHAKE = 10.0
NEW, HEAD, IDLE, CLOSING = 30.0, 10.0, 90.0, 10.0
"""Seconds until a first request, for a head, until another request (more than most scrape intervals), for the end."""
HEAD_LIMIT = 64 * 1024
"""Bytes of a request's head, and of chunk extensions or trailers between two pieces of a body."""
PIPELINED = 100
"""Pipelined requests that may wait for an earlier one's response: each takes a hundred times its size in memory."""
STALLED = 10.0
"""Seconds without progress after which a client that is reading its response is dropped."""
STEADY = 10_000
"""Bytes read within those seconds that count as progress."""


class Group(dict["Connection", None]):
    """Connections in the same state, in the order in which they entered it."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds that a connection may stay in this state."""
        super().__init__()
        self.patience = patience


Refused = Callable[[int, str, str], None]
"""Called with the status, reason and peer of each request rejected before it reached the application."""


class Connections:
    """All connections of a server, by state."""

    def __init__(self, limit: int, refused: Refused) -> None:
        self._limit, self.refused = limit, refused
        self.new, self.head, self.idle, self.closing = (Group(seconds) for seconds in (NEW, HEAD, IDLE, CLOSING))
        self.busy = Group(inf)
        self.all = (self.closing, self.new, self.head, self.idle, self.busy)
        self.stalled: dict[Connection, tuple[float, int]] = {}
        """Connections waiting for their client to read: since when, and how many bytes were unsent then."""

    def __len__(self) -> int:
        return sum(map(len, self.all))

    def add(self, connection: "Connection") -> bool:
        """Add a connection, evicting the longest idle one if there is no room. False: every connection is busy.

        Connections that never sent a whole request are evicted first, so a Prometheus keeps its own.
        """
        if len(self) >= self._limit:
            idle = next(chain(self.closing, self.new, self.head, self.idle), None)
            if idle is None:
                return False
            idle.abort()
        self.move(connection, self.new)
        return True

    def move(self, connection: "Connection", group: Group) -> None:
        """Move a connection into another state."""
        connection.group.pop(connection, None)
        connection.group, connection.since = group, time.monotonic()
        group[connection] = None

    def remove(self, connection: "Connection") -> None:
        """Remove a closed connection."""
        connection.group.pop(connection, None)
        self.stalled.pop(connection, None)

    def expire(self, now: float) -> None:
        """End the connections that have taken too long, by the monotonic clock."""
        for group in self.all:
            for connection in list(takewhile(lambda one: now - one.since > one.group.patience, group)):
                connection.expire()
        for connection, (since, unsent) in list(self.stalled.items()):
            left = connection.unsent()
            if unsent - left >= STEADY:
                self.stalled[connection] = (now, left)
            elif now - since > STALLED:
                connection.abort()

    def abort(self) -> None:
        """End all of them."""
        for connection in list(chain(*self.all)):
            connection.abort()


class Connection(HttpToolsProtocol):
    """One connection of a server. `registry` is set by a subclass for each server."""

    registry: ClassVar[Connections]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.group, self.since = self.registry.new, 0.0
        self.in_head = self.in_body = False
        self._socket: asyncio.Transport | None = None
        self._before: RequestResponseCycle | None = None
        self._last: RequestResponseCycle | None = None
        self._refusal = b""
        self._framing = 0
        """Bytes since the last byte of a body, or since the head began."""
        self._to_drop: int | None = None
        """Bytes still to be read and dropped, so that the client sees its response; None: requests are being read."""

    async def begin(self, sock: socket.socket, peer: str, tls: TlsNow | None) -> None:
        """Serve an accepted client, after the TLS handshake if TLS is enabled."""
        self.peer, self._tls = peer, tls
        self._beginning = asyncio.current_task()
        if not self.registry.add(self):
            self.registry.refused(503, "too many connections", peer)
            sock.close()
            return
        context, patience = (tls.context, HANDSHAKE) if tls else (None, None)
        try:
            await self.loop.connect_accepted_socket(lambda: self, sock, ssl=context, ssl_handshake_timeout=patience)
        except (OSError, asyncio.CancelledError):  # raised by ssl and timeouts too: the client's problem
            self.registry.remove(self)
            sock.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Serve a client whose certificate, if one is required, is allowed."""
        self._socket = transport
        super().connection_made(transport)
        if self._tls and not self._tls.admits(transport.get_extra_info("ssl_object")):
            self.registry.refused(403, "no allowed name in the client certificate", self.peer)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self.registry.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless it is to be dropped or its framing grows without end."""
        if self._to_drop is not None:
            self._to_drop -= len(data)
            if self._to_drop <= 0:
                self.transport.close()
        else:
            self._framing += len(data)
            super().data_received(data)
            if self._framing > HEAD_LIMIT and (self.in_head or self.in_body) and self._to_drop is None:
                self.refuse(431, "head or chunk framing too large")

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio asks whether to keep the other half open
        """Answer the requests of a client that has closed its sending half."""
        if self.scheme != "http" or (last := self._last_to_answer()) is None:
            return None
        last.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Note when a request begins to arrive."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: cast("dict[object, object]", self)}
        self.in_head, self._framing = True, 0
        if self.group is not self.registry.busy:
            self.registry.move(self, self.registry.head)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Trailers are ignored: they arrive after the head has been acted on."""
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start handling the request."""
        self.in_head, self.in_body, self._framing = False, True, 0
        if self.parser.get_http_version() != "1.1":
            self.expect_100_continue = False
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests at once")  # answered with 400: the parser treats it as its own error
        self._before = self._unanswered()
        super().on_headers_complete()
        self.registry.move(self, self.registry.busy)

    def on_body(self, body: bytes) -> None:
        """Add a piece of the body."""
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Mark the request as complete."""
        self.in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or close."""
        super().on_response_complete()
        registry = self.registry
        if self._last and self._last.response_complete:  # data after the last request is not one
            self._end_with_refusal()
        elif self.transport.is_closing():
            registry.move(self, registry.closing)
        elif self.cycle.response_complete:  # otherwise the next pipelined request is being answered
            registry.move(self, registry.head if self.in_head else registry.idle)

    def send_400_response(self, msg: str) -> None:
        """Reject data that is not HTTP."""
        self.refuse(400, msg)

    def pause_writing(self) -> None:
        """Start watching a client that does not read."""
        super().pause_writing()
        self.registry.stalled[self] = (time.monotonic(), self.unsent())

    def resume_writing(self) -> None:
        """Continue with a client that has read."""
        super().resume_writing()
        self.registry.stalled.pop(self, None)

    def unsent(self) -> int:
        """Return how many bytes the client has yet to read."""
        return self.transport.get_write_buffer_size()

    def refuse(self, status: int, message: str) -> None:
        """Reject the request, stop reading, and close."""
        self.registry.refused(status, message, self.peer)
        head = f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        self._refusal = f"{head}Content-Length: {len(message) + 1}\r\n\r\n{message}\n".encode()
        self._last, self._to_drop = self._last_to_answer(), HEAD_LIMIT
        if self._last is None:
            self._end_with_refusal()

    def _end_with_refusal(self) -> None:
        cycle = self._unanswered()
        if cycle is None or not cycle.response_started:
            self.transport.write(self._refusal)
        if cycle:
            cycle.message_event.set()
        self.linger(HEAD_LIMIT)

    def linger(self, most: int) -> None:
        """Keep reading so that the client sees its response: a client whose connection breaks while it sends does not.

        Up to `most` further bytes are dropped unread.
        """
        if cycle := self._unanswered():
            cycle.disconnected = True
        if self.transport.is_closing():
            return
        self._to_drop = most
        self.registry.move(self, self.registry.closing)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _unanswered(self) -> RequestResponseCycle | None:
        """Return the last request, unless it has been answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle if cycle and not cycle.response_complete else None

    def _last_to_answer(self) -> RequestResponseCycle | None:
        """Return the last complete request that has no response yet."""
        cycle = self._unanswered()
        if cycle and cycle.more_body and self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()  # it was pipelined, and will never be complete
            cycle = self._before
        if cycle is None or cycle.more_body or cycle.response_complete or cycle.disconnected:
            return None
        return cycle

    def expire(self) -> None:
        """Close the connection: it has taken too long."""
        if self.group is self.registry.head:
            self.refuse(408, "request head not received in time")
        else:
            self.abort()

    def abort(self) -> None:
        """Close now, whatever is in flight."""
        self.registry.remove(self)
        if self._socket is not None:
            self._socket.abort()
        elif self._beginning is not None:
            self._beginning.cancel()
