"""`/metrics`, health, readiness and reload."""

import gzip
from collections.abc import Callable

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry

from bridge.web.application import plain
from exporter.toolkit import exposition
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.exposition import negotiated


def health(registry: CollectorRegistry, ready: Callable[[], bool], reload: Callable[[], None] | None) -> Blueprint:
    """Return the routes. `reload` is None if reloading over HTTP is disabled."""
    routes = Blueprint("health", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        openmetrics, packed, headers = negotiated(
            request.headers.get("Accept", ""), request.headers.get("Accept-Encoding", "")
        )
        page = exposition.openmetrics(registry) if openmetrics else exposition.text(registry)
        shown = [(name.decode(), value.decode()) for name, value in headers]
        return Response(gzip.compress(page, 1) if packed else page, headers=shown)

    @routes.get("/-/healthy")
    def healthy() -> Response:
        return plain(200, "healthy")

    @routes.get("/-/ready")
    def readiness() -> Response:
        return plain(200, "ready") if ready() else plain(503, "the database cannot be written")

    @routes.route("/-/reload", methods=["POST", "PUT"])
    def reload_config() -> Response:
        if reload is None:
            return plain(403, "needs --web.enable-lifecycle")
        try:
            reload()
        except ConfigError as error:
            return plain(500, "Reload failed, keeping the current configuration:\n" + "\n".join(error.problems))
        return plain(200, "reloaded")

    return routes
