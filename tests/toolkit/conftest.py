"""A server with an application of the test's own."""

import contextlib
import http.client
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import pytest

from exporter.toolkit.front import Front, Lane, Route
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.wsgi import call

LARGE = [bytes(128 * 1024)] * 64


def application(environ, start_response):
    """Answer `/large`, `/`, and with the body anywhere else."""
    body = {"/large": LARGE, "/": [b"hello"]}.get(environ["PATH_INFO"], [environ["wsgi.input"].read()])
    start_response("200 OK", [("Content-Length", str(sum(map(len, body))))])
    return body


@dataclass
class Served:
    """A server, and what it has turned away."""

    server: HttpServer
    front: Front
    refusals: list = field(default_factory=list)

    @property
    def addresses(self):
        return self.server.addresses

    @property
    def address(self):
        return self.server.addresses[0]

    @property
    def connections(self):
        return list(chain(*self.server._connections.groups.values()))

    @property
    def reasons(self):
        return [refusal.reason for refusal in self.refusals]

    def stop(self, grace=2.0):
        self.server.stop(grace)


@pytest.fixture
def serve():
    """Start servers of a WSGI `application`, or of one that returns Answers, and stop them in the end."""
    started = []

    def start(  # noqa: PLR0913, PLR0917  what differs between two servers
        web_config=None,
        addresses=(("127.0.0.1", 0),),
        application=application,
        route=None,
        lane=Lane.POOL,
        answering=None,
    ):
        config = web_config or WebConfigFile(None)
        refusals = []
        route = route or (lambda path: Route(path=path, max_body=10_000_000, lane=lane))
        front = Front(answering or partial(call, application), config, route, refusals.append)
        server = HttpServer(front, list(addresses))
        server.start()
        started.append(Served(server, front, refusals))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def get():
    """Return the status and the body of one request on its own connection."""

    def ask(address, path="/", *, context=None, method="GET", body=None, headers=None):  # noqa: PLR0913  a request
        if context:
            client = http.client.HTTPSConnection(*address, timeout=30, context=context)
        else:
            client = http.client.HTTPConnection(*address, timeout=30)
        with contextlib.closing(client):
            client.request(method, path, body, headers or {})
            answer = client.getresponse()
            return answer.status, answer.read()

    return ask
