"""When silence is believed, and what is opened: each guard alone keeps an alert open."""

import math
from dataclasses import replace

import pytest

from bridge.domain.alert import Alert
from bridge.reconcile.alertmanager_client import Listed, Peer
from bridge.reconcile.diff import Blocker, Poll, Result, diff, read_poll

NOW = 1_700_000_000.0
KEY = "prod:a"
OLD = NOW - 300


def firing(key=KEY):
    return Alert(receiver="alertmanager", source="prod", key=key, name="A", firing=True, starts_at=NOW)


ALERTS = {KEY: firing()}
OTHER = frozenset({"prod:b"})
GONE = Poll(at=NOW, started=OLD, listed=OTHER, held={KEY: 1.0})
"""A poll in which a key is open and no Alertmanager knows it."""
ACTIVE = Poll(at=NOW, started=OLD, listed=OTHER | {KEY}, active=ALERTS)
"""A poll in which a key fires without a stored state."""


def test_alert_unlisted_in_two_polls_is_resolved():
    """If its state has not changed since the first poll."""
    assert diff(GONE, GONE, min_uptime=300) == Result(closed={KEY: 1.0})


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"whole": False}, Blocker.UNANSWERED),
        ({"started": NOW - 299}, Blocker.YOUNG),
        ({"started": NOW + 60}, Blocker.YOUNG),
        ({"settling": True}, Blocker.SETTLING),
        ({"unrelated": True}, Blocker.UNRELATED),
        ({"emptied": True, "listed": frozenset()}, Blocker.EMPTIED),
    ],
    ids=lambda value: value.name if isinstance(value, Blocker) else None,
)
@pytest.mark.parametrize("which", ["before", "latest"])
def test_each_blocker_keeps_alerts_open(change, doubt, which):
    """No answer, young, settling, without the watchdog, or suddenly empty: nothing is resolved, with the reason."""
    doubtful = replace(GONE, **change)
    before, latest = (doubtful, GONE) if which == "before" else (GONE, doubtful)
    assert diff(before, latest, min_uptime=300) == Result(blocker=doubt)


def test_one_poll_is_not_enough():
    """The first poll after a start, or after a failed one, resolves and opens nothing."""
    assert diff(None, GONE, min_uptime=300) == diff(None, ACTIVE, min_uptime=300) == Result()
    assert diff(None, replace(GONE, whole=False), min_uptime=300) == Result(blocker=Blocker.UNANSWERED)


@pytest.mark.parametrize(
    "before",
    [
        replace(GONE, listed=frozenset({KEY})),
        replace(GONE, held={}),
        replace(GONE, held={KEY: 0.5}),
    ],
    ids=["still known", "not open yet", "changed since"],
)
def test_alert_must_be_open_and_unlisted_in_both_polls(before):
    """A change between the polls starts the count again, without a blocker."""
    assert diff(before, GONE, min_uptime=300) == Result()


def test_listed_alert_stays_open_even_if_suppressed():
    """Suppressed is not resolved: what is listed counts, not what is active."""
    listed = replace(GONE, listed=frozenset({KEY}), active={})
    assert diff(listed, listed, min_uptime=300) == Result()


def test_always_empty_list_counts():
    """An Alertmanager whose only alert ended under a silence lists nothing."""
    empty = replace(GONE, listed=frozenset())
    assert diff(empty, empty, min_uptime=300) == Result(closed={KEY: 1.0})


@pytest.mark.parametrize("known", [None, 7.0], ids=["never known", "resolved before"])
def test_alert_active_in_two_polls_is_opened(known):
    """If its state is unknown or resolved."""
    poll = replace(ACTIVE, known={} if known is None else {KEY: known})
    assert diff(poll, poll, min_uptime=300) == Result(opened={KEY: known})


@pytest.mark.parametrize(
    ("before", "latest"),
    [
        (replace(ACTIVE, active={}), ACTIVE),
        (replace(ACTIVE, held={KEY: 1.0}), ACTIVE),
        (ACTIVE, replace(ACTIVE, held={KEY: 1.0})),
        (ACTIVE, replace(ACTIVE, known={KEY: 7.0})),
        (ACTIVE, replace(ACTIVE, active={})),
    ],
    ids=["new", "was open", "is open now", "changed since", "suppressed now"],
)
def test_alert_that_changed_between_polls_is_not_opened(before, latest):
    """Only what stood the same way twice is opened."""
    assert not diff(before, latest, min_uptime=300).opened


@pytest.mark.parametrize(
    ("lag", "since", "opened"),
    [(300.0, 299, 0), (300.0, 300, 1), (300.0, None, 0), (math.inf, 9e9, 0), (0.0, None, 1)],
)
def test_alert_is_not_opened_before_a_mute_would_show(lag, since, opened):
    """An Alertmanager shows it only after the group's next flush; an older one never."""
    poll = replace(ACTIVE, mutes_lag=lag, since={} if since is None else {KEY: NOW - since})
    assert len(diff(poll, poll, min_uptime=300).opened) == opened


def test_poll_is_of_all_alertmanagers():
    """What one of them suppresses is not active; the youngest, and the slowest to show mutes, counts."""

    def listed(name, *, suppressed=False, receivers=("hook",)):
        return Listed(alert=firing(name), active=not suppressed, suppressed=suppressed, receivers=frozenset(receivers))

    one = Peer(started=OLD, settling=True, listed=(listed("a"), listed("b"), listed("d")))
    other = Peer(started=OLD + 9, settling=False, mutes_lag=7.0,
                 listed=(listed("b", suppressed=True), listed("c", receivers=["chat"])))  # fmt: skip
    poll = read_poll(NOW, [one, other], 2, lambda _, names: "hook" in names, {"a": OLD, "d": NOW + 60, "c": OLD})
    assert (poll.at, poll.whole, poll.started, poll.settling, poll.mutes_lag) == (NOW, True, OLD + 9, True, 7.0)
    assert (poll.listed, poll.unsuppressed) == ({"a", "b", "c", "d"}, {"a", "c", "d"})
    assert (set(poll.active), poll.since) == ({"a", "d"}, {"a": OLD, "d": NOW})
    nobody = read_poll(NOW, [], 2, lambda *_: True, {})
    assert (nobody.whole, nobody.started, nobody.settling, nobody.mutes_lag) == (False, NOW, False, 0.0)


@pytest.mark.parametrize(
    "change", [{"whole": False}, {"started": NOW}, {"settling": True}], ids=["unanswered", "young", "settling"]
)
def test_opening_needs_only_one_alertmanager(change):
    """An alert active in one of them fires, whatever the others answer."""
    poll = replace(ACTIVE, **change)
    assert diff(poll, poll, min_uptime=300).opened == {KEY: None}


def test_blocker_for_closing_does_not_block_opening():
    """Each has its own rules."""
    both = replace(ACTIVE, whole=False, held={"prod:c": 1.0})
    assert diff(both, both, min_uptime=300) == Result(opened={KEY: None}, blocker=Blocker.UNANSWERED)


def test_no_blocker_while_every_open_alert_is_listed():
    """A young Alertmanager is not reported then."""
    assert diff(None, replace(ACTIVE, started=NOW), min_uptime=300).blocker is None
