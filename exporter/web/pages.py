"""The HTTP endpoints: metrics, landing page, service discovery, health and reload. Plain WSGI.

No response waits for a vendor: all are built from data already in memory.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.http import parse_accept_header, parse_options_header

from exporter.metrics.page_cache import PageCache
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.front import Lane, Route
from exporter.web import discovery
from exporter.web.status_page import CONTENT_POLICY
from exporter.web.status_page import page as landing_page

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_SAFE = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
_AT_ONCE = {path: Route(path=path, lane=Lane.LOOP) for path in ("/metrics", "/-/healthy", "/-/ready")}
_log = logging.getLogger(__name__)


def route(path: str) -> Route:
    """Return how a path is served: those that Prometheus and probes request in the event loop."""
    return _AT_ONCE.get(path) or Route(path=path)


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    status: HTTPStatus
    body: Sequence[bytes]
    headers: tuple[tuple[str, str], ...] = (("Content-Type", _PLAIN),)


def plain_text(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    """Return a plain-text response of one line."""
    return Response(status, [f"{text}\n".encode()], (("Content-Type", _PLAIN), *headers))


def offers(header: str) -> list[tuple[str, float]]:
    """Return the items of an Accept or Accept-Encoding header with their quality, best first."""
    return sorted(parse_accept_header(header), key=lambda offer: -offer[1])


def wants_openmetrics(accept: str) -> bool:
    """Return whether a client prefers OpenMetrics. A client that accepts neither format gets text."""
    for offer, quality in offers(accept):
        name, parameters = parse_options_header(offer.lower())
        version = parameters.get("version", "")
        if quality <= 0:
            break
        if name == "application/openmetrics-text" and version in {"", "1.0.0"}:
            return True
        if (name == "text/plain" and version in {"", "0.0.4"}) or name in {"text/*", "*/*"}:
            return False
    return False


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether a client accepts gzip and does not prefer the plain page."""
    qualities = {name.lower(): quality for name, quality in offers(accept_encoding)}
    packed = qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0)))
    return packed > 0 and packed >= qualities.get("identity", 0.0)


@lru_cache(maxsize=16)
def form(accept: str, accept_encoding: str) -> tuple[bool, bool, tuple[tuple[str, str], ...]]:
    """Return whether to send OpenMetrics, whether to send gzip, and the matching response headers."""
    openmetrics, packed = wants_openmetrics(accept), wants_gzip(accept_encoding)
    headers = [("Content-Type", OPENMETRICS if openmetrics else TEXT), ("Vary", "Accept, Accept-Encoding")]
    if packed:
        headers.append(("Content-Encoding", "gzip"))
    return openmetrics, packed, tuple(headers)


class Web:
    """The WSGI application. `reload` reloads the configuration and raises ConfigError if it is invalid."""

    def __init__(
        self,
        page_cache: PageCache,
        reload: Callable[[], None] | None,
        clock: Callable[[], float] = time.time,
        roles: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`reload` is None if reloading over HTTP is disabled; `roles` describes this exporter's shard and role."""
        self._page_cache = page_cache
        self._reload = reload
        self._clock = clock
        self._roles = roles
        reading, changing = ("GET", "HEAD"), ("POST", "PUT")
        self._routes: dict[str, tuple[tuple[str, ...], Callable[[WSGIEnvironment], Response]]] = {
            "/": (reading, self._landing),
            "/metrics": (reading, self._metrics),
            "/-/healthy": (reading, lambda _: plain_text(HTTPStatus.OK, "vendorwatch-exporter is healthy.")),
            "/-/ready": (reading, self._ready),
            "/-/reload": (changing, self._reloaded),
            discovery.BELOW: (reading, self._discovery),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path, below = environ["PATH_INFO"], discovery.BELOW
        methods, view = self._routes.get(below if path.startswith(below) else path, ((), None))
        if view is None:
            response = plain_text(HTTPStatus.NOT_FOUND, "Not found")
        elif environ["REQUEST_METHOD"] not in methods:
            response = plain_text(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", ("Allow", ", ".join(methods)))
        else:
            response = view(environ)
        length = ("Content-Length", str(sum(map(len, response.body))))
        start_response(f"{response.status.value} {response.status.phrase}", [*response.headers, *_SAFE, length])
        return () if environ["REQUEST_METHOD"] == "HEAD" else response.body

    def _metrics(self, environ: WSGIEnvironment) -> Response:
        openmetrics, packed, headers = form(environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", ""))
        return Response(HTTPStatus.OK, self._page_cache.page(openmetrics=openmetrics, packed=packed), headers)

    def _landing(self, _environ: WSGIEnvironment) -> Response:
        targets = [(source.health(), source.figures()) for source in self._page_cache.sources()]
        headers = (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", CONTENT_POLICY),
            ("X-Frame-Options", "DENY"),
        )
        page = landing_page(targets, self._clock(), self._roles())
        return Response(HTTPStatus.OK, [page.encode("utf-8", "replace")], headers)

    def _discovery(self, environ: WSGIEnvironment) -> Response:
        sources = discovery.named(environ["PATH_INFO"], self._page_cache.sources())
        if not sources:
            return plain_text(HTTPStatus.NOT_FOUND, "No target of that name supports service discovery.")
        found = [(source.identity, source.endpoints()) for source in sources]
        waiting = [" ".join(identity) for identity, endpoints in found if endpoints is None]
        if waiting:
            return plain_text(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"Endpoints not known yet, keep the previous targets: {', '.join(waiting)}",
            )
        document = discovery.document((identity, endpoints or ()) for identity, endpoints in found)
        return Response(HTTPStatus.OK, [document], (("Content-Type", "application/json"),))

    def _ready(self, _environ: WSGIEnvironment) -> Response:
        healths = [source.health() for source in self._page_cache.sources()]
        waiting = [f"{health.collector} {health.account}" for health in healths if not health.first_poll_ended]
        if waiting:
            return plain_text(HTTPStatus.SERVICE_UNAVAILABLE, f"Not ready, first poll not ended: {', '.join(waiting)}")
        return plain_text(HTTPStatus.OK, "vendorwatch-exporter is ready.")

    def _reloaded(self, _environ: WSGIEnvironment) -> Response:
        if self._reload is None:
            return plain_text(HTTPStatus.FORBIDDEN, "Lifecycle API is not enabled.")
        try:
            self._reload()
        except ConfigError as error:
            return plain_text(HTTPStatus.INTERNAL_SERVER_ERROR, f"failed to reload config: {error}")
        return plain_text(HTTPStatus.OK, "Reloaded.")
