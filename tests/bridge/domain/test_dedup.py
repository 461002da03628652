"""What an alert changes, as a table: one event per change, in order, none too early."""

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
    return PendingEvent(**{"kind": kind, "timestamp": 9_500, "not_before": 0.0, "replaces": ""} | more)


RESOLVED = alert(firing=False, ends_at=9_900.7)


def decided(before, told, status, content="new", *, now=NOW, update_interval=900.0):  # noqa: PLR0913  as decide
    return decide(before, told, status, content, now=now, update_interval=update_interval)


@pytest.mark.parametrize(
    ("before", "told", "status", "content", "reason", "kind", "held"),
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
        (known(at=50.0), alert(at=49.0, ordered=True), WARNING, "new", Reason.OLDER, None, False),
        (known(at=50.0), alert(at=49.0), WARNING, "new", Reason.STATUS, Kind.OPEN, False),
        (known(at=50.0), alert(at=50.0, ordered=True), WARNING, "new", Reason.STATUS, Kind.OPEN, False),
    ],
)
def test_what_an_alert_changes(before, told, status, content, reason, kind, held):  # noqa: PLR0913, PLR0917  a table
    """One row for each thing that can happen to a key of which nothing waits."""
    decision = decided(before, told, status, content)
    assert (decision.reason, decision.kind, decision.supersede) == (reason, kind, False)
    assert (decision.not_before > NOW) is held


@pytest.mark.parametrize(
    ("tail", "told", "status", "content", "reason", "supersede", "keeps_position"),
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
def test_what_waits_and_was_never_sent_gives_way(tail, told, status, content, reason, supersede, keeps_position):  # noqa: PLR0913, PLR0917  a table
    """A firing to a newer firing, an update to anything; a firing never to its resolution."""
    decision = decided(known(pending=tail), told, status, content)
    assert (decision.reason, decision.supersede, decision.keeps_position) == (reason, supersede, keeps_position)


def test_a_resolution_that_waits_gives_way_to_nothing():
    """The firing that follows waits behind it."""
    assert not decided(known(OK, pending=waiting(Kind.RESOLVE)), alert(), CRITICAL).supersede


@pytest.mark.parametrize(
    ("before", "told", "status", "timestamp", "not_before"),
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
        (known(OK, ended_at=9_400.0), alert(starts_at=9_600.0), CRITICAL, 9_600, 0.0),
        (known(OK, ended_at=9_400.0), alert(starts_at=9_300.0), CRITICAL, 10_000, 0.0),
    ],
)
def test_the_time_of_an_event(before, told, status, timestamp, not_before):
    """startsAt, arrival or endsAt; later than the last one; what must lie ahead is not sent before."""
    decision = decided(before, told, status)
    assert (decision.timestamp, decision.not_before) == (timestamp, not_before)


def test_an_update_is_due_one_interval_after_the_last_telling():
    """And one that replaces a held one keeps its time and its turn."""
    held = decided(known(), alert(), CRITICAL)
    assert (held.kind, held.not_before, held.timestamp) == (Kind.UPDATE, 10_400.0, 10_000)
    tail = waiting(Kind.UPDATE, not_before=10_400.0, timestamp=10_000)
    after = decided(known(pending=tail, timestamp=10_000), alert(), CRITICAL, "newer", now=10_300.0)
    assert (after.kind, after.not_before, after.timestamp) == (Kind.UPDATE, 10_400.0, 10_000)


def test_no_interval_sends_every_change_at_once():
    """update_interval: 0s."""
    decision = decided(known(), alert(), CRITICAL, update_interval=0.0)
    assert (decision.kind, decision.not_before > NOW) == (Kind.UPDATE, False)


@pytest.mark.parametrize(("starts_at", "possibly_stale"), [(9_300.0, True), (9_400.0, True), (9_400.1, False)])
def test_a_firing_that_began_before_the_last_end_is_doubtful(starts_at, possibly_stale):
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
def test_what_still_fires_is_sent_anew_and_nothing_else(before, sent, supersede):
    """It states its status once more, later than the last time; an update that waits gives way to it."""
    decision = resend(before, now=NOW)
    assert (decision.kind is not None, decision.supersede) == (sent, supersede)
    if sent:
        told = (decision.kind, decision.status, decision.timestamp, decision.reason)
        assert told == (Kind.OPEN, before.status, 10_000, Reason.RESENT)


@pytest.mark.parametrize(("ahead", "not_before"), [(4, 10_005.0), (5, 0.0), (3600, 0.0)])
def test_a_clock_that_stepped_back_holds_nothing(ahead, not_before):
    """The last event bears a time that lies far ahead: the next one bears a second more, and goes at once."""
    for told, status in ((alert(), CRITICAL), (RESOLVED, OK)):
        decision = decided(known(WARNING, timestamp=10_000 + ahead), told, status)
        assert (decision.timestamp, decision.not_before) == (10_001 + ahead, not_before)


def test_what_was_held_by_a_clock_that_stepped_back_goes_within_the_interval():
    """An update is never put off for longer than update_interval."""
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
def test_a_step_up_goes_at_once(more, held):
    """An escalation, or another severity of the same status, is no mere text; also where an update is held already."""
    for before in (known(), known(pending=waiting(Kind.UPDATE, not_before=10_800.0))):
        decision = decided(before, alert(**more), CRITICAL)
        assert (decision.kind, decision.not_before > NOW) == (Kind.UPDATE, held)
    assert decided(known(alert=alert(level=2.0)), alert(level=1.0), CRITICAL).not_before > NOW


def test_the_next_state_follows_from_the_decision():
    """What a repeat, a revert, a new event and a skip leave."""
    before = known(seq=3, ended_at=5.0, starts_at=9_000.9, alert=alert())
    repeat = decided(before, alert(), CRITICAL, "old")
    assert next_state(before, alert(), repeat, "old", NOW) is before
    later = alert(starts_at=9_100.0)
    moved = next_state(before, later, decided(before, later, CRITICAL, "old"), "old", NOW)
    assert (moved.starts_at, moved.updated_at, moved.content_hash, moved.seq) == (9_100.0, NOW, "old", 3)
    ended = next_state(before, RESOLVED, decided(before, RESOLVED, OK), "new", NOW)
    assert (ended.status, ended.ended_at, ended.seq, ended.timestamp) == (OK, 9_900.7, 4, 9_900)
    assert (ended.pending.kind, ended.pending.replaces, ended.pending.queued_at) == (Kind.RESOLVE, "old", NOW)
    assert next_state(None, alert(), decided(None, alert(), None), "x", NOW) is None
    tail = waiting(Kind.UPDATE, replaces="was", queued_at=7.0, not_before=10_400.0)
    held = known(pending=tail, seq=3, queued_at=9_400.0)
    newer = next_state(held, alert(), decided(held, alert(), CRITICAL, "newer"), "newer", NOW)
    assert (newer.pending.replaces, newer.pending.queued_at, newer.queued_at, newer.seq) == ("was", 7.0, 9_400.0, 4)
    back = next_state(held, alert(), decided(held, alert(), CRITICAL, "was"), "was", NOW)
    assert (back.pending, back.content_hash, back.seq, back.timestamp) == (None, "was", 3, 9_500)
