"""The endpoints that both programs have: `/metrics`, health, readiness and reload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from wsgiref.types import WSGIEnvironment

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.exposition import negotiated
from exporter.toolkit.front import Lane, Route
from exporter.toolkit.wsgi import Answer, Application, plain

READ: Final = ("GET", "HEAD")
_CHANGE: Final = ("POST", "PUT")


def route(path: str, lane: Lane) -> Route | None:
    """Return how one of these paths is served, None for another. `lane`: where metrics and readiness block nobody."""
    match path:
        case "/metrics" | "/-/ready":
            return Route(path=path, methods=READ, lane=lane)
        case "/-/healthy":
            return Route(path=path, methods=READ, lane=Lane.LOOP)
        case "/-/reload":
            return Route(path=path, methods=_CHANGE)
    return None


@dataclass(frozen=True, slots=True)
class Management:
    """Answers these paths itself and leaves all others to the program's own application.

    `page` returns the metrics in pieces, by the keywords `openmetrics` and `packed`, `waiting` what the program waits
    for before it is ready, "" if nothing. `reload` raises ConfigError if the file is invalid; None: disabled over HTTP.
    """

    program: str
    application: Application
    page: Callable[..., Sequence[bytes]]
    waiting: Callable[[], str]
    reload: Callable[[], None] | None

    def __call__(self, environ: WSGIEnvironment) -> Answer:
        """Answer a request that has a route."""
        match environ["PATH_INFO"]:
            case "/metrics":
                accepted = environ.get("HTTP_ACCEPT", ""), environ.get("HTTP_ACCEPT_ENCODING", "")
                openmetrics, packed, headers = negotiated(*accepted)
                return Answer(200, headers, self.page(openmetrics=openmetrics, packed=packed))
            case "/-/healthy":
                return plain(200, f"{self.program} is healthy.")
            case "/-/ready":
                waiting = self.waiting()
                return plain(503, f"Not ready, {waiting}") if waiting else plain(200, f"{self.program} is ready.")
            case "/-/reload":
                return self._reloaded()
        return self.application(environ)

    def _reloaded(self) -> Answer:
        if self.reload is None:
            return plain(403, "Lifecycle API is not enabled: needs --web.enable-lifecycle")
        try:
            self.reload()
        except ConfigError as error:
            return plain(500, f"Reload failed, keeping the current configuration:\n{error}")
        return plain(200, "Reloaded.")
