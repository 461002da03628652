"""The metrics of ThousandEyes and their samples."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from exporter.metrics.families import Family, Sample, gauge

from .answers import SEVERITIES, UNKNOWN, Alert
from .knowledge import Group, Inventory, Result

ACTIVE = gauge(
    "thousandeyes_active_alerts",
    "Active alerts, suppressed ones included.",
    "account_group",
    "alert_type",
    "severity",
)
SUPPRESSED = gauge(
    "thousandeyes_suppressed_alerts",
    "Active alerts currently hidden by a suppression window.",
    "account_group",
    "alert_type",
    "severity",
)
OLDEST = gauge(
    "thousandeyes_oldest_active_alert_timestamp_seconds",
    "When the oldest active alert started, in seconds since the epoch; absent without one.",
    "account_group",
)
AVAILABILITY = gauge(
    "thousandeyes_test_availability_ratio",
    "Share of agents whose last round of the http-server test ended without an error, 0 to 1.",
    "account_group",
    "test_id",
)
EXPIRY_DAYS = gauge(
    "thousandeyes_certificate_expiry_days",
    "Days until the first of the server certificates that the test's agents saw expires.",
    "account_group",
    "test_id",
)
EXPIRY = gauge(
    "thousandeyes_certificate_expiry_timestamp_seconds",
    "When the first of the server certificates that the test's agents saw expires, in seconds since the epoch.",
    "account_group",
    "test_id",
)
ALERT = gauge(
    "thousandeyes_alert_active",
    "Constant 1 for each active alert; rule and test by name, or by id while the name is unknown.",
    "account_group",
    "alert_id",
    "rule",
    "test",
    "alert_type",
    "severity",
)
CLEARED = gauge(
    "thousandeyes_cleared_alerts",
    "Alerts that ended within the configured `cleared_window`.",
    "account_group",
    "alert_type",
    "severity",
)
LOSS, LATENCY, JITTER = (
    gauge(f"thousandeyes_test_{name}", f"{text}, over the test's agents.", "account_group", "test_id", "stat")
    for name, text in (
        ("loss_ratio", "Share of packets that did not reach the target, 0 to 1"),
        ("latency_seconds", "Average round-trip time to the target"),
        ("jitter_seconds", "Standard deviation of the round-trip time"),
    )
)
REACHABILITY, UPDATES, PATH_CHANGES, DNS_AVAILABILITY = (
    gauge(f"thousandeyes_test_{name}", text, "account_group", "test_id")
    for name, text in (
        ("bgp_reachability_ratio", "Share of BGP monitors' time in which they reached the prefix, 0 to 1, mean."),
        ("bgp_updates", "BGP updates that all monitors saw for the prefix in the last round."),
        ("bgp_path_changes", "Changes of the path that all monitors saw in the last round."),
        ("dns_availability_ratio", "Share of agents whose DNS query was answered in the last round, 0 to 1."),
    )
)
TEST_INFO = gauge("thousandeyes_test_info", "Constant 1: the test's name and type.", "account_group", "test_id",
                  "test", "test_type")  # fmt: skip
AGENT_ONLINE, AGENT_SEEN, AGENT_LOAD, AGENT_PROBLEMS, AGENT_ERRORS = (
    gauge(f"thousandeyes_agent_{name}", text, "account_group", "agent_id")
    for name, text in (
        ("online", "Whether the enterprise agent is online; absent while it is disabled."),
        ("last_seen_timestamp_seconds", "When ThousandEyes last heard from the agent, in seconds since the epoch."),
        ("utilization_ratio", "Utilization of the agent, 0 to 1; a high one makes its measurements unreliable."),
        ("local_problems", "Active local problems of the agent: in its own network, not at the target."),
        ("errors", "Errors that ThousandEyes reports for the agent."),
    )
)
AGENT_INFO = gauge("thousandeyes_agent_info", "Constant 1: the agent's name, type and location.", "account_group",
                   "agent_id", "agent", "agent_type", "location")  # fmt: skip
UNITS_USED = gauge("thousandeyes_units_used", "Units of the plan used in its current period.", "account_group")
UNITS_INCLUDED = gauge("thousandeyes_units_included", "Units that the plan includes in a period.", "account_group")
OUTAGES = gauge(
    "thousandeyes_outages", "Ongoing internet outages that affect the organisation's tests.", "account_group", "type"
)
READ = gauge(
    "thousandeyes_oldest_reading_timestamp_seconds",
    "Time as of which the oldest value shown of a kind of results or inventory is valid, in seconds since the epoch.",
    "account_group",
    "reading",
)
METRICS = (
    ACTIVE, SUPPRESSED, OLDEST,
    AVAILABILITY, EXPIRY, REACHABILITY, UPDATES, PATH_CHANGES, DNS_AVAILABILITY, EXPIRY_DAYS, LOSS, LATENCY, JITTER,
    CLEARED, AGENT_ONLINE, AGENT_SEEN, AGENT_LOAD, AGENT_PROBLEMS, AGENT_ERRORS, AGENT_INFO,
    UNITS_USED, UNITS_INCLUDED, OUTAGES, READ, TEST_INFO, ALERT,
)  # fmt: skip
_SPREAD = ((LOSS, "loss"), (LATENCY, "latency"), (JITTER, "jitter"))
_SINGLE = (
    (AVAILABILITY, "availability"),
    (EXPIRY, "expires"),
    (REACHABILITY, "bgp reachability"),
    (UPDATES, "bgp updates"),
    (PATH_CHANGES, "bgp path changes"),
    (DNS_AVAILABILITY, "dns availability"),
)
"""The measurement of each metric."""

DAY = 86_400.0
_GRAVITY = {severity: rank for rank, severity in enumerate((*SEVERITIES, UNKNOWN))}


def alert_counts(groups: Mapping[str, Group]) -> Iterator[Family]:
    """Yield the counts of all groups with a listing."""
    suppressed = {aid: [alert for alert in group.alerts if alert.suppressed] for aid, group in groups.items()}
    started = {
        aid: [each.started for each in group.alerts if each.started is not None] for aid, group in groups.items()
    }
    yield Family(ACTIVE, [sample for aid, group in groups.items() for sample in _counts(aid, group, group.alerts)])
    yield Family(SUPPRESSED, [each for aid, group in groups.items() for each in _counts(aid, group, suppressed[aid])])
    yield Family(OLDEST, [((aid,), min(moments)) for aid, moments in started.items() if moments])


def _counts(aid: str, group: Group, alerts: Iterable[Alert]) -> Iterator[Sample]:
    """Count by type and severity, with 0 for each known severity of a type that has been seen."""
    counts = Counter({(kind, severity): 0 for kind in group.types for severity in SEVERITIES})
    counts.update((alert.type, alert.severity) for alert in alerts)
    yield from (((aid, kind, severity), float(count)) for (kind, severity), count in counts.items())


def measured(results: Mapping[str, Mapping[str, Mapping[str, Result]]], now: float) -> Iterator[Family]:
    """Yield the tests' measurements by account group, kind and test; a certificate's days are counted from `now`."""
    found = [
        ((aid, test), result.measured)
        for aid, kinds in results.items()
        for tests in kinds.values()
        for test, result in tests.items()
    ]
    for metric, name in _SINGLE:
        yield Family(metric, [(labels, each[name]) for labels, each in found if name in each])
    expiries = [(labels, each["expires"]) for labels, each in found if "expires" in each]
    yield Family(EXPIRY_DAYS, [(labels, (expires - now) / DAY) for labels, expires in expiries])
    for metric, name in _SPREAD:
        yield Family(
            metric,
            [
                ((*labels, stat), each[f"{name} {stat}"])
                for labels, each in found
                for stat in ("mean", "max")
                if f"{name} {stat}" in each
            ],
        )


def inventory(groups: Mapping[str, Inventory]) -> Iterator[Family]:
    """Yield cleared alerts, agents, usage and outages by account group, as far as they were requested."""
    kinds = [((aid, kind, severity), float(n)) for aid, each in groups.items() for kind, severity, n in each.cleared]
    yield Family(CLEARED, kinds)
    agents = [((aid, agent.id), agent, each) for aid, each in groups.items() for agent in each.agents]
    yield Family(
        AGENT_ONLINE, [(labels, float(agent.online)) for labels, agent, _ in agents if agent.online is not None]
    )
    yield Family(AGENT_SEEN, [(labels, agent.seen) for labels, agent, _ in agents if agent.seen is not None])
    yield Family(AGENT_LOAD, [(labels, agent.load) for labels, agent, _ in agents if agent.load is not None])
    yield Family(
        AGENT_PROBLEMS,
        [
            (labels, float(each.problems.get(agent.id, 0)))
            for labels, agent, each in agents
            if each.problems_at is not None
        ],
    )
    yield Family(AGENT_ERRORS, [(labels, float(agent.errors)) for labels, agent, _ in agents])
    yield Family(AGENT_INFO, [((*labels, agent.name, agent.type, agent.location), 1.0) for labels, agent, _ in agents])
    usages = [((aid,), each.usage) for aid, each in groups.items()]
    yield Family(UNITS_USED, [(labels, usage.used) for labels, usage in usages if usage.used is not None])
    yield Family(UNITS_INCLUDED, [(labels, usage.included) for labels, usage in usages if usage.included is not None])
    yield Family(OUTAGES, [((aid, kind), float(n)) for aid, each in groups.items() for kind, n in each.outages.items()])


def readings(
    results: Mapping[str, Mapping[str, Mapping[str, Result]]], inventories: Mapping[str, Inventory]
) -> Iterator[Family]:
    """Yield the oldest reading shown of each kind: their rotations differ in length."""
    measured = {
        (aid, kind): min(result.at for result in tests.values())
        for aid, kinds in results.items()
        for kind, tests in kinds.items()
        if tests
    }
    listed = {
        (aid, kind): at
        for aid, each in inventories.items()
        for kind, at in (
            ("agents", each.agents_at if each.agents else None),
            ("local_problems", each.problems_at if each.agents else None),
            ("cleared_alerts", each.cleared_at),
            ("usage", None if each.usage.used is None else each.usage_at),
            ("outages", each.outages_at),
        )
        if at is not None
    }
    yield Family(READ, list((measured | listed).items()))


def names(groups: Mapping[str, Group]) -> Iterator[Family]:
    """Yield the name and type of each test, for rules and panels to join."""
    tests = [(aid, test) for aid, group in groups.items() for test in group.tests.values()]
    yield Family(TEST_INFO, [((aid, test.id, test.name, test.type), 1.0) for aid, test in tests])


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
