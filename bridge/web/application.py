"""The application: the door, `/metrics`, health, and error pages that tell nothing they should not."""

import gzip
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, request
from prometheus_client import exposition as text
from prometheus_client.openmetrics import exposition as openmetrics
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header

from bridge.metrics import Metrics
from exporter.toolkit.config_types import ConfigError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """What the application asks of the rest. `reload` is None when reloading over HTTP is not enabled."""

    metrics: Metrics
    ready: Callable[[], bool]
    reload: Callable[[], None] | None = None


def create_app(works: Works, blueprints: Sequence[Blueprint] = ()) -> Flask:
    """Return the application. `blueprints` bring what is not the same in every program: the door, the console."""
    app = Flask(__name__)
    app.register_blueprint(_health(works))
    app.register_error_handler(HTTPException, _plain)
    app.register_error_handler(Exception, _unexpected)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    if not any(rule.rule == "/" for rule in app.url_map.iter_rules()):
        app.add_url_rule("/", "index", _index)
    return app


def _health(works: Works) -> Blueprint:
    health = Blueprint("health", __name__)

    @health.get("/metrics")
    def metrics() -> Response:
        if wants_openmetrics(request.accept_mimetypes):
            page = openmetrics.generate_latest(works.metrics.registry)  # type: ignore[no-untyped-call]
            kind = openmetrics.CONTENT_TYPE_LATEST
        else:
            page, kind = text.generate_latest(works.metrics.registry), text.CONTENT_TYPE_PLAIN_0_0_4
        packed = request.accept_encodings["gzip"] > 0
        headers = {"Vary": "Accept, Accept-Encoding"} | ({"Content-Encoding": "gzip"} if packed else {})
        return Response(gzip.compress(page, 1) if packed else page, headers=headers, content_type=kind)

    @health.get("/-/healthy")
    def healthy() -> Response:
        return _text(200, "healthy")

    @health.get("/-/ready")
    def ready() -> Response:
        return _text(200, "ready") if works.ready() else _text(503, "the database cannot be written")

    @health.route("/-/reload", methods=["POST", "PUT"])
    def reload() -> Response:
        if works.reload is None:
            return _text(403, "needs --web.enable-lifecycle")
        try:
            works.reload()
        except ConfigError as error:
            return _text(500, "the configuration stays as it was:\n" + "\n".join(error.problems))
        return _text(200, "reloaded")

    return health


def wants_openmetrics(accepted: MIMEAccept) -> bool:
    """Tell whether OpenMetrics 1.0.0 is what a client likes best of the two formats that we have."""
    for value, quality in accepted:
        kind, options = parse_options_header(value)
        if quality > 0 and kind == "application/openmetrics-text" and options.get("version", "1.0.0") == "1.0.0":
            return True
        if kind in {"*/*", "text/*"} or (kind == "text/plain" and options.get("version", "0.0.4") == "0.0.4"):
            return False
    return False


def _index() -> Response:
    links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in ("metrics", "-/healthy", "-/ready"))
    return Response(
        f"<!doctype html><title>vendorwatch bridge</title><h1>vendorwatch bridge</h1><ul>{links}</ul>",
        mimetype="text/html",
    )


def _plain(error: HTTPException) -> Response:
    answer = _text(error.code or 500, error.name)
    for name, value in error.get_headers():
        if name.lower() in {"allow", "location", "www-authenticate"}:
            answer.headers.add(name, value)
    return answer


def _unexpected(error: Exception) -> Response:
    _log.error("Request failed unexpectedly: %s %s", request.method, request.path, exc_info=error)
    return _text(503, "not now; try again")


def _text(status: int, words: str) -> Response:
    return Response(f"{words}\n", status, mimetype="text/plain")
