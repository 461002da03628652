"""The HTTP endpoints: metrics, landing page, service discovery, health and reload.

No response waits for a vendor: all are built from data already in memory.
"""

import time
from collections.abc import Callable, Sequence
from wsgiref.types import WSGIEnvironment

from exporter.metrics.page_cache import PageCache
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.exposition import negotiated
from exporter.toolkit.front import Lane, Route
from exporter.toolkit.wsgi import Answer, plain
from exporter.web import discovery
from exporter.web.status_page import CONTENT_POLICY
from exporter.web.status_page import page as landing_page

_READ, _CHANGE = ("GET", "HEAD"), ("POST", "PUT")
_AT_ONCE = ("/metrics", "/-/healthy", "/-/ready")
_ROUTES = {path: Route(path=path, methods=_READ, lane=Lane.LOOP) for path in _AT_ONCE} | {
    "/": Route(path="/", methods=_READ),
    "/-/reload": Route(path="/-/reload", methods=_CHANGE),
}


def route(path: str) -> Route:
    """Return how a path is served: those that Prometheus and probes request in the event loop."""
    if path.startswith(discovery.BELOW):
        return Route(path=path, methods=_READ)
    return _ROUTES.get(path) or Route(path=path, found=False)


class Web:
    """The application. `reload` reloads the configuration and raises ConfigError if it is invalid."""

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
        self._views: dict[str, Callable[[WSGIEnvironment], Answer]] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/-/healthy": lambda _: plain(200, "vendorwatch-exporter is healthy."),
            "/-/ready": self._ready,
            "/-/reload": self._reloaded,
        }

    def __call__(self, environ: WSGIEnvironment) -> Answer:
        """Answer a request that has a route."""
        return self._views.get(environ["PATH_INFO"], self._discovery)(environ)

    def _metrics(self, environ: WSGIEnvironment) -> Answer:
        accepted = environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", "")
        openmetrics, packed, headers = negotiated(*accepted)
        return Answer(200, headers, self._page_cache.page(openmetrics=openmetrics, packed=packed))

    def _landing(self, _environ: WSGIEnvironment) -> Answer:
        targets = [(source.health(), source.figures()) for source in self._page_cache.sources()]
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", CONTENT_POLICY.encode()),
            (b"x-frame-options", b"DENY"),
        ]
        page = landing_page(targets, self._clock(), self._roles())
        return Answer(200, headers, [page.encode("utf-8", "replace")])

    def _discovery(self, environ: WSGIEnvironment) -> Answer:
        sources = discovery.named(environ["PATH_INFO"], self._page_cache.sources())
        if not sources:
            return plain(404, "No target of that name supports service discovery.")
        found = [(source.identity, source.endpoints()) for source in sources]
        waiting = [" ".join(identity) for identity, endpoints in found if endpoints is None]
        if waiting:
            return plain(503, f"Endpoints not known yet, keep the previous targets: {', '.join(waiting)}")
        document = discovery.document((identity, endpoints or ()) for identity, endpoints in found)
        return Answer(200, [(b"content-type", b"application/json")], [document])

    def _ready(self, _environ: WSGIEnvironment) -> Answer:
        healths = [source.health() for source in self._page_cache.sources()]
        waiting = [f"{health.collector} {health.account}" for health in healths if not health.first_poll_ended]
        if waiting:
            return plain(503, f"Not ready, first poll not ended: {', '.join(waiting)}")
        return plain(200, "vendorwatch-exporter is ready.")

    def _reloaded(self, _environ: WSGIEnvironment) -> Answer:
        if self._reload is None:
            return plain(403, "Lifecycle API is not enabled.")
        try:
            self._reload()
        except ConfigError as error:
            return plain(500, f"failed to reload config: {error}")
        return plain(200, "Reloaded.")
