"""The confirmation against a real outbox, and a BigPanda that lists what a test wants."""

import logging

import pytest

from bridge.config import BigPanda, Config
from bridge.delivery.confirmation import Confirmation
from bridge.delivery.confirmation_diff import RESENDS, Diagnostic
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from bridge.errors import Stopped, Unreached
from bridge.metrics import Metrics
from bridge.receivers.alertmanager import Settings
from tests.bridge.alerts import alert_at

T0 = 1_800_000_000.0
INTERVAL = 300.0
MAPPING = EventMapping(app_key="app", statuses={"critical": "critical"}, primary_property=("host",))


class Panda:
    """Lists what it took in: everything that was sent, but for the keys in `drops`, each so often."""

    def __init__(self):
        self.taken, self.drops, self.problem = [], {}, None
        self.asked, self.logs = [], []

    def take(self, event):
        if self.drops.get(event.key, 0) > 0:
            self.drops[event.key] -= 1
        else:
            self.taken.append({"payload": event.event})

    def alerts(self, app_key, since):
        self.asked.append((app_key, since))
        if self.problem:
            raise self.problem
        yield {"alerts": self.taken[:1]}
        yield {"alerts": self.taken[1:]}

    def diagnostics(self, since):
        del since
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
            self.outbox.database, config, self.metrics, wake=self.wake, api=self.panda, clock=lambda: self.now
        )

    def wake(self):
        self.woken += 1

    def fire(self, *names):
        alerts = [alert_at(self.now, name) for name in names]
        found = Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=MAPPING)
        self.outbox.ingest.accept([found], self.now)
        self.deliver()

    def deliver(self):
        while claimed := self.outbox.queue.claim(100, "me", self.now, 60):
            self.outbox.queue.record(accepted=claimed, now=self.now)
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


def test_what_was_taken_in_is_confirmed_once(bench):
    """Counted at the first look after it was sent, and not looked for again."""
    bench.fire("a", "b", "c")
    bench.look()
    assert (bench.counted("confirmed_events_total"), bench.unconfirmed) == (3, 0)
    assert bench.panda.asked == [("app", T0 - 120)]
    bench.look(3)
    assert (bench.counted("confirmed_events_total"), len(bench.panda.asked)) == (3, 1)
    assert bench.confirmation.status.looked_at == bench.now


def test_what_was_dropped_is_resent_after_two_looks_and_confirmed(bench, caplog):
    """To the byte as before; unconfirmed from then on until it is taken in."""
    bench.panda.drops = {"prod:b": 1}
    bench.fire("a", "b", "c")
    bench.look()
    assert (bench.woken, bench.unconfirmed, len(bench.bodies)) == (0, 0, 3)
    bench.look()
    assert (bench.woken, bench.unconfirmed, len(bench.bodies)) == (1, 1, 4)
    assert bench.bodies[3] in bench.bodies[:3]
    assert "Resent critical event of prod:b: BigPanda accepted but did not process it" in caplog.text
    bench.look()
    assert (bench.counted("confirmed_events_total"), bench.unconfirmed) == (3, 0)
    bench.look(5)
    assert (len(bench.bodies), bench.counted("confirmed_events_total")) == (4, 3)


def test_what_is_dropped_again_and_again_is_lost(bench, caplog):
    """It is resent some times, then said to be lost, once; it stays unconfirmed for a day."""
    bench.panda.drops = {"prod:b": 99}
    bench.fire("a", "b")
    bench.look(2 + 2 * RESENDS + 10)
    assert (len(bench.bodies), bench.unconfirmed) == (2 + RESENDS, 1)
    lost = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert lost == ["critical event of prod:b not processed by BigPanda although resent"]
    bench.look(300)
    assert bench.unconfirmed == 0
    assert len(bench.bodies) == 2 + RESENDS


def test_a_listing_that_shows_nothing_of_ours_resends_nothing(bench, caplog):
    """A wrong region, or a key that may not see: counted and told, until the listing shows what was taken in."""
    bench.fire(*map(str, range(20)))
    taken, bench.panda.taken = bench.panda.taken, []
    bench.look(6)
    assert (len(bench.bodies), bench.unconfirmed) == (20, 20)
    told = "BigPanda lists no event of app, not resending any"
    assert [record.message for record in caplog.records] == [told]
    bench.panda.taken = taken[1:]
    bench.look()
    assert (bench.counted("confirmed_events_total"), len(bench.bodies), bench.unconfirmed) == (19, 21, 1)


def test_what_was_sent_before_yesterday_is_looked_for_no_more(bench):
    """However long BigPanda did not answer: a listing of weeks would never be read to its end."""
    bench.look()
    bench.panda.problem = Unreached("no connection")
    bench.fire("a")
    bench.look()
    bench.now += 90_000
    bench.fire("b")
    sent, bench.panda.problem = bench.now, None
    bench.look()
    assert bench.panda.asked[-1] == ("app", sent - 120)
    assert bench.counted("confirmed_events_total") == 1


def test_a_restart_neither_forgets_nor_resends_twice(bench):
    """What was missed once is missed twice after a restart, and resent once."""
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


def test_a_listing_that_breaks_off_says_nothing(bench):
    """Only a whole listing tells what is missing."""
    bench.fire("a")
    bench.panda.taken.clear()
    bench.panda.problem = Unreached("no complete response in time")
    bench.look(5)
    assert (len(bench.bodies), bench.unconfirmed) == (1, 0)
    assert bench.confirmation.status.problem == "no complete response in time"
    bench.panda.problem = None
    bench.look(2)
    assert len(bench.bodies) == 2


def test_a_tenant_that_refuses_is_reported_once(bench, caplog):
    """Sending goes on, and nothing is said to be missing."""
    bench.panda.problem = Stopped("BigPanda answered 403: forbidden", status=403)
    bench.fire("a")
    bench.look(5)
    told = "BigPanda does not confirm events, still sending: BigPanda answered 403: forbidden"
    assert [record.message for record in caplog.records] == [told]
    assert (bench.unconfirmed, len(bench.bodies), bench.confirmation.status.looked_at) == (0, 1, None)


def test_diagnostics_about_us_are_counted_once(bench, caplog):
    """By level; an error is logged; the last ones are kept for the page; what they repeat of ours is masked."""
    entry = {"log_id": "1", "level": "error", "message": "alert 1: s3cret", "resource_id": "api.app"}
    bench.panda.logs = [entry, entry | {"log_id": "2", "level": "info"}, entry | {"resource_id": "api.other"}]
    bench.look(3)
    assert [bench.counted("diagnostics_total", level=level) for level in ("error", "warning", "info")] == [1, 0, 1]
    assert caplog.text.count("BigPanda's diagnostics report an error: alert 1: <secret>") == 1
    assert bench.confirmation.status.diagnostics[0] == Diagnostic(id="1", level="error", message="alert 1: <secret>")


def test_what_was_sent_elsewhere_is_not_looked_for(bench):
    """Another destination knows nothing of it, and is not sent it again."""
    bench.panda.drops = {"prod:b": 1}
    bench.fire("b")
    bench.look()
    bench.confirmation.close()
    bench.now += 1
    bench.confirmation = bench.make("elsewhere")
    bench.panda.taken.clear()
    bench.look(5)
    assert (len(bench.bodies), bench.unconfirmed) == (1, 0)


def test_of_two_replicas_one_looks(bench, outbox):
    """The other waits for its lease to end: two intervals and a minute."""
    if outbox.database.postgresql:
        pytest.skip("leases run on PostgreSQL's own clock, which a test cannot move")
    second = bench.make()
    bench.fire("a")
    bench.look()
    began = bench.now
    while len(bench.panda.asked) == 1:
        bench.now += 20
        bench.fire(f"b{bench.now}")
        second.tick()
    assert bench.now - began == pytest.approx(2 * INTERVAL + 60, abs=20)
