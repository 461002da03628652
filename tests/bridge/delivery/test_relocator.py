"""When bigpanda.url or an app key changes, what is open moves: stated at the new place, closed at the old one."""

import json

import pytest

from bridge.config import BigPanda
from bridge.delivery.relocator import Place, Relocator
from bridge.domain.alert import Alert
from bridge.errors import Stopped, Unreached
from bridge.receivers.alertmanager import Settings
from tests.store import Store

T0 = 1_700_000_000.0


def place(name, url="https://eu.example.com/data/v2/alerts?access_token=hidden"):
    return Place(name, BigPanda(url=url, app_key="app", token="t"))


class Panda:
    """A BigPanda at one URL; refuses while told to."""

    def __init__(self):
        self.heard, self.refuses, self.urls = [], None, []

    def __call__(self, settings):
        self.urls.append(settings.url)
        return self

    def send(self, events, app_key):
        if self.refuses:
            raise self.refuses
        self.heard += [(app_key, event) for event in events]

    def close(self):
        pass


class Bench:
    """An outbox, a place where it all was opened, and what moves it."""

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/bridge.db"
        self.outbox, self.panda, self.now = Store(self.url), Panda(), T0
        self.relocator = self.make(place("old", "https://us.example.com/data/v2/alerts?access_token=hidden"))

    def make(self, where, app_key="app"):
        receivers = [Settings(receiver="alertmanager", source="prod", app_key=app_key)]
        return Relocator(self.outbox.database, where, receivers, client=self.panda, clock=lambda: self.now)

    def fires(self, *names, firing=True):
        settings = Settings(receiver="alertmanager", source="prod", app_key="app")
        alerts = [
            Alert(receiver="alertmanager", source="prod", key=f"prod:{name}", name="Down", firing=firing,
                  severity="critical", starts_at=T0 - 5, ends_at=None if firing else self.now)
            for name in names
        ]  # fmt: skip
        self.outbox.ingest.accept([settings.notification(alerts=alerts)], self.now)

    def deliver(self, where):
        """Deliver what is due to a place in the next seconds; return each event's key, status, app key and time."""
        found = []
        self.now += 2
        while claimed := self.outbox.queue.claim(100, "me", self.now, 60.0, where):
            found += [(one.key, one.status, one.app_key, one.timestamp) for one in claimed]
            self.outbox.queue.record(accepted=claimed, now=self.now)
        return found


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


def test_what_is_open_moves_with_the_url(bench):
    """Critical at the new place, ok at the old one, each once; what ended before moves nothing."""
    bench.fires("a", "over")
    bench.fires("over", firing=False)
    bench.deliver("old")
    bench.now += 100
    bench.relocator.tick()
    assert bench.deliver("old") == []
    moved = bench.make(place("new"))
    assert moved.tick() is not None
    assert [(app_key, json.loads(event)["status"]) for app_key, event in bench.panda.heard] == [("app", "ok")]
    assert bench.panda.urls == ["https://us.example.com/data/v2/alerts"]
    ((key, status, _, timestamp),) = bench.deliver("new")
    assert (key, status) == ("prod:a", "critical")
    assert timestamp <= bench.now
    state = bench.outbox.alerts.state("prod:a")
    assert (state.destination, state.open) == ("new", True)
    assert moved.tick() is None
    assert bench.make(place("new")).tick() is None
    bench.now += 10
    bench.fires("a", firing=False)
    assert [one[:2] for one in bench.deliver("new")] == [("prod:a", "ok")]


def test_an_old_place_that_does_not_answer_holds_up_nothing(bench):
    """It is tried for an hour, and given up at once where it refuses; the new place knows all by then."""
    bench.fires("a")
    bench.deliver("old")
    bench.relocator.tick()
    bench.panda.refuses = Unreached("no route")
    bench.relocator.change(place("new"), [Settings(receiver="alertmanager", source="prod", app_key="app")])
    assert bench.relocator.tick() is not None
    assert bench.panda.urls == ["https://us.example.com/data/v2/alerts?access_token=hidden"]
    assert [one[:2] for one in bench.deliver("new")] == [("prod:a", "critical")]
    assert bench.outbox.queue.bound_destinations() == {"old": "https://us.example.com/data/v2/alerts"}
    bench.now += 60
    bench.panda.refuses = Stopped("401", status=401)
    bench.relocator.tick()
    assert bench.outbox.queue.bound_destinations() == {}
    assert bench.relocator.tick() is None


def test_what_is_open_moves_with_the_app_key(bench):
    """Its identity belongs to the app key as well: ok under the old one, then stated under the new one."""
    bench.fires("a")
    bench.deliver("old")
    bench.make(place("old"), app_key="new-key").tick()
    assert [one[:3] for one in bench.deliver("old")] == [("prod:a", "ok", "app"), ("prod:a", "critical", "new-key")]
    assert bench.outbox.alerts.state("prod:a").app_key == "new-key"


def test_what_was_opened_before_this_was_noted_was_opened_where_events_go(bench):
    """After an upgrade: nothing is resent then, and the next move finds it."""
    bench.fires("a")
    bench.deliver("")
    assert bench.relocator.tick() is None
    assert bench.deliver("old") == []
    bench.make(place("new")).tick()
    assert [one[:2] for one in bench.deliver("new")] == [("prod:a", "critical")]
