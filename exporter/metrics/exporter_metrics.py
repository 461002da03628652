"""The exporter's own metrics: each target's polling, the last reload, the process."""

import platform
import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Literal

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from exporter.metrics.families import Family, Metric
from exporter.metrics.health import Health
from exporter.toolkit import exposition
from exporter.toolkit.refusals import REASONS, Refusal


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", text, labels)


REQUESTS = Metric(
    "vendorwatch_api_requests_total",
    "counter",
    "Requests to the vendor's API, by endpoint template and outcome.",
    ("collector", "account", "endpoint", "outcome"),
)
BUILD = _gauge("vendorwatch_build_info", "Version of the running exporter; always 1.", "version", "pythonversion")
RELOADED = _gauge("vendorwatch_config_last_reload_successful", "Whether the last reload succeeded.")
RELOADED_AT = _gauge(
    "vendorwatch_config_last_reload_success_timestamp_seconds", "Time of the last successful configuration load."
)
SHARD = _gauge("vendorwatch_shard_info", "Shard of this exporter, and number of shards; always 1.", "shard", "shards")
REFUSALS = Metric("vendorwatch_http_refusals_total", "counter", "HTTP requests rejected, by reason.", ("reason",))
LEADER = _gauge("vendorwatch_leader", "1 if this exporter polls, 0 if it serves the data of the one that does.")
STORAGE = _gauge("vendorwatch_storage_up", "Whether PostgreSQL is reachable; while it is not, nothing is polled.")
_OF_TARGETS: tuple[tuple[Metric, Callable[[Health], float | None]], ...] = tuple(
    (_gauge(f"vendorwatch_{name}", text, "collector", "account"), attrgetter(member))
    for name, text, member in (
        ("poll_success", "Whether the whole target is polled successfully.", "success"),
        ("poll_last_success_timestamp_seconds", "Time as of which the target's series are valid.", "last_success"),
        ("poll_duration_seconds", "Duration of the last complete round of polls.", "duration"),
        ("poll_truncated", "1 if a page cap or the series limit cut the data, or a part keeps failing.", "truncated"),
        (
            "api_rate_limit_remaining",
            "Requests left in the vendor's rate limit window, as the vendor reports it.",
            "rate_limit_remaining",
        ),
        ("target_series", "Series of the target on this page.", "series"),
        ("budget_used_ratio", "Share of the request budget used in the last minute.", "budget_used_ratio"),
        ("oldest_value_timestamp_seconds", "Time as of which the target's oldest value is valid.", "oldest_value"),
    )
)


Role = Literal["leading", "following", "unavailable"]
"""The role of an exporter among those that share a database; `unavailable` while the database is."""
_ROLES: dict[Role, str] = {
    "leading": "leading",
    "following": "following: serving the data of the leading exporter",
    "unavailable": "PostgreSQL unavailable: serving the last known data, not polling",
}


class Running:
    """The running version, and the result and time (epoch seconds) of the last reload."""

    def __init__(self, release: str, shard: tuple[int, int] = (1, 1), role: Callable[[], Role] | None = None) -> None:
        """`shard`: its number, and the number of shards. `role` is None if the storage is not shared."""
        self._role = role
        self._build = Family(BUILD, [((release, platform.python_version()), 1.0)])
        self._shard = shard
        self._successful = False
        self._at: float | None = None
        self._refusals = dict.fromkeys(REASONS, 0)
        self._counting_since = time.time()

    def refused(self, refusal: Refusal) -> None:
        """Count a rejected request."""
        self._refusals[refusal.reason] += 1

    def succeeded(self, now: float) -> None:
        """Record that the configuration was loaded."""
        self._successful, self._at = True, now

    def failed(self) -> None:
        """Record that a reload failed: the previous configuration stays in force."""
        self._successful = False

    def families(self) -> list[Family]:
        """Return the metric families."""
        number, count = self._shard
        role = self._role() if self._role else None
        return [
            self._build,
            Family(SHARD, [((str(number), str(count)), 1.0)] if count > 1 else []),
            Family(LEADER, [((), float(role == "leading"))] if role else []),
            Family(STORAGE, [((), float(role != "unavailable"))] if role else []),
            Family(RELOADED, [((), float(self._successful))]),
            Family.of(RELOADED_AT, [((), self._at)]),
            Family(
                REFUSALS,
                [((reason,), float(count)) for reason, count in self._refusals.items()],
                [self._counting_since] * len(self._refusals),
            ),
        ]

    def roles(self) -> list[str]:
        """Return this exporter's shard and leadership in words."""
        number, count = self._shard
        shard = [f"shard {number} of {count}"] if count > 1 else []
        return [*shard, _ROLES[self._role()]] if self._role else shard


def own_families(healths: Sequence[Health], more: Iterable[Family]) -> list[Family]:
    """Return the exporter's own families and `more`. An unknown value has no sample."""
    families = [
        Family.of(metric, (((each.collector, each.account), value_of(each)) for each in healths))
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
    """Return `process_*` and `python_*` as lines, the last of the page: in OpenMetrics with the end marker."""
    return exposition.page(_PROCESS, openmetrics=openmetrics)[0]
