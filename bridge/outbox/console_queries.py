"""What the operator's page reads: pages of what is open, waits, is dead or is over; and the whole story of one key.

Every query is bounded: `Slice` says where a page begins and how many rows it has.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, case, exists, func, select

from bridge.domain.alert import Alert
from bridge.domain.dedup import Kind
from bridge.domain.event import Status
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetter, Quarantined
from bridge.outbox.rows import read
from bridge.outbox.schema import closed, dead, events, keys, opened, quarantine, waiting

T = TypeVar("T")

SHOWN: Final = 20_000
"""Characters of a body that a page shows."""
_STORY: Final = 100
"""Events of one key that its page shows."""
_STREAMED: Final = 500
_AS_IT_IS: Final = re.compile(r"[^\x00-\x1f\x7f-\U0010ffff\"\\]+")
"""What JSON does not write otherwise, so that the database can look for it."""
_URGENCY = case((keys.c.status == Status.CRITICAL, 0), (keys.c.status == Status.WARNING, 1), else_=2)
_ALERT = (keys.c.key, keys.c.status, keys.c.doubtful, keys.c.starts_at, keys.c.updated_at, keys.c.alert)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows: `limit` of them, after `offset` others."""

    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and how many there are in all; where that would cost too much to count, as far as is known."""

    rows: Sequence[T]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One key as BigPanda shows it, or will. Times in epoch seconds; `since`: the beginning of its last episode."""

    key: str
    status: str
    doubtful: bool
    since: float
    updated_at: float
    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of a key: what it is, where it stands, and why. `held` and the others tell why it waits."""

    id: int
    key: str
    kind: str
    status: str
    state: str
    reason: str
    attempts: int
    accepted_at: float
    not_before: float
    closed_at: float | None
    body: str
    behind: bool = False
    under_way: bool = False

    @property
    def held(self) -> bool:
        """Whether it is an update that was never tried: it waits for its receiver's `update_interval`."""
        return self.kind == Kind.UPDATE and self.attempts == 0


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of one key, its newest events first, and how many more there are. No `standing`: only events."""

    standing: Standing | None
    steps: Sequence[Step]
    total: int


_earlier = events.alias()
_behind = exists().where(
    _earlier.c.key == events.c.key, _earlier.c.state == waiting.right, _earlier.c.seq < events.c.seq
)


def _steps(clock: float) -> tuple[ColumnElement[Any], ...]:
    plain = ("id", "key", "kind", "status", "state", "reason", "attempts", "accepted_at", "not_before", "closed_at")
    return (
        *(events.c[name] for name in plain),
        func.substr(events.c.body, 1, SHOWN).label("body"),
        (waiting & _behind).label("behind"),
        (waiting & (events.c.lease_until > clock)).label("under_way"),
    )


def _step(row: Any) -> Step:
    return Step(**(row._asdict() | {"behind": bool(row.behind), "under_way": bool(row.under_way)}))


def open_alerts(connection: Connection, words: Sequence[str], part: Slice) -> Page[Standing]:
    """Return what is open, the most urgent first, the youngest first within; every one of `words` is in it."""
    query = select(*_ALERT).where(opened).order_by(_URGENCY, keys.c.starts_at.desc(), keys.c.key)
    if not words:
        rows = connection.execute(query.limit(part.limit).offset(part.offset))
        return Page([_standing(row) for row in rows], _count(connection, keys, opened))
    wanted = [word.casefold() for word in words]
    for piece in (piece for word in wanted for piece in word.split("=")):
        if _AS_IT_IS.fullmatch(piece):
            query = query.where(func.lower(keys.c.alert).contains(piece, autoescape=True))
    found: list[Standing] = []
    total = 0
    for one in _streamed(connection, query):
        if not matches(one, wanted):
            continue
        if part.offset <= total < part.offset + part.limit:
            found.append(one)
        total += 1
    return Page(found, total)


def matches(standing: Standing, words: Sequence[str]) -> bool:
    """Tell whether each of the words, case-folded, is in the key, the name, or a label written `name=value`."""
    alert = standing.alert
    labels = (f"{name}={value}" for name, value in alert.labels.items())
    text = "\n".join((standing.key, alert.name, *labels)).casefold()
    return all(word in text for word in words)


def _streamed(connection: Connection, query: Any) -> Iterator[Standing]:
    for row in connection.execution_options(yield_per=_STREAMED).execute(query):
        yield _standing(row)


def _standing(row: Any) -> Standing:
    return Standing(
        key=row.key,
        status=row.status,
        doubtful=bool(row.doubtful),
        since=row.starts_at,
        updated_at=row.updated_at,
        alert=read(row.alert),
    )


def queue(database: Database, connection: Connection, part: Slice, now: float) -> Page[Step]:
    """Return what waits, in the order in which it goes out."""
    order = (events.c.priority, events.c.queued_at, events.c.id)
    query = select(*_steps(database.clock(connection, now))).where(waiting).order_by(*order)
    rows = connection.execute(query.limit(part.limit).offset(part.offset))
    return Page([_step(row) for row in rows], _count(connection, events, waiting))


def over(database: Database, connection: Connection, part: Slice, now: float) -> Page[Step]:
    """Return what was sent, replaced or given up, the newest first."""
    query = select(*_steps(database.clock(connection, now))).where(closed).order_by(events.c.closed_at.desc())
    rows = [_step(row) for row in connection.execute(query.limit(part.limit + 1).offset(part.offset))]
    return Page(rows[: part.limit], part.offset + len(rows))


def letters(connection: Connection, part: Slice) -> Page[DeadLetter]:
    """Return dead letters, the oldest first, their bodies cut."""
    rows = _cut(connection, events, DeadLetter, dead, part)
    return Page([DeadLetter(**row) for row in rows], _count(connection, events, dead))


def unread(connection: Connection, part: Slice) -> Page[Quarantined]:
    """Return what is in quarantine, the oldest first, the bodies cut."""
    rows = _cut(connection, quarantine, Quarantined, None, part)
    return Page([Quarantined(**row) for row in rows], _count(connection, quarantine, None))


def _cut(
    connection: Connection, table: Table, shape: Any, condition: ColumnElement[bool] | None, part: Slice
) -> list[dict[str, Any]]:
    body = func.substr(table.c.body, 1, SHOWN).label("body")
    query = select(*(body if name == "body" else table.c[name] for name in shape.__slots__)).order_by(table.c.id)
    if condition is not None:
        query = query.where(condition)
    return [row._asdict() for row in connection.execute(query.limit(part.limit).offset(part.offset))]


def story(database: Database, connection: Connection, key: str, now: float) -> Story:
    """Return what is known of a key."""
    row = connection.execute(select(*_ALERT).where(keys.c.key == key, keys.c.status != "")).one_or_none()
    of_key = events.c.key == key
    query = select(*_steps(database.clock(connection, now))).where(of_key).order_by(events.c.seq.desc()).limit(_STORY)
    steps = [_step(found) for found in connection.execute(query)]
    return Story(_standing(row) if row else None, steps, _count(connection, events, of_key))


def _count(connection: Connection, table: Table, condition: ColumnElement[bool] | None) -> int:
    query = select(func.count()).select_from(table)
    return connection.execute(query if condition is None else query.where(condition)).scalar_one()
