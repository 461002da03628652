"""The outbox against a model in memory: whatever happens in whatever order, BigPanda ends with the truth."""

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.receivers.alertmanager import Settings

MAPPING = Settings(receiver="alertmanager", source="prod", app_key="app").mapping
KEYS = st.sampled_from(["prod:a", "prod:b", "prod:c"])
FIRING = st.sampled_from(["critical", "warning"])
NOTES = st.sampled_from(["", "one", "two"])


class Machine(RuleBasedStateMachine):
    """Alertmanager, BigPanda and an unlucky delivery around one outbox."""

    def __init__(self, outbox):
        super().__init__()
        self.outbox = outbox
        outbox.clear()
        self.now = 1_700_000_000.0
        self.states = {}
        self.resolutions = {}
        self.received = {}
        self.held = []
        self.seen = set()

    def ingest(self, key, **state):
        alert = Alert(receiver="alertmanager", source="prod", key=key, name="n", starts_at=self.now - 30, **state)
        notification = Notification(
            receiver="alertmanager", source="prod", alerts=(alert,), mapping=MAPPING, update_interval=200.0
        )
        self.outbox.ingest.accept([notification], self.now)

    @rule(key=KEYS, severity=FIRING, note=NOTES)
    def fires(self, key, severity, note):
        self.ingest(key, firing=True, severity=severity, annotations={"summary": note} if note else {})
        self.states[key] = (severity, note)

    @rule(key=KEYS, back=st.integers(0, 90))
    def resolves(self, key, back):
        self.ingest(key, firing=False, ends_at=self.now - back)
        if self.states.get(key) != ("ok", ""):
            self.resolutions[key] = self.resolutions.get(key, 0) + 1
        self.states[key] = ("ok", "")

    @rule(seconds=st.sampled_from([0.3, 1.0, 40.0, 230.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(limit=st.integers(1, 3))
    def claims(self, limit):
        taken = self.outbox.queue.claim(limit, self.now, 7000.0)  # longer than a run
        assert not {one.key for one in taken} & {one.key for one in self.held}
        self.held += taken

    @rule()
    def bigpanda_accepts(self):
        for one in self.held:
            self.arrives(one)
        assert self.outbox.queue.record(self.held, "accepted", now=self.now) == len(self.held)
        self.held = []

    @rule(after=st.sampled_from([0.0, 5.0]))
    def bigpanda_is_away(self, after):
        self.outbox.queue.postpone(self.held, self.now + after, "503")
        self.held = []

    @rule()
    def bigpanda_accepts_and_the_answer_is_lost(self):
        for one in self.held:
            self.arrives(one)
        self.outbox.queue.postpone(self.held, self.now, "timed out")
        self.held = []

    @rule()
    def delivery_gives_back(self):
        self.outbox.queue.release(self.held)
        self.held = []

    @rule()
    def bridge_restarts(self):
        self.outbox.queue.release(self.held)
        self.held = []
        self.outbox.restart()

    @rule()
    def history_is_pruned(self):
        self.outbox.retention.prune(self.now - 3000, 2)

    def arrives(self, one):
        """BigPanda drops what it has already, byte by byte."""
        if (one.key, one.body) in self.seen:
            return
        self.seen.add((one.key, one.body))
        event, before = json.loads(one.body), self.received.get(one.key, [])
        assert all(other["timestamp"] < event["timestamp"] for other in before)
        assert event["timestamp"] <= self.now
        self.received[one.key] = [*before, event]

    @invariant()
    def what_is_open_is_what_was_told(self):
        """Compare the store's open alerts with Alertmanager's, at every moment."""
        assert {found.key: found.status for found in self.outbox.alerts.open_alerts("prod")} == {
            key: status for key, (status, _) in self.states.items() if status != "ok"
        }

    def teardown(self):
        """Once all is delivered, BigPanda knows the last of each key, and every resolution came after its firing."""
        self.bigpanda_is_away(0.0)
        self.now += 10_000
        while taken := self.outbox.queue.claim(100, self.now, 60.0):
            self.held = taken
            self.bigpanda_accepts()
        for key, (status, note) in self.states.items():
            last = self.received[key][-1]
            assert (last["status"], last.get("summary", "")) == (status, note)
            assert all(pair != ("ok", "ok") for pair in pairwise(event["status"] for event in self.received[key]))
            assert sum(event["status"] == "ok" for event in self.received[key]) == self.resolutions.get(key, 0)
        assert self.outbox.status.counts(self.now).waiting == 0


@pytest.mark.slow
def test_bigpanda_ends_with_the_true_state(outbox):
    """Through lost responses, restarts, outages and flapping: in order, nothing lost, nothing too early."""
    examples = 15 if outbox.database.postgresql else 40  # other statements, but the same decisions
    run_state_machine_as_test(
        lambda: Machine(outbox),
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
