"""When silence is believed, and what is opened: each guard alone keeps an alert open."""

from dataclasses import replace

import pytest

from bridge.domain.alert import Alert
from bridge.reconcile.diff import Action, Blocker, Correction, Poll, diff

NOW = 1_700_000_000.0
KEY = "prod:a"
OLD = NOW - 3600


def firing(key=KEY):
    return Alert(receiver="alertmanager", source="prod", key=key, name="A", firing=True, starts_at=NOW)


ALERTS = {KEY: firing()}
OTHER = frozenset({"prod:b"})
GONE = Poll(at=NOW, started=OLD, listed=OTHER, held={KEY: 1.0})
"""A poll in which a key is open and no Alertmanager knows it."""
ACTIVE = Poll(at=NOW, started=OLD, listed=OTHER | {KEY}, active=ALERTS)
"""A poll in which a key fires that the ledger does not hold."""
CLOSE = Correction(Action.CLOSED, KEY, 1.0)


def test_what_two_polls_do_not_know_is_closed():
    """Twice unknown to all is resolved, on condition that nothing was told of it since the first time."""
    assert diff(GONE, GONE, min_uptime=300).corrections == (CLOSE,)


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"whole": False}, Blocker.UNANSWERED),
        ({"started": NOW - 299}, Blocker.YOUNG),
        ({"started": NOW + 60}, Blocker.YOUNG),
        ({"settling": True}, Blocker.SETTLING),
        ({"emptied": True, "listed": frozenset()}, Blocker.EMPTIED),
    ],
    ids=lambda value: value.name if isinstance(value, Blocker) else None,
)
@pytest.mark.parametrize("which", ["before", "latest"])
def test_each_doubt_about_either_poll_keeps_an_alert_open(change, doubt, which):
    """One that did not answer, is young, settles, or is suddenly empty: nothing is closed, and the result says why."""
    doubtful = replace(GONE, **change)
    before, latest = (doubtful, GONE) if which == "before" else (GONE, doubtful)
    result = diff(before, latest, min_uptime=300)
    assert (result.corrections, result.blocker) == ((), doubt)


def test_one_poll_is_not_enough():
    """The first poll after a start, or after one that failed, closes and opens nothing."""
    assert diff(None, GONE, min_uptime=300).blocker is Blocker.FIRST
    assert diff(None, ACTIVE, min_uptime=300).corrections == ()


@pytest.mark.parametrize(
    "before",
    [
        replace(GONE, listed=frozenset({KEY})),
        replace(GONE, held={}),
        replace(GONE, held={KEY: 0.5}),
    ],
    ids=["still known", "not open yet", "told of since"],
)
def test_an_alert_must_be_open_unknown_and_unknown_in_both_polls(before):
    """Whatever moved between the polls starts the count anew, without any doubt about the Alertmanagers."""
    result = diff(before, GONE, min_uptime=300)
    assert (result.corrections, result.blocker) == ((), None)


def test_what_is_listed_stays_open_whether_suppressed_or_not():
    """Suppressed is not resolved: what is listed counts, not what is active."""
    listed = replace(GONE, listed=frozenset({KEY}), active={})
    assert diff(listed, listed, min_uptime=300).corrections == ()


def test_an_empty_list_that_was_always_empty_is_believed():
    """An Alertmanager whose only alert ended under a silence has nothing to list."""
    empty = replace(GONE, listed=frozenset())
    assert diff(empty, empty, min_uptime=300).corrections == (CLOSE,)


@pytest.mark.parametrize("known", [None, 7.0], ids=["never known", "resolved before"])
def test_what_two_polls_show_as_active_is_opened(known):
    """An alert that the ledger never heard of, or holds as resolved, is opened."""
    poll = replace(ACTIVE, known={} if known is None else {KEY: known})
    assert diff(poll, poll, min_uptime=300).corrections == (Correction(Action.OPENED, KEY, known),)


@pytest.mark.parametrize(
    ("before", "latest"),
    [
        (replace(ACTIVE, active={}), ACTIVE),
        (replace(ACTIVE, held={KEY: 1.0}), ACTIVE),
        (ACTIVE, replace(ACTIVE, held={KEY: 1.0})),
        (ACTIVE, replace(ACTIVE, known={KEY: 7.0})),
        (ACTIVE, replace(ACTIVE, active={})),
    ],
    ids=["new", "was open", "is open now", "told of since", "suppressed now"],
)
def test_what_moved_between_the_polls_is_not_opened(before, latest):
    """Only what stood the same way twice is opened."""
    assert diff(before, latest, min_uptime=300).corrections == ()


@pytest.mark.parametrize(
    "change", [{"whole": False}, {"started": NOW}, {"settling": True}], ids=["unanswered", "young", "settling"]
)
def test_opening_needs_no_certainty_about_the_others(change):
    """What one of them shows as active fires, whatever the others cannot say."""
    poll = replace(ACTIVE, **change)
    assert [found.action for found in diff(poll, poll, min_uptime=300).corrections] == [Action.OPENED]


def test_a_doubt_about_closing_does_not_keep_from_opening():
    """Both are judged, each by its own rules."""
    both = replace(ACTIVE, whole=False, held={"prod:c": 1.0})
    result = diff(both, both, min_uptime=300)
    assert [(found.action, found.key) for found in result.corrections] == [(Action.OPENED, KEY)]
    assert result.blocker is Blocker.UNANSWERED


def test_nothing_open_and_missing_raises_no_doubt():
    """A young Alertmanager is no news while everything that is open is listed."""
    assert diff(None, replace(ACTIVE, started=NOW), min_uptime=300).blocker is None
