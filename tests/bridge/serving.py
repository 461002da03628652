"""The bridge's application behind the front, as the program puts it there."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from bridge.config import Config
from bridge.errors import Unavailable
from bridge.metrics import Metrics
from bridge.web.current import Current
from bridge.web.routes import route
from bridge.web.webhooks import Webhooks
from exporter.toolkit.front import Front
from exporter.toolkit.periodic import Clock
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.wsgi import call


def settled(accept):
    """Return a future that is done already, as `accept` ended."""
    future = Future()
    try:
        future.set_result(accept())
    except Unavailable as error:
        future.set_exception(error)
    return future


def current_of(*receivers):
    """Return these receivers as what is configured, without any loop."""
    return Current(Config.model_construct(receivers=receivers))


def webhooks_at(now, store, receivers, metrics=None):
    """Return webhook views before a store; for them it is always `now`. `receivers` is asked at each request."""
    accept = lambda notification, now: settled(lambda: store.ingest.accept([notification], now)[0])  # noqa: E731
    return Webhooks(lambda: current_of(*receivers().values()), accept, metrics or Metrics(), clock=Clock(lambda: now))


@contextmanager
def serving(application, receivers, metrics, max_body=64_000_000) -> Iterator[tuple[str, int]]:
    """Serve an application; give its address."""
    front = Front(
        partial(call, application),
        WebConfigFile(None),
        lambda path: route(path, receivers(), max_body),
        metrics.refused,
    )
    server = HttpServer(front, [("127.0.0.1", 0)])
    server.start()
    try:
        yield server.addresses[0]
    finally:
        server.stop()
