"""The vendors' rate limits: counting of requests."""

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """`allowed`, what remains in the window, and the epoch second at which it rolls over."""

    allowed: bool
    limit: int
    remaining: int
    reset: float


class FixedWindow:
    """A window starts with its first request and lasts `seconds`; refused requests do not lengthen it."""

    def __init__(self, limit: int, seconds: float = 60) -> None:
        self._limit, self._seconds = limit, seconds
        self._started, self._used = float("-inf"), 0

    def take(self, now: float, *, spend: bool = True) -> Verdict:
        """Spend one request at epoch second `now`, or only look."""
        if now >= self._started + self._seconds:
            self._started, self._used = now, 0
        allowed = self._used < self._limit
        self._used += allowed and spend
        return Verdict(allowed, self._limit, self._limit - self._used, self._started + self._seconds)


class SlidingWindow:
    """At most `limit` requests in any `seconds`."""

    def __init__(self, limit: int, seconds: float = 60) -> None:
        self._limit, self._seconds = limit, seconds
        self._taken: deque[float] = deque()

    def take(self, now: float, *, spend: bool = True) -> Verdict:
        """Spend one request at epoch second `now`, or only look."""
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()
        allowed = len(self._taken) < self._limit
        if allowed and spend:
            self._taken.append(now)
        reset = (self._taken[0] if self._taken else now) + self._seconds
        return Verdict(allowed, self._limit, self._limit - len(self._taken), reset)


_KINDS: dict[str, type[FixedWindow] | type[SlidingWindow]] = {"fixed": FixedWindow, "sliding": SlidingWindow}


class Limits:
    """One window per name (a token, an organization, an endpoint), made when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str, int, float], FixedWindow | SlidingWindow] = {}

    def take(  # noqa: PLR0913  a keyword for each property of the limit
        self, name: str, now: float, limit: int, seconds: float = 60, kind: str = "fixed", *, spend: bool = True
    ) -> Verdict:
        """Spend one request of `name`, or only look; `limit` 0 means unlimited. A changed limit starts a new window."""
        if not limit:
            return Verdict(allowed=True, limit=0, remaining=0, reset=now)
        key = (name, kind, limit, seconds)
        with self._lock:
            if key not in self._windows:
                self._windows[key] = _KINDS[kind](limit, seconds)
            return self._windows[key].take(now, spend=spend)

    def forget(self) -> None:
        """Restart every window."""
        with self._lock:
            self._windows.clear()
