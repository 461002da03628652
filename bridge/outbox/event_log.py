"""Events for the operator's page: queued ones, sent or discarded ones, and all events of one alert."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, exists, func, select

from bridge.domain.alert import Alert
from bridge.domain.alert_state import Kind
from bridge.outbox.database import Repository
from bridge.outbox.pages import SHOWN, Page, PageRequest
from bridge.outbox.rows import alert_of
from bridge.outbox.schema import alert_states, closed, events, unconfirmed, waiting

_NEWEST: Final = 100
"""Most events on the page of an alert."""
_COLUMNS: Final = (
    "id", "key", "kind", "status", "state", "reason", "attempts", "accepted_at", "not_before", "closed_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event with its state and reason. `held`, `behind` and `in_flight`: why it is not sent yet."""

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
    in_flight: bool = False

    @property
    def held(self) -> bool:
        """Whether it is an untried update that waits for its receiver's `update_interval`."""
        return self.kind == Kind.UPDATE and self.attempts == 0


@dataclass(frozen=True, slots=True)
class NoisyAlert:
    """An alert that changed often. `events`: the number of its events; `last_at`: the time of the last one."""

    alert: Alert
    events: int
    last_at: float

    @property
    def key(self) -> str:
        """Return the alert's identity."""
        return self.alert.key


class EventLog(Repository):
    """Queries over the events of all alerts."""

    def queued(self, request: PageRequest, now: float) -> Page[EventRow]:
        """Return queued events, in the order in which they are sent."""
        order = (events.c.priority, events.c.queued_at, events.c.id)
        with self._database.read() as connection:
            query = select(*_columns(self._database.clock(connection, now))).where(waiting).order_by(*order)
            rows = connection.execute(query.limit(request.limit).offset(request.offset))
            return Page([_event(row) for row in rows], _count(connection, waiting))

    def closed(self, request: PageRequest, now: float) -> Page[EventRow]:
        """Return events sent, superseded or discarded, the newest first; the total shows only whether more follow."""
        with self._database.read() as connection:
            query = select(*_columns(self._database.clock(connection, now))).where(closed)
            newest = query.order_by(events.c.closed_at.desc()).limit(request.limit + 1).offset(request.offset)
            rows = [_event(row) for row in connection.execute(newest)]
            return Page(rows[: request.limit], request.offset + len(rows))

    def of_alert(self, key: str, now: float) -> Page[EventRow]:
        """Return the newest events of one alert, the newest first."""
        of_alert = events.c.key == key
        with self._database.read() as connection:
            query = select(*_columns(self._database.clock(connection, now))).where(of_alert)
            rows: Sequence[EventRow] = [
                _event(row) for row in connection.execute(query.order_by(events.c.seq.desc()).limit(_NEWEST))
            ]
            return Page(rows, _count(connection, of_alert))

    def noisiest(self, since: float, limit: int) -> list[NoisyAlert]:
        """Return the alerts with the most events accepted after `since`, the most first."""
        number, last = func.count().label("number"), func.max(events.c.accepted_at).label("last_at")
        counted = select(events.c.key, number, last).where(events.c.accepted_at > since).group_by(events.c.key)
        counted = counted.having(func.count() > 1)  # a single event is not noise
        most = counted.order_by(number.desc(), last.desc(), events.c.key).limit(limit).subquery()
        query = select(alert_states.c.alert, most.c.number, most.c.last_at).join(most, alert_states.c.key == most.c.key)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(most.c.number.desc(), most.c.last_at.desc(), most.c.key))
            return [NoisyAlert(alert_of(row.alert), row.number, row.last_at) for row in rows]

    def unconfirmed(self, limit: int, now: float) -> list[EventRow]:
        """Return events that BigPanda accepted but did not process, the newest first."""
        with self._database.read() as connection:
            query = select(*_columns(self._database.clock(connection, now)))
            missing = query.join(unconfirmed, unconfirmed.c.event == events.c.id).where(unconfirmed.c.resends > 0)
            rows = connection.execute(missing.order_by(events.c.id.desc()).limit(limit))
            return [_event(row) for row in rows]


_earlier = events.alias()
_behind = exists().where(
    _earlier.c.key == events.c.key, _earlier.c.state == waiting.right, _earlier.c.seq < events.c.seq
)


def _columns(clock: float) -> tuple[ColumnElement[Any], ...]:
    return (
        *(events.c[name] for name in _COLUMNS),
        func.substr(events.c.body, 1, SHOWN).label("body"),
        (waiting & _behind).label("behind"),
        (waiting & (events.c.lease_until > clock)).label("in_flight"),
    )


def _event(row: Row[Any]) -> EventRow:
    return EventRow(**(row._asdict() | {"behind": bool(row.behind), "in_flight": bool(row.in_flight)}))


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).where(condition)).scalar_one()
