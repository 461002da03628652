"""How history is deleted: in batches, and without standing in anybody's way."""

from sqlalchemy import ColumnElement, Connection, Table, delete, select, tuple_

from bridge.outbox.database import Repository
from bridge.outbox.schema import (
    alert_states,
    callbacks,
    closed,
    dead,
    events,
    incidents,
    last_heard,
    quarantine,
    waiting,
)

_HISTORY = ("sent", "superseded", "discarded")


class Retention(Repository):
    """Deletes what is older than the retention."""

    def prune(self, before: float, limit: int) -> int:
        """Delete up to `limit` rows of history older than `before`; returns how many."""
        with self._database.write() as connection:
            return prune_rows(connection, before, limit)


def prune_rows(connection: Connection, before: float, limit: int) -> int:
    """Delete closed events, alerts long resolved of which no event is left, old quarantine, incidents, callbacks."""
    left = select(events.c.id).where(events.c.key == alert_states.c.key, waiting | dead).exists()
    resolved = alert_states.c.status.in_(("ok", "")) & ~left
    # BigPanda says nothing of an incident while it is snoozed, and its silence must last.
    snoozed = incidents.c.snoozed & (incidents.c.snoozed_until.is_(None) | (incidents.c.snoozed_until >= before))
    history: tuple[tuple[Table, ColumnElement[bool]], ...] = (
        (events, closed & (events.c.closed_at < before) & events.c.state.in_(_HISTORY)),
        (alert_states, resolved & (alert_states.c.updated_at < before)),
        (quarantine, quarantine.c.received_at < before),
        (incidents, (incidents.c.heard_at < before) & ~snoozed),
        (last_heard, last_heard.c.at < before),
        (callbacks, (callbacks.c.closed_at < before) | (callbacks.c.asked_at < before)),
    )
    deleted = 0
    for table, old in history:
        # On PostgreSQL what another holds at this moment is left for the next time: a webhook takes its rows in one
        # order, a batch in none, and two that wait for each other would end in an error for one.
        found = select(*table.primary_key).where(old).limit(limit - deleted)
        chosen = found.with_for_update(skip_locked=True, of=table).cte("chosen", nesting=True)
        rows = delete(table).where(tuple_(*table.primary_key).in_(select(chosen)))
        deleted += connection.execute(rows).rowcount
        if deleted >= limit:
            break
    return deleted
