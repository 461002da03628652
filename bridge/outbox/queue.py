"""The queue: delivery claims events from the store and records their outcome.

An alert's events are sent one at a time and in order: only its first queued event may be claimed, and claiming it locks
the alert. A claim is a lease that ends by itself, so that nothing is lost with the process that held it; its token
keeps a late result of that process from counting.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Update, case, exists, func, select, update

from bridge.domain.alert_state import Kind
from bridge.outbox.repository import Repository, columns
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


_earlier = events.alias()
first = ~exists().where(
    _earlier.c.key == events.c.key, _earlier.c.state == waiting.right, _earlier.c.seq < events.c.seq
)
"""The condition that no earlier event of its alert is queued."""
sending_order = (events.c.priority, events.c.queued_at, events.c.id)
_LONGEST_PAUSE = 3600.0
"""Longest delay of an attempt in seconds."""
_LONGEST_LEASE = 7200.0
_NOWHERE = "none"
"""The name of no destination."""
_MOST_REFUSED = 1000


class Queue(Repository):
    """Queued events. Every method is one transaction, and raises Unavailable if the database cannot be used now."""

    def claim(
        self, limit: int, now: float, lease: float, *, avoid: Collection[int] = (), probe: bool = False
    ) -> list[ClaimedEvent]:
        """Claim up to `limit` due events, each the first of its alert, all of one app_key, for `lease` seconds.

        Critical first, then resolutions, then the rest, the oldest first within each. `avoid`: events to claim only if
        no other is due. `probe`: claim those that differ most from these, with another app_key if there is one.
        """
        other, avoided, due = events.alias(), self._database.among(events.c.id, avoid), self._due(now)
        order: tuple[ColumnElement[Any], ...] = sending_order
        if avoid:  # otherwise an index has the order
            order = (avoided, *sending_order)
        if probe:
            alike = events.c.app_key.in_(select(other.c.app_key).where(self._database.among(other.c.id, avoid)))
            order = (alike, avoided, *(column.desc() for column in sending_order))
        with self._database.write() as connection:
            app_key = connection.execute(select(events.c.app_key).where(*due).order_by(*order).limit(1)).scalar()
            claimed = (
                select(*columns(events, ClaimedEvent))
                .join(alert_states, alert_states.c.key == events.c.key)
                .where(*due, events.c.app_key == app_key)
                .order_by(*order)
                .limit(limit)
                .with_for_update(of=[alert_states, events], skip_locked=True)
            )
            rows, token = connection.execute(claimed).all(), uuid4().hex
            taken = {"lease_token": token, "lease_until": self._database.clock(now) + lease}
            ours = update(events).where(events.c.id.in_([row.id for row in rows]))
            connection.execute(ours.values(attempts=events.c.attempts + 1, **taken))
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
                # After a freeze another replica has sent it, and perhaps later events of its alert.
                ours = exists().where(events.c.id == event.id, events.c.lease_token == event.token)
                connection.execute(update(alert_states).where(of.key == event.key, moved, ours).values(place))
            return connection.execute(_settled(claimed, state="sent", reason=outcome, closed_at=now)).rowcount

    def postpone(self, claimed: Sequence[ClaimedEvent], not_before: float, reason: str) -> None:
        """Release events that were tried but not accepted, to be retried at `not_before`."""
        self._change(_settled(claimed, not_before=not_before, reason=reason))

    def release(self, claimed: Sequence[ClaimedEvent]) -> None:
        """Release events that were not tried at all, without counting an attempt."""
        self._change(_settled(claimed, attempts=events.c.attempts - 1))

    def bury(self, claimed: ClaimedEvent, reason: str, now: float) -> None:
        """Make an event that will never be accepted a dead letter, unblocking its alert."""
        self._change(_settled([claimed], state="dead", reason=reason, closed_at=now))

    def revive(self, ids: Sequence[int]) -> int:
        """Queue dead letters again unchanged, because the destination was at fault. Returns their number."""
        buried = update(events).where(self._database.among(events.c.id, ids), events.c.state == "dead")
        return self._change(buried.values(state="waiting", closed_at=None))

    def leave(self, destination: str, keys: Sequence[str]) -> None:
        """Record that alerts were resolved at a destination although they fire: none has them as open now.

        Another replica may have sent them to another one already.
        """
        of = alert_states.c
        with self._database.write() as connection:
            for key in sorted(keys):  # lock in the same order as ingest, to avoid deadlocks
                this = (of.key == key, of.destination == destination)
                connection.execute(update(alert_states).where(*this).values(destination=_NOWHERE))

    def set_app_key(self, receiver: str, source: str, app_key: str, destination: str) -> None:
        """Queue a receiver's events under another app key, but not resolutions of alerts open under the former one."""
        of = alert_states.c
        opened = exists().where(of.key == events.c.key, of.app_key == events.c.app_key, of.destination == destination)
        theirs = (events.c.receiver == receiver, events.c.source == source, events.c.app_key != app_key)
        queued = update(events).where(waiting, *theirs, (events.c.kind != Kind.RESOLVE) | ~opened)
        self._change(queued.values(app_key=app_key))

    def refused(self) -> list[tuple[int, str, str]]:
        """Return id, key and reason of the dead letters since a destination last accepted anything, in order."""
        taken = select(func.max(events.c.closed_at)).where(events.c.state == "sent").scalar_subquery()
        since = (dead, events.c.closed_at > func.coalesce(taken, 0.0))
        query = select(events.c.id, events.c.key, events.c.reason).where(*since)
        in_order = query.order_by(events.c.closed_at, events.c.id)
        return [(row.id, row.key, row.reason) for row in self._rows(in_order.limit(_MOST_REFUSED))]

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
        leased = events.c.lease_until - self._database.clock(now) + now
        ends = case((events.c.not_before >= leased, events.c.not_before), else_=leased)
        with self._database.read() as connection:
            if connection.execute(select(events.c.id).where(*self._due(now)).limit(1)).first():
                return now
            found = connection.execute(select(func.min(ends)).where(waiting, first)).scalar()
            return None if found is None else float(found)

    def _due(self, now: float) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions that an event may be claimed."""
        clock, tried = self._database.clock(now), events.c.attempts > 0
        # An impossible time of acceptance or retry means that the clock was set back since.
        set_back = (events.c.accepted_at > now) | (tried & (events.c.not_before > now + _LONGEST_PAUSE))
        free = (events.c.lease_until <= clock) | (events.c.lease_until > clock + _LONGEST_LEASE)
        return waiting, (events.c.not_before <= now) | set_back, free, first


def _settled(claimed: Sequence[ClaimedEvent], **changes: Any) -> Update:
    """Return the change of events that are still ours, which ends their lease."""
    ids, tokens = [one.id for one in claimed], {one.token for one in claimed}
    ours = (events.c.id.in_(ids), events.c.lease_token.in_(tokens), waiting)
    return update(events).where(*ours).values(lease_token="", lease_until=0.0, **changes)
