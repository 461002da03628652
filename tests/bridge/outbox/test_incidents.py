"""BigPanda's incidents in the store, on both databases: kept, counted, confirmed once, and of an older schema too."""

import json
import threading
from dataclasses import replace

from bridge.domain.incident import NEW, Incident
from bridge.domain.notification import Notification
from bridge.receivers.alertmanager import Settings
from tests.bridge.alerts import alert_at
from tests.store import Store

T0 = 1_795_200_000.0
MAPPING = Settings(receiver="alertmanager", source="prod", app_key="app").mapping


def incident(at=T0, number="i", **said):
    said = {"status": "critical", "active": True, "keys": ("prod:a",), "started_at": T0 - 60, **said}
    return Incident(id=number, updated_at=at, digest=f"{at}{sorted(said.items())}", **said)


def closed(at=T0 + 50, **said):
    return incident(at, status="ok", active=False, ended_at=T0 + 40, **said)


def shared(*incidents, confirm=True, source="panda"):
    return Notification(
        receiver="bigpanda", source=source, alerts=(), mapping=MAPPING, incidents=incidents, confirm=confirm
    )


def alert(name="a", *, firing=True, at=T0 - 60):
    return alert_at(at, name, firing=firing)


def webhook(outbox, *alerts, now=T0, **more):
    notification = Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=MAPPING, **more)
    return outbox.ingest.accept([notification], now)[0]


def accept_webhook(outbox, *incidents, now=T0, **more):
    return outbox.ingest.accept([shared(*incidents, **more)], now)[0]


def test_incident_is_stored_completely(outbox):
    """Every member, across a restart."""
    accept_webhook(
        outbox, incident(snoozed=True, snoozed_until=T0 + 900, who="ann", link="https://x", environment="All")
    )
    (kept,) = outbox.incidents.records("panda")
    assert (kept.id, kept.status, kept.active, kept.snoozed, kept.snoozed_until) == (
        "i",
        "critical",
        True,
        True,
        T0 + 900,
    )
    assert (kept.keys, kept.who, kept.link, kept.environment) == (("prod:a",), "ann", "https://x", "All")
    assert (kept.started_at, kept.updated_at, kept.heard_at) == (T0 - 60, T0, T0)
    assert outbox.incidents.records("other") == []
    assert outbox.incidents.records() == [kept]


def test_an_older_update_and_a_replay_change_nothing(outbox):
    """In any order, in one commit or in several."""
    outbox.ingest.accept([shared(incident(T0 + 1, snoozed=True)), shared(incident(T0))], T0)
    before = outbox.incidents.records()
    accept_webhook(outbox, incident(T0), incident(T0 + 1, snoozed=True), now=T0 + 9)
    assert outbox.incidents.records() == before


def test_incidents_are_counted_by_environment_and_status(outbox):
    """A closed one is ok, whatever its alerts' status."""
    accept_webhook(outbox, incident(environment="All"), incident(number="j", keys=("prod:b",)))
    accept_webhook(outbox, closed(number="k", environment="All"), replace(incident(number="l"), active=False))
    assert outbox.incidents.counts() == {("All", "critical"): 1, ("", "critical"): 1, ("All", "ok"): 1, ("", "ok"): 1}


def test_share_quota_is_that_of_a_configured_receiver(outbox):
    """The count of a removed one never changes again, and 0 would alert without end."""
    accept_webhook(outbox, incident(quota=0.0))
    accept_webhook(outbox, incident(T0 + 1, quota=3.0), source="other")
    configured = {("bigpanda", "other"): None, ("alertmanager", "panda"): None}
    assert outbox.incidents.share_quotas(configured) == {"other": 3.0}


def test_times_to_acknowledge_and_resolve_are_observed_once(outbox):
    """From the start of the incident; a repeat, a second snooze or a later comment adds nothing."""
    assert accept_webhook(outbox, incident()).acknowledged == []
    assert accept_webhook(outbox, incident(T0 + 5, acknowledged=True), now=T0 + 5).acknowledged == [("", 65.0)]
    assert accept_webhook(outbox, incident(T0 + 6, snoozed=True), now=T0 + 6).acknowledged == []
    assert accept_webhook(outbox, closed(), now=T0 + 50).resolved == [("", 100.0)]
    assert accept_webhook(outbox, closed(T0 + 60), now=T0 + 60).resolved == []


def test_a_new_share_is_confirmed_once(outbox):
    """Repeats are not; a second share of the same incident is."""
    accept_webhook(outbox, incident(), incident(number="j"))
    accept_webhook(outbox, incident(), incident(T0 + 1), now=T0 + 1)
    due = outbox.incidents.due_callbacks("panda", T0 + 2)
    assert [(one.incident, one.attempts, one.asked_at) for one in due] == [("i", 0, T0), ("j", 0, T0)]
    assert outbox.incidents.due_callbacks("other", T0 + 2) == []
    outbox.incidents.settle_callback(due[0], "done", "accepted", now=T0 + 2, not_before=0.0)
    outbox.incidents.settle_callback(due[1], "waiting", "answered 503", now=T0 + 2, not_before=T0 + 9)
    assert outbox.incidents.due_callbacks("panda", T0 + 8) == []
    set_back = T0 - 3600
    assert [one.incident for one in outbox.incidents.due_callbacks("panda", set_back)] == ["j"]
    assert [(one.incident, one.attempts) for one in outbox.incidents.due_callbacks("panda", T0 + 9)] == [("j", 1)]
    accept_webhook(outbox, incident(T0 + 20, event=NEW), now=T0 + 20)
    assert [one.incident for one in outbox.incidents.due_callbacks("panda", T0 + 20)] == ["j", "i"]


def test_earlier_callback_does_not_settle_a_later_share(outbox):
    """The response arrived while BigPanda shared again."""
    accept_webhook(outbox, incident())
    (first,) = outbox.incidents.due_callbacks("panda", T0)
    accept_webhook(outbox, incident(T0 + 1, event=NEW), now=T0 + 1)
    outbox.incidents.settle_callback(first, "done", "accepted", now=T0 + 2, not_before=0.0)
    assert [one.asked_at for one in outbox.incidents.due_callbacks("panda", T0 + 2)] == [T0 + 1]


def test_without_callback_no_confirmation_is_pending(outbox):
    """The service is optional."""
    accept_webhook(outbox, incident(), confirm=False)
    assert outbox.incidents.due_callbacks("panda", T0 + 1) == []


def test_alert_that_outlasts_its_incident_is_counted_once(outbox):
    """By its source; that alone does not resend it."""
    webhook(outbox, alert("a"), alert("b"), alert("c"))
    webhook(outbox, alert("b", firing=False, at=T0 + 30), now=T0 + 30)
    accept_webhook(outbox, incident(keys=("prod:a", "prod:b", "else:1")))
    assert accept_webhook(outbox, closed(keys=("prod:a", "prod:b", "else:1")), now=T0 + 50).closed_manually == {
        "prod": 1
    }
    assert not accept_webhook(outbox, closed(T0 + 51, keys=("prod:a",)), now=T0 + 51).closed_manually
    (kept,) = outbox.incidents.records()
    assert kept.closed_manually == {"prod:a": outbox.alerts.states(["prod:a"])["prod:a"].updated_at}
    accept_webhook(outbox, incident(T0 + 60), now=T0 + 60)
    assert outbox.incidents.records()[0].closed_manually == {}


def test_incident_of_more_alerts_than_a_statement_has_parameters_is_closed(outbox):
    """PostgreSQL allows 65,535 of them."""
    keys = ("prod:a", *(f"prod:n{number}" for number in range(70_000)))
    webhook(outbox, alert())
    accept_webhook(outbox, incident(keys=keys))
    assert accept_webhook(outbox, closed(keys=keys), now=T0 + 50).closed_manually == {"prod": 1}


def test_alert_in_another_incident_was_not_closed(outbox):
    """Incidents are merged, and the emptied one is closed."""
    webhook(outbox, alert())
    accept_webhook(outbox, incident(number="target", keys=("prod:a", "prod:b")), incident(T0 + 1))
    assert all(one.active for one in outbox.incidents.records())
    assert not accept_webhook(outbox, closed(), now=T0 + 50).closed_manually


def test_merged_incident_is_closed(outbox):
    """BigPanda does not report it: all its alerts are in another incident that changed later."""
    others = incident(number="j", keys=("prod:b", "prod:c")), incident(number="bare", keys=())
    accept_webhook(outbox, incident(keys=("prod:a",), snoozed=True), *others)
    outcome = accept_webhook(outbox, incident(T0 + 5, number="target", keys=("prod:a", "prod:b")), now=T0 + 5)
    kept = {one.id: (one.active, one.snoozed, one.closed_at) for one in outbox.incidents.records()}
    open_still = dict.fromkeys(("j", "bare", "target"), (True, False, None))
    assert kept == {"i": (False, False, T0 + 5)} | open_still
    assert (outcome.resolved, outcome.closed_manually) == ([], {})
    accept_webhook(outbox, incident(T0 + 9, keys=("prod:a",)), now=T0 + 9)
    assert all(one.active for one in outbox.incidents.records())
    accept_webhook(outbox, incident(T0 + 1, number="late", keys=("prod:a",)), now=T0 + 10)
    assert {one.id for one in outbox.incidents.records() if one.active} == {"i", "j", "bare", "target", "late"}
    accept_webhook(outbox, incident(T0 + 9, number="same second", keys=("prod:a",)), now=T0 + 11)
    assert {one.id for one in outbox.incidents.records() if one.active} == {"j", "bare", "target", "same second"}


def test_incident_merged_earlier_in_its_commit_was_not_resolved(outbox):
    """Its own end, in a webhook of the same commit, is that of a closed one."""
    assert accept_webhook(outbox, incident(), incident(T0 + 5, number="target"), closed(T0 + 6)).resolved == []


def test_alert_is_resent_once(outbox):
    """A new event with a later time, unless its key has changed since."""
    webhook(outbox, alert())
    sent = outbox.queue.claim(10, T0, 60.0)
    outbox.queue.record(sent, "accepted", now=T0)
    states = outbox.alerts.states(["prod:a", "prod:unknown"])
    assert list(states) == ["prod:a"]
    again = {"resend": True, "if_unmodified": {"prod:a": states["prod:a"].updated_at}}
    assert webhook(outbox, states["prod:a"].alert, now=T0 + 100, **again).queued == 1
    assert webhook(outbox, states["prod:a"].alert, now=T0 + 101, **again).queued == 0
    (resent,) = outbox.queue.claim(10, T0 + 102, 60.0)
    assert resent.status == "critical"
    before, after = json.loads(sent[0].body), json.loads(resent.body)
    assert after["timestamp"] > before["timestamp"]
    assert after == before | {"timestamp": after["timestamp"]}


def test_queued_or_resolved_alert_is_not_resent(outbox):
    """Its firing is sent anyway, or must not be."""
    webhook(outbox, alert())
    assert webhook(outbox, alert(), now=T0 + 1, resend=True).queued == 0
    webhook(outbox, alert(firing=False, at=T0 + 2), now=T0 + 2)
    assert webhook(outbox, alert(), now=T0 + 3, resend=True).queued == 0


def test_two_replicas_confirm_a_share_once(database_url):
    """One incident and one callback are stored."""
    outboxes = [Store(database_url) for _ in range(2)]
    barrier = threading.Barrier(2)

    def hear(outbox):
        barrier.wait()
        for second in range(5):
            accept_webhook(outbox, incident(T0 + second), incident(T0, "j"), now=T0 + second)

    threads = [threading.Thread(target=hear, args=[outbox]) for outbox in outboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kept.updated_at for kept in sorted(outboxes[0].incidents.records(), key=lambda one: one.id)] == [T0 + 4, T0]
    assert len(outboxes[1].incidents.due_callbacks("panda", T0 + 9)) == 2
    for outbox in outboxes:
        outbox.close()


def test_old_incidents_are_deleted(outbox):
    """With their callbacks."""
    accept_webhook(outbox, incident(), incident(number="j"))
    for due in outbox.incidents.due_callbacks("panda", T0):
        outbox.incidents.settle_callback(due, "done", "accepted", now=T0, not_before=0.0)
    accept_webhook(outbox, incident(T0 + 100), now=T0 + 100)
    assert outbox.retention.prune(T0 + 50, 100) == 3
    assert [kept.id for kept in outbox.incidents.records()] == ["i"]


def test_database_has_one_id(database_url, outbox):
    """The same for every replica and after every restart."""
    again = Store(database_url)
    assert outbox.status.database_id() == again.status.database_id() == outbox.status.database_id() != ""
    again.close()
