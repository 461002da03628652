"""Events for the operator's page: queued ones, sent or discarded ones, and all events of one alert."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select

from bridge.domain.alert import Alert
from bridge.domain.alert_state import Kind
from bridge.outbox.queue import first, sending_order
from bridge.outbox.repository import Page, PageRequest, Repository, columns
from bridge.outbox.rows import alert_of
from bridge.outbox.schema import alert_states, closed, events, unconfirmed, waiting

_NEWEST: Final = 100


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


class EventLog(Repository):
    """Queries over the events of all alerts."""

    def queued(self, request: PageRequest, now: float) -> Page[EventRow]:
        """Return queued events, in the order in which they are sent."""
        return self._page(self._events(now).where(waiting).order_by(*sending_order), request, EventRow)

    def closed(self, request: PageRequest, now: float) -> Page[EventRow]:
        """Return events sent, superseded or discarded, the newest first; the total shows only whether more follow."""
        newest = self._events(now).where(closed).order_by(events.c.closed_at.desc(), events.c.id.desc())
        found = self._all(newest.limit(request.limit + 1).offset(request.offset), EventRow)
        return Page(found[: request.limit], request.offset + len(found))

    def of_alert(self, key: str, now: float) -> Page[EventRow]:
        """Return the newest events of one alert, the newest first."""
        query = self._events(now).where(events.c.key == key).order_by(events.c.seq.desc())
        return self._page(query, PageRequest(_NEWEST), EventRow)

    def noisiest(self, since: float, limit: int) -> list[NoisyAlert]:
        """Return the alerts with the most events accepted after `since`, the most first."""
        number, last = func.count().label("number"), func.max(events.c.accepted_at).label("last_at")
        counted = select(events.c.key, number, last).where(events.c.accepted_at > since).group_by(events.c.key)
        counted = counted.having(func.count() > 1)  # a single event is not noise
        most = counted.order_by(number.desc(), last.desc(), events.c.key).limit(limit).subquery()
        query = select(alert_states.c.alert, most.c.number, most.c.last_at).join(most, alert_states.c.key == most.c.key)
        rows = self._rows(query.order_by(most.c.number.desc(), most.c.last_at.desc(), most.c.key))
        return [NoisyAlert(alert_of(row.alert), row.number, row.last_at) for row in rows]

    def unconfirmed(self, limit: int, now: float) -> list[EventRow]:
        """Return events that BigPanda accepted but did not process, the newest first."""
        missing = self._events(now).join(unconfirmed, unconfirmed.c.event == events.c.id)
        newest = missing.where(unconfirmed.c.resends > 0).order_by(events.c.id.desc())
        return self._all(newest.limit(limit), EventRow)

    def _events(self, now: float) -> Select[Any]:
        leased = waiting & (events.c.lease_until > self._database.clock(now))
        shown = columns(events, EventRow, cut=True)
        return select(*shown, (waiting & ~first).label("behind"), leased.label("in_flight"))
