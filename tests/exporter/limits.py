"""A vendor's limit, as the vendor may draw its minutes."""

from bisect import bisect_right
from collections import deque


class Limiter:
    """So many requests a minute: both as a sliding window and as minutes of the clock."""

    def __init__(self, limit=60):
        self.limit = limit
        self.window = deque()
        self.minutes = {}

    def allows(self, now):
        """Count a request; tell whether it is within the limit."""
        while self.window and self.window[0] <= now - 60:
            self.window.popleft()
        self.window.append(now)
        self.minutes[now // 60] = self.minutes.get(now // 60, 0) + 1
        return len(self.window) <= self.limit and self.minutes[now // 60] <= self.limit


def fullest(times):
    """Return the most requests that any 60 s hold."""
    return max(position + 1 - bisect_right(times, at - 60) for position, at in enumerate(times))
