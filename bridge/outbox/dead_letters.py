"""Dead letters: events that BigPanda rejected, to be viewed, rebuilt and requeued, or discarded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from bridge.domain.alert_state import Kind
from bridge.domain.event import Status, draft, status_of
from bridge.outbox.repository import Page, PageRequest, Repository, columns
from bridge.outbox.rows import alert_of, untried
from bridge.outbox.schema import alert_states, dead, events
from bridge.receivers.settings import ReceiverSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that BigPanda will never accept as it is; `reason` holds BigPanda's message."""

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


class DeadLetters(Repository):
    """The dead letters in the store."""

    def oldest(self, ids: Sequence[int] | None = None) -> list[DeadLetter]:
        """Return dead letters (None: all), the oldest first."""
        chosen = dead if ids is None else dead & self._database.among(events.c.id, ids)
        return self._all(select(*columns(events, DeadLetter)).where(chosen).order_by(events.c.id), DeadLetter)

    def page(self, request: PageRequest) -> Page[DeadLetter]:
        """Return a page of dead letters, the oldest first, their bodies cut."""
        query = select(*columns(events, DeadLetter, cut=True)).where(dead).order_by(events.c.id)
        return self._page(query, request, DeadLetter)

    def requeue(
        self, ids: Sequence[int] | None, receivers: Mapping[tuple[str, str], ReceiverSettings], now: float
    ) -> dict[str, list[int]]:
        """Rebuild dead letters (None: all) from their alerts and queue them, in their old order with their old time.

        `receivers`: those that are configured, by receiver and source. Returns the ids by outcome. `superseded`: made
        pointless by a newer event of their alert, or by a mapping that no longer sends them; `unknown`: kept, because
        their receiver is no longer configured.
        """
        chosen = dead if ids is None else dead & self._database.among(events.c.id, ids)
        query = (
            select(events, alert_states.c.seq.label("newest"))
            .join(alert_states, alert_states.c.key == events.c.key)
            .where(chosen)
            .order_by(events.c.key, events.c.seq)
            .with_for_update(of=alert_states)
        )
        results: dict[str, list[int]] = {"queued": [], "superseded": [], "unknown": []}
        with self._database.write() as connection:
            for row in connection.execute(query).all():
                results[_requeue(connection, row, receivers.get((row.receiver, row.source)), now)].append(row.id)
        return results

    def discard(self, ids: Sequence[int], now: float, *, up_to: int = 0) -> int:
        """Move these dead letters, and all up to the last that the user saw, to the history; return their number."""
        chosen = update(events).where(dead, self._database.among(events.c.id, ids) | (events.c.id <= up_to))
        return self._change(chosen.values(state="discarded", closed_at=now))


def _requeue(connection: Connection, row: Row[Any], settings: ReceiverSettings | None, now: float) -> str:
    if settings is None:
        return "unknown"
    alert, mapping = alert_of(row.alert), settings.mapping
    status = Status.OK if row.kind == Kind.RESOLVE else status_of(alert, mapping)[0]
    this = update(events).where(events.c.id == row.id)
    if status is None or row.newest != row.seq:
        connection.execute(this.values(state="superseded", closed_at=now))
        return "superseded"
    event = draft(alert, status, mapping)
    queued = untried(event, status, row.timestamp, mapping.app_key)
    connection.execute(this.values(**queued, reason="requeued", queued_at=now, not_before=0.0))
    state = {"status": status, "content_hash": event.content_hash, "queued_at": now, "updated_at": now}
    connection.execute(update(alert_states).where(alert_states.c.key == row.key).values(state))
    return "queued"
