"""The durable store, as everyone else sees it: key state and waiting events in one commit.

Every method is one transaction and raises `Unavailable` when the database cannot be used now; nothing is then half
written. All times are epoch seconds and are passed in, but leases run on the database's own clock.
"""

from collections.abc import Callable, Sequence

from bridge.deadletters import DeadLetter, Quarantined, Requeued
from bridge.dispatch import Claimed
from bridge.event import Mapping
from bridge.intake import Notification, Outcome
from bridge.standing import Counts, Gate, Heartbeat, OpenKey

__all__ = [
    "Claimed",
    "Counts",
    "DeadLetter",
    "Gate",
    "Heartbeat",
    "Notification",
    "OpenKey",
    "Outbox",
    "Outcome",
    "Quarantined",
    "Requeued",
]


class Outbox:
    """One database, opened. Threads may share it."""

    @classmethod
    def open(cls, url: str) -> "Outbox":
        """Open the database, bring its schema up to date. ConfigError when it must not be used, Unavailable."""
        raise NotImplementedError

    def close(self) -> None:
        """Close every connection."""
        raise NotImplementedError

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Commit several webhooks at once: what the ledger decides of each alert, and what was set aside."""
        raise NotImplementedError

    def quarantine(self, receiver: str, source: str, reason: str, body: str, now: float) -> None:
        """Keep a body that can never be read, with its reason."""
        raise NotImplementedError

    def claim(self, limit: int, owner: str, now: float, lease: float) -> list[Claimed]:
        """Take up to `limit` due events, the first of its key each, all of one app_key, for `lease` seconds."""
        raise NotImplementedError

    def record(self, *, accepted: Sequence[Claimed] = (), duplicate: Sequence[Claimed] = (), now: float) -> None:
        """Note what BigPanda has: 2xx (`accepted`), or 204 (`duplicate`)."""
        raise NotImplementedError

    def postpone(self, claimed: Sequence[Claimed], not_before: float, reason: str) -> None:
        """Give back what was tried and not accepted, to be tried again at `not_before`; counts an attempt."""
        raise NotImplementedError

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give back what was not tried at all."""
        raise NotImplementedError

    def bury(self, claimed: Claimed, reason: str, now: float) -> None:
        """Make an event that will never be accepted a dead letter; its key goes on."""
        raise NotImplementedError

    def next_due(self, now: float) -> float | None:
        """Return when the next event is due (at most `now` when one is), None when nothing waits."""
        raise NotImplementedError

    def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """Return the dead letters, the oldest first."""
        raise NotImplementedError

    def requeue(
        self, ids: Sequence[int] | None, mapping_of: Callable[[str, str], Mapping | None], now: float
    ) -> Requeued:
        """Map dead letters anew (None: all of them) and send them again. `mapping_of(receiver, source)`."""
        raise NotImplementedError

    def discard(self, ids: Sequence[int]) -> int:
        """Give dead letters up; returns how many there were."""
        raise NotImplementedError

    def quarantined(self, limit: int = 1000) -> list[Quarantined]:
        """Return what could not be read, the oldest first."""
        raise NotImplementedError

    def counts(self) -> Counts:
        """Return what waits, is held and is dead, and the open alerts."""
        raise NotImplementedError

    def open_keys(self, source: str) -> list[OpenKey]:
        """Return the keys of a source that BigPanda has, or will have, as open."""
        raise NotImplementedError

    def receiver_names(self, source: str) -> frozenset[str]:
        """Return Alertmanager's names of its receivers that have sent to this source."""
        raise NotImplementedError

    def heartbeats(self) -> list[Heartbeat]:
        """Return when each watchdog was last heard."""
        raise NotImplementedError

    def gate(self, destination: str) -> Gate:
        """Return whether a destination may be tried, and since when not."""
        raise NotImplementedError

    def set_gate(self, destination: str, gate: Gate) -> None:
        """Note how a destination stands."""
        raise NotImplementedError

    def lead(self, role: str, owner: str, lease: float) -> bool:
        """Take, or keep, a role that only one of the replicas may have, for `lease` seconds."""
        raise NotImplementedError

    def writable(self) -> bool:
        """Tell whether the database can be written now."""
        raise NotImplementedError

    def prune(self, before: float, limit: int) -> int:
        """Delete up to `limit` rows of history older than `before`; returns how many."""
        raise NotImplementedError
