"""How each receiver is doing."""

import pytest

from bridge.config import read
from bridge.metrics import Metrics
from bridge.outbox.status import Heartbeat
from bridge.web.receiver_status import Reconciling, Sender, Watching, senders

CONFIG = {
    "database": "sqlite:////nowhere.db",
    "bigpanda": {"app_key": "app", "token": "t"},
    "receivers": [
        {
            "receiver": "alertmanager",
            "source": "prod",
            "bearer_token": "t",
            "reconcile": {"urls": ["http://127.0.0.1:1"], "interval": "60s"},
            "watchdog": {"alertname": "Pulse"},
        },
        {"receiver": "alertmanager", "source": "lab", "bearer_token": "t"},
        {"receiver": "vigilmon", "source": "uptime", "secret": "s"},
    ],
}


def test_what_is_not_known_is_not_told_as_fine():
    """Before anything was heard or asked; and nothing where nothing is configured."""
    found = senders(read(CONFIG), Metrics(), [], {})
    assert found == [
        Sender(
            receiver="alertmanager",
            source="prod",
            last=None,
            reconciling=Reconciling(success=None, failures=0, corrections=0, interval=60.0),
            watching=Watching(alertname="Pulse", heard_at=None, silent=False),
        ),
        Sender(receiver="alertmanager", source="lab", last=None),
        Sender(receiver="vigilmon", source="uptime", last=None),
    ]


def test_each_is_told_with_its_own_numbers():
    """Of its own source, corrections of both kinds together."""
    metrics = Metrics()
    for source in ("prod", "other"):
        metrics.reconcile_success.labels(source).set(5.0)
        metrics.reconcile_failures.labels(source).inc(3)
        metrics.reconciled.labels(source, "closed").inc(1)
        metrics.reconciled.labels(source, "opened").inc(2)
        metrics.watchdog_silent.labels(source).set(1)
    beats = [
        Heartbeat(receiver="alertmanager", source=source, key=key, labels={}, firing=True, heard_at=at)
        for source, key, at in (("prod", "prod:a", 7.0), ("prod", "prod:b", 6.0), ("lab", "lab:a", 8.0))
    ]
    prod, lab, uptime = senders(read(CONFIG), metrics, beats, {("vigilmon", "uptime"): 9.0})
    assert prod.reconciling == Reconciling(success=5.0, failures=3, corrections=3, interval=60.0)
    assert prod.watching == Watching(alertname="Pulse", heard_at=7.0, silent=True)
    assert (lab.watching, uptime.last) == (None, 9.0)


@pytest.mark.parametrize(("success", "late"), [(None, False), (900.0, False), (790.0, False), (780.0, True)])
def test_a_reconciler_is_late_after_some_rounds(success, late):
    """Three rounds and a grace."""
    assert Reconciling(success=success, failures=0, corrections=0, interval=60.0).late(1000.0) == late
