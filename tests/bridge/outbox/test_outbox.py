"""The outbox, on both databases: what is accepted is claimed in order, once, and survives."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from bridge.domain.alert import Alert, UnreadableAlert
from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable
from bridge.outbox.outbox import Outbox
from bridge.outbox.repository import PageRequest
from bridge.outbox.schema import VERSION
from bridge.outbox.status import Circuit, Role
from bridge.receivers.alertmanager import Settings
from exporter.toolkit.config_types import ConfigError
from tests.database import engine_of
from tests.store import Store
from tests.waiting import eventually

T0 = 1_700_000_000.0
RECEIVER = Settings(receiver="alertmanager", source="prod", app_key="app")
MAPPING = RECEIVER.mapping


def alert(name="a", *, firing=True, severity="critical", at=T0, note=""):
    return Alert(
        receiver="alertmanager",
        source="prod",
        key=f"prod:{name}",
        name=name,
        firing=firing,
        severity=severity,
        labels={"alertname": name, "host": "web-1"},
        annotations={"summary": note} if note else {},
        starts_at=at,
        ends_at=None if firing else at,
    )


def notification(*alerts, mapping=MAPPING, **more):
    return Notification(
        receiver="alertmanager", source="prod", alerts=alerts, mapping=mapping, update_interval=900.0, **more
    )


def accept(outbox, *alerts, now=T0, **more):
    return outbox.ingest.accept([notification(*alerts, **more)], now)[0]


def claim(outbox, now=T0, limit=100, lease=60.0):
    return outbox.queue.claim(limit, now, lease)


def deliver(outbox, now=T0):
    """Send all that is due, as BigPanda would see it."""
    sent = []
    while claimed := claim(outbox, now):
        sent += [json.loads(one.body) for one in claimed]
        outbox.queue.record(claimed, "accepted", now=now)
    return [(event["incident_identifier"].removeprefix("prod:"), event["status"]) for event in sent]


def test_a_firing_and_its_resolution_both_arrive_in_order(outbox):
    """One event per change; the later one has the later second."""
    accept(outbox, alert())
    accept(outbox, alert(firing=False, at=T0 + 5), now=T0 + 5)
    first = claim(outbox, T0 + 10)
    assert [one.status for one in first] == ["critical"]
    assert claim(outbox, T0 + 10) == []
    assert outbox.queue.record(first, "accepted", now=T0 + 10) == 1
    assert deliver(outbox, T0 + 10) == [("a", "ok")]
    assert outbox.status.counts(T0 + 10).waiting == 0


def test_repeat_changes_nothing(outbox):
    """Alertmanager's repeats of a group are no events."""
    assert accept(outbox, alert()).queued == 1
    assert accept(outbox, alert(), now=T0 + 60).unchanged == 1
    assert deliver(outbox, T0 + 60) == [("a", "critical")]
    assert accept(outbox, alert(), now=T0 + 120).unchanged == 1
    assert deliver(outbox, T0 + 120) == []


def test_outcome_has_what_became_of_each_alert(outbox):
    """An unmapped severity is sent, "none" is not."""
    severities = ("odd", "none", "critical", "critical", "warning")
    outcome = accept(
        outbox, *(alert(name, severity=severity) for name, severity in zip("abccc", severities, strict=True))
    )
    assert outcome == Outcome(queued=3, superseded=1, skipped=1, unchanged=1, unmapped=1)


def test_delivery_is_woken_if_anything_was_queued(outbox):
    """By the first of two alike, and not by a repeat alone."""
    woken = []
    waking = Outbox(outbox.database, lambda: woken.append(1))
    for batch in ([notification(alert()), notification(alert())], [notification(alert())]):
        waking.ingest.accept(batch, T0)
        assert woken == [1]


@pytest.mark.parametrize("firing", [True, False])
def test_repeat_advances_the_time_of_an_ordered_state(outbox, firing):
    """An older state comes too late, in the same batch and in another."""

    def state(at, *, firing):
        return replace(alert(firing=firing, at=T0), at=at)

    accept(outbox, state(10.0, firing=firing))
    assert accept(outbox, state(30.0, firing=firing), state(20.0, firing=not firing)).unchanged == 2
    assert accept(outbox, state(25.0, firing=not firing)).unchanged == 1
    assert accept(outbox, state(31.0, firing=not firing)).queued == 1


def test_batch_may_have_several_states_of_a_key(outbox):
    """Their order is the order of the events; unsent ones are superseded."""
    outcomes = outbox.ingest.accept(
        [
            notification(alert(severity="warning")),
            notification(alert(severity="critical")),
            notification(alert(firing=False, at=T0 + 1)),
        ],
        T0 + 5,
    )
    assert [(one.queued, one.superseded) for one in outcomes] == [(1, 0), (1, 1), (1, 0)]
    (gone,) = outbox.events.closed(PageRequest(9), T0 + 5).rows
    assert (gone.status, gone.state, gone.closed_at) == ("warning", "superseded", T0 + 5)
    assert deliver(outbox, T0 + 5) == [("a", "critical"), ("a", "ok")]


def test_superseded_firing_leaves_its_start_time(outbox):
    """The first event that BigPanda gets still has startsAt."""
    accept(outbox, alert(severity="warning"))
    assert accept(outbox, alert(severity="critical"), now=T0 + 30).superseded == 1
    (claimed,) = claim(outbox, T0 + 30)
    assert (claimed.status, json.loads(claimed.body)["timestamp"]) == ("critical", T0)


def test_attempted_event_is_never_superseded(outbox):
    """BigPanda may have it, even without a response; it is urgent now, for what waits behind it."""
    accept(outbox, alert("w", severity="warning"), alert(severity="warning"))
    outbox.queue.postpone(claim(outbox), T0 + 10, "timed out")
    assert accept(outbox, alert(severity="critical"), now=T0 + 5).superseded == 0
    assert deliver(outbox, T0 + 5) == []
    assert deliver(outbox, T0 + 10) == [("a", "warning"), ("w", "warning"), ("a", "critical")]


def test_released_event_may_be_superseded(outbox):
    """A destination that is down does not freeze the queue."""
    accept(outbox, alert(severity="warning"))
    outbox.queue.release(claim(outbox))
    assert accept(outbox, alert(severity="critical"), now=T0 + 5).superseded == 1


def test_avoided_event_is_claimed_only_if_no_other_is_due(outbox):
    """However urgent it is."""
    accept(outbox, alert("a"), alert("b", severity="warning"))
    (avoided,) = claim(outbox, limit=1)
    outbox.queue.release([avoided])
    (other,) = outbox.queue.claim(1, T0, 60.0, avoid=[avoided.id])
    assert (avoided.key, other.key) == ("prod:a", "prod:b")
    assert [one.key for one in outbox.queue.claim(1, T0, 60.0, avoid=[avoided.id])] == ["prod:a"]


def test_probe_differs_most_from_the_avoided_events(outbox):
    """The last in the queue, but rather one of another app key; one of the avoided only if there is no other."""
    accept(outbox, *(alert(name) for name in "abc"))
    accept(outbox, alert("other"), mapping=replace(MAPPING, app_key="other"), now=T0 - 1)
    others, claimed = claim(outbox), claim(outbox)
    outbox.queue.release([*others, *claimed])
    probes = [outbox.queue.claim(1, T0, 60.0, avoid=[claimed[0].id], probe=True)[0].key for _ in range(4)]
    assert probes == ["prod:other", "prod:c", "prod:b", "prod:a"]


def test_a_change_of_annotations_is_held_for_its_interval(outbox):
    """At most one update per update_interval, with the newest content."""
    accept(outbox, alert(note="1 %"))
    deliver(outbox)
    accept(outbox, alert(note="2 %"), now=T0 + 60)
    assert accept(outbox, alert(note="3 %"), now=T0 + 120).superseded == 1
    counts = outbox.status.counts(T0 + 120)
    assert (counts.waiting, counts.held, counts.oldest) == (0, 1, None)
    assert claim(outbox, T0 + 120) == []
    assert outbox.queue.next_due(T0 + 120) == T0 + 900
    (claimed,) = claim(outbox, T0 + 900)
    assert json.loads(claimed.body)["summary"] == "3 %"
    outbox.queue.postpone([claimed], T0 + 960, "503")
    counts = outbox.status.counts(T0 + 900)
    assert (counts.waiting, counts.held, counts.oldest) == (1, 0, T0 + 120)


def test_reverted_update_is_not_sent(outbox):
    """BigPanda has this content already."""
    accept(outbox, alert(note="1 %"))
    deliver(outbox)
    accept(outbox, alert(note="2 %"), now=T0 + 60)
    outcome = accept(outbox, alert(note="1 %"), now=T0 + 120)
    assert (outcome.unchanged, outcome.superseded) == (1, 1)
    assert deliver(outbox, T0 + 2000) == []
    accept(outbox, alert(note="1 %"), now=T0 + 2000)
    assert deliver(outbox, T0 + 3000) == []


def test_resolution_supersedes_a_held_update(outbox):
    """It would only be shown for a moment."""
    accept(outbox, alert(note="1 %"))
    deliver(outbox)
    accept(outbox, alert(note="2 %"), now=T0 + 60)
    accept(outbox, alert(firing=False, at=T0 + 70), now=T0 + 70)
    assert deliver(outbox, T0 + 2000) == [("a", "ok")]


def test_critical_goes_first_then_resolutions_then_the_rest(outbox):
    """Across keys the urgency decides, then the age."""
    accept(outbox, alert("w1", severity="warning"))
    accept(outbox, alert("r", firing=False), now=T0 + 1)
    accept(outbox, alert("w2", severity="warning"), now=T0 + 2)
    accept(outbox, alert("c"), now=T0 + 3)
    assert [name for name, _ in deliver(outbox, T0 + 4)] == ["c", "r", "w1", "w2"]


def test_critical_does_not_wait_behind_its_own_warning(outbox):
    """What BigPanda must get before it goes as early; an alert that was critical at first hurries nothing."""
    accept(outbox, alert("w", severity="warning"))
    for step, (severity, firing) in enumerate((("warning", True), ("warning", False), ("critical", True))):
        accept(outbox, alert("a", severity=severity, firing=firing, at=T0 + step), now=T0 + step)
    for step, firing in enumerate((True, False, True)):
        accept(outbox, alert("b", firing=firing, at=T0 + step), now=T0 + step)
    for step, firing in enumerate((True, False)):
        accept(outbox, alert("d", severity="warning", firing=firing, at=T0 + step), now=T0 + step)
    accept(outbox, alert("c"), now=T0 + 3)
    sent = ""
    while claimed := claim(outbox, T0 + 9, limit=1):
        sent += claimed[0].key.removeprefix("prod:")
        outbox.queue.record(claimed, "accepted", now=T0 + 9)
    assert sent == "abaacbbwdd"


def test_claim_has_one_app_key(outbox):
    """BigPanda accepts one app key per request."""
    other = replace(MAPPING, app_key="other")
    accept(outbox, alert("a"), alert("b"))
    accept(outbox, alert("c"), mapping=other, now=T0 + 1)
    assert [[one.app_key for one in claim(outbox, T0 + 1)] for _ in range(2)] == [["app", "app"], ["other"]]


def test_expired_lease_ignores_a_late_result(database_url, outbox):
    """The next owner records the outcome, and where the alert is open: it may have ended since."""
    accept(outbox, alert())
    late = claim(outbox, T0, lease=0.05)
    claimed = []

    def again():
        claimed.extend(claim(outbox, T0 + 1))
        return bool(claimed)

    assert eventually(again)
    assert claimed[0].attempts == 2
    assert outbox.queue.record(claimed, "accepted", destination="there", now=T0 + 1) == 1
    accept(outbox, alert(firing=False, at=T0 + 2), now=T0 + 2)
    assert deliver(outbox, T0 + 2) == [("a", "ok")]
    assert outbox.queue.record(late, "accepted", destination="there", now=T0 + 3) == 0
    assert outbox.alerts.accepted() == []


def test_dead_letter_does_not_block_its_key(outbox):
    """The key's next events are sent."""
    accept(outbox, alert())
    outbox.queue.bury(claim(outbox)[0], "'host' must exist", T0)
    accept(outbox, alert(firing=False, at=T0 + 5), now=T0 + 5)
    assert deliver(outbox, T0 + 5) == [("a", "ok")]
    (letter,) = outbox.dead_letters.oldest()
    assert (letter.key, letter.reason, outbox.status.counts(T0).dead) == ("prod:a", "'host' must exist", 1)
    assert outbox.dead_letters.requeue(None, {("alertmanager", "prod"): RECEIVER}, T0 + 6)["superseded"] == [letter.id]
    assert outbox.dead_letters.oldest() == []


def test_requeued_dead_letter_is_mapped_again(outbox):
    """With the corrected mapping; what was judged of the alert before does not count any more."""
    accept(outbox, alert(severity="odd"))
    (claimed,) = claim(outbox)
    outbox.queue.bury(claimed, "no", T0)
    mended = RECEIVER.model_copy(update={"app_key": "mended", "statuses": {"odd": "critical"}})
    judged = {"prod:a": outbox.state("prod:a").updated_at}
    assert outbox.dead_letters.requeue(None, {}, T0 + 9)["unknown"] == [claimed.id]
    done = outbox.dead_letters.requeue([claimed.id], {("alertmanager", "prod"): mended}, T0 + 9)
    assert done == {"queued": [claimed.id], "superseded": [], "unknown": []}
    assert accept(outbox, alert(firing=False), now=T0 + 9, if_unmodified=judged).unchanged == 1
    (again,) = claim(outbox, T0 + 9)
    assert (again.status, again.app_key) == ("critical", "mended")
    assert json.loads(again.body)["timestamp"] == json.loads(claimed.body)["timestamp"]
    assert outbox.status.counts(T0).open_alerts == {("prod", "critical"): 1}
    outbox.queue.bury(again, "no", T0 + 9)
    muted = {("alertmanager", "prod"): RECEIVER.model_copy(update={"statuses": {"odd": "none"}})}
    assert outbox.dead_letters.requeue(None, muted, T0 + 10)["superseded"] == [claimed.id]


def test_dead_letter_is_discarded(outbox):
    """Nothing is sent."""
    accept(outbox, alert(firing=False))
    outbox.queue.bury(claim(outbox)[0], "no", T0)
    assert outbox.status.counts(T0).dead_resolutions == 1
    ids = [letter.id for letter in outbox.dead_letters.oldest()]
    assert (
        outbox.dead_letters.discard(ids, T0),
        outbox.dead_letters.discard(ids, T0),
        outbox.dead_letters.oldest(),
    ) == (1, 0, [])


def test_more_ids_than_a_statement_has_variables(outbox):
    """A command line holds a hundred thousand of them, PostgreSQL's protocol 65,535 variables."""
    accept(outbox, alert())
    (claimed,) = claim(outbox)
    outbox.queue.bury(claimed, "no", T0)
    outbox.set_aside("alertmanager", "prod", "not JSON", "{", T0)
    ids = range(70_000)
    assert outbox.queue.revive(ids) == 1
    (claimed,) = outbox.queue.claim(9, T0, 60, avoid=ids, probe=True)
    outbox.queue.bury(claimed, "no", T0)
    letters, quarantine = outbox.dead_letters, outbox.quarantine
    assert letters.requeue(ids, {}, T0)["unknown"] == [one.id for one in letters.oldest(ids)] == [claimed.id]
    assert (letters.discard(ids, T0), len(quarantine.oldest(ids)), quarantine.discard(ids)) == (1, 1, 1)


def test_unreadable_body_or_alert_is_quarantined_with_its_reason(outbox):
    """Up to a maximal size."""
    outbox.set_aside("alertmanager", "prod", "not JSON", "\0\ud800" + "x" * 2_000_000, T0)
    outcome = accept(outbox, alert(), unreadable=(UnreadableAlert("status: neither", "{}"),))
    assert (outcome.quarantined, outcome.queued) == (1, 1)
    first, second = outbox.quarantine.oldest()
    assert (first.reason, len(first.body), second.reason, second.body) == (
        "not JSON",
        1_000_000,
        "status: neither",
        "{}",
    )
    assert outbox.quarantine.discard([first.id, second.id]) == 2


def test_id_in_quarantine_is_never_used_again(outbox):
    """A page that was loaded before, or a command that is repeated, would discard what nobody has seen."""
    outbox.set_aside("alertmanager", "prod", "not JSON", "{", T0)
    (first,) = outbox.quarantine.oldest()
    assert outbox.quarantine.discard([], up_to=first.id) == 1
    outbox.set_aside("alertmanager", "prod", "not JSON", "[", T0)
    assert outbox.quarantine.discard([first.id], up_to=first.id) == 0
    assert [one.body for one in outbox.quarantine.oldest()] == ["["]


def test_open_keys_have_firing_alerts_with_labels(outbox):
    """For the reconciler's comparison with Alertmanager."""
    accept(outbox, alert("a"), alert("b"), receiver_name="hook")
    accept(outbox, alert("a", firing=False, at=T0 + 5), now=T0 + 5, receiver_name="hook2")
    (found,) = outbox.alerts.open_alerts("prod")
    assert (found.key, found.alert.labels["host"], found.possibly_stale) == ("prod:b", "web-1", False)
    assert outbox.alerts.open_alerts("other") == []
    assert outbox.status.receiver_names("prod") == {"hook", "hook2"}


def test_firing_older_than_the_last_resolution_is_possibly_stale(outbox):
    """It is still sent."""
    accept(outbox, alert("a"))
    accept(outbox, alert("a", firing=False, at=T0 + 50), now=T0 + 50)
    accept(outbox, alert("a"), now=T0 + 60)
    assert [found.possibly_stale for found in outbox.alerts.open_alerts("prod")] == [True]
    assert deliver(outbox, T0 + 60) == [("a", "critical"), ("a", "ok"), ("a", "critical")]


def test_heartbeats_are_stored(outbox):
    """The last one of each label set and source, until it is deleted."""
    accept(outbox, heartbeats=(alert("a"), alert("b")))
    accept(outbox, now=T0 + 60, heartbeats=(alert("a", firing=False),))
    beats = {beat.key: beat for beat in outbox.status.heartbeats()}
    assert {key: (beat.firing, beat.heard_at) for key, beat in beats.items()} == {
        "prod:a": (False, T0 + 60),
        "prod:b": (True, T0),
    }
    assert beats["prod:b"].labels == {"alertname": "b", "host": "web-1"}
    accept(outbox, now=T0 + 70, heartbeats=(alert("b"),))
    for beat in beats.values():
        outbox.status.forget_heartbeat(beat)
    assert [beat.key for beat in outbox.status.heartbeats()] == ["prod:b"]


def test_repeat_is_recorded_if_requested(outbox):
    """For resolve_after; it changes nothing else, and not for resolved alerts."""
    accept(outbox, alert(), note_heard=True)
    before = outbox.state("prod:a")
    accept(outbox, alert(), alert("b", firing=False), now=T0 + 60, note_heard=True)
    assert outbox.alerts.heard_at(["prod:a", "prod:b"]) == {"prod:a": T0 + 60}
    assert outbox.state("prod:a") == before
    accept(outbox, alert(), now=T0 + 90)
    outbox.alerts.note_heard([], T0 + 95)
    assert outbox.alerts.heard_at(["prod:a"]) == {"prod:a": T0 + 60}
    outbox.alerts.note_heard(["prod:a"], T0 + 99)
    assert outbox.alerts.heard_at(["prod:a"]) == {"prod:a": T0 + 99}


def test_dead_letters_are_revived_unchanged(outbox):
    """With the same bytes; a later event of the alert is queued behind."""
    accept(outbox, alert())
    (claimed,) = outbox.queue.claim(9, T0, 60)
    outbox.queue.bury(claimed, "BigPanda answered 400", T0)
    accept(outbox, alert(firing=False), now=T0 + 5)
    assert outbox.queue.revive([claimed.id, claimed.id + 1]) == 1
    assert outbox.events.closed(PageRequest(9), T0 + 9).rows == []
    (again,) = outbox.queue.claim(9, T0 + 9, 60)
    assert (again.id, again.body) == (claimed.id, claimed.body)


def test_clock_set_back_holds_no_event(outbox):
    """Those of the future are due, and those to be retried later than in an hour, the longest pause."""
    accept(outbox, alert(), now=T0 - 7200)
    (claimed,) = outbox.queue.claim(9, T0, 7200)
    assert outbox.queue.claim(9, T0, 60) == []
    outbox.queue.postpone([claimed], T0 + 3600, "503")
    assert outbox.queue.claim(9, T0, 60) == []
    assert outbox.queue.next_due(T0) == T0 + 3600
    for set_back in (T0 - 1, T0 - 7201):
        assert outbox.queue.next_due(set_back) == set_back
        (claimed,) = outbox.queue.claim(9, set_back, 60)
        outbox.queue.postpone([claimed], T0 - 7140, "503")


def test_clock_that_was_set_back_is_logged_with_the_event(outbox, caplog):
    """But not an event that waits for its own second."""
    accept(outbox, alert())
    accept(outbox, alert(firing=False))
    assert not caplog.records
    accept(outbox, alert(), now=T0 - 3600)
    expected = "Clock stepped back: event of prod:a sent with a timestamp 3602 seconds ahead, after its last one"
    assert [record.message for record in caplog.records] == [expected]


def test_rejections_are_remembered_in_their_order(outbox):
    """The last ones tell whether every event is rejected alike."""
    accept(outbox, alert("a"), alert("b"))
    first, second = claim(outbox)
    outbox.queue.bury(second, "no host", T0)
    outbox.queue.bury(first, "no app key", T0 + 1)
    assert [reason for *_, reason in outbox.queue.refused()] == ["no host", "no app key"]


@pytest.mark.parametrize("leads", ["claim", "role"])
def test_lease_ends_exactly_at_its_time(outbox, leads):
    """Nobody else may act before, or waits for longer; nor for one from a future that the clock was set back from."""
    if outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    accept(outbox, alert())
    first, second, third = (Role(outbox.database, "reconciler", 60.0) for _ in range(3))

    def taken(role, now):
        if leads == "role":
            return role.lead(now)
        return bool(outbox.queue.claim(9, now, 60))

    assert taken(first, T0)
    assert not taken(second, T0 + 59.9)
    assert taken(second, T0 + 60)
    assert taken(third, T0 - 7200)


def test_destination_is_up_by_default(outbox):
    """Its state survives a restart."""
    assert outbox.status.circuit("bigpanda") == Circuit()
    down = Circuit(up=False, failures=3, not_before=T0 + 60, reason="401")
    outbox.status.set_destination("bigpanda", down)
    outbox.status.set_destination("bigpanda", down)
    assert outbox.status.circuit("bigpanda") == down


def test_a_role_has_one_owner_at_a_time(outbox):
    """The owner may renew; another must wait for the end of the lease, or its release."""
    one, two = (Role(outbox.database, "reconciler", 60.0) for _ in range(2))
    assert one.lead(T0)
    assert one.lead(T0 + 1)
    two.close()
    assert not two.lead(T0 + 2)
    one.close()
    assert two.lead(T0 + 3)


def test_what_a_process_that_is_gone_held_is_free_at_once(outbox):
    """Its events and its roles, unless it may be another replica's."""
    accept(outbox, alert())
    assert claim(outbox)
    gone, new = (Role(outbox.database, "reconciler", 60.0) for _ in range(2))
    assert gone.lead(T0)
    alone = not outbox.database.postgresql
    assert outbox.queue.reclaim() == alone
    assert bool(claim(outbox)) is alone
    assert new.lead(T0) is alone


def test_retention_deletes_only_history_in_batches(outbox):
    """Queued events, dead letters and open alerts stay, however old."""
    for name in "abc":
        accept(outbox, alert(name))
        accept(outbox, alert(name, firing=False, at=T0 + 5), now=T0 + 5)
    deliver(outbox, T0 + 10)
    accept(outbox, alert("open"), alert("dead"), now=T0 + 10)
    outbox.queue.bury(claim(outbox, T0 + 10, limit=1)[0], "no", T0 + 10)
    assert outbox.retention.prune(T0, 100) == 0
    assert [outbox.retention.prune(T0 + 1000, 4) for _ in range(4)] == [4, 4, 1, 0]
    assert (
        outbox.status.counts(T0).dead,
        outbox.status.counts(T0 + 99).waiting,
        len(outbox.alerts.open_alerts("prod")),
    ) == (1, 1, 2)


def test_queued_events_survive_a_restart(database_url, outbox):
    """With the same bytes."""
    accept(outbox, alert())
    (claimed,) = claim(outbox)
    outbox.queue.postpone([claimed], T0, "503")
    again = Store(database_url)
    (same,) = claim(again)
    assert (same.body, same.attempts) == (claimed.body, 2)
    again.close()


def test_two_bridges_never_claim_the_same_key(database_url, outbox):
    """Every event once, in order per key, while both accept and claim."""
    second, names = Store(database_url), [f"k{number}" for number in range(30)]
    seen, lock = [], threading.Lock()

    def run(box):
        for step in range(6):
            accept(box, *(alert(name, firing=step % 2 == 0, at=T0 + step) for name in names), now=T0 + 10 * step)
            for one in claim(box, T0 + 100, 7):
                with lock:
                    seen.append((one.key, json.loads(one.body)["timestamp"], one.id))
                box.queue.record([one], "accepted", now=T0 + 100)

    threads = [threading.Thread(target=run, args=(box,)) for box in (outbox, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while claimed := claim(outbox, T0 + 200):
        seen += [(one.key, json.loads(one.body)["timestamp"], one.id) for one in claimed]
        outbox.queue.record(claimed, "accepted", now=T0 + 200)
    second.close()
    assert len({event for *_, event in seen}) == len(seen)
    for name in names:
        times = [timestamp for key, timestamp, _ in seen if key == f"prod:{name}"]
        assert times == sorted(set(times))
        assert times


def test_newer_schema_is_an_error(database_url, outbox):
    """An older version would damage it."""
    engine = engine_of(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(ConfigError, match=f"schema is version 99, this program knows {VERSION}"):
        Store(database_url)


def test_hostile_text_is_stored_and_sent(outbox):
    """Without NUL and lone surrogates."""
    hostile = replace(alert(), labels={"na\0me": "\ud800", "alertname": "a\0"}, name="a\0")
    accept(outbox, hostile)
    (claimed,) = claim(outbox)
    json.dumps(json.loads(claimed.body), ensure_ascii=False).encode()
    assert "\0" not in json.dumps(json.loads(claimed.body))


def test_readiness_writes_to_the_database(outbox):
    """And leaves no trace."""
    assert outbox.status.unwritable() == ""
    assert outbox.status.unwritable() == ""
    assert accept(outbox, alert()).queued == 1


def test_a_database_whose_file_is_gone_is_not_ready(tmp_path):
    """Until the file is back, as for webhooks."""
    file = tmp_path / "bridge.db"
    outbox = Store(f"sqlite:///{file}")
    assert accept(outbox, alert()).queued == 1
    away = file.rename(tmp_path / "away.db")
    (tmp_path / "bridge.db-journal").unlink(missing_ok=True)
    assert outbox.status.unwritable() == "database: gone"
    away.rename(file)
    assert outbox.status.unwritable() == ""
    outbox.close()


def test_busy_database_is_unavailable(tmp_path, monkeypatch):
    """Another writer does not end; afterwards the bridge continues."""
    monkeypatch.setattr("bridge.outbox.database.BUSY_TIMEOUT", 0.1)
    outbox = Store(f"sqlite:///{tmp_path}/bridge.db")
    engine = engine_of(f"sqlite:///{tmp_path}/bridge.db")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"^database: busy$"):
            accept(outbox, alert())
        assert outbox.status.unwritable() == "database: busy"
        connection.rollback()
    engine.dispose()
    assert accept(outbox, alert()).queued == 1
    outbox.close()


@pytest.mark.parametrize(
    ("between", "counts"),
    [
        ([], True),
        ([alert()], True),
        ([alert(at=T0 + 50)], False),
        ([alert(firing=False, at=T0 + 50)], False),
        ([alert(severity="warning")], False),
        ([alert(firing=False, at=T0 + 50), alert(at=T0 + 55)], False),
        ([alert("b")], True),
    ],
    ids=["nothing", "a repeat", "another episode", "its end", "another status", "its end and a new start", "others"],
)
def test_webhook_overrides_a_correction(outbox, between, counts):
    """A correction counts only if its key has not changed since the poll."""
    accept(outbox, alert())
    (state,) = outbox.alerts.states(["prod:a", "prod:z"]).values()
    for change in between:
        accept(outbox, change, now=T0 + 60)
    outcome = accept(outbox, alert(firing=False, at=T0 + 70), now=T0 + 70, if_unmodified={"prod:a": state.updated_at})
    assert (outcome.queued, outcome.unchanged) == ((1, 0) if counts else (0, 1))


def test_resolution_overrides_an_opening_correction(outbox):
    """Neither an unknown nor a resolved alert is opened after its end arrived."""
    accept(outbox, alert("known"))
    accept(outbox, alert("known", firing=False, at=T0 + 10), now=T0 + 10)
    judged_by = {"prod:new": None, "prod:known": outbox.state("prod:known").updated_at}
    accept(outbox, alert("new", firing=False, at=T0 + 20), alert("known", firing=False, at=T0 + 20), now=T0 + 20)
    outcome = accept(outbox, alert("new"), alert("known"), now=T0 + 30, if_unmodified=judged_by)
    assert (outcome.queued, outcome.unchanged) == (0, 2)
    assert {state.status for state in outbox.alerts.states(["prod:new", "prod:known"]).values()} == {"ok"}


def test_correction_opens_an_unknown_alert(outbox):
    """None in `if_unmodified` means that the key is unknown."""
    assert accept(outbox, alert("new"), if_unmodified={"prod:new": None}).queued == 1
    assert accept(outbox, alert("new", firing=False), now=T0 + 5, if_unmodified={"prod:new": None}).queued == 0


@pytest.mark.system
def test_replicas_lock_keys_in_one_order(postgresql_url):
    """Writers with overlapping alerts in other orders neither fail nor deadlock."""
    outboxes = [Store(postgresql_url) for _ in range(4)]

    def write(number):
        chance = random.Random(number)
        for turn in range(20):
            accept(outboxes[number], *(alert(f"{turn}-{n}") for n in chance.sample(range(60), 30)), now=T0 + turn)

    with ThreadPoolExecutor(len(outboxes)) as threads:
        for done in [threads.submit(write, number) for number in range(len(outboxes))]:
            done.result()
    assert len(claim(outboxes[0], T0 + 100, limit=10_000)) > 20 * 50
    for one in outboxes:
        one.close()
