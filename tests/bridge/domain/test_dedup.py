"""The changes that an alert causes, as a table: one event per change, in order, none too early."""

from dataclasses import replace

import pytest

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Kind, PendingEvent
from bridge.domain.dedup import Reason, decide, next_state, resend
from bridge.domain.event import Status

NOW = 10_000.5
CRITICAL, WARNING, OK = Status.CRITICAL, Status.WARNING, Status.OK


def alert(*, firing=True, starts_at=9_000.9, ends_at=None, **more):
    return Alert(
        receiver="r", source="s", key="s:k", name="n", firing=firing, starts_at=starts_at, ends_at=ends_at, **more
    )


def known(status=CRITICAL, **more):
    return AlertState(
        **{"alert": alert(), "status": status, "content_hash": "old", "timestamp": 9_500, "queued_at": 9_500.0} | more
    )


def waiting(kind, **more):
    return PendingEvent(**{"kind": kind, "not_before": 0.0, "replaces": ""} | more)


RESOLVED = alert(firing=False, ends_at=9_900.7)


def decided(before, received, status, content="new", *, now=NOW, update_interval=900.0):  # noqa: PLR0913  as decide
    return decide(before, received, status, content, now=now, update_interval=update_interval)


@pytest.mark.parametrize(
    ("before", "received", "status", "content", "reason", "kind", "held"),
    [
        (None, alert(), CRITICAL, "new", Reason.FIRST, Kind.OPEN, False),
        (None, alert(), None, "new", Reason.SEVERITY_NONE, None, False),
        (None, RESOLVED, OK, "new", Reason.UNKNOWN_RESOLVED, Kind.RESOLVE, False),
        (None, RESOLVED, None, "new", Reason.SEVERITY_NONE, None, False),
        (known(), alert(), CRITICAL, "old", Reason.REPEAT, None, False),
        (known(), alert(), CRITICAL, "new", Reason.CONTENT, Kind.UPDATE, True),
        (known(queued_at=9_000.0), alert(), CRITICAL, "new", Reason.CONTENT, Kind.UPDATE, False),
        (known(WARNING), alert(), CRITICAL, "new", Reason.STATUS, Kind.OPEN, False),
        (known(), RESOLVED, OK, "new", Reason.RESOLVED, Kind.RESOLVE, False),
        (known(), alert(), None, "new", Reason.MUTED, Kind.RESOLVE, False),
        (known(OK), RESOLVED, OK, "new", Reason.REPEAT, None, False),
        (known(OK), alert(), CRITICAL, "old", Reason.FIRED_AGAIN, Kind.OPEN, False),
        (known(OK), alert(), None, "new", Reason.SEVERITY_NONE, None, False),
        (known(at=50.0), alert(at=49.0), WARNING, "new", Reason.OLDER, None, False),
        (known(at=50.0), alert(at=50.0), WARNING, "new", Reason.STATUS, Kind.OPEN, False),
        (known(), alert(at=50.0), WARNING, "new", Reason.STATUS, Kind.OPEN, False),
        (known(at=50.0), alert(at=49.0, level=1.0), CRITICAL, "new", Reason.CONTENT, Kind.UPDATE, False),
        (known(at=50.0, ended_at=9_500.0), alert(at=49.0, level=1.0), CRITICAL, "new", Reason.OLDER, None, False),
    ],
)
def test_decision_for_a_key_without_pending_events(before, received, status, content, reason, kind, held):  # noqa: PLR0913, PLR0917  a table
    """One row for each thing that can happen to a key of which nothing waits."""
    decision = decided(before, received, status, content)
    assert (decision.reason, decision.kind, decision.supersede) == (reason, kind, False)
    assert decision.status is (status if kind in (Kind.OPEN, Kind.UPDATE) else OK)
    assert (decision.not_before > NOW) is held


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "began_at", "reason"),
    [
        (8_000.0, 8_500.0, 9_000.0, Reason.OLDER),
        (8_000.0, 8_500.0, NOW, Reason.OLDER),
        (8_000.0, 9_000.0, 9_000.0, Reason.RESOLVED),
        (9_000.0, 8_500.0, 9_000.0, Reason.RESOLVED),  # the sender's clock stepped back
        (8_000.0, None, 9_000.0, Reason.RESOLVED),
        (8_000.0, 8_500.0, 11_000.0, Reason.RESOLVED),  # the sender's clock was ahead
    ],
)
def test_late_resolution_of_an_earlier_episode_ends_nothing(starts_at, ends_at, began_at, reason):
    """Peers of a cluster retry independently, so a resolution may arrive after the alert fires again."""
    received = alert(firing=False, starts_at=starts_at, ends_at=ends_at)
    assert decided(known(starts_at=began_at), received, OK).reason is reason


@pytest.mark.parametrize(
    ("tail", "received", "status", "content", "reason", "supersede", "keeps_position"),
    [
        (waiting(Kind.OPEN), alert(), WARNING, "new", Reason.STATUS, True, True),
        (waiting(Kind.OPEN), alert(), CRITICAL, "new", Reason.CONTENT, True, True),
        (waiting(Kind.OPEN), RESOLVED, OK, "new", Reason.RESOLVED, False, False),
        (waiting(Kind.OPEN, replaces="was"), alert(), WARNING, "was", Reason.REVERTED, True, False),
        (waiting(Kind.UPDATE, replaces="was"), alert(), CRITICAL, "new", Reason.CONTENT, True, True),
        (waiting(Kind.UPDATE, replaces="was"), alert(), CRITICAL, "was", Reason.REVERTED, True, False),
        (waiting(Kind.UPDATE, replaces="was"), alert(), WARNING, "new", Reason.STATUS, True, False),
        (waiting(Kind.UPDATE, replaces="was"), RESOLVED, OK, "new", Reason.RESOLVED, True, False),
    ],
)
def test_pending_event_is_superseded(tail, received, status, content, reason, supersede, keeps_position):  # noqa: PLR0913, PLR0917  a table
    """A firing to a newer firing, an update to anything; a firing never to its resolution."""
    decision = decided(known(pending=tail), received, status, content)
    assert (decision.reason, decision.supersede, decision.keeps_position) == (reason, supersede, keeps_position)


def test_pending_resolution_is_never_superseded():
    """The next firing is queued behind it."""
    assert not decided(known(OK, pending=waiting(Kind.RESOLVE)), alert(), CRITICAL).supersede


@pytest.mark.parametrize(
    ("before", "received", "status", "timestamp", "not_before"),
    [
        (None, alert(), CRITICAL, 9_000, 0.0),
        (None, alert(starts_at=99_999.0), CRITICAL, 10_000, 0.0),
        (None, alert(starts_at=0.0), CRITICAL, 10_000, 0.0),
        (None, alert(starts_at=-62135596800.0), CRITICAL, 10_000, 0.0),
        (known(WARNING), alert(), CRITICAL, 10_000, 0.0),
        (known(), RESOLVED, OK, 9_900, 0.0),
        (known(), alert(firing=False, ends_at=9_100.0), OK, 9_501, 0.0),
        (known(), alert(firing=False, ends_at=99_999.0), OK, 10_000, 0.0),
        (known(), alert(firing=False), OK, 10_000, 0.0),
        (known(timestamp=10_000), RESOLVED, OK, 10_001, 10_001.0),
        (known(timestamp=10_000), alert(severity="page"), CRITICAL, 10_001, 10_001.0),
        (known(OK, ended_at=9_400.0), alert(starts_at=9_600.0), CRITICAL, 9_600, 0.0),
        (known(OK, ended_at=9_400.0), alert(starts_at=9_300.0), CRITICAL, 10_000, 0.0),
    ],
)
def test_timestamp_of_an_event(before, received, status, timestamp, not_before):
    """startsAt, arrival or endsAt; later than the last one; an event with a future time is sent only then."""
    decision = decided(before, received, status)
    assert (decision.timestamp, decision.not_before) == (timestamp, not_before)


def test_update_is_due_one_interval_after_the_last_event():
    """One that replaces a held one keeps its time and its queue position."""
    held = decided(known(), alert(), CRITICAL)
    assert (held.kind, held.not_before, held.timestamp) == (Kind.UPDATE, 10_400.0, 10_000)
    tail = waiting(Kind.UPDATE, not_before=10_400.0)
    after = decided(known(pending=tail, timestamp=10_000), alert(), CRITICAL, "newer", now=10_300.0)
    assert (after.kind, after.not_before, after.timestamp) == (Kind.UPDATE, 10_400.0, 10_000)


def test_update_interval_zero_sends_every_change_at_once():
    """update_interval: 0s."""
    decision = decided(known(), alert(), CRITICAL, update_interval=0.0)
    assert (decision.kind, decision.not_before > NOW) == (Kind.UPDATE, False)


@pytest.mark.parametrize(("starts_at", "possibly_stale"), [(9_300.0, True), (9_400.0, True), (9_400.1, False)])
def test_firing_older_than_the_last_end_is_possibly_stale(starts_at, possibly_stale):
    """A stale peer and a genuine re-fire look alike: it is sent, and marked."""
    decision = decided(known(OK, ended_at=9_400.0), alert(starts_at=starts_at), CRITICAL)
    assert (decision.kind, decision.possibly_stale) == (Kind.OPEN, possibly_stale)


@pytest.mark.parametrize(
    ("before", "sent", "supersede"),
    [
        (None, False, False),
        (known(OK), False, False),
        (known(pending=waiting(Kind.OPEN)), False, False),
        (known(), True, False),
        (known(pending=waiting(Kind.UPDATE)), True, True),
    ],
    ids=["unknown", "over", "its firing waits", "it fires", "an update waits"],
)
def test_resend_only_alerts_that_still_fire(before, sent, supersede):
    """The status is sent again with a later time; a pending update is superseded."""
    decision = resend(before, now=NOW)
    assert (decision.kind is not None, decision.supersede) == (sent, supersede)
    if sent:
        decided_on = (decision.kind, decision.status, decision.timestamp, decision.reason)
        assert decided_on == (Kind.OPEN, before.status, 10_000, Reason.RESENT)


@pytest.mark.parametrize(("ahead", "not_before"), [(4, 10_005.0), (5, 0.0), (3600, 0.0)])
def test_clock_set_back_delays_nothing(ahead, not_before):
    """If the last event's time lies far ahead, the next one is a second later, and is sent at once."""
    for received, status in ((alert(), CRITICAL), (RESOLVED, OK)):
        for now in (10_000.0, NOW):
            decision = decided(known(WARNING, timestamp=10_000 + ahead), received, status, now=now)
            assert (decision.timestamp, decision.not_before) == (10_001 + ahead, not_before)


def test_update_is_never_held_longer_than_the_interval():
    """Even if the clock is set back."""
    assert decided(known(queued_at=90_000.0), alert(), CRITICAL).not_before == NOW + 900.0
    tail = waiting(Kind.UPDATE, not_before=90_000.0)
    assert decided(known(pending=tail), alert(), CRITICAL, "newer").not_before == NOW + 900.0


@pytest.mark.parametrize(
    ("more", "held"),
    [
        ({}, True),
        ({"level": 1.0}, False),
        ({"severity": "page"}, False),
        ({"level": 0.0}, True),
    ],
)
def test_severity_change_is_sent_at_once(more, held):
    """An escalation, or another severity with the same status, is no mere update; also if one is held."""
    for before in (known(), known(pending=waiting(Kind.UPDATE, not_before=10_800.0))):
        decision = decided(before, alert(**more), CRITICAL)
        assert (decision.kind, decision.not_before > NOW) == (Kind.UPDATE, held)
    escalated, repeated = known(alert=alert(level=2.0)), alert(level=1.0)
    decision = decided(escalated, repeated, CRITICAL)
    assert decision.not_before > NOW
    # Its own repeat is no other escalation.
    after = next_state(escalated, repeated, decision, "new", NOW)
    assert decided(after, alert(level=2.0), CRITICAL, "newer").not_before > NOW
    over = known(OK, alert=alert(level=2.0))
    assert next_state(over, alert(), decided(over, alert(), CRITICAL), "new", NOW).alert.level == 0


def test_the_next_state_follows_from_the_decision():
    """After a repeat, a revert, a new event and a skip."""
    before = known(seq=3, ended_at=5.0, starts_at=9_000.9, alert=alert())
    repeat = decided(before, alert(), CRITICAL, "old")
    assert next_state(before, alert(), repeat, "old", NOW) is before
    timed = known(at=50.0, starts_at=9_000.9)
    assert next_state(timed, alert(at=50.0), decided(timed, alert(at=50.0), CRITICAL, "old"), "old", NOW) is timed
    over = known(OK, ended_at=9_900.7)
    assert next_state(over, RESOLVED, decided(over, RESOLVED, OK), "new", NOW) is over
    again = alert(firing=False, ends_at=9_950.0)
    assert next_state(over, again, decided(over, again, OK), "new", NOW) == replace(
        over, ended_at=9_950.0, updated_at=NOW
    )
    later = alert(starts_at=9_100.0)
    moved = next_state(before, later, decided(before, later, CRITICAL, "old"), "old", NOW)
    assert (moved.starts_at, moved.updated_at, moved.content_hash, moved.seq) == (9_100.0, NOW, "old", 3)
    ended = next_state(before, RESOLVED, decided(before, RESOLVED, OK), "new", NOW)
    assert (ended.status, ended.ended_at, ended.seq, ended.timestamp) == (OK, 9_900.7, 4, 9_900)
    assert (ended.alert, ended.content_hash, ended.updated_at) == (RESOLVED, "new", NOW)
    assert (ended.pending.kind, ended.pending.replaces, ended.pending.queued_at) == (Kind.RESOLVE, "old", NOW)
    assert next_state(None, alert(), decided(None, alert(), None), "x", NOW) is None
    tail = waiting(Kind.UPDATE, replaces="was", queued_at=7.0, not_before=10_400.0)
    held = known(pending=tail, seq=3, queued_at=9_400.0)
    newer = next_state(held, alert(), decided(held, alert(), CRITICAL, "newer"), "newer", NOW)
    assert (newer.pending.replaces, newer.pending.queued_at, newer.queued_at, newer.seq) == ("was", 7.0, 9_400.0, 4)
    back = next_state(held, alert(), decided(held, alert(), CRITICAL, "was"), "was", NOW)
    assert (back.pending, back.content_hash, back.seq, back.timestamp) == (None, "was", 3, 9_500)
    assert back.status is CRITICAL


@pytest.mark.parametrize(("given", "kept"), [(None, 50.0), (60.0, 60.0)])
def test_time_given_by_the_sender_outlives_reports_without_one(given, kept):
    """A sender's later state is ordered by it."""
    before, received = known(at=50.0), alert(at=given)
    assert next_state(before, received, decided(before, received, WARNING), "new", NOW).at == kept


def test_escalation_from_before_the_last_report_makes_its_copy_a_late_one():
    """It has the time at which its incident began; a repeat of that report must not undo it."""
    report, escalation = alert(at=50.0), alert(at=49.0, level=1.0)
    before = known(at=50.0)
    after = next_state(before, escalation, decided(before, escalation, CRITICAL), "new", NOW)
    assert decided(after, report, CRITICAL, "old").reason is Reason.OLDER


def test_firing_event_does_not_take_the_position_of_a_superseded_update():
    """It is queued as of now."""
    before = known(pending=waiting(Kind.UPDATE, queued_at=7.0))
    changed = next_state(before, alert(), decided(before, alert(), WARNING), "new", NOW)
    assert (changed.pending.kind, changed.pending.queued_at) == (Kind.OPEN, NOW)
