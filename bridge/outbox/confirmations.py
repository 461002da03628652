"""The confirmation of accepted events: those to look for in BigPanda, and those found missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, exists, func, select, update

from bridge.outbox.database import Database
from bridge.outbox.repository import Repository, columns
from bridge.outbox.schema import events, unconfirmed, watermarks

LONGEST: Final = 86400.0
"""Seconds after which an unprocessed event is no longer looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentEvent:
    """An event that BigPanda accepted. `looks`: the checks that missed it since; `resends`: how often it was resent.

    BigPanda processed it after `queued_at`, but perhaps long before it was accepted, if answers were lost.
    """

    id: int
    key: str
    app_key: str
    status: str
    timestamp: int
    queued_at: float
    looks: int = 0
    resends: int = 0


class Confirmations(Repository):
    """The events sent to one destination that are to be confirmed there."""

    def __init__(self, database: Database, destination: str) -> None:
        super().__init__(database)
        self._name = f"confirmation {destination}"
        self._looked = select(watermarks.c.at).where(watermarks.c.name == self._name)

    def to_confirm(self, until: float, since: float) -> list[SentEvent]:
        """Return the events sent after the last check (before the first: after `since`), and those missed so far."""
        looked = next((row.at for row in self._rows(self._looked)), None)
        # A watermark in the future means that the clock was set back since.
        if looked is None or looked > until:
            later = events.c.closed_at >= since
        else:
            later = events.c.closed_at > max(looked, until - LONGEST)
        new = later & unconfirmed.c.event.is_(None)
        missed = unconfirmed.c.event.is_not(None) & (events.c.closed_at > until - LONGEST)
        counts = (func.coalesce(count, 0).label(count.key) for count in (unconfirmed.c.looks, unconfirmed.c.resends))
        sent = select(*columns(events, SentEvent), *counts)
        query = sent.outerjoin(unconfirmed, unconfirmed.c.event == events.c.id).order_by(events.c.id)
        wanted = new if looked is None else new | missed
        return self._all(query.where(events.c.state == "sent", events.c.closed_at <= until, wanted), SentEvent)

    def record(
        self, *, confirmed: Sequence[SentEvent], missed: Sequence[SentEvent], resend: Sequence[SentEvent], until: float
    ) -> None:
        """Record the result of a check of the events sent `until` then, and queue those to resend, unchanged."""
        with self._database.write() as connection:
            if connection.execute(self._looked).scalar() is None:
                # Events missed before were sent to another destination.
                connection.execute(delete(unconfirmed))
            found = self._database.among(unconfirmed.c.event, [one.id for one in confirmed])
            connection.execute(delete(unconfirmed).where(found))
            rows = [{"event": one.id, "looks": one.looks + 1, "resends": one.resends} for one in missed]
            rows += [{"event": one.id, "looks": 0, "resends": one.resends + 1} for one in resend]
            if rows:
                connection.execute(self._database.upsert(unconfirmed, "event"), rows)
            dropped = self._database.among(events.c.id, [one.id for one in resend]) & (events.c.state == "sent")
            connection.execute(update(events).where(dropped).values(state="waiting", closed_at=None, not_before=0.0))
            # Pruned or too old events are no longer looked for.
            recent = events.c.closed_at.is_(None) | (events.c.closed_at > until - LONGEST)
            kept = exists().where(events.c.id == unconfirmed.c.event, recent)
            connection.execute(delete(unconfirmed).where(~kept))
            connection.execute(self._database.upsert(watermarks, "name").values(name=self._name, at=until))

    def unconfirmed(self) -> int:
        """Return the number of events missed in two or more checks and not processed since."""
        missing = (unconfirmed.c.resends > 0) | (unconfirmed.c.looks > 1)
        [(number,)] = self._rows(select(func.count()).select_from(unconfirmed).where(missing))
        return int(number)
