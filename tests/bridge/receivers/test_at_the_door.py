"""Vendors' webhooks at the real server, before a real store: who may send, what is answered, what is never logged."""

import base64
import json
import logging
from pathlib import Path

import pytest
import requests

from bridge.metrics import Metrics
from bridge.receivers.contract import sender
from bridge.web.application import create_app
from tests.bridge.serving import serving, webhooks_at
from tests.store import Store

TESTDATA = Path(__file__).parent / "testdata"
NOW = 1_795_200_000.0
SECRETS = {
    "vigilmon": {"secret": "vigil-s3cret"},
    "thousandeyes": {"username": "te", "password": "te-s3cret", "bearer_token": "te-t0ken"},
}
BASIC = "Basic " + base64.b64encode(b"te:te-s3cret").decode()


class Front:
    """One receiver for each vendor, all with the source `s`."""

    def __init__(self, outbox):
        self.outbox, self.metrics = outbox, Metrics()
        self.receivers = lambda: {(name, "s"): self.receiver(name) for name in SECRETS}
        webhooks = webhooks_at(NOW, outbox, self.receivers, self.metrics)
        self.application = create_app([webhooks.blueprint()])
        self.address = None

    @staticmethod
    def receiver(name):
        return sender(name).Settings(receiver=name, source="s", app_key="app", **SECRETS[name])

    def post(self, receiver, body, headers):
        body = (TESTDATA / body).read_text() if isinstance(body, str) else json.dumps(body)
        url = f"http://{self.address[0]}:{self.address[1]}/webhooks/{receiver}/s"
        return requests.post(url, data=body, headers={"Content-Type": "application/json", **headers}, timeout=60)

    def events(self):
        return [json.loads(one.body) for one in self.outbox.queue.claim(100, NOW, 60.0)]


@pytest.fixture
def front(tmp_path):
    outbox = Store(f"sqlite:///{tmp_path}/bridge.db")
    found = Front(outbox)
    with serving(found.application, found.receivers, found.metrics) as found.address:
        yield found
    outbox.close()


@pytest.mark.parametrize(
    ("receiver", "body", "headers", "status"),
    [
        ("vigilmon", "vigilmon_down.json", {"X-Vigilmon-Secret": "vigil-s3cret"}, 200),
        ("vigilmon", "vigilmon_down.json", {"X-Vigilmon-Secret": "vigil-s3cre"}, 401),
        ("vigilmon", "vigilmon_down.json", {"X-Vigilmon-Secret": "vïgil"}, 401),
        ("vigilmon", "vigilmon_down.json", {"Authorization": "Bearer vigil-s3cret"}, 401),
        ("vigilmon", "vigilmon_down.json", {}, 401),
        ("thousandeyes", "thousandeyes_trigger.json", {"Authorization": BASIC}, 200),
        ("thousandeyes", "thousandeyes_trigger.json", {"Authorization": "Bearer te-t0ken"}, 200),
        ("thousandeyes", "thousandeyes_trigger.json", {"Authorization": "Bearer te-s3cret"}, 401),
        ("thousandeyes", "thousandeyes_trigger.json", {}, 401),
    ],
)
def test_vendor_is_authenticated(front, caplog, receiver, body, headers, status):  # noqa: PLR0913, PLR0917  a table
    """By its own secret; and neither that nor the body is logged."""
    caplog.set_level(logging.DEBUG)
    assert front.post(receiver, body, headers).status_code == status
    assert len(front.events()) == (status == 200)
    assert not any(word in caplog.text for word in ("s3cret", "t0ken", "svc2", "checkout"))


@pytest.mark.parametrize(
    ("receiver", "body"),
    [("vigilmon", {"event": "test"}), ("thousandeyes", "thousandeyes_test.json")],
)
def test_a_test_message_is_answered_counted_and_not_sent(front, receiver, body):
    """200, counted as skipped."""
    headers = {"X-Vigilmon-Secret": "vigil-s3cret", "Authorization": BASIC}
    assert front.post(receiver, body, headers).status_code == 200
    assert front.events() == []
    assert front.metrics.events.labels("s", "skipped")._value.get() == 1


def test_repeats_of_the_vendor_make_one_event(front):
    """ThousandEyes repeats a webhook every five minutes for an hour until it gets a 200."""
    for _ in range(13):
        assert front.post("thousandeyes", "thousandeyes_trigger.json", {"Authorization": BASIC}).status_code == 200
    assert len(front.events()) == 1
    assert front.metrics.unmapped.labels("s")._value.get() == 0


def test_unreadable_webhook_is_quarantined_and_not_logged(front, caplog):
    """400 names the member; the body is in the quarantine, not in the log."""
    body = {"event": "monitor_down", "monitor": {"id": None, "url": "https://u:hunter2@x.example.com"}}
    answer = front.post("vigilmon", body, {"X-Vigilmon-Secret": "vigil-s3cret"})
    assert (answer.status_code, answer.text.strip()) == (400, "monitor.id: missing")
    assert "hunter2" not in caplog.text
    assert [kept.reason for kept in front.outbox.quarantine.oldest()] == ["monitor.id: missing"]


def test_huge_webhook_becomes_an_event_of_normal_size(front):
    """Fifty thousand agents are truncated to a tag's limit."""
    body = json.loads((TESTDATA / "thousandeyes_trigger.json").read_text())
    body["alert"]["agents"] = [{"agentName": f"agent {n}", "metricsAtStart": f"Loss: {n}%"} for n in range(50_000)]
    assert front.post("thousandeyes", body, {"Authorization": BASIC}).status_code == 200
    (event,) = front.events()
    assert (len(event["agents"]), len(json.dumps(event)) < 5_000) == (512, True)


def test_configured_statuses_are_used():
    """`statuses` is added to the vendor's own."""
    settings = sender("thousandeyes").Settings(receiver="thousandeyes", source="s", statuses={"Minor": "none"})
    statuses = settings.mapping.statuses
    assert (statuses["minor"], statuses["major"], statuses["critical"]) == ("none", "critical", "critical")


@pytest.mark.parametrize("receiver", SECRETS)
def test_receiver_without_credentials_is_known(receiver):
    """So that the bridge does not serve it beyond loopback."""
    assert sender(receiver).Settings(receiver=receiver, source="s").credentials() == ()
