"""How things stand: what waits and since when, what is open, who was heard, which destination is up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, case, func, select, update

from bridge.domain.alert import Alert
from bridge.domain.dedup import Kind
from bridge.outbox import retention as pruning
from bridge.outbox.database import Database
from bridge.outbox.rows import read
from bridge.outbox.schema import (
    closed,
    dead,
    destinations,
    events,
    heartbeats,
    keys,
    opened,
    quarantine,
    roles,
    senders,
    waiting,
)

_HISTORY = ("sent", "superseded", "discarded")
_AT_ONCE = 500
"""Keys that one SELECT names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is in the store. `oldest`: when the oldest waiting event was accepted, None when none waits.

    `held` are updates that wait for their interval only; `open_alerts` counts by (source, status).
    """

    waiting: int = 0
    held: int = 0
    dead: int = 0
    dead_resolutions: int = 0
    quarantined: int = 0
    oldest: float | None = None
    open_alerts: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenKey:
    """A key that BigPanda has, or will have, as open. `doubtful`: it fired before its last resolution."""

    key: str
    status: str
    doubtful: bool
    updated_at: float
    alert: Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """An event that was sent, replaced or given up."""

    id: int
    key: str
    status: str
    state: str
    reason: str
    attempts: int
    accepted_at: float
    closed_at: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a watchdog's alert was last heard."""

    receiver: str
    source: str
    heard_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How a destination stands: whether it is up, how often it failed in a row, when it may be tried again, and why."""

    up: bool = True
    failures: int = 0
    not_before: float = 0.0
    reason: str = ""


def counts(connection: Connection, now: float) -> Counts:
    """Count."""
    held = and_(events.c.kind == Kind.UPDATE, events.c.attempts == 0, events.c.not_before > now)
    all_held = func.coalesce(func.sum(case((held, 1), else_=0)), 0)
    oldest = func.min(case((~held, events.c.accepted_at)))
    queue = connection.execute(select(func.count(), all_held, oldest).where(waiting)).one()
    resolutions = func.coalesce(func.sum(case((events.c.kind == Kind.RESOLVE, 1), else_=0)), 0)
    letters = connection.execute(select(func.count(), resolutions).where(dead)).one()
    by_status = select(keys.c.source, keys.c.status, func.count()).where(opened).group_by(keys.c.source, keys.c.status)
    return Counts(
        waiting=queue[0] - queue[1],
        held=queue[1],
        oldest=queue[2],
        dead=letters[0],
        dead_resolutions=letters[1],
        quarantined=connection.execute(select(func.count()).select_from(quarantine)).scalar_one(),
        open_alerts={(source, status): number for source, status, number in connection.execute(by_status)},
    )


def open_keys(connection: Connection, source: str) -> list[OpenKey]:
    """Return what is open of a source."""
    columns = (keys.c.key, keys.c.status, keys.c.doubtful, keys.c.updated_at, keys.c.alert)
    rows = connection.execute(select(*columns).where(opened, keys.c.source == source).order_by(keys.c.key))
    return [OpenKey(**(row._asdict() | {"alert": read(row.alert)})) for row in rows]


def touched(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return, for each key that is known, its status and when it was last touched."""
    columns = (keys.c.key, keys.c.status, keys.c.updated_at)
    found: dict[str, tuple[str, float]] = {}
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        query = select(*columns).where(keys.c.key.in_(part), keys.c.status != "")
        found |= {key: (status, at) for key, status, at in connection.execute(query)}
    return found


def recent(connection: Connection, limit: int) -> list[Recent]:
    """Return what was closed last, the newest first."""
    columns = [events.c[name] for name in Recent.__slots__]
    query = select(*columns).where(closed).order_by(events.c.closed_at.desc()).limit(limit)
    return [Recent(**row._asdict()) for row in connection.execute(query)]


def receiver_names(connection: Connection, source: str) -> frozenset[str]:
    """Return the learned names."""
    return frozenset(connection.execute(select(senders.c.name).where(senders.c.source == source)).scalars())


def all_heartbeats(connection: Connection) -> list[Heartbeat]:
    """Return every watchdog's last sign."""
    rows = connection.execute(select(heartbeats.c.receiver, heartbeats.c.source, heartbeats.c.heard_at))
    return [Heartbeat(*row) for row in rows]


def gate(connection: Connection, destination: str) -> Gate:
    """Return how a destination stands; one never heard of is up."""
    row = connection.execute(select(destinations).where(destinations.c.name == destination)).one_or_none()
    return Gate(up=row.up, failures=row.failures, not_before=row.not_before, reason=row.reason) if row else Gate()


def set_gate(database: Database, connection: Connection, destination: str, gate: Gate) -> None:
    """Note how a destination stands."""
    values = {"up": gate.up, "failures": gate.failures, "not_before": gate.not_before, "reason": gate.reason}
    statement = database.insert(destinations).values(name=destination, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def lead(  # noqa: PLR0913  who, what, when and for how long
    database: Database, connection: Connection, *, role: str, owner: str, now: float, lease: float
) -> bool:
    """Take or keep a role, unless another's lease on it still runs."""
    clock = database.clock(connection, now)
    values = {"owner": owner, "until": clock + lease}
    statement = database.insert(roles).values(role=role, **values)
    free = (roles.c.owner == owner) | (roles.c.until <= clock)
    connection.execute(statement.on_conflict_do_update(index_elements=["role"], set_=values, where=free))
    return connection.execute(select(roles.c.owner).where(roles.c.role == role)).scalar() == owner


def yield_role(connection: Connection, role: str, owner: str) -> None:
    """Give a role up, so that another need not wait for the end of the lease."""
    connection.execute(update(roles).where(roles.c.role == role, roles.c.owner == owner).values(until=0.0))


def free_roles(connection: Connection) -> None:
    """End every lease on a role."""
    connection.execute(update(roles).values(until=0.0))


def prune(connection: Connection, before: float, limit: int) -> int:
    """Delete a batch of history: closed events, keys long resolved of which nothing is left, old quarantine."""
    done = closed & (events.c.closed_at < before) & events.c.state.in_(_HISTORY)
    deleted = pruning.prune(connection, (events.c.id,), done, limit)
    left = select(events.c.id).where(events.c.key == keys.c.key, waiting | dead).exists()
    forgotten = keys.c.status.in_(("ok", "")) & (keys.c.updated_at < before) & ~left
    deleted += pruning.prune(connection, (keys.c.key,), forgotten, limit - deleted)
    old = quarantine.c.received_at < before
    return deleted + pruning.prune(connection, (quarantine.c.id,), old, limit - deleted)
