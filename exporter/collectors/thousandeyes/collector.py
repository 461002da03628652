"""The knowledge from ThousandEyes's responses, and its metrics."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.collectors.contract import UNSEEN, Figure, Get, Request, Response
from exporter.collectors.lenient_json import read_object
from exporter.collectors.parts import furthest
from exporter.metrics.families import Family, Metric, Sample, gauge
from exporter.toolkit.text import counted, named

from . import rotation
from .answers import SEVERITIES, UNKNOWN, goes_on, read_alerts, read_rules, read_tests
from .config import Settings
from .knowledge import RULES, TESTS, Group, Knowledge, Reading, unless_emptied, with_page, with_reading
from .readings import LISTS, RESULTS, read_results
from .rotation import ALERTS, LONGEST_ROUND, LOOKUP_EVERY, wanted

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
_GRAVITY = {severity: rank for rank, severity in enumerate((*SEVERITIES, UNKNOWN))}


@dataclass(frozen=True, slots=True)
class Collector:
    """One organisation, as visible to one token, in one or several account groups."""

    settings: Settings

    metrics = (ACTIVE, SUPPRESSED, OLDEST, *READINGS, READ, TEST_INFO, ALERT)
    start = Knowledge

    def requests(self, knowledge: Knowledge, now: float, failing: int = 0) -> Iterator[Request]:  # noqa: ARG002  all are yielded
        """Return the requests for each account group."""
        return rotation.requests(self.settings, self._groups(knowledge), now)

    def _groups(self, knowledge: Knowledge) -> dict[str, Group]:
        """Return the configured groups; one added to others that already have listings starts behind them."""
        return {aid: knowledge.groups.get(aid, Group()) for aid in self.settings.groups()}

    def update(self, knowledge: Knowledge, request: Get, response: Response) -> Knowledge:
        """Return the knowledge after a response. Raises Malformed if the requested list is missing."""
        aid = dict(request.params).get("aid", "")
        groups = self._groups(knowledge)
        if aid not in groups:
            return knowledge
        before, group = groups[aid], self._updated(aid, groups[aid], request, response)
        if group.as_of != before.as_of:  # a complete listing brings a group level with the others
            group = replace(group, rounds=max(before.rounds + 1, furthest(groups)))
        return Knowledge({**groups, aid: group})

    def _updated(self, aid: str, group: Group, request: Get, response: Response) -> Group:
        at, body = response.at, response.body
        if request.endpoint == ALERTS:
            return with_page(group, dict(request.params), read_alerts(body), at, self.settings.max_pages)
        if request.endpoint == RULES:
            return unless_emptied(group, replace(group, rules_at=at, rules=read_rules(body)), RULES, at)
        if request.endpoint == TESTS:
            learned = replace(group, tests_at=at, tests={test.id: test for test in read_tests(body)})
            keys = wanted(self.settings, aid, learned)  # the others are dropped
            readings = {key: group.readings[key] for key in keys if key in group.readings}
            return unless_emptied(group, replace(learned, readings=readings), TESTS, at)
        kind, _, test = request.item.partition("/")
        if response.status in UNSEEN:
            reading = Reading(at, denied=True)
        elif kind in LISTS:
            document = read_object(body)
            reading = Reading(at, tuple(LISTS[kind][1](document)), truncated=goes_on(document))
        else:
            # BGP's rounds take 15 minutes, all others their test's interval, which is known if it is listed.
            is_known = kind != "bgp" and test in group.tests
            oldest = at - self.settings.max_age_of(request.every if is_known else LONGEST_ROUND)
            reading = Reading(at, tuple(read_results(test, RESULTS[kind], body, oldest)))
        return with_reading(group, request.item, reading)

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield counts first, then results and inventory that are not too old, then one series per alert."""
        groups = self._groups(knowledge)
        shown = {aid: each for aid, each in groups.items() if self.settings.shows(each.as_of, now)}
        yield from alert_counts(shown)
        yield from readings(self._shown_readings(groups, now), now)
        looked_up = {aid: each for aid, each in groups.items() if self.settings.shows(each.tests_at, now, LOOKUP_EVERY)}
        tests = [(aid, test) for aid, group in looked_up.items() for test in group.tests.values()]
        yield Family(TEST_INFO, [((aid, each.id, each.name, each.type), 1.0) for aid, each in tests])
        yield from single_alerts(shown)

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active alerts by severity, the number of tests with errors, and the offline agents."""
        groups = {aid: each for aid, each in self._groups(knowledge).items() if each.as_of is not None}
        severities = Counter(alert.severity for group in groups.values() for alert in group.alerts)
        by_severity = ", ".join(f"{severities[each]} {each}" for each in (*SEVERITIES, "unknown") if severities[each])
        alerts = counted(severities.total(), "active alert")
        bad = bool(severities["critical"] + severities["major"])
        yield Figure(f"{alerts}: {by_severity}" if by_severity else alerts, bad=bad)
        shown = self._shown_readings(groups, now)
        values = samples(shown)
        tests = sum(key.startswith("http/") for readings in shown.values() for key in readings)
        failing = sum(1 for _, ratio in values["test_availability_ratio"] if ratio < 1)
        if tests:
            yield Figure(f"{counted(tests, 'test')} measured, {failing} with errors", bad=failing > 0)
        agents = {labels[:2]: labels[2] or labels[1] for labels, _ in values["agent_info"] if labels[3] != "cloud"}
        offline = [agents[labels] for labels, online in values["agent_online"] if not online]
        if agents:
            summary = f"{counted(len(agents), 'enterprise agent')}, {len(offline)} offline"
            yield Figure(f"{summary}: {named(offline)}" if offline else summary, bad=bool(offline))

    def _shown_readings(self, groups: Mapping[str, Group], now: float) -> Readings:
        """Return the readings of each group that may still be shown, however long the rotation takes."""
        intervals = {aid: wanted(self.settings, aid, group) for aid, group in groups.items()}
        turn = sum("/" in key for keys in intervals.values() for key in keys) * 60.0 / self.settings.requests_per_minute
        return {
            aid: {
                key: known
                for key, every in intervals[aid].items()
                if (known := group.readings.get(key)) and not known.denied
                if self.settings.shows(known.at, now, max(every, turn) if "/" in key else every)
            }
            for aid, group in groups.items()
        }


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
    values["certificate_expiry_days"] = [(labels, (expires - now) / 86400) for labels, expires in ends]
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
