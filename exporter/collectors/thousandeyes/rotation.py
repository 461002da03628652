"""The requests to ThousandEyes: alerts first, then missing names, then lists, then results in rotation."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote

from exporter.collectors.contract import UNSEEN, Get, Reason, Request, confirmed
from exporter.collectors.parts import keeping_up

from .answers import Test
from .config import Settings
from .knowledge import RULES, TESTS, Group
from .readings import LISTS, RESULTS

ACCEPT = "application/hal+json, application/json, application/problem+json"
ALERTS = "/alerts"
LOOKUP_EVERY = 3600.0
"""Seconds between two lookups of names."""
LOOKUP_AGAIN = 300.0
"""Seconds after which names are looked up again because an alert has an id that the last lookup lacked."""
RESULTS_EVERY = 300.0
"""Shortest interval in seconds between two readings of one test's results."""
LONGEST_ROUND = 3600.0
"""Longest interval in seconds that a test can have."""
CLEARED_EVERY = 300.0
USAGE_EVERY = 3600.0
OUTAGES_EVERY = 300.0
OF_AGENTS = (("agentTypes", "enterprise,enterprise-cluster"), ("expand", "cluster-member"))
"""Leaves out cloud agents: there are hundreds, run by the vendor. Of a cluster only the members have a state."""
STALLED = 2.0
"""Turns after which a listing whose next page keeps failing is restarted, while the last one may still be shown."""
ALERTS_SHARE = 0.9
"""Share of the budget for alerts; the rest is for names, lists and results."""


def requests(settings: Settings, groups: Mapping[str, Group], now: float) -> Iterator[Request]:
    """Yield, for each account group: its alerts, the names of rules and tests, then all data read less often."""
    first = keeping_up(groups)
    pages = sum(group.pages for group in groups.values())
    every = max(settings.poll_interval, pages * 60.0 / (ALERTS_SHARE * settings.requests_per_minute))
    for aid, group in groups.items():
        due = confirmed(group.emptied_at, every, 0.0 if group.as_of is None else group.as_of + every)
        due, cursor = _resumed(settings, group, "trigger", due, every, now)
        reason = Reason.STATUS if aid in first else Reason.OLDEST
        yield _get(ALERTS, aid, reason, due, every, ("state", "trigger"), *cursor)
    for aid, group in groups.items():
        missing_rules = {alert.rule_id for alert in group.alerts} - group.rules.keys() - {""}
        missing_tests = {alert.test_id for alert in group.alerts} - group.tests.keys() - {""}
        for endpoint, at, missing in ((RULES, group.rules_at, missing_rules), (TESTS, group.tests_at, missing_tests)):
            every = LOOKUP_AGAIN if missing else LOOKUP_EVERY
            reason = Reason.CHANGED if missing or at is None else Reason.LISTING
            due = confirmed(group.emptied.get(endpoint), every, 0.0 if at is None else at + every)
            yield _get(endpoint, aid, reason, due, every)
    for aid, group in groups.items():
        yield from _readings(settings, aid, group, now)


def _resumed(  # noqa: PLR0913, PLR0917  one parameter per number
    settings: Settings, group: Group, state: str, due: float, every: float, now: float
) -> tuple[float, tuple[tuple[str, str], ...]]:
    """Return when the next page is due, and its cursor: that of a new listing if the last one has ended.

    A listing that takes longer than `max_age` is abandoned, and one whose next page keeps failing while the last one is
    still shown: the vendor may have forgotten its cursor.
    """
    listing = group.unfinished.get(state)
    if listing is None or now - listing.began > settings.max_age:
        return due, ()
    if group.as_of is not None and now - listing.told_at > STALLED * every:
        return due, ()
    return listing.began, (("cursor", listing.cursors[-1]),)


def _readings(settings: Settings, aid: str, group: Group, now: float) -> Iterator[Get]:
    """Yield the requests for all that is read besides alerts and names."""
    for key, every in wanted(settings, aid, group).items():
        kind, _, test = key.partition("/")
        due = group.readings[key].at + every if key in group.readings else 0.0
        due = confirmed(group.emptied.get(key), every, due)
        if kind in RESULTS:
            endpoint = f"/test-results/{{id}}/{RESULTS[kind]}"
            more = (("expand", "certificate"),) if kind == "http" else ()
            path = endpoint.replace("{id}", quote(test, safe=""))
            yield _get(endpoint, aid, Reason.OLDEST, due, every, *more, path=path, item=key)
        elif kind == "cleared_alerts":
            due, cursor = _resumed(settings, group, "clear", due, every, now)
            window = ("window", f"{settings.cleared_window:.0f}s")
            yield _get(ALERTS, aid, Reason.LISTING, due, every, ("state", "clear"), window, *cursor)
        else:
            filters = OF_AGENTS if kind == "agents" else ()
            request = _get(LISTS[kind][0], aid, Reason.LISTING, due, every, *filters, item=key)
            if kind == "outages":
                yield replace(request, content=b'{"window": "1h", "outageScope": "with-affected-test"}')
            # The others are on by default: unless configured explicitly, a token without access is no error.
            elif ("usage" if kind == "usage" else "agents") in settings.model_fields_set:
                yield request
            else:
                yield replace(request, expected_statuses=UNSEEN)


def wanted(settings: Settings, aid: str, group: Group) -> dict[str, float]:
    """Return what to read besides alerts and names, each with its interval in seconds; see `Group.readings`.

    Usage and outages cover the whole organisation: the first group reads them. With several groups a configured test
    belongs to the one that lists it; with one it is requested anyway.
    """
    is_first, alone, chosen = aid == settings.groups()[0], len(settings.groups()) == 1, settings.test_results
    lists = {
        "cleared_alerts": CLEARED_EVERY if settings.cleared_window is not None else None,
        "agents": settings.agents_interval if settings.agents else None,
        "local_problems": settings.agents_interval if settings.agents else None,
        "usage": USAGE_EVERY if settings.usage and is_first else None,
        "outages": OUTAGES_EVERY if settings.outages and is_first else None,
    }
    tests = group.tests if chosen is None else [test for test in chosen if alone or test in group.tests]
    results = {
        f"{kind}/{test}": max(group.tests[test].interval if test in group.tests else 0.0, RESULTS_EVERY)
        for kind in settings.result_types
        for test in tests
        if _has(kind, group.tests.get(test), chosen=chosen is not None)
    }
    return {kind: every for kind, every in lists.items() if every} | results


def _has(kind: str, test: Test | None, *, chosen: bool) -> bool:
    """Return whether to request results of a kind for a test. One `chosen` by id qualifies if it has them."""
    if test is None:
        return kind == "http"  # not listed yet, or in another group: try the default
    if kind == "http":
        return chosen or (test.of_today and test.type == "http-server")
    return (chosen or test.of_today) and RESULTS[kind] in test.kinds


def _get(  # noqa: PLR0913  one parameter per member
    endpoint: str,
    aid: str,
    reason: Reason,
    due: float,
    every: float,
    *params: tuple[str, str],
    path: str = "",
    item: str = "",
) -> Get:
    group = (("aid", aid),) if aid else ()
    return Get(
        endpoint=endpoint,
        reason=reason,
        due=due,
        every=every,
        path=path or endpoint,
        item=item,
        params=(*group, *params),
        accept=ACCEPT,
    )
