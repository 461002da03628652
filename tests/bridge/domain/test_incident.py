"""An incident as its webhooks leave it: the newest by BigPanda's time, whichever way they arrive."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.incident import NEW, Incident, IncidentRecord, fires_still, is_new_share, lasted, merge

T0 = 1_795_200_000.0


def told(at=T0, digest="", **said):
    return Incident(id="i", updated_at=at, digest=digest or f"{at}{sorted(said.items())}", **said)


def after(*webhooks, known=None):
    for number, webhook in enumerate(webhooks):
        known = merge(known, webhook, "panda", T0 + 100 + number) or known
    return known


def shown(kept):
    return kept.status, kept.active, kept.snoozed, kept.snoozed_until, kept.keys


def test_what_a_body_does_not_say_stays_as_it_was():
    """A template tells less than a listing."""
    kept = after(
        told(status="critical", active=True, keys=("a", "b"), environment="All", link="http://x", started_at=T0),
        told(T0 + 1, snoozed=True, snoozed_until=T0 + 900),
        told(T0 + 2, status="warning"),
    )
    assert shown(kept) == ("warning", True, True, T0 + 900, ("a", "b"))
    assert (kept.environment, kept.link, kept.started_at) == ("All", "http://x", T0)


def test_an_older_update_never_replaces_a_newer_one():
    """In whichever order they come, the newest by BigPanda's time is what is kept."""
    webhooks = [
        told(T0, status="critical", active=True, snoozed=False, keys=("a",)),
        told(T0 + 1, status="critical", active=True, snoozed=True, snoozed_until=T0 + 900, keys=("a",)),
        told(T0 + 2, status="ok", active=False, snoozed=False, keys=("a",)),
    ]
    for order in itertools.permutations(webhooks):
        assert shown(after(*order)) == ("ok", False, False, None, ("a",))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_duplicates_in_any_order_end_at_the_newest(numbers):
    """Replays change nothing."""
    webhooks = [told(T0 + number, status="critical", keys=(str(number),)) for number in numbers]
    assert after(*webhooks).keys == (str(max(numbers)),)


def test_of_one_second_the_later_arrival_counts_but_no_replay():
    """BigPanda's times have whole seconds: a snooze and its end may bear the same."""
    snoozed = told(status="critical", snoozed=True, snoozed_until=T0 + 900)
    woken = told(status="critical", snoozed=False)
    assert not after(snoozed, woken).snoozed
    assert merge(after(snoozed, woken), snoozed, "panda", T0 + 200) is None


def test_a_snooze_that_ends_within_its_second_ends_though_the_same_was_told_before_it():
    """The body of the waking is that of the share, to the letter; a replay of the snooze still changes nothing."""
    shared = told(status="critical", active=True, snoozed=False)
    snoozed = told(status="critical", active=True, snoozed=True, snoozed_until=T0 + 900)
    woken = after(shared, snoozed, shared)
    assert not woken.snoozed
    assert merge(woken, shared, "panda", T0 + 200) is None
    assert merge(woken, snoozed, "panda", T0 + 200) is None


def test_bodies_without_a_time_count_as_they_arrive():
    """A template may leave the time out: what closed, opened and closed again is closed, though it was told before."""
    opened, closed = told(None, status="critical"), told(None, status="ok")
    assert not after(opened, closed, opened, closed).active
    assert after(opened, closed, opened).active
    assert merge(after(opened, closed), closed, "panda", T0 + 200) is None


@pytest.mark.parametrize("skew", [-6 * 3600.0, 6 * 3600.0])
def test_a_clock_that_is_hours_off_changes_nothing(skew):
    """Only BigPanda's own times are compared with one another."""
    kept = after(
        told(T0 + skew, status="critical"), told(T0 + skew + 1, status="ok"), told(T0 + skew, status="critical")
    )
    assert (kept.status, kept.active) == ("ok", False)
    assert after(told(T0 + skew, status="critical"), told(None, status="warning")).status == "warning"


@pytest.mark.parametrize(
    ("said", "active"),
    [
        ({"status": "critical"}, True),
        ({"status": "ok"}, False),
        ({"status": "critical", "active": False}, False),
        ({"status": "ok", "active": True}, False),
        ({}, True),
    ],
)
def test_what_is_ok_or_not_active_is_closed(said, active):
    """A resolution by hand leaves the status of the alerts."""
    kept = after(told(**said))
    assert (kept.active, kept.closed_at) == (active, None if active else T0 + 100)


def test_what_is_closed_is_not_snoozed_and_what_reopens_begins_anew():
    """Nothing of the first end is left after the second beginning."""
    closed = after(
        told(status="critical", snoozed=True, snoozed_until=T0 + 900), told(T0 + 1, status="ok", ended_at=T0 + 1)
    )
    assert (closed.snoozed, closed.snoozed_until, closed.ended_at) == (False, None, T0 + 1)
    assert closed.closed_at == after(told(T0 + 2, link="http://x"), known=closed).closed_at
    again = after(told(T0 + 3, status="critical", active=True), known=closed)
    assert (again.closed_at, again.ended_at, again.closed_manually) == (None, None, {})


@pytest.mark.parametrize(
    ("known", "event", "new"),
    [(False, "", True), (False, "incident#updated", True), (True, "", False), (True, NEW, True)],
)
def test_the_first_of_a_share_is_confirmed(known, event, new):
    """v1 names no event: what was never heard of is new. v2 tells of a second share of the same incident."""
    kept = IncidentRecord(source="panda", id="i", first_heard_at=T0, heard_at=T0) if known else None
    assert is_new_share(kept, told(event=event)) is new


@pytest.mark.parametrize(
    ("told_at", "ended_at", "fires"),
    [
        (T0 - 10, None, True),
        (T0 + 99, None, True),
        (T0 + 99, T0 - 50, True),
        (T0 + 99, T0 + 50, False),
        (T0 + 30, T0 + 20, True),
    ],
    ids=["all the while", "even if new", "an episode before", "it may have closed the incident", "long since"],
)
def test_what_outlasts_its_incident_was_open_all_the_while(told_at, ended_at, fires):
    """An alert that ended, closed the incident and fired anew was not resolved by hand."""
    kept = IncidentRecord(source="panda", id="i", started_at=T0, first_heard_at=T0 + 5, heard_at=T0 + 100)
    assert fires_still(told_at, ended_at, kept, T0 + 100) is fires


def test_how_long_it_took_is_never_negative():
    """Clocks differ."""
    kept = IncidentRecord(source="panda", id="i", started_at=T0, first_heard_at=T0, heard_at=T0)
    assert (lasted(kept, T0 + 5), lasted(kept, T0 - 5), lasted(kept, None)) == (5.0, 0.0, None)
