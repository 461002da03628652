"""The rate limiter: a token bucket with a small burst, and never more in any minute than allowed.

Its times are by a monotonic clock, so a step of the wall clock neither blocks events nor lets too many through.
"""

import math
from collections import deque
from typing import Final

_WINDOW: Final = 60.0
_BURST: Final = 0.25
"""Seconds' worth of events that may go at once after a rest: a storm is sent in about four requests a second."""


class RateLimiter:
    """This process's share of BigPanda's limit: `per_minute` events.

    A rest earns at most the burst. The duration of a request earns in full, so that a slow BigPanda gets larger
    requests, not fewer events; the sum of the last minute enforces the limit even then.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._burst = max(1.0, per_minute / _WINDOW * _BURST)
        self._rate = max(per_minute - self._burst, per_minute / 2) / _WINDOW
        self._tokens = self._burst
        self._at = 0.0
        self._sent: deque[tuple[float, int]] = deque()

    def wait(self, now: float, events: int | None = None) -> float:
        """Return the seconds until `events` may go, by default a full burst."""
        # A long request may have earned more than the burst: that is spent, not cut.
        if self._tokens < self._burst:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        while self._sent and self._sent[0][0] <= now - _WINDOW:
            self._sent.popleft()
        wanted = math.floor(self._burst) if events is None else min(events, math.floor(self._burst))
        lacking = max(0.0, (wanted - self._tokens) / self._rate)
        # The sum of the last minute must leave room too: wait until enough of it has aged out.
        total, most = sum(count for _, count in self._sent), max(self.per_minute, events or 1) - (events or 1)
        for at, count in self._sent:
            if total <= most:
                break
            total -= count
            if total <= most:
                return max(lacking, at + _WINDOW - now)
        return lacking

    def allowance(self) -> int:
        """Return how many events may go now; at least one."""
        left = self.per_minute - sum(count for _, count in self._sent)
        return max(1, math.floor(min(self._tokens, left)))

    def sent(self, events: int, began: float, now: float) -> None:
        """Record a request of `events` events, in flight from `began` to `now`."""
        self._tokens += (now - began) * self._rate - events
        self._at = now
        self._sent.append((now, events))
