"""The durable store, as everyone else sees it: key state and waiting events in one commit.

Every method is one transaction and raises `Unavailable` when the database cannot be used now; nothing is then half
written. All times are epoch seconds and are passed in, but leases run on the database's own clock.
"""

from collections.abc import Callable, Sequence

from bridge.domain.event import Mapping
from bridge.domain.incident import Kept
from bridge.errors import Unavailable
from bridge.outbox import console_queries as survey
from bridge.outbox import dead_letters as deadletters
from bridge.outbox import incidents as shares
from bridge.outbox import queue as dispatch
from bridge.outbox import schema
from bridge.outbox import status as standing
from bridge.outbox.console_queries import Page, Slice, Standing, Step, Story
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetter, Quarantined, Requeued
from bridge.outbox.incidents import DueCallback, Told
from bridge.outbox.ingest import Intake, Notification, Outcome
from bridge.outbox.queue import Claimed
from bridge.outbox.rows import quarantined
from bridge.outbox.status import Counts, Gate, Heartbeat, OpenKey, Recent

__all__ = [
    "Claimed",
    "Counts",
    "DeadLetter",
    "DueCallback",
    "Gate",
    "Heartbeat",
    "Kept",
    "Notification",
    "OpenKey",
    "Outbox",
    "Outcome",
    "Page",
    "Quarantined",
    "Recent",
    "Requeued",
    "Slice",
    "Standing",
    "Step",
    "Story",
    "Told",
]


class Outbox:
    """One database, opened. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> "Outbox":
        """Open the database, bring its schema up to date. ConfigError when it must not be used, Unavailable."""
        return cls(Database(url))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Commit several webhooks at once: what the ledger decides of each alert, what was set aside, incidents."""
        with self._database.write() as connection:
            outcomes = Intake(self._database, connection, now).accept(batch)
            shares.keep(self._database, connection, batch, outcomes, now)
            return outcomes

    def quarantine(self, receiver: str, source: str, reason: str, body: str, now: float) -> None:
        """Keep a body that can never be read, with its reason."""
        with self._database.write() as connection:
            deadletters.keep(connection, quarantined(receiver, source, reason, body, now))

    def claim(self, limit: int, owner: str, now: float, lease: float) -> list[Claimed]:
        """Take up to `limit` due events, the first of its key each, all of one app_key, for `lease` seconds.

        Critical first, then resolutions, then the rest, the oldest first within each.
        """
        with self._database.write() as connection:
            return dispatch.claim(self._database, connection, limit=limit, owner=owner, now=now, lease=lease)

    def record(self, *, accepted: Sequence[Claimed] = (), duplicate: Sequence[Claimed] = (), now: float) -> int:
        """Note what BigPanda has: 2xx (`accepted`), or 204 (`duplicate`). Returns for how many our lease counted."""
        with self._database.write() as connection:
            return dispatch.record(connection, accepted, "accepted", now) + dispatch.record(
                connection, duplicate, "duplicate", now
            )

    def postpone(self, claimed: Sequence[Claimed], not_before: float, reason: str) -> None:
        """Give back what was tried and not accepted, to be tried again at `not_before`."""
        with self._database.write() as connection:
            dispatch.postpone(connection, claimed, not_before, reason)

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give back what was not tried at all: it does not count as an attempt."""
        with self._database.write() as connection:
            dispatch.release(connection, claimed)

    def bury(self, claimed: Claimed, reason: str, now: float) -> None:
        """Make an event that will never be accepted a dead letter; its key goes on."""
        with self._database.write() as connection:
            dispatch.bury(connection, claimed, reason, now)

    def reclaim(self) -> int:
        """Free what a process that is gone had claimed, where no other can be at work; returns how many events."""
        if self._database.postgresql:
            return 0
        with self._database.write() as connection:
            standing.free_roles(connection)
            return dispatch.reclaim(connection)

    def next_due(self, now: float) -> float | None:
        """Return when the next event is due (at most `now` when one is), None when nothing waits."""
        with self._database.read() as connection:
            return dispatch.next_due(self._database, connection, now)

    def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """Return the dead letters, the oldest first."""
        with self._database.read() as connection:
            return deadletters.dead_letters(connection, limit)

    def requeue(
        self, ids: Sequence[int] | None, mapping_of: Callable[[str, str], Mapping | None], now: float
    ) -> Requeued:
        """Map dead letters anew (None: all of them) and send them again. `mapping_of(receiver, source)`."""
        with self._database.write() as connection:
            return deadletters.requeue(connection, ids, mapping_of, now)

    def discard(self, ids: Sequence[int], now: float) -> int:
        """Give dead letters up; returns how many there were."""
        with self._database.write() as connection:
            return deadletters.discard(connection, ids, now)

    def discard_until(self, last: int, now: float) -> int:
        """Give up every dead letter up to the one of this id; returns how many there were."""
        with self._database.write() as connection:
            return deadletters.discard_until(connection, last, now)

    def quarantined(self, limit: int = 1000) -> list[Quarantined]:
        """Return what could not be read, the oldest first."""
        with self._database.read() as connection:
            return deadletters.in_quarantine(connection, limit)

    def discard_quarantined(self, ids: Sequence[int]) -> int:
        """Delete what could not be read; returns how many there were."""
        with self._database.write() as connection:
            return deadletters.discard_quarantined(connection, ids)

    def discard_quarantined_until(self, last: int) -> int:
        """Delete what could not be read up to the one of this id; returns how many there were."""
        with self._database.write() as connection:
            return deadletters.discard_quarantined_until(connection, last)

    def open_alerts(self, words: Sequence[str], part: Slice) -> Page[Standing]:
        """Return what is open and has every one of `words` in its key, name or labels; the most urgent first."""
        with self._database.read() as connection:
            return survey.open_alerts(connection, words, part)

    def queue(self, part: Slice, now: float) -> Page[Step]:
        """Return what waits, in the order in which it goes out."""
        with self._database.read() as connection:
            return survey.queue(self._database, connection, part, now)

    def over(self, part: Slice, now: float) -> Page[Step]:
        """Return what was sent, replaced or given up, the newest first; its total tells only whether more follows."""
        with self._database.read() as connection:
            return survey.over(self._database, connection, part, now)

    def letters(self, part: Slice) -> Page[DeadLetter]:
        """Return a page of dead letters, the oldest first, their bodies cut."""
        with self._database.read() as connection:
            return survey.letters(connection, part)

    def unread(self, part: Slice) -> Page[Quarantined]:
        """Return a page of what could not be read, the oldest first, the bodies cut."""
        with self._database.read() as connection:
            return survey.unread(connection, part)

    def story(self, key: str, now: float) -> Story:
        """Return what is known of a key, and its newest events."""
        with self._database.read() as connection:
            return survey.story(self._database, connection, key, now)

    def counts(self, now: float) -> Counts:
        """Return what waits, is held and is dead, and the open alerts."""
        with self._database.read() as connection:
            return standing.counts(connection, now)

    def open_keys(self, source: str) -> list[OpenKey]:
        """Return the keys of a source that BigPanda has, or will have, as open."""
        with self._database.read() as connection:
            return standing.open_keys(connection, source)

    def touched(self, names: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Return, for each of these keys that is known, its status and when it was last touched."""
        with self._database.read() as connection:
            return standing.touched(connection, names)

    def recent(self, limit: int) -> list[Recent]:
        """Return what was sent, replaced or given up last, the newest first."""
        with self._database.read() as connection:
            return standing.recent(connection, limit)

    def receiver_names(self, source: str) -> frozenset[str]:
        """Return Alertmanager's names of its receivers that have sent to this source."""
        with self._database.read() as connection:
            return standing.receiver_names(connection, source)

    def heartbeats(self) -> list[Heartbeat]:
        """Return when each watchdog was last heard."""
        with self._database.read() as connection:
            return standing.all_heartbeats(connection)

    def incidents(self, source: str | None = None) -> list[Kept]:
        """Return BigPanda's incidents as last told, of one source or of all, the newest first."""
        with self._database.read() as connection:
            return shares.incidents_heard(connection, source)

    def incident_page(self, part: Slice) -> Page[Kept]:
        """Return BigPanda's incidents as last told, what is open first, then the newest."""
        with self._database.read() as connection:
            return Page(*shares.page(connection, part.limit, part.offset))

    def incident_counts(self) -> dict[tuple[str, str], int]:
        """Count incidents by environment and status."""
        with self._database.read() as connection:
            return shares.counts(connection)

    def told(self, names: Sequence[str]) -> dict[str, Told]:
        """Return, for each of these keys that is known, its last alert, whether it is open, and when it was touched."""
        with self._database.read() as connection:
            return shares.told(connection, names)

    def due_callbacks(self, source: str, now: float, limit: int = 50) -> list[DueCallback]:
        """Return the new shares that BigPanda waits to hear of, the oldest first."""
        with self._database.read() as connection:
            return shares.due_callbacks(connection, source, now, limit)

    def settle_callback(self, callback: DueCallback, state: str, reason: str, *, now: float, not_before: float) -> None:
        """Note what became of a callback: `done`, `dead`, or `waiting` until `not_before`."""
        with self._database.write() as connection:
            shares.settle(connection, callback, state, reason, now=now, not_before=not_before)

    def identity(self) -> str:
        """Return the name of this database, made when it is first asked for."""
        with self._database.write() as connection:
            return shares.identity(self._database, connection)

    def gate(self, destination: str) -> Gate:
        """Return whether a destination may be tried, and since when not."""
        with self._database.read() as connection:
            return standing.gate(connection, destination)

    def set_gate(self, destination: str, gate: Gate) -> None:
        """Note how a destination stands."""
        with self._database.write() as connection:
            standing.set_gate(self._database, connection, destination, gate)

    def lead(self, role: str, owner: str, now: float, lease: float) -> bool:
        """Take, or keep, a role that only one of the replicas may have, for `lease` seconds."""
        with self._database.write() as connection:
            return standing.lead(self._database, connection, role=role, owner=owner, now=now, lease=lease)

    def yield_role(self, role: str, owner: str) -> None:
        """Give a role up."""
        with self._database.write() as connection:
            standing.yield_role(connection, role, owner)

    def writable(self) -> bool:
        """Tell whether the database can be written now, by writing."""
        try:
            with self._database.write() as connection:
                schema.touch(connection)
        except Unavailable:
            return False
        return True

    def prune(self, before: float, limit: int) -> int:
        """Delete up to `limit` rows of history older than `before`; returns how many."""
        with self._database.write() as connection:
            deleted = standing.prune(connection, before, limit)
            return deleted + shares.prune(connection, before, limit - deleted)
