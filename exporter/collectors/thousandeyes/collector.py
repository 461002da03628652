"""The knowledge from ThousandEyes's responses, and its metrics."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.collectors.contract import UNSEEN, Get, Request, Response
from exporter.collectors.figures import named
from exporter.collectors.parts import furthest
from exporter.metrics.families import Family
from exporter.metrics.health import Figure
from exporter.toolkit.text import counted

from . import pages, rotation
from .answers import SEVERITIES, read_alerts, read_rules, read_tests
from .config import Settings
from .knowledge import Group, Knowledge, Reading, with_page
from .pages import Readings
from .readings import LISTS, RESULTS, read_results
from .rotation import ALERTS, LONGEST_ROUND, LOOKUP_EVERY, RULES, TESTS, wanted


@dataclass(frozen=True, slots=True)
class Collector:
    """One organisation, as visible to one token, in one or several account groups."""

    settings: Settings

    metrics = pages.METRICS
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
            return replace(group, rules_at=at, rules=read_rules(body))
        if request.endpoint == TESTS:
            learned = replace(group, tests_at=at, tests={test.id: test for test in read_tests(body)})
            keys = wanted(self.settings, aid, learned)  # the others are dropped
            return replace(learned, readings={key: group.readings[key] for key in keys if key in group.readings})
        kind, _, test = request.item.partition("/")
        if response.status in UNSEEN:
            reading = Reading(at, denied=True)
        elif kind in LISTS:
            reading = Reading(at, tuple(LISTS[kind][1](body)))
        else:
            # BGP's rounds take 15 minutes, all others their test's interval, which is known if it is listed.
            is_known = kind != "bgp" and test in group.tests
            oldest = at - self.settings.max_age_of(request.every if is_known else LONGEST_ROUND)
            reading = Reading(at, tuple(read_results(test, RESULTS[kind], body, oldest)))
        return replace(group, readings={**group.readings, request.item: reading})

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield counts first, then results and inventory that are not too old, then one series per alert."""
        groups = self._groups(knowledge)
        shown = {aid: each for aid, each in groups.items() if self.settings.shows(each.as_of, now)}
        yield from pages.alert_counts(shown)
        yield from pages.readings(self._shown_readings(groups, now), now)
        looked_up = {aid: each for aid, each in groups.items() if self.settings.shows(each.tests_at, now, LOOKUP_EVERY)}
        tests = [(aid, test) for aid, group in looked_up.items() for test in group.tests.values()]
        yield Family(pages.TEST_INFO, [((aid, each.id, each.name, each.type), 1.0) for aid, each in tests])
        yield from pages.single_alerts(shown)

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active alerts by severity, the number of tests with errors, and the offline agents."""
        groups = {aid: each for aid, each in self._groups(knowledge).items() if each.as_of is not None}
        severities = Counter(alert.severity for group in groups.values() for alert in group.alerts)
        by_severity = ", ".join(f"{severities[each]} {each}" for each in (*SEVERITIES, "unknown") if severities[each])
        alerts = counted(severities.total(), "active alert")
        bad = bool(severities["critical"] + severities["major"])
        yield Figure(f"{alerts}: {by_severity}" if by_severity else alerts, bad=bad)
        shown = self._shown_readings(groups, now)
        values = pages.samples(shown)
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
