"""The bridge's application behind the front, as the program puts it there."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.web.routes import route
from exporter.toolkit.front import Front
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile


@contextmanager
def serving(application, receivers, metrics, max_body=64_000_000) -> Iterator[tuple[str, int]]:
    """Serve an application; give its address."""
    front = Front(application, WebConfigFile(None), lambda path: route(path, receivers(), max_body), metrics.refused)
    server = HttpServer(front, [("127.0.0.1", 0)], WebConfigFile(None))
    server.start()
    try:
        yield server.addresses[0]
    finally:
        server.stop()
