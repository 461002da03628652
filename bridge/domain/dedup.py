"""Deduplication: (an alert's state, its sender's new report) → the event to queue, or none, and why. Pure.

BigPanda gets one event per change. Two events of an alert never have the same second, a later one never has an earlier
time, and none has a time in the future when it is sent, because BigPanda shows the event with the newest time. Only
after the clock stepped back is the last rule broken: an alert is not held until the clock has caught up.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Kind, PendingEvent
from bridge.domain.event import Status

LONGEST_HOLD: Final = 5.0
"""Most seconds that an event is held until its own timestamp: as many changes within one second."""


class Reason(StrEnum):
    """The closed set of reasons. The words are stored with the event."""

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
    SEVERITY_NONE = "severity_none"
    RESENT = "sent_anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision. `kind`, `status`, `timestamp` and `not_before` describe the event to queue; `kind` None: none.

    `supersede`: the pending event is no longer sent. `keeps_position`: the new event takes its place in the queue.
    `possibly_stale`: it began before the last resolution; a stale peer and a genuine re-fire look alike.
    """

    reason: Reason
    kind: Kind | None = None
    status: Status = Status.OK
    timestamp: int = 0
    not_before: float = 0.0
    supersede: bool = False
    keeps_position: bool = False
    possibly_stale: bool = False


def decide(  # noqa: PLR0911, PLR0913  one return for each outcome; six independent facts decide
    state: AlertState | None,
    alert: Alert,
    status: Status | None,
    content_hash: str,
    *,
    now: float,
    update_interval: float,
) -> Decision:
    """Decide about one alert.

    `status` None: its severity is not sent. `content_hash`: of the event's content, including its status.
    `update_interval`: seconds between two events that differ only in content.
    """
    if state and state.is_newer_than(alert, now):
        # A late or repeated webhook: keep the newer state.
        return Decision(reason=Reason.OLDER)
    if status is None:
        if state is None or not state.open:
            return Decision(reason=Reason.SEVERITY_NONE)
        # It was opened before its severity became one that is not sent: otherwise nothing would ever close it.
        return _queued(Decision(reason=Reason.MUTED, kind=Kind.RESOLVE), state, now, now)
    if status is Status.OK:
        if state and not state.open:
            return Decision(reason=Reason.REPEAT)
        # Resolve an unknown alert too: after a lost database this closes it in BigPanda.
        reason = Reason.RESOLVED if state else Reason.UNKNOWN_RESOLVED
        resolved = Decision(reason=reason, kind=Kind.RESOLVE)
        return _queued(resolved, state, now if alert.ends_at is None else alert.ends_at, now)
    if state is None or not state.open:
        # A firing alert that began before the last resolution is accepted, and left to the reconciler to confirm.
        stale = state is not None and state.ended_at is not None and alert.starts_at <= state.ended_at
        reason = Reason.FIRED_AGAIN if state else Reason.FIRST
        opened = Decision(reason=reason, kind=Kind.OPEN, status=status, possibly_stale=stale)
        return _queued(opened, state, now if stale else alert.starts_at, now)
    if content_hash == state.content_hash:
        return Decision(reason=Reason.REPEAT)
    if state.pending and content_hash == state.pending.replaces:
        # It changed back before anything was sent, so BigPanda shows it correctly.
        return Decision(reason=Reason.REVERTED, status=status, supersede=True)
    if state.status is not status or (state.pending and state.pending.kind is Kind.OPEN):
        reason = Reason.CONTENT if state.status is status else Reason.STATUS
        return _queued(Decision(reason=reason, kind=Kind.OPEN, status=status), state, now, now)
    return _update(state, alert, now, update_interval)


def resend(state: AlertState | None, *, now: float) -> Decision:
    """Queue a firing alert again. Unchanged if it does not fire, or its firing event is queued already."""
    if state is None or not state.open or (state.pending and state.pending.kind is Kind.OPEN):
        return Decision(reason=Reason.REPEAT)
    return _queued(Decision(reason=Reason.RESENT, kind=Kind.OPEN, status=state.status), state, now, now)


def _queued(decision: Decision, state: AlertState | None, wanted: float, now: float) -> Decision:
    """Give an event its time, as close to `wanted` as possible, and its place in the queue.

    A pending update is now pointless, and a pending firing event before another one: that takes over its time and
    position. Before a resolution a firing event is still sent. A pending resolution is never dropped: after a lost `ok`
    an alert stays open for weeks.
    """
    pending = state.pending if state else None
    inherits = pending is not None and pending.kind is decision.kind
    if state and inherits:
        timestamp = state.timestamp
    else:
        # As close to `wanted` as the last event and the present allow.
        timestamp = max(math.floor(wanted if 0 < wanted <= now else now), state.timestamp + 1 if state else 0)
    return replace(
        decision,
        timestamp=timestamp,
        # Held until then, or sent at once if the clock must have stepped back.
        not_before=float(timestamp) if now < timestamp <= now + LONGEST_HOLD else 0.0,
        supersede=inherits or (pending is not None and pending.kind is Kind.UPDATE),
        keeps_position=inherits,
    )


def _update(state: AlertState, alert: Alert, now: float, update_interval: float) -> Decision:
    """Send changed content, at most every `update_interval`, but at once if it is more urgent."""
    decision = _queued(Decision(reason=Reason.CONTENT, kind=Kind.UPDATE, status=state.status), state, now, now)
    if alert.level > state.alert.level or alert.severity != state.alert.severity:
        # A step up within the same status, such as an escalation, is sent at once; a changed text waits.
        wait = 0.0
    elif state.pending:
        # Keep the due time of a superseded update, otherwise a text that changes often would never be sent.
        wait = state.pending.not_before
    else:
        wait = state.queued_at + update_interval
    # Never longer than the interval: the clock may have stepped back since the last event.
    return replace(decision, not_before=max(decision.not_before, min(wait, now + update_interval)))


def next_state(
    state: AlertState | None, alert: Alert, decision: Decision, content_hash: str, now: float
) -> AlertState | None:
    """Return an alert's state after a decision; the same object if nothing changes."""
    if state and decision.reason is Reason.REPEAT:
        return _repeated(state, alert, now)
    if decision.kind is None and decision.reason is not Reason.REVERTED:
        return state
    before = state or AlertState(alert=alert, status=Status.OK)
    event = None
    if decision.kind is not None:
        superseded = before.pending if decision.supersede else None
        shown = before.content_hash if before.open else ""
        event = PendingEvent(
            kind=decision.kind,
            not_before=decision.not_before,
            replaces=superseded.replaces if superseded else shown,
            queued_at=superseded.queued_at if superseded and decision.keeps_position else now,
        )
    resolved_at = now if alert.ends_at is None else alert.ends_at
    at = before.at if alert.at is None else alert.at
    if before.at is not None and at is not None and at < before.at:
        at = math.nextafter(before.at, math.inf)  # an escalation replaces the report that it escalates
    return replace(
        before,
        # A repeat does not undo an escalation: its own repeat would be another one.
        alert=replace(alert, level=max(alert.level, before.alert.level)) if before.open else alert,
        status=decision.status,
        content_hash=content_hash,
        timestamp=decision.timestamp if event else before.timestamp,
        seq=before.seq + (event is not None),
        queued_at=now if event and not decision.keeps_position else before.queued_at,
        starts_at=alert.starts_at,
        ended_at=resolved_at if decision.status is Status.OK else before.ended_at,
        at=at,
        possibly_stale=decision.possibly_stale,
        updated_at=now,
        pending=event,
    )


def _repeated(state: AlertState, alert: Alert, now: float) -> AlertState:
    """Return the state after a repeat, which may be of another episode, or have a later time."""
    starts_at = alert.starts_at if alert.firing else state.starts_at
    ended_at = state.ended_at if alert.firing or alert.ends_at is None else alert.ends_at
    later = alert.at is not None and (state.at is None or alert.at > state.at)
    at = alert.at if later else state.at
    if (starts_at, ended_at, at) == (state.starts_at, state.ended_at, state.at):
        return state
    # A new episode overtakes judgements about the last one; anything older than this repeat comes too late.
    return replace(state, starts_at=starts_at, ended_at=ended_at, at=at, updated_at=now)
