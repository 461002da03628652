"""The quarantine: unreadable webhook bodies, or single alerts of them, to be viewed, replayed or discarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, true

from bridge.domain.alert import UnreadableAlert
from bridge.outbox.repository import Page, PageRequest, Repository, columns
from bridge.outbox.schema import quarantine
from exporter.toolkit.text import valid

LARGEST_BODY: Final = 1_000_000
"""Most characters kept of a body."""
MOST_OF_ONE: Final = 100
"""Most unreadable alerts kept of one webhook; the rest is only counted."""
MOST_ROWS: Final = 10_000
MOST_CHARACTERS: Final = 100_000_000
"""Largest size of the quarantine; beyond it the oldest are deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """An unreadable body, or one unreadable alert of a body."""

    id: int
    receiver: str
    source: str
    reason: str
    body: str
    received_at: float


class Quarantine(Repository):
    """The quarantined bodies in the store."""

    def oldest(self, ids: Sequence[int] | None = None) -> list[Quarantined]:
        """Return quarantined bodies (None: all), the oldest first."""
        chosen = true() if ids is None else self._database.among(quarantine.c.id, ids)
        return self._all(select(*columns(quarantine, Quarantined)).where(chosen).order_by(quarantine.c.id), Quarantined)

    def page(self, request: PageRequest) -> Page[Quarantined]:
        """Return a page of quarantined bodies, the oldest first, cut."""
        query = select(*columns(quarantine, Quarantined, cut=True)).order_by(quarantine.c.id)
        return self._page(query, request, Quarantined)

    def discard(self, ids: Sequence[int], *, up_to: int = 0) -> int:
        """Delete these bodies, and all up to an id, the last one that the user saw; return the number deleted."""
        chosen = self._database.among(quarantine.c.id, ids) | (quarantine.c.id <= up_to)
        return self._change(delete(quarantine).where(chosen))


def put(connection: Connection, receiver: str, source: str, found: Sequence[UnreadableAlert], now: float) -> None:
    """Put what is unreadable in a webhook into quarantine, deleting the oldest beyond its limit."""
    origin = {"receiver": receiver, "source": source, "received_at": now}
    bodies = [(one.reason, valid(one.body[:LARGEST_BODY])) for one in found[:MOST_OF_ONE]]
    if more := len(found) - len(bodies):
        reason, body = bodies[-1]
        bodies[-1] = f"{reason}, and {more} more in this webhook that are not kept", body
    rows = [origin | {"reason": reason, "size": len(body), "body": body} for reason, body in bodies]
    connection.execute(insert(quarantine), rows)
    newest_first = quarantine.c.id.desc()
    number = func.row_number().over(order_by=newest_first)
    size = func.sum(quarantine.c.size).over(order_by=newest_first)
    counted = select(quarantine.c.id, number.label("number"), size.label("size")).subquery()
    too_much = (counted.c.number > MOST_ROWS) | (counted.c.size > MOST_CHARACTERS)
    last = connection.execute(select(func.max(counted.c.id)).where(too_much)).scalar()
    if last is not None:
        connection.execute(delete(quarantine).where(quarantine.c.id <= last))
