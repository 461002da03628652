"""The exporter's own families: how each target's polling goes, the last reload, the process."""

import platform
import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from exporter.metrics.families import Family, Metric, Sample
from exporter.metrics.health import Health
from exporter.toolkit import exposition
from exporter.toolkit.refusals import REASONS, Refusal

REQUESTS = Metric(
    "vendorwatch_api_requests_total",
    "counter",
    "Requests to the vendor's API, by endpoint template and outcome.",
    ("collector", "account", "endpoint", "outcome"),
)
BUILD = Metric("vendorwatch_build_info", "gauge", "What is running; always 1.", ("version", "pythonversion"))
RELOADED = Metric("vendorwatch_config_last_reload_successful", "gauge", "Whether the last reload succeeded.")
RELOADED_AT = Metric(
    "vendorwatch_config_last_reload_success_timestamp_seconds", "gauge", "When the configuration was last loaded."
)
SHARD = Metric(
    "vendorwatch_shard_info", "gauge", "Which of several exporters this is, and of how many; 1.", ("shard", "shards")
)
REFUSALS = Metric(
    "vendorwatch_http_refusals_total", "counter", "HTTP requests that were turned away, by reason.", ("reason",)
)
LEADER = Metric("vendorwatch_leader", "gauge", "Whether this exporter polls, 1, or serves what another one stores, 0.")
STORAGE = Metric("vendorwatch_storage_up", "gauge", "Whether PostgreSQL answers; while it does not, nothing is polled.")
_OF_TARGETS: tuple[tuple[Metric, Callable[[Health], float | None]], ...] = tuple(
    (Metric(f"vendorwatch_{name}", "gauge", text, ("collector", "account")), attrgetter(member))
    for name, text, member in (
        ("poll_success", "Whether all of the target is polled successfully.", "success"),
        ("poll_last_success_timestamp_seconds", "As of when the target's series hold.", "last_success"),
        ("poll_duration_seconds", "How long the last whole round of polls took.", "duration"),
        ("poll_truncated", "1 when a page cap or a series limit cut the answer.", "truncated"),
        (
            "api_rate_limit_remaining",
            "Requests that the vendor says are left in its window.",
            "rate_limit_remaining",
        ),
        ("target_series", "Series that the target has on this page.", "series"),
        (
            "budget_used_ratio",
            "The part of the request budget that was used in the last minute.",
            "budget_used_ratio",
        ),
        ("oldest_value_timestamp_seconds", "As of when the target's oldest value holds.", "oldest_value"),
    )
)


class Leadership(Protocol):
    """What an exporter is among those that share a database."""

    def leads(self) -> bool:
        """Tell whether this exporter polls."""

    def reached(self) -> bool:
        """Tell whether the database answers."""


class Running:
    """What runs, whether the last reload succeeded, and when one last did (epoch seconds)."""

    def __init__(self, release: str, shard: tuple[int, int] = (1, 1), leadership: Leadership | None = None) -> None:
        """`shard`: which of how many. `leadership` is None where nobody shares the storage."""
        self._leadership = leadership
        self._build = Family(BUILD, [((release, platform.python_version()), 1.0)])
        self._shard = shard
        self._successful = False
        self._at: float | None = None
        self._refusals = dict.fromkeys(REASONS, 0)
        self._counting_since = time.time()

    def refused(self, refusal: Refusal) -> None:
        """Count a request that was turned away."""
        self._refusals[refusal.reason] += 1

    def succeeded(self, now: float) -> None:
        """Note that the configuration was loaded."""
        self._successful, self._at = True, now

    def failed(self) -> None:
        """Note that a reload failed: the configuration before it stays in force."""
        self._successful = False

    def families(self) -> list[Family]:
        """Return it as metrics."""
        number, count = self._shard
        at: list[Sample] = [] if self._at is None else [((), self._at)]
        return [
            self._build,
            Family(SHARD, [((str(number), str(count)), 1.0)] if count > 1 else []),
            Family(LEADER, [((), float(self._leadership.leads()))] if self._leadership else []),
            Family(STORAGE, [((), float(self._leadership.reached()))] if self._leadership else []),
            Family(RELOADED, [((), float(self._successful))]),
            Family(RELOADED_AT, at),
            Family(
                REFUSALS,
                [((reason,), float(count)) for reason, count in self._refusals.items()],
                [self._counting_since] * len(self._refusals),
            ),
        ]

    def roles(self) -> list[str]:
        """Return what this exporter is among others, in words for people."""
        number, count = self._shard
        shard = [f"shard {number} of {count}"] if count > 1 else []
        if self._leadership is None:
            return shard
        if not self._leadership.reached():
            return [*shard, "without PostgreSQL: shows what is known, polls nothing until it is back"]
        return [*shard, "leading" if self._leadership.leads() else "following: shows what the leading exporter stores"]


def own_families(healths: Sequence[Health], more: Iterable[Family]) -> list[Family]:
    """Return the exporter's own families, and some more. What is not known of a target has no sample."""
    families = [
        Family(
            metric,
            [((each.collector, each.account), value) for each in healths if (value := value_of(each)) is not None],
        )
        for metric, value_of in _OF_TARGETS
    ]
    requests = [
        ((each.collector, each.account, endpoint, outcome), float(count))
        for each in healths
        for (endpoint, outcome), count in sorted(each.requests.items())
    ]
    counting_since = [each.counting_since for each in healths for _ in each.requests]
    return [*families, Family(REQUESTS, requests, counting_since), *more]


_PROCESS = CollectorRegistry()
ProcessCollector(registry=_PROCESS)
PlatformCollector(registry=_PROCESS)
GCCollector(registry=_PROCESS)


def python_lines(*, openmetrics: bool) -> bytes:
    """Return `process_*` and `python_*` as lines, without an end mark."""
    if not openmetrics:
        return exposition.text(_PROCESS)
    return exposition.openmetrics(_PROCESS).removesuffix(b"# EOF\n")
