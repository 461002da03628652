"""What could not be sent or read: to be seen, mended and sent again, or given up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, insert, select, update

from bridge.domain.dedup import Kind
from bridge.domain.event import Mapping as EventMapping
from bridge.domain.event import Status, draft, status_of
from bridge.outbox.rows import PRIORITY, read
from bridge.outbox.schema import dead, events, keys, quarantine

_COLUMNS = (
    "id", "key", "receiver", "source", "kind", "status", "reason", "body", "attempts", "accepted_at", "closed_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that BigPanda will never accept as it is; `reason` holds BigPanda's words."""

    id: int
    key: str
    receiver: str
    source: str
    kind: str
    status: str
    reason: str
    body: str
    attempts: int
    accepted_at: float
    closed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A body, or one alert of a body, that could not be read."""

    id: int
    receiver: str
    source: str
    reason: str
    body: str
    received_at: float


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of dead letters, by id.

    `queued` wait again; `superseded` were made pointless by a newer event of their key, or by a mapping that sends
    them no more; `unknown` stay dead: their receiver is configured no longer.
    """

    queued: tuple[int, ...] = ()
    superseded: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()


def dead_letters(connection: Connection, limit: int) -> list[DeadLetter]:
    """Return the oldest dead letters."""
    query = select(*(events.c[name] for name in _COLUMNS)).where(dead).order_by(events.c.id).limit(limit)
    return [DeadLetter(**row._asdict()) for row in connection.execute(query)]


def requeue(
    connection: Connection, ids: Sequence[int] | None, mapping_of: Callable[[str, str], EventMapping | None], now: float
) -> Requeued:
    """Map dead letters anew and let them wait again, at their old place in their key and with their old time."""
    chosen = dead if ids is None else dead & events.c.id.in_(ids)
    query = select(events, keys.c.seq.label("newest")).join(keys, keys.c.key == events.c.key).where(chosen)
    fates: dict[str, list[int]] = {"queued": [], "superseded": [], "unknown": []}
    for row in connection.execute(query.order_by(events.c.key, events.c.seq).with_for_update(of=keys)).all():
        fates[_revive(connection, row, mapping_of(row.receiver, row.source), now)].append(row.id)
    return Requeued(**{fate: tuple(found) for fate, found in fates.items()})


def _revive(connection: Connection, row: Row[tuple[object, ...]], mapping: EventMapping | None, now: float) -> str:
    if mapping is None:
        return "unknown"
    alert = read(row.alert)
    status = Status.OK if row.kind == Kind.RESOLVE else status_of(alert, mapping)[0]
    if status is None or row.newest != row.seq:
        _change(connection, row.id, state="superseded", closed_at=now)
        return "superseded"
    made = draft(alert, status, mapping)
    _change(
        connection,
        row.id,
        state="waiting",
        reason="requeued",
        status=status,
        app_key=mapping.app_key,
        priority=PRIORITY.get(status, 2),
        body=made.freeze(row.timestamp),
        content=made.content,
        attempts=0,
        queued_at=now,
        not_before=0.0,
        closed_at=None,
    )
    told = {"status": status, "content": made.content, "told_at": now, "updated_at": now}
    connection.execute(update(keys).where(keys.c.key == row.key).values(told))
    return "queued"


def _change(connection: Connection, event: int, **changes: object) -> None:
    connection.execute(update(events).where(events.c.id == event).values(changes))


def discard(connection: Connection, ids: Sequence[int], now: float) -> int:
    """Give dead letters up; they stay in the history."""
    statement = update(events).where(dead, events.c.id.in_(ids)).values(state="discarded", closed_at=now)
    return connection.execute(statement).rowcount


def discard_until(connection: Connection, last: int, now: float) -> int:
    """Give up all that someone has seen; what came since stays."""
    statement = update(events).where(dead, events.c.id <= last).values(state="discarded", closed_at=now)
    return connection.execute(statement).rowcount


def keep(connection: Connection, row: Mapping[str, object]) -> None:
    """Put a body that can never be read into quarantine."""
    connection.execute(insert(quarantine).values(**row))


def in_quarantine(connection: Connection, limit: int) -> list[Quarantined]:
    """Return what has been in quarantine longest."""
    query = select(quarantine).order_by(quarantine.c.id).limit(limit)
    return [Quarantined(**row._asdict()) for row in connection.execute(query)]


def discard_quarantined(connection: Connection, ids: Sequence[int]) -> int:
    """Delete from quarantine."""
    return connection.execute(delete(quarantine).where(quarantine.c.id.in_(ids))).rowcount


def discard_quarantined_until(connection: Connection, last: int) -> int:
    """Delete from quarantine all that someone has seen."""
    return connection.execute(delete(quarantine).where(quarantine.c.id <= last)).rowcount
