"""What an alert changes: (what is known of its key, the alert, now) → queue, hold, unchanged or skip, and why. Pure.

BigPanda hears one event per change. Two events of a key never bear the same second, the later one never the older
time, and none a time that lies ahead when it is sent: BigPanda shows what bears the newest time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.alert import Alert
from bridge.domain.event import Status


class Action(StrEnum):
    """What happens to an alert."""

    QUEUE = "queue"
    HOLD = "hold"
    UNCHANGED = "unchanged"
    SKIP = "skip"


class Kind(StrEnum):
    """What an event does to its key: OPEN states a firing status, UPDATE only what is shown of it."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


class Reason(StrEnum):
    """Why: the closed set of causes."""

    FIRST = "first"
    FIRED_AGAIN = "fired_again"
    STATUS = "status_changed"
    CONTENT = "content_changed"
    RESOLVED = "resolved"
    UNKNOWN_RESOLVED = "resolved_unknown"
    MUTED = "severity_now_none"
    REPEAT = "repeat"
    REVERTED = "reverted"
    OLDER = "older"
    OVERTAKEN = "overtaken"
    SEVERITY_NONE = "severity_none"
    SENT_ANEW = "sent_anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The newest event of a key, while it waits and was never sent: what a newer one may replace.

    `replaces` is the content that BigPanda shows, or will show, without it; "" when it shows nothing open.
    """

    kind: Kind
    timestamp: int
    not_before: float
    replaces: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a key: how it was last told to BigPanda, or will be by what waits.

    `timestamp` is the newest that any of its events bears, `told_at` when what is shown was last queued,
    `ended_at` the end of its last episode, `at` the sender's time of the state, where that puts states in order.
    """

    status: Status
    content: str
    timestamp: int
    told_at: float
    ended_at: float | None = None
    at: float | None = None
    waiting: Waiting | None = None

    @property
    def open(self) -> bool:
        """Tell whether BigPanda has, or will have, an open alert."""
        return self.status is not Status.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do. `kind`, `status`, `timestamp` and `not_before` belong to the event of QUEUE and HOLD.

    `withdraw`: the waiting event gives way. `heir`: the new event takes its place in the queue as well.
    `doubtful`: it began before the last resolution; a stale peer and a genuine re-fire look alike.
    """

    action: Action
    reason: Reason
    kind: Kind | None = None
    status: Status = Status.OK
    timestamp: int = 0
    not_before: float = 0.0
    withdraw: bool = False
    heir: bool = False
    doubtful: bool = False


_REVERTED = Decision(action=Action.UNCHANGED, reason=Reason.REVERTED, withdraw=True)


def decide(  # noqa: PLR0913  six facts decide, and none belongs to another
    known: Known | None,
    alert: Alert,
    status: Status | None,
    content: str,
    *,
    now: float,
    update_interval: float,
) -> Decision:
    """Decide about one alert.

    `status` None: its severity is not sent. `content` hashes what BigPanda would show, its status included.
    `update_interval`: seconds between two events of which only the content differs.
    """
    if known is not None and _older(known, alert):
        return Decision(action=Action.UNCHANGED, reason=Reason.OLDER)
    if status is None:
        return _mute(known, now)
    if status is Status.OK:
        return _resolve(known, alert, now)
    if known is None or not known.open:
        return _open(known, alert, status, now)
    if known.status is not status:
        return _restate(known, status, content, now, Reason.STATUS)
    return _update(known, content, now, update_interval)


def resend(known: Known | None, *, now: float) -> Decision:
    """State anew what still fires. Nothing to do where it does not, or where its firing waits to be sent anyway."""
    if known is None or not known.open or (known.waiting and known.waiting.kind is Kind.OPEN):
        return Decision(action=Action.UNCHANGED, reason=Reason.REPEAT)
    timestamp, not_before = _time(known, now, now)
    return Decision(
        action=Action.QUEUE,
        reason=Reason.SENT_ANEW,
        kind=Kind.OPEN,
        status=known.status,
        timestamp=timestamp,
        not_before=not_before,
        withdraw=known.waiting is not None,
    )


def _older(known: Known, alert: Alert) -> bool:
    return alert.ordered and alert.at is not None and known.at is not None and alert.at < known.at


def _mute(known: Known | None, now: float) -> Decision:
    """Close what was open before its severity became one that is not sent."""
    if known is None or not known.open:
        return Decision(action=Action.SKIP, reason=Reason.SEVERITY_NONE)
    return _close(known, now, now, Reason.MUTED)


def _resolve(known: Known | None, alert: Alert, now: float) -> Decision:
    if known is not None and not known.open:
        return Decision(action=Action.UNCHANGED, reason=Reason.REPEAT)
    reason = Reason.RESOLVED if known else Reason.UNKNOWN_RESOLVED
    return _close(known, now if alert.ends_at is None else alert.ends_at, now, reason)


def _close(known: Known | None, ended_at: float, now: float, reason: Reason) -> Decision:
    """Resolve. An update that waits is pointless now; a firing that waits goes first all the same."""
    waiting = known.waiting if known else None
    timestamp, not_before = _time(known, ended_at, now)
    return Decision(
        action=Action.QUEUE,
        reason=reason,
        kind=Kind.RESOLVE,
        timestamp=timestamp,
        not_before=not_before,
        withdraw=waiting is not None and waiting.kind is Kind.UPDATE,
    )


def _open(known: Known | None, alert: Alert, status: Status, now: float) -> Decision:
    doubtful = known is not None and known.ended_at is not None and alert.starts_at <= known.ended_at
    timestamp, not_before = _time(known, now if doubtful else alert.starts_at, now)
    return Decision(
        action=Action.QUEUE,
        reason=Reason.FIRED_AGAIN if known else Reason.FIRST,
        kind=Kind.OPEN,
        status=status,
        timestamp=timestamp,
        not_before=not_before,
        doubtful=doubtful,
    )


def _restate(known: Known, status: Status, content: str, now: float, reason: Reason) -> Decision:
    """State a firing anew. A firing that was never sent gives way, and leaves its time and its place."""
    waiting = known.waiting
    if waiting and content == waiting.replaces:
        return _REVERTED
    heir = waiting is not None and waiting.kind is Kind.OPEN
    timestamp, not_before = (waiting.timestamp, waiting.not_before) if waiting and heir else _time(known, now, now)
    return Decision(
        action=Action.QUEUE,
        reason=reason,
        kind=Kind.OPEN,
        status=status,
        timestamp=timestamp,
        not_before=not_before,
        withdraw=waiting is not None and waiting.kind is not Kind.RESOLVE,
        heir=heir,
    )


def _update(known: Known, content: str, now: float, update_interval: float) -> Decision:
    """Show what changed beside the status, at most every `update_interval`."""
    waiting = known.waiting
    if content == known.content:
        return Decision(action=Action.UNCHANGED, reason=Reason.REPEAT)
    if waiting and waiting.kind is Kind.OPEN:
        return _restate(known, known.status, content, now, Reason.CONTENT)
    held = waiting if waiting and waiting.kind is Kind.UPDATE else None
    if held and content == held.replaces:
        return _REVERTED
    timestamp, not_before = (held.timestamp, held.not_before) if held else _time(known, now, now)
    due = max(not_before, 0.0 if held else known.told_at + update_interval)
    return Decision(
        action=Action.HOLD if due > now else Action.QUEUE,
        reason=Reason.CONTENT,
        kind=Kind.UPDATE,
        status=known.status,
        timestamp=timestamp,
        not_before=due,
        withdraw=held is not None,
        heir=held is not None,
    )


def _time(known: Known | None, wanted: float, now: float) -> tuple[int, float]:
    """Return whole seconds as near to `wanted` as the key's past and the present allow, and when to send them."""
    present = math.floor(now)
    timestamp = math.floor(wanted) if 0 < wanted <= now else present
    if known is not None:
        timestamp = max(timestamp, known.timestamp + 1)
    return timestamp, float(timestamp) if timestamp > now else 0.0


def later(known: Known | None, starts_at: float | None, alert: Alert) -> Iterator[tuple[str, float | None]]:
    """Give the times that a repeat moves: of another episode, or that what is known held at a later time too.

    `starts_at`: of the episode that is known.
    """
    if alert.firing and alert.starts_at != starts_at:
        yield "starts_at", alert.starts_at
    if known and not alert.firing and alert.ends_at not in (None, known.ended_at):
        yield "ended_at", alert.ends_at
    if known and alert.ordered and alert.at is not None and (known.at is None or alert.at > known.at):
        yield "at", alert.at
