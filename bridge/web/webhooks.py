"""`POST /webhooks/<receiver>/<source>`: 200 only after everything in the body is durable.

Alertmanager tries again after a 5xx alone; after a 4xx it gives up until the group's next interval. So whatever may
pass later is 503, never 429 and never 500, and 400 is for a body that can never be read, which is kept all the same.
Who may not send, and what is too large, the front has turned away already.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, request

from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable, Unreadable
from bridge.metrics import Metrics
from bridge.outbox.quarantine import Quarantine
from bridge.receivers.contract import Receiver
from bridge.web.application import plain
from exporter.toolkit.text import is_utf8, valid_json

_LARGE: Final = 4_000_000
"""Bytes; bodies above are parsed one at a time, so that the memory they take has a bound."""
_KEPT: Final = 1_000_000
"""Bytes of an unreadable body that are kept."""
_MOST: Final = (("objects and lists", b"{[", 100_000), ("values", b"{[,", 1_000_000))
"""What a body may hold: of a few bytes each, in memory they take up to two hundred times their size.

An alert of Alertmanager's has three objects and some thirty values in about two kilobytes, so that this is 33,000 of
them, or 64 MB.
"""
_STRING: Final = re.compile(rb'"[^"]*"?')
_ALERTS_API: Final = "alerts_api"
_log = logging.getLogger(__name__)


class HttpError(Exception):
    """A webhook is rejected: the status, the word for the metric, and the answer's words."""

    def __init__(self, status: int, outcome: str, message: str) -> None:
        super().__init__(message)
        self.status, self.outcome = status, outcome


class Webhooks:
    """The receiver routes. What a reload changes is asked at each request."""

    def __init__(  # noqa: PLR0913  what it hands webhooks to
        self,
        *,
        receivers: Callable[[], Mapping[tuple[str, str], Receiver]],
        accept: Callable[[Notification, float], Outcome],
        quarantine: Quarantine,
        metrics: Metrics,
        on_truncated: Callable[[str], None],
        on_incidents: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Take what changes as functions.

        `on_truncated`, `on_incidents`: called with the source once a webhook is durable that left alerts out, or
        brought incidents.
        """
        self._receivers, self._accept, self._quarantine, self._metrics = receivers, accept, quarantine, metrics
        self._on_truncated, self._on_incidents, self._clock = on_truncated, on_incidents, clock
        self._large_body = threading.Lock()

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        webhooks = Blueprint("webhooks", __name__)
        webhooks.add_url_rule("/webhooks/<receiver>/<source>", "webhook", self.webhook, methods=["POST"])
        alerts_api = "/webhooks/alerts_api/<source>/data/v2/alerts"
        webhooks.add_url_rule(alerts_api, "alerts_api", self.alerts_api, methods=["POST"])
        return webhooks

    def webhook(self, receiver: str, source: str) -> Response:
        """Take one webhook in."""
        try:
            self._take(receiver, source)
        except HttpError as error:
            return plain(error.status, str(error))
        return plain(200, "accepted")

    def alerts_api(self, source: str) -> Response:
        """Take one request in as BigPanda's Alerts API would answer it: 201, 204 for an exact duplicate, 400."""
        try:
            duplicate = self._take(_ALERTS_API, source)
        except HttpError as error:
            body = {"status": error.status, "errors": str(error).split("; ")}
            return Response(json.dumps(body), error.status, mimetype="application/json")
        if duplicate:
            return Response(status=204)
        return Response(json.dumps({"response": {"status": "created"}}), 201, mimetype="application/json")

    def _take(self, receiver: str, source: str) -> bool:
        """Make a webhook durable; tell whether it only repeats what is known. Raises HttpError."""
        found = self._receivers().get((receiver, source))
        if found is None:
            raise HttpError(404, "not_found", "no such receiver")
        try:
            duplicate = self._accepted(found)
        except HttpError as error:
            problem = error
        except Unavailable as error:
            _log.warning("Webhook for %s/%s rejected (503): %s", receiver, source, error)
            problem = HttpError(503, "unavailable", "not now; try again")
        except Exception:  # noqa: BLE001  the sender must hear 503 whatever went wrong
            _log.exception("Webhook for %s/%s failed unexpectedly", receiver, source)
            problem = HttpError(503, "unavailable", "not now; try again")
        else:
            return duplicate
        self._metrics.notifications.labels(receiver, source, problem.outcome).inc()
        raise problem

    def _accepted(self, receiver: Receiver) -> bool:
        if not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
            raise HttpError(415, "unsupported", "not application/json")
        if request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
            raise HttpError(415, "unsupported", "send it as it is, without Content-Encoding")
        with request.stream as stream:
            content = stream.read()
        beginning, now = content[:_KEPT], self._clock()
        try:
            with self._large_body if len(content) > _LARGE else nullcontext():
                document = parsed(content)
                del content  # neither form is kept while the next is made of it
                notification = receiver.translate(document, now)
                del document
        except Unreadable as error:
            name, source = receiver.settings.receiver, receiver.settings.source
            self._quarantine.add(name, source, str(error), beginning.decode("utf-8", "replace"), now)
            _log.warning("Quarantined unreadable webhook for %s/%s: %s", name, source, error)
            raise HttpError(400, "unreadable", str(error)) from None
        outcome = self._accept(notification, now)
        self._metrics.ingested(notification, outcome)
        if odd := notification.unreadable:
            where = f"{notification.receiver}/{notification.source}"
            _log.warning("Quarantined %d unreadable alerts of a webhook for %s: %s", len(odd), where, odd[0].reason)
        if notification.truncated:
            self._on_truncated(notification.source)
        if notification.incidents:
            self._on_incidents(notification.source)
        return outcome.duplicates == len(notification.alerts)


def parsed(content: bytes) -> Any:
    """Return the JSON that `content` holds, every string in it valid. Raises Unreadable."""
    if len(content) > _LARGE and not is_utf8(content):
        raise Unreadable("the body is not UTF-8")  # made valid it would take six times its size
    body = valid_json(content)
    for what, marks, most in _MOST:
        if _holds_more(body, marks, most):
            raise Unreadable(f"the body has more than {most} {what}")
    with suppress(ValueError, RecursionError):  # what it does not take, such as NaN, json may
        return msgspec.json.decode(body)
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError):
        raise Unreadable("the body is not JSON that can be read") from None


def _holds_more(body: bytes, marks: bytes, most: int) -> bool:
    """Tell whether a body holds more than `most` of these marks outside text."""
    if sum(body.count(mark) for mark in marks) <= most:
        return False
    # Strings are left out, once the escaped quotes that would seem to end them are gone.
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, bytes({*range(256)} - {*marks, *b'"'}))
    if bare.count(b'"') > 4 * most:
        return True  # two for each name and each value
    # Quotes in a row only end one string and begin the next.
    bare = bare.replace(b'""', b"")
    return len(bare) - sum(string.end() - string.start() for string in _STRING.finditer(bare)) > most
