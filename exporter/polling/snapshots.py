"""The snapshot of one target: when it is read, and when it is written next.

The leader writes it every few seconds while something changes; followers check for a new one as often.
"""

import time
from collections.abc import Hashable
from dataclasses import replace
from math import inf
from typing import Any, Final

from exporter.collectors.contract import Collector
from exporter.collectors.settings import TargetSettings
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_store import SnapshotStore
from exporter.polling.target_state import Target, drop_future_state

REST: Final = 10
"""After a write or read, a snapshot rests this many times its duration, so that a big one costs a tenth of one core."""


class Snapshot:
    """The snapshot of one target; nothing is stored without a `storage`. For one thread at a time."""

    def __init__(self, storage: SnapshotStore | None, settings: TargetSettings, collector: Collector[Any]) -> None:
        self._storage = storage
        self._settings = settings
        self._collector = collector
        self._kinds = {"knowledge": type(collector.start()), "budget": Budget, "success": bool | None}
        """The parts of a target that are stored, with their types; the rest belongs to this process."""
        self._took = 0.0
        self._stamp: Hashable = None
        self._saved: Target[Any] | None = None
        self._saved_at = 0.0

    @property
    def rest(self) -> float:
        """Return the seconds between two writes, or two checks for a new snapshot."""
        return max(self._storage.every if self._storage else 0.0, REST * self._took)

    def read(self, now: float) -> Target[Any]:
        """Return the target as stored, or a new one. The first change is written at once.

        Stored data that may still be shown counts as a first poll.
        """
        rate = self._settings.requests_per_minute
        found = self.news(now) or Target(knowledge=self._collector.start(), budget=Budget.start(rate, now))
        as_of, round_at = found.knowledge.as_of, found.knowledge.round_at
        is_shown = as_of is not None and round_at is not None and now <= as_of + self._settings.max_age
        return replace(found, polled=is_shown, counting_since=now)

    def news(self, now: float) -> Target[Any] | None:
        """Return the target if it was stored again since the last read, else None."""
        if self._storage is None:
            return None
        began, stamp = time.monotonic(), self._storage.stamp(self._settings)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        stored = self._storage.load(self._settings, self._kinds)
        self._took = time.monotonic() - began
        if not stored:
            return None
        stored["budget"] = stored["budget"].at_rate(self._settings.requests_per_minute)
        self._saved = drop_future_state(self._collector, Target(**stored), now)
        return self._saved

    def resumed(self, target: Target[Any], now: float) -> Target[Any]:
        """Return the target as this exporter polls it from now on. That is stored before the first request."""
        loss_window = max(self._storage.loss_window if self._storage else 0.0, self.rest)
        return replace(target, budget=target.budget.inherited(now, loss_window))

    def wait(self, target: Target[Any], now: float) -> float:
        """Return the seconds until `target` is to be written; infinity if it is unchanged since the last write."""
        saved = self._saved
        # Parts are immutable, so comparing identities is enough.
        if self._storage is None or (
            saved and all(getattr(target, part) is getattr(saved, part) for part in self._kinds)
        ):
            return inf
        return max(0.0, self._saved_at + self.rest - now) if self._saved_at <= now else 0.0

    def end(self, target: Target[Any], now: float) -> None:
        """Store `target` for the last time, marking its budget as settled: nothing more will be spent."""
        self.write(replace(target, budget=replace(target.budget, settled=True)), now)

    def write(self, target: Target[Any], now: float) -> None:
        """Store `target`, unless it is unchanged since the last write."""
        if self._storage is None or self.wait(target, now) == inf:
            return
        began = time.monotonic()
        self._storage.save(self._settings, {part: getattr(target, part) for part in self._kinds})
        self._stamp = self._storage.stamp(self._settings)  # our own write is no news
        self._saved, self._saved_at, self._took = target, now, time.monotonic() - began


def followed(mine: Target[Any], stored: Target[Any]) -> Target[Any]:
    """Return a follower's target after the leader stored `stored`; this process's own parts are kept."""
    return replace(
        stored,
        # A leader that has just started knows nothing yet: until it does, show our own data.
        knowledge=mine.knowledge if stored.knowledge.as_of is None else stored.knowledge,
        polled=stored.success is not None or mine.polled,
        requests=mine.requests,  # each process counts the requests it sends
        counting_since=mine.counting_since,
        in_flight=mine.in_flight,  # probes started while this exporter led
        probing=mine.probing,
    )
