"""The requests to ThousandEyes: alerts first, then missing names, then lists, then results in rotation."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

from exporter.collectors.contract import CONFIRM_AFTER, Get, ReadingPost, Reason, Request

from .answers import Test
from .config import Settings
from .knowledge import Group, Inventory, Knowledge, Listing

ACCEPT = "application/hal+json, application/json, application/problem+json"
ALERTS, RULES, TESTS = "/alerts", "/alerts/rules", "/tests"
AGENTS, PROBLEMS, USAGE = "/agents", "/agents/local-problems", "/usage"
OUTAGES = "/internet-insights/outages/filter"
RESULT_KINDS = {"http": "http-server", "network": "network", "bgp": "bgp", "dns": "dns-server"}
"""The kinds of results in `result_types`, and the vendor's names for them."""
LOOKUP_EVERY = 3600.0
"""Seconds between two lookups of names."""
LOOKUP_AGAIN = 300.0
"""Seconds after which names are looked up again because an alert has an id that the last lookup lacked."""
RESULTS_EVERY = 300.0
"""Shortest interval in seconds between two readings of one test's results."""
CLEARED_EVERY = 300.0
USAGE_EVERY = 3600.0
OUTAGES_EVERY = 300.0
ENTERPRISE_ONLY = ("agentTypes", "enterprise,enterprise-cluster")
"""Leaves out cloud agents: there are hundreds, run by the vendor."""
ALERTS_SHARE = 0.9
"""Share of the budget for alerts; the rest is for names, lists and results."""
UNSEEN = frozenset({403, 404})
"""Statuses with which ThousandEyes answers if the token may not see agents or usage, or the organisation has none."""


def requests(settings: Settings, knowledge: Knowledge, now: float) -> Iterator[Request]:
    """Yield, for each account group: its alerts, the names of rules and tests, then all data read less often."""
    groups = knowledge.groups
    pages = sum(group.pages for group in groups.values())
    every = max(settings.poll_interval, pages * 60.0 / (ALERTS_SHARE * settings.requests_per_minute))
    for aid, group in groups.items():
        due = _due(group.as_of, every)
        if group.emptied_at is not None:
            due = group.emptied_at + min(CONFIRM_AFTER, every)
        due, cursor = _resumed(settings, group.unfinished, due, now)
        reason = Reason.OLDEST if knowledge.is_behind(aid) else Reason.STATUS
        yield _get(ALERTS, aid, reason, due, every, ("state", "trigger"), *cursor)
    for aid, group in groups.items():
        rules = {alert.rule_id for alert in group.alerts if alert.rule_id}
        tests = {alert.test_id for alert in group.alerts if alert.test_id}
        yield _names_request(RULES, aid, group.rules_at, is_short=bool(rules - group.rules.keys()))
        yield _names_request(TESTS, aid, group.tests_at, is_short=bool(tests - group.tests.keys()))
    for aid, group in groups.items():
        yield from _inventory_requests(settings, aid, group.inventory, now)
        for kind, wanted in measured(settings, group).items():
            for test, interval in wanted.items():
                result = group.results.get(kind, {}).get(test)
                due = _due(result.at if result else None, interval)
                more = (("expand", "certificate"),) if kind == "http" else ()
                endpoint = f"/test-results/{{id}}/{RESULT_KINDS[kind]}"
                path = endpoint.replace("{id}", quote(test, safe=""))
                yield _get(endpoint, aid, Reason.OLDEST, due, interval, *more, path=path)


def _resumed(
    settings: Settings, listing: Listing | None, due: float, now: float
) -> tuple[float, tuple[tuple[str, str], ...]]:
    """Return when the next page is due, and its cursor: that of a new listing if the last one has ended.

    A listing that takes longer than `max_age` is abandoned.
    """
    if listing is None or now - listing.began > settings.max_age:
        return due, ()
    return listing.began, (("cursor", listing.cursors[-1]),)


def _inventory_requests(settings: Settings, aid: str, known: Inventory, now: float) -> Iterator[Request]:
    """Yield the requests enabled besides alerts and results; usage and outages cover the whole organisation."""
    if settings.cleared_window is not None:
        filters = (("state", "clear"), ("window", f"{settings.cleared_window:.0f}s"))
        due, cursor = _resumed(settings, known.cleared_listing, _due(known.cleared_at, CLEARED_EVERY), now)
        yield _get(ALERTS, aid, Reason.LISTING, due, CLEARED_EVERY, *filters, *cursor)
    if settings.agents:
        every = settings.agents_interval
        agents = _get(AGENTS, aid, Reason.LISTING, _due(known.agents_at, every), every, ENTERPRISE_ONLY)
        problems = _get(PROBLEMS, aid, Reason.LISTING, _due(known.problems_at, every), every)
        yield from (_tried(settings, "agents", each) for each in (agents, problems))
    if aid != settings.groups()[0]:
        return
    if settings.usage:
        usage = _get(USAGE, aid, Reason.LISTING, _due(known.usage_at, USAGE_EVERY), USAGE_EVERY)
        yield _tried(settings, "usage", usage)
    if settings.outages:
        yield ReadingPost(
            endpoint=OUTAGES,
            reason=Reason.LISTING,
            due=_due(known.outages_at, OUTAGES_EVERY),
            every=OUTAGES_EVERY,
            path=OUTAGES,
            params=(("aid", aid),) if aid else (),
            accept=ACCEPT,
            content=b'{"window": "1h", "outageScope": "with-affected-test"}',
        )


def _tried(settings: Settings, name: str, request: Get) -> Get:
    """Return a request that is on by default: unless configured explicitly, a token without access is no error."""
    return request if settings.asks_for(name) else replace(request, expected_statuses=UNSEEN)


def measured(settings: Settings, group: Group) -> dict[str, dict[str, float]]:
    """Return, by kind, the tests whose results are wanted, each with its interval in seconds.

    With several account groups a configured id belongs to the one that lists it; with one it is requested anyway.
    """
    wanted, alone = settings.test_results, len(settings.groups()) == 1
    ids = group.tests if wanted is None else [test for test in wanted if alone or test in group.tests]
    return {
        kind: {
            test: max(group.tests[test].interval if test in group.tests else 0.0, RESULTS_EVERY)
            for test in ids
            if _has(kind, group.tests.get(test), chosen=wanted is not None)
        }
        for kind in settings.result_types
    }


def _has(kind: str, test: Test | None, *, chosen: bool) -> bool:
    """Return whether to request results of a kind for a test. One `chosen` by id qualifies if it has them."""
    if test is None:
        return kind == "http"  # not listed yet, or in another group: try the default
    if kind == "http" and not chosen:
        return test.of_today and test.type == "http-server"
    return (chosen or test.of_today) and (RESULT_KINDS[kind] in test.kinds or (chosen and kind == "http"))


def _due(at: float | None, every: float) -> float:
    return 0.0 if at is None else at + every


def _get(  # noqa: PLR0913  one parameter per member
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


def _names_request(endpoint: str, aid: str, at: float | None, *, is_short: bool) -> Get:
    """Return a lookup of names, due again soon if an active alert has an id that the last one lacked."""
    if at is None:
        return _get(endpoint, aid, Reason.CHANGED, 0.0, LOOKUP_EVERY)
    if is_short:
        return _get(endpoint, aid, Reason.CHANGED, at + LOOKUP_AGAIN, LOOKUP_AGAIN)
    return _get(endpoint, aid, Reason.LISTING, at + LOOKUP_EVERY, LOOKUP_EVERY)
