"""What intake asks of the tables, and writes into them, for every batch of webhooks."""

from typing import Any

from sqlalchemy import Dialect, Insert, Text, bindparam, exists, func, insert, literal, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.outbox.compiled import Command, Query, Rows
from bridge.outbox.database import Database
from bridge.outbox.rows import BLANK, KeyRow, TailRow
from bridge.outbox.schema import events, heartbeats, keys, senders, waiting

_EVENT = [column.name for column in events.c if column is not events.c.id]


class Statements:
    """What is asked and written for every batch, prepared for one database."""

    def __init__(self, database: Database, dialect: Dialect) -> None:
        named = database.among(keys.c.key)
        known = select(*(keys.c[name] for name in KeyRow._fields)).where(named)
        in_one_order = known.order_by(keys.c.key.collate("C")).with_for_update()  # every replica locks in this one
        tails = (
            select(*(events.c[name] for name in TailRow._fields))
            .join(keys, (keys.c.key == events.c.key) & (keys.c.seq == events.c.seq))
            .where(waiting, events.c.attempts == literal_column("0"), database.among(events.c.key))
        )
        self.reserve = Command(_reservation(), dialect) if database.postgresql else None
        self.known = Query(in_one_order if database.postgresql else known, KeyRow, dialect)
        self.tails = Query(tails, TailRow, dialect)
        self.events = Rows(insert(events), _EVENT, dialect)
        self.keys = Rows(database.upsert(keys, "key"), keys.c.keys(), dialect)
        self.heartbeats = Rows(database.upsert(heartbeats, "receiver", "source"), heartbeats.c.keys(), dialect)
        self.senders = Rows(database.insert(senders).on_conflict_do_nothing(), senders.c.keys(), dialect)


def _reservation() -> Insert:
    """Insert keys that are not there yet empty, so that two replicas cannot both be the first.

    Before any row is locked, and in one order: a replica that inserts while it holds locks may wait for one that waits
    for it.
    """
    name: Any = func.unnest(bindparam("names", type_=ARRAY(Text))).column_valued("name")
    blank = [name if column.name == "key" else literal(BLANK[column.name], column.type) for column in keys.c]
    new = select(*blank).where(~exists().where(keys.c.key == name)).order_by(name.collate("C"))
    return postgresql.insert(keys).from_select(keys.c.keys(), new).on_conflict_do_nothing()
