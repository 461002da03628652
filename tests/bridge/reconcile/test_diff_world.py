"""Any mix of lost webhooks, silences, restarts and outages: nothing that fires is closed, and all comes right."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.alert import Alert
from bridge.reconcile.diff import Poll, diff

INTERVAL, MIN_UPTIME = 60.0, 300.0
RESEND = 4 * INTERVAL
"""Seconds after which a restarted Alertmanager has all firing alerts: less than `MIN_UPTIME`."""
KEYS = st.sampled_from(["a", "b", "c"])
PEERS = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["fire", "end"]), KEYS, st.booleans()),
    st.tuples(st.sampled_from(["silence", "unsilence"]), KEYS),
    st.tuples(st.sampled_from(["restart", "stop", "start"]), PEERS),
    st.tuples(st.just("turn"), st.integers(1, 3)),
)


@dataclass
class Peer:
    """An Alertmanager, which learns again what fires `RESEND` seconds after its start, never what is kept from it."""

    kept_from: str = ""
    started: float = -1e6
    up: bool = True

    def knows(self, firing, now):
        """Return its listed alerts: those from before its start only once they were resent."""
        received = {key: since for key, since in firing.items() if key != self.kept_from}
        return {key for key, since in received.items() if since >= self.started or now - self.started >= RESEND}


@dataclass
class World:
    """The firing alerts, two Alertmanagers, and alert states that some webhooks do not reach."""

    now: float = 0.0
    firing: dict[str, float] = field(default_factory=dict)
    silenced: set[str] = field(default_factory=set)
    peers: tuple[Peer, Peer] = field(default_factory=lambda: (Peer("a"), Peer("b")))
    states: dict[str, tuple[bool, float]] = field(default_factory=dict)
    size: int | None = None
    before: Poll | None = None

    def fire(self, key, arrives):
        self.firing.setdefault(key, self.now)
        if arrives and key not in self.silenced:
            self.states[key] = (True, self.now)

    def end(self, key, arrives):
        self.firing.pop(key, None)
        if arrives and key not in self.silenced and key in self.states:
            self.states[key] = (False, self.now)

    def silence(self, key):
        self.silenced.add(key)

    def unsilence(self, key):
        self.silenced.discard(key)

    def restart(self, number):
        self.peers[number].started, self.peers[number].up = self.now, True

    def stop(self, number):
        self.peers[number].up = False

    def start(self, number):
        if not self.peers[number].up:
            self.restart(number)

    def open(self):
        return {key for key, (is_open, _) in self.states.items() if is_open}

    def turn(self, times=1):
        for _ in range(times):
            self.now += INTERVAL
            self._poll()

    def _poll(self):
        up = [peer for peer in self.peers if peer.up]
        listed = set().union(*(peer.knows(self.firing, self.now) for peer in up))
        whole = len(up) == len(self.peers)
        active = {key: alert(key) for key in listed - self.silenced}
        latest = Poll(
            at=self.now,
            whole=whole,
            started=max((peer.started for peer in up), default=self.now),
            emptied=whole and not listed and bool(self.size),
            listed=listed,
            active=active,
            held={key: self.states[key][1] for key in self.open()},
            known={key: at for key, (is_open, at) in self.states.items() if not is_open and key in active},
        )
        self.size = len(listed) if whole else self.size
        result = diff(self.before, latest, min_uptime=MIN_UPTIME)
        self.before = latest
        for opens, keys in ((True, result.opened), (False, result.closed)):
            for key, updated_at in keys.items():
                assert opens == (key in self.firing), f"{result} though {key} is not so"
                assert not (opens and key in self.silenced), f"{result} though {key} is silenced"
                assert self.states.get(key, (False, None))[1] == updated_at
                self.states[key] = (opens, self.now)


def alert(key):
    return Alert(receiver="alertmanager", source="prod", key=key, name=key, firing=True, starts_at=0.0)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_every_correction_is_right_and_states_converge(steps):
    """Without faults, open alerts are the firing ones in the end, except silenced ones."""
    world = World()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
    for number in range(2):
        world.start(number)
    world.turn(12)
    firing = set(world.firing)
    assert firing - world.silenced <= world.open() <= firing
