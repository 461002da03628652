"""The quarantine: webhook bodies, or single alerts of them, that could not be read. To be looked at, or discarded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from bridge.domain.alert import clean
from bridge.outbox.database import Repository
from bridge.outbox.pages import SHOWN, Page, PageRequest
from bridge.outbox.schema import quarantine

LARGEST_BODY: Final = 1_000_000
"""Characters of a body that are kept."""
MOST_ROWS: Final = 10_000
MOST_CHARACTERS: Final = 100_000_000
"""Of the whole quarantine; beyond, the oldest go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A body, or one alert of a body, that could not be read."""

    id: int
    receiver: str
    source: str
    reason: str
    body: str
    received_at: float


class Quarantine(Repository):
    """Bodies kept with the reason why they could not be read."""

    def add(self, receiver: str, source: str, reason: str, body: str, now: float) -> None:
        """Keep a body that can never be read."""
        self._database.refuse_when_full()
        with self._database.write() as connection:
            put(connection, [quarantine_row(receiver, source, reason, body, now)])

    def oldest(self, limit: int = 1000) -> list[Quarantined]:
        """Return what was kept, the oldest first."""
        with self._database.read() as connection:
            columns = (quarantine.c[name] for name in Quarantined.__slots__)
            rows = connection.execute(select(*columns).order_by(quarantine.c.id).limit(limit))
            return [Quarantined(**row._asdict()) for row in rows]

    def page(self, request: PageRequest) -> Page[Quarantined]:
        """Return a page of what was kept, the oldest first, the bodies cut."""
        body = func.substr(quarantine.c.body, 1, SHOWN).label("body")
        columns = [body if name == "body" else quarantine.c[name] for name in Quarantined.__slots__]
        query = select(*columns).order_by(quarantine.c.id).limit(request.limit).offset(request.offset)
        with self._database.read() as connection:
            rows = [Quarantined(**row._asdict()) for row in connection.execute(query)]
            return Page(rows, count(connection))

    def discard(self, ids: Sequence[int]) -> int:
        """Delete from quarantine; returns how many there were."""
        with self._database.write() as connection:
            return connection.execute(delete(quarantine).where(quarantine.c.id.in_(ids))).rowcount

    def discard_until(self, last: int) -> int:
        """Delete everything up to the one of this id, as someone saw it; returns how many there were."""
        with self._database.write() as connection:
            return connection.execute(delete(quarantine).where(quarantine.c.id <= last)).rowcount


def put(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put these in quarantine, and let the oldest go where that is more than it may hold."""
    connection.execute(insert(quarantine), rows)
    newest_first = quarantine.c.id.desc()
    number = func.row_number().over(order_by=newest_first)
    size = func.sum(quarantine.c.size).over(order_by=newest_first)
    counted = select(quarantine.c.id, number.label("number"), size.label("size")).subquery()
    too_much = (counted.c.number > MOST_ROWS) | (counted.c.size > MOST_CHARACTERS)
    last = connection.execute(select(func.max(counted.c.id)).where(too_much)).scalar()
    if last is not None:
        connection.execute(delete(quarantine).where(quarantine.c.id <= last))


def count(connection: Connection) -> int:
    """Return how many bodies are in quarantine."""
    return connection.execute(select(func.count()).select_from(quarantine)).scalar_one()


def quarantine_row(receiver: str, source: str, reason: str, body: str, now: float) -> dict[str, Any]:
    """Return the row that keeps what could not be read."""
    text = clean(body[:LARGEST_BODY])
    return {
        "receiver": receiver,
        "source": source,
        "reason": reason,
        "size": len(text),
        "body": text,
        "received_at": now,
    }
