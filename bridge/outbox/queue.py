"""The queue: delivery claims events from the store and records their outcome.

An alert's events are sent one at a time and in order: only its first queued event may be claimed, and claiming it locks
the alert. A claim is a lease that ends by itself, so that nothing is lost with the process that held it; its token
keeps a late result of that process from counting.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import BindParameter, Connection, Float, bindparam, case, exists, func, select, update

from bridge.domain.alert_state import Kind
from bridge.outbox.database import Repository
from bridge.outbox.pages import columns
from bridge.outbox.schema import alert_states, dead, events, roles, waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedEvent:
    """One event claimed by us until its lease ends. `attempts` includes the current one."""

    id: int
    key: str
    kind: str
    status: str
    app_key: str
    body: str
    attempts: int
    accepted_at: float
    token: str


_earlier, _rejected = events.alias(), events.alias()
first = ~exists().where(
    _earlier.c.key == events.c.key, _earlier.c.state == waiting.right, _earlier.c.seq < events.c.seq
)
"""The condition that no earlier event of its alert is queued."""
sending_order = (events.c.priority, events.c.queued_at, events.c.id)
_LONGEST_PAUSE = 3600.0
"""Longest delay of an attempt in seconds."""
_LONGEST_LEASE = 7200.0
_MOST_REFUSED = 1000
_now: BindParameter[float] = bindparam("now", type_=Float)
_clock: BindParameter[float] = bindparam("clock", type_=Float)
# An impossible time of acceptance or retry means that the clock was set back since.
_set_back = (events.c.accepted_at > _now) | ((events.c.attempts > 0) & (events.c.not_before > _now + _LONGEST_PAUSE))
_free = (events.c.lease_until <= _clock) | (events.c.lease_until > _clock + _LONGEST_LEASE)
_due = (waiting, (events.c.not_before <= _now) | _set_back, _free, first)
_ANY_DUE = select(events.c.id).where(*_due).limit(1)
_APP_KEY = select(events.c.app_key).where(*_due).order_by(*sending_order).limit(1)
_UNLIKE = select(_rejected.c.app_key).where(_rejected.c.id.in_(bindparam("unlike", expanding=True)))
_OTHER_APP_KEY = _APP_KEY.where(events.c.app_key.not_in(_UNLIKE))
_CLAIMED = (
    select(*columns(events, ClaimedEvent))
    .join(alert_states, alert_states.c.key == events.c.key)
    .where(*_due, events.c.app_key == bindparam("of"))
    .order_by(*sending_order)
    .limit(bindparam("most"))
    .with_for_update(of=[alert_states, events], skip_locked=True)
)
_LEASED = events.c.lease_until - _clock + _now
_EARLIEST = select(func.min(case((events.c.not_before >= _LEASED, events.c.not_before), else_=_LEASED))).where(
    waiting, first
)


class Queue(Repository):
    """Queued events. Every method is one transaction, and raises Unavailable if the database cannot be used now."""

    def claim(self, limit: int, now: float, lease: float, unlike: Collection[int] = ()) -> list[ClaimedEvent]:
        """Claim up to `limit` due events, each the first of its alert, all of one app_key, for `lease` seconds.

        Critical first, then resolutions, then the rest, the oldest first within each. `unlike`: events whose app_key is
        avoided if any other is due.
        """
        with self._database.write() as connection:
            clock = self._database.clock(connection, now)
            times = {"now": now, "clock": clock}
            other = connection.execute(_OTHER_APP_KEY, {**times, "unlike": list(unlike)}).scalar() if unlike else None
            app_key = other or connection.execute(_APP_KEY, times).scalar()
            if app_key is None:
                return []
            rows = connection.execute(_CLAIMED, {**times, "of": app_key, "most": limit}).all()
            token = uuid4().hex
            connection.execute(
                update(events)
                .where(events.c.id.in_([row.id for row in rows]))
                .values(attempts=events.c.attempts + 1, lease_token=token, lease_until=clock + lease)
            )
        return [ClaimedEvent(**(row._asdict() | {"attempts": row.attempts + 1}), token=token) for row in rows]

    def record(self, claimed: Sequence[ClaimedEvent], outcome: str, *, destination: str = "", now: float) -> int:
        """Record events that a destination accepted, or knew as a "duplicate", and the alerts now open there.

        Returns the number of events for which our lease was still valid.
        """
        with self._database.write() as connection:
            # Lock in the same order as ingest, to avoid deadlocks.
            for event in sorted(claimed, key=lambda event: event.key):
                ends = event.kind == Kind.RESOLVE
                place = {"destination": "" if ends else destination, "app_key": "" if ends else event.app_key}
                of = alert_states.c
                moved = (of.destination != place["destination"]) | (of.app_key != place["app_key"])
                connection.execute(update(alert_states).where(of.key == event.key, moved).values(place))
            return _settle(connection, claimed, state="sent", reason=outcome, closed_at=now)

    def postpone(self, claimed: Sequence[ClaimedEvent], not_before: float, reason: str) -> None:
        """Release events that were tried but not accepted, to be retried at `not_before`."""
        with self._database.write() as connection:
            _settle(connection, claimed, not_before=not_before, reason=reason)

    def release(self, claimed: Sequence[ClaimedEvent]) -> None:
        """Release events that were not tried at all, without counting an attempt."""
        with self._database.write() as connection:
            _settle(connection, claimed, attempts=events.c.attempts - 1)

    def bury(self, claimed: ClaimedEvent, reason: str, now: float) -> None:
        """Make an event that will never be accepted a dead letter, unblocking its alert."""
        with self._database.write() as connection:
            _settle(connection, [claimed], state="dead", reason=reason, closed_at=now)

    def revive(self, ids: Sequence[int]) -> int:
        """Queue dead letters again unchanged, because the destination was at fault. Returns their number."""
        with self._database.write() as connection:
            buried = update(events).where(events.c.id.in_(ids), events.c.state == "dead")
            return connection.execute(buried.values(state="waiting", closed_at=None)).rowcount

    def set_app_key(self, receiver: str, source: str, app_key: str, destination: str) -> None:
        """Queue a receiver's events under another app key, but not resolutions of alerts open under the former one."""
        of = alert_states.c
        opened = exists().where(of.key == events.c.key, of.app_key == events.c.app_key, of.destination == destination)
        theirs = (events.c.receiver == receiver, events.c.source == source, events.c.app_key != app_key)
        with self._database.write() as connection:
            queued = update(events).where(waiting, *theirs, (events.c.kind != Kind.RESOLVE) | ~opened)
            connection.execute(queued.values(app_key=app_key))

    def refused(self) -> list[tuple[int, str, str]]:
        """Return id, key and reason of the dead letters since a destination last accepted anything, in order."""
        taken = select(func.max(events.c.closed_at)).where(events.c.state == "sent").scalar_subquery()
        since = (dead, events.c.closed_at > func.coalesce(taken, 0.0))
        query = select(events.c.id, events.c.key, events.c.reason).where(*since).order_by(events.c.closed_at)
        with self._database.read() as connection:
            return [(row.id, row.key, row.reason) for row in connection.execute(query.limit(_MOST_REFUSED))]

    def reclaim(self) -> int:
        """Release the claims of a process that is gone, if no other can be running; return the number of events."""
        if self._database.postgresql:
            return 0
        with self._database.write() as connection:
            connection.execute(update(roles).values(until=0.0))
            leased = update(events).where(waiting, events.c.lease_token != "")
            return connection.execute(leased.values(lease_token="", lease_until=0.0)).rowcount

    def next_due(self, now: float) -> float | None:
        """Return when the next event may be claimed: now, at its due time or its lease's end; None: queue empty."""
        with self._database.read() as connection:
            times = {"now": now, "clock": self._database.clock(connection, now)}
            if connection.execute(_ANY_DUE, times).first():
                return now
            found = connection.execute(_EARLIEST, times).scalar()
            return None if found is None else float(found)


def _settle(connection: Connection, claimed: Sequence[ClaimedEvent], **changes: Any) -> int:
    """Change events that are still ours and end their lease; return their number."""
    ids, tokens = [one.id for one in claimed], {one.token for one in claimed}
    ours = (events.c.id.in_(ids), events.c.lease_token.in_(tokens), waiting)
    statement = update(events).where(*ours).values(lease_token="", lease_until=0.0, **changes)
    return connection.execute(statement).rowcount
