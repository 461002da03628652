"""The queue: what delivery takes from the store, and what it gives back.

An alert's events go out one at a time and in order: only its first queued event may be claimed, and claiming it locks
the alert. A claim is a lease that ends by itself, so that nothing is lost with the process that held it; its token
keeps a late answer of that process from counting.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import BindParameter, Connection, Float, bindparam, case, exists, func, select, update

from bridge.domain.alert_state import Kind
from bridge.outbox.database import Repository
from bridge.outbox.schema import alert_states, dead, events, roles, waiting

_COLUMNS = (
    "id", "key", "kind", "status", "receiver", "source", "app_key", "timestamp", "body", "attempts", "accepted_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedEvent:
    """One event that is ours to send until its lease ends. `attempts` counts this one too."""

    id: int
    key: str
    kind: str
    status: str
    receiver: str
    source: str
    app_key: str
    timestamp: int
    body: str
    attempts: int
    accepted_at: float
    token: str

    @property
    def event(self) -> dict[str, Any]:
        """Return the event as it was frozen."""
        found: dict[str, Any] = json.loads(self.body)
        return found


_earlier = events.alias()
_first = ~exists().where(
    _earlier.c.key == events.c.key,
    _earlier.c.state == waiting.right,
    _earlier.c.seq < events.c.seq,
)
_LONGEST_PAUSE = 3600.0
"""Seconds; no attempt is put off for longer."""
_LONGEST_LEASE = 7200.0
_MOST_REFUSED = 1000
_now: BindParameter[float] = bindparam("now", type_=Float)
_clock: BindParameter[float] = bindparam("clock", type_=Float)
# What was accepted, or is to be tried again, later than it can be is of a clock that was set back since.
_set_back = (events.c.accepted_at > _now) | ((events.c.attempts > 0) & (events.c.not_before > _now + _LONGEST_PAUSE))
_free = (events.c.lease_until <= _clock) | (events.c.lease_until > _clock + _LONGEST_LEASE)
_due = (waiting, (events.c.not_before <= _now) | _set_back, _free, _first)
_order = (events.c.priority, events.c.queued_at, events.c.id)
_ANY_DUE = select(events.c.id).where(*_due).limit(1)
_APP_KEY = select(events.c.app_key).where(*_due).order_by(*_order).limit(1)
_CLAIMED = (
    select(*(events.c[name] for name in _COLUMNS))
    .join(alert_states, alert_states.c.key == events.c.key)
    .where(*_due, events.c.app_key == bindparam("of"))
    .order_by(*_order)
    .limit(bindparam("most"))
    .with_for_update(of=[alert_states, events], skip_locked=True)
)
_LEASED = events.c.lease_until - _clock + _now
_EARLIEST = select(func.min(case((events.c.not_before >= _LEASED, events.c.not_before), else_=_LEASED))).where(
    waiting, _first
)


class Queue(Repository):
    """Queued events. Every method is one transaction, and raises Unavailable when the database cannot be used now."""

    def claim(self, limit: int, owner: str, now: float, lease: float) -> list[ClaimedEvent]:
        """Take up to `limit` due events, the first of its alert each, all of one app_key, for `lease` seconds.

        Critical first, then resolutions, then the rest, the oldest first within each.
        """
        with self._database.write() as connection:
            clock = self._database.clock(connection, now)
            times = {"now": now, "clock": clock}
            app_key = connection.execute(_APP_KEY, times).scalar()
            if app_key is None:
                return []
            rows = connection.execute(_CLAIMED, {**times, "of": app_key, "most": limit}).all()
            token = f"{owner}/{uuid4().hex}"
            connection.execute(
                update(events)
                .where(events.c.id.in_([row.id for row in rows]))
                .values(attempts=events.c.attempts + 1, lease_token=token, lease_until=clock + lease)
            )
        return [ClaimedEvent(**(row._asdict() | {"attempts": row.attempts + 1}), token=token) for row in rows]

    def record(
        self,
        *,
        accepted: Sequence[ClaimedEvent] = (),
        duplicate: Sequence[ClaimedEvent] = (),
        destination: str = "",
        now: float,
    ) -> int:
        """Note what a destination has: 2xx (`accepted`), or 204 (`duplicate`); and what is open there from now on.

        Returns for how many our lease counted.
        """
        with self._database.write() as connection:
            # In the order in which ingest locks them: two that wait for each other would end in an error for one.
            for event in sorted((*accepted, *duplicate), key=lambda event: event.key):
                ends = event.kind == Kind.RESOLVE
                place = {"destination": "" if ends else destination, "app_key": "" if ends else event.app_key}
                of = alert_states.c
                moved = (of.destination != place["destination"]) | (of.app_key != place["app_key"])
                connection.execute(update(alert_states).where(of.key == event.key, moved).values(place))
            return sum(
                _settle(connection, claimed, state="sent", reason=outcome, closed_at=now)
                for claimed, outcome in ((accepted, "accepted"), (duplicate, "duplicate"))
            )

    def postpone(self, claimed: Sequence[ClaimedEvent], not_before: float, reason: str) -> None:
        """Give back what was tried and not accepted, to be tried again at `not_before`."""
        with self._database.write() as connection:
            _settle(connection, claimed, not_before=not_before, reason=reason)

    def release(self, claimed: Sequence[ClaimedEvent]) -> None:
        """Give back what was not tried at all: it does not count as an attempt."""
        with self._database.write() as connection:
            _settle(connection, claimed, attempts=events.c.attempts - 1)

    def bury(self, claimed: ClaimedEvent, reason: str, now: float) -> None:
        """Make an event that will never be accepted a dead letter; its alert goes on."""
        with self._database.write() as connection:
            _settle(connection, [claimed], state="dead", reason=reason, closed_at=now)

    def revive(self, ids: Sequence[int]) -> int:
        """Queue dead letters again as they were: what refused them was the destination. Returns how many."""
        with self._database.write() as connection:
            buried = update(events).where(events.c.id.in_(ids), events.c.state == "dead")
            return connection.execute(buried.values(state="waiting", closed_at=None)).rowcount

    def refused(self) -> list[tuple[int, str, str]]:
        """Return id, key and reason of the dead letters since a destination last took anything, in their order."""
        taken = select(func.max(events.c.closed_at)).where(events.c.state == "sent").scalar_subquery()
        since = (dead, events.c.closed_at > func.coalesce(taken, 0.0))
        query = select(events.c.id, events.c.key, events.c.reason).where(*since).order_by(events.c.closed_at)
        with self._database.read() as connection:
            return [(row.id, row.key, row.reason) for row in connection.execute(query.limit(_MOST_REFUSED))]

    def reclaim(self) -> int:
        """Free what a process that is gone had claimed, where no other can be at work; returns how many events."""
        if self._database.postgresql:
            return 0
        with self._database.write() as connection:
            connection.execute(update(roles).values(until=0.0))
            leased = update(events).where(waiting, events.c.lease_token != "")
            return connection.execute(leased.values(lease_token="", lease_until=0.0)).rowcount

    def next_due(self, now: float) -> float | None:
        """Return when the next event may be claimed: now, at its own time or its lease's end; None: none is."""
        with self._database.read() as connection:
            times = {"now": now, "clock": self._database.clock(connection, now)}
            if connection.execute(_ANY_DUE, times).first():
                return now
            found = connection.execute(_EARLIEST, times).scalar()
            return None if found is None else float(found)


def _settle(connection: Connection, claimed: Sequence[ClaimedEvent], **changes: Any) -> int:
    """Change events that are still ours, and end the lease; return how many there were."""
    settled = 0
    for token in {one.token for one in claimed}:
        ids = [one.id for one in claimed if one.token == token]
        ours = (events.c.id.in_(ids), events.c.lease_token == token, waiting)
        statement = update(events).where(*ours).values(lease_token="", lease_until=0.0, **changes)
        settled += connection.execute(statement).rowcount
    return settled
