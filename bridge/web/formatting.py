"""Formatting for the page and the commands: times, why an event is queued, bodies of webhooks. Pure."""

import json
import re
from datetime import UTC, datetime
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.dedup import Reason
from bridge.outbox.event_log import EventRow
from bridge.outbox.repository import SHOWN
from bridge.outbox.status import Circuit

OUTCOMES: Final = {
    "queued": "queued again",
    "superseded": "no longer needed: a newer event exists, or the severity is no longer sent",
    "unknown": "kept: its receiver is no longer configured",
    "discarded": "discarded",
    "closed": "closed: BigPanda receives a resolution",
    "resent": "resent",
    "unchanged": "unchanged: not open, already queued, or its sender reported something newer",
    "replayed": "replayed",
    "unreadable": "kept: still unreadable",
    "resolved": "resolved in BigPanda; its webhook will bring the new state",
    "commented": "comment sent to BigPanda",
}
"""What an operator's action did, on the page and the command line."""
_OUTCOMES: Final = {
    ("sent", "accepted"): "BigPanda accepted it",
    ("sent", "duplicate"): "BigPanda had it already",
    "superseded": "superseded by a newer event before it was sent",
}
_CAUSES: Final = {
    Reason.FIRST: "the alert is new",
    Reason.FIRED_AGAIN: "it fires again",
    Reason.STATUS: "its status changed",
    Reason.CONTENT: "its content changed",
    Reason.RESOLVED: "it is resolved",
    Reason.UNKNOWN_RESOLVED: "it is resolved, and was unknown",
    Reason.MUTED: "its severity is no longer sent",
    Reason.RESENT: "it was resent",
    "requeued": "it was requeued",
}
_HOSTS: Final = ("host", "instance", "monitor", "service", "application", "device", "agent", "job")
_NAMED: Final = re.compile(r'"(?:alertname|ruleName|check|event)"\s*:\s*"([^"\\]{1,120})"')
_ABOUT: Final = re.compile(r'"(?:host|instance|monitor|monitor_name|testName|service)"\s*:\s*"([^"\\]{1,120})"')


def moment(epoch: float) -> str:
    """Format a time in UTC, to the second; one outside the calendar as a number."""
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{epoch:g}"


def queue_reason(event: EventRow, circuit: Circuit, now: float) -> tuple[str, float | None]:
    """Return why an event is still queued, and when it is tried next, None if unknown. `circuit`: of BigPanda."""
    if event.in_flight:
        return "being sent now", None
    if event.behind:
        return "waiting for an earlier event of the same alert", None
    if event.not_before > now:
        tried = f"tried {times(event.attempts)}: {event.reason}"
        return "held by the receiver's update_interval" if event.held else tried, event.not_before
    if not circuit.up:
        return "BigPanda is unavailable", circuit.not_before if circuit.not_before > now else None
    return f"due, tried {times(event.attempts)}" if event.attempts else "due", None


def outcome(event: EventRow) -> str:
    """Return the outcome of an event that is no longer queued."""
    if found := _OUTCOMES.get((event.state, event.reason)) or _OUTCOMES.get(event.state):
        return found
    return f"discarded: {event.reason}" if event.state == "discarded" else f"dead letter: {event.reason}"


def cause(event: EventRow) -> str:
    """Return why an event was created, if it was never tried."""
    return _CAUSES.get(event.reason, "")


def host(alert: Alert) -> str:
    """Return the host of an alert, from the labels that usually name it."""
    return next((found for name in _HOSTS if (found := alert.labels.get(name))), alert.source)


def subject(body: str) -> tuple[str, str]:
    """Return the name and the host of the alert in an event's body; "" if missing, or if the body is cut."""
    try:
        event: dict[str, str] = json.loads(body)
    except ValueError:
        return "", ""
    return event.get("check", ""), event.get(event.get("primary_property", "host"), "")


def webhook_subject(body: str) -> tuple[str, str]:
    """Return the likely subject of an unreadable webhook: the first name and host in it; "" if missing."""
    name, host = (match[1] if match else "" for match in (_NAMED.search(body), _ABOUT.search(body)))
    return name, host


def times(number: int) -> str:
    """Return a number of times in words."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def body_text(body: str, most: int = SHOWN) -> str:
    """Format a body for people: JSON indented, anything else unchanged, with a note where it was cut."""
    if len(body) >= most:
        return f"{body[:most]}\n… cut here; the `show` command prints all of it"
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
