"""How history is deleted: in batches, and without standing in anybody's way."""

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, delete, select, tuple_


def prune(connection: Connection, identity: tuple[Column[Any], ...], condition: ColumnElement[bool], limit: int) -> int:
    """Delete up to `limit` rows of the table of these columns, its primary key; returns how many.

    On PostgreSQL what another holds at this moment is left for the next time: a webhook takes its rows in one order,
    a batch in none, and two that wait for each other would end in an error for one.
    """
    if limit <= 0:
        return 0
    chosen = select(*identity).where(condition).limit(limit).with_for_update(skip_locked=True, of=identity[0].table)
    rows = delete(identity[0].table).where(tuple_(*identity).in_(select(chosen.cte("chosen", nesting=True))))
    return connection.execute(rows).rowcount
