"""The metrics of ThousandEyes and their samples."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from exporter.metrics.families import Family, Metric, Sample, gauge

from .answers import SEVERITIES, UNKNOWN
from .knowledge import Group, Reading

Readings = Mapping[str, Mapping[str, Reading]]
"""By account group, and as in `Group.readings`."""
PREFIX = "thousandeyes_"


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return gauge(f"{PREFIX}{name}", text, "account_group", *labels)


ACTIVE = _gauge("active_alerts", "Active alerts, suppressed ones included.", "alert_type", "severity")
SUPPRESSED = _gauge(
    "suppressed_alerts", "Active alerts currently hidden by a suppression window.", "alert_type", "severity"
)
OLDEST = _gauge(
    "oldest_active_alert_timestamp_seconds",
    "When the oldest active alert started, in seconds since the epoch; absent without one.",
)
_OF_TESTS = {
    "test_availability_ratio":
        "Share of agents whose last round of the http-server test ended without an error, 0 to 1.",
    "certificate_expiry_timestamp_seconds":
        "When the first of the server certificates that the test's agents saw expires, in seconds since the epoch.",
    "test_bgp_reachability_ratio": "Share of BGP monitors' time in which they reached the prefix, 0 to 1, mean.",
    "test_bgp_updates": "BGP updates that all monitors saw for the prefix in the last round.",
    "test_bgp_path_changes": "Changes of the path that all monitors saw in the last round.",
    "test_dns_availability_ratio": "Share of agents whose DNS query was answered in the last round, 0 to 1.",
    "certificate_expiry_days": "Days until the first of the server certificates that the test's agents saw expires.",
}  # fmt: skip
_SPREAD = {
    "test_loss_ratio": "Share of packets that did not reach the target, 0 to 1, over the test's agents.",
    "test_latency_seconds": "Average round-trip time to the target, over the test's agents.",
    "test_jitter_seconds": "Standard deviation of the round-trip time, over the test's agents.",
}
_OF_AGENTS = {
    "agent_online": "Whether the enterprise agent is online; absent while it is disabled.",
    "agent_last_seen_timestamp_seconds": "When ThousandEyes last heard from the agent, in seconds since the epoch.",
    "agent_utilization_ratio": "Utilization of the agent, 0 to 1; a high one makes its measurements unreliable.",
    "agent_local_problems": "Active local problems of a cloud agent, at its own site; absent without any.",
    "agent_errors": "Errors that ThousandEyes reports for the agent.",
}
READINGS = (
    *(_gauge(name, text, "test_id") for name, text in _OF_TESTS.items()),
    *(_gauge(name, text, "test_id", "stat") for name, text in _SPREAD.items()),
    _gauge("cleared_alerts", "Alerts that ended within the configured `cleared_window`.", "alert_type", "severity"),
    *(_gauge(name, text, "agent_id") for name, text in _OF_AGENTS.items()),
    _gauge(
        "agent_info", "Constant 1: the agent's name, type and location.", "agent_id", "agent", "agent_type", "location"
    ),
    _gauge("units_used", "Units of the plan used in its current period."),
    _gauge("units_included", "Units that the plan includes in a period."),
    _gauge("outages", "Ongoing internet outages that affect the organisation's tests.", "type"),
)
"""The metrics of what is read beside the alerts."""
READ = _gauge(
    "oldest_reading_timestamp_seconds",
    "Time as of which the oldest value shown of a kind of results or inventory is valid, in seconds since the epoch.",
    "reading",
)
TEST_INFO = _gauge("test_info", "Constant 1: the test's name and type.", "test_id", "test", "test_type")
ALERT = _gauge(
    "alert_active",
    "Constant 1 for each active alert; rule and test by name, or by id while the name is unknown.",
    *("alert_id", "rule", "test", "alert_type", "severity"),
)
METRICS = (ACTIVE, SUPPRESSED, OLDEST, *READINGS, READ, TEST_INFO, ALERT)

DAY = 86_400.0
_GRAVITY = {severity: rank for rank, severity in enumerate((*SEVERITIES, UNKNOWN))}


def alert_counts(groups: Mapping[str, Group]) -> Iterator[Family]:
    """Yield the alerts of groups with a listing, by type and severity, and when the oldest of each group started."""
    for metric, states in ((ACTIVE, {True, False}), (SUPPRESSED, {True})):
        found: list[Sample] = []
        for aid, group in groups.items():
            # 0 for each known severity of a type that has been seen.
            counts = Counter({(kind, severity): 0 for kind in group.types for severity in SEVERITIES})
            counts.update((each.type, each.severity) for each in group.alerts if each.suppressed in states)
            found += [((aid, *labels), float(count)) for labels, count in counts.items()]
        yield Family(metric, found)
    times = {aid: [each.started for each in group.alerts if each.started is not None] for aid, group in groups.items()}
    yield Family(OLDEST, [((aid,), min(started)) for aid, started in times.items() if started])


def readings(shown: Readings, now: float) -> Iterator[Family]:
    """Yield the values of all readings, then the oldest time of each kind: their rotations differ in length."""
    values = samples(shown)
    ends = values["certificate_expiry_timestamp_seconds"]
    values["certificate_expiry_days"] = [(labels, (expires - now) / DAY) for labels, expires in ends]
    for metric in READINGS:
        yield Family(metric, values[metric.name.removeprefix(PREFIX)])
    oldest: dict[tuple[str, ...], float] = {}
    for aid, known in shown.items():
        for key, reading in known.items():
            labels = (aid, key.partition("/")[0])
            oldest[labels] = min(reading.at, oldest.get(labels, reading.at))
    yield Family(READ, list(oldest.items()))


def samples(shown: Readings) -> defaultdict[str, list[Sample]]:
    """Return the samples of readings by metric."""
    found = defaultdict[str, list[Sample]](list)
    for aid, readings in shown.items():
        for name, labels, value in (each for reading in readings.values() for each in reading.values):
            found[name].append(((aid, *labels), value))
    return found


def single_alerts(groups: Mapping[str, Group]) -> Iterator[Family]:
    """Yield 1 for each alert with an id, the most severe first: a limit cuts from the end."""
    found = [(aid, group, alert) for aid, group in groups.items() for alert in group.alerts if alert.id]
    found.sort(key=lambda each: (_GRAVITY[each[2].severity], each[0], each[2].id))
    samples: list[Sample] = []
    for aid, group, alert in found:
        # Rule and test are shown by id while their names are unknown.
        rule, test = group.rules.get(alert.rule_id, alert.rule_id), group.tests.get(alert.test_id)
        labels = (aid, alert.id, rule, (test.name if test else "") or alert.test_id, alert.type, alert.severity)
        samples.append((labels, 1.0))
    yield Family(ALERT, samples)
