"""`python -m tests.bench.standins KIND PORT [MORE]`: what the bridge is measured against, and what it delivers to.

- `destination PORT SECONDS`: BigPanda, answering each request after so many seconds
- `unstored PORT`: the bridge's door with nothing behind it: every webhook is read, translated, and forgotten
- `relay PORT URL THREADS`: a bridge as they usually are: it answers once its destination did
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from wsgiref.types import WSGIApplication

import requests

from exporter.toolkit.front import Front, Lane, Route
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.wsgi import call


def serve(port: str, application: WSGIApplication, lane: Lane = Lane.POOL) -> None:
    """Serve an application as both programs do, until the process is ended."""
    config = WebConfigFile(None)
    front = Front(partial(call, application), config, lambda path: Route(path=path, lane=lane, max_body=64_000_000))
    HttpServer(front, [("127.0.0.1", int(port))]).start()
    threading.Event().wait()  # a thread pool takes nothing more once the main thread has ended


def destination(port: str, seconds: str) -> None:
    """Accept whatever is sent, late."""

    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            time.sleep(float(seconds))
        start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", "2")])
        return [b"{}"]

    serve(port, answer)


def unstored(port: str) -> None:
    """Serve the receiver routes themselves."""
    from tests.bench.unstored import application  # noqa: PLC0415  the bridge takes half a second to import

    serve(port, application(), Lane.BRIEF)


def relay(port: str, url: str, threads: str) -> None:
    """Send on within the request, as synchronous bridges do."""
    session = requests.Session()
    workers = threading.Semaphore(int(threads))

    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            with workers:
                session.post(url, json={"alerts": body["alerts"]}, timeout=60)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"ok\n"]

    serve(port, answer)


KINDS: dict[str, Callable[..., None]] = {"destination": destination, "unstored": unstored, "relay": relay}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
