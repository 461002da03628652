"""What the page shows of the receivers that are configured."""

from dataclasses import replace
from types import SimpleNamespace

from bridge.receivers.alertmanager import Settings
from bridge.receivers.settings import ReceiverSettings
from bridge.reconcile.reconciler import ReconcilerStatus
from bridge.web.current import WatchdogStatus
from tests.bridge.alerts import alert_at
from tests.bridge.serving import current_of
from tests.store import Store

NOW = 1_700_000_000.0
PROD = Settings(receiver="alertmanager", source="prod", app_key="app", watchdog={"alertname": "Heartbeat"})
LAB = Settings(receiver="alertmanager", source="lab", app_key="app")
OTHER = ReceiverSettings(receiver="vigilmon", source="prod", app_key="app")


def heartbeat(name, *, firing=True):
    labels = {"alertname": "Heartbeat", "cluster": name}
    return alert_at(NOW, name, firing=firing, labels=labels, links={}, annotations={})


def test_each_heartbeat_has_a_status_and_one_never_received_counts_as_one(tmp_path):
    """Silent is one whose own alarm is open. Another receiver of the same source has neither them nor a reconciler."""
    store, status = Store(f"sqlite:///{tmp_path}/bridge.db"), ReconcilerStatus(interval=60.0)
    current = replace(current_of(PROD, LAB, OTHER), reconcilers={"prod": SimpleNamespace(status=status)})
    assert [one.reconciler for one in current.receivers(store)] == [status, None, None]

    def shown():
        return [list(one.watchdogs) for one in current.receivers(store)]

    assert shown() == [[WatchdogStatus(name="Heartbeat", heard_at=None, silent=False)], [], []]
    store.ingest.accept([PROD.notification(alerts=[alert_at(NOW, "watchdog")])], NOW)
    assert shown()[0] == [WatchdogStatus(name="Heartbeat", heard_at=None, silent=True)]
    store.ingest.accept([PROD.notification(heartbeats=[heartbeat("a")])], NOW + 1)
    assert shown()[0] == [WatchdogStatus(name="Heartbeat (cluster=a)", heard_at=NOW + 1, silent=True)]
    store.ingest.accept([PROD.notification(alerts=[alert_at(NOW + 2, "watchdog", firing=False)])], NOW + 2)
    assert shown()[0] == [WatchdogStatus(name="Heartbeat (cluster=a)", heard_at=NOW + 1, silent=False)]
    store.ingest.accept([PROD.notification(heartbeats=[heartbeat("b", firing=False)])], NOW + 2)
    assert shown()[0] == [
        WatchdogStatus(name="Heartbeat (cluster=a)", heard_at=NOW + 1, silent=False),
        WatchdogStatus(name="Heartbeat (cluster=b)", heard_at=NOW + 2, silent=False),
    ]
    store.close()


def test_rejected_silences_of_all_sources_are_shown():
    """By alert."""
    follow_ups = {name: SimpleNamespace(refused_silences={f"{name}:a": "answered 400"}) for name in ("prod", "lab")}
    current = replace(current_of(PROD, LAB), follow_ups=follow_ups)
    assert current.refused_silences == {"prod:a": "answered 400", "lab:a": "answered 400"}
