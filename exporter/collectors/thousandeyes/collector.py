"""What to ask ThousandEyes, in which order, and what its answers mean."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, unquote

from exporter.collectors.contract import CONFIRM_AFTER, Certificate, Get, Reason, Request, Response
from exporter.collectors.figures import counted
from exporter.errors import Malformed
from exporter.metrics.families import Family, Metric
from exporter.metrics.health import Figure

from . import pages
from .answers import SEVERITIES, read_alerts, read_results, read_rules, read_tests
from .config import Settings
from .knowledge import ROUNDS_BEHIND, Group, Knowledge, Result, with_page

ACCEPT = "application/hal+json, application/json, application/problem+json"
ALERTS, RULES, TESTS, RESULTS = "/alerts", "/alerts/rules", "/tests", "/test-results/{id}/http-server"
LOOKUP_EVERY = 3600.0
"""Seconds between two lookups of names."""
LOOKUP_AGAIN = 300.0
"""Seconds after which names are looked up again because an alert names an id that the last lookup did not have."""
RESULTS_EVERY = 300.0
"""Seconds: the shortest time between two readings of one test's results."""
MISSED_RESULTS = 3
"""Results are withdrawn when so many readings in a row were missed, and `max_age` has passed."""


class Collector:
    """Alerts first, then names that are missing, then results and lookups in rotation."""

    metrics: tuple[Metric, ...] = pages.METRICS

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> Knowledge:
        """Return what is known before the first answer."""
        return Knowledge()

    def requests(self, knowledge: Knowledge, now: float) -> Iterator[Request]:
        """Yield, for each account group: its alerts, the names of rules and tests, the results of its tests."""
        groups = self._groups(knowledge)
        known = Knowledge(groups)
        for aid, group in groups.items():
            reason = Reason.OLDEST if known.is_behind(aid) else Reason.STATUS
            yield self._alerts_request(aid, group, reason, now)
        for aid, group in groups.items():
            yield _names_request(RULES, aid, group.rules_at, missing=group.names_unknown_rule())
            yield _names_request(TESTS, aid, group.tests_at, missing=group.names_unknown_test())
        for aid, group in groups.items():
            for test, every in self._measured(group).items():
                yield _results_request(aid, test, group.results.get(test), every)

    def _groups(self, knowledge: Knowledge) -> dict[str, Group]:
        """Return the configured groups; one that comes to others, which have listings, begins behind them."""
        new = Group(rounds=knowledge.rounds() - ROUNDS_BEHIND)
        return {aid: knowledge.groups.get(aid, new) for aid in self._settings.groups()}

    def _alerts_request(self, aid: str, group: Group, reason: Reason, now: float) -> Get:
        """Go on with a listing, or begin one. One that drags on past `max_age` is given up, cursor and all."""
        every, listing = self._settings.poll_interval, group.unfinished
        if listing is not None and now - listing.began <= self._settings.max_age:
            more = ("cursor", listing.cursors[-1])
            return _get(ALERTS, aid, reason, listing.began, every, ("state", "trigger"), more)
        due = 0.0 if group.as_of is None else group.as_of + every
        if group.emptied_at is not None:
            due = group.emptied_at + min(CONFIRM_AFTER, every)
        return _get(ALERTS, aid, reason, due, every, ("state", "trigger"))

    def _measured(self, group: Group) -> dict[str, float]:
        """Return the tests whose results are wanted, each with its interval in seconds.

        With several account groups a configured id belongs to the one that lists it; with one it is asked anyway.
        """
        wanted = self._settings.test_results
        intervals = {test.id: max(test.interval, RESULTS_EVERY) for test in group.tests.values()}
        if wanted is None:
            return {test.id: intervals[test.id] for test in group.tests.values() if test.measured}
        alone = len(self._settings.groups()) == 1
        return {test: intervals.get(test, RESULTS_EVERY) for test in wanted if alone or test in intervals}

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
        if request.endpoint == ALERTS:
            cursor, limit = dict(request.params).get("cursor"), self._settings.max_pages
            return with_page(group, read_alerts(response.body), at=response.at, cursor=cursor, max_pages=limit)
        if request.endpoint == RULES:
            return replace(group, rules_at=response.at, rules=read_rules(response.body))
        if request.endpoint == TESTS:
            return self._with_tests(group, response)
        test = unquote(request.path.split("/")[2])
        result = Result(response.at, read_results(response.body))
        return replace(group, results={**group.results, test: result})

    def _with_tests(self, group: Group, response: Response) -> Group:
        """Return the group after a lookup of its tests; results that are no longer wanted go."""
        tests = {test.id: test for test in read_tests(response.body)}
        learned = replace(group, tests_at=response.at, tests=tests)
        wanted = self._measured(learned)
        return replace(learned, results={test: group.results[test] for test in wanted if test in group.results})

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield counts first, then results that are not too old, then one series for each alert."""
        oldest_shown = now - self._settings.max_age
        groups = self._groups(knowledge)
        fresh = {aid: self._fresh(group, now) for aid, group in groups.items()}
        shown = {aid: each for aid, each in groups.items() if each.as_of is not None and each.as_of >= oldest_shown}
        yield from pages.families(shown, fresh, now)

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the active alerts by severity, and the tests that are not wholly available."""
        groups = {aid: each for aid, each in self._groups(knowledge).items() if each.as_of is not None}
        severities = Counter(alert.severity for group in groups.values() for alert in group.alerts)
        told = ", ".join(f"{severities[each]} {each}" for each in (*SEVERITIES, "unknown") if severities[each])
        alerts = counted(severities.total(), "active alert")
        yield Figure(f"{alerts}: {told}" if told else alerts, bad=bool(severities["critical"] + severities["major"]))
        results = [result for group in groups.values() for result in self._fresh(group, now).values()]
        failing = sum(
            1 for each in results if each.measured.availability is not None and each.measured.availability < 1
        )
        if results:
            yield Figure(f"{counted(len(results), 'test')} measured, {failing} with errors", bad=failing > 0)

    def _fresh(self, group: Group, now: float) -> dict[str, Result]:
        longest = {
            test: max(self._settings.max_age, MISSED_RESULTS * every) for test, every in self._measured(group).items()
        }
        return {test: result for test, result in group.results.items() if now - result.at <= longest.get(test, -1.0)}


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


def _results_request(aid: str, test: str, result: Result | None, every: float) -> Get:
    due = 0.0 if result is None else result.at + every
    path = f"/test-results/{quote(test, safe='')}/http-server"
    return _get(RESULTS, aid, Reason.OLDEST, due, every, ("expand", "certificate"), path=path)
