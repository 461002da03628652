"""The HTTP endpoints: metrics, landing page, service discovery, health and reload.

No response waits for a vendor: all are built from data already in memory.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from wsgiref.types import WSGIEnvironment

from jinja2 import Environment, PackageLoader

from exporter.collectors.contract import Figure
from exporter.metrics.health import Health
from exporter.polling.page_cache import PageCache
from exporter.toolkit import management
from exporter.toolkit.front import Lane, Route
from exporter.toolkit.management import READ, Management
from exporter.toolkit.page_style import finalize, styled
from exporter.toolkit.text import cut_label, span
from exporter.toolkit.wsgi import Answer
from exporter.web import discovery

_TEMPLATES = Environment(
    loader=PackageLoader(__package__), autoescape=True, trim_blocks=True, auto_reload=False, finalize=finalize
)
_TEMPLATES.filters |= {"span": span, "cut": cut_label}
_STYLE, CONTENT_POLICY = styled(Path(__file__).with_name("templates") / "style.css")
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-frame-options", b"DENY"),
)


def route(path: str) -> Route:
    """Return how a path is served: those that Prometheus and probes request in the event loop."""
    if path == "/" or path.startswith(discovery.BELOW):
        return Route(path=path, methods=READ)
    return management.route(path, Lane.LOOP) or Route(path=path, missing="not found")


def application(
    page_cache: PageCache,
    reload: Callable[[], None] | None,
    clock: Callable[[], float] = time.time,
    roles: Callable[[], Sequence[str]] = tuple,
) -> Management:
    """Return the application. `reload`: see Management; `roles` describes this exporter's shard and role."""

    def own(environ: WSGIEnvironment) -> Answer:
        path, pollers = environ["PATH_INFO"], page_cache.pollers()
        if path != "/":
            return discovery.answer(path, pollers)
        page = landing_page([(poller.health(), poller.figures()) for poller in pollers], clock(), roles())
        return Answer(200, _HEADERS, [page.encode("utf-8", "replace")])

    def waiting() -> str:
        healths = [poller.health() for poller in page_cache.pollers()]
        found = [f"{health.collector} {health.account}" for health in healths if not health.first_poll_ended]
        return f"first poll not ended: {', '.join(found)}" if found else ""

    return Management("vendorwatch-exporter", own, page_cache.page, waiting, reload)


def landing_page(targets: Sequence[tuple[Health, Sequence[Figure]]], now: float, roles: Sequence[str] = ()) -> str:
    """Return the page as of `now`, in epoch seconds; `roles` describes this exporter's shard and leadership."""
    return _TEMPLATES.get_template("status.html").render(
        targets=targets,
        roles=roles,
        now=now,
        as_of=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%SZ}",
        style=_STYLE,
    )
