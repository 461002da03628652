import json
import threading
from dataclasses import replace

import pytest
import responses
from sqlalchemy import func, select

from bridge.config import BigPanda, Config
from bridge.delivery.bigpanda_client import packed
from bridge.delivery.relocation import Relocation
from bridge.delivery.worker import Delivery, closed_for
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from bridge.errors import Rejected, Stopped, Transient, Unavailable
from bridge.metrics import Metrics
from bridge.outbox import schema
from bridge.outbox.alerts import Alerts
from bridge.outbox.queue import Queue
from bridge.outbox.status import Circuit, OutboxStatus
from bridge.receivers.alertmanager import Settings
from exporter.toolkit import periodic
from exporter.toolkit.config_types import Secret
from tests.bridge.alerts import alert_at
from tests.store import Store

MAPPING = EventMapping(
    app_key="app", statuses={"critical": "critical", "warning": "warning"}, primary_property=("host",)
)
RECEIVER = Settings(receiver="alertmanager", source="prod", app_key="app")
MAIN, OTHER = "http://main", "http://other"


def config(url, receivers=(RECEIVER,), **bigpanda):
    """Give the configuration of a destination."""
    limits = {"events_per_minute": 6000, "batch_size": 100, "timeout": 10.0, "token": Secret("t0ken")}
    found = BigPanda(url=url, app_key="app", **limits | bigpanda)
    return Config.model_construct(bigpanda=found, receivers=tuple(receivers))


class Panda:
    """A BigPanda in memory: `mood` answers each request, by raising what it refuses with."""

    def __init__(self, clock):
        self.clock = clock
        self.took = 0.0
        self.requests = []
        self.accepted, self.times, self.app_keys = [], [], []
        self.mood = lambda events: "accepted"

    def send(self, events, app_key):
        self.clock.now += self.took
        read = [json.loads(event) for event in events]
        self.requests.append((self.clock.now, [event["incident_identifier"] for event in read]))
        answer = self.mood(read)
        self.accepted += [(self.clock.now, event["incident_identifier"], event["status"]) for event in read]
        self.times += [event["timestamp"] for event in read]
        self.app_keys += [app_key] * len(read)
        return answer

    def close(self):
        pass

    def names(self):
        return [key for _, key, _ in self.accepted]


class Clock:
    """The clock of the wall, which may be set back, and `steady`, which nobody sets."""

    def __init__(self):
        self.now, self.set_back = 1_800_000_000.0, 0.0

    def __call__(self):
        return self.now - self.set_back

    def steady(self):
        return self.now


class Scene:
    """An outbox in a file, a delivery and its BigPanda, under one clock."""

    def __init__(self, folder, per_minute=6000, batch_size=100):
        self.clock = Clock()
        self.panda = Panda(self.clock)
        self.metrics = Metrics()
        self.outbox = Store(f"sqlite:///{folder}/bridge.db")
        self.pandas, self.connected = {MAIN: self.panda}, []
        self.config = config(MAIN, receivers=[], events_per_minute=per_minute, batch_size=batch_size)
        self.delivery = self.restarted()

    def connect(self, settings):
        self.connected.append(settings.url)
        return self.pandas[settings.url]

    def restarted(self):
        return Delivery(
            self.outbox,
            self.config,
            self.metrics,
            connect=self.connect,
            clock=periodic.Clock(self.clock, self.clock.steady, chance=lambda: 0.5),
        )

    def accept(self, *names, firing=True, severity="warning", app_key="app"):
        now = self.clock()
        alerts = [alert_at(now - 10, name, firing=firing, severity=severity) for name in names]
        self.outbox.ingest.accept(
            [
                Notification(
                    receiver="alertmanager", source="prod", alerts=alerts, mapping=replace(MAPPING, app_key=app_key)
                )
            ],
            now,
        )

    def live(self, seconds):
        """Let the loop run for so long, by the clock."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            rest = self.delivery.guarded(self.delivery.tick)
            assert rest is not None, "waits for a wake that may never come"
            self.clock.now += min(rest, end - self.clock.now) if rest else 0.0
            self.clock.now += 1e-4

    def count(self, outcome):
        return self.metrics.registry.get_sample_value("vendorwatch_bridge_deliveries_total", {"outcome": outcome})

    def up(self):
        return self.metrics.registry.get_sample_value("vendorwatch_bridge_destination_up")


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.outbox.close()


def refuse(error, when=lambda events: True):
    def mood(events):
        if when(events):
            raise error
        return "accepted"

    return mood


def test_queued_events_are_sent_once_and_recorded(scene):
    """In one request, and then the queue is empty."""
    scene.accept("a", "b", "c")
    scene.live(5)
    assert [keys for _, keys in scene.panda.requests] == [["prod:a", "prod:b", "prod:c"]]
    assert scene.outbox.status.counts(scene.clock.now).waiting == 0
    assert scene.count("accepted") == 3
    assert scene.metrics.registry.get_sample_value("vendorwatch_bridge_delivery_latency_seconds_count") == 3
    assert 0 <= scene.metrics.registry.get_sample_value("vendorwatch_bridge_delivery_latency_seconds_sum") < 1


def test_a_duplicate_is_success(scene):
    """204 is counted separately, and the event is done."""
    scene.panda.mood = lambda events: "duplicate"
    scene.accept("a")
    scene.live(3)
    assert scene.count("duplicate") == 1
    assert scene.outbox.status.counts(scene.clock.now).waiting == 0


def test_critical_goes_first_then_resolutions(scene):
    """After an outage critical events go first, then resolutions; each key keeps its order."""
    scene.accept("old")
    scene.live(2)
    scene.panda.accepted.clear()
    scene.panda.mood = refuse(Transient("hung"))
    scene.accept(*(f"w{number}" for number in range(40)))
    scene.live(1)
    scene.accept("old", firing=False)
    scene.accept("c1", "c2", severity="critical")
    scene.live(20)
    assert not scene.panda.accepted
    scene.panda.mood = lambda events: "accepted"
    scene.live(70)
    keys = scene.panda.names()
    assert set(keys[:2]) == {"prod:c1", "prod:c2"}
    assert keys[2] == "prod:old"
    assert len(keys) == 43


def test_a_key_keeps_its_order(scene):
    """Firing, resolved, firing arrive in that order, however the first attempts fail."""
    scene.panda.mood = refuse(Transient("503", status=503))
    for firing in (True, False, True, False):
        scene.accept("a", firing=firing)
        scene.live(3)
    scene.panda.mood = lambda events: "accepted"
    scene.live(70)
    assert [status for *_, status in scene.panda.accepted] == ["warning", "ok", "warning", "ok"]


def test_rejected_credentials_lose_nothing(scene):
    """About one attempt a minute, no dead letter, and everything is delivered with valid credentials."""
    scene.panda.mood = refuse(Stopped("BigPanda answered 401", status=401))
    scene.accept(*range(80))
    scene.live(3600)
    assert 55 <= len(scene.panda.requests) <= 66
    assert scene.up() == 0
    counts = scene.outbox.status.counts(scene.clock.now)
    assert (counts.waiting, counts.dead) == (80, 0)
    scene.panda.mood = lambda events: "accepted"
    scene.live(75)
    assert len(scene.panda.accepted) == 80
    assert scene.up() == 1
    assert scene.count("destination_down") >= 55


def test_open_circuit_survives_a_restart(scene):
    """A restart during an outage does not start sending again, nor does it export that BigPanda is available."""
    scene.panda.mood = refuse(Stopped("BigPanda answered 403", status=403))
    scene.accept("a")
    scene.live(2)
    assert len(scene.panda.requests) == 1
    scene.metrics = Metrics()
    scene.delivery = scene.restarted()
    scene.live(30)
    assert len(scene.panda.requests) == 1
    assert scene.up() == 0
    scene.live(60)
    assert len(scene.panda.requests) == 2


def test_destination_is_up_for_a_replica_without_events_once_another_has_delivered(scene, caplog):
    """What is exported by a replica that no event reaches after the outage would be an alert without end."""
    caplog.set_level("INFO")
    scene.panda.mood = refuse(Stopped("BigPanda answered 403", status=403))
    scene.accept("a")
    scene.live(2)
    assert scene.up() == 0
    failed, failed_metrics = scene.delivery, scene.metrics
    scene.metrics, scene.panda.mood = Metrics(), lambda events: "accepted"
    scene.delivery = scene.restarted()
    scene.live(60)
    assert scene.panda.names() == ["prod:a"]
    scene.delivery, scene.metrics = failed, failed_metrics
    caplog.clear()
    scene.live(2)
    assert scene.up() == 1
    assert "Cleared: BigPanda unavailable, queueing events: BigPanda answered 403" in caplog.text


@pytest.mark.parametrize("stops", [True, False])
def test_events_claimed_but_not_tried_are_free_for_another_replica(scene, stops):
    """After a stop; or if the other one opened the circuit, and needs them to find BigPanda available."""
    scene.panda.mood = refuse(Rejected("BigPanda answered 400", status=400))
    scene.accept("a", "b")
    while not scene.panda.requests:
        scene.delivery.tick()
    if stops:
        scene.delivery.stop()
        scene.delivery.run()
    else:
        down = Circuit(up=False, opened_at=scene.clock(), not_before=scene.clock() + 60)
        scene.outbox.status.set_destination(scene.config.destination, down)
        scene.clock.now += 5
        assert scene.delivery.tick() == 55
    assert len(scene.outbox.queue.claim(2, scene.clock(), 60)) == 2


@pytest.mark.parametrize(("lease", "rest"), [(60.0, 1.0), (0.5, 0.5)])
def test_queue_is_checked_every_second(scene, lease, rest):
    """A webhook at another replica does not wake this one; the end of the other's lease may be nearer."""
    scene.live(3)
    scene.accept("a")
    scene.outbox.queue.claim(1, scene.clock(), lease)
    assert scene.delivery.tick() == pytest.approx(rest)


def test_retry_after_is_obeyed(scene):
    """BigPanda asks for 40 seconds, which also holds for events accepted meanwhile."""
    scene.panda.mood = refuse(Transient("429", status=429, retry_after=40.0))
    scene.accept("a")
    scene.live(1)
    scene.panda.mood = lambda events: "accepted"
    scene.accept("b", severity="critical")
    began = scene.panda.requests[0][0]
    scene.live(60)
    assert scene.panda.accepted[0][0] >= began + 40
    assert scene.panda.names() == ["prod:b", "prod:a"]
    assert scene.count("retry") == 1
    assert scene.metrics.registry.get_sample_value("vendorwatch_bridge_delivery_latency_seconds_sum") >= 40 + 39


def test_one_bad_event_of_eighty_becomes_a_dead_letter(scene):
    """A rejected batch is halved in order until it is alone; its dead letter has BigPanda's message."""
    bad = Rejected("BigPanda answered 400: alert 1: no status", status=400)
    scene.panda.mood = refuse(bad, lambda events: any(event["incident_identifier"] == "prod:37" for event in events))
    scene.accept(*range(80))
    scene.live(60)
    assert scene.panda.names() == [f"prod:{number}" for number in range(80) if number != 37]
    [letter] = scene.outbox.dead_letters.oldest()
    assert (letter.key, letter.reason) == ("prod:37", "BigPanda answered 400: alert 1: no status")
    assert scene.count("rejected") == 1
    assert scene.up() == 1
    assert len(scene.panda.requests) < 30


def test_equal_rejections_of_all_events_mean_the_destination(scene, caplog):
    """A wrong app key: no dead letters, one probe a minute, and all events arrive in the end."""
    scene.panda.mood = refuse(Rejected("BigPanda answered 400: 'app_key' is not known", status=400))
    scene.accept(*range(30))
    scene.live(30)
    assert scene.up() == 0
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "BigPanda unavailable, queueing events: every event is rejected: BigPanda answered 400: 'app_key' is not known"
    ]
    counts = scene.outbox.status.counts(scene.clock.now)
    assert (counts.waiting, counts.dead) == (30, 0)
    before = len(scene.panda.requests)
    scene.live(1200)
    probes = scene.panda.requests[before:]
    assert 18 <= len(probes) <= 22
    assert all(len(keys) == 1 for _, keys in probes)
    scene.panda.mood = lambda events: "accepted"
    scene.live(130)
    assert sorted(scene.panda.names()) == sorted(f"prod:{number}" for number in range(30))
    assert scene.outbox.status.counts(scene.clock.now).dead == 0
    assert scene.up() == 1


def test_second_equal_rejection_holds_the_queue(scene):
    """The first event is no longer a dead letter then."""
    scene.panda.mood = refuse(Rejected("BigPanda answered 400: unknown", status=400))
    scene.accept("a")
    scene.live(5)
    assert (scene.outbox.status.counts(scene.clock.now).dead, scene.up()) == (1, 1)
    scene.accept("b")
    scene.live(5)
    assert (scene.outbox.status.counts(scene.clock.now).dead, scene.up()) == (0, 0)
    scene.panda.mood = lambda events: "accepted"
    scene.live(130)
    assert sorted(scene.panda.names()) == ["prod:a", "prod:b"]


def test_equal_rejections_are_recognized_across_a_restart(scene):
    """A second one revives the first dead letter; older ones, before an acceptance, stay dead."""
    scene.panda.mood = refuse(Rejected("BigPanda answered 400: unknown", status=400))
    scene.accept("bad")
    scene.live(5)
    scene.panda.mood = lambda events: "accepted"
    scene.accept("good")
    scene.live(5)
    scene.panda.mood = refuse(Rejected("BigPanda answered 400: unknown", status=400))
    for name, dead in (("a", ["prod:bad", "prod:a"]), ("b", ["prod:bad"])):
        scene.delivery = scene.restarted()
        scene.accept(name)
        scene.live(5)
        assert [letter.key for letter in scene.outbox.dead_letters.oldest()] == dead
    scene.panda.mood = lambda events: "accepted"
    scene.live(130)
    assert sorted(scene.panda.names()) == ["prod:a", "prod:b", "prod:good"]


@pytest.mark.parametrize("requests", [[("good", "bad")], [("bad",), ("good",)]])
def test_requeued_dead_letter_is_an_event_like_any_other(scene, requests):
    """It was bad itself once, in a batch or alone, but now the destination is at fault."""
    error = Rejected("BigPanda answered 400: no host", status=400)
    scene.panda.mood = refuse(error, lambda events: any(event["incident_identifier"] == "prod:bad" for event in events))
    for names in requests:
        scene.accept(*names)
        scene.live(5)
    assert scene.outbox.status.counts(scene.clock.now).dead == 1
    scene.panda.mood = refuse(Rejected("BigPanda answered 400: 'app_key' is not known", status=400))
    scene.outbox.dead_letters.requeue(None, {("alertmanager", "prod"): RECEIVER}, scene.clock.now)
    scene.accept("b")
    scene.live(5)
    assert (scene.outbox.status.counts(scene.clock.now).dead, scene.up()) == (0, 0)


def test_bad_events_of_one_rule_do_not_stop_the_destination(scene):
    """Twelve of eighty are rejected with the same message: only they become dead letters."""
    bad = {f"prod:{number}" for number in range(40, 52)}
    error = Rejected("BigPanda answered 400: no host", status=400)
    scene.panda.mood = refuse(error, lambda events: any(event["incident_identifier"] in bad for event in events))
    scene.accept(*range(80))
    scene.live(50)
    assert len(scene.panda.accepted) == 68
    assert {letter.key for letter in scene.outbox.dead_letters.oldest()} == bad
    assert scene.count("destination_down") == 0


def test_rejections_of_bad_events_do_not_change_the_order(tmp_path):
    """Only a destination that may be at fault is probed with the least urgent event."""
    scene = Scene(tmp_path, batch_size=1)
    bad = Rejected("BigPanda answered 400: no host", status=400)
    scene.panda.mood = refuse(bad, lambda events: "bad" in events[0]["incident_identifier"])
    scene.accept("bad1", "good1")
    scene.live(5)
    scene.accept("bad2", "bad3")
    scene.live(5)
    scene.accept("good2", "good3", "good4")
    scene.live(5)
    assert scene.panda.names() == ["prod:good1", "prod:good2", "prod:good3", "prod:good4"]
    assert scene.outbox.status.counts(scene.clock.now).dead == 3
    scene.outbox.close()


def test_wrong_app_key_of_one_receiver_delays_the_others_by_one_probe(scene):
    """The probe has another app key; then only the receiver's own events become dead letters."""
    error = Rejected("BigPanda answered 400: app_key unknown", status=400)
    scene.panda.mood = refuse(error, lambda events: any("wrong" in event["incident_identifier"] for event in events))
    wrong = [f"wrong{number}" for number in range(15)]
    scene.accept(*wrong, severity="critical", app_key="wrong")
    scene.accept("a", "b")
    scene.live(100)
    assert sorted(scene.panda.names()) == ["prod:a", "prod:b"]
    assert scene.up() == 1
    assert {letter.key for letter in scene.outbox.dead_letters.oldest()} == {f"prod:{name}" for name in wrong}


def test_bad_events_at_the_head_of_the_queue_delay_the_others_by_one_probe(scene):
    """Before an acceptance the probe is an event that was not rejected yet."""
    bad = {f"prod:{number}" for number in range(50)}
    error = Rejected("BigPanda answered 400: no host", status=400)
    scene.panda.mood = refuse(error, lambda events: any(event["incident_identifier"] in bad for event in events))
    scene.accept(*range(80))
    scene.live(100)
    assert len(scene.panda.accepted) == 30
    scene.live(100)
    assert {letter.key for letter in scene.outbox.dead_letters.oldest()} == bad
    assert scene.up() == 1


def test_rejection_of_an_event_shows_that_an_outage_is_over(scene):
    """As an acceptance does: requests grow again."""
    scene.panda.mood = refuse(Transient("500", status=500))
    scene.accept("bad", severity="critical")
    scene.accept("a", "b", "c")
    scene.live(120)
    scene.panda.mood = refuse(Rejected("400"), lambda events: events[0]["incident_identifier"] == "prod:bad")
    scene.panda.requests.clear()
    scene.live(120)
    assert [len(names) for _, names in scene.panda.requests] == [1, 2, 1]


def test_dead_letter_does_not_block_its_key(scene):
    """The key's next state is sent."""
    scene.panda.mood = refuse(Rejected("400", status=400), lambda events: events[0]["status"] != "ok")
    scene.accept("a")
    scene.accept("a", firing=False)
    scene.live(10)
    assert [(key, status) for _, key, status in scene.panda.accepted] == [("prod:a", "ok")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Transient("500", status=500), 60),
        (Transient("503", status=503), 180),  # looks like an outage: that is waited for before an event is blamed
        (Transient("reset"), 180),
        (Stopped("403: a web page (Blocked)", status=403), 360),  # a firewall rejects its text
    ],
)
def test_event_that_fails_every_request_is_isolated(scene, error, seconds):
    """The others are delivered soon, and it is retried forever, alone."""
    scene.panda.mood = refuse(error, lambda events: any(event["incident_identifier"] == "prod:bad" for event in events))
    scene.accept("bad", severity="critical")
    scene.accept(*range(200))
    scene.live(seconds)
    assert len(scene.panda.accepted) == 200
    scene.accept("late")
    scene.live(5)
    assert "prod:late" in scene.panda.names()
    assert scene.outbox.status.counts(scene.clock.now).dead == 0
    before = len(scene.panda.requests)
    scene.live(300)
    # Half a minute at last, by the jitter of this clock; a minute if somebody must act.
    assert before + (4 if isinstance(error, Stopped) else 7) <= len(scene.panda.requests) <= before + 13
    assert scene.up() == 1
    scene.panda.mood = lambda events: "accepted"
    scene.live(120)
    assert "prod:bad" in scene.panda.names()


def test_failures_of_a_destination_do_not_include_those_of_an_isolated_event(scene):
    """The page says how often it failed in a row, not how often that event did."""
    bad = lambda events: any(event["incident_identifier"] == "prod:bad" for event in events)  # noqa: E731
    scene.panda.mood = refuse(Transient("500", status=500), bad)
    scene.accept("bad", severity="critical")
    scene.accept(*range(20))
    scene.live(240)
    assert len(scene.panda.accepted) == 20
    scene.panda.mood = refuse(Stopped("BigPanda answered 401", status=401))
    scene.accept("next")
    scene.live(35)
    circuit = scene.outbox.status.circuit(scene.config.destination)
    assert (circuit.up, circuit.failures) == (False, 1)


def test_too_high_a_rate_blames_no_event(scene):
    """After any number of 429s all of them are sent together again."""
    scene.panda.mood = refuse(Transient("429", status=429))
    scene.accept("a", "b", "c")
    scene.live(600)
    scene.panda.mood = lambda events: "accepted"
    scene.panda.requests.clear()
    scene.live(60)
    assert [names for _, names in scene.panda.requests] == [["prod:a", "prod:b", "prod:c"]]


def test_no_request_may_outlast_its_lease(scene):
    """Otherwise another replica might send the same event meanwhile."""
    left = []

    def names(events):
        return [event["incident_identifier"] for event in events]

    def mood(events):
        with scene.outbox.database.read() as connection:
            left.append(connection.execute(select(func.max(schema.events.c.lease_until))).scalar() - scene.clock.now)
        return refuse(Rejected("400"), lambda events: "prod:bad" in names(events))(events)

    scene.panda.mood, scene.panda.took = mood, 9.5
    scene.accept("bad", *range(31))
    scene.live(180)
    assert len(scene.panda.requests) >= 7  # halves of halves: more than fit into the first lease
    assert min(left) > 0
    assert len(set(scene.panda.names())) == 31


@pytest.mark.slow
def test_storm_stays_within_the_rate(tmp_path):
    """3,000 alerts at 6,000 a minute: critical ones within 2 seconds, no minute above the limit."""
    scene = Scene(tmp_path)
    scene.panda.took = 0.01
    scene.accept(*range(2970))
    scene.accept(*(f"c{number}" for number in range(30)), severity="critical")
    began = scene.clock.now
    scene.live(40)
    times = [at for at, *_ in scene.panda.accepted]
    assert len(times) == 3000
    assert max(at for at, key, _ in scene.panda.accepted if key.startswith("prod:c")) <= began + 2
    assert times[-1] <= began + 33  # 3000 / 6000 * 60 * 1.1
    scene.outbox.close()


def test_request_has_no_more_events_than_the_rate_allows(tmp_path):
    """However large a batch may be: with one a second, one goes at once."""
    scene = Scene(tmp_path, per_minute=60)
    scene.accept(*range(20))
    scene.live(4)
    assert {len(keys) for _, keys in scene.panda.requests} == {1}
    assert 4 <= len(scene.panda.requests) <= 5
    for _ in range(4):  # no reload allows another burst
        scene.delivery.change(config(MAIN, events_per_minute=60))
        scene.live(1)
    assert 8 <= len(scene.panda.requests) <= 9
    scene.delivery.change(config(MAIN, events_per_minute=6000))
    scene.live(1)
    assert len(scene.panda.accepted) == 20
    scene.outbox.close()


def test_accepted_event_is_recorded_later_if_the_database_fails(scene, monkeypatch):
    """It is not sent again."""
    scene.accept("a")
    record, failures = Queue.record, iter(range(3))

    def failing(queue, *events, **arguments):
        if next(failures, None) is not None:
            raise Unavailable("database: busy")
        return record(queue, *events, **arguments)

    monkeypatch.setattr(Queue, "record", failing)
    scene.live(10)
    assert len(scene.panda.requests) == 1
    assert scene.outbox.status.counts(scene.clock.now).waiting == 0


def test_result_that_cannot_be_recorded_is_given_up(scene, monkeypatch):
    """Otherwise nothing else would ever be sent; it is sent again when its lease ends."""
    record = Queue.record

    def failing(queue, events, *arguments, **more):
        if events[0].key == "prod:bad":
            raise ZeroDivisionError
        return record(queue, events, *arguments, **more)

    monkeypatch.setattr(Queue, "record", failing)
    scene.accept("bad")
    scene.live(2)
    scene.accept("good")
    scene.live(2)
    assert scene.panda.names() == ["prod:bad", "prod:good"]


def test_claims_that_cannot_be_released_are_given_up(scene, monkeypatch):
    """Otherwise nothing else would ever be sent: their lease has ended."""
    scene.panda.mood = refuse(Rejected("BigPanda answered 400", status=400), lambda events: len(events) > 1)
    scene.accept("a", "b")
    while not scene.panda.requests:
        scene.delivery.tick()
    monkeypatch.setattr(Queue, "release", lambda *_: 1 / 0)
    scene.clock.now += 60
    scene.live(5)
    assert scene.panda.names() == ["prod:a", "prod:b"]


def test_a_crash_between_send_and_record_repeats_the_same_bytes(scene):
    """The event is sent again when its lease ends, with the same bytes."""
    bodies = []

    def crash(events):
        bodies.append(events)
        if len(bodies) == 1:
            raise RuntimeError("crash")
        return "duplicate"

    scene.panda.mood = crash
    scene.accept("a")
    scene.live(3)
    scene.delivery = scene.restarted()
    scene.live(90)
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    (first, _), (second, _) = scene.panda.requests
    assert 60 <= second - first <= 62  # a lease: six requests that time out after 10 seconds


def test_loop_survives_unexpected_errors(scene, caplog):
    """The error is logged."""
    scene.panda.mood = lambda events: 1 / 0
    scene.accept("a")
    assert scene.delivery.guarded(scene.delivery.tick) == 1.0
    assert "unexpectedly" in caplog.text


def test_changed_credentials_are_used_for_the_next_request(scene, monkeypatch):
    """After a reload, whatever the state of the old ones, and at once: their pause takes a minute."""
    woken = []
    monkeypatch.setattr(scene.delivery, "wake", lambda: woken.append(1))
    scene.panda.mood = refuse(Stopped("401", status=401))
    scene.accept("a")
    scene.live(2)
    other = scene.pandas[MAIN] = Panda(scene.clock)
    scene.delivery.change(config(MAIN, events_per_minute=60, batch_size=1, timeout=1.0))
    scene.live(2)
    assert (other.names(), woken) == (["prod:a"], [1])


@pytest.fixture
def token_file(scene, tmp_path):
    """Let an event be sent with a token from a file, which BigPanda rejects."""
    file = tmp_path / "bigpanda.token"
    file.write_text("old")
    scene.config = config(MAIN, receivers=[], token=Secret(file=file))
    scene.delivery = scene.restarted()
    scene.panda.mood = refuse(Stopped("401", status=401))
    scene.accept("a")
    return file


def test_rotated_token_file_is_used_at_once(scene, token_file):
    """Within a second of its change, once, and without a reload: who has replaced it watches whether it helps."""
    scene.live(20)
    assert len(scene.panda.requests) == 1
    token_file.write_text("typo!")
    scene.live(20)
    assert len(scene.panda.requests) == 2
    scene.panda.mood = refuse(Transient("503", status=503, retry_after=300))
    token_file.write_text("newest")
    scene.live(20)
    assert len(scene.panda.requests) == 3  # a pause for another reason is kept, whatever was rejected before
    scene.panda.mood = lambda events: "accepted"
    scene.live(300)
    assert scene.panda.names() == ["prod:a"]


def test_rotated_token_is_no_reason_to_ignore_a_later_pause(scene, token_file):
    """Which another replica may have been asked for: BigPanda accepted the new token long ago."""
    scene.live(5)
    scene.panda.mood = lambda events: "accepted"
    token_file.write_text("renewed")
    scene.live(5)
    assert scene.panda.names() == ["prod:a"]
    paused = Circuit(up=False, failures=1, opened_at=scene.clock.now, not_before=scene.clock.now + 300, reason="503")
    scene.outbox.status.set_destination(scene.config.destination, paused)
    scene.accept("b")
    scene.live(60)
    assert scene.panda.names() == ["prod:a"]


def test_pause_of_its_own_ends_once_bigpanda_is_available(scene):
    """As another replica found: a later pause is shorter, and only this replica may be left."""
    scene.panda.mood = refuse(Transient("503", status=503, retry_after=1800))
    scene.accept("a")
    scene.live(5)
    scene.panda.mood = lambda events: "accepted"
    scene.outbox.status.set_destination(scene.config.destination, Circuit())
    scene.live(5)
    assert scene.panda.names() == ["prod:a"]
    paused = Circuit(up=False, failures=1, opened_at=scene.clock.now, not_before=scene.clock.now + 10, reason="503")
    scene.outbox.status.set_destination(scene.config.destination, paused)
    scene.accept("b")
    scene.live(30)
    assert scene.panda.names() == ["prod:a", "prod:b"]


def test_reload_during_a_request_that_fails_unexpectedly_is_carried_out(scene):
    """The error is about the old configuration's request."""
    other = scene.pandas[OTHER] = Panda(scene.clock)

    def reload_and_crash(events):
        scene.delivery.change(config(OTHER))
        raise RuntimeError("crash")

    scene.panda.mood = reload_and_crash
    scene.accept("a")
    scene.live(90)
    assert other.names() == ["prod:a"]


def test_open_alerts_move_to_a_new_destination(scene):
    """Once each, with later times, and they are resolved at the old one; resolved alerts are not sent."""
    scene.accept("a", "b", "c")
    scene.live(3)
    scene.accept("b", firing=False)
    scene.live(3)
    scene.accept("c", severity="critical")  # in the same second as the move
    scene.live(0.1)
    old, new = scene.panda, Panda(scene.clock)
    scene.pandas[OTHER] = new
    old.accepted.clear()
    scene.delivery.change(config(OTHER))
    scene.live(10)
    assert [(key, status) for _, key, status in old.accepted] == [("prod:a", "ok"), ("prod:c", "ok")]
    assert sorted((key, status) for _, key, status in new.accepted) == [("prod:a", "warning"), ("prod:c", "critical")]
    assert min(new.times) > max(old.times)
    scene.accept("a", firing=False)
    scene.live(5)
    assert [(key, status) for _, key, status in new.accepted[2:]] == [("prod:a", "ok")]
    scene.delivery.change(config(OTHER))
    scene.live(10)
    assert len(new.accepted) == 3


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("other", ["destination", "app key"])
def test_move_that_is_taken_back_at_once_reopens_the_alerts(scene, other, restart):
    """They were resolved where they were open, and are not open anywhere else yet. They are resent once."""
    scene.accept("a", "b")
    scene.live(3)
    scene.accept("b", firing=False)
    scene.live(3)
    new = scene.pandas[OTHER] = Panda(scene.clock)
    scene.delivery.change(config(OTHER) if other == "destination" else config(MAIN, receivers=[NEW_KEY]))
    scene.live(0.5)
    assert scene.panda.accepted[-1][1:] == ("prod:a", "ok")
    scene.config = config(MAIN)
    for _ in range(2):
        if restart:
            scene.delivery = scene.restarted()
        else:
            scene.delivery.change(scene.config)
        scene.live(10)
    sent = list(zip(scene.panda.times, scene.panda.accepted, strict=True))
    of_a = [(time, status) for time, (_, key, status) in sent if key == "prod:a"]
    assert [status for _, status in of_a] == ["warning", "ok", "warning"]
    assert of_a == sorted(of_a)
    assert [status for _, (_, key, status) in sent if key == "prod:b"] == ["warning", "ok"]
    assert (new.accepted, set(scene.panda.app_keys)) == ([], {"app"})


def test_move_with_another_app_key_resolves_only_at_the_old_destination(scene, caplog):
    """A hundred alerts in a request; their number is logged."""
    caplog.set_level("INFO")
    scene.accept(*range(101))
    scene.live(5)
    scene.panda.requests.clear()
    new = scene.pandas[OTHER] = Panda(scene.clock)
    scene.delivery.change(config(OTHER, receivers=[NEW_KEY]))
    scene.live(10)
    assert [len(keys) for _, keys in scene.panda.requests] == [100, 1]
    assert {status for *_, status in new.accepted} == {"warning"}
    assert new.app_keys == ["new-key"] * 101
    assert "Closed 101 alerts at the previous destination" in caplog.text


def test_alerts_of_a_removed_receiver_stay_open_at_the_old_destination(scene, caplog):
    """That is logged, and no empty request is sent."""
    scene.accept("a")
    scene.live(3)
    scene.panda.requests.clear()
    scene.pandas[OTHER] = Panda(scene.clock)
    scene.delivery.change(config(OTHER, receivers=[]))
    scene.live(10)
    assert scene.panda.requests == []
    assert "Left 1 alert open at the previous destination: without a configured receiver" in caplog.text
    scene.delivery.change(config(MAIN, receivers=[]))
    scene.live(10)
    assert scene.panda.requests == []
    assert "unexpectedly" not in caplog.text


def test_unreachable_old_destination_does_not_block_the_move(scene, caplog):
    """The number of alerts that stay open there is logged."""
    scene.accept("a")
    scene.live(3)
    scene.panda.mood = refuse(Transient("no complete response in time"))
    new = scene.pandas[OTHER] = Panda(scene.clock)
    scene.delivery.change(config(OTHER))
    scene.live(10)
    assert new.names() == ["prod:a"]
    assert "Left 1 alert open at the previous destination: no complete response in time" in caplog.text


@pytest.mark.parametrize(
    ("url", "token", "ended"), [(MAIN, "t0ken", True), (MAIN, "another", False), (f"{MAIN}?key=s3cret", "t0ken", False)]
)
def test_restart_with_another_destination_moves_open_alerts(scene, caplog, url, token, ended):
    """They are resolved at the old URL if it had this token; another restart does nothing."""
    old, new = scene.panda, Panda(scene.clock)
    scene.pandas.update({url: old, OTHER: new})
    scene.config = config(url)
    scene.delivery = scene.restarted()
    scene.accept("a")
    scene.live(5)
    old.accepted.clear()
    scene.connected.clear()
    scene.config = config(OTHER, token=Secret(token))
    for _ in range(2):
        scene.delivery = scene.restarted()
        scene.live(5)
    assert (new.names(), scene.connected) == (["prod:a"], [OTHER, *[url] * ended, OTHER])
    assert [(key, status) for _, key, status in old.accepted] == [("prod:a", "ok")] * ended
    assert ("Left 1 alert open at the previous destination" in caplog.text) == (not ended)
    assert max(old.times) < min(new.times)
    assert all("t0ken" not in str(address) for address in scene.outbox.status.addresses().values())
    assert all("s3cret" not in str(address) for address in scene.outbox.status.addresses().values())


@pytest.mark.parametrize(("owner", "method"), [(OutboxStatus, "set_destination"), (Alerts, "accepted")])
def test_move_waits_for_an_unavailable_database(scene, monkeypatch, owner, method):
    """A reload during the outage is carried out later."""
    scene.accept("a")
    scene.live(3)
    new = scene.pandas[OTHER] = Panda(scene.clock)
    monkeypatch.setattr(owner, method, unavailable)
    scene.delivery.change(config(OTHER))
    scene.live(3)
    monkeypatch.undo()
    scene.live(10)
    assert new.names() == ["prod:a"]


def test_unexpected_error_does_not_keep_open_alerts_from_moving(scene):
    """A request that fails between the change of destination and the resending of open alerts."""
    scene.accept("a")
    scene.live(3)
    new = scene.pandas[OTHER] = Panda(scene.clock)
    new.mood = lambda events: 1 / 0
    scene.delivery.change(config(OTHER))
    scene.accept("b")
    scene.live(0.5)
    new.mood = lambda events: "accepted"
    scene.live(90)
    assert sorted(set(new.names())) == ["prod:a", "prod:b"]


@pytest.mark.parametrize("method", ["leave_others", "restate"])
def test_move_that_fails_unexpectedly_does_not_stop_delivery(scene, monkeypatch, method):
    """It is logged, and given up."""
    scene.accept("a")
    scene.live(3)
    new = scene.pandas[OTHER] = Panda(scene.clock)
    monkeypatch.setattr(Relocation, method, lambda *_: 1 / 0)
    scene.delivery.change(config(OTHER))
    scene.live(10)
    scene.accept("b")
    scene.live(10)
    assert "prod:b" in [*scene.panda.names(), *new.names()]


def unavailable(*_):
    raise Unavailable("database: busy")


def test_stop_does_not_wait_for_a_hanging_bigpanda(scene):
    """Stop returns during a hanging request, and the event stays queued."""
    hangs, let_go = threading.Event(), threading.Event()

    def hang(events):
        hangs.set()
        let_go.wait(60)
        raise Transient("hung")

    scene.panda.mood = hang
    scene.accept("a")
    scene.delivery.start()
    assert hangs.wait(30)
    scene.delivery.stop(patience=0.1)
    assert scene.outbox.status.counts(scene.clock.now).waiting == 1
    let_go.set()
    scene.delivery.stop(30)


@pytest.mark.parametrize(
    ("not_before", "rest"),
    [(0.0, 0.0), (999.0, 0.0), (1000.0, 0.0), (1007.5, 7.5), (4600.0, 3600.0), (99999.0, 0.0)],
)
def test_a_circuit_is_open_until_its_time(not_before, rest):
    """A time further ahead than any decision sets, or a decision in the future, comes from a changed clock."""
    for opened_at in (990.0, 1000.0):
        assert closed_for(Circuit(up=False, opened_at=opened_at, not_before=not_before), 1000.0) == rest
    assert closed_for(Circuit(up=False, opened_at=1001.0, not_before=not_before), 1000.0) == 0


def test_clock_set_back_during_a_pause_does_not_prolong_it(scene):
    """No webhook wakes the thread meanwhile, so it notices only at the end of the pause."""
    scene.panda.mood = refuse(Stopped("BigPanda answered 401", status=401))
    scene.accept("a")
    scene.live(2)
    scene.panda.mood = lambda events: "accepted"
    scene.clock.set_back = 30.0
    scene.clock.now += 60.0
    scene.live(1)
    assert scene.panda.names() == ["prod:a"]


@pytest.mark.parametrize("error", [Stopped("401", status=401), Transient("429", status=429, retry_after=30)])
def test_replicas_with_different_clocks_keep_the_pause(scene, error):
    """By the clock of one the pause of the other is over, or was decided in the future: they took turns without any."""
    wall = lambda: scene.clock.now - 90  # noqa: E731
    clock = periodic.Clock(wall, scene.clock.steady, chance=lambda: 0.5)
    other = Delivery(scene.outbox, scene.config, Metrics(), connect=scene.connect, clock=clock)
    scene.panda.mood = refuse(error)
    scene.accept("a")
    for _ in range(300):
        scene.live(1)
        other.guarded(other.tick)
    assert 5 <= len(scene.panda.requests) <= 25
    scene.panda.mood = lambda events: "accepted"
    scene.live(61)
    assert scene.panda.names() == ["prod:a"]


@pytest.mark.parametrize("back", [3.0, 30.0, 3600.0, 86400.0])
def test_clock_set_back_delays_nothing(scene, caplog, back):
    """Neither the pause of a destination nor a retry; the step is logged, a drift of less than two seconds is not."""
    scene.panda.mood = refuse(Stopped("BigPanda answered 401", status=401))
    scene.accept("a")
    scene.live(2)
    scene.panda.mood = lambda events: "accepted"
    scene.clock.set_back = 1.9
    scene.live(1)
    assert "stepped" not in caplog.text
    scene.clock.set_back += back
    scene.accept("b")
    scene.live(61)
    assert sorted(scene.panda.names()) == ["prod:a", "prod:b"]
    assert f"System clock stepped back by {back:.0f} seconds" in caplog.text
    assert scene.metrics.registry.get_sample_value("vendorwatch_bridge_delivery_latency_seconds_sum") >= 0


def test_requests_stay_under_a_megabyte(scene):
    """A claim that is too large becomes several requests; one event that is too large is sent alone."""
    scene.accept("a", "b", "c")
    claimed = scene.outbox.queue.claim(10, scene.clock.now, 60)
    weight = len(claimed[0].body) + 1
    assert [len(request) for request in packed(claimed, weight * 2)] == [2, 1]
    assert [len(request) for request in packed(claimed, 10)] == [1, 1, 1]
    for size, requests in ((490_000, [2, 1]), (510_000, [1, 1, 1])):
        assert [len(request) for request in packed(replace(one, body="x" * size) for one in claimed)] == requests
    accented = [replace(one, body=one.body + "é" * 10) for one in claimed]
    assert [len(request) for request in packed(accented, (weight + 15) * 2)] == [1, 1, 1]


def test_another_app_key_is_another_identity(scene):
    """Alerts open under the old one are resolved under it and sent under the new one."""
    scene.accept("a")
    scene.live(3)
    scene.panda.accepted.clear()
    scene.delivery.change(config(MAIN, receivers=[RECEIVER.model_copy(update={"app_key": "new-key"})]))
    scene.live(10)
    assert [(key, status) for _, key, status in scene.panda.accepted] == [("prod:a", "ok"), ("prod:a", "warning")]
    assert scene.outbox.state("prod:a").app_key == "new-key"
    assert len(set(scene.panda.times)) == len(scene.panda.times)


NEW_KEY = RECEIVER.model_copy(update={"app_key": "new-key"})


@pytest.mark.parametrize("restart", [False, True])
def test_queued_events_follow_a_corrected_app_key(scene, restart):
    """Those that were rejected for a wrong one, after a reload or a restart."""
    scene.panda.mood = refuse(Rejected("BigPanda answered 400: 'app_key' is not known", status=400))
    scene.accept("a", "b", "c")
    scene.accept("c", firing=False)
    scene.live(5)
    scene.panda.mood = lambda events: "accepted"
    scene.config = config(MAIN, receivers=[NEW_KEY])
    if restart:
        scene.delivery = scene.restarted()
    else:
        scene.delivery.change(scene.config)
    scene.live(70)
    assert sorted(scene.panda.names()) == ["prod:a", "prod:b", "prod:c", "prod:c"]
    assert set(scene.panda.app_keys) == {"new-key"}


@pytest.mark.parametrize("firing", [True, False])
def test_alert_that_changes_along_with_the_app_key_is_resolved_under_the_former_one(scene, firing):
    """An event under the new one may be queued before open alerts are resent."""
    scene.accept("a")
    scene.live(3)
    scene.delivery.change(config(MAIN, receivers=[NEW_KEY]))
    scene.accept("a", firing=firing, severity="critical", app_key="new-key")
    scene.live(10)
    shown = {key: status for key, (_, _, status) in zip(scene.panda.app_keys, scene.panda.accepted, strict=True)}
    assert shown == {"app": "ok", "new-key": "critical" if firing else "ok"}


def test_queued_resolution_is_sent_under_the_app_key_of_its_alert(scene):
    """Although BigPanda does not answer while the app key changes."""
    scene.accept("a")
    scene.live(3)
    scene.panda.mood = refuse(Transient("no connection"))
    scene.accept("a", firing=False)
    scene.live(3)
    scene.delivery.change(config(MAIN, receivers=[NEW_KEY]))
    scene.live(3)
    scene.panda.mood = lambda events: "accepted"
    scene.live(60)
    assert [status for _, _, status in scene.panda.accepted] == ["warning", "ok"]
    assert scene.panda.app_keys == ["app", "app"]


def test_reload_during_the_first_tick_does_not_bring_back_the_former_app_key(scene, monkeypatch):
    """Webhooks are mapped by the newer configuration before delivery has begun with the older one."""
    begin = Relocation.leave_others

    def reload(*arguments):
        monkeypatch.undo()
        scene.delivery.change(config(MAIN, receivers=[NEW_KEY]))
        scene.accept("a", app_key="new-key")
        begin(*arguments)

    scene.config = config(MAIN)
    scene.delivery = scene.restarted()
    monkeypatch.setattr(Relocation, "leave_others", reload)
    scene.live(5)
    assert scene.panda.app_keys == ["new-key"]


@responses.activate
@pytest.mark.parametrize("status", [400, 403, 503])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errors": ["half \\ud83d an emoji, NUL \\u0000"]}', "half \ufffd an emoji, NUL \ufffd"),
        (b"half \xf0 an emoji, NUL \0", "half \ufffd an emoji, NUL \ufffd"),
        ("<title>NUL \0</title>".encode("utf-16"), "a web page (NUL \ufffd)"),
    ],
)
def test_reason_is_stored_whatever_its_text(outbox, status, body, said):
    """No database stores half an emoji, and PostgreSQL no NUL: the event would be sent again and again, for ever."""
    call = responses.post(MAIN, status=status, body=body)
    main = config(MAIN)
    delivery = Delivery(outbox, main, Metrics())
    outbox.ingest.accept([RECEIVER.notification(alerts=[alert_at(1_800_000_000.0)])], 1_800_000_000.0)
    while not call.call_count:
        delivery.tick()
    delivery.close()
    reasons = {one.reason for one in outbox.dead_letters.oldest()} | {outbox.status.circuit(main.destination).reason}
    assert f"BigPanda answered {status}: {said}" in reasons
