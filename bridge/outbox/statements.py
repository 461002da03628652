"""The compiled statements of ingest: building one takes SQLAlchemy longer than SQLite takes to run it."""

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from bridge.domain.alert_state import AlertState, PendingEvent
from bridge.domain.event import Status
from bridge.outbox.database import Database
from bridge.outbox.repository import columns
from bridge.outbox.rows import OTHER_PRIORITY, PRIORITY
from bridge.outbox.schema import alert_states, events, last_heard, members, senders, waiting, watchdog_heartbeats

BLANK = {column.key: None if column.nullable else column.type.python_type() for column in alert_states.c}
"""The row of an unknown alert."""


class Statements:
    """The statements of every batch of webhooks, for one database."""

    def __init__(self, database: Database) -> None:
        this_alert = database.among(alert_states.c.key)
        known = select(*columns(alert_states, AlertState)).where(this_alert)
        in_one_order = known.order_by(alert_states.c.key.collate("C")).with_for_update()  # same order everywhere
        self.known = in_one_order if database.postgresql else known
        self.names = select(alert_states.c.key).where(this_alert)
        self.reserve = database.insert(alert_states).on_conflict_do_nothing()
        self.pending = (
            select(events.c.key, *columns(events, PendingEvent))
            .join(alert_states, (alert_states.c.key == events.c.key) & (alert_states.c.seq == events.c.seq))
            .where(waiting, events.c.attempts == literal_column("0"), database.among(events.c.key))
        )
        superseded = (events.c.key == bindparam("of"), events.c.seq == bindparam("number"), waiting)
        self.supersede = update(events).where(*superseded).values(state="superseded", closed_at=bindparam("at"))
        self.queue = insert(events)
        held_up = select(events.c.key).where(waiting, events.c.priority == OTHER_PRIORITY, database.among(events.c.key))
        theirs = (waiting, events.c.lease_token == "", events.c.key.in_(held_up))
        self.hurry = update(events).where(*theirs).values(priority=PRIORITY[Status.CRITICAL])
        self.owners = select(members.c.key).where(database.among(members.c.member) | database.among(members.c.key))
        self.members = select(members).where(database.among(members.c.key))
        self.leave = delete(members).where(database.among(members.c.member))
        self.join = database.upsert(members, "member")
        self.keep = database.upsert(alert_states, "key")
        self.heartbeat = database.upsert(watchdog_heartbeats, "receiver", "source", "key")
        self.heard = database.upsert(last_heard, "key")
        self.sender = database.insert(senders).on_conflict_do_nothing()
