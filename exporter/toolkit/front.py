"""ASGI in front of an application: reject and authenticate requests by their head, limit their bodies.

Requests that need no database are answered in the event loop itself, so they wait for no thread and no password.
"""

import asyncio
import io
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from queue import Full
from typing import Any
from wsgiref.types import WSGIApplication

from exporter.toolkit.connection import EXTENSION, Connection
from exporter.toolkit.passwords import Passwords
from exporter.toolkit.refusals import Refusal, Refusals
from exporter.toolkit.web_config import RateLimit, WebConfigFile
from exporter.toolkit.wsgi import LARGE, LATER, Answer, Application, Headers, Pool, call, environment, plain

STALLED = 10.0
"""Seconds after which a client is dropped that has sent no byte of its body, or not read a piece of its response."""
WHOLE, PIECE = 1_000_000, 128_000
"""Bytes of a response that is written at once, and of the pieces of a larger one."""
ROOM = 64_000_000
"""Bytes of all larger bodies in memory, queued ones included; more if a single one may be larger."""
SMALL = 64_000
"""Bytes of a body that is always accepted. Only a webhook may have a larger one."""
THREADS, QUEUED = 16, 512
ERROR, FAILURE, UNAVAILABLE = 400, 500, 503
_log = logging.getLogger(__name__)


class Lane(Enum):
    """Where a request is answered."""

    LOOP = auto()
    """In the event loop: the application blocks on nothing there."""
    SIDE = auto()
    """In a few threads of its own, never queued behind a webhook."""
    BRIEF = auto()
    """In two threads: it is brief, and what it waits for, it waits for without a thread (`LATER`)."""
    LARGE = auto()
    """One of those with a large body at a time: what is made of it may take many times its size."""
    POOL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a request is handled, decided by its path before the body is read. `path`: the application's path for it.

    `missing`: the message of a 404, "" if the path is served. `methods`: those allowed; if empty, the application
    decides. `admits`: whether the headers or the query hold the path's own credentials; None: the web config's users
    apply. `receiver`: the receiver's name in the log.
    """

    path: str
    lane: Lane = Lane.POOL
    missing: str = ""
    methods: tuple[str, ...] = ()
    admits: Callable[[Headers, bytes], bool] | None = None
    max_body: int = SMALL
    receiver: str = ""


class Rejected(Exception):
    """A request rejected before it reaches the application."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.answer = plain(status, message, *headers)


class Disconnected(Exception):
    """The client disconnected before its request was complete."""


class Front:
    """The ASGI application."""

    def __init__(
        self,
        application: Application,
        web_config: WebConfigFile,
        route: Callable[[str], Route],
        count: Callable[[Refusal], None] = lambda _refusal: None,
    ) -> None:
        """`route` is called for each request, because a reload changes its result."""
        self._application, self.web_config, self._route = application, web_config, route
        self.refusals = Refusals(count)
        self._passwords = Passwords()
        sizes = {Lane.SIDE: (2, 64), Lane.BRIEF: (2, QUEUED), Lane.LARGE: (1, QUEUED), Lane.POOL: (THREADS, QUEUED)}
        self._pools = {lane: Pool(lane.name.lower(), *size) for lane, size in sizes.items()}
        self._full_at = 0.0
        """When the bucket of `rate_limit` will be full again, by the monotonic clock."""
        self._held = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        connection: Connection = scope["extensions"][EXTENSION]["connection"]
        self.web_config.refresh()
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
            level = logging.INFO if route.receiver else logging.DEBUG  # strangers must not fill the log
            _log.log(level, "Client %s disconnected while sending to %s", connection.peer, route.receiver or route.path)
            return
        except Exception:  # noqa: BLE001  the client must get a 503 whatever went wrong
            _log.exception("Request failed unexpectedly: %s", route.receiver or scope["method"])
            answer = plain(503, "not now; try again")
        # An application's 503 to a probe that only reads means "not ready", and its 500 rejects nothing.
        status, reads = answer.status, scope["method"] in {"GET", "HEAD"}
        is_refusal = ERROR <= status < FAILURE or (status == UNAVAILABLE and not reads)
        if is_refusal or (status >= ERROR and not by_application):
            line = answer.body[0][:200].decode("utf-8", "replace").partition("\n")[0] if answer.body else ""
            message = HTTPStatus(status).phrase if line[:1] in {"", "<"} else line  # a web page begins with markup
            self.refusals.note(Refusal(status, message, connection.peer, route.receiver, by_application))
        await self._send(scope, send, answer, connection)

    def stop(self, patience: float) -> None:
        """End all threads, waiting at most `patience` seconds for them together."""
        until = time.monotonic() + patience
        for pool in (*self._passwords.pools, *self._pools.values()):
            pool.stop(max(0.0, until - time.monotonic()))

    def _has_token(self, limit: RateLimit) -> bool:
        """Take a token from the bucket of `rate_limit`; return False if there is none."""
        now = time.monotonic()
        full_at = max(self._full_at, now) + limit.interval
        if limit.interval and full_at > now + limit.burst * limit.interval:
            return False
        self._full_at = full_at
        return True

    async def _answer(self, scope: Any, route: Route, receive: Any) -> Answer:
        headers: Headers = scope["headers"]
        if not self._has_token(self.web_config.config.rate_limit):
            # A webhook's sender must retry, and some do so only after a 5xx.
            raise Rejected(503 if route.admits else 429, "too many requests")
        if route.methods and scope["method"] not in route.methods:
            raise Rejected(405, "Method not allowed", (b"allow", ", ".join(route.methods).encode()))
        user = await self._user(route, headers, scope["query_string"])
        if route.missing:
            raise Rejected(404, route.missing)
        body, held, counted = io.BytesIO(), 0, 0
        try:
            async for piece in self._body(route, headers, receive):
                held += len(piece)
                if held > route.max_body:
                    raise Rejected(413, f"larger than {route.max_body} bytes")
                if held > SMALL:
                    self._held, counted = self._held + held - counted, held
                    if self._held > max(ROOM, route.max_body):
                        raise Rejected(503, "too many large bodies at once; try again")
                body.write(piece)
            body.getvalue()  # frees the over-allocation; otherwise reading would copy it
            body.seek(0)
            environ = environment(scope, route.path, body, held, user)
            if route.lane is Lane.LOOP:
                return self._application(environ)
            lane = Lane.LARGE if route.lane is Lane.BRIEF and held > LARGE else route.lane
            postponed: list[tuple[Future[Any], Callable[[], Answer | WSGIApplication]]] = []
            environ[LATER] = lambda event, response: postponed.append((event, response))
            answer = await self._pools[lane].run(partial(self._application, environ), postponed)
            return answer if isinstance(answer, Answer) else call(answer, environ)
        finally:
            self._held -= counted

    async def _user(self, route: Route, headers: Headers, query: bytes) -> str | None:
        """Return the authenticated user of the web config, or None if no authentication applies. Raises Rejected."""
        if route.admits:
            if not route.admits(headers, query):
                challenges = [(b"www-authenticate", scheme + b' realm="webhooks"') for scheme in (b"Bearer", b"Basic")]
                raise Rejected(401, "missing or wrong credentials", *challenges)
            return None
        users = self.web_config.config.basic_auth_users
        if not users:
            return None
        user = None
        if (given := only(headers, b"authorization")) is not None:
            user = await self._passwords.user(given, users)
        if user is None:
            raise Rejected(401, "Unauthorized", (b"www-authenticate", b"Basic"))
        return user

    async def _body(self, route: Route, headers: Headers, receive: Any) -> Any:
        """Yield the body in pieces. Raises Rejected if it is announced as too large, or stalls."""
        length = only(headers, b"content-length")
        if length in {None, b"0"} and not any(name == b"transfer-encoding" for name, _ in headers):
            return
        if int(length or 0) > route.max_body:
            raise Rejected(413, f"larger than {route.max_body} bytes")
        more = True
        while more:
            try:
                async with asyncio.timeout(STALLED):
                    message = await receive()
            except TimeoutError:
                raise Rejected(408, "timed out reading the body") from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            yield message["body"]
            more = message["more_body"]

    async def _send(self, scope: Any, send: Any, answer: Answer, connection: Connection) -> None:
        """Send the response. Close the connection afterwards if the body was not read."""
        names = {name for name, _ in answer.headers}
        headers, size = list(answer.headers), sum(map(len, answer.body))
        if b"content-length" not in names and answer.status not in {204, 304}:
            headers.append((b"content-length", b"%d" % size))
        always = self.web_config.config.http_server_config.always
        headers += [header for header in always if header[0] not in names]
        unread = connection.in_body and connection.scope is scope  # otherwise it is a later request's body
        if unread:
            headers.append((b"connection", b"close"))
        body, most = (answer.body, PIECE) if size > WHOLE else ([b"".join(answer.body)], WHOLE)
        pieces = [memoryview(blob)[at : at + most] for blob in body for at in range(0, len(blob), most)]
        *earlier, final = pieces or [memoryview(b"")]
        try:
            async with asyncio.timeout(STALLED) as patience:
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                for piece in earlier:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    patience.reschedule(asyncio.get_running_loop().time() + STALLED)
                await send({"type": "http.response.body", "body": final, "more_body": unread})
        except TimeoutError:
            connection.abort()
        if unread:
            connection.linger()


def only(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of a header; None if it is missing or repeated."""
    found = [value for each, value in headers if each == name]
    return found[0] if len(found) == 1 else None
