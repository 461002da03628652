"""How history is deleted: in batches, and without standing in anybody's way."""

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, delete, select, tuple_

from bridge.outbox.database import Database
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


class Retention:
    """Deletes what is older than the retention."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prune(self, before: float, limit: int) -> int:
        """Delete up to `limit` rows of history older than `before`; returns how many."""
        with self._database.write() as connection:
            return prune_rows(connection, before, limit)


def prune_rows(connection: Connection, before: float, limit: int) -> int:
    """Delete closed events, alerts long resolved of which no event is left, old quarantine, incidents, callbacks."""
    left = select(events.c.id).where(events.c.key == alert_states.c.key, waiting | dead).exists()
    # BigPanda says nothing of an incident while it is snoozed, and its silence must last.
    snoozed = incidents.c.snoozed & (incidents.c.snoozed_until.is_(None) | (incidents.c.snoozed_until >= before))
    deleted = 0
    for identity, old in (
        ((events.c.id,), closed & (events.c.closed_at < before) & events.c.state.in_(_HISTORY)),
        (
            (alert_states.c.key,),
            alert_states.c.status.in_(("ok", "")) & (alert_states.c.updated_at < before) & ~left,
        ),
        ((quarantine.c.id,), quarantine.c.received_at < before),
        ((incidents.c.source, incidents.c.id), (incidents.c.heard_at < before) & ~snoozed),
        ((last_heard.c.key,), last_heard.c.at < before),
        (
            (callbacks.c.source, callbacks.c.incident),
            (callbacks.c.closed_at < before) | (callbacks.c.asked_at < before),
        ),
    ):
        deleted += _prune(connection, identity, old, limit - deleted)
    return deleted


def _prune(connection: Connection, identity: tuple[Column[Any], ...], old: ColumnElement[bool], limit: int) -> int:
    """Delete up to `limit` rows of the table of these columns, its primary key; return how many.

    On PostgreSQL what another holds at this moment is left for the next time: a webhook takes its rows in one order,
    a batch in none, and two that wait for each other would end in an error for one.
    """
    if limit <= 0:
        return 0
    chosen = select(*identity).where(old).limit(limit).with_for_update(skip_locked=True, of=identity[0].table)
    rows = delete(identity[0].table).where(tuple_(*identity).in_(select(chosen.cte("chosen", nesting=True))))
    return connection.execute(rows).rowcount
