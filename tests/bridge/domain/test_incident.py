"""An incident as its webhooks leave it: the newest by BigPanda's time, whichever way they arrive."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.incident import Incident, IncidentDetails, IncidentRecord, fires_still, lasted, merge, merge_details

T0 = 1_795_200_000.0


def update(at=T0, digest="", **said):
    return Incident(id="i", updated_at=at, digest=digest or f"{at}{sorted(said.items())}", **said)


def after(*webhooks, known=None):
    for number, webhook in enumerate(webhooks):
        known = merge(known, webhook, "panda", T0 + 100 + number) or known
    return known


def shown(kept):
    return kept.status, kept.active, kept.snoozed, kept.snoozed_until, kept.keys


def test_missing_members_keep_their_values():
    """A template has fewer members than a listing."""
    kept = after(
        update(status="critical", active=True, keys=("a", "b"), environment="All", link="http://x", started_at=T0),
        update(T0 + 1, snoozed=True, snoozed_until=T0 + 900),
        update(T0 + 2, status="warning"),
    )
    assert shown(kept) == ("warning", True, True, T0 + 900, ("a", "b"))
    assert (kept.environment, kept.link, kept.started_at) == ("All", "http://x", T0)


def test_an_older_update_never_replaces_a_newer_one():
    """In any order of arrival, by BigPanda's time."""
    webhooks = [
        update(T0, status="critical", active=True, snoozed=False, keys=("a",)),
        update(T0 + 1, status="critical", active=True, snoozed=True, snoozed_until=T0 + 900, keys=("a",)),
        update(T0 + 2, status="ok", active=False, snoozed=False, keys=("a",)),
    ]
    for order in itertools.permutations(webhooks):
        assert shown(after(*order)) == ("ok", False, False, None, ("a",))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_duplicates_in_any_order_end_at_the_newest(numbers):
    """Replays change nothing."""
    webhooks = [update(T0 + number, status="critical", keys=(str(number),)) for number in numbers]
    assert after(*webhooks).keys == (str(max(numbers)),)


def test_later_arrival_within_a_second_counts_but_no_replay():
    """BigPanda's times are whole seconds: a snooze and its end may have the same one."""
    snoozed = update(status="critical", snoozed=True, snoozed_until=T0 + 900)
    woken = update(status="critical", snoozed=False)
    assert not after(snoozed, woken).snoozed
    assert merge(after(snoozed, woken), snoozed, "panda", T0 + 200) is None


def test_snooze_that_ends_within_its_second_ends():
    """The waking has the body of the share; a replay of the snooze still changes nothing."""
    shared = update(status="critical", active=True, snoozed=False)
    snoozed = update(status="critical", active=True, snoozed=True, snoozed_until=T0 + 900)
    woken = after(shared, snoozed, shared)
    assert not woken.snoozed
    assert merge(woken, shared, "panda", T0 + 200) is None
    assert merge(woken, snoozed, "panda", T0 + 200) is None


def test_bodies_without_a_time_count_as_they_arrive():
    """A template may omit the time: closed, open, closed ends as closed."""
    opened, closed = update(None, status="critical"), update(None, status="ok")
    assert not after(opened, closed, opened, closed).active
    assert after(opened, closed, opened).active
    assert merge(after(opened, closed), closed, "panda", T0 + 200) is None


@pytest.mark.parametrize("skew", [-6 * 3600.0, 6 * 3600.0])
def test_a_clock_that_is_hours_off_changes_nothing(skew):
    """Only BigPanda's own times are compared."""
    kept = after(
        update(T0 + skew, status="critical"), update(T0 + skew + 1, status="ok"), update(T0 + skew, status="critical")
    )
    assert (kept.status, kept.active) == ("ok", False)
    assert after(update(T0 + skew, status="critical"), update(None, status="warning")).status == "warning"


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
def test_ok_or_inactive_incident_is_closed(said, active):
    """A manual resolve leaves the alerts' status."""
    kept = after(update(**said))
    assert (kept.active, kept.closed_at) == (active, None if active else T0 + 100)


def test_reopened_incident_starts_again():
    """A closed one is not snoozed, and the first end leaves no trace after the reopening."""
    closed = after(
        update(status="critical", snoozed=True, snoozed_until=T0 + 900), update(T0 + 1, status="ok", ended_at=T0 + 1)
    )
    assert (closed.snoozed, closed.snoozed_until, closed.ended_at) == (False, None, T0 + 1)
    still = after(update(T0 + 2, link="http://x"), known=closed)
    assert (still.closed_at, still.ended_at) == (closed.closed_at, closed.ended_at)
    again = after(update(T0 + 3, status="critical", active=True), known=closed)
    assert (again.closed_at, again.ended_at, again.closed_manually) == (None, None, {})


@pytest.mark.parametrize(
    ("told_at", "ended_at", "fires"),
    [
        (T0 - 10, None, True),
        (T0 + 99, None, True),
        (T0 + 99, T0 - 50, True),
        (T0 + 99, T0 + 50, False),
        (T0 + 99, T0 + 2, False),
        (T0 + 99, T0, False),
        (T0 + 40, T0 + 20, False),
        (T0 + 39, T0 + 20, True),
    ],
    ids=[
        "all the while",
        "even if new",
        "an episode before",
        "it may have closed the incident",
        "before its webhook",
        "when it began",
        "a minute ago",
        "long since",
    ],
)
def test_only_alerts_open_throughout_count_as_outlasting_the_incident(told_at, ended_at, fires):
    """An alert that ended, closed the incident and fired again was not closed manually."""
    kept = IncidentRecord(source="panda", id="i", started_at=T0, first_heard_at=T0 + 5, heard_at=T0 + 100)
    assert fires_still(told_at, ended_at, kept, T0 + 100) is fires


@pytest.mark.parametrize(("started_at", "fires"), [(None, True), (T0 - 7, False), (T0 + 7, True)])
def test_incident_began_by_its_first_webhook_at_the_latest(started_at, fires):
    """BigPanda's clock may be ahead, or its time be missing."""
    kept = IncidentRecord(source="panda", id="i", started_at=started_at, first_heard_at=T0, heard_at=T0 + 100)
    assert fires_still(T0 + 99, T0 - 1, kept, T0 + 100) is fires
    assert not fires_still(T0 + 99, T0 + 1, kept, T0 + 100)


def test_first_acknowledgement_is_kept():
    """When it was first heard of too, whatever follows."""
    shared, snoozed = update(status="critical"), update(T0 + 1, snoozed=True)
    for first, more in ((update(acknowledged=True), {}), (snoozed, {"acknowledged": True})):
        kept = after(shared, first, update(T0 + 2, **more), update(T0 + 3, status="ok"))
        assert (kept.first_heard_at, kept.acknowledged_at, kept.heard_at) == (T0 + 100, T0 + 101, T0 + 103)
    assert after(shared).acknowledged_at is None


def test_replays_of_the_last_twenty_bodies_of_a_second_are_recognized():
    """More are not remembered."""
    webhooks = [update(status="critical", link=f"http://{number}") for number in range(21)]
    kept = after(*webhooks)
    assert [merge(kept, webhook, "panda", T0 + 200) is None for webhook in webhooks] == [False, *[True] * 20]


def test_history_is_in_order_and_the_newest_part_of_it_is_kept():
    """However the webhooks arrive."""
    known = IncidentDetails(events=tuple((float(second), "odd") for second in range(1, 121, 2)))
    merged = merge_details(known, {"events": tuple((float(second), "even") for second in range(0, 120, 2))})
    assert [second for second, _ in merged.events] == list(range(20, 120))
    known = IncidentDetails(comments=tuple((float(second), "") for second in range(50)))
    assert merge_details(known, {"comments": ((99.0, "new"),)}).comments == (*known.comments[1:], (99.0, "new"))


def test_durations_are_never_negative():
    """Clocks differ."""
    kept = IncidentRecord(source="panda", id="i", started_at=T0, first_heard_at=T0, heard_at=T0)
    assert (lasted(kept, T0 + 5), lasted(kept, T0 - 5), lasted(kept, None)) == (5.0, 0.0, None)
