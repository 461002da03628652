import json

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.bigpanda.answers import read_environments, read_search
from exporter.collectors.bigpanda.collector import ENVIRONMENTS, MAINTENANCE, SEARCH, Collector
from exporter.collectors.bigpanda.config import Settings
from exporter.collectors.bigpanda.knowledge import ACTIVE, FOLDERS, Knowledge
from exporter.collectors.contract import Reason, Response
from exporter.polling.scheduler import choose
from exporter.toolkit.http_errors import Malformed

START = 1_795_176_000.0


def settings(**given):
    return Settings(**{"collector": "bigpanda", "account": "main", "token": "tell-nobody"} | given)


def incident(identity, status="critical", severity="critical", start=START - 60):
    return {"id": str(identity), "status": status, "severity": severity, "start": start, "active": True}


def response(document, at=START):
    return Response(at, 200, json.dumps(document).encode())


def knowing(collector, *names):
    """Return knowledge of environments, each with its name as id."""
    (request,) = collector.requests(collector.start(), START)
    return collector.update(collector.start(), request, response([{"id": name, "name": name} for name in names]))


def ask_for(collector, knowledge, name, folder, now=START):
    return next(
        request
        for request in collector.requests(knowledge, now)
        if request.endpoint == SEARCH
        and request.path.split("/")[4] == name
        and dict(request.params)["folder"] == folder
    )


def after_round(collector, knowledge, name, at, found=()):
    """Return the knowledge after every folder of one environment was read, a second each."""
    for second, folder in enumerate(FOLDERS):
        request = ask_for(collector, knowledge, name, folder, at)
        document = {"total": len(found), "items": list(found)}
        knowledge = collector.update(knowledge, request, response(document, at + second))
    return knowledge


def samples(collector, knowledge, name, now=START):
    families = {family.metric.name: dict(family.samples) for family in collector.families(knowledge, now)}
    return families[name]


def test_round_ends_with_the_last_environment():
    """Each environment is published when its folders were read, with the age of its oldest part."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a", "b"), "a", START)
    assert (knowledge.as_of, knowledge.round_at) == (START, None)
    assert samples(collector, knowledge, "bigpanda_incidents")[("a", "active")] == 0.0

    knowledge = after_round(collector, knowledge, "b", START + 10)
    assert (knowledge.as_of, knowledge.round_at) == (START, START)

    knowledge = after_round(collector, knowledge, "a", START + 60)
    assert (knowledge.as_of, knowledge.round_at) == (START + 10, START)
    after = after_round(collector, knowledge, "b", START + 70)
    assert (after.as_of, after.round_at) == (START + 60, START + 60)


def test_more_than_1000_environments_are_an_error_unless_selected():
    """The message says what to configure."""
    names = [str(number) for number in range(1001)]
    with pytest.raises(Malformed, match="more than 1,000 environments: list those that matter"):
        knowing(Collector(settings()), *names)
    assert len(knowing(Collector(settings()), *names[1:]).environments) == 1000
    assert len(knowing(Collector(settings(environments=["7"])), *names).environments) == 1


def test_missing_page_after_the_last_one_ends_the_listing():
    """Without a total a full page may be the last; if a total is not reached, the listing is truncated."""
    collector = Collector(settings())
    full = [incident(number) for number in range(100)]
    for document, cut in (({"items": full}, False), ({"total": 120, "items": full}, True)):
        knowledge = after_round(collector, knowing(collector, "a"), "a", START)
        first = collector.update(
            knowledge, ask_for(collector, knowledge, "a", "active", START + 60), response(document, START + 60)
        )
        request = ask_for(collector, first, "a", "active", START + 61)
        assert request.expected_statuses == {204, 404}
        listed = collector.update(first, request, Response(START + 61, 404, b"<html>"))
        assert listed.truncated is cut
        assert samples(collector, listed, "bigpanda_active_incidents", START + 61) == {
            ("a", "critical", "critical"): 100.0
        }


def test_total_smaller_than_its_page_is_ignored():
    """The listed incidents are counted."""
    assert read_search(json.dumps({"total": 0, "items": [incident(1)]}).encode()).total is None


def test_suddenly_empty_folder_is_polled_again():
    """Its total stays until a second poll confirms it; any other number counts at once."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START, [incident(1)])
    shared = ("a", "shared")

    def polled(total, at):
        request = ask_for(collector, knowledge, "a", "shared", at)
        return collector.update(knowledge, request, response({"total": total, "items": []}, at))

    knowledge = polled(0, START + 60)
    assert samples(collector, knowledge, "bigpanda_incidents", START + 60)[shared] == 1.0
    assert ask_for(collector, knowledge, "a", "shared").due == START + 70
    assert samples(collector, polled(2, START + 70), "bigpanda_incidents", START + 70)[shared] == 2.0
    knowledge = polled(0, START + 70)
    assert samples(collector, knowledge, "bigpanda_incidents", START + 70)[shared] == 0.0
    assert ask_for(collector, knowledge, "a", "shared").due == START + 130


def test_suddenly_empty_incident_list_is_polled_again():
    """One wrong empty response would resolve every incident, so a second poll must confirm it."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START, [incident(1)])
    request = ask_for(collector, knowledge, "a", "active", START + 60)
    none, one = {"total": 0, "items": []}, {"total": 1, "items": [incident(1)]}
    doubted = collector.update(knowledge, request, response(none, START + 60))
    assert samples(collector, doubted, "bigpanda_active_incidents", START + 60)[("a", "critical", "critical")] == 1.0
    assert ask_for(collector, doubted, "a", "active", START + 60).due == START + 70
    believed = collector.update(doubted, request, response(none, START + 70))
    assert samples(collector, believed, "bigpanda_active_incidents", START + 70)[("a", "critical", "critical")] == 0.0
    denied = collector.update(doubted, request, response(one, START + 70))
    assert ask_for(collector, denied, "a", "active", START + 70).due == START + 130


def test_changed_environments_are_listed_at_once():
    """Knowledge survives a reload, and newly selected environments do not wait for the hourly listing."""
    before = Collector(settings(environments=["a"]))
    knowledge = after_round(before, knowing(before, "a"), "a", START, [incident(1)])
    after = Collector(settings(environments=["a", "b"]))
    request, *_ = after.requests(knowledge, START + 5)
    assert (request.endpoint, request.due) == (ENVIRONMENTS, 0.0)
    listed = after.update(knowledge, request, response([{"id": "a", "name": "a"}, {"id": "b", "name": "b"}], START + 5))
    assert samples(after, listed, "bigpanda_incidents")[("a", "active")] == 1.0
    assert list(listed.environments) == ["a", "b"]
    assert next(iter(after.requests(listed, START + 5))).due == START + 5 + 3600


def test_a_failing_environment_does_not_stop_the_others():
    """It is polled last, and does not count for the target's age. The target is incomplete meanwhile."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a", "ill")
    for rounds in range(2):
        assert (knowledge.round_at, knowledge.truncated) == (None, False)
        assert ask_for(collector, knowledge, "ill", "active").reason is Reason.STATUS
        knowledge = after_round(collector, knowledge, "a", START + 60 * rounds, [incident(1)])

    assert (knowledge.as_of, knowledge.truncated) == (START + 60, True)
    assert ask_for(collector, knowledge, "ill", "active").reason is Reason.OLDEST
    assert ask_for(collector, knowledge, "a", "active").reason is Reason.STATUS
    assert samples(collector, knowledge, "bigpanda_active_incidents") == {("a", "critical", "critical"): 1.0}


def test_environments_are_listed_again_soon_while_one_fails():
    """It may have been deleted: until then the target would be incomplete."""
    collector = Collector(settings())
    knowledge, due = knowing(collector, "a", "deleted"), []
    for rounds in range(2):
        due.append(next(iter(collector.requests(knowledge, START))).due)
        knowledge = after_round(collector, knowledge, "a", START + 60 * rounds)
    due.append(next(iter(collector.requests(knowledge, START))).due)
    assert due == [START + 3600, START + 3600, START + 300]


def test_an_environment_that_recovers_counts_again():
    """After its next complete round it is polled in order with the others."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a", "ill")
    for rounds in range(5):
        knowledge = after_round(collector, knowledge, "a", START + 60 * rounds)
    knowledge = after_round(collector, knowledge, "ill", START + 250)

    assert (ask_for(collector, knowledge, "ill", "active").reason, knowledge.truncated) == (Reason.STATUS, False)
    assert after_round(collector, knowledge, "a", START + 300).as_of == START + 250


def test_the_series_of_a_failing_environment_are_withdrawn():
    """After `max_age` its series are gone, and those of the others stay."""
    collector = Collector(settings(max_age="2m"))
    knowledge = after_round(collector, knowing(collector, "a", "ill"), "ill", START, [incident(1)])
    knowledge = after_round(collector, knowledge, "a", START + 120, [incident(2)])

    name = "bigpanda_oldest_active_incident_timestamp_seconds"
    assert set(samples(collector, knowledge, name, START + 120)) == {("a",), ("ill",)}
    assert set(samples(collector, knowledge, name, START + 121)) == {("a",)}


def listed(collector, pages, **document):
    """Return the knowledge after pages of active incidents, and the last ask."""
    knowledge = knowing(collector, "a")
    for at, rows in enumerate(pages):
        request = ask_for(collector, knowledge, "a", "active", START + at)
        knowledge = collector.update(knowledge, request, response(document | {"items": rows}, START + at))
    return knowledge


def test_oldest_active_incident_is_the_one_that_started_first():
    """On whichever page; one that has ended or has no start does not count."""
    collector = Collector(settings())
    rows = [
        incident(1),
        incident(2, start=START - 90),
        incident(3, start=None),
        incident(4, start=START - 200) | {"active": False},
    ]
    knowledge = listed(collector, [rows, [incident(5, start=START - 80)]], total=5)
    found = samples(collector, knowledge, "bigpanda_oldest_active_incident_timestamp_seconds")
    assert found == {("a",): START - 90}


@pytest.mark.parametrize(
    ("total", "page", "more"),
    [
        (3, 2, True),
        (2, 2, False),
        (100, 100, False),
        (None, 100, True),
        (None, 99, False),
        (5, 0, False),
    ],
)
def test_next_page_is_requested_up_to_the_total(total, page, more):
    """The total decides, whatever the page size; without a total, a full page has a successor."""
    collector = Collector(settings())
    document = {} if total is None else {"total": total}
    knowledge = listed(collector, [[incident(number) for number in range(page)]], **document)

    request = ask_for(collector, knowledge, "a", "active", START + 1)
    assert dict(request.params)["page"] == ("2" if more else "1")
    assert (ACTIVE not in knowledge.environments["a"].folders) is more


def test_page_size_is_configurable():
    """BigPanda does not document its limit, and may answer 400 to more; a full page has a successor."""
    collector = Collector(settings(page_size=2))
    knowledge = listed(collector, [[incident(1), incident(2)]])
    pages = [dict(ask_for(collector, known, "a", "active").params) for known in (knowing(collector, "a"), knowledge)]
    assert [(params["page_size"], params["page"]) for params in pages] == [("2", "1"), ("2", "2")]
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    request = plans_request(collector, knowledge, "running")
    assert dict(request.params)["per_page"] == "2"
    further = plans_request(collector, collector.update(knowledge, request, response([{}, {}])), "running")
    assert dict(further.params)["page"] == "2"


@pytest.mark.parametrize(
    ("cap", "pages", "total", "truncated"),
    [
        (2, [[incident(1)], [incident(2)]], 3, True),
        (2, [[incident(1)], [incident(2)]], 2, False),
        (9, [[incident(1)], []], 3, True),
        (9, [[incident(1), incident(2)], [incident(2), incident(3)]], 4, True),  # another one is missing
        (9, [[incident("")]] * 3, 3, False),  # without ids, none of them is there twice
        (100, [[incident(number) for number in range(10_000)]], 10_001, True),
    ],
)
def test_incomplete_listing_is_truncated(cap, pages, total, truncated):
    """A page cap, the vendor's last result or an early end truncates the counts, never the total."""
    collector = Collector(settings(max_pages=cap))
    knowledge = listed(collector, pages, total=total)

    assert knowledge.truncated is truncated
    assert samples(collector, knowledge, "bigpanda_incidents") == {("a", "active"): float(total)}


@pytest.mark.parametrize(("pages", "value"), [([100], {}), ([100, 7], {("a", "active"): 107.0})])
def test_active_incidents_without_a_total_are_counted(pages, value):
    """A truncated listing does not count the folder."""
    collector = Collector(settings(max_pages=len(pages)))
    rows = [[incident(100 * page + number) for number in range(size)] for page, size in enumerate(pages)]
    knowledge = listed(collector, rows)

    assert knowledge.truncated is not bool(value)
    assert samples(collector, knowledge, "bigpanda_incidents") == value


def test_slow_listing_starts_again():
    """Pages that are too old are dropped, and a late page of that listing changes nothing."""
    collector = Collector(settings(max_age="5m"))
    half = listed(collector, [[incident(1)]], total=2)
    late = ask_for(collector, half, "a", "active", START + 60)

    again = ask_for(collector, half, "a", "active", START + 301)
    assert dict(again.params)["page"] == "1"
    whole = collector.update(half, again, response([], START + 301))
    assert collector.update(whole, late, response([incident(2)], START + 302)) == whole


def test_environments_are_added_and_removed():
    """A new list keeps the knowledge of remaining environments; an empty list leaves nothing else."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a", "b"), "a", START, [incident(1)])
    (request, *_) = collector.requests(knowledge, START)

    renamed = collector.update(knowledge, request, response([{"id": "a", "name": "A"}, {"id": "c", "name": "C"}]))
    assert [each.name for each in renamed.environments.values()] == ["A", "C"]
    assert samples(collector, renamed, "bigpanda_incidents")[("A", "active")] == 1.0

    doubted = collector.update(knowledge, request, response([], START + 5))
    (again, *_) = collector.requests(doubted, START)
    assert (len(doubted.environments), again.due) == (2, START + 15)
    none = collector.update(doubted, request, response([], START + 15))
    (again,) = collector.requests(none, START)
    assert none.as_of == START + 15
    assert (again.endpoint, again.due) == (ENVIRONMENTS, START + 75)


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [
        ("all", ["Prod (1)", "Prod (2)", "Lab", "Prod (1) (4)"]),
        (["2", "Lab", "77"], ["Prod", "Lab", "77"]),
        (["Lab", "3"], ["Lab"]),
        (["Prod"], ["Prod (1)", "Prod (2)"]),
    ],
)
def test_environment_labels_are_unique(wanted, labels):
    """The label is the name; with the id if two share a name, the id alone without a name."""
    collector = Collector(settings(environments=wanted))
    rows = [{"id": "1", "name": "Prod"}, {"id": "2", "name": "Prod"}, {"id": "3", "name": "Lab"}]
    rows += [{"id": "4", "name": "Prod (1)"}]
    (request,) = collector.requests(collector.start(), START)
    knowledge = collector.update(collector.start(), request, response(rows))

    assert [each.name for each in knowledge.environments.values()] == labels


def test_long_environment_names_that_begin_alike_are_distinct():
    """Also once their labels are cut: a series that is there twice makes a page invalid."""
    collector = Collector(settings())
    rows = [{"id": str(end), "name": "x" * 3000 + str(end)} for end in range(2)]
    rows += [{"id": "2", "name": "y" * 256}]
    (request,) = collector.requests(collector.start(), START)
    knowledge = collector.update(collector.start(), request, response(rows))
    *cut, whole = (each.name for each in knowledge.environments.values())
    assert [each[-5:] for each in cut] == ["… (0)", "… (1)"]
    assert all(len(each) < 512 for each in cut)
    assert whole == "y" * 256


@pytest.mark.parametrize(
    "document",
    [
        [{"id": 7, "name": "Prod"}, {"id": "7", "name": "Prod"}, {"description": "of no use"}],
        {"items": [{"id": "7", "name": "Prod"}]},
        {"environments": [{"id": "7", "name": " Prod "}]},
    ],
)
def test_environments_are_read_from_any_wrapping(document):
    """A bare list or a wrapped one, and each environment once."""
    assert read_environments(json.dumps(document).encode()) == {"7": "Prod"}


@pytest.mark.parametrize("found", [0, 1, 3, 99])
def test_folder_without_a_total_is_listed(found):
    """One row of a bare list may be all or the first of many."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    rows = [incident(number) for number in range(found)]
    for _ in range(2):
        request = ask_for(collector, knowledge, "a", "shared")
        knowledge = collector.update(knowledge, request, response(rows[: int(dict(request.params)["page_size"])]))

    assert samples(collector, knowledge, "bigpanda_incidents") == {("a", "shared"): float(found)}


def test_full_list_without_a_total_has_no_value():
    """There may be more incidents beyond the page."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    rows = [incident(number) for number in range(100)]
    knowledge = collector.update(knowledge, ask_for(collector, knowledge, "a", "shared"), response(rows[:1]))
    with pytest.raises(Malformed, match="total: missing"):
        collector.update(knowledge, ask_for(collector, knowledge, "a", "shared"), response(rows))


def test_only_a_further_page_may_be_missing():
    """A 404 of the first one is a failure: read as the end of the list, it would end every incident."""
    collector = Collector(settings())
    first = ask_for(collector, knowing(collector, "a"), "a", "active")
    rows = [incident(number) for number in range(100)]
    second = ask_for(collector, listed(collector, [rows], total=101), "a", "active", START + 1)
    assert (first.expected_statuses, second.expected_statuses) == ({204}, {204, 404})


def test_no_content_means_no_incidents():
    """Of any folder; suddenly it counts only once confirmed, and instead of a further page it ends the list."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    for at, total in ((START, 0.0), (START + 60, 0.0)):
        for folder in FOLDERS:
            request = ask_for(collector, knowledge, "a", folder, at)
            knowledge = collector.update(knowledge, request, Response(at, 204, b""))
        assert set(samples(collector, knowledge, "bigpanda_incidents", at).values()) == {total}
    rows = [incident(number) for number in range(100)]
    half = listed(collector, [rows], total=101)
    whole = collector.update(half, ask_for(collector, half, "a", "active", START + 1), Response(START + 1, 204, b""))
    assert samples(collector, whole, "bigpanda_incidents", START + 1) == {("a", "active"): 101.0}
    assert whole.truncated
    emptied = collector.update(
        whole, ask_for(collector, whole, "a", "active", START + 61), Response(START + 61, 204, b"")
    )
    assert samples(collector, emptied, "bigpanda_incidents", START + 61) == {("a", "active"): 101.0}


def test_environment_without_a_name_or_an_id_has_the_other():
    """One without both is left out."""
    rows = [{"id": 5}, {"name": " a "}, {"id": "6", "name": "b"}, {}]
    assert read_environments(json.dumps(rows).encode()) == {"5": "5", "a": "a", "6": "b"}


def test_critical_incidents_and_the_oldest_are_on_the_page():
    """Of all environments."""
    collector = Collector(settings())
    known = knowing(collector, "a", "b")
    known = after_round(collector, known, "a", START, [incident(1, "warning", start=1_800_000_000)])
    assert [(each.text, each.bad) for each in collector.figures(known, START + 9)] == [
        ("1 active incident in 2 environments: 1 warning", False),
        ("oldest active incident: since 2027-01-15 08:00Z", False),
    ]
    known = after_round(collector, known, "b", START, [incident(2, start=1_700_000_000), incident(3, "warning")])
    assert [(each.text, each.bad) for each in collector.figures(known, START + 9)] == [
        ("3 active incidents in 2 environments: 2 warning, 1 critical", True),
        ("oldest active incident: since 2023-11-14 22:13Z", False),
    ]


def test_states_are_in_lower_case():
    """BigPanda writes them in either: two series of one state would split its count."""
    collector = Collector(settings())
    known = listed(collector, [[incident(1, "Critical", "CRITICAL"), incident(2, None, None)]], total=2)
    found = samples(collector, known, "bigpanda_active_incidents")
    assert found == {("a", "critical", "critical"): 1, ("a", "unknown", "unknown"): 1}


def test_summary_names_the_five_most_frequent_states():
    """However many the vendor invents."""
    collector = Collector(settings())
    rows = [incident(f"{state}{number}", f"state {state}") for state in range(7) for number in range(7 - state)]
    summary, *_ = collector.figures(listed(collector, [rows], total=28), START)
    assert summary.text == (
        "28 active incidents in 1 environment: 7 state 0, 6 state 1, 5 state 2, 4 state 3, 3 state 4"
    )


def test_repeated_page_ends_the_listing():
    """A vendor that ignores the page number does not cause endless requests."""
    collector = Collector(settings())
    document = {"total": 1000, "items": [incident(1)]}
    knowledge = knowing(collector, "a")
    for _ in range(2):
        knowledge = collector.update(knowledge, ask_for(collector, knowledge, "a", "active"), response(document))

    assert dict(ask_for(collector, knowledge, "a", "active").params)["page"] == "1"
    assert knowledge.truncated


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "body: a web page, not JSON"),
        (b"5", "body: neither an object nor a list"),
        (b"null", "body: null"),
        (b'{"items": 5}', "items: not a list"),
        (b'{"items": [5]}', "items[0]: not an object"),
        (b'{"total": -1}', "items: missing"),
    ],
)
def test_unknown_response_shape_is_malformed(body, message):
    """The error names the member."""
    with pytest.raises(Malformed) as caught:
        read_search(body)

    assert str(caught.value) == message


def test_response_for_a_removed_environment_changes_nothing():
    """Its search was in flight when the environment was left out."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    request = ask_for(collector, knowledge, "a", "shared")
    assert collector.update(Knowledge(), request, response({"total": 1})) == Knowledge()


def test_knowledge_survives_a_restart():
    """Totals, counts and an incomplete listing are the same after a round trip through JSON."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a", "b"), "a", START, [incident(1)])
    request = ask_for(collector, knowledge, "a", "active")
    knowledge = collector.update(knowledge, request, response({"total": 2, "items": [incident(1)]}, START + 60))

    adapter = TypeAdapter(Knowledge)
    assert adapter.validate_json(adapter.dump_json(knowledge)) == knowledge


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"environments": []}, "give at least one environment, or all"),
        ({"environments": "Production"}, "give a list of environments, or all"),
        ({"environments": None}, "give a list of environments, or all"),
        ({"environments": ["a", ""]}, "at least 1 character"),
        ({"environments": ["a", "a"]}, "an environment is given twice"),
        ({"base_url": "bigpanda"}, "not a URL"),
    ],
)
def test_invalid_settings_are_errors(given, message):
    """Each problem says what to fix."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    (problem,) = caught.value.errors()
    assert message in problem["msg"]


def test_rate_above_the_vendors_limit_is_a_warning():
    """The limit may have been raised for this account."""
    assert settings(requests_per_minute=300).warnings() == []
    assert settings(requests_per_minute=301).warnings() == ["requests_per_minute: the vendor allows 300"]


def shifting(collector, knowledge, totals, first=START):
    """Return the knowledge after two pages of active incidents were read for each pair of totals."""
    rows = [incident(number) for number in range(150)]
    at = first
    for pair in totals:
        for total, page in zip(pair, (rows[:100], rows[100:]), strict=True):
            request = ask_for(collector, knowledge, "a", "active", at)
            knowledge = collector.update(knowledge, request, response({"total": total, "items": page}, at))
            at += 1
    return knowledge


def test_listing_that_shifts_is_read_again():
    """If an incident ends between two pages, the total changes, and the listing is not used."""
    collector = Collector(settings())
    knowledge = shifting(collector, knowing(collector, "a"), [(151, 150)])
    assert samples(collector, knowledge, "bigpanda_active_incidents") == {}
    again = ask_for(collector, knowledge, "a", "active", START + 2)
    assert (dict(again.params)["page"], again.due) == ("1", START + 1)

    knowledge = shifting(collector, knowledge, [(150, 150)], START + 2)
    assert samples(collector, knowledge, "bigpanda_incidents", START + 3) == {("a", "active"): 150.0}
    assert not knowledge.truncated


def test_total_of_one_page_alone_is_no_shift():
    """Some wrappings have it, others do not."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    for page in ({"items": [incident(number) for number in range(100)]}, {"total": 101, "items": [incident(100)]}):
        knowledge = collector.update(knowledge, ask_for(collector, knowledge, "a", "active"), response(page))
    assert samples(collector, knowledge, "bigpanda_incidents") == {("a", "active"): 101.0}
    assert not knowledge.truncated


def test_listing_that_keeps_shifting_is_used_as_truncated():
    """If the total changes on every page, the third try is published as truncated."""
    collector = Collector(settings())
    knowledge = shifting(collector, knowing(collector, "a"), [(151, 150), (152, 151), (151, 150)])
    assert samples(collector, knowledge, "bigpanda_active_incidents", START + 6) == {
        ("a", "critical", "critical"): 150.0
    }
    assert knowledge.truncated


def plans_request(collector, knowledge, status):
    return next(
        request
        for request in collector.requests(knowledge, START)
        if request.endpoint == MAINTENANCE and dict(request.params)["status"] == status
    )


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ([], 0),
        ([{}, {}], 2),
        ({"total": "3"}, 3),
        ({"items": [{}]}, 1),
        ({"maintenance_plans": [{}, {}]}, 2),
        ({"errors": [], "plans": [{}]}, 1),
    ],
)
def test_maintenance_plans_are_counted_in_any_wrapping(document, count):
    """A list is documented; an object with a total or a list is read too."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    knowledge = collector.update(knowledge, plans_request(collector, knowledge, "running"), response(document))
    assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {("running",): float(count)}


def test_every_page_of_maintenance_plans_is_counted():
    """A full page is followed by the next, at once; until the last one the count stays as it was."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    for page, rows in enumerate((100, 100, 7), 1):
        request = plans_request(collector, knowledge, "running")
        assert (request.due, dict(request.params)["page"]) == (0.0, str(page))
        assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {}
        knowledge = collector.update(knowledge, request, response([{}] * rows))
    assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {("running",): 207.0}

    again = plans_request(collector, knowledge, "running")
    full = collector.update(knowledge, again, response([{}] * 100))
    assert samples(collector, full, "bigpanda_maintenance_plans") == {("running",): 207.0}
    request = plans_request(collector, full, "running")
    ended = collector.update(full, request, Response(START, 404, b"{}"))
    assert samples(collector, ended, "bigpanda_maintenance_plans") == {("running",): 100.0}


@pytest.mark.parametrize(
    ("status", "none", "then"),
    [(200, b"[]", {("running",): 0.0}), (204, b"", {("running",): 0.0}), (403, b"<html>", {}), (404, b"", {})],
)
def test_maintenance_plans_that_are_suddenly_gone_are_polled_again(status, none, then):
    """One bad response would show no plan for five minutes, or nothing for an hour."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    request = plans_request(collector, knowledge, "running")
    knowledge = collector.update(knowledge, request, response([{}]))
    doubted = collector.update(knowledge, request, Response(START, status, none))
    assert samples(collector, doubted, "bigpanda_maintenance_plans") == {("running",): 1.0}
    assert plans_request(collector, doubted, "running").due == START + 10
    gone = collector.update(doubted, request, Response(START + 10, status, none))
    assert samples(collector, gone, "bigpanda_maintenance_plans") == then
    restored = collector.update(doubted, request, response([{}], START + 10))
    assert plans_request(collector, restored, "running").due == START + 310


def test_maintenance_plans_are_counted_up_to_max_pages():
    """A vendor that repeats a full page for ever gets no further requests."""
    collector = Collector(settings(max_pages=2))
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    for _ in range(2):
        knowledge = collector.update(knowledge, plans_request(collector, knowledge, "running"), response([{}] * 100))
    assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {("running",): 200.0}


@pytest.mark.parametrize(("found", "searches"), [(0, 10), (100, 10), (101, 11), (250, 12)])
def test_searches_take_nine_tenths_of_the_budget(found, searches):
    """One for each folder, and one for each further page of active incidents, as the README says."""
    collector = Collector(settings(requests_per_minute=6))
    knowledge = knowing(collector, "a", "b")
    assert ask_for(collector, knowledge, "b", "active").every == pytest.approx(10 * 60 / 5.4)
    rows = [incident(number) for number in range(found)]
    for page in range(max(1, -(-found // 100))):
        request = ask_for(collector, knowledge, "a", "active", START + page)
        document = {"total": found, "items": rows[100 * page : 100 * page + 100]}
        knowledge = collector.update(knowledge, request, response(document, START + page))
    assert ask_for(collector, knowledge, "b", "active").every == pytest.approx(searches * 60 / 5.4)


def test_searches_leave_budget_for_maintenance_plans():
    """Twenty environments at 60 a minute are polled less often than configured; plans every five minutes."""
    collector = Collector(settings())
    knowledge = knowing(collector, *(f"place{number}" for number in range(20)))
    times = []
    for now in (START + second for second in range(900)):
        request, _ = choose(collector.requests(knowledge, now), now, {})
        if request is None:
            continue
        if request.endpoint == MAINTENANCE:
            times.append(now - START)
        knowledge = collector.update(knowledge, request, response({"total": 0, "items": []}, now))
    assert len(times) == 6
    assert times[-1] < 780
    assert knowledge.as_of > START + 900 - 2 * 20 * 5 / 0.9


@pytest.mark.parametrize("status", [403, 404])
def test_forbidden_maintenance_plans_are_absent(status):
    """A role without access is no failure of the target, and plans are polled again after an hour."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    request = plans_request(collector, knowledge, "planned")
    assert status in request.expected_statuses
    knowledge = collector.update(knowledge, request, Response(START, status, b"<html>"))
    assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {}
    assert plans_request(collector, knowledge, "planned").due == START + 3600


def test_no_content_means_no_maintenance_plans():
    """So BigPanda answers a key that may see them; as a failure it would hide that everything else is well."""
    collector = Collector(settings(max_age="5m"))
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    request = plans_request(collector, knowledge, "planned")
    assert 204 in request.expected_statuses
    knowledge = collector.update(knowledge, request, Response(START, 204, b""))
    for age, shown in ((900, {("planned",): 0}), (901, {})):  # three times their interval, if `max_age` is shorter
        assert samples(collector, knowledge, "bigpanda_maintenance_plans", START + age) == shown
    assert plans_request(collector, knowledge, "planned").due == START + 300
