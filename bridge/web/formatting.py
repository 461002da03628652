"""How the page and the commands put things: spans and moments of time, why an event waits, text made visible. Pure."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from bridge.domain.alert import Alert
from bridge.outbox.event_log import EventRow
from bridge.outbox.pages import SHOWN
from bridge.outbox.status import Circuit
from exporter.toolkit.text import escaped

_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, what turns the direction of text, lone surrogates: a reader must see that they are there."""
_OUTCOMES: Final = {
    ("sent", "accepted"): "BigPanda accepted it",
    ("sent", "duplicate"): "BigPanda had it already",
    "superseded": "superseded by a newer event before it was sent",
}
_CAUSES: Final = {
    "first": "the alert is new",
    "fired_again": "it fires again",
    "status_changed": "its status changed",
    "content_changed": "its content changed",
    "resolved": "it is resolved",
    "resolved_unknown": "it is resolved, and was not known",
    "severity_now_none": "its severity is not sent any more",
    "resent": "it was resent",
    "requeued": "it was requeued",
}


@dataclass(frozen=True, slots=True)
class QueueReason:
    """Why an event is queued, and until when in epoch seconds; None: not known."""

    why: str
    until: float | None = None


def moment(epoch: float) -> str:
    """Return a time in UTC, to the second; one that no calendar holds as the number it is."""
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{epoch:g}"


def queue_reason(event: EventRow, circuit: Circuit, now: float) -> QueueReason:
    """Return why an event is still queued; `circuit`: the state of BigPanda."""
    if event.in_flight:
        return QueueReason("is being sent now")
    if event.behind:
        return QueueReason("waits for an earlier event of the same alert")
    if event.not_before > now and event.held:
        return QueueReason("held by the receiver's update_interval", event.not_before)
    if event.not_before > now:
        return QueueReason(f"tried {times(event.attempts)}: {event.reason}", event.not_before)
    if not circuit.up:
        return QueueReason("BigPanda is unavailable", circuit.not_before)
    tried = f", tried {times(event.attempts)}" if event.attempts else ""
    return QueueReason(f"due{tried}")


def outcome(event: EventRow) -> str:
    """Return what became of an event that is not queued any more."""
    if found := _OUTCOMES.get((event.state, event.reason)) or _OUTCOMES.get(event.state):
        return found
    return f"given up: {event.reason}" if event.state == "discarded" else f"dead letter: {event.reason}"


def cause(event: EventRow) -> str:
    """Return why an event that was never tried was made."""
    return _CAUSES.get(event.reason, "")


_HOSTS: Final = ("host", "instance", "monitor", "service", "application", "device", "agent", "job")


def host(alert: Alert) -> str:
    """Return what an alert is about, by the labels that usually say so."""
    return next((found for name in _HOSTS if (found := alert.labels.get(name))), alert.source)


def subject(body: str) -> tuple[str, str]:
    """Return the name and the host of the alert in an event's body; "" for what it does not say."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(event, dict):
        return "", ""
    primary = event.get("primary_property", "host")
    return str(event.get("check", "")), str(event.get(primary, "")) if isinstance(primary, str) else ""


def webhook_subject(body: str) -> tuple[str, str]:
    """Return what a webhook that could not be read seems to be about: the first name and host in it, "" without."""
    return _found(_NAMED, body), _found(_ABOUT, body)


_NAMED: Final = re.compile(r'"(?:alertname|ruleName|check|event)"\s*:\s*"([^"\\]{1,120})"')
_ABOUT: Final = re.compile(r'"(?:host|instance|monitor|monitor_name|testName|service)"\s*:\s*"([^"\\]{1,120})"')


def _found(pattern: re.Pattern[str], body: str) -> str:
    match = pattern.search(body)
    return match[1] if match else ""


def times(number: int) -> str:
    """Return how often, in words."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def body_text(body: str, most: int = SHOWN) -> str:
    """Return a body for people: JSON indented, everything else as it is, and a word where it was cut."""
    if len(body) >= most:
        return f"{body[:most]}\n… cut here; the `show` command prints all of it"
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def visible(text: str) -> str:
    """Return text with what a reader cannot see, or what would reorder the rest, written as an escape."""
    return _INVISIBLE.sub(lambda found: escaped(found[0]), text.replace("\r\n", "\n"))


def finalize(value: Any) -> Any:
    """Return what a template may print: text that others wrote is made visible, markup of our own is left alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
