import json

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.contract import Reason, Response
from exporter.collectors.thousandeyes.collector import Collector
from exporter.collectors.thousandeyes.config import Settings
from exporter.collectors.thousandeyes.knowledge import RULES, TESTS, Knowledge
from exporter.collectors.thousandeyes.readings import read_results
from exporter.collectors.thousandeyes.rotation import ALERTS
from exporter.polling.scheduler import choose

START = 1_795_176_000.0
RESULTS = "/test-results/{id}/http-server"
LINKS = [{"href": f"https://elsewhere.example.com/test-results/1/{kind}"} for kind in ("http-server", "bgp")]
LOSS, LATENCY, JITTER = (f"test_{name}" for name in ("loss_ratio", "latency_seconds", "jitter_seconds"))


def settings(**given):
    return Settings(**{"collector": "thousandeyes", "account": "corp", "token": "tell-nobody"} | given)


def alert(identity, **members):
    defaults = {
        "id": identity,
        "alertType": "bgp",
        "alertState": "trigger",
        "alertSeverity": "major",
        "alertRuleId": "7",
    }
    return defaults | members


def page(*alerts, cursor=None):
    links = {"next": {"href": f"https://elsewhere.example.com/?cursor={cursor}"}} if cursor else {}
    return {"alerts": alerts, "_links": links}


def ask_for(collector, knowledge, endpoint, now, aid=""):
    return next(
        request
        for request in collector.requests(knowledge, now)
        if request.endpoint == endpoint and dict(request.params).get("aid", "") == aid
    )


def polled(collector, knowledge, endpoint, document, *, at=START, aid=""):  # noqa: PLR0913  one step of a test in a line
    request = ask_for(collector, knowledge, endpoint, at, aid)
    return collector.update(knowledge, request, Response(at, 200, json.dumps(document).encode()))


def samples(collector, knowledge, name, now=START):
    families = {family.metric.name: dict(family.samples) for family in collector.families(knowledge, now)}
    return families[name]


def test_alerts_leave_budget_for_names_and_results():
    """Ten account groups of two pages at 15 requests a minute are polled less often than configured."""
    groups = [str(number) for number in range(10)]
    collector = Collector(settings(account_groups=groups, requests_per_minute=15, test_results="all", agents=False))
    knowledge, asked = collector.start(), []
    document = page() | {
        "alertRules": [],
        "tests": [{"testId": "7", "type": "http-server"}],
        "results": [],
        "usage": {},
    }
    for now in (START + 4 * number for number in range(15 * 60)):
        request, _ = choose(collector.requests(knowledge, now), now, {})
        if request is None:
            continue
        asked.append(request.endpoint)
        cursor = None if request.endpoint != ALERTS or "cursor" in dict(request.params) else "x"
        answer = document | page(alert("a", alertRuleId=None), cursor=cursor)
        knowledge = collector.update(knowledge, request, Response(now, 200, json.dumps(answer).encode()))
    assert all(group.rules_at and group.tests_at and "http/7" in group.readings for group in knowledge.groups.values())
    assert asked.count(RESULTS) > 10
    assert knowledge.as_of > now - 2 * 20 * 60 / (0.9 * 15)


def test_new_listing_replaces_the_old_one_when_complete():
    """Its age is the time of its first page; until its last page the old listing stays."""
    collector = Collector(settings())
    whole = polled(collector, collector.start(), ALERTS, page(alert("old")))
    half = polled(collector, whole, ALERTS, page(alert("a"), cursor="x"), at=START + 60)
    request = ask_for(collector, half, ALERTS, START + 61)

    assert request.params == (("state", "trigger"), ("cursor", "x"))
    assert request.due == START + 60
    assert half.as_of == START
    assert [each.id for each in half.groups[""].alerts] == ["old"]

    done = polled(collector, half, ALERTS, page(alert("b")), at=START + 62)
    assert done.as_of == START + 60
    assert [each.id for each in done.groups[""].alerts] == ["a", "b"]
    assert ask_for(collector, done, ALERTS, START + 63).due == START + 120


def test_an_alert_that_moves_between_pages_counts_once():
    """If it is on two pages, the later one counts: here it was cleared in between."""
    collector = Collector(settings())
    half = polled(collector, collector.start(), ALERTS, page(alert("a"), alert("b"), cursor="x"))
    done = polled(collector, half, ALERTS, page(alert("a", alertState="clear"), alert("b")))

    assert [each.id for each in done.groups[""].alerts] == ["b"]


def test_page_cap_is_truncated():
    """Until a complete listing follows."""
    collector = Collector(settings(max_pages=2))
    half = polled(collector, collector.start(), ALERTS, page(alert("a"), cursor="x"))
    cut = polled(collector, half, ALERTS, page(alert("b"), cursor="y"))

    assert cut.truncated
    assert len(cut.groups[""].alerts) == 2
    assert not polled(collector, cut, ALERTS, page(alert("a")), at=START + 60).truncated


def test_endless_listing_is_truncated():
    """The memory for a listing is bounded, however few its pages."""
    collector = Collector(settings())
    half = polled(collector, collector.start(), ALERTS, page(*map(alert, range(12_000)), cursor="x"))
    cut = polled(collector, half, ALERTS, page(*map(alert, range(12_000, 24_000)), cursor="y"))
    assert (half.as_of, cut.as_of, cut.truncated) == (None, START, True)


def test_suddenly_empty_alert_list_is_polled_again():
    """One wrong empty response would resolve every alert. A list with only cleared alerts is not empty."""
    collector = Collector(settings())
    one = polled(collector, collector.start(), ALERTS, page(alert("a")))
    doubted = polled(collector, one, ALERTS, page(), at=START + 60)
    assert len(doubted.groups[""].alerts) == 1
    assert ask_for(collector, doubted, ALERTS, START + 70).due == START + 70
    assert polled(collector, doubted, ALERTS, page(), at=START + 70).groups[""].alerts == ()
    denied = polled(collector, doubted, ALERTS, page(alert("a")), at=START + 70)
    assert ask_for(collector, denied, ALERTS, START + 130).due == START + 130


@pytest.mark.parametrize(
    ("endpoint", "full", "empty", "metric"),
    [
        (TESTS, {"tests": [{"testId": "1", "testName": "Shop"}]}, {"tests": []}, "test_info"),
        (RULES, {"alertRules": [{"ruleId": "7", "ruleName": "Slow"}]}, {"alertRules": []}, "alert_active"),
        (RESULTS, {"results": [{"errorType": "None"}]}, {"results": []}, "test_availability_ratio"),
        ("/agents", {"agents": [{"agentId": "1", "agentState": "online"}]}, {"agents": None}, "agent_online"),
        ("/usage", {"usage": {"cloudUnitsUsed": 90}}, {}, "units_used"),
    ],
)
def test_any_other_suddenly_empty_list_is_polled_again(endpoint, full, empty, metric):
    """Otherwise one wrong empty response would withdraw it until its next turn, up to an hour later."""
    collector = Collector(settings(test_results=["1"]))
    known = polled(collector, collector.start(), ALERTS, page(alert("a")))
    known = polled(collector, known, RESULTS, {"results": [{"errorType": "None"}]})
    known = polled(collector, known, endpoint, full)
    shown = samples(collector, known, f"thousandeyes_{metric}")
    doubted = polled(collector, known, endpoint, empty, at=START + 60)
    assert samples(collector, doubted, f"thousandeyes_{metric}") == shown != {}
    assert samples(collector, doubted, "thousandeyes_test_availability_ratio") == {("", "1"): 1.0}
    assert ask_for(collector, doubted, endpoint, START + 60).due == START + 70
    assert (
        samples(collector, polled(collector, doubted, endpoint, empty, at=START + 70), f"thousandeyes_{metric}")
        != shown
    )
    regular = ask_for(collector, polled(collector, doubted, endpoint, full, at=START + 70), endpoint, START + 70)
    assert regular.due == START + 70 + regular.every


def test_inventory_denied_once_is_polled_again():
    """A single 404 or 403 of a firewall would withdraw it until its next turn."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), "/agents", AGENTS)
    request = ask_for(collector, known, "/agents", START + 600)
    doubted = collector.update(known, request, Response(START + 600, 404, b""))
    assert samples(collector, doubted, "thousandeyes_agent_online", START + 600) != {}
    assert ask_for(collector, doubted, "/agents", START + 600).due == START + 610
    denied = collector.update(doubted, request, Response(START + 610, 404, b""))
    assert samples(collector, denied, "thousandeyes_agent_online", START + 610) == {}


def test_added_account_group_keeps_the_others():
    """After a reload the age is that of the others until the new group has answered."""
    one = Collector(settings(account_groups=["1"]))
    known = polled(one, one.start(), ALERTS, page(alert("a")), aid="1")
    two = Collector(settings(account_groups=["1", "2"]))
    known = polled(two, known, ALERTS, page(alert("a")), at=START + 60, aid="1")
    assert (known.as_of, known.round_at) == (START + 60, START + 60)
    assert polled(two, known, ALERTS, page(alert("b")), at=START + 61, aid="2").as_of == START + 60


def test_repeated_cursor_ends_the_listing_as_truncated():
    """A cursor back to an earlier page must not hold the poll forever."""
    collector = Collector(settings())
    first = polled(collector, collector.start(), ALERTS, page(alert("a"), cursor="x"))
    second = polled(collector, first, ALERTS, page(alert("b"), cursor="y"))
    done = polled(collector, second, ALERTS, page(alert("c"), cursor="x"))

    assert done.truncated
    assert len(done.groups[""].alerts) == 3


def test_slow_listing_starts_again():
    """A cursor older than `max_age` is dropped: the vendor may have forgotten it."""
    collector = Collector(settings(max_age="5m"))
    half = polled(collector, collector.start(), ALERTS, page(alert("a"), cursor="x"))
    late = ask_for(collector, half, ALERTS, START + 60)

    again = ask_for(collector, half, ALERTS, START + 301)
    assert again.params == (("state", "trigger"),)
    fresh = polled(collector, half, ALERTS, page(alert("b")), at=START + 301)
    assert collector.update(fresh, late, Response(START + 302, 200, json.dumps(page(alert("c"))).encode())) == fresh


def test_first_listing_is_not_restarted_before_it_is_too_old():
    """Nothing is on the page that it could hold up."""
    collector = Collector(settings(max_age="5m"))
    half = polled(collector, collector.start(), ALERTS, page(alert("a"), cursor="x"))
    assert dict(ask_for(collector, half, ALERTS, START + 300).params)["cursor"] == "x"


def test_forgotten_cursor_does_not_withdraw_the_alerts():
    """A listing whose next page keeps failing is restarted while the last one may still be shown."""
    collector = Collector(settings(max_age="5m"))
    known = polled(collector, collector.start(), ALERTS, page(alert("a")))
    half = polled(collector, known, ALERTS, page(alert("a"), cursor="x"), at=START + 60)

    assert ask_for(collector, half, ALERTS, START + 180).params == (("state", "trigger"), ("cursor", "x"))
    assert ask_for(collector, half, ALERTS, START + 181).params == (("state", "trigger"),)


def test_listing_that_goes_on_is_not_restarted():
    """Slow responses, or a budget for one page a minute after hundreds of alerts began, make it take several turns."""
    collector = Collector(settings(max_age="5m"))
    known = polled(collector, collector.start(), ALERTS, page(alert("a")))
    for number in range(4):
        known = polled(collector, known, ALERTS, page(alert(number), cursor=f"c{number}"), at=START + 60 + 50 * number)
    done = polled(collector, known, ALERTS, page(alert("b")), at=START + 260)
    assert (done.as_of, len(done.groups[""].alerts)) == (START + 60, 5)


def test_each_group_is_published_at_once_and_the_last_one_ends_the_round():
    """The target's age is that of its oldest group, and there is no success before all have answered."""
    collector = Collector(settings(account_groups=["1", "2"]))
    one = polled(collector, collector.start(), ALERTS, page(alert("a")), aid="1")
    both = polled(collector, one, ALERTS, page(alert("b")), aid="2", at=START + 5)

    assert (one.as_of, one.round_at) == (START, None)
    assert samples(collector, one, "thousandeyes_active_alerts")[("1", "bgp", "major")] == 1.0
    assert (both.as_of, both.round_at) == (START, START)
    assert samples(collector, both, "thousandeyes_active_alerts")[("2", "bgp", "major")] == 1.0


def test_a_failing_group_does_not_stop_the_others():
    """It is polled last, does not count for the age, the target is incomplete, and all is well once it answers."""
    collector = Collector(settings(account_groups=["1", "2"]))
    knowledge = collector.start()
    for at in (START, START + 60):
        assert (knowledge.round_at, knowledge.truncated) == (None, False)
        assert ask_for(collector, knowledge, ALERTS, at, "2").reason is Reason.STATUS
        knowledge = polled(collector, knowledge, ALERTS, page(alert("a")), at=at, aid="1")
    assert (knowledge.as_of, knowledge.truncated) == (START + 60, True)
    assert ask_for(collector, knowledge, ALERTS, START + 60, "2").reason is Reason.OLDEST

    knowledge = polled(collector, knowledge, ALERTS, page(), at=START + 70, aid="2")
    assert (knowledge.as_of, knowledge.truncated) == (START + 60, False)
    assert ask_for(collector, knowledge, ALERTS, START + 70, "2").reason is Reason.STATUS
    assert polled(collector, knowledge, ALERTS, page(alert("a")), at=START + 120, aid="1").as_of == START + 70


def test_the_alerts_of_a_failing_group_are_withdrawn():
    """After `max_age` they are gone; those of the others stay."""
    collector = Collector(settings(account_groups=["1", "2"], max_age="5m"))
    knowledge = collector.start()
    for aid in ("1", "2"):
        knowledge = polled(collector, knowledge, ALERTS, page(alert(f"of {aid}")), aid=aid)
    for minute in range(1, 7):
        knowledge = polled(collector, knowledge, ALERTS, page(alert("of 1")), at=START + 60 * minute, aid="1")
    labels = samples(collector, knowledge, "thousandeyes_alert_active", START + 360)
    assert [values[0] for values in labels] == ["1"]


def test_unknown_names_are_looked_up_at_most_every_five_minutes():
    """An alert with an unknown rule moves the lookup forward, one without a rule does not."""
    collector = Collector(settings())
    knowledge = polled(collector, collector.start(), RULES, {"alertRules": [{"ruleId": "7", "ruleName": "seven"}]})
    hourly = ask_for(collector, polled(collector, knowledge, ALERTS, page(alert("a"))), RULES, START)
    soon = ask_for(collector, polled(collector, knowledge, ALERTS, page(alert("a", alertRuleId="8"))), RULES, START)
    no_rule = ask_for(collector, polled(collector, knowledge, ALERTS, page(alert("a", alertRuleId=None))), RULES, START)

    assert (hourly.reason, hourly.due) == (no_rule.reason, no_rule.due) == (Reason.LISTING, START + 3600.0)
    assert (soon.reason, soon.due) == (Reason.CHANGED, START + 300.0)


def test_names_follow_a_lookup():
    """A rule or test has its id as a name until the name is known; one without a name keeps its id."""
    collector = Collector(settings())
    link = {"_links": {"test": {"href": "https://api.thousandeyes.com/v7/tests/99"}}}
    listed = polled(collector, collector.start(), ALERTS, page(alert("a", **link)))
    rules = [{"ruleId": 7, "ruleName": "seven"}, {"ruleId": "8"}, {"ruleName": "idless"}]
    named = polled(collector, listed, RULES, {"alertRules": rules})
    tested = polled(collector, named, TESTS, {"tests": [{"testId": "99"}, {"testName": "nameless"}]})

    (before,) = samples(collector, listed, "thousandeyes_alert_active")
    (after,) = samples(collector, tested, "thousandeyes_alert_active")
    assert before[2:4] == ("7", "99")
    assert after[2:4] == ("seven", "99")
    assert named.groups[""].rules == {"7": "seven"}


def test_first_of_several_links_is_followed():
    """HAL allows a list, as well as a bare address."""
    collector = Collector(settings())
    for links in ([{"href": "/rules/8"}, {"href": "/rules/9"}], "/rules/8", {"href": "/rules/8"}):
        listed = polled(
            collector, collector.start(), ALERTS, page(alert("a", alertRuleId=None, _links={"rule": links}))
        )
        ((labels, _),) = samples(collector, listed, "thousandeyes_alert_active").items()
        assert labels[2] == "8"


def test_worst_alerts_come_first():
    """A series limit drops info alerts before critical ones."""
    collector = Collector(settings())
    graded = [
        alert(f"{number}", alertSeverity=grade) for number, grade in enumerate(["info", "x", "critical", "minor"])
    ]
    knowledge = polled(collector, collector.start(), ALERTS, page(*graded))

    order = [labels[-1] for labels in samples(collector, knowledge, "thousandeyes_alert_active")]
    assert order == ["critical", "minor", "info", "unknown"]


@pytest.mark.parametrize(("severity", "bad"), [("critical", True), ("major", True), ("minor", False), ("x", False)])
def test_alerts_are_on_the_page_and_the_severe_ones_marked(severity, bad):
    """Those of an unknown severity are named so."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), ALERTS, page(alert("a", alertSeverity=severity)))
    figures = [(each.text, each.bad) for each in collector.figures(known, START)]
    assert figures == [(f"1 active alert: 1 {severity if severity != 'x' else 'unknown'}", bad)]


@pytest.mark.parametrize(
    ("error", "state", "test", "agent", "bad"),
    [
        ("Connect", "offline", "1 with errors", "1 offline: 7", True),
        ("None", "online", "0 with errors", "0 offline", False),
    ],
)
def test_tests_with_errors_and_offline_agents_are_on_the_page(error, state, test, agent, bad):
    """Marked, as long as there are any; an agent without a name has its id."""
    collector = Collector(settings(test_results=["1"]))
    known = polled(collector, collector.start(), ALERTS, page())
    known = polled(collector, known, RESULTS, {"results": [{"errorType": error}]})
    agents = [{"agentId": "7", "agentType": "enterprise", "agentState": state}]
    known = polled(collector, known, "/agents", {"agents": agents})
    figures = [(each.text, each.bad) for each in collector.figures(known, START)]
    assert figures[1:] == [(f"1 test measured, {test}", bad), (f"1 enterprise agent, {agent}", bad)]


def test_suppressed_alerts_are_active_too():
    """Only those that the vendor says are suppressed."""
    collector = Collector(settings())
    alerts = [alert(name, suppressed=value) for name, value in zip("abcd", [True, False, None, "x"], strict=True)]
    known = polled(collector, collector.start(), ALERTS, page(*alerts))
    both = [samples(collector, known, f"thousandeyes_{name}_alerts") for name in ("active", "suppressed")]
    assert [found["", "bgp", "major"] for found in both] == [4.0, 1.0]


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        ([], {}),
        ("all", {"1": 300.0, "4": 900.0}),
        (["2", "3", "77"], {"2": 600.0, "3": 300.0, "77": 300.0}),
    ],
)
def test_results_of_the_configured_tests_are_requested(wanted, asked):
    """`all` means enabled http-server tests without saved events; ids are requested as configured."""
    collector = Collector(settings(test_results=wanted))
    tests = [
        {"testId": "1", "type": "http-server", "interval": 60, "enabled": True},
        {"testId": "2", "type": "page-load", "interval": 600},
        {"testId": "3", "type": "http-server", "enabled": False},
        {"testId": "4", "type": "http-server", "interval": 900},
        {"testId": "5", "type": "http-server", "savedEvent": True},
    ]
    knowledge = polled(collector, collector.start(), TESTS, {"tests": tests})

    found = {
        request.path.split("/")[2]: request.every
        for request in collector.requests(knowledge, START)
        if request.endpoint == RESULTS
    }
    assert found == asked


def test_old_results_are_withdrawn():
    """Results stay while they are polled as planned, and go after three missed polls."""
    collector = Collector(settings(test_results=["1"]))
    row = {"errorType": "None", "sslCertificates": [{"validBefore": START + 36 * 3600}]}
    knowledge = polled(collector, collector.start(), RESULTS, {"results": [row]})
    assert samples(collector, knowledge, "thousandeyes_certificate_expiry_days") == {("", "1"): 1.5}

    name = "thousandeyes_test_availability_ratio"
    assert samples(collector, knowledge, name, START + 900) == {("", "1"): 1.0}
    assert samples(collector, knowledge, name, START + 901) == {}


def test_results_stay_as_long_as_the_rotation_takes():
    """Forty tests at two requests a minute take twenty minutes, whatever their interval."""
    collector = Collector(settings(test_results=list(map(str, range(40))), requests_per_minute=2, max_age="10m"))
    known = collector.start()
    request = next(each for each in collector.requests(known, START) if each.path == "/test-results/7/http-server")
    known = collector.update(known, request, Response(START, 200, b'{"results": [{"errorType": "None"}]}'))
    name = "thousandeyes_test_availability_ratio"
    assert samples(collector, known, name, START + 3600) == {("", "7"): 1.0}
    assert samples(collector, known, name, START + 3601) == {}


@pytest.mark.parametrize(
    ("listed", "kind", "oldest"),
    [(True, "http", 900), (True, "bgp", 10_800), (False, "http", 10_800)],
)
def test_results_of_a_round_long_ago_are_not_shown(listed, kind, oldest):
    """The vendor keeps the last round of a test that no longer runs. Rounds of BGP are longer than a test's interval.

    So may those of a test be whose interval is unknown, because it is not listed.
    """
    collector = Collector(settings(test_results=["1"], result_types=["http", "bgp"]))
    tests = [{"testId": "1", "type": "http-server", "interval": 60, "_links": {"testResults": LINKS}}] * listed
    known = polled(collector, collector.start(), TESTS, {"tests": tests})
    endpoint = RESULTS if kind == "http" else RESULTS.replace("http-server", "bgp")
    name = f"thousandeyes_test_{'availability' if kind == 'http' else 'bgp_reachability'}_ratio"
    for began, expected in {START - oldest: {("", "1"): 1.0}, START - oldest - 1: {}}.items():
        results = {"results": [{"roundId": int(began), "errorType": "None", "reachability": 100}]}
        assert samples(collector, polled(collector, known, endpoint, results), name) == expected


@pytest.mark.parametrize(
    ("rows", "availability", "expires"),
    [
        ([], None, None),
        ([{}], None, None),
        ([{"errorType": "None"}, {"errorType": "Connect"}, {"errorType": "none"}, {}], 2 / 3, None),
        ([{"errorType": None, "responseCode": 200}, {"responseCode": 301}, {"errorType": "Connect"}], 2 / 3, None),
        ([{"responseCode": 500}, {"responseCode": 0}, {"responseCode": "200", "errorType": "HTTP"}], 0.0, None),
        ([{"roundId": 1, "errorType": "Connect"}, {"roundId": 2, "errorType": "None"}], 1.0, None),
        ([{"startTime": 5, "errorType": "Connect"}, {"startTime": 4, "errorType": "None"}], 0.0, None),
        (
            [
                {"sslCertificates": [{"validBefore": "2026-12-04T00:00:00Z"}, {"validBefore": "2026-11-21T00:00:00Z"}]},
                {"sslCertificates": [{"validBefore": "2026-12-01T00:00:00Z", "validAfter": "2026-01-01T00:00:00Z"}]},
                {"sslCertificates": [{"validBefore": "never"}]},
                {"sslCertificates": []},
            ],
            None,
            1_796_083_200.0,
        ),
    ],
)
def test_latest_round_counts(rows, availability, expires):
    """Availability is the share of agents with a result; the certificate that expires first counts."""
    found = measured("http-server", rows)
    names = ("test_availability_ratio", "certificate_expiry_timestamp_seconds")
    assert tuple(found.get((name,)) for name in names) == (availability, expires)


def measured(kind, rows):
    """Return what the results of test 7 hold, by metric and further labels."""
    values = read_results("7", kind, json.dumps({"results": rows}).encode())
    return {(name, *labels[1:]): value for name, labels, value in values if labels[0] == "7"}


def test_response_for_a_removed_account_group_changes_nothing():
    """Its request was in flight when the group was left out."""
    old = Collector(settings(account_groups=["1"]))
    (request, *_) = old.requests(old.start(), START)
    collector = Collector(settings())
    assert collector.update(Knowledge(), request, Response(START, 200, b"{}")) == Knowledge()


def test_knowledge_survives_a_restart():
    """An incomplete listing, names and results are equal after a round trip through JSON."""
    collector = Collector(settings(test_results=["1"]))
    knowledge = polled(collector, collector.start(), ALERTS, page(alert("a", startDate="2026-11-20T11:00:00Z")))
    knowledge = polled(collector, knowledge, ALERTS, page(alert("b"), cursor="x"), at=START + 60)
    knowledge = polled(collector, knowledge, RULES, {"alertRules": [{"ruleId": "7", "ruleName": "seven"}]})
    knowledge = polled(collector, knowledge, RESULTS, {"results": [{"errorType": "None"}]})

    adapter = TypeAdapter(Knowledge)
    assert adapter.validate_json(adapter.dump_json(knowledge)) == knowledge


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"account_groups": ["1", 1]}, ("account_groups",), "an id is given twice"),
        ({"account_groups": ["a/b"]}, ("account_groups", 0), "match pattern"),
        ({"test_results": "some"}, ("test_results",), "give a list of test ids, or all"),
        ({"test_results": ["1", "a b"]}, ("test_results", 1), "match pattern"),
        ({"test_results": [1, "1"]}, ("test_results",), "an id is given twice"),
        ({"cleared_window": "59s"}, ("cleared_window",), "greater than or equal to 60"),
        ({"base_url": "api.thousandeyes.com"}, ("base_url",), "not a URL"),
    ],
)
def test_invalid_settings_are_errors(given, place, message):
    """Each problem names its key."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    (problem,) = caught.value.errors()
    assert problem["loc"] == place
    assert message in problem["msg"]


def test_rate_above_the_organisations_limit_is_a_warning():
    """The limit may have been raised for this organisation."""
    assert settings(requests_per_minute=240).warnings() == []
    assert settings(requests_per_minute=241).warnings() == ["requests_per_minute: the vendor allows 240"]


@pytest.mark.parametrize(
    ("kind", "rows", "expected"),
    [
        (
            "network",
            [{"loss": 0, "avgLatency": 40, "jitter": 1}, {"loss": "50.0", "avgLatency": 60.0}, {"errorDetails": "x"}],
            {(LOSS, "mean"): 0.25, (LOSS, "max"): 0.5, (LATENCY, "mean"): 0.05, (LATENCY, "max"): 0.06}
            | {(JITTER, "mean"): 0.001, (JITTER, "max"): 0.001},
        ),
        (
            "bgp",
            [{"reachability": 100, "updates": 3, "pathChanges": 1}, {"reachability": 50.0, "updates": 4}],
            {("test_bgp_reachability_ratio",): 0.75, ("test_bgp_updates",): 7.0, ("test_bgp_path_changes",): 1.0},
        ),
        ("dns-server", [{"resolutionTime": 12}, {"errorDetails": "timeout"}], {("test_dns_availability_ratio",): 0.5}),
        ("dns-server", [{"resolutionTime": 12, "errorDetails": "lame"}], {("test_dns_availability_ratio",): 0.0}),
        ("dns-server", [], {}),
        (
            "network",
            [{"roundId": 1, "loss": 100}, {"roundId": 2, "loss": 0}],
            {(LOSS, "mean"): 0.0, (LOSS, "max"): 0.0},
        ),
        (
            "network",
            [{"loss": 100.0001, "avgLatency": -1, "jitter": -1}, {"loss": 250}, {"loss": -1, "avgLatency": 40}],
            {(LOSS, "mean"): 1.0, (LOSS, "max"): 1.0, (LATENCY, "mean"): 0.04, (LATENCY, "max"): 0.04},
        ),
        ("bgp", [{"reachability": 101, "updates": -1, "pathChanges": 0}], {("test_bgp_path_changes",): 0.0}),
    ],
)
def test_network_bgp_and_dns_results_are_read(kind, rows, expected):
    """Percentages become ratios, milliseconds seconds; missing and impossible values are left out."""
    assert measured(kind, rows) == pytest.approx(expected)
    assert {f"thousandeyes_{name}" for name, *_ in expected} <= {metric.name for metric in Collector.metrics}


@pytest.mark.parametrize(
    ("links", "alerts", "truncated"),
    [
        ({"next": "https://elsewhere.example.com/?cursor=x"}, 1, False),
        ({"next": [{"href": "https://elsewhere.example.com/?cursor=x"}]}, 1, False),
        ({"next": {"href": None}}, 1, True),
        ({"next": {"href": "https://elsewhere.example.com/?page=2"}}, 1, True),
        ({"next": 7}, 1, True),
        ({"next": None}, 1, False),
        ([], 1, False),
        (None, 1, False),
    ],
)
def test_next_link_without_a_cursor_is_truncated(links, alerts, truncated):
    """The cursor is taken from a link of any form."""
    collector = Collector(settings())
    knowledge = polled(collector, collector.start(), ALERTS, {"alerts": [alert("a")], "_links": links})
    if knowledge.as_of is None:
        knowledge = polled(collector, knowledge, ALERTS, {"alerts": []}, at=START + 1)
    assert (sum(map(len, (group.alerts for group in knowledge.groups.values()))), knowledge.truncated) == (
        alerts,
        truncated,
    )


def test_only_result_types_of_a_test_are_requested():
    """The links of a test name them; without links its type does."""
    collector = Collector(settings(test_results="all", result_types=["http", "network", "bgp", "dns"]))
    links = [{"href": f"https://api.thousandeyes.com/v7/test-results/1/{kind}"} for kind in ("http-server", "network")]
    tests = [
        {"testId": "1", "type": "http-server", "_links": {"testResults": links}},
        {"testId": "2", "type": "dns-server"},
        {"testId": "3", "type": "voice"},
        {"testId": "4", "type": "dns-server", "enabled": False},
    ]
    knowledge = polled(collector, collector.start(), TESTS, {"tests": tests})

    found = {request.path for request in collector.requests(knowledge, START) if "results" in request.path}
    paths = ("1/http-server", "1/network", "2/network", "2/bgp", "2/dns-server")
    assert found == {f"/test-results/{path}" for path in paths}


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("agent-to-agent", {"network"}),
        ("agent-to-server", {"network", "bgp"}),
        ("bgp", {"bgp"}),
        ("dns-server", {"dns-server", "network", "bgp"}),
        ("http-server", {"http-server?expand=certificate", "network", "bgp"}),
        ("page-load", {"http-server?expand=certificate", "network", "bgp"}),
        ("web-transactions", {"http-server?expand=certificate", "network", "bgp"}),
    ],
)
def test_results_of_a_test_without_links_are_those_of_its_type(kind, asked):
    """Certificates come only if asked for."""
    collector = Collector(settings(test_results=["1"], result_types=["http", "network", "bgp", "dns"]))
    knowledge = polled(collector, collector.start(), TESTS, {"tests": [{"testId": "1", "type": kind}]})
    results = [request for request in collector.requests(knowledge, START) if "results" in request.path]
    found = {"?".join((each.path.split("/")[3], *map("=".join, each.params))) for each in results}
    assert found == asked | {"http-server?expand=certificate"}  # the default, as it was chosen by its id


AGENTS = {
    "agents": [
        {"agentId": "1", "agentName": "Prague", "agentType": "enterprise", "location": "CZ", "agentState": "online"}
        | {"lastSeen": "2026-11-20T11:59:00Z", "utilization": 42},
        {"agentId": "2", "agentName": "Oslo", "agentType": "enterprise-cluster", "agentState": "OFFLINE"}
        | {"errorDetails": [{"code": "agent-version-outdated"}]},
        {"agentId": "3", "agentName": "Bern", "agentType": "enterprise", "agentState": "disabled"},
        {"agentId": "4", "agentName": "Dallas", "agentType": "cloud", "agentState": "online"},
    ]
}


def test_agents_have_names_and_are_withdrawn_when_old():
    """Cloud agents are left out; a disabled agent is neither online nor offline."""
    collector = Collector(settings(agents=True))
    knowledge = polled(collector, collector.start(), "/agents", AGENTS)

    assert samples(collector, knowledge, "thousandeyes_agent_online") == {("", "1"): 1.0, ("", "2"): 0.0}
    assert samples(collector, knowledge, "thousandeyes_agent_utilization_ratio") == {("", "1"): 0.42}
    assert samples(collector, knowledge, "thousandeyes_agent_last_seen_timestamp_seconds") == {("", "1"): START - 60}
    assert ("", "2", "Oslo", "enterprise-cluster", "") in samples(collector, knowledge, "thousandeyes_agent_info")
    assert samples(collector, knowledge, "thousandeyes_agent_online", START + 1801) == {}
    later = polled(collector, knowledge, "/agents", AGENTS, at=START + 1801)
    assert samples(collector, later, "thousandeyes_agent_online", START + 1801) != {}


@pytest.mark.parametrize("link", [{"href": "?cursor=b"}, "?cursor=b", [{"href": None}]])
def test_agents_on_further_pages_are_truncated(link):
    """Only the first page is requested: those that are missing must not go unnoticed."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), "/agents", AGENTS | {"_links": {"next": link}})
    assert known.truncated
    assert not polled(collector, known, "/agents", AGENTS | {"_links": {"self": link}}).truncated


def test_members_of_a_cluster_are_agents():
    """The vendor gives no state to a cluster, only to its members, and lists them only if asked to."""
    collector = Collector(settings(agents=True))
    members = [
        {"memberId": 8, "name": "a", "agentState": "online"},
        {"memberId": "9", "name": "b", "agentState": "offline"},
    ]
    cluster = {"agentId": "7", "agentName": "Oslo", "agentType": "enterprise-cluster", "location": "NO"}
    odd = [{"agentId": "6", "clusterMembers": each} for each in (None, "none", 5)]
    listed = {"agents": [cluster | {"clusterMembers": [*members, "c"]}, *odd]}
    knowledge = polled(collector, collector.start(), "/agents", listed)

    assert ("expand", "cluster-member") in ask_for(collector, knowledge, "/agents", START).params
    assert samples(collector, knowledge, "thousandeyes_agent_online") == {("", "8"): 1.0, ("", "9"): 0.0}
    assert ("", "9", "Oslo/b", "cluster-member", "NO") in samples(collector, knowledge, "thousandeyes_agent_info")


@pytest.mark.parametrize(
    ("given", "refusals"),
    [
        ({}, [{403, 404}, {403, 404}]),
        ({"agents": True}, [set(), {403, 404}]),
        ({"usage": True}, [{403, 404}, set()]),
        ({"agents": True, "usage": True}, [set(), set()]),
    ],
)
def test_forbidden_agents_are_an_error_only_if_configured(given, refusals):
    """By default they are absent, and everything else continues."""
    collector = Collector(settings(**given))
    wanted = [each for each in collector.requests(collector.start(), START) if each.endpoint in ("/agents", "/usage")]
    assert [each.expected_statuses for each in wanted] == refusals

    knowledge = collector.start()
    for each in wanted:
        knowledge = collector.update(knowledge, each, Response(START, 403, b"{}"))
    assert samples(collector, knowledge, "thousandeyes_agent_info") == {}
    assert samples(collector, knowledge, "thousandeyes_oldest_reading_timestamp_seconds") == {}
    assert ask_for(collector, knowledge, "/usage", START).due == START + 3600


def test_cleared_alerts_are_counted_separately():
    """They are listed page by page, never count as active, and do not change the target's age."""
    collector = Collector(settings(cleared_window="1m"))
    knowledge = polled(collector, collector.start(), ALERTS, page(alert("a")))
    ended = [
        alert(name, alertState="clear", alertSeverity=severity) for name, severity in (("x", "major"), ("y", "info"))
    ]
    first = next(r for r in collector.requests(knowledge, START) if ("state", "clear") in r.params)
    assert first.params == (("state", "clear"), ("window", "60s"))
    knowledge = collector.update(knowledge, first, Response(START, 200, json.dumps(page(*ended, cursor="c")).encode()))
    assert samples(collector, knowledge, "thousandeyes_cleared_alerts") == {}

    request = next(r for r in collector.requests(knowledge, START) if ("state", "clear") in r.params)
    assert ("cursor", "c") in request.params
    last = page(alert("y", alertState="clear", alertSeverity="info"), alert("z", alertState="trigger"))
    knowledge = collector.update(knowledge, request, Response(START + 1, 200, json.dumps(last).encode()))

    expected = {("", "bgp", "major"): 1.0, ("", "bgp", "info"): 1.0}
    assert samples(collector, knowledge, "thousandeyes_cleared_alerts") == expected
    assert not knowledge.truncated
    endless = {"alerts": [ended[0]], "_links": {"next": {"href": None}}}
    assert collector.update(knowledge, first, Response(START + 2, 200, json.dumps(endless).encode())).truncated
    for age, shown in ((900, expected), (901, {})):  # three listings, every five minutes
        assert samples(collector, knowledge, "thousandeyes_cleared_alerts", START + age) == shown
    assert knowledge.as_of == START


def test_usage_and_outages_are_polled_once_per_organisation():
    """Used units are those of cloud and enterprise together; ended outages do not count."""
    collector = Collector(settings(usage=True, outages=True, account_groups=["1", "2"]))
    usage = {"usage": {"cloudUnitsUsed": 90, "enterpriseUnitsUsed": 5, "quota": {"cloudUnitsIncluded": 100}}}
    knowledge = polled(collector, collector.start(), "/usage", usage, aid="1")
    outages = {"outages": [{"type": "app"}, {"type": "app", "endDate": "2026-11-20T11:00:00Z"}, {"type": "net"}]}
    outages["outages"].append({"type": "net", "endRoundId": 1_763_636_400})
    knowledge = polled(collector, knowledge, "/internet-insights/outages/filter", outages, aid="1")

    endpoints = [request.endpoint for request in collector.requests(collector.start(), START)]
    assert (endpoints.count("/usage"), endpoints.count("/internet-insights/outages/filter")) == (1, 1)
    assert samples(collector, knowledge, "thousandeyes_units_used") == {("1",): 95.0}
    assert samples(collector, knowledge, "thousandeyes_units_included") == {("1",): 100.0}
    assert samples(collector, knowledge, "thousandeyes_outages") == {("1", "app"): 1.0, ("1", "net"): 1.0}
    for name, age in (("units_used", 3 * 3600), ("outages", 3 * 300)):
        assert samples(collector, knowledge, f"thousandeyes_{name}", START + age)
        assert samples(collector, knowledge, f"thousandeyes_{name}", START + age + 1) == {}


def test_tests_have_names():
    """For joins in rules and panels."""
    collector = Collector(settings())
    tests = {"tests": [{"testId": "1", "testName": "checkout", "type": "http-server"}]}
    knowledge = polled(collector, collector.start(), TESTS, tests)
    for age, shown in ((10_800, {("", "1", "checkout", "http-server"): 1.0}), (10_801, {})):  # three hourly lookups
        assert samples(collector, knowledge, "thousandeyes_test_info", START + age) == shown


def test_age_of_a_kind_is_that_of_its_oldest_value():
    """Whichever of its tests was read first."""
    collector = Collector(settings(test_results=["1", "2"]))
    known = polled(collector, collector.start(), "/agents", AGENTS, at=START + 5)
    first, second = (request for request in collector.requests(known, START) if request.endpoint == RESULTS)
    for request, at in ((second, START + 60), (first, START + 70)):
        known = collector.update(known, request, Response(at, 200, b'{"results": []}'))
    name = "thousandeyes_oldest_reading_timestamp_seconds"
    assert samples(collector, known, name, START + 80) == {("", "agents"): START + 5, ("", "http"): START + 60}


def test_results_of_a_test_that_is_gone_are_forgotten():
    """Otherwise those of tests that come and go would fill the memory."""
    collector = Collector(settings(test_results="all"))
    tests = {"tests": [{"testId": "1", "type": "http-server"}, {"testId": "2", "type": "http-server"}]}
    known = polled(collector, collector.start(), TESTS, tests)
    for _ in tests["tests"]:
        asked, _ = choose([each for each in collector.requests(known, START) if each.endpoint == RESULTS], START, {})
        known = collector.update(known, asked, Response(START, 200, b'{"results": []}'))
    assert set(known.groups[""].readings) == {"http/1", "http/2"}
    known = polled(collector, known, TESTS, {"tests": tests["tests"][:1]}, at=START + 3600)
    assert set(known.groups[""].readings) == {"http/1"}


def test_local_problems_are_those_of_cloud_agents():
    """The vendor lists no others, so for an enterprise agent they are unknown. They have names, but no state."""
    collector = Collector(settings())
    knowledge = polled(collector, collector.start(), "/agents", AGENTS)
    dallas = {"agentId": "4", "agentName": "Dallas", "location": None}
    problems = [{"agent": dallas, "active": True}, {"agent": dallas, "active": True}]
    ended = [{"agent": {"agentId": "5"}, "active": False}, {"agent": {"agentId": "6"}}]
    found = polled(collector, knowledge, "/agents/local-problems", {"localProblems": problems + ended})
    assert samples(collector, found, "thousandeyes_agent_local_problems") == {("", "4"): 2.0}
    assert ("", "4", "Dallas", "cloud", "") in samples(collector, found, "thousandeyes_agent_info")
    found = polled(collector, found, ALERTS, page())
    assert [each.text for each in collector.figures(found, START)][1:] == ["3 enterprise agents, 1 offline: Oslo"]

    request = ask_for(collector, knowledge, "/agents/local-problems", START)
    denied = collector.update(knowledge, request, Response(START, 403, b"{}"))
    assert samples(collector, denied, "thousandeyes_agent_online") != {}
    assert samples(collector, denied, "thousandeyes_agent_local_problems") == {}
