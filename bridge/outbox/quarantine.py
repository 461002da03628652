"""The quarantine: webhook bodies, or single alerts of them, that could not be read. To be looked at, or discarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from bridge.domain.alert import clean
from bridge.outbox.database import Database
from bridge.outbox.pages import SHOWN, Page, PageRequest
from bridge.outbox.schema import quarantine

LARGEST_BODY: Final = 1_000_000
"""Characters of a body that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A body, or one alert of a body, that could not be read."""

    id: int
    receiver: str
    source: str
    reason: str
    body: str
    received_at: float


class Quarantine:
    """Bodies kept with the reason why they could not be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, receiver: str, source: str, reason: str, body: str, now: float) -> None:
        """Keep a body that can never be read."""
        with self._database.write() as connection:
            connection.execute(insert(quarantine).values(**quarantine_row(receiver, source, reason, body, now)))

    def oldest(self, limit: int = 1000) -> list[Quarantined]:
        """Return what was kept, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(quarantine).order_by(quarantine.c.id).limit(limit))
            return [Quarantined(**row._asdict()) for row in rows]

    def page(self, request: PageRequest) -> Page[Quarantined]:
        """Return a page of what was kept, the oldest first, the bodies cut."""
        body = func.substr(quarantine.c.body, 1, SHOWN).label("body")
        columns = [body if column.name == "body" else column for column in quarantine.c]
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


def count(connection: Connection) -> int:
    """Return how many bodies are in quarantine."""
    return connection.execute(select(func.count()).select_from(quarantine)).scalar_one()


def quarantine_row(receiver: str, source: str, reason: str, body: str, now: float) -> dict[str, Any]:
    """Return the row that keeps what could not be read."""
    text = clean(body[:LARGEST_BODY])
    return {"receiver": receiver, "source": source, "reason": reason, "body": text, "received_at": now}
