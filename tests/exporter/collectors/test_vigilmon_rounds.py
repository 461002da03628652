"""The effect of each page of Vigilmon's listing, and when monitors are dropped."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collectors.certificate_observations import CertificateObservation
from exporter.collectors.contract import Get, Reason, Response
from exporter.collectors.vigilmon.answers import Monitor, Page
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.knowledge import Known, unasked, with_page, with_uptime, without
from exporter.collectors.vigilmon.rotation import rotation, round_every, trouble_every

MOST = 500


def monitor(identity, status="up", host=""):
    return Monitor(str(identity), "", "", "", active=True, status=status, checked_at=None, host=host, port=443)


def page(*rows, total=None, per_page=None, last_page=None, goes_on=False):
    monitors = tuple(one if isinstance(one, Monitor) else monitor(one) for one in rows)
    return Page(monitors, total, per_page, last_page, goes_on)


def read(known, at, *pages):
    """Read pages of a new round, one a second."""
    for number, one in enumerate(pages, 1):
        known = with_page(known, number, at + number - 1, one, MOST)
    return known


def listed():
    """Return what is known after a first round of three pages at 100, 101 and 102."""
    return read(Known(), 100.0, page(1, 2, total=6), page(3, 4, total=6), page(5, 6, total=6))


def requests(known, now):
    return list(Collector(Settings(collector="vigilmon", account="prod", token="vtk_secret")).requests(known, now))


def hurried(known):
    """Return the monitors whose incidents go before the next page."""
    wanted = [request for request in requests(known, 200.0) if request.reason is Reason.STATUS]
    return [request.path.split("/")[2] for request in wanted if request.path != "/monitors"]


def next_get(known, now, **others):
    chosen = Settings(collector="vigilmon", account="prod", token="vtk_secret", **others)
    due = [
        request for request in Collector(chosen).requests(known, now) if isinstance(request, Get) and request.due <= now
    ]
    return min(due, key=lambda request: (request.reason, (request.due - now) / request.every), default=None)


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (page(1, 2, total=4), page(3, 4, total=4), (4, False)),
        (page(1, total=2, per_page=1), page(2, total=2, per_page=1), (2, False)),
        (page(1, last_page=2), page(2, last_page=2), (2, False)),
        (page(1, 2, total=4), page(total=4), (2, True)),
        (page(1, 2, total=4, last_page=2), page(3, total=4, last_page=2), (3, True)),
        (page(1, 2), page(), (2, False)),
        (page(1, 2, total=4), page(1, 2, total=4), (2, True)),
        (page(1), page(1), (1, False)),
        (page(1, goes_on=True), page(1, goes_on=True), (1, True)),
        (page(1, last_page=2, goes_on=True), page(2, last_page=2), (2, False)),
        (page(1, 2, total=4), page(2, 3, total=4), (3, True)),
    ],
    ids=[
        *("total", "per_page", "last_page", "short", "short last page", "no meta"),
        *("pages ignored", "pages ignored, no meta", "pages ignored, next link", "next link", "shifted"),
    ],
)
def test_a_round_ends_with_its_last_page(first, second, found):
    """The end is taken from `meta`, or is an empty or repeated page; a list without an end, or short, is truncated."""
    known = with_page(Known(), 1, 100.0, first, MOST)
    assert known.as_of is None
    known = with_page(known, 2, 101.0, second, MOST)
    assert (len(known.monitors), known.truncated) == found
    assert (known.as_of, known.round_at, known.listing) == (100.0, 100.0, None)


@pytest.mark.parametrize(
    ("pages", "asked"),
    [
        ([page(total=0)], 1),
        ([page(1, 2, total=2)], 1),
        ([page(1, 2, total=4), page(3, 4, total=4)], 2),
        ([page(1, 2, total=3), page(3, total=3)], 2),
        ([page(1, 2, total=1), page(3, 4, total=1), page(5, total=1)], 3),
        ([page(1, 2, total=0), page(total=0)], 2),
        ([page(1, 2, total=3), page(3, 4, total=3), page(5, total=3)], 3),
        ([page(1, 2, total=3, last_page=1), page(3, total=3, last_page=1)], 2),
        ([page(1, 2, total=3, per_page=100), page(3, total=3, per_page=100)], 2),
        ([page(1, total=3, per_page=2), page(2, 3, total=3, per_page=2)], 2),
        ([page(1, 2, total=2), page(3, total=3)], 1),
    ],
)
def test_rows_count_more_than_totals(pages, asked):
    """If they agree, no page is requested in vain; after a full page that contradicts the total comes another."""
    known, number = Known(), 0
    while known.round_at is None:
        known = with_page(known, number + 1, 100.0 + number, pages[number], MOST)
        number += 1
    assert (number, known.truncated) == (asked, False)
    assert known.pages == max(1, sum(bool(one.monitors) for one in pages[:asked]))
    assert len(known.monitors) == sum(len(one.monitors) for one in pages[:asked])


def test_empty_list_with_a_total_counts_after_two_rounds():
    """One wrong response must not remove all series and resolve every alert."""
    known = with_page(listed(), 1, 130.0, page(total=6), MOST)
    known = with_page(known, 1, 140.0, page(total=6), MOST)
    assert (len(known.monitors), len(known.missing)) == (6, 6)
    known = with_page(known, 1, 170.0, page(total=6), MOST)
    assert with_page(known, 1, 180.0, page(total=6), MOST).monitors == {}


def test_suddenly_empty_list_is_polled_again():
    """Ten seconds later, and the age stays; a list with monitors counts as usual."""
    doubted = with_page(listed(), 1, 130.0, page(total=0), MOST)
    assert (len(doubted.monitors), doubted.as_of, doubted.round_at) == (6, 100.0, 100.0)
    assert next_get(doubted, 139.9) is None or next_get(doubted, 139.9).path != "/monitors"
    assert next_get(doubted, 140.0).path == "/monitors"
    assert with_page(doubted, 1, 140.0, page(total=0), MOST).monitors == {}
    restored = read(doubted, 140.0, page(1, 2, total=6), page(3, 4, total=6), page(5, 6, total=6))
    assert (len(restored.monitors), restored.missing, restored.emptied_at) == (6, {}, None)


def test_only_a_further_page_may_be_missing():
    """A 404 of the first one is a failure: read as the end of the list, it would end every alert."""
    first, second = next_get(Known(), 100.0), next_get(with_page(Known(), 1, 100.0, page(1, total=2), MOST), 101.0)
    assert (first.expected_statuses, second.expected_statuses) == (frozenset(), {404})


def test_list_longer_than_the_cap_is_truncated():
    """Until the next complete round."""
    known = with_page(Known(), 1, 100.0, page(1, total=2), 1)
    assert (known.truncated, list(known.monitors)) == (True, ["1"])
    assert with_page(known, 1, 130.0, page(1, total=2), MOST).truncated
    assert not with_page(known, 1, 130.0, page(1, total=1), 1).truncated


def test_page_is_published_as_soon_as_it_is_read():
    """A status changes, a new monitor appears and its details are due, while the round continues."""
    known = with_page(listed(), 1, 130.0, page(1, monitor(2, "down"), total=7), MOST)
    assert [known.monitors[one].up for one in "126"] == [True, False, True]
    assert known.changed == {"2": 130.0}
    assert next_get(known, 130.0).path == "/monitors/2/incidents"

    known = with_page(known, 2, 131.0, page(3, monitor(7, host="new.example.com"), total=7), MOST)
    assert hurried(known) == []
    wanted = [(request.identity[0], request.due) for request in requests(known, 131.0)]
    assert {("/monitors/7", 131.0), ("/monitors/7/incidents", 131.0), ("new.example.com:443", 131.0)} <= set(wanted)


def test_age_is_that_of_the_oldest_status():
    """It advances with every page; the next round is due from the start of this one."""
    known, moments = listed(), []
    for number, at in ((1, 130.0), (2, 131.0), (3, 132.0), (1, 160.0)):
        known = with_page(known, number, at, page(2 * number - 1, 2 * number, total=6), MOST)
        moments.append((known.as_of, known.round_at))
    assert moments == [(101.0, 100.0), (102.0, 100.0), (130.0, 130.0), (131.0, 130.0)]


def test_a_first_round_that_shifted_is_read_again():
    """Monitor 3 moved up between two pages: without a second round it would be missing."""
    known = read(Known(), 100.0, page(1, 2, total=4), page(4, total=3))
    assert (known.round_at, next_get(known, 101.0).params, next_get(known, 101.0).due) == (None, (), 101.0)
    known = read(known, 101.5, page(2, 3, total=3), page(4, total=3))
    assert (list(known.monitors), known.truncated) == (["2", "3", "4"], False)


def test_first_round_that_keeps_shifting_is_used_as_truncated():
    """After the second retry it is published; later rounds can compare."""
    known = Known()
    for number, total in enumerate((9, 7, 5)):
        assert known.round_at is None
        known = read(known, 100.0 + 10 * number, page(1, 2, total=total), page(4, total=total - 1))
    known = known if known.round_at else with_page(known, 3, 123.0, page(total=4), MOST)
    assert (known.round_at, known.truncated, list(known.monitors)) == (120.0, True, ["1", "2", "4"])


def test_endless_listing_is_truncated():
    """The memory for a listing is bounded, however few its pages."""
    half = with_page(Known(), 1, 100.0, page(*range(12_000)), MOST)
    cut = with_page(half, 2, 101.0, page(*range(12_000, 24_000)), MOST)
    assert (half.round_at, cut.round_at, cut.truncated) == (None, 100.0, True)


def test_first_round_is_published_when_complete():
    """Half a list would look like a whole one."""
    known = with_page(Known(), 1, 100.0, page(1, 2, total=4), MOST)
    assert known.as_of is None
    chosen = Settings(collector="vigilmon", account="prod", token="vtk_secret")
    assert not [family for family in Collector(chosen).families(known, 100.0) if family.samples]


def test_next_page_is_due_at_once_and_next_round_after_its_interval():
    """Every page is polled equally often."""
    known = with_page(listed(), 1, 130.0, page(1, 2, total=6), MOST)
    assert (next_get(known, 130.5).params, next_get(known, 130.5).due) == ((("page", "2"),), 130.0)
    known = read(known, 130.0, page(1, 2, total=6), page(3, 4, total=6), page(5, 6, total=6))
    first = [request for request in requests(known, 140.0) if request.path == "/monitors"]
    assert [(request.params, request.due, request.every) for request in first] == [((), 160.0, 30.0)]


@pytest.mark.parametrize(
    ("others", "now", "page_asked"),
    [
        ({}, 160.0, (("page", "2"),)),
        ({}, 160.5, ()),
        ({"max_age": 40.0}, 140.5, ()),
        ({"poll_interval": 120.0}, 340.0, (("page", "2"),)),
        ({}, 39.0, ()),
    ],
    ids=["goes on", "two turns", "max_age", "slow", "clock set back"],
)
def test_stalled_round_starts_again(others, now, page_asked):
    """A failing page, or a wrong clock, delays no other page for longer than a turn."""
    known = with_page(Known(), 1, 100.0, page(1, total=2), MOST)
    assert next_get(known, now, **others).params == page_asked


def shown(known, now, name="vigilmon_monitor_up"):
    chosen = Settings(collector="vigilmon", account="prod", token="vtk_secret", max_age="5m")
    (family,) = [one for one in Collector(chosen).families(known, now) if one.metric.name == name]
    return [labels[0] for labels, _ in family.samples]


def test_failing_page_withdraws_only_its_own_monitors():
    """Once its round was restarted, the age is that of the other pages, and the list is incomplete."""
    known, moments = listed(), []
    for at in (130.0, 230.0, 330.0, 430.0):
        known = read(known, at, page(1, 2, total=6), page(3, 4, total=6))
        moments.append((known.as_of, known.truncated, len(shown(known, at + 1.0)), known.round_at))
    assert moments == [
        (102.0, False, 6, 100.0),
        (230.0, True, 6, 100.0),
        (330.0, True, 6, 100.0),
        (430.0, True, 4, 100.0),
    ]
    known = read(known, 530.0, page(1, 2, total=6), page(3, 4, total=6), page(5, 6, total=6))
    assert (known.as_of, known.truncated, len(shown(known, 532.0))) == (530.0, False, 6)


def test_failing_page_in_the_first_round_does_not_hide_the_others():
    """They are shown once the round has failed, as an incomplete list."""
    known = read(Known(), 100.0, page(1, 2, total=6), page(3, 4, total=6))
    assert shown(known, 101.0) == []
    known = with_page(known, 1, 200.0, page(1, 2, total=6), MOST)
    assert (shown(known, 200.0), known.as_of, known.truncated, known.round_at) == (list("1234"), 101.0, True, None)


@pytest.mark.parametrize("number", [1, 3, 4])
def test_response_of_another_page_changes_nothing(number):
    """A page out of order is not used; a first page starts a round."""
    known = with_page(listed(), 1, 130.0, page(1, 2, total=6), MOST)
    after = with_page(known, number, 131.0, page(9, total=6), MOST)
    assert (after is known) == (number != 1)


def test_clock_set_back_during_a_round_loses_no_monitor():
    """A page that seems older than the first one still belongs to the round."""
    known = listed()
    known = with_page(known, 1, 130.0, page(1, 2, total=6), MOST)
    known = with_page(known, 2, 110.0, page(3, 4, total=6), MOST)
    known = with_page(known, 3, 111.0, page(5, 6, total=6), MOST)
    assert (known.missing, known.as_of) == ({}, 130.0)


def test_nothing_is_kept_of_a_monitor_that_is_gone():
    """With monitors that come and go it would fill the memory."""
    named = {"1": 1.0, "2": 2.0}
    known = Known(
        monitors={name: monitor(name) for name in named},
        seen=named,
        missing=named,
        uptimes=named,
        incidents=named,
        changed=named,
        troubled=("1", "2"),
    )
    after = without(known, ("1",))
    parts = (after.monitors, after.seen, after.missing, after.uptimes, after.incidents, after.changed, after.troubled)
    assert [list(each) for each in parts] == [["2"]] * 7


def test_certificates_of_hosts_that_are_gone_are_forgotten():
    """At the end of the round in which their last monitor is missing."""
    seen = {place: CertificateObservation(90.0, "dns", None) for place in ("here.example:443", "gone.example:443")}
    known = read(Known(observations=seen), 100.0, page(monitor(1, host="here.example"), total=1))
    assert list(known.observations) == ["here.example:443"]


def test_a_page_that_is_not_full_does_not_end_the_list_before_its_total():
    """Three monitors of five on two pages of two: another page follows."""
    known = read(Known(), 100.0, page(1, 2, total=5, per_page=2), page(3, total=5, per_page=2))
    assert known.round_at is None
    assert dict(next_get(known, 102.0).params) == {"page": "3"}


def test_single_page_list_drops_missing_monitors_at_once():
    """One response cannot miss a monitor."""
    known = read(Known(), 100.0, page(1, 2, 3, total=3))
    known = read(known, 130.0, page(2, total=1))
    assert list(known.monitors) == list(known.seen) == ["2"]


def test_missing_monitor_is_polled_by_id():
    """It may have shifted between two pages. It stays, with its age, until its response or the next round."""
    known = read(listed(), 130.0, page(1, 2, total=5), page(4, 5, total=5), page(6, total=5))
    assert (list(known.monitors), known.as_of) == (list("123456"), 101.0)
    request = next_get(known, 133.0)
    assert (request.path, request.reason) == ("/monitors/3", Reason.CHANGED)

    collector = Collector(Settings(collector="vigilmon", account="prod", token="vtk_secret"))
    gone = collector.update(known, request, Response(134.0, 404, b"{}"))
    assert (list(gone.monitors), gone.as_of) == (list("12456"), 130.0)

    there = collector.update(known, request, Response(134.0, 200, json.dumps({"data": {"uptime": None}}).encode()))
    assert list(there.monitors) == list("123456")
    assert unasked(there) == []
    again = read(there, 160.0, page(1, 2, total=6), page(3, 4, total=6), page(5, 6, total=6))
    assert (again.missing, again.as_of) == ({}, 160.0)
    without_it = read(there, 160.0, page(1, 2, total=5), page(4, 5, total=5), page(6, total=5))
    assert list(without_it.monitors) == list("12456")


def test_monitor_that_an_unstable_order_hides_stays():
    """In whichever rounds another is listed twice in its place; meanwhile the list is incomplete."""
    known = listed()
    for at in (130.0, 160.0, 190.0):
        known = read(known, at, page(1, 2, total=6), page(2, 4, total=6), page(5, 6, total=6))
        assert (sorted(known.monitors), known.truncated, unasked(known)) == (list("123456"), True, [("3", at + 2.0)])
    known = read(known, 220.0, page(1, 2, total=6), page(3, 4, total=6), page(5, 6, total=6))
    assert (known.truncated, known.missing) == (False, {})


def test_only_a_response_after_the_round_confirms_a_missing_monitor():
    """One during the round may be older than the monitor's deletion; being listed again counts as a response."""
    known = read(listed(), 130.0, page(1, 2, total=5), page(4, 5, total=5))
    known = with_uptime(known, "3", 131.5, {})
    known = with_page(known, 3, 132.0, page(6, total=5), MOST)
    assert unasked(known) == [("3", 132.0)]
    known = with_page(known, 1, 160.0, page(1, 3, total=5), MOST)
    assert (unasked(known), known.as_of) == ([], 130.0)


def test_deleted_monitor_is_dropped_everywhere():
    """No more requests or probes for it."""
    known = read(Known(), 100.0, page(monitor(1, "down", "a.example.com"), total=1))
    wanted = [request.identity[0] for request in requests(known, 100.0)]
    assert (known.troubled, list(known.changed)) == (("1",), ["1"])
    assert {"/monitors/1", "/monitors/1/incidents", "a.example.com:443"} <= set(wanted)
    known = read(known, 130.0, page(2, total=1))
    assert (known.troubled, known.changed) == ((), {})
    assert {request.identity[0] for request in requests(known, 130.0)} == {
        "/monitors",
        "/monitors/2",
        "/monitors/2/incidents",
    }


def test_outages_on_the_last_page_are_not_part_of_the_round():
    """Their incidents are next, but do not prolong the round."""
    known = read(listed(), 130.0, page(1, 2, total=6), page(3, 4, total=6), page(5, monitor(6, "down"), total=6))
    request = next_get(known, 133.0)
    assert (request.path, request.reason) == ("/monitors/6/incidents", Reason.CHANGED)


def test_urgent_incidents_are_limited_per_round():
    """Two per page and four per round: that is the most by which a round is late."""
    down = [page(*(monitor(2 * n + one, "down") for one in (1, 2)), total=8) for n in range(4)]
    known, first = read(Known(), 100.0, *(page(2 * n + 1, 2 * n + 2, total=8) for n in range(4))), []
    for number, one in enumerate(down, 1):
        known = with_page(known, number, 130.0 + number, one, MOST)
        first.append(hurried(known))
    assert first == [["1", "2"], ["3", "4"], [], []]
    assert list(known.changed) == list(known.troubled) == list("12345678")


PER_PAGE = 3
EDITS = st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 50)), max_size=3), min_size=1, max_size=12)


def edit(present, edits, fresh):
    for insert, place in edits:
        if insert or not present:
            present.insert(place % (len(present) + 1), next(fresh))
        else:
            present.pop(place % len(present))


def whole_round(known, present, at, edits=(), fresh=None):
    """Read a round of whatever is there while each page is asked for; after each page some of `edits` happen."""
    shown, left, number = known, iter(edits), 1
    while True:
        rows = present[(number - 1) * PER_PAGE : number * PER_PAGE]
        shown = with_page(shown, number, at + number, page(*rows, total=len(present)), MOST)
        edit(present, next(left, ()), fresh)
        assert {str(one) for one in present} & known.monitors.keys() <= shown.monitors.keys()
        if shown.listing is None:
            return shown
        number += 1


def answered(known, present, at):
    """Answer what is asked about monitors that the round ended without."""
    for identity, _ in unasked(known):
        there = int(identity) in present
        known = with_uptime(known, identity, at, {}) if there else without(known, (identity,))
    return known


@given(st.integers(0, 14), st.lists(EDITS, min_size=1, max_size=4))
def test_shifting_list_hides_no_monitor(count, rounds):
    """Existing monitors never disappear; after the next stable round exactly the existing ones are known."""
    fresh = iter(range(count, 10_000))
    present = list(range(count))
    known = whole_round(Known(), present, 100.0)
    for turn, edits in enumerate(rounds, 1):
        at = 100.0 + turn * 1000
        known = answered(whole_round(known, present, at, edits, fresh), present, at + 300)
        known = whole_round(known, present, at + 500)
        if known.emptied_at is not None:
            known = whole_round(known, present, at + 510)
        known = answered(known, present, at + 800)
        assert known.monitors.keys() == known.seen.keys() == {str(one) for one in present}


@pytest.mark.parametrize(
    ("monitors", "rate", "more", "status", "uptime"),
    [
        (25, 50, {}, 30.0, 300.0),
        (45, 55, {}, 30.0, 300.0),
        (100, 55, {}, 30.0, 300.0),
        (500, 55, {}, 60 * 25 / 49.5, 60 * 500 / (55 - 49.5)),
        (2000, 50, {}, 60 * 100 / 45, 60 * 2000 / (50 - 45)),
        (500, 55, {"status_share": 0.75}, 60 * 25 / 41.25, 60 * 500 / (55 - 41.25)),
        (500, 55, {"poll_interval": 60.0}, 60.0, 60 * 500 / (55 - 25)),
    ],
)
def test_intervals_are_those_of_the_readme(monitors, rate, more, status, uptime):
    """For its accounts; half of what the statuses leave is for the incidents of monitors that stay down."""
    settings = Settings(collector="vigilmon", account="a", token="t", requests_per_minute=rate, **more)
    known = Known(pages=-(-monitors // 20), monitors={str(one): monitor(one) for one in range(monitors)})
    assert round_every(settings, known.pages) == pytest.approx(status)
    assert rotation(settings, known) == pytest.approx(uptime)
    left = rate - 60 * known.pages / status
    assert trouble_every(settings, known, 3) == pytest.approx(max(180.0, 60 * 3 / (left / 2)))
    assert trouble_every(settings, known, 300) == pytest.approx(60 * 300 / (left / 2))
