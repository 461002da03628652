import json

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.bigpanda.answers import Place, read_environments, read_search
from exporter.collectors.bigpanda.collector import ENVIRONMENTS, MAINTENANCE, SEARCH, Collector
from exporter.collectors.bigpanda.config import Settings
from exporter.collectors.bigpanda.knowledge import ACTIVE, FOLDERS, Knowledge
from exporter.collectors.contract import Certificate, Reason, Response
from exporter.errors import Malformed
from exporter.polling.scheduler import choose

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


def test_a_round_is_whole_with_every_folder_of_every_environment():
    """What an environment brings is shown as it arrives, as old as its oldest part; the last one ends the round."""
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


def test_more_environments_than_can_be_read_are_refused_unless_some_are_chosen():
    """The message says what to do."""
    names = [str(number) for number in range(1001)]
    with pytest.raises(Malformed, match="more than 1,000 environments: list those that matter"):
        knowing(Collector(settings()), *names)
    assert len(knowing(Collector(settings(environments=["7"])), *names).environments) == 1


def test_a_page_after_the_last_one_may_be_missing():
    """Without a total a full page may be the last; with one that is not reached the listing is cut."""
    collector = Collector(settings())
    full = [incident(number) for number in range(100)]
    for document, cut in (({"items": full}, False), ({"total": 120, "items": full}, True)):
        knowledge = after_round(collector, knowing(collector, "a"), "a", START)
        first = collector.update(
            knowledge, ask_for(collector, knowledge, "a", "active", START + 60), response(document, START + 60)
        )
        request = ask_for(collector, first, "a", "active", START + 61)
        assert request.expected_statuses == {404}
        listed = collector.update(first, request, Response(START + 61, 404, b"<html>"))
        assert listed.truncated is cut
        assert samples(collector, listed, "bigpanda_active_incidents", START + 61) == {
            ("a", "critical", "critical"): 100.0
        }


def test_a_total_that_is_less_than_its_page_is_none():
    """What is listed counts."""
    assert read_search(json.dumps({"total": 0, "items": [incident(1)]}).encode()).total is None


def test_a_folder_that_is_empty_at_once_is_empty_when_it_is_said_twice():
    """Its total stays until then, and is asked for again soon; another number is believed at once."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START, [incident(1)])
    shared = ("a", "shared")

    def told(total, at):
        request = ask_for(collector, knowledge, "a", "shared", at)
        return collector.update(knowledge, request, response({"total": total, "items": []}, at))

    knowledge = told(0, START + 60)
    assert samples(collector, knowledge, "bigpanda_incidents", START + 60)[shared] == 1.0
    assert ask_for(collector, knowledge, "a", "shared").due == START + 70
    assert samples(collector, told(2, START + 70), "bigpanda_incidents", START + 70)[shared] == 2.0
    knowledge = told(0, START + 70)
    assert samples(collector, knowledge, "bigpanda_incidents", START + 70)[shared] == 0.0
    assert ask_for(collector, knowledge, "a", "shared").due == START + 130


def test_incidents_that_are_all_gone_at_once_are_gone_when_it_is_said_twice():
    """One stray empty answer would end every incident; it is asked again soon, and an answer with incidents ends it."""
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


def test_another_choice_of_environments_is_listed_at_once():
    """What is known outlives a reload, and what was chosen since is not waited for until the next hour."""
    before = Collector(settings(environments=["a"]))
    knowledge = after_round(before, knowing(before, "a"), "a", START, [incident(1)])
    after = Collector(settings(environments=["a", "b"]))
    request, *_ = after.requests(knowledge, START + 5)
    assert (request.endpoint, request.due) == (ENVIRONMENTS, 0.0)
    listed = after.update(knowledge, request, response([{"id": "a", "name": "a"}, {"id": "b", "name": "b"}], START + 5))
    assert samples(after, listed, "bigpanda_incidents")[("a", "active")] == 1.0
    assert [each.id for each in listed.environments] == ["a", "b"]
    assert next(iter(after.requests(listed, START + 5))).due == START + 5 + 3600


def test_a_failing_environment_does_not_stop_the_others():
    """One that never answers is left behind: asked last, and without a say in the age of the target."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a", "ill")
    for rounds in range(2):
        assert knowledge.round_at is None
        assert ask_for(collector, knowledge, "ill", "active").reason is Reason.STATUS
        knowledge = after_round(collector, knowledge, "a", START + 60 * rounds, [incident(1)])

    assert knowledge.as_of == START + 60
    assert ask_for(collector, knowledge, "ill", "active").reason is Reason.OLDEST
    assert ask_for(collector, knowledge, "a", "active").reason is Reason.STATUS
    assert samples(collector, knowledge, "bigpanda_active_incidents") == {("a", "critical", "critical"): 1.0}


def test_an_environment_that_recovers_counts_again():
    """Its next whole round brings it back among the others."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a", "ill")
    for rounds in range(5):
        knowledge = after_round(collector, knowledge, "a", START + 60 * rounds)
    knowledge = after_round(collector, knowledge, "ill", START + 250)

    assert ask_for(collector, knowledge, "ill", "active").reason is Reason.STATUS
    assert after_round(collector, knowledge, "a", START + 300).as_of == START + 250


def test_the_series_of_a_failing_environment_are_withdrawn():
    """Past `max_age` they are gone, never repeated, while those of the others stay."""
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
def test_asks_for_the_next_page_while_there_is_one(total, page, more):
    """The total decides, whatever size the vendor gives its pages; without one a full page has a successor."""
    collector = Collector(settings())
    document = {} if total is None else {"total": total}
    knowledge = listed(collector, [[incident(number) for number in range(page)]], **document)

    request = ask_for(collector, knowledge, "a", "active", START + 1)
    assert dict(request.params)["page"] == ("2" if more else "1")
    assert (ACTIVE not in knowledge.environments[0].folders) is more


@pytest.mark.parametrize(
    ("cap", "pages", "total", "truncated"),
    [
        (2, [[incident(1)], [incident(2)]], 3, True),
        (2, [[incident(1)], [incident(2)]], 2, False),
        (9, [[incident(1)], []], 3, True),
        (100, [[incident(number) for number in range(10_000)]], 10_001, True),
    ],
)
def test_says_when_incidents_are_missing(cap, pages, total, truncated):
    """A page cap, the vendor's last result or a listing that ends early cuts the counts, never the total."""
    collector = Collector(settings(max_pages=cap))
    knowledge = listed(collector, pages, total=total)

    assert knowledge.truncated is truncated
    assert samples(collector, knowledge, "bigpanda_incidents") == {("a", "active"): float(total)}


def test_a_total_is_not_made_up():
    """Where the listing was cut and the vendor tells no total, the folder has no value."""
    collector = Collector(settings(max_pages=1))
    knowledge = listed(collector, [[incident(number) for number in range(100)]])

    assert knowledge.truncated
    assert samples(collector, knowledge, "bigpanda_incidents") == {}


def test_a_listing_that_drags_on_begins_anew():
    """Pages read too long ago are dropped, and a late page of that listing changes nothing."""
    collector = Collector(settings(max_age="5m"))
    half = listed(collector, [[incident(1)]], total=2)
    late = ask_for(collector, half, "a", "active", START + 60)

    again = ask_for(collector, half, "a", "active", START + 301)
    assert dict(again.params)["page"] == "1"
    whole = collector.update(half, again, response([], START + 301))
    assert collector.update(whole, late, response([incident(2)], START + 302)) == whole


def test_environments_come_and_go():
    """A list read anew keeps what is known of those that stay; without any, the list is all there is to know."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a", "b"), "a", START, [incident(1)])
    (request, *_) = collector.requests(knowledge, START)

    renamed = collector.update(knowledge, request, response([{"id": "a", "name": "A"}, {"id": "c", "name": "C"}]))
    assert [each.name for each in renamed.environments] == ["A", "C"]
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
        ("all", ["Prod (1)", "Prod (2)", "Lab"]),
        (["2", "Lab", "77"], ["Prod", "Lab", "77"]),
        (["Lab", "3"], ["Lab"]),
    ],
)
def test_labels_are_names_that_are_unique(wanted, labels):
    """The label is the environment's name; with its id where two share one, the id where there is none."""
    collector = Collector(settings(environments=wanted))
    rows = [{"id": "1", "name": "Prod"}, {"id": "2", "name": "Prod"}, {"id": "3", "name": "Lab"}]
    (request,) = collector.requests(collector.start(), START)
    knowledge = collector.update(collector.start(), request, response(rows))

    assert [each.name for each in knowledge.environments] == labels


@pytest.mark.parametrize(
    "document",
    [
        [{"id": 7, "name": "Prod"}, {"id": "7", "name": "Prod"}, {"description": "of no use"}],
        {"items": [{"id": "7", "name": "Prod"}]},
        {"environments": [{"id": "7", "name": " Prod "}]},
    ],
)
def test_reads_environments_however_wrapped(document):
    """A bare list or a wrapped one; each environment once."""
    assert read_environments(json.dumps(document).encode()) == (Place("7", "Prod"),)


@pytest.mark.parametrize("found", [0, 1, 3, 99])
def test_a_folder_is_listed_where_the_search_tells_no_total(found):
    """One row of a bare list may be all or the first of many."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    rows = [incident(number) for number in range(found)]
    for _ in range(2):
        request = ask_for(collector, knowledge, "a", "shared")
        knowledge = collector.update(knowledge, request, response(rows[: int(dict(request.params)["page_size"])]))

    assert samples(collector, knowledge, "bigpanda_incidents") == {("a", "shared"): float(found)}


def test_a_total_is_not_guessed_from_a_full_list():
    """Beyond one page nobody knows."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    rows = [incident(number) for number in range(100)]
    knowledge = collector.update(knowledge, ask_for(collector, knowledge, "a", "shared"), response(rows[:1]))
    with pytest.raises(Malformed, match="total: missing"):
        collector.update(knowledge, ask_for(collector, knowledge, "a", "shared"), response(rows))


def test_a_page_that_is_told_again_ends_the_listing():
    """A vendor that ignores the page number is not asked for page after page."""
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
        (b"<html>", "body: not JSON"),
        (b"5", "body: neither an object nor a list"),
        (b'{"items": 5}', "items: not a list"),
        (b'{"items": [5]}', "items[0]: not an object"),
        (b'{"total": -1}', "items: missing"),
    ],
)
def test_refuses_what_no_form_explains(body, message):
    """The message names the member."""
    with pytest.raises(Malformed) as caught:
        read_search(body)

    assert str(caught.value) == message


def test_refuses_what_was_not_asked():
    """A certificate is no answer here, and an environment that is gone changes nothing."""
    collector = Collector(settings())
    knowledge = knowing(collector, "a")
    request = ask_for(collector, knowledge, "a", "shared")

    with pytest.raises(Malformed):
        collector.update(knowledge, request, Certificate(START, None, None, None))
    assert collector.update(Knowledge(), request, response({"total": 1})) == Knowledge()


def test_knowledge_survives_a_restart():
    """Totals, counts and a half listing come back from JSON as they were."""
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
        ({"max_pages": 0}, "greater than 0"),
        ({"base_url": "bigpanda"}, "not a URL"),
    ],
)
def test_refuses_bad_settings(given, message):
    """Each problem says what to mend."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    (problem,) = caught.value.errors()
    assert message in problem["msg"]


def test_warns_beyond_the_vendors_limit():
    """The documented limit may be exceeded, where it was raised, with a warning."""
    assert settings().warnings() == []
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


def test_a_listing_that_shifts_while_its_pages_are_read_is_read_again():
    """An incident that ends between two pages moves one past the border: the total tells, and nothing is believed."""
    collector = Collector(settings())
    knowledge = shifting(collector, knowing(collector, "a"), [(151, 150)])
    assert samples(collector, knowledge, "bigpanda_active_incidents") == {}
    again = ask_for(collector, knowledge, "a", "active", START + 2)
    assert (dict(again.params)["page"], again.due) == ("1", START + 1)

    knowledge = shifting(collector, knowledge, [(150, 150)], START + 2)
    assert samples(collector, knowledge, "bigpanda_incidents", START + 3) == {("a", "active"): 150.0}
    assert not knowledge.truncated


def test_a_listing_that_never_rests_counts_in_the_end_and_says_so():
    """In a storm of incidents the total changes with every page: after three tries it is shown, as truncated."""
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
    [([], 0), ([{}, {}], 2), ({"total": "3"}, 3), ({"items": [{}]}, 1), ({"maintenance_plans": [{}, {}]}, 2)],
)
def test_maintenance_plans_are_counted_in_whatever_they_are_wrapped(document, count):
    """The vendor's answer is not published: a list, or an object with a total or a list."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    knowledge = collector.update(knowledge, plans_request(collector, knowledge, "running"), response(document))
    assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {("running",): float(count)}


def test_plans_have_their_turn_where_the_searches_would_take_the_whole_budget():
    """Twenty environments at 60 a minute are read less often than configured; plans keep their five minutes."""
    collector = Collector(settings())
    knowledge = knowing(collector, *(f"place{number}" for number in range(20)))
    told = []
    for now in (START + second for second in range(900)):
        request = choose(collector.requests(knowledge, now), now, frozenset(), {}).request
        if request is None:
            continue
        if request.endpoint == MAINTENANCE:
            told.append(now - START)
        knowledge = collector.update(knowledge, request, response({"total": 0, "items": []}, now))
    assert len(told) == 6
    assert told[-1] < 780
    assert knowledge.as_of > START + 900 - 2 * 20 * 5 / 0.9


@pytest.mark.parametrize("status", [403, 404])
def test_plans_that_the_key_may_not_see_are_absent_and_asked_for_seldom(status):
    """A role without maintenance is no failure of the target: nothing is told, and asked again in an hour."""
    collector = Collector(settings())
    knowledge = after_round(collector, knowing(collector, "a"), "a", START)
    request = plans_request(collector, knowledge, "planned")
    assert status in request.expected_statuses
    knowledge = collector.update(knowledge, request, Response(START, status, b"<html>"))
    assert samples(collector, knowledge, "bigpanda_maintenance_plans") == {}
    assert plans_request(collector, knowledge, "planned").due == START + 3600
