"""The stored record of one target: what is read from it, and when it is written next.

Who leads writes it every few seconds while something changes; who follows looks as often for what is new.
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
"""After a write or a read the record rests for so many times what it took: a big one costs a tenth of one core."""


class Snapshot:
    """What is stored of one target; nothing, without a `storage`. To be used by one thread at a time."""

    def __init__(self, storage: SnapshotStore | None, settings: TargetSettings, collector: Collector[Any]) -> None:
        self._storage = storage
        self._settings = settings
        self._collector = collector
        self._kinds = {"knowledge": type(collector.start()), "budget": Budget, "success": bool | None}
        """What of a target is stored, with its type; the rest is this process's own."""
        self._took = 0.0
        self._stamp: Hashable = None
        self._saved: Target[Any] | None = None
        self._saved_at = 0.0

    @property
    def rest(self) -> float:
        """Return the seconds between two writes, or two looks for what is new."""
        return max(self._storage.every if self._storage else 0.0, REST * self._took)

    def read(self, now: float) -> Target[Any]:
        """Return the target as it was stored, or as nothing is known of it. The first change is due to be written.

        What was stored stands for a first poll, as long as it may be shown.
        """
        rate = self._settings.requests_per_minute
        found = self.news(now) or Target(knowledge=self._collector.start(), budget=Budget.start(rate, now))
        as_of, round_at = found.knowledge.as_of, found.knowledge.round_at
        is_shown = as_of is not None and round_at is not None and now <= as_of + self._settings.max_age
        return replace(found, polled=is_shown, counting_since=now)

    def news(self, now: float) -> Target[Any] | None:
        """Return the target as it was stored since it was read last, None when it was not."""
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
        """Return the target as this exporter polls it from now on. That it does is to be written before it asks."""
        untold = max(self._storage.untold if self._storage else 0.0, self.rest)
        return replace(target, budget=target.budget.inherited(now, untold))

    def wait(self, target: Target[Any], now: float) -> float:
        """Return the seconds until `target` is to be written; infinity when it is what was written last."""
        saved = self._saved
        # Parts never change: which they are is enough to see.
        if self._storage is None or (
            saved and all(getattr(target, part) is getattr(saved, part) for part in self._kinds)
        ):
            return inf
        return max(0.0, self._saved_at + self.rest - now) if self._saved_at <= now else 0.0

    def end(self, target: Target[Any], now: float) -> None:
        """Store `target` for good: nothing will be spent any more that this does not tell."""
        self.write(replace(target, budget=replace(target.budget, settled=True)), now)

    def write(self, target: Target[Any], now: float) -> None:
        """Store `target`, unless it is what was written last."""
        if self._storage is None or self.wait(target, now) == inf:
            return
        began = time.monotonic()
        self._storage.save(self._settings, {part: getattr(target, part) for part in self._kinds})
        self._stamp = self._storage.stamp(self._settings)  # what was written here is no news
        self._saved, self._saved_at, self._took = target, now, time.monotonic() - began


def followed(mine: Target[Any], stored: Target[Any]) -> Target[Any]:
    """Return what a follower knows once the leader has stored `stored`; what is this process's own stays."""
    return replace(
        stored,
        # A leader that has only just begun knows nothing yet: until it does, what is known here is shown.
        knowledge=mine.knowledge if stored.knowledge.as_of is None else stored.knowledge,
        polled=stored.success is not None or mine.polled,
        requests=mine.requests,  # counted where they are sent
        counting_since=mine.counting_since,
        in_flight=mine.in_flight,  # probes that were begun while this exporter led
        probing=mine.probing,
    )
