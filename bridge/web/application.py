"""The Flask application: blueprints, and error pages that reveal nothing."""

import logging
from collections.abc import Iterable

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from exporter.toolkit.page_style import finalize

_log = logging.getLogger(__name__)


def create_app(blueprints: Iterable[Blueprint]) -> Flask:
    """Return the application."""
    app = Flask(__name__, static_folder=None)
    app.jinja_options = app.jinja_options | {"finalize": finalize}
    # A probe or bookmark may have a slash too many. Webhook paths arrive without: see `routes`.
    app.url_map.strict_slashes = False

    # PostgreSQL cannot look for a NUL, and nothing stored has one.
    no_nul = "the query contains a NUL character"
    app.before_request(lambda: plain(400, no_nul) if b"%00" in request.query_string else None)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> WerkzeugResponse:
        answer = error.get_response()
        answer.set_data(f"{error.name}\n")
        answer.mimetype = "text/plain"
        return answer

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        _log.error("Request failed unexpectedly: %s %s", request.method, request.path, exc_info=error)
        return plain(500, f"unexpected {type(error).__name__}: see the log")

    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def plain(status: int, words: str) -> Response:
    """Return a plain-text response of one line."""
    return Response(f"{words}\n", status, mimetype="text/plain")
