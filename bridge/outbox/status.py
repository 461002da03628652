"""The state of the outbox: counts, circuit breakers of destinations, heartbeats, and roles among replicas."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final
from uuid import uuid4

from sqlalchemy import and_, case, delete, func, select, update

from bridge.domain.alert_state import Kind
from bridge.errors import Unavailable
from bridge.outbox.database import Database
from bridge.outbox.repository import Repository, columns
from bridge.outbox.schema import (
    alert_states,
    dead,
    destinations,
    events,
    opened,
    quarantine,
    roles,
    senders,
    versions,
    waiting,
    watchdog_heartbeats,
    watermarks,
)
from bridge.outbox.schema import identity as identities

DEAF: Final = "deaf since "
"""Prefix of the watermarks of periods during which nothing could be received; `at` is the end of one."""
_RECEIVING: Final = "expiry"
"""The watermark of the time until which webhooks could be received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts of the store. `oldest`: when the oldest queued event was accepted, None if none is queued.

    `held`: updates that wait only for their interval; `open_alerts`: by (source, status).
    """

    waiting: int = 0
    held: int = 0
    dead: int = 0
    dead_resolutions: int = 0
    quarantined: int = 0
    oldest: float | None = None
    open_alerts: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A label set of a watchdog's alert: when it was last received, and whether it was firing then."""

    receiver: str
    source: str
    key: str
    labels: Mapping[str, str]
    firing: bool
    heard_at: float

    @property
    def distinction(self) -> str:
        """Return the labels that distinguish it from others of its name, in brackets after a space; "" without any."""
        shown = [f"{name}={self.labels[name]}" for name in sorted(self.labels) if name not in ("alertname", "severity")]
        return f" ({', '.join(shown)})" if shown else ""


@dataclass(frozen=True, slots=True)
class Address:
    """The URL of a destination, "" if it must not be stored, and the proof by which its token is recognized."""

    url: str
    token_proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The circuit breaker of a destination: whether it is up, failures in a row, when to retry, and why it is down.

    `opened_at`: the time of the decision, to notice a clock that was set back since.
    """

    up: bool = True
    failures: int = 0
    opened_at: float = 0.0
    not_before: float = 0.0
    reason: str = ""


class OutboxStatus(Repository):
    """The outbox as a whole. Every method is one transaction and raises Unavailable if the database is unusable."""

    def counts(self, now: float) -> Counts:
        """Return the counts of queued, held and dead events, and of open alerts."""
        held = and_(events.c.kind == Kind.UPDATE, events.c.attempts == 0, events.c.not_before > now)
        all_held = func.coalesce(func.sum(case((held, 1), else_=0)), 0)
        oldest = func.min(case((~held, events.c.accepted_at)))
        resolutions = func.coalesce(func.sum(case((events.c.kind == Kind.RESOLVE, 1), else_=0)), 0)
        of = (alert_states.c.source, alert_states.c.status)
        with self._database.read() as connection:
            queue = connection.execute(select(func.count(), all_held, oldest).where(waiting)).one()
            letters = connection.execute(select(func.count(), resolutions).where(dead)).one()
            open_alerts = connection.execute(select(*of, func.count()).where(opened).group_by(*of)).all()
            return Counts(
                waiting=queue[0] - queue[1],
                held=queue[1],
                oldest=queue[2],
                dead=letters[0],
                dead_resolutions=letters[1],
                quarantined=connection.execute(select(func.count()).select_from(quarantine)).scalar_one(),
                open_alerts={(source, status): number for source, status, number in open_alerts},
            )

    def unwritable(self) -> str:
        """Return why no webhook can be stored now, by writing; "" if it can."""
        try:
            self._database.refuse_when_full()
            with self._database.write() as connection:
                for change in (1, -1):  # a value and back: SQLite writes no page for an unchanged one
                    connection.execute(update(versions).values(version=versions.c.version + change))
        except Unavailable as error:
            return str(error)
        return ""

    def database_id(self) -> str:
        """Return the id of this database, created when first needed."""
        statement = self._database.insert(identities).values(one=1, name=uuid4().hex[:12])
        with self._database.write() as connection:
            connection.execute(statement.on_conflict_do_nothing())
            return str(connection.execute(select(identities.c.name)).scalar_one())

    def circuit(self, destination: str) -> Circuit:
        """Return a destination's circuit breaker; an unknown destination is up."""
        query = select(*columns(destinations, Circuit)).where(destinations.c.name == destination)
        return next(iter(self._all(query, Circuit)), Circuit())

    def addresses(self) -> dict[str, Address]:
        """Return the address of each destination, by name."""
        return {row.name: Address(row.url, row.token_proof) for row in self._rows(select(destinations))}

    def set_destination(self, name: str, known: Circuit | Address) -> None:
        """Store the circuit breaker or the address of a destination."""
        statement = self._database.insert(destinations).values(name=name, **(asdict(Circuit()) | asdict(known)))
        self._change(statement.on_conflict_do_update(index_elements=["name"], set_=asdict(known)))

    def receiver_names(self, source: str) -> frozenset[str]:
        """Return the names of the Alertmanager receivers that have sent to this source."""
        return frozenset(row.name for row in self._rows(select(senders.c.name).where(senders.c.source == source)))

    def heartbeats(self) -> list[Heartbeat]:
        """Return every label set of every watchdog's alert."""
        rows = self._rows(select(watchdog_heartbeats))
        return [Heartbeat(**(row._asdict() | {"labels": json.loads(row.labels)})) for row in rows]

    def forget_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Forget a label set, unless it was received meanwhile."""
        of = watchdog_heartbeats.c
        same = (of.receiver == heartbeat.receiver, of.source == heartbeat.source, of.key == heartbeat.key)
        self._change(delete(watchdog_heartbeats).where(*same, of.heard_at == heartbeat.heard_at))

    def note_receiving(self, now: float, longest: float) -> None:
        """Record that webhooks can be received; they could not before if the last call is longer ago than `longest`."""
        last = select(watermarks.c.at).where(watermarks.c.name == _RECEIVING)
        with self._database.write() as connection:
            before, marks = connection.execute(last).scalar(), [{"name": _RECEIVING, "at": now}]
            if before is not None and now - before > longest:
                marks.append({"name": f"{DEAF}{before!r}", "at": now})
            connection.execute(self._database.upsert(watermarks, "name"), marks)

    def deaf(self) -> list[tuple[float, float]]:
        """Return the recorded periods during which nothing could be received."""
        periods = self._rows(select(watermarks).where(watermarks.c.name.startswith(DEAF)))
        return [(float(row.name.removeprefix(DEAF)), row.at) for row in periods]


class Role(Repository):
    """A role that only one replica may have, for `lease` seconds at a time. Each object is another applicant."""

    def __init__(self, database: Database, name: str, lease: float) -> None:
        super().__init__(database)
        self.name, self._owner, self._lease = name, uuid4().hex, lease

    def lead(self, now: float) -> bool:
        """Take or keep it; return whether it is ours."""
        clock, this = self._database.clock(now), roles.c.role == self.name
        values = {"owner": self._owner, "until": clock + self._lease}
        statement = self._database.insert(roles).values(role=self.name, **values)
        # A lease much longer than ours means that the clock was set back since.
        free = (roles.c.owner == self._owner) | (roles.c.until <= clock) | (roles.c.until > clock + 2 * self._lease)
        with self._database.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["role"], set_=values, where=free))
            return connection.execute(select(roles.c.owner).where(this)).scalar() == self._owner

    def close(self) -> None:
        """Give it up, so that another replica need not wait for the lease to end."""
        self._change(update(roles).where(roles.c.role == self.name, roles.c.owner == self._owner).values(until=0.0))
