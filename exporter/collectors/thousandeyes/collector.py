"""What to ask ThousandEyes, in which order, and what its answers mean."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote, unquote

from exporter.collectors.contract import CONFIRM_AFTER, Certificate, Get, ReadingPost, Reason, Request, Response
from exporter.collectors.figures import counted
from exporter.errors import Malformed
from exporter.metrics.families import Family, Metric
from exporter.metrics.health import Figure

from . import pages
from .answers import SEVERITIES, Test, read_alerts, read_rules, read_tests
from .config import Settings
from .inventory import read_agents, read_local_problems, read_outages, read_usage
from .knowledge import ROUNDS_BEHIND, Group, Inventory, Knowledge, Listing, Result, with_cleared_page, with_page
from .measurements import read_results

ACCEPT = "application/hal+json, application/json, application/problem+json"
ALERTS, RULES, TESTS = "/alerts", "/alerts/rules", "/tests"
AGENTS, PROBLEMS, USAGE = "/agents", "/agents/local-problems", "/usage"
OUTAGES = "/internet-insights/outages/filter"
RESULT_KINDS = {"http": "http-server", "network": "network", "bgp": "bgp", "dns": "dns-server"}
"""What `result_types` calls a kind of results, and the vendor's name for it."""
LOOKUP_EVERY = 3600.0
"""Seconds between two lookups of names."""
LOOKUP_AGAIN = 300.0
"""Seconds after which names are looked up again because an alert names an id that the last lookup did not have."""
RESULTS_EVERY = 300.0
"""Seconds: the shortest time between two readings of one test's results."""
CLEARED_EVERY = 300.0
USAGE_EVERY = 3600.0
OUTAGES_EVERY = 300.0
ENTERPRISE_ONLY = ("agentTypes", "enterprise,enterprise-cluster")
"""Cloud agents are some hundreds, and the vendor's own."""
MISSED = 3
"""What is asked for less often than the alerts is withdrawn when so many readings in a row were missed."""


class Collector:
    """Alerts first, then names that are missing, then results and lookups in rotation."""

    metrics: tuple[Metric, ...] = pages.METRICS

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    start = Knowledge
    """What is known before the first answer."""

    def requests(self, knowledge: Knowledge, now: float) -> Iterator[Request]:
        """Yield, for each account group: its alerts, the names of rules and tests, then all that goes in rotation."""
        groups, every = self._groups(knowledge), self._settings.poll_interval
        known = Knowledge(groups)
        for aid, group in groups.items():
            due = _due(group.as_of, every)
            if group.emptied_at is not None:
                due = group.emptied_at + min(CONFIRM_AFTER, every)
            due, cursor = self._resumed(group.unfinished, due, now)
            reason = Reason.OLDEST if known.is_behind(aid) else Reason.STATUS
            yield _get(ALERTS, aid, reason, due, every, ("state", "trigger"), *cursor)
        for aid, group in groups.items():
            yield _names_request(RULES, aid, group.rules_at, missing=group.names_unknown_rule())
            yield _names_request(TESTS, aid, group.tests_at, missing=group.names_unknown_test())
        for aid, group in groups.items():
            yield from self._inventory_requests(aid, group.inventory, now)
            for kind, tests in self._measured(group).items():
                for test, interval in tests.items():
                    result = group.results.get(kind, {}).get(test)
                    due = _due(result.at if result else None, interval)
                    more = (("expand", "certificate"),) if kind == "http" else ()
                    endpoint = f"/test-results/{{id}}/{RESULT_KINDS[kind]}"
                    path = endpoint.replace("{id}", quote(test, safe=""))
                    yield _get(endpoint, aid, Reason.OLDEST, due, interval, *more, path=path)

    def _groups(self, knowledge: Knowledge) -> dict[str, Group]:
        """Return the configured groups; one that comes to others, which have listings, begins behind them."""
        new = Group(rounds=knowledge.rounds() - ROUNDS_BEHIND)
        return {aid: knowledge.groups.get(aid, new) for aid in self._settings.groups()}

    def _resumed(self, listing: Listing | None, due: float, now: float) -> tuple[float, tuple[tuple[str, str], ...]]:
        """Return when the next page is due and its cursor, of a new listing when the last one has ended.

        One that drags on past `max_age` is given up, cursor and all.
        """
        if listing is None or now - listing.began > self._settings.max_age:
            return due, ()
        return listing.began, (("cursor", listing.cursors[-1]),)

    def _inventory_requests(self, aid: str, known: Inventory, now: float) -> Iterator[Request]:
        """Yield what is switched on beside alerts and results; usage and outages are the whole organisation's."""
        settings = self._settings
        if settings.cleared_window is not None:
            asked = (("state", "clear"), ("window", f"{settings.cleared_window:.0f}s"))
            due, cursor = self._resumed(known.cleared_listing, _due(known.cleared_at, CLEARED_EVERY), now)
            yield _get(ALERTS, aid, Reason.OLDEST, due, CLEARED_EVERY, *asked, *cursor)
        if settings.agents:
            every = settings.agents_interval
            yield _get(AGENTS, aid, Reason.OLDEST, _due(known.agents_at, every), every, ENTERPRISE_ONLY)
            yield _get(PROBLEMS, aid, Reason.OLDEST, _due(known.problems_at, every), every)
        if aid != settings.groups()[0]:
            return
        if settings.usage:
            yield _get(USAGE, aid, Reason.OLDEST, _due(known.usage_at, USAGE_EVERY), USAGE_EVERY)
        if settings.outages:
            yield ReadingPost(
                endpoint=OUTAGES,
                reason=Reason.OLDEST,
                due=_due(known.outages_at, OUTAGES_EVERY),
                every=OUTAGES_EVERY,
                path=OUTAGES,
                params=(("aid", aid),) if aid else (),
                accept=ACCEPT,
                content=b'{"window": "1h", "outageScope": "with-affected-test"}',
            )

    def _measured(self, group: Group) -> dict[str, dict[str, float]]:
        """Return by kind the tests whose results are wanted, each with its interval in seconds.

        With several account groups a configured id belongs to the one that lists it; with one it is asked anyway.
        """
        wanted, alone = self._settings.test_results, len(self._settings.groups()) == 1
        ids = group.tests if wanted is None else [test for test in wanted if alone or test in group.tests]
        return {
            kind: {
                test: max(group.tests[test].interval if test in group.tests else 0.0, RESULTS_EVERY)
                for test in ids
                if _has(kind, group.tests.get(test), chosen=wanted is not None)
            }
            for kind in self._settings.result_types
        }

    def update(self, knowledge: Knowledge, request: Request, response: Response | Certificate) -> Knowledge:
        """Return the knowledge after an answer; `Malformed` when it lacks the list it was asked for."""
        if isinstance(response, Certificate) or not isinstance(request, Get):
            raise Malformed("a certificate was not asked for")
        aid = dict(request.params).get("aid", "")
        groups = self._groups(knowledge)
        if aid not in groups:
            return knowledge
        return Knowledge(groups).told(aid, self._updated(groups[aid], request, response))

    def _updated(self, group: Group, request: Get, response: Response) -> Group:
        at, body, params = response.at, response.body, dict(request.params)
        cursor, most = params.get("cursor"), self._settings.max_pages
        known = group.inventory
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
        """Return the group after a lookup of its tests; results that are no longer wanted go."""
        learned = replace(group, tests_at=at, tests={test.id: test for test in tests})
        results = {
            kind: {test: group.results[kind][test] for test in wanted if test in group.results.get(kind, {})}
            for kind, wanted in self._measured(learned).items()
        }
        return replace(learned, results=results)

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield counts first, then results and inventory that are not too old, then one series for each alert."""
        groups = self._groups(knowledge)
        oldest_shown = now - self._settings.max_age
        shown = {aid: each for aid, each in groups.items() if each.as_of is not None and each.as_of >= oldest_shown}
        yield from pages.alert_counts(shown)
        yield from pages.measured({aid: self._fresh(group, now) for aid, group in groups.items()}, now)
        yield from pages.inventory({aid: self._fresh_inventory(group.inventory, now) for aid, group in groups.items()})
        yield from pages.names(
            {aid: each for aid, each in groups.items() if self._holds(each.tests_at, LOOKUP_EVERY, now)}
        )
        yield from pages.single_alerts(shown)

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active alerts by severity, and the tests that are not wholly available."""
        groups = {aid: each for aid, each in self._groups(knowledge).items() if each.as_of is not None}
        severities = Counter(alert.severity for group in groups.values() for alert in group.alerts)
        told = ", ".join(f"{severities[each]} {each}" for each in (*SEVERITIES, "unknown") if severities[each])
        alerts = counted(severities.total(), "active alert")
        yield Figure(f"{alerts}: {told}" if told else alerts, bad=bool(severities["critical"] + severities["major"]))
        tests = [result for group in groups.values() for result in self._fresh(group, now).get("http", {}).values()]
        failing = sum(1 for each in tests if each.measured.get("availability", 1.0) < 1)
        if tests:
            yield Figure(f"{counted(len(tests), 'test')} measured, {failing} with errors", bad=failing > 0)

    def _holds(self, at: float | None, every: float, now: float) -> bool:
        """Tell whether what was read at `at`, and is read again after `every` seconds, may still be shown."""
        return at is not None and now - at <= max(self._settings.max_age, MISSED * every)

    def _fresh(self, group: Group, now: float) -> dict[str, dict[str, Result]]:
        return {
            kind: {
                test: result
                for test, result in group.results.get(kind, {}).items()
                if test in wanted and self._holds(result.at, wanted[test], now)
            }
            for kind, wanted in self._measured(group).items()
        }

    def _fresh_inventory(self, known: Inventory, now: float) -> Inventory:
        """Return what of an inventory may still be shown: the rest as if it had never been asked for."""
        settings, blank = self._settings, Inventory()
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


def _has(kind: str, test: Test | None, *, chosen: bool) -> bool:
    """Tell whether a test is asked for results of a kind. A test that was `chosen` by its id is, if it has them."""
    if test is None:
        return kind == "http"  # not listed yet, or to another group: the default is tried
    if kind == "http" and not chosen:
        return test.of_today and test.type == "http-server"
    return (chosen or test.of_today) and (RESULT_KINDS[kind] in test.kinds or (chosen and kind == "http"))


def _due(at: float | None, every: float) -> float:
    return 0.0 if at is None else at + every


def _get(  # noqa: PLR0913  a request is what its members say
    endpoint: str, aid: str, reason: Reason, due: float, every: float, *params: tuple[str, str], path: str = ""
) -> Get:
    group = (("aid", aid),) if aid else ()
    return Get(
        endpoint=endpoint,
        reason=reason,
        due=due,
        every=every,
        path=path or endpoint,
        params=(*group, *params),
        accept=ACCEPT,
    )


def _names_request(endpoint: str, aid: str, at: float | None, *, missing: bool) -> Get:
    if at is None:
        return _get(endpoint, aid, Reason.CHANGED, 0.0, LOOKUP_EVERY)
    if missing:
        return _get(endpoint, aid, Reason.CHANGED, at + LOOKUP_AGAIN, LOOKUP_AGAIN)
    return _get(endpoint, aid, Reason.OLDEST, at + LOOKUP_EVERY, LOOKUP_EVERY)
