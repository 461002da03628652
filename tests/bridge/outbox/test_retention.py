"""Old rows are deleted without blocking anybody; rows that are still needed stay."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from bridge.domain.incident import Incident
from bridge.domain.notification import Notification
from tests.bridge.conftest import ON_POSTGRESQL
from tests.bridge.outbox.test_outbox import MAPPING, T0, accept, alert, deliver
from tests.database import engine_of

LATER = T0 + 30 * 86400


def share(outbox, number, now=T0, **more):
    incident = Incident(id=number, digest=number, **({"status": "critical", "updated_at": now} | more))
    notification = Notification(
        receiver="bigpanda", source="panda", alerts=(), mapping=MAPPING, incidents=(incident,), confirm=True
    )
    outbox.ingest.accept([notification], now)


@pytest.fixture
def held(database_url):
    """Give a connection that holds rows as another replica does."""
    engine = engine_of(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=ON_POSTGRESQL)], indirect=True)
def test_rows_locked_by_a_webhook_are_skipped(outbox, held):
    """Waiting for them could deadlock; the next run deletes them."""
    for name in "abc":
        accept(outbox, alert(name))
        accept(outbox, alert(name, firing=False, at=T0 + 5), now=T0 + 5)
        share(outbox, name)
    deliver(outbox, T0 + 10)
    for statement in (
        "SELECT 1 FROM events WHERE key = 'prod:b' FOR UPDATE",
        "SELECT 1 FROM keys WHERE key = 'prod:b' FOR UPDATE",
        "SELECT 1 FROM incidents WHERE id = 'b' FOR UPDATE",
        "SELECT 1 FROM callbacks WHERE incident = 'b' FOR UPDATE",
    ):
        held.execute(text(statement))
    one_key = 2 + 1
    one_incident = 1 + 1
    assert outbox.retention.prune(LATER, 100) == 2 * (one_key + one_incident)
    held.rollback()
    assert outbox.retention.prune(LATER, 100) == one_key + one_incident
    assert outbox.incidents.records() == []


def test_batch_size_is_bounded(outbox):
    """For any kind of rows."""
    accept(outbox, alert())
    accept(outbox, alert(firing=False, at=T0 + 5), now=T0 + 5)
    deliver(outbox, T0 + 10)
    for number in range(3):
        share(outbox, str(number))
        outbox.set_aside("alertmanager", "prod", "no", "{", T0)
    assert [outbox.retention.prune(LATER, 5) for _ in range(4)] == [5, 5, 2, 0]


def test_alert_with_a_dead_letter_is_kept_and_discarded_events_are_not(outbox):
    """Its resolution may still be requeued."""
    accept(outbox, alert())
    deliver(outbox, T0)
    accept(outbox, alert(firing=False, at=T0 + 5), now=T0 + 5)
    (resolution,) = outbox.queue.claim(9, T0 + 5, 60.0)
    outbox.queue.bury(resolution, "no", T0 + 5)
    assert outbox.retention.prune(LATER, 100) == 1
    assert outbox.state("prod:a") is not None
    outbox.dead_letters.discard([resolution.id], T0 + 6)
    assert outbox.retention.prune(LATER, 100) == 2
    assert outbox.state("prod:a") is None


@pytest.mark.parametrize("identity", ["", "prod:shared"])
def test_last_repeat_of_an_open_alert_is_kept(outbox, identity):
    """`resolve_after` counts from it, and may be longer than the retention."""
    accept(outbox, replace(alert(), identity=identity))
    outbox.alerts.note_heard(["prod:a"], T0 + 5)
    outbox.retention.prune(LATER, 100)
    assert outbox.alerts.heard_at(["prod:a"]) == {"prod:a": T0 + 5}
    accept(outbox, replace(alert(firing=False, at=T0 + 9), identity=identity), now=T0 + 9)
    outbox.retention.prune(LATER, 100)
    assert outbox.alerts.heard_at(["prod:a"]) == {}


def test_snoozed_incident_is_kept(outbox):
    """BigPanda sends nothing meanwhile, and without the incident its silence would end."""
    share(outbox, "plain")
    share(outbox, "over", snoozed=True, snoozed_until=T0 + 60)
    share(outbox, "long", snoozed=True, snoozed_until=LATER + 60)
    share(outbox, "endless", snoozed=True)
    share(outbox, "just heard of", now=LATER, updated_at=T0)
    outbox.retention.prune(LATER, 100)
    assert {one.id for one in outbox.incidents.records()} == {"long", "endless", "just heard of"}
    outbox.retention.prune(LATER + 90, 100)
    assert {one.id for one in outbox.incidents.records()} == {"endless"}


def test_incident_is_kept_while_it_is_open_and_one_of_its_alerts_is(outbox):
    """BigPanda reports nothing as long as nothing changes. A closed one, or one whose alerts have ended, is deleted."""
    accept(outbox, alert("a"))
    share(outbox, "open", keys=("prod:gone", "prod:a"))
    share(outbox, "closed", status="ok", keys=("prod:a",))
    share(outbox, "other", keys=("prod:gone", "prod:aa", "x:prod:a"))
    share(outbox, "foreign")
    outbox.retention.prune(LATER, 100)
    assert [one.id for one in outbox.incidents.records()] == ["open"]
    accept(outbox, alert("a", firing=False, at=LATER), now=LATER)
    outbox.retention.prune(LATER, 100)
    assert outbox.incidents.records() == []


def test_unconfirmed_share_is_deleted_in_the_end(outbox):
    """Its receiver may have been removed from the configuration."""
    share(outbox, "a")
    assert len(outbox.incidents.due_callbacks("panda", LATER)) == 1
    outbox.retention.prune(LATER, 100)
    assert outbox.incidents.due_callbacks("panda", LATER) == []
