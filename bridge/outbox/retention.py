"""Deletion of old history, in batches that block nothing else."""

from sqlalchemy import ColumnElement, Connection, Table, delete, select, tuple_

from bridge.outbox.repository import Repository
from bridge.outbox.schema import (
    alert_states,
    callbacks,
    closed,
    dead,
    events,
    incidents,
    last_heard,
    members,
    opened,
    quarantine,
    waiting,
    watermarks,
)
from bridge.outbox.status import DEAF

_HISTORY = ("sent", "superseded", "discarded")


class Retention(Repository):
    """Deletes history older than the retention."""

    def prune(self, before: float, limit: int) -> int:
        """Delete up to `limit` rows of history older than `before`; return their number."""
        with self._database.write() as connection:
            return prune_rows(connection, before, limit)


def prune_rows(connection: Connection, before: float, limit: int) -> int:
    """Delete closed events, long resolved alerts and when they were repeated, old quarantine, incidents, callbacks."""
    left = select(events.c.id).where(events.c.key == alert_states.c.key, waiting | dead).exists()
    firing = select(alert_states.c.key).where(alert_states.c.key == last_heard.c.key, opened).exists()
    shared = select(members.c.key).where(members.c.member == last_heard.c.key).exists()
    resolved = alert_states.c.status.in_(("ok", "")) & ~left
    # BigPanda reports nothing about an incident while nothing changes; while it is snoozed its silence must stay.
    listed = incidents.c["keys"].contains('"' + alert_states.c.key + '"')
    firing_in = incidents.c.active & select(alert_states.c.key).where(opened, listed).exists()
    snoozed = incidents.c.snoozed & (incidents.c.snoozed_until.is_(None) | (incidents.c.snoozed_until >= before))
    history: tuple[tuple[Table, ColumnElement[bool]], ...] = (
        (events, closed & (events.c.closed_at < before) & events.c.state.in_(_HISTORY)),
        (alert_states, resolved & (alert_states.c.updated_at < before)),
        (quarantine, quarantine.c.received_at < before),
        (incidents, (incidents.c.heard_at < before) & ~snoozed & ~firing_in),
        (last_heard, (last_heard.c.at < before) & ~firing & ~shared),
        (watermarks, watermarks.c.name.startswith(DEAF) & (watermarks.c.at < before)),
        (callbacks, (callbacks.c.closed_at < before) | (callbacks.c.asked_at < before)),
    )
    deleted = 0
    for table, old in history:
        # On PostgreSQL skip locked rows until the next time: a webhook locks its rows in order, a batch in none, which
        # could cause a deadlock.
        found = select(*table.primary_key).where(old).limit(limit - deleted)
        chosen = found.with_for_update(skip_locked=True, of=table).cte("chosen", nesting=True)
        rows = delete(table).where(tuple_(*table.primary_key).in_(select(chosen)))
        deleted += connection.execute(rows).rowcount
        if deleted >= limit:
            break
    return deleted
