"""The knowledge from ThousandEyes's responses, and its metrics."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from exporter.collectors.contract import Certificate, Get, Request, Response
from exporter.collectors.figures import counted, named
from exporter.errors import Malformed
from exporter.metrics.families import Family
from exporter.metrics.health import Figure

from . import pages, rotation
from .answers import SEVERITIES, Test, read_alerts, read_rules, read_tests
from .config import Settings
from .inventory import read_agents, read_local_problems, read_outages, read_usage
from .knowledge import ROUNDS_BEHIND, Group, Inventory, Knowledge, Result, with_cleared_page, with_page
from .measurements import read_results
from .rotation import CLEARED_EVERY, LOOKUP_EVERY, OUTAGES_EVERY, RESULT_KINDS, UNSEEN, USAGE_EVERY, measured

MISSED = 3
"""Data requested less often than the alerts is withdrawn after this many missed readings in a row."""


@dataclass(frozen=True, slots=True)
class Collector:
    """One organisation, as visible to one token, in one or several account groups."""

    settings: Settings

    metrics = pages.METRICS
    start = Knowledge
    """The knowledge before the first response."""

    def requests(self, knowledge: Knowledge, now: float) -> Iterator[Request]:
        """Return the requests for each account group."""
        return rotation.requests(self.settings, Knowledge(self._groups(knowledge)), now)

    def _groups(self, knowledge: Knowledge) -> dict[str, Group]:
        """Return the configured groups; one added to others that already have listings starts behind them."""
        new = Group(rounds=knowledge.rounds() - ROUNDS_BEHIND)
        return {aid: knowledge.groups.get(aid, new) for aid in self.settings.groups()}

    def update(self, knowledge: Knowledge, request: Request, response: Response | Certificate) -> Knowledge:
        """Return the knowledge after a response. Raises Malformed if the requested list is missing."""
        if isinstance(response, Certificate) or not isinstance(request, Get):
            raise Malformed("unexpected certificate")
        aid = dict(request.params).get("aid", "")
        groups = self._groups(knowledge)
        if aid not in groups:
            return knowledge
        return Knowledge(groups).with_group(aid, self._updated(groups[aid], request, response))

    def _updated(self, group: Group, request: Get, response: Response) -> Group:
        at, body, params = response.at, response.body, dict(request.params)
        cursor, most = params.get("cursor"), self.settings.max_pages
        known = group.inventory
        if response.status in UNSEEN:
            body = b'{"agents": [], "localProblems": []}'
        match request.endpoint:
            case "/alerts" if params.get("state") == "clear":
                known = with_cleared_page(known, read_alerts(body), at=at, cursor=cursor, max_pages=most)
            case "/alerts":
                return with_page(group, read_alerts(body), at=at, cursor=cursor, max_pages=most)
            case "/alerts/rules":
                return replace(group, rules_at=at, rules=read_rules(body))
            case "/tests":
                return self._with_tests(group, read_tests(body), at)
            case "/agents":
                known = replace(known, agents_at=at, agents=read_agents(body))
            case "/agents/local-problems":
                known = replace(known, problems_at=at, problems=read_local_problems(body))
            case "/usage":
                known = replace(known, usage_at=at, usage=read_usage(body))
            case "/internet-insights/outages/filter":
                known = replace(known, outages_at=at, outages=read_outages(body))
            case _:
                *_, test, name = request.path.split("/")
                kind = next(kind for kind, of_vendor in RESULT_KINDS.items() if of_vendor == name)
                results = {**group.results.get(kind, {}), unquote(test): Result(at, read_results(name, body))}
                return replace(group, results={**group.results, kind: results})
        return replace(group, inventory=known)

    def _with_tests(self, group: Group, tests: Iterable[Test], at: float) -> Group:
        """Return the group after a lookup of its tests, without results that are no longer wanted."""
        learned = replace(group, tests_at=at, tests={test.id: test for test in tests})
        results = {
            kind: {test: group.results[kind][test] for test in wanted if test in group.results.get(kind, {})}
            for kind, wanted in measured(self.settings, learned).items()
        }
        return replace(learned, results=results)

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield counts first, then results and inventory that are not too old, then one series per alert."""
        groups = self._groups(knowledge)
        oldest_shown = now - self.settings.max_age
        shown = {aid: each for aid, each in groups.items() if each.as_of is not None and each.as_of >= oldest_shown}
        yield from pages.alert_counts(shown)
        results = self._shown_results(groups, now)
        inventories = {aid: self._fresh_inventory(group.inventory, now) for aid, group in groups.items()}
        yield from pages.measured(results, now)
        yield from pages.inventory(inventories)
        yield from pages.readings(results, inventories)
        yield from pages.names(
            {aid: each for aid, each in groups.items() if self._holds(each.tests_at, LOOKUP_EVERY, now)}
        )
        yield from pages.single_alerts(shown)

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active alerts by severity, the number of tests with errors, and the offline agents."""
        groups = {aid: each for aid, each in self._groups(knowledge).items() if each.as_of is not None}
        severities = Counter(alert.severity for group in groups.values() for alert in group.alerts)
        by_severity = ", ".join(f"{severities[each]} {each}" for each in (*SEVERITIES, "unknown") if severities[each])
        alerts = counted(severities.total(), "active alert")
        bad = bool(severities["critical"] + severities["major"])
        yield Figure(f"{alerts}: {by_severity}" if by_severity else alerts, bad=bad)
        shown = self._shown_results(groups, now)
        tests = [result for kinds in shown.values() for result in kinds.get("http", {}).values()]
        failing = sum(1 for each in tests if each.measured.get("availability", 1.0) < 1)
        if tests:
            yield Figure(f"{counted(len(tests), 'test')} measured, {failing} with errors", bad=failing > 0)
        agents = [each for group in groups.values() for each in self._fresh_inventory(group.inventory, now).agents]
        offline = [agent.name or agent.id for agent in agents if agent.online is False]
        if agents:
            summary = f"{counted(len(agents), 'enterprise agent')}, {len(offline)} offline"
            yield Figure(f"{summary}: {named(offline)}" if offline else summary, bad=bool(offline))

    def _holds(self, at: float | None, every: float, now: float) -> bool:
        """Return whether data read at `at`, and again every `every` seconds, may still be shown."""
        return at is not None and now - at <= max(self.settings.max_age, MISSED * every)

    def _shown_results(self, groups: dict[str, Group], now: float) -> dict[str, dict[str, dict[str, Result]]]:
        """Return, by group, kind and test, the results that may still be shown, whatever the length of the rotation."""
        wanted = {aid: measured(self.settings, group) for aid, group in groups.items()}
        count = sum(len(tests) for kinds in wanted.values() for tests in kinds.values())
        turn = count * 60.0 / self.settings.requests_per_minute
        return {
            aid: {
                kind: {
                    test: result
                    for test, result in group.results.get(kind, {}).items()
                    if test in wanted[aid][kind] and self._holds(result.at, max(wanted[aid][kind][test], turn), now)
                }
                for kind in wanted[aid]
            }
            for aid, group in groups.items()
        }

    def _fresh_inventory(self, known: Inventory, now: float) -> Inventory:
        """Return an inventory without the parts that are too old to show."""
        settings, blank = self.settings, Inventory()
        if settings.agents and self._holds(known.agents_at, settings.agents_interval, now):
            blank = replace(blank, agents_at=known.agents_at, agents=known.agents)
        if settings.agents and self._holds(known.problems_at, settings.agents_interval, now):
            blank = replace(blank, problems_at=known.problems_at, problems=known.problems)
        if settings.cleared_window is not None and self._holds(known.cleared_at, CLEARED_EVERY, now):
            blank = replace(blank, cleared_at=known.cleared_at, cleared=known.cleared)
        if settings.usage and self._holds(known.usage_at, USAGE_EVERY, now):
            blank = replace(blank, usage_at=known.usage_at, usage=known.usage)
        if settings.outages and self._holds(known.outages_at, OUTAGES_EVERY, now):
            blank = replace(blank, outages_at=known.outages_at, outages=known.outages)
        return blank
