"""The HTTP endpoints: metrics, landing page, service discovery, health and reload.

No response waits for a vendor: all are built from data already in memory.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from wsgiref.types import WSGIEnvironment

from jinja2 import Environment, PackageLoader

from exporter.metrics.health import Figure, Health
from exporter.metrics.page_cache import PageCache, Source
from exporter.toolkit import management
from exporter.toolkit.front import Lane, Route
from exporter.toolkit.management import READ, Management
from exporter.toolkit.page_style import styled
from exporter.toolkit.text import cut_label, span
from exporter.toolkit.wsgi import Answer, plain

_SD: Final = "/sd/"
_TEMPLATES = Environment(loader=PackageLoader(__package__), autoescape=True, trim_blocks=True, auto_reload=False)
_TEMPLATES.filters["span"] = span
_STYLE, CONTENT_POLICY = styled(Path(__file__).with_name("templates") / "style.css")
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-frame-options", b"DENY"),
)


def route(path: str) -> Route:
    """Return how a path is served: those that Prometheus and probes request in the event loop."""
    if path == "/" or path.startswith(_SD):
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
        path, sources = environ["PATH_INFO"], page_cache.sources()
        if path != "/":
            return discovery(path, sources)
        page = landing_page([(source.health(), source.figures()) for source in sources], clock(), roles())
        return Answer(200, _HEADERS, [page.encode("utf-8", "replace")])

    def waiting() -> str:
        healths = [source.health() for source in page_cache.sources()]
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


def discovery(path: str, sources: Iterable[Source]) -> Answer:
    """Return Prometheus's http_sd for `/sd/<collector>` or `/sd/<collector>/<account>`: a group for each endpoint."""
    collector, slash, account = path.removeprefix(_SD).encode("latin-1").decode("utf-8", "replace").partition("/")
    named = [
        source
        for source in sources
        if source.discovers and source.identity[0] == collector and (not slash or source.identity[1] == account)
    ]
    if not named:
        return plain(404, "No target of that name supports service discovery.")
    found = [(source.identity, source.endpoints()) for source in named]
    waiting = [" ".join(identity) for identity, endpoints in found if endpoints is None]
    if waiting:
        return plain(503, f"Endpoints not known yet, keep the previous targets: {', '.join(waiting)}")
    groups = []
    for (_, account), endpoints in found:
        for endpoint in endpoints or ():
            labelled = (("account", account), *endpoint.labels)
            labels = {f"__meta_{collector}_{name}": cut_label(value) for name, value in labelled}
            groups.append({"targets": [endpoint.address], "labels": labels})
    return Answer(200, [(b"content-type", b"application/json")], [json.dumps(groups).encode()])
