"""One connection: uvicorn's, with the limits and timeouts that it lacks.

Only the methods that asyncio and httptools call on uvicorn's protocol class are overridden, nothing else.
"""

import asyncio
import socket
import ssl
import time
from itertools import chain, takewhile
from math import inf
from typing import Literal, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.toolkit.refusals import Refusal, Refusals
from exporter.toolkit.request_heads import problem_of, without_offer
from exporter.toolkit.web_config import WebConfigFile

EXTENSION = "vendorwatch.connection"
"""The key under which an ASGI scope holds its connection."""
HANDSHAKE = 10.0
State = Literal["closing", "new", "head", "idle", "body", "busy"]
PATIENCE: dict[State, float] = {"closing": 10.0, "new": 30.0, "head": 10.0, "idle": 90.0, "body": inf, "busy": inf}
"""Seconds for the end, until a first request, for a head, until another request (more than most scrape intervals).

Where there are too many connections, the first in this order is evicted: a Prometheus keeps its own. For a body and a
response the front has timeouts, but a client that sends a byte now and then may take forever. Of those being answered
only one that does not read its response is evicted.
"""
HEAD_LIMIT = 64 * 1024
"""Bytes of a request's head, and of chunk extensions or trailers between two pieces of a body."""
HEADERS = 100
"""Headers of a request, as most servers allow: short ones take ten times their size in memory."""
PIPELINED = 100
"""Pipelined requests that may wait for an earlier one's response: each takes a hundred times its size in memory."""
_NO_CERTIFICATE = {"PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED"}


class Connections:
    """All connections of a server: by state, and in the order in which they entered it."""

    def __init__(self, limit: int, refusals: Refusals) -> None:
        self._limit, self.refusals = limit, refusals
        self.groups: dict[State, dict[Connection, None]] = {state: {} for state in PATIENCE}

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def add(self, connection: "Connection") -> bool:
        """Add a connection, evicting another one if there is no room. False: every request is being answered."""
        if len(self) >= self._limit:
            every = chain(*self.groups.values())
            first = next((one for one in every if one.state != "busy" or one.flow.write_paused), None)
            if first is None:
                return False
            if first.state in {"body", "busy"}:
                self.refusals.note(Refusal(503, "too many connections", first.peer))
            first.abort()
        self.move(connection, "new")
        return True

    def move(self, connection: "Connection", state: State) -> None:
        """Move a connection into another state."""
        self.remove(connection)
        connection.state, connection.since = state, time.monotonic()
        self.groups[state][connection] = None

    def remove(self, connection: "Connection") -> None:
        """Remove a closed connection."""
        self.groups[connection.state].pop(connection, None)

    def expire(self) -> None:
        """End the connections that have taken too long."""
        now = time.monotonic()
        for group in self.groups.values():
            for connection in list(takewhile(lambda one: now - one.since > PATIENCE[one.state], group)):
                connection.expire()

    def abort(self) -> None:
        """End all of them."""
        for connection in list(chain(*self.groups.values())):
            connection.abort()


class Connection(HttpToolsProtocol):
    """One connection of a server. `beginning`: the task of `begin`."""

    beginning: asyncio.Task[None]

    def __init__(self, registry: Connections, config: Config, server_state: ServerState) -> None:
        super().__init__(config, server_state, {})
        self.registry = registry
        self.state: State = "new"
        self.since = 0.0
        self.in_head = self.in_body = False
        self._refusal, self._is_deaf = b"", False
        """What the client still sends is dropped; it is read only so that the client sees its response."""
        self._whole: RequestResponseCycle | None = None
        """The last request that was received completely."""
        self._framing = 0
        """Bytes since the last byte of a body, or since the head began."""

    async def begin(self, sock: socket.socket, peer: str, web_config: WebConfigFile) -> None:
        """Serve an accepted client, after the TLS handshake if TLS is enabled."""
        self.peer, self._web_config = peer, web_config
        if not self.registry.add(self):
            self._note(503, "too many connections")
            sock.close()
            return
        context = web_config.context
        try:
            await self.loop.connect_accepted_socket(
                lambda: self, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE if context else None
            )
        except (OSError, asyncio.CancelledError) as error:  # the client's problem; one that sends nothing is no news
            if isinstance(error, ssl.SSLError):
                status = 403 if error.reason in _NO_CERTIFICATE else 400
                self._note(status, f"TLS handshake failed: {str(error.reason).lower().replace('_', ' ')}")
            self.registry.remove(self)
            sock.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Serve a client whose certificate, if one is required, is allowed."""
        super().connection_made(transport)
        tls = self._web_config.config.tls_server_config
        if tls and not tls.admits(transport.get_extra_info("ssl_object")):
            self._note(403, "no allowed name in the client certificate")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self.registry.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless it is to be dropped or its framing grows without end."""
        if self._is_deaf:
            return
        self._framing += len(data)
        while data:
            try:
                self.parser.feed_data(data)
                break
            except HttpParserUpgrade as offer:  # ignored: a parser reads the request again as if it made none
                method, version = self.parser.get_method(), self.parser.get_http_version()
                data = without_offer(method, self.url, version, self.headers) + data[offer.args[0] :]
                self.parser = HttpRequestParser(self)  # the old one reads nothing after `Connection: close`
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            except HttpParserError:
                if not self._is_deaf:
                    self.refuse(400, "Invalid HTTP request received")
                break
        if self._framing > HEAD_LIMIT and (self.in_head or self.in_body) and not self._is_deaf:
            self.refuse(431, "head or chunk framing too large")

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio asks whether to keep the other half open
        """Answer the requests of a client that has closed its sending half."""
        if self.scheme != "http" or (last := self._last_to_answer()) is None:
            return None
        if not self._is_deaf:  # otherwise the rejection follows, and then the end
            last.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Note when a request begins to arrive."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"connection": self}}
        self.in_head, self._framing = True, 0
        if self.state != "busy":
            self.registry.move(self, "head")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header to the head. A trailer is not one, and is dropped."""
        if self.in_head:
            if len(self.headers) >= HEADERS:
                self._stop_parser(431, f"more than {HEADERS} headers")
            super().on_header(name, value.rstrip(b" \t"))  # the parser leaves white space at the end

    def on_headers_complete(self) -> None:
        """Start handling the request, unless its head is to be rejected or read again."""
        version = self.parser.get_http_version()
        self.in_head, self.in_body, self._framing = False, True, 0
        if sum(map(len, chain([self.url], *self.headers))) > HEAD_LIMIT:
            self._stop_parser(431, "head too large")
        if len(self.pipeline) >= PIPELINED:
            self._stop_parser(503, f"more than {PIPELINED} pipelined requests")
        if b"#" in self.url:
            self._stop_parser(400, "fragment in the request target")
        if self.parser.get_method() == b"CONNECT":
            self._stop_parser(400, "not a proxy")
        if problem := problem_of(version, self.headers):
            self._stop_parser(400, problem)
        if self.parser.should_upgrade():
            return
        if version != "1.1":
            self.expect_100_continue = False
        super().on_headers_complete()
        if self.state != "busy":
            self.registry.move(self, "body")

    def on_body(self, body: bytes) -> None:
        """Add a piece of the body."""
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Mark the request as complete."""
        self.in_body = False
        if self.parser.should_upgrade():
            return
        self._whole = self.cycle
        self.cycle.keep_alive &= self.parser.should_keep_alive()  # the parser obeys a trailer and drops what follows
        self.registry.move(self, "busy")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or close."""
        super().on_response_complete()
        if self.timeout_keep_alive_task:  # ours are in PATIENCE; this one would hold a lost connection
            self.timeout_keep_alive_task.cancel()
        if self.transport.is_closing():
            self.registry.move(self, "closing")
        elif self._is_deaf and self._last_to_answer() is None:
            self._end_with_refusal()
        elif self.cycle.response_complete:
            self.registry.move(self, "head" if self.in_head else "idle")
        elif self.in_body and not self.pipeline:  # otherwise the next pipelined request is being answered
            self.registry.move(self, "body")

    def refuse(self, status: int, message: str) -> None:
        """Reject what the client sends, and close, once the complete requests before it have been answered."""
        self._note(status, message)
        head = f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        self._refusal = f"{head}Content-Length: {len(message) + 1}\r\n\r\n{message}\n".encode()
        self._is_deaf = True
        if self._last_to_answer() is None:
            self._end_with_refusal()

    def _stop_parser(self, status: int, message: str) -> NoReturn:
        """Reject the head that is being parsed. The parser stops at any exception."""
        self.refuse(status, message)
        raise ValueError(message)

    def _end_with_refusal(self) -> None:
        if (cycle := self._unanswered()) is None or not cycle.response_started:
            self.transport.write(self._refusal)
        self.linger()

    def linger(self) -> None:
        """Keep reading for a while, and drop it: a client whose connection breaks while it sends sees no response."""
        if cycle := self._unanswered():
            cycle.disconnected, cycle.waiting_for_100_continue = True, False
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        self._is_deaf = True
        self.registry.move(self, "closing")
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _unanswered(self) -> RequestResponseCycle | None:
        """Return the last request, unless it has been answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle if cycle and not cycle.response_complete else None

    def _last_to_answer(self) -> RequestResponseCycle | None:
        """Return the last complete request if it has no response yet. One behind it will never be complete."""
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        whole = self._whole
        return None if whole is None or whole.response_complete or whole.disconnected else whole

    def expire(self) -> None:
        """Close the connection: it has taken too long."""
        if self.state == "head":
            self.refuse(408, "request head not received in time")
        else:
            self.abort()

    def abort(self) -> None:
        """Close now, whatever is in flight."""
        self.registry.remove(self)
        if self in self.connections:  # the handshake is over
            self.transport.abort()
        else:
            self.beginning.cancel()

    def _note(self, status: int, message: str) -> None:
        self.registry.refusals.note(Refusal(status, message, self.peer))
