"""`python -m tests.bench.standins KIND PORT [MORE]`: what the bridge is measured against, and what it delivers to.

- `destination PORT SECONDS`: BigPanda, answering each request after so many seconds
- `unstored PORT`: the bridge's door with nothing behind it: every webhook is read, translated, and forgotten
- `relay PORT URL THREADS`: a bridge as they usually are: it answers once its destination did
"""

import json
import sys
import time
from collections.abc import Callable

import requests
from cheroot.wsgi import Server

from bridge.domain.notification import Outcome
from bridge.listen import Listener
from bridge.metrics import Metrics
from bridge.receivers import alertmanager
from bridge.receivers.contract import receiver
from bridge.web.application import Works, create_app
from bridge.web.webhooks import Threshold, blueprint
from exporter.toolkit.web_config import Access


def destination(port: str, seconds: str) -> None:
    """Accept whatever is sent, late."""

    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            time.sleep(float(seconds))
        start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", "2")])
        return [b"{}"]

    Server(("127.0.0.1", int(port)), answer, numthreads=32).start()


def unstored(port: str) -> None:
    """Serve the door itself, as `bridge.app` wires it, with an outbox that forgets."""
    settings = alertmanager.Settings.model_validate({"receiver": "alertmanager", "source": "prod"})
    metrics = Metrics()
    threshold = Threshold(
        receivers=lambda: {("alertmanager", "prod"): receiver(settings)},
        max_body=lambda: 64_000_000,
        accept=lambda notification, now: Outcome(queued=len(notification.alerts)),
        quarantine=lambda *_: None,
        metrics=metrics,
    )
    application = create_app(Works(metrics=metrics, ready=lambda: True), [blueprint(threshold)])
    Listener(application, [("127.0.0.1", int(port))], Access(None), body_limit=128_000_000).start()


def relay(port: str, url: str, threads: str) -> None:
    """Send on within the request, as synchronous bridges do."""
    session = requests.Session()

    def answer(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            session.post(url, json={"alerts": body["alerts"]}, timeout=60)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"ok\n"]

    Server(("127.0.0.1", int(port)), answer, numthreads=int(threads), max=int(threads)).start()


KINDS: dict[str, Callable[..., None]] = {"destination": destination, "unstored": unstored, "relay": relay}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
