"""The notices at the top of the operator's page."""

import pytest

from bridge.outbox.status import Circuit, Counts
from bridge.reconcile.reconciler import ReconcilerStatus
from bridge.web.attention import attention
from bridge.web.current import ReceiverStatus, WatchdogStatus

NOW = 1_700_000_000.0
WELL = ReceiverStatus(
    receiver="alertmanager",
    source="prod",
    last=NOW,
    reconciler=ReconcilerStatus(last_success=NOW - 60, failures=3, corrections=1, interval=60.0),
    watchdogs=(WatchdogStatus(name="Watchdog", heard_at=NOW - 30, silent=False),),
)


UP, EMPTY = Circuit(), Counts()
DOWN = Circuit(up=False, failures=3, not_before=NOW + 75, reason="503: busy")
LATE = ReconcilerStatus(since=NOW - 211, unanswered="http://am-2:9093: connection refused", interval=60.0)


def notices(*, circuit=UP, counts=EMPTY, receivers=(WELL,), unwritable="", unconfirmed=0, quotas=(), refused=()):  # noqa: PLR0913
    found = attention(
        circuit,
        counts,
        receivers,
        unwritable=unwritable,
        unconfirmed=unconfirmed,
        refused_silences=dict.fromkeys(refused, "Alertmanager answered 400"),
        exhausted_quotas=quotas,
        now=NOW,
    )
    return list(found)


def test_no_notices_without_problems():
    """One failed reconciliation, held updates and open alerts need no attention."""
    assert notices(counts=Counts(waiting=3, held=9, oldest=NOW - 300, open_alerts={("prod", "critical"): 4})) == []


@pytest.mark.parametrize(
    ("found", "subject", "urgent"),
    [
        (notices(unwritable="database: disk full"), "Webhooks are rejected:", True),
        (notices(circuit=DOWN), "BigPanda unavailable:", True),
        (notices(counts=Counts(waiting=1, oldest=NOW - 301)), "The queue is slow:", True),
        (notices(counts=Counts(dead=2, dead_resolutions=2)), "2 alerts", True),
        (notices(counts=Counts(dead=2)), "2 dead letters", False),
        (notices(counts=Counts(quarantined=1)), "1 in quarantine:", False),
        (notices(unconfirmed=4), "4 unconfirmed events", False),
        (notices(refused=["prod:a"]), "Snoozed, but not silenced:", False),
        (notices(counts=Counts(open_alerts={("gone", "critical"): 2})), "2 open alerts without a receiver:", False),
        (notices(quotas=["panda"]), "Share quota of panda used up:", False),
        (
            notices(receivers=[ReceiverStatus(receiver="alertmanager", source="prod", last=None,
                                              watchdogs=(WatchdogStatus(name="Pulse", heard_at=None, silent=True),))]),
            "Pulse of alertmanager/prod is silent:",
            True,
        ),
        (
            notices(receivers=[ReceiverStatus(receiver="alertmanager", source="prod", last=None, reconciler=LATE)]),
            "Reconciling alertmanager/prod is late:",
            False,
        ),
    ],
)  # fmt: skip
def test_each_problem_is_one_notice(found, subject, urgent):
    """One line each; urgent if BigPanda's view is wrong because of it."""
    assert [(notice.subject, notice.urgent) for notice in found] == [(subject, urgent)]


def test_only_the_first_rejected_silences_are_notices():
    """Each of them is shown at its alert too."""
    assert [notice.link for notice in notices(refused=["f", "e", "d", "c", "b", "a"])] == list("abcde")


def test_outage_has_reason_and_next_attempt():
    """And there is no notice about the queue that follows from it."""
    (found,) = notices(
        circuit=Circuit(up=False, failures=3, not_before=NOW + 75, reason="BigPanda answered 503"),
        counts=Counts(waiting=900, oldest=NOW - 4000),
    )
    assert found.text == (
        "BigPanda answered 503. Failed 3 times in a row. Next try in 1m 15s. Nothing is lost: events are queued."
    )
    (due,) = notices(circuit=Circuit(up=False, failures=1, not_before=NOW - 1, reason="BigPanda answered 503"))
    assert due.text == "BigPanda answered 503. Failed once in a row. Nothing is lost: events are queued."


def test_urgent_notices_come_first():
    """In any order of checking."""
    found = notices(counts=Counts(dead=3, dead_resolutions=1, quarantined=2), quotas=["panda"])
    assert [notice.urgent for notice in found] == [True, False, False, False]


@pytest.mark.parametrize(
    ("since", "success", "late"),
    [
        (None, None, False),
        (NOW - 210, None, False),
        (NOW - 211, None, True),
        (NOW - 900, NOW - 210, False),
        (NOW - 900, NOW - 211, True),
    ],
)
def test_reconciler_is_late_after_three_intervals(since, success, late):
    """Plus a grace period; also one that never had an answer since it started, unless another replica polls."""
    assert ReconcilerStatus(since=since, last_success=success, interval=60.0).late(NOW) == late


def test_late_reconciler_names_the_alertmanager():
    """And its error, as its runbook says."""
    (found,) = notices(receivers=[ReceiverStatus(receiver="alertmanager", source="prod", last=None, reconciler=LATE)])
    assert found.text.startswith("http://am-2:9093: connection refused. ")
