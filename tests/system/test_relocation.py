"""A bridge that starts with another URL: open alerts are resolved in the old region and sent to the new one."""

import pytest

from tests.sandbox.server import Sandbox
from tests.system.bridging import Sender
from tests.system.running import until

pytestmark = pytest.mark.system


def statuses(sandbox):
    return [
        (event.alert["incident_identifier"], event.alert["status"]) for event in sandbox.world.bigpanda.intake.events
    ]


def test_restart_with_another_url_moves_open_alerts(station, started):
    """Each open alert is moved once; resolved ones are not sent to the new region."""
    station.configure()
    bridge = started(station.bridge())
    sender = Sender([bridge.url], station.ledger)
    for name, status in (("stays", "critical"), ("ended", "warning"), ("ended", "ok")):
        sender.send(name, status)
    station.settle()
    bridge.stop()
    with Sandbox() as other:
        station.configure(bigpanda={"url": f"{other.url}/bigpanda/data/v2/alerts"})
        bridge.start()
        until("it is stated in the new region", lambda: statuses(other) == [("prod:stays", "critical")])
        assert statuses(station.sandbox)[-1] == ("prod:stays", "ok")
        before = len(station.events)
        bridge.restart()
        sender.send("stays", "ok")
        until("it ends in the new region", lambda: statuses(other)[1:] == [("prod:stays", "ok")])
        assert len(station.events) == before
        bridge.stop()
