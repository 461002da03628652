import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from tests.sandbox.server import Sandbox


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = 1_795_176_000.0

    def __call__(self) -> float:
        return self.now


class Client(requests.Session):
    """Speaks to one vendor of a sandbox with the right credentials."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__()
        self.url, self.trust_env = url, False
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method, url, *arguments, **named):
        named["allow_redirects"] = False
        named.setdefault("timeout", 30)
        return super().request(method, self.url + url, *arguments, **named)


@dataclass
class Receiver:
    """Takes webhooks; answers with the statuses given, then 200."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) >= count, 30), self.got


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
def client(sandbox) -> Iterator[Callable[..., Client]]:
    """Make a client: `client("/vigilmon/api/v1", "token")`."""
    made: list[Client] = []

    def make(path: str, token: str = "") -> Client:
        made.append(Client(sandbox.url + path, token))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def control(client) -> Client:
    return client("/control")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    take = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with take.arrived:
                take.got.append((dict(self.headers.items()), body))
                status = take.statuses.pop(0) if take.statuses else 200
                take.arrived.notify_all()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name http.server gives it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    take.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield take
    server.shutdown()
    thread.join()
    server.server_close()
