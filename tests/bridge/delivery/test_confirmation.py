"""The confirmation against a real outbox, and a BigPanda that lists what a test wants."""

import json
import logging
from dataclasses import replace

import pytest

from bridge.config import BigPanda, Config
from bridge.delivery.confirmation import Confirmation
from bridge.delivery.confirmation_diff import RESENDS, Diagnostic
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from bridge.errors import Stopped, Transient, Unavailable
from bridge.metrics import Metrics
from bridge.outbox.outbox import Outbox
from bridge.receivers.alertmanager import Settings
from exporter.toolkit.periodic import Clock
from tests.bridge.alerts import alert_at

T0 = 1_800_000_000.0
INTERVAL = 300.0
MAPPING = EventMapping(app_key="app", statuses={"critical": "critical"}, primary_property=("host",))


class Panda:
    """Lists what it took in: everything that was sent, but for the keys in `drops`, each so often."""

    def __init__(self):
        self.taken, self.drops, self.problem = [], {}, None
        self.asked, self.asked_logs, self.logs = [], [], []

    def take(self, event):
        if self.drops.get(event.key, 0) > 0:
            self.drops[event.key] -= 1
        else:
            self.taken.append({"payload": json.loads(event.body)})

    def alerts(self, app_key, since):
        self.asked.append((app_key, since))
        if self.problem:
            raise self.problem
        yield {"alerts": self.taken[:1]}
        yield {"alerts": self.taken[1:]}

    def diagnostics(self, since):
        self.asked_logs.append(since)
        yield {"logs": self.logs}

    def masked(self, text):
        return text.replace("s3cret", "<secret>")

    def close(self):
        pass


class Bench:
    """An outbox, what is sent from it, and the confirmation, under one clock."""

    def __init__(self, outbox):
        self.outbox, self.now, self.panda, self.metrics, self.woken = outbox, T0, Panda(), Metrics(), 0
        self.bodies = []
        self.confirmation = self.make()

    def make(self, destination="main"):
        confirm = {"api_key": "k", "interval": INTERVAL}
        bigpanda = BigPanda(url=f"http://{destination}/data/", app_key="app", token="t", confirm=confirm)
        config = Config.model_construct(
            bigpanda=bigpanda, receivers=(Settings(receiver="alertmanager", source="prod"),)
        )
        return Confirmation(
            Outbox(self.outbox.database, self.wake), config, self.metrics, api=self.panda, clock=Clock(lambda: self.now)
        )

    def wake(self):
        self.woken += 1

    def fire(self, *names):
        self.queue(*names)
        self.deliver()

    def queue(self, *names, mapping=MAPPING):
        alerts = [alert_at(self.now, name) for name in names]
        found = Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=mapping)
        self.outbox.ingest.accept([found], self.now)

    def deliver(self):
        while claimed := self.outbox.queue.claim(100, self.now, 60):
            self.outbox.queue.record(claimed, "accepted", now=self.now)
            for event in claimed:
                self.bodies.append(event.body)
                self.panda.take(event)

    def look(self, times=1):
        for _ in range(times):
            self.now += INTERVAL
            assert self.confirmation.tick() == INTERVAL
            self.deliver()

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"vendorwatch_bridge_{name}", labels)

    @property
    def unconfirmed(self):
        return self.confirmation.status.unconfirmed


@pytest.fixture
def bench(outbox):
    return Bench(outbox)


def test_processed_events_are_confirmed_once(bench):
    """Counted at the first poll, and not looked up again."""
    bench.fire("a", "b", "c")
    bench.look()
    assert (bench.counted("confirmed_events_total"), bench.unconfirmed) == (3, 0)
    assert bench.panda.asked == [("app", T0 - 120)]
    bench.look(3)
    assert (bench.counted("confirmed_events_total"), len(bench.panda.asked)) == (3, 1)
    assert bench.confirmation.status.looked_at == bench.now


def test_dropped_event_is_resent_after_two_polls(bench, caplog):
    """With the same bytes; unconfirmed until BigPanda processes it."""
    bench.panda.drops = {"prod:b": 1}
    bench.fire("a", "b", "c")
    bench.look()
    assert (bench.woken, bench.unconfirmed, len(bench.bodies)) == (0, 0, 3)
    assert bench.outbox.events.unconfirmed(9, bench.now) == []
    bench.look()
    assert (bench.woken, bench.unconfirmed, len(bench.bodies)) == (1, 1, 4)
    assert [one.key for one in bench.outbox.events.unconfirmed(9, bench.now)] == ["prod:b"]
    assert bench.bodies[3] in bench.bodies[:3]
    assert "Resent critical event of prod:b: BigPanda accepted but did not process it" in caplog.text
    bench.look()
    assert (bench.counted("confirmed_events_total"), bench.unconfirmed) == (3, 0)
    bench.look(5)
    assert (len(bench.bodies), bench.counted("confirmed_events_total")) == (4, 3)


def test_repeatedly_dropped_event_is_logged_as_lost(bench, caplog):
    """After some resends, once; it stays unconfirmed for a day."""
    bench.panda.drops = {"prod:b": 99}
    bench.fire("a", "b")
    for times, sent in ((2, 3), (1, 3), (1, 4), (2 * RESENDS + 8, 2 + RESENDS)):
        bench.look(times)
        assert (len(bench.bodies), bench.unconfirmed) == (sent, 1)
    lost = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert lost == ["critical event of prod:b not processed by BigPanda although resent"]
    sent_at = T0 + 2 * RESENDS * INTERVAL
    for now, unconfirmed in ((sent_at + 86_400, 1), (sent_at + 86_400 + INTERVAL, 0)):
        bench.now = now - INTERVAL
        bench.look()
        assert (bench.unconfirmed, len(bench.bodies)) == (unconfirmed, 2 + RESENDS)


def test_listing_without_our_events_resends_nothing(bench, caplog):
    """A wrong region or a key without access: counted and logged, until the listing has our events."""
    bench.fire(*map(str, range(20)))
    taken, bench.panda.taken = bench.panda.taken, []
    caplog.set_level(logging.INFO)
    bench.look()
    assert not caplog.records
    bench.look(5)
    assert (len(bench.bodies), bench.unconfirmed) == (20, 20)
    expected = "BigPanda lists no event of app, not resending any"
    assert [record.message for record in caplog.records] == [expected]
    bench.panda.taken = taken[1:]
    bench.look()
    assert (bench.counted("confirmed_events_total"), len(bench.bodies), bench.unconfirmed) == (19, 21, 1)
    assert f"Cleared: {expected}" in caplog.text


def test_events_older_than_a_day_are_not_looked_up(bench):
    """A listing of weeks would never be read to its end."""
    bench.look()
    bench.panda.problem = Transient("no connection")
    bench.fire("a")
    bench.look()
    bench.now += 90_000
    bench.fire("b")
    sent, bench.panda.problem = bench.now, None
    bench.look()
    assert bench.panda.asked[-1] == ("app", sent - 120)
    assert bench.counted("confirmed_events_total") == 1


def test_events_are_looked_up_from_when_they_were_queued(bench):
    """BigPanda may have processed one hours before it was accepted, if its answers were lost; at most a day."""
    for waited, since in ((3600.0, T0 - 120), (3 * 86400.0, T0 + 3 * 86400.0 + INTERVAL - 30 - 86400 - 120)):
        bench.now = T0
        bench.queue(f"waits {waited}")
        bench.now += waited
        bench.queue(f"is new after {waited}")
        bench.deliver()
        bench.look()
        assert bench.panda.asked[-1] == ("app", since)


def test_each_integration_is_looked_up_from_its_own_first_event(bench):
    """An old event of one makes no other's listing longer."""
    bench.queue("waits")
    bench.now += 3600
    bench.queue("of another", mapping=replace(MAPPING, app_key="other"))
    bench.deliver()
    bench.look()
    assert bench.panda.asked == [("app", T0 - 120), ("other", T0 + 3600 - 120)]


def test_a_restart_neither_forgets_nor_resends_twice(bench):
    """An event missed once before a restart is resent once after it."""
    bench.panda.drops = {"prod:b": 1}
    bench.fire("a", "b")
    bench.look()
    bench.confirmation.close()
    bench.confirmation = bench.make()
    bench.look()
    assert len(bench.bodies) == 3
    bench.confirmation.close()
    bench.confirmation = bench.make()
    bench.look(4)
    assert (len(bench.bodies), bench.unconfirmed) == (3, 0)


def test_events_after_a_clock_change_and_a_restart_are_confirmed(bench):
    """The last check seems to be in the future."""
    bench.look()
    bench.confirmation.close()
    bench.now -= 7200
    bench.confirmation = bench.make()
    bench.fire("a")
    bench.look()
    assert bench.counted("confirmed_events_total") == 1


def test_incomplete_listing_is_not_used(bench):
    """Only a complete one shows which events are missing."""
    bench.fire("a")
    bench.panda.taken.clear()
    bench.panda.problem = Transient("no complete response in time")
    bench.look(5)
    assert (len(bench.bodies), bench.unconfirmed) == (1, 0)
    assert bench.confirmation.status.problem == "no complete response in time"
    bench.panda.problem = None
    bench.look(2)
    assert len(bench.bodies) == 2
    looked_at, bench.panda.problem = bench.now, Transient("no connection")
    bench.look()
    assert (bench.confirmation.status.looked_at, bench.confirmation.status.problem) == (looked_at, "no connection")


def test_rejected_confirmation_is_logged_once(bench, caplog):
    """Delivery continues, and no event counts as missing; so is its end."""
    caplog.set_level(logging.INFO)
    bench.panda.problem = Stopped("BigPanda answered 403: forbidden", status=403)
    bench.fire("a")
    bench.look(5)
    expected = "BigPanda does not confirm events, still sending: BigPanda answered 403: forbidden"
    assert [record.message for record in caplog.records] == [expected]
    assert (bench.unconfirmed, len(bench.bodies), bench.confirmation.status.looked_at) == (0, 1, None)
    bench.panda.problem = None
    bench.look()
    assert caplog.records[-1].message == f"Cleared: {expected}"


def test_unavailable_database_is_tried_again_after_a_minute(bench):
    """Nothing is lost meanwhile."""

    def unavailable():
        raise Unavailable("database: busy")

    assert bench.confirmation.guarded(unavailable) == 60


def test_diagnostics_about_us_are_counted_once(bench, caplog):
    """By level; errors are logged; the last ones are kept for the page, with secrets masked."""
    entry = {"log_id": "1", "level": "error", "message": "alert 1: s3cret", "resource_id": "api.app"}
    bench.panda.logs = [entry, entry | {"log_id": "2", "level": "info"}, entry | {"resource_id": "api.other"}]
    bench.look(3)
    assert [bench.counted("diagnostics_total", level=level) for level in ("error", "warning", "info")] == [1, 0, 1]
    assert caplog.text.count("BigPanda's diagnostics report an error: alert 1: <secret>") == 1
    assert bench.confirmation.status.diagnostics[0] == Diagnostic(id="1", level="error", message="alert 1: <secret>")
    assert bench.panda.asked_logs == [T0 - 120, T0 + INTERVAL - 120, T0 + 2 * INTERVAL - 120]
    bench.panda.logs = [entry | {"log_id": str(number)} for number in (*range(1000), 1)]
    bench.look()
    assert [one.id for one in bench.confirmation.status.diagnostics] == [str(number) for number in range(980, 1000)]


def test_events_of_another_destination_are_not_looked_up(bench):
    """It does not have them, and must not get them again."""
    bench.panda.drops = {"prod:b": 1}
    bench.fire("b")
    bench.look()
    bench.confirmation.close()
    bench.now += 1
    bench.confirmation = bench.make("elsewhere")
    bench.panda.taken.clear()
    bench.look(5)
    assert (len(bench.bodies), bench.unconfirmed) == (1, 0)


def test_only_one_replica_polls(bench, outbox):
    """The other one after the lease: two intervals and a minute."""
    if outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    second = bench.make()
    bench.fire("a")
    bench.look()
    assert second.tick() == 60
    began = bench.now
    while len(bench.panda.asked) == 1:
        bench.now += 20
        bench.fire(f"b{bench.now}")
        second.tick()
    assert bench.now - began == pytest.approx(2 * INTERVAL + 60, abs=20)
