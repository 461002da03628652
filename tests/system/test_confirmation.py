"""BigPanda answers 201 and drops one event of twenty: each is found, resent and processed."""

import pytest

from tests.system.bridging import Sender, Station
from tests.system.running import until

pytestmark = pytest.mark.system
ALERTS = 60


def value(bridge, metric):
    """Return a metric of the bridge without labels, None when it is absent."""
    found = [
        line for line in bridge.get("/metrics").text.splitlines() if line.startswith(f"vendorwatch_bridge_{metric} ")
    ]
    return float(found[0].rsplit(" ", 1)[1]) if found else None


@pytest.fixture
def station(tmp_path):
    """Make a BigPanda that drops, and a bridge that asks it each second."""
    made = Station(tmp_path)
    with made.sandbox:
        made.sandbox.settings.bigpanda.resources_per_second = 0
        confirm = {"api_key": made.sandbox.settings.bigpanda.user_key, "interval": "1s"}
        made.configure(bigpanda={"confirm": confirm})
        yield made


def test_events_dropped_after_a_201_are_resent(station, started):
    """Every alert and every resolution is in BigPanda in the end, and confirmed."""
    station.sandbox.settings.bigpanda.drops_one_in = 20
    bridge = started(station.bridge())
    sender = Sender([bridge.url], station.ledger)
    for number in range(ALERTS):
        sender.send(f"a{number}", "critical")
    for number in range(0, ALERTS, 2):
        sender.send(f"a{number}", "ok")
    # A resent event may arrive after a later one of its alert: BigPanda goes by their times, not by their order.
    expected = sum(map(len, station.ledger.sent.values()))
    until("everything has arrived", lambda: len(station.events) == expected, patience=120)
    assert station.sandbox.world.bigpanda.intake.dropped
    alerts = station.sandbox.world.bigpanda.intake.alerts.values()
    assert {alert.identity: alert.status for alert in alerts} == {
        key: sent[-1] for key, sent in station.ledger.sent.items()
    }
    until("all are confirmed", lambda: value(bridge, "unconfirmed_events") == 0)
    until("all are counted", lambda: value(bridge, "confirmed_events_total") == expected)
    assert "BigPanda accepted but did not process it" in bridge.tail(1000)


def test_tenant_without_a_listing_does_not_affect_delivery(station, started):
    """The bridge logs it once, and delivers."""
    station.sandbox.settings.bigpanda.shows_integration_alerts = False
    bridge = started(station.bridge())
    Sender([bridge.url], station.ledger).send("a", "critical")
    station.settle()
    until("it was said", lambda: "BigPanda does not confirm events, still sending" in bridge.tail(1000))
    station.fresh(bridge.url)
    assert bridge.tail(1000).count("BigPanda does not confirm events") == 1
