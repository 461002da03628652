"""There and back: an operator's actions on an incident in BigPanda reach a real Alertmanager."""

import re
import signal

import pytest

from tests.system.running import until
from tests.system.way import CREDENTIALS, TOKEN

pytestmark = [pytest.mark.system, pytest.mark.slow]

HEADER = "header-of-the-round-trip"
OUTBOUND = "outbound-app-key"
DOWN = "VigilmonMonitorDown"


class Trip:
    """The whole path, with BigPanda's webhooks to the bridge."""

    def __init__(self, make_way, form):
        self.way = make_way()
        addresses = self.way.addresses
        self.way.bridge_settings = {
            "receivers": [
                {"receiver": "alertmanager", "source": "prod", "bearer_token": TOKEN},
                {
                    "receiver": "bigpanda",
                    "source": "panda",
                    "headers": {"x-api-key": HEADER},
                    "callback": {
                        "url": f"http://{addresses.sandbox}/bigpanda/resources/v2.1/outbound/callback",
                        "api_key": CREDENTIALS.bigpanda.user_key,
                        "app_key": OUTBOUND,
                    },
                    "reopen_after": "5s",
                    "silences": {"alertmanager": f"http://{addresses.alertmanager}"},
                },
            ]
        }
        self.way.start()
        self.way.change(
            "bigpanda/webhook",
            url=f"http://{addresses.bridge}/webhooks/bigpanda/panda",
            headers={"x-api-key": HEADER},
            expects_callbacks=True,
            app_key=OUTBOUND,
            form=form,
        )

    def incident(self):
        """Return the incident of the monitor, once there is one."""
        return until("an incident", lambda: next(self._incidents(), None))

    def _incidents(self):
        for incident in self.way.sandbox.get("/control/bigpanda/incidents").json():
            if any({"name": "monitor", "value": "shop"} in alert["tags"] for alert in incident["alerts"]):
                yield incident

    def webhooks(self):
        """Return how BigPanda's webhooks were answered."""
        sent = self.way.sandbox.get("/control/deliveries").json()
        return [one["tries"] for one in sent if "/webhooks/bigpanda/" in one["url"]]

    def callbacks(self):
        found = self.way.sandbox.get("/control/bigpanda/webhook").json()["callbacks"]
        return [{name: one[name] for name in ("event_type", "incident_id", "app_key")} for one in found]

    def silences(self, *, over=False):
        """Return Alertmanager's silences that are active, or over."""
        found = self.way.alertmanager.get("/api/v2/silences").json()
        return [one for one in found if (one["status"]["state"] == "expired") == over]

    def state(self):
        """Return how Alertmanager sees each alert that fires, by its monitor."""
        return {one["labels"]["monitor"]: one["status"]["state"] for one in self.way.notified(DOWN)}

    def settled(self, statuses):
        """Return whether the bridge counts the incidents so."""
        return all(
            self.way.counted("vendorwatch_bridge_incidents", status=status) == count
            for status, count in statuses.items()
        )


@pytest.fixture
def trip(make_way, request):
    return Trip(make_way, request.param)


@pytest.mark.parametrize("trip", ["v1"], indirect=True)
def test_snooze_becomes_a_silence_and_waking_ends_it(trip):
    """The bridge is killed while it creates the silence, and every step still reaches the other side."""
    way = trip.way
    shop = way.change("vigilmon/add", name="shop", url="http://shop.example.com/")
    until("the monitor is up in Prometheus", lambda: len(way.query("vigilmon_monitor_up == 1")) == 1)
    way.change("vigilmon/down", id=shop)
    until("BigPanda has the event", lambda: way.accepted(monitor="shop", status="critical"))
    incident = trip.incident()

    way.change("bigpanda/share", incident=incident["id"])
    until("the share is confirmed", trip.callbacks)
    until("the incident is counted", lambda: trip.settled({"critical": 1}))

    way.alertmanager.send(signal.SIGSTOP)
    way.change("bigpanda/snooze", incident=incident["id"], seconds=3600)
    until("the snooze was answered", lambda: trip.webhooks()[1:] == [[200]])
    way.bridge.kill()
    way.alertmanager.send(signal.SIGCONT)
    assert trip.silences() == []
    way.bridge.start()
    until("the alert is suppressed", lambda: trip.state() == {"shop": "suppressed"})
    (silence,) = trip.silences()
    assert f"incident {incident['id']}" in silence["comment"]
    assert {one["name"]: one["value"] for one in silence["matchers"]} == way.notified(DOWN)[0]["labels"]
    assert not any(one["isRegex"] for one in silence["matchers"])

    way.change("bigpanda/snooze", incident=incident["id"], seconds=7200)
    until("the silence lasts longer", lambda: [one["endsAt"] for one in trip.silences()] > [silence["endsAt"]])
    assert len(trip.silences()) == 1

    way.change("bigpanda/unsnooze", incident=incident["id"])
    until("the webhook about waking arrived", lambda: len(trip.webhooks()) == 4 and all(trip.webhooks()))
    assert trip.webhooks() == [[200]] * 4
    until("the silence is gone", lambda: not trip.silences())
    until("the alert is active again", lambda: trip.state() == {"shop": "active"})

    way.change("vigilmon/up", id=shop)
    until("BigPanda has the resolution", lambda: way.accepted(monitor="shop", status="ok"))
    until("the incident is closed", lambda: trip.settled({"critical": 0, "ok": 1}))
    assert trip.callbacks() == [{"event_type": "incident#new", "incident_id": incident["id"], "app_key": OUTBOUND}]
    assert way.counted("vendorwatch_bridge_resolved_by_hand_total") == 0
    name = "vendorwatch_bridge_incident_time_to_resolve_seconds_count"
    assert re.search(rf'^{name}{{bigpanda_environment="\w*"}} 1.0$', way.bridge.get("/metrics").text, re.MULTILINE)
    log = way.bridge.log.read_text()
    assert not [secret for secret in (HEADER, CREDENTIALS.bigpanda.user_key) if secret in log]


@pytest.mark.parametrize("trip", ["v2"], indirect=True)
def test_lost_silence_is_created_again(trip):
    """Alertmanager restarts without its state while an incident is snoozed; an operator's own silence is not changed.

    Then the incident is resolved by hand: what fires still opens it again after `reopen_after`, and not before.
    """
    way = trip.way
    shop = way.change("vigilmon/add", name="shop", url="http://shop.example.com/")
    until("the monitor is up in Prometheus", lambda: len(way.query("vigilmon_monitor_up == 1")) == 1)
    way.change("vigilmon/down", id=shop)
    until("BigPanda has the event", lambda: way.accepted(monitor="shop", status="critical"))
    incident = trip.incident()
    way.change("bigpanda/share", incident=incident["id"])
    way.change("bigpanda/snooze", incident=incident["id"], seconds=3600)
    until("there is a silence", trip.silences)

    way.alertmanager.kill()
    for file in (way.folder / "alertmanager").iterdir():
        file.unlink()
    way.alertmanager.start()
    own = {**trip_silence(), "comment": "by an operator"}
    way.alertmanager.post("/api/v2/silences", own).raise_for_status()
    until("it is made again", lambda: len(trip.silences()) == 2)
    way.change("bigpanda/unsnooze", incident=incident["id"])
    until("only the operator's is left", lambda: [one["comment"] for one in trip.silences()] == ["by an operator"])

    way.change("bigpanda/resolve", incident=incident["id"])
    until("it is counted", lambda: way.counted("vendorwatch_bridge_resolved_by_hand_total", source="prod") == 1)
    assert len(way.accepted(monitor="shop")) == 1
    until("the alert is resent", lambda: len(way.accepted(monitor="shop", status="critical")) == 2)
    until("the incident is open again", lambda: trip.settled({"critical": 1, "ok": 0}))


def trip_silence():
    return {
        "matchers": [{"name": "alertname", "value": "Nothing", "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2100-01-01T00:00:00Z",
        "createdBy": "vendorwatch-bridge",
    }
