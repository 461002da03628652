"""What delivery takes from the store, and what it gives back.

A key's events go out one at a time and in order: only the first that waits may be taken, and taking it locks the key.
A lease ends by itself, so that nothing is lost with the process that held it; its token keeps a late answer of that
process from counting.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, case, exists, func, select, update

from bridge.outbox.database import Database
from bridge.outbox.schema import events, keys, waiting

_COLUMNS = (
    "id", "key", "kind", "status", "receiver", "source", "app_key", "timestamp", "body", "attempts", "accepted_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
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
_ORDER = (events.c.priority, events.c.queued_at, events.c.id)


def _due(now: float, clock: float) -> tuple[ColumnElement[bool], ...]:
    return waiting, events.c.not_before <= now, events.c.lease_until <= clock, _first


def claim(  # noqa: PLR0913  how many, for whom, when and for how long
    database: Database, connection: Connection, *, limit: int, owner: str, now: float, lease: float
) -> list[Claimed]:
    """Take the most urgent due events, the first of its key each, all of the first one's app_key."""
    clock = database.clock(connection, now)
    due = _due(now, clock)
    app_key = connection.execute(select(events.c.app_key).where(*due).order_by(*_ORDER).limit(1)).scalar()
    if app_key is None:
        return []
    columns = [events.c[name] for name in _COLUMNS]
    query = (
        select(*columns)
        .join(keys, keys.c.key == events.c.key)
        .where(*due, events.c.app_key == app_key)
        .order_by(*_ORDER)
        .limit(limit)
        .with_for_update(of=[keys, events], skip_locked=True)
    )
    rows = connection.execute(query).all()
    token = f"{owner}/{uuid4().hex}"
    connection.execute(
        update(events)
        .where(events.c.id.in_([row.id for row in rows]))
        .values(attempts=events.c.attempts + 1, lease_token=token, lease_until=clock + lease)
    )
    return [Claimed(**(row._asdict() | {"attempts": row.attempts + 1}), token=token) for row in rows]


def record(connection: Connection, claimed: Sequence[Claimed], outcome: str, now: float) -> int:
    """Note that BigPanda has these events; returns for how many our lease still counted."""
    return _settle(connection, claimed, state="sent", reason=outcome, closed_at=now)


def postpone(connection: Connection, claimed: Sequence[Claimed], not_before: float, reason: str) -> int:
    """Give back what was tried."""
    return _settle(connection, claimed, not_before=not_before, reason=reason)


def release(connection: Connection, claimed: Sequence[Claimed]) -> int:
    """Give back what was not tried."""
    return _settle(connection, claimed, attempts=events.c.attempts - 1)


def bury(connection: Connection, claimed: Claimed, reason: str, now: float) -> int:
    """Make an event a dead letter."""
    return _settle(connection, [claimed], state="dead", reason=reason, closed_at=now)


def reclaim(connection: Connection) -> int:
    """End every lease; returns how many there were."""
    leased = update(events).where(waiting, events.c.lease_token != "").values(lease_token="", lease_until=0.0)
    return connection.execute(leased).rowcount


def next_due(database: Database, connection: Connection, now: float) -> float | None:
    """Return when the next event may be taken: its own time, or the end of the lease on it."""
    clock = database.clock(connection, now)
    if connection.execute(select(events.c.id).where(*_due(now, clock)).limit(1)).first():
        return now
    leased = events.c.lease_until - clock + now
    found = connection.execute(select(func.min(_later(events.c.not_before, leased))).where(waiting, _first)).scalar()
    return None if found is None else float(found)


def _later(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    return case((one >= other, one), else_=other)


def _settle(connection: Connection, claimed: Sequence[Claimed], **changes: Any) -> int:
    """Change events that are still ours, and end the lease."""
    settled = 0
    for token, ids in _by_token(claimed):
        ours = (events.c.id.in_(ids), events.c.lease_token == token, waiting)
        statement = update(events).where(*ours).values(lease_token="", lease_until=0.0, **changes)
        settled += connection.execute(statement).rowcount
    return settled


def _by_token(claimed: Iterable[Claimed]) -> Iterable[tuple[str, list[int]]]:
    groups: dict[str, list[int]] = {}
    for item in claimed:
        groups.setdefault(item.token, []).append(item.id)
    return groups.items()
