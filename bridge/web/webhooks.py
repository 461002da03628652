"""`POST /webhooks/<receiver>/<source>`: 200 only after everything in the body is durable.

Alertmanager tries again after a 5xx alone; after a 4xx it gives up until the group's next interval. So whatever may
pass later is 503, never 429 and never 500, and 400 is for a body that can never be read, which is kept all the same.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, request

from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable, Unreadable
from bridge.metrics import EVENTS, Metrics
from bridge.receivers.contract import Receiver
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.text import valid_json

_LARGE: Final = 4_000_000
"""Bytes; bodies above are parsed one at a time, so that the memory they take has a bound."""
_KEPT: Final = 1_000_000
"""Bytes of an unreadable body that are kept."""
_log = logging.getLogger(__name__)


class Refusal(Exception):
    """A webhook is not taken: the status, the word for the metric, and what the sender is told."""

    def __init__(self, status: int, outcome: str, told: str) -> None:
        super().__init__(told)
        self.status = status
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Everything that the door needs. `receivers` is asked at each request: a reload changes it.

    Who may not come in, and what is too large, the front has turned away already.

    `cut_off` is told the source of an Alertmanager's webhook that left alerts out, `shared` the source of one that
    brought incidents.
    """

    receivers: Callable[[], Mapping[tuple[str, str], Receiver]]
    accept: Callable[[Notification, float], Outcome]
    quarantine: Callable[[str, str, str, str, float], None]
    metrics: Metrics
    cut_off: Callable[[str], None] = lambda _source: None
    shared: Callable[[str], None] = lambda _source: None
    clock: Callable[[], float] = time.time


def blueprint(threshold: Threshold) -> Blueprint:
    """Return the routes."""
    door = Blueprint("door", __name__)
    turnstile = threading.Lock()

    @door.post("/webhooks/<receiver>/<source>")
    def webhook(receiver: str, source: str) -> Response:
        found = threshold.receivers().get((receiver, source))
        if found is None:
            return _told(404, "no such receiver")
        try:
            return _take(threshold, found, turnstile)
        except Refusal as refusal:
            return _refused(threshold, found, refusal)
        except Unavailable as error:
            _log.warning("Webhook for %s/%s is not taken now: %s", receiver, source, error)
        except Exception:  # noqa: BLE001  the sender must hear 503 whatever went wrong
            _log.exception("Webhook for %s/%s failed unexpectedly", receiver, source)
        return _refused(threshold, found, Refusal(503, "unavailable", "not now; try again"))

    return door


def _take(threshold: Threshold, receiver: Receiver, turnstile: threading.Lock) -> Response:
    content = _content()
    now = threshold.clock()
    if len(content) > _LARGE:
        with turnstile:
            notification = _understood(threshold, receiver, content, now)
    else:
        notification = _understood(threshold, receiver, content, now)
    del content
    outcome = threshold.accept(notification, now)
    _count(threshold.metrics, receiver.settings, notification, outcome)
    if notification.truncated:
        threshold.cut_off(receiver.settings.source)
    if notification.incidents:
        threshold.shared(receiver.settings.source)
    return _told(200, "accepted")


def _content() -> bytes:
    """Return the body. Raises Refusal when it is no JSON, or packed."""
    if not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
        raise Refusal(415, "unsupported", "not application/json")
    if request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        raise Refusal(415, "unsupported", "send it as it is, without Content-Encoding")
    return request.stream.read()


def _understood(threshold: Threshold, receiver: Receiver, content: bytes, now: float) -> Notification:
    try:
        return receiver.translate(parsed(content), now)
    except Unreadable as error:
        settings, reason = receiver.settings, str(error)
        text = content[:_KEPT].decode("utf-8", "replace")
        threshold.quarantine(settings.receiver, settings.source, reason, text, now)
        _log.warning("Webhook for %s/%s is unreadable and kept: %s", settings.receiver, settings.source, reason)
        raise Refusal(400, "unreadable", reason) from None


def parsed(content: bytes) -> Any:
    """Return the JSON that `content` holds, every string in it valid. Raises Unreadable."""
    encoding = json.detect_encoding(content)
    body = valid_json(content if encoding == "utf-8" else content.decode(encoding, "replace").encode())
    with suppress(ValueError, RecursionError):  # what it does not take, such as NaN, json may
        return msgspec.json.decode(body)
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Unreadable(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError):
        raise Unreadable("the body is not JSON that can be read") from None


def _count(metrics: Metrics, settings: ReceiverSettings, notification: Notification, outcome: Outcome) -> None:
    receiver, source = settings.receiver, settings.source
    metrics.notifications.labels(receiver, source, "accepted").inc()
    firing = sum(alert.firing for alert in notification.alerts)
    metrics.alerts.labels(receiver, source, "firing").inc(firing)
    metrics.alerts.labels(receiver, source, "resolved").inc(len(notification.alerts) - firing)
    for word in EVENTS:
        metrics.events.labels(source, word).inc(getattr(outcome, word))
    metrics.events.labels(source, "skipped").inc(notification.ignored)
    metrics.unmapped.labels(source).inc(outcome.unmapped)
    metrics.truncated.labels(source).inc(notification.truncated)
    for seconds in outcome.acknowledged:
        metrics.time_to_acknowledge.observe(seconds)
    for seconds in outcome.resolved:
        metrics.time_to_resolve.observe(seconds)
    for of, count in outcome.closed_manually.items():
        metrics.resolved_by_hand.labels(of).inc(count)


def _refused(threshold: Threshold, receiver: Receiver, refusal: Refusal) -> Response:
    settings = receiver.settings
    threshold.metrics.notifications.labels(settings.receiver, settings.source, refusal.outcome).inc()
    return _told(refusal.status, str(refusal))


def _told(status: int, words: str) -> Response:
    return Response(f"{words}\n", status, mimetype="text/plain")
