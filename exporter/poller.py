"""One loop per target: pick, ask, learn, publish, count the outcome."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.collector import Collector
from exporter.families import Family
from exporter.settings import TargetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one target's polling goes. Times are epoch seconds; what is not known is None, never 0."""

    collector: str
    account: str
    success: bool | None
    """True after a whole round of statuses, False when the last status ask failed, None before the first ended."""
    last_success: float | None
    """As of when the last whole round holds."""
    duration: float | None
    """Seconds that the last whole round took."""
    truncated: bool
    series: int
    requests: Mapping[tuple[str, str], int]
    """By endpoint (a template) and outcome (`ok` or a PollError's `reason`)."""
    rate_limit_remaining: float | None
    budget_used_ratio: float
    oldest_value: float | None
    first_poll_ended: bool
    last_error: str
    last_error_at: float | None
    next_poll: float | None
    paused_until: float | None
    paused_reason: str


class Poller:
    """Polls one target in its own threads and holds what is known of it. All methods are safe from any thread."""

    settings: TargetSettings
    collector: Collector[Any]

    def __init__(
        self,
        settings: TargetSettings,
        collector: Collector[Any],
        session: Any,
        clock: Callable[[], float],
        on_change: Callable[["Poller"], None],
        storage: Any = None,
    ) -> None:
        self.settings = settings
        self.collector = collector
        self._stop = threading.Event()

    def families(self, now: float) -> list[Family]:
        """Return the metrics, cut to `series_limit`; none before the first round or past `max_age`."""
        raise NotImplementedError

    def expires(self) -> float | None:
        """Return the epoch second from which `families` is empty by age; None while nothing is known."""
        raise NotImplementedError

    def health(self) -> Health:
        """Return how the polling goes."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the loop; returns at once."""
        raise NotImplementedError

    def stop(self, timeout: float) -> None:
        """End the loop, waiting at most `timeout` seconds, and store what is known."""
        raise NotImplementedError
