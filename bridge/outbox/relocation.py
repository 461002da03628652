"""What is open when events begin to go elsewhere: it is stated there, and closed where it was opened.

An identity belongs to the place where BigPanda took it in: a URL, and the app key under which it came.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Connection, Row, exists, insert, select, update

from bridge.domain.alert_state import AlertState, Kind
from bridge.domain.dedup import Reason, hold_until, timestamp_of
from bridge.domain.event import EventMapping, Status, draft
from bridge.outbox.database import Database
from bridge.outbox.rows import PRIORITY, alert_json, state_of
from bridge.outbox.schema import alert_states, destinations, events, opened, waiting


class Relocation:
    """Moves what is open to where events go now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def move(
        self, destination: str, url: str, mapping_of: Callable[[str, str], EventMapping | None], now: float
    ) -> int:
        """Queue for everything open elsewhere its end there and its beginning here; return how many alerts that are.

        `mapping_of(receiver, source)`: None when that receiver is not configured any more; its alerts stay.
        """
        moved = 0
        with self._database.write() as connection:
            self._note(connection, destination, url)
            query = select(alert_states).where(alert_states.c.destination != "").order_by(alert_states.c.key)
            for row in connection.execute(query.with_for_update()).all():
                mapping = mapping_of(row.receiver, row.source)
                if mapping and (row.destination, row.app_key) != (destination, mapping.app_key):
                    _move(connection, row, destination, mapping, now)
                    moved += 1
        return moved

    def _note(self, connection: Connection, destination: str, url: str) -> None:
        """Note where this destination is. What was opened by a bridge that did not note it yet was opened here."""
        parts = urlsplit(url)
        shown = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        row = {"name": destination, "up": True, "failures": 0, "opened_at": 0.0, "not_before": 0.0, "reason": ""}
        statement = self._database.insert(destinations).values(**row, url=shown)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"url": shown}))
        unsent = exists().where(events.c.key == alert_states.c.key, waiting)
        unknown = update(alert_states).where(opened, alert_states.c.destination == "", ~unsent)
        newest = (
            select(events.c.app_key)
            .where(events.c.key == alert_states.c.key, events.c.seq == alert_states.c.seq)
            .scalar_subquery()
        )
        connection.execute(unknown.where(newest.is_not(None)).values(destination=destination, app_key=newest))


def _move(connection: Connection, row: Row[Any], destination: str, mapping: EventMapping, now: float) -> None:
    state = state_of(row)
    elsewhere = state.destination if state.destination != destination else ""
    ended = replace(state.alert, firing=False, ends_at=now)
    there = replace(mapping, app_key=state.app_key)
    connection.execute(insert(events), _event(state, Kind.RESOLVE, Status.OK, ended, there, elsewhere, now))
    seq, timestamp = state.seq + 1, timestamp_of(state, now, now)
    if state.open:
        again = replace(state, seq=seq, timestamp=timestamp)
        connection.execute(insert(events), _event(again, Kind.OPEN, state.status, state.alert, mapping, "", now))
        seq, timestamp = seq + 1, timestamp_of(again, now, now)
    changes = {"seq": seq, "timestamp": timestamp, "destination": "", "app_key": "", "updated_at": now}
    connection.execute(update(alert_states).where(alert_states.c.key == state.key).values(changes))


def _event(  # noqa: PLR0913, PLR0917  what an event is made of
    state: AlertState, kind: Kind, status: Status, alert: Any, mapping: EventMapping, destination: str, now: float
) -> dict[str, Any]:
    made, timestamp = draft(alert, status, mapping), timestamp_of(state, now, now)
    return {
        "key": state.key,
        "seq": state.seq + 1,
        "receiver": alert.receiver,
        "source": alert.source,
        "app_key": mapping.app_key,
        "destination": destination,
        "kind": kind.value,
        "status": status.value,
        "priority": PRIORITY.get(status, 2),
        "timestamp": timestamp,
        "body": made.freeze(timestamp),
        "content": made.content_hash,
        "replaces": state.content_hash,
        "alert": alert_json(alert),
        "state": "waiting",
        "reason": Reason.MOVED.value,
        "attempts": 0,
        "accepted_at": now,
        "queued_at": now,
        "not_before": hold_until(timestamp, now),
        "lease_token": "",
        "lease_until": 0.0,
    }
