"""`/metrics`, health, readiness and reload."""

import gzip
from collections.abc import Callable

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_options_header

from bridge.web.application import plain
from exporter.toolkit import exposition
from exporter.toolkit.config_types import ConfigError


def health(registry: CollectorRegistry, ready: Callable[[], bool], reload: Callable[[], None] | None) -> Blueprint:
    """Return the routes. `reload` is None if reloading over HTTP is disabled."""
    routes = Blueprint("health", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        if wants_openmetrics(request.accept_mimetypes):
            page, kind = exposition.openmetrics(registry), CONTENT_TYPE_LATEST
        else:
            page, kind = exposition.text(registry), CONTENT_TYPE_PLAIN_0_0_4
        packed = request.accept_encodings["gzip"] > 0
        headers = {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if packed else {})
        return Response(gzip.compress(page, 1) if packed else page, headers=headers, content_type=kind)

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


def wants_openmetrics(accepted: MIMEAccept) -> bool:
    """Return whether a client prefers OpenMetrics 1.0.0 to the text format."""
    for value, quality in accepted:
        kind, options = parse_options_header(value)
        if quality > 0 and kind == "application/openmetrics-text" and options.get("version", "1.0.0") == "1.0.0":
            return True
        if kind in {"*/*", "text/*"} or (kind == "text/plain" and options.get("version", "0.0.4") == "0.0.4"):
            return False
    return False
