"""Half an hour of a large ThousandEyes organisation, without sockets or waiting.

It has half of the tests that the README counts with, at half their budget. Of Vigilmon beside it test_simulation.py has
two hours: targets share neither budget nor thread.
"""

import json
from collections import deque
from datetime import UTC, datetime

import pytest

from exporter.collectors.contract import Response
from exporter.collectors.thousandeyes.collector import READ, Collector
from exporter.collectors.thousandeyes.config import Settings
from tests.exporter.limits import fullest
from tests.exporter.simulation import START, simulate

pytestmark = pytest.mark.slow

TYPES = {
    "http-server": (50, ("http-server", "network", "bgp")),
    "agent-to-server": (25, ("network", "bgp")),
    "dns-server": (15, ("dns-server", "network", "bgp")),
    "bgp": (10, ("bgp",)),
}
"""The number of tests of each type, and their types of results: 100 tests, 255 results."""
TESTS = [(kind, results) for kind, (count, results) in TYPES.items() for _ in range(count)]
AGENTS = 60
MINUTES = 30
"""Three rotations of the results, and three readings of every list but the usage."""

LIMIT = 240
"""Requests a minute, of all tools of the organisation together; the minute begins with its first request."""

PAUSE = 20.0
"""Seconds for which the last tenth of a minute's requests may be left to others, and a request may take."""


class Organisation:
    """ThousandEyes as an organisation of 100 tests and 60 agents sees it, beside tools that ask as well.

    `others`: their requests per minute, spread evenly.
    """

    def __init__(self, others):
        self.others = deque(START + n * 60 / others for n in range(int(others * 1.25 * MINUTES)))
        self.minute, self.spent = START, 0

    def __call__(self, request, now):
        while self.others and self.others[0] <= now:
            self.spend(self.others.popleft())
        left = self.spend(now)
        headers = {
            "x-organization-rate-limit-limit": str(LIMIT),
            "x-organization-rate-limit-remaining": str(max(left, 0)),
            "x-organization-rate-limit-reset": str(int(self.minute + 60)),
        }
        if left < 0:
            return Response(now, 429, b"", headers)
        return Response(now, 200, json.dumps(self.body(request, now)).encode(), headers)

    def spend(self, now):
        """Count a request; return how many are left in its minute."""
        if now >= self.minute + 60:
            self.minute, self.spent = now, 0
        self.spent += 1
        return LIMIT - self.spent

    def body(self, request, now):
        """Return what the vendor says; every result has each kind's members."""
        if request.endpoint == "/alerts":
            return {"alerts": [alert(number, dict(request.params)["state"]) for number in range(8)]}
        return LISTS.get(request.endpoint, lambda now: {"results": [RESULT | {"roundId": int(now)}]})(now)


RESULT = {"errorType": "None", "loss": 0, "avgLatency": 40, "jitter": 1, "reachability": 100, "resolutionTime": 9}


def alert(number, state):
    links = {"test": {"href": f"https://api.thousandeyes.com/v7/tests/{number}"}}
    return {"id": f"{state} {number}", "alertType": "http-server", "alertState": state, "_links": links}


def described(number, kind, results):
    links = [{"href": f"https://api.thousandeyes.com/v7/test-results/{number}/{each}"} for each in results]
    return {
        "testId": str(number),
        "testName": f"test {number}",
        "type": kind,
        "interval": 120,
        "_links": {"testResults": links},
    }


def agent(number, now):
    seen = datetime.fromtimestamp(now, UTC).isoformat()
    return {"agentId": str(number), "agentType": "enterprise", "agentState": "online", "lastSeen": seen}


LISTS = {
    "/alerts/rules": lambda _: {"alertRules": [{"ruleId": str(n), "ruleName": f"rule {n}"} for n in range(20)]},
    "/tests": lambda _: {"tests": [described(number, *each) for number, each in enumerate(TESTS)]},
    "/agents": lambda now: {"agents": [agent(number, now) for number in range(AGENTS)]},
    "/agents/local-problems": lambda _: {"localProblems": []},
    "/usage": lambda _: {"usage": {"cloudUnitsUsed": 90, "quota": {"cloudUnitsIncluded": 100}}},
    "/internet-insights/outages/filter": lambda _: {"outages": []},
}


@pytest.fixture(scope="module")
def half_hour():
    """Return half an hour in which all is read: what happened, ages of alerts and of readings, the settings.

    Others take 200 of the organisation's 240 requests a minute: the last tenth of each minute is left to them.
    """
    chosen = Settings(
        collector="thousandeyes",
        account="a",
        token="t",
        requests_per_minute=30,
        test_results="all",
        result_types=["http", "network", "bgp", "dns"],
        agents=True,
        usage=True,
        outages=True,
        cleared_window="24h",
    )
    collector, alerts, readings = Collector(chosen), [], {}

    def observe(target, now):
        """Note what a scrape would have seen, the readings once a minute."""
        if target.knowledge.as_of is None:
            return
        alerts.append(now - target.knowledge.as_of)
        if len(alerts) % 120 == 0:
            shown = {family.metric: family.samples for family in collector.families(target.knowledge, now)}
            for (_, kind), at in shown[READ]:
                readings.setdefault(kind, []).append(now - at)

    return simulate(collector, chosen, Organisation(200.0), 60 * MINUTES, observe=observe), alerts, readings, chosen


def test_organisation_of_100_tests_is_polled_within_its_limit(half_hour):
    """Never 429, though other clients use most of the limit; our share is spent."""
    run, _, _, chosen = half_hour
    assert run.outcomes() == {"ok": len(run.sent)}
    assert fullest([at for at, _ in run.sent]) <= chosen.requests_per_minute
    assert len(run.sent) >= 0.9 * MINUTES * chosen.requests_per_minute


def test_alerts_are_as_fresh_as_if_polled_alone(half_hour):
    """They always go first: an interval, plus a pause that leaves the rest of the minute to others."""
    _, alerts, _, chosen = half_hour
    assert max(alerts) <= chosen.poll_interval + PAUSE


def test_age_of_each_kind_of_result_matches_the_readme(half_hour):
    """Lists when they are due, results in a rotation as long as the budget makes it."""
    _, _, readings, chosen = half_hour
    turn = sum(len(results) for _, results in TESTS) * 60 / chosen.requests_per_minute
    lists = {"agents": 600, "local_problems": 600, "cleared_alerts": 300, "usage": 3600, "outages": 300}
    oldest = {kind: max(ages) for kind, ages in readings.items()}

    assert set(oldest) == {"http", "network", "bgp", "dns", *lists}
    assert all(oldest[kind] <= every + PAUSE for kind, every in lists.items())
    assert all(oldest[kind] <= 1.2 * turn for kind in ("http", "network", "bgp", "dns"))
