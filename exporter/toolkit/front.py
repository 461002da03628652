"""ASGI in front of a WSGI application: refuse on the head, authenticate on the head, take bodies within bounds.

What needs no database is answered in the event loop itself, so that it waits for no thread and no password.
"""

import asyncio
import io
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, cast
from wsgiref.types import WSGIApplication

from exporter.toolkit.connection import EXTENSION, Connection
from exporter.toolkit.passwords import Passwords
from exporter.toolkit.refusals import Refusal, Refusals
from exporter.toolkit.web_config import RateLimit, WebConfigFile
from exporter.toolkit.wsgi import Answer, Full, Headers, Pool, call, environment, plain

STALLED = 10.0
"""Seconds without a byte of the body after which its sender is given up."""
ROOM = 64_000_000
"""Bytes of all bodies together, whole and queued ones included; more where one alone may be larger."""
SMALL = 64_000
"""Bytes of a body for which there is always room."""
THREADS, QUEUED = 64, 512
ERROR, FAILURE, UNAVAILABLE = 400, 500, 503
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")
_LENGTH = re.compile(rb"\d{1,18}")
_log = logging.getLogger(__name__)


class Lane(Enum):
    """Where a request is answered."""

    LOOP = auto()
    """At once: the application waits for nothing there."""
    SIDE = auto()
    """In a few threads of its own: no webhook stands before it."""
    POOL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a program says of a path before the body is read. `path`: under which the application knows it.

    `methods`: those that it takes; none: the application decides. `admits`: whether headers hold the path's own
    credentials; None: the web config's users are asked for. `receiver` names whom the request is for, in the log.
    """

    path: str
    lane: Lane = Lane.POOL
    found: bool = True
    methods: tuple[str, ...] = ()
    admits: Callable[[Headers], bool] | None = None
    max_body: int = 100_000
    receiver: str = ""


class Rejected(Exception):
    """A request that the application does not see."""

    def __init__(self, status: int, told: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(told)
        self.answer = plain(status, told, *headers)


class Disconnected(Exception):
    """The client is gone before its request was whole."""


class Front:
    """The ASGI application."""

    def __init__(
        self,
        application: WSGIApplication,
        web_config: WebConfigFile,
        route: Callable[[str], Route],
        count: Callable[[Refusal], None] = lambda _refusal: None,
    ) -> None:
        """`route` is asked at each request, for a reload changes what it says."""
        self._application, self._web_config, self._route = application, web_config, route
        self.refusals = Refusals(count)
        self._passwords = Passwords()
        self._pools = {Lane.SIDE: Pool("side", 2, 64), Lane.POOL: Pool("http", THREADS, QUEUED)}
        self._bucket = _Bucket()
        self._held = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        connection = cast("Connection", scope["extensions"][EXTENSION])
        self._web_config.refresh()
        route, by_application = Route(path=scope["path"]), False
        try:
            route = self._route(scope["path"])
            answer = await self._answer(scope, route, receive)
            by_application = True
        except Rejected as rejected:
            answer = rejected.answer
        except Full:
            answer = plain(503, "too many requests at once; try again")
        except Disconnected:
            _log.info("Client %s disconnected while sending a request for %s", connection.peer, route.receiver or "us")
            return
        except Exception:  # noqa: BLE001  the client must hear 503 whatever went wrong
            _log.exception("Request failed unexpectedly: %s", route.receiver or scope["method"])
            answer = plain(503, "not now; try again")
        if is_refusal(answer.status, scope["method"]) or (answer.status >= ERROR and not by_application):
            told = answer.body[0][:200].decode("utf-8", "replace").partition("\n")[0] if answer.body else "no body"
            self.refusals.note(Refusal(answer.status, told, connection.peer, route.receiver, by_application))
        await self._send(scope, send, answer, connection, route)

    def stop(self, patience: float) -> None:
        """End all threads, waiting for each of them at most so many seconds."""
        self._passwords.stop(patience)
        for pool in self._pools.values():
            pool.stop(patience)

    async def _answer(self, scope: Any, route: Route, receive: Any) -> Answer:
        headers: Headers = scope["headers"]
        if problem := problem_of(scope["http_version"], headers):
            raise Rejected(400, problem, (b"connection", b"close"))  # where this request ends is not certain
        if not self._bucket.take(self._web_config.config.rate_limit, time.monotonic()):
            # a webhook's sender must try again, and some do after a 5xx alone
            raise Rejected(503 if route.admits else 429, "too many requests")
        if route.methods and scope["method"] not in route.methods:
            raise Rejected(405, "Method not allowed", (b"allow", ", ".join(route.methods).encode()))
        user = await self._user(route, headers)
        if not route.found:
            raise Rejected(404, "not found")
        body, held = io.BytesIO(), 0
        try:
            async for piece in self._body(route, headers, receive):
                held += len(piece)
                self._held += len(piece)
                if held > SMALL and self._held > max(ROOM, route.max_body):
                    raise Rejected(503, "too many large bodies at once; try again")
                body.write(piece)
            body.getvalue()  # lets go of what it has taken beyond its size, or reading it would copy it
            body.seek(0)
            work = partial(call, self._application, environment(scope, route.path, body, held, user))
            return work() if route.lane is Lane.LOOP else await self._pools[route.lane].run(work)
        finally:
            self._held -= held

    async def _user(self, route: Route, headers: Headers) -> str | None:
        """Return which of the web config's users asks, None where nobody is asked for. Raises Rejected."""
        if route.admits:
            if not route.admits(headers):
                challenges = [(b"www-authenticate", scheme + b' realm="webhooks"') for scheme in (b"Bearer", b"Basic")]
                raise Rejected(401, "missing or wrong credentials", *challenges)
            return None
        users = self._web_config.config.basic_auth_users
        if not users:
            return None
        user = None
        if (given := only(headers, b"authorization")) is not None:
            user = await self._passwords.user(given, users)
        if user is None:
            raise Rejected(401, "Unauthorized", (b"www-authenticate", b"Basic"))
        return user

    async def _body(self, route: Route, headers: Headers, receive: Any) -> Any:
        """Yield the body in pieces. Raises Rejected where it is too large or stalls."""
        length = only(headers, b"content-length")
        if length in {None, b"0"} and not any(name == b"transfer-encoding" for name, _ in headers):
            return
        size, most, more = int(length or 0), route.max_body, True
        if size > most:
            raise Rejected(413, f"larger than {most} bytes")
        size = 0
        while more:
            try:
                async with asyncio.timeout(STALLED):
                    message = await receive()
            except TimeoutError:
                raise Rejected(408, "no more of the body came") from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            size += len(message["body"])
            if size > most:
                raise Rejected(413, f"larger than {most} bytes")
            yield message["body"]
            more = message["more_body"]

    async def _send(self, scope: Any, send: Any, answer: Answer, connection: Connection, route: Route) -> None:
        """Send the answer, the connection's last one where the body has not been read or where it says so itself."""
        names = {name for name, _ in answer.headers}
        headers = list(answer.headers)
        if b"content-length" not in names and answer.status not in {204, 304}:
            headers.append((b"content-length", b"%d" % sum(map(len, answer.body))))
        for name, value in self._web_config.config.http_server_config.headers.items():
            if name.lower().encode() not in names:
                headers.append((name.encode(), value.encode()))
        unread = connection.in_body and connection.scope is scope  # or it would be one that came after this one
        last = unread or b"connection" in names or any(name == b"upgrade" for name, _ in scope["headers"])
        if last and b"connection" not in names:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        *blobs, final = answer.body or [b""]
        for blob in blobs:
            await send({"type": "http.response.body", "body": blob, "more_body": True})
        await send({"type": "http.response.body", "body": final, "more_body": last})
        if last:
            connection.linger(route.max_body + ROOM)


class _Bucket:
    """`rate_limit`: how many requests may come now."""

    def __init__(self) -> None:
        self._left, self._at = 0.0, -float("inf")

    def take(self, limit: RateLimit, now: float) -> bool:
        """Take one request out; False when there is none."""
        if not limit.interval:
            return True
        self._left = min(float(limit.burst), self._left + (now - self._at) / limit.interval)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def is_refusal(status: int, method: str) -> bool:
    """Return whether an application's answer turns a request away. That it is not ready is what it was asked."""
    return ERROR <= status < FAILURE or (status == UNAVAILABLE and method not in {"GET", "HEAD"})


def only(headers: Headers, name: bytes) -> bytes | None:
    """Return a header that is there once; None when it is missing or repeated."""
    found = [value for each, value in headers if each == name]
    return found[0] if len(found) == 1 else None


def problem_of(version: str, headers: Headers) -> str:
    """Return why a head that the parser lets through is refused all the same, nothing if it is not."""
    if version not in {"1.0", "1.1"}:
        return "not HTTP/1.1"
    hosts, lengths, codings = [], [], []
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "exactly one Host is needed"
    if hosts and not _HOST.fullmatch(hosts[0].strip(b" \t")):
        return "not a Host"
    if codings and (lengths or version == "1.0" or len(codings) > 1 or codings[0].strip(b" \t").lower() != b"chunked"):
        return "Transfer-Encoding may only be chunked, without Content-Length"
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0].strip(b" \t"))):
        return "not a Content-Length"
    return ""
