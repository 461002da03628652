"""How the operator's page puts things: spans and moments of time, why an event waits, a queue as a line. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bridge.outbox.event_log import EventRow
from bridge.outbox.pages import SHOWN
from bridge.outbox.status import Circuit

WIDTH: Final = 600
HEIGHT: Final = 60
"""Of the line, in its own units."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FATES: Final = {
    ("sent", "accepted"): "BigPanda accepted it",
    ("sent", "duplicate"): "BigPanda had it already",
    "superseded": "a newer event of the alert took its place before it was sent",
}
_CAUSES: Final = {
    "first": "the alert is new",
    "fired_again": "it fires again",
    "status_changed": "its status changed",
    "content_changed": "its text changed",
    "resolved": "it is resolved",
    "resolved_unknown": "it is resolved, and was not known",
    "severity_now_none": "its severity is not sent any more",
    "sent_anew": "it outlasted its closed incident",
    "requeued": "it was requeued",
}


@dataclass(frozen=True, slots=True)
class Outlook:
    """Why something waits, and until when in epoch seconds; None: nobody knows."""

    why: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A queue over time: the points of an SVG line, and the same in words."""

    points: str
    told: str


def span(seconds: float) -> str:
    """Return a time span in its two largest units: `3d 4h`, `2m 5s`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"


def moment(epoch: float) -> str:
    """Return a time in UTC, to the second; what no calendar holds as the number it is."""
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{epoch:g}"


def outlook(event: EventRow, circuit: Circuit, now: float) -> Outlook:
    """Tell why an event waits; `circuit`: how BigPanda stands."""
    if event.in_flight:
        return Outlook("is being sent now")
    if event.behind:
        return Outlook("waits for an earlier event of the same alert")
    if event.not_before > now and event.held:
        return Outlook("a changed text is held for the receiver's update_interval", event.not_before)
    if event.not_before > now:
        return Outlook(f"tried {times(event.attempts)}: {event.reason}", event.not_before)
    if not circuit.up:
        return Outlook("BigPanda takes nothing now", circuit.not_before)
    tried = f", tried {times(event.attempts)}" if event.attempts else ""
    return Outlook(f"due, in its turn{tried}")


def fate(event: EventRow) -> str:
    """Tell what became of an event that does not wait any more."""
    told = _FATES.get((event.state, event.reason)) or _FATES.get(event.state)
    if told:
        return told
    return f"given up: {event.reason}" if event.state == "discarded" else f"dead letter: {event.reason}"


def cause(event: EventRow) -> str:
    """Tell why an event that was never tried was made."""
    return _CAUSES.get(event.reason, "")


def times(number: int) -> str:
    """Return how often, in words."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def shown(body: str) -> str:
    """Return a body for people: JSON laid out, everything else as it is, and a word where it was cut."""
    if len(body) >= SHOWN:
        return f"{body[:SHOWN]}\n… cut here; `dead-letters show` tells the whole"
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def line(samples: Sequence[tuple[float, int]]) -> Line | None:
    """Draw what waited, as (epoch seconds, events); None while there is too little to draw."""
    if len(samples) < 2:  # noqa: PLR2004  a line has two ends
        return None
    first, last = samples[0][0], samples[-1][0]
    most = max(count for _, count in samples)
    points = " ".join(
        f"{(at - first) / max(last - first, 1) * WIDTH:.1f},{HEIGHT - count / max(most, 1) * HEIGHT:.1f}"
        for at, count in samples
    )
    told = f"Events that waited in the last {span(last - first)}: {samples[-1][1]} now, at most {most}."
    return Line(points, told)
