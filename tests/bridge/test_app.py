import re
import threading
import time
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import bcrypt
import pytest
import requests

from bridge.app import Bridge, Start, left_behind
from bridge.config import load, load_for
from bridge.domain.alert import Alert
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification
from bridge.errors import Unavailable
from bridge.incidents.follow_up import FollowUp
from bridge.outbox.repository import PageRequest
from bridge.reconcile.reconciler import Reconciler
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.web_config import WebConfigFile
from tests.bridge.alertmanagers import alertmanager_with
from tests.bridge.panda import Panda
from tests.store import Store
from tests.waiting import eventually

LOOPBACK = (("127.0.0.1", 0),)
SETTINGS = """
database: sqlite:///{folder}/bridge.db
retention: 1h
bigpanda: {{url: "http://127.0.0.1:1/alerts?access_token=hidden", app_key: app, token: bp-token}}
receivers:
  - {{receiver: alertmanager, source: prod, bearer_token: t}}
  - {{receiver: alertmanager, source: lab, bearer_token: t, app_key: lab-key}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bridge.yml"
    path.write_text(SETTINGS.format(folder=tmp_path))
    return path


@pytest.fixture
def start(file):
    return Start(config_file=file, addresses=LOOPBACK, web_config=WebConfigFile(None))


def test_each_receiver_has_its_app_key(file):
    """The destination's by default."""
    assert {one.source: one.mapping.app_key for one in load(file).receivers} == {"prod": "app", "lab": "lab-key"}


def test_destination_is_stored_without_its_url(file):
    """The URL may have a token."""
    name = load(file).destination
    assert "hidden" not in name
    assert name == load(file).destination
    file.write_text(file.read_text().replace("127.0.0.1:1/", "127.0.0.1:2/"))
    assert name != load(file).destination


def test_receiver_without_credentials_is_served_on_loopback_only(file):
    """Unless allow_unauthenticated is set."""
    file.write_text(file.read_text().replace(", bearer_token: t", "", 1))
    assert load_for(file, LOOPBACK)
    with pytest.raises(ConfigError, match="receivers\\[0\\]: alertmanager/prod has no credentials"):
        load_for(file, (("192.0.2.1", 9789),))


def test_app_starts_answers_and_stops(start, file):
    """Afterwards the port is free, and a second stop does nothing."""
    bridge = Bridge(start, load(file))
    bridge.start()
    (host, port), *_ = bridge.addresses
    assert requests.get(f"http://{host}:{port}/-/ready", timeout=30).status_code == 200
    bridge.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{host}:{port}/-/ready", timeout=30)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("alertmanager/prod", {"alerts": [], "truncatedAlerts": 2}, [Reconciler]),
        ("alertmanager/prod", {"alerts": [], "truncatedAlerts": 0}, []),
        ("bigpanda/panda", {"id": "i1"}, [FollowUp]),
    ],
)
def test_follow_up_work_starts_after_the_commit(  # noqa: PLR0913, PLR0917  a row of the table
    file, start, monkeypatch, path, body, expected
):
    """Missing alerts wake the reconciler, incidents the follow-up; a failed commit wakes neither."""
    woken = []
    for loop in (Reconciler, FollowUp):
        monkeypatch.setattr(loop, "wake", lambda self: woken.append(type(self)))
    text = file.read_text().replace("source: prod,", 'source: prod, reconcile: {urls: ["http://127.0.0.1:1"]},')
    file.write_text(text + "  - {receiver: bigpanda, source: panda, headers: {x: t}, reopen_after: 1h}\n")
    bridge = Bridge(start, load(file))
    bridge.start()
    (host, port), *_ = bridge.addresses
    send = partial(requests.post, f"http://{host}:{port}/webhooks/{path}", json=body, timeout=30)
    headers = {"Authorization": "Bearer t", "x": "t"}
    assert (send(headers=headers).status_code, woken) == (200, expected)
    monkeypatch.setattr(bridge._commits, "_store", Mock(side_effect=Unavailable("database: busy")))
    assert (send(headers=headers).status_code, woken) == (503, expected)
    bridge.stop()


def test_retention_deletes_history_and_keeps_queued_events(start, file, monkeypatch):
    """Events sent longer ago than `retention` are deleted, in batches."""
    outbox = Store(load(file).database.read())
    mapping = EventMapping(app_key="app", statuses={}, primary_property=())
    alerts = [
        Alert(receiver="alertmanager", source="prod", key=f"prod:{number}", name="Down", firing=True, starts_at=1000.0)
        for number in range(30)
    ]
    outbox.ingest.accept([Notification(receiver="alertmanager", source="prod", alerts=alerts, mapping=mapping)], 1000.0)
    outbox.queue.record(outbox.queue.claim(20, 1001.0, 60.0), "accepted", now=1002.0)
    monkeypatch.setattr("bridge.app._PRUNE_ROWS", 7)
    bridge = Bridge(start, load(file))
    pauses = [bridge._prune() for _ in range(4)]
    assert pauses[-1] > pauses[0]
    assert outbox.events.closed(PageRequest(100), 0.0).rows == []
    assert outbox.status.counts(10_000.0).waiting == 10
    outbox.close()
    bridge.stop()


def test_database_that_takes_no_writes_is_a_metric(start, file, monkeypatch):
    """Within a minute, for the alert VendorwatchBridgeDatabaseDown, also while only the reserve of the disk is left."""
    bridge, left = Bridge(start, load(file)), [10**9]
    monkeypatch.setattr("os.statvfs", lambda _path: Mock(f_bavail=left[0], f_frsize=1, f_blocks=10**9))
    values = []
    for left[0] in (10**9, 1000, 10**9):
        bridge._prune()
        values.append(bridge._metrics.registry.get_sample_value("vendorwatch_bridge_database_up"))
    assert values == [1, 0, 1]
    bridge.stop()


ACTIVE = {
    "labels": {"alertname": "Lost"},
    "fingerprint": "00ff",
    "startsAt": "2023-11-14T22:00:00Z",
    "receivers": [{"name": "bigpanda"}],
    "status": {"state": "active"},
}


@pytest.fixture
def alertmanager():
    with alertmanager_with(alerts=[ACTIVE]) as url:
        yield url


def test_reload_starts_and_stops_reconcilers(start, file, alertmanager, tmp_path):
    """For the Alertmanagers of the new file."""
    bridge = Bridge(start, load(file))
    bridge.start()
    plain = file.read_text()
    asks = f"reconcile: {{urls: ['{alertmanager}'], interval: 100ms, receiver: bigpanda}}"
    file.write_text(plain.replace("source: prod, ", f"source: prod, {asks}, ", 1))
    bridge.reload()
    outbox = Store(f"sqlite:///{tmp_path}/bridge.db")
    end = time.monotonic() + 30
    while not outbox.alerts.open_alerts("prod") and time.monotonic() < end:
        time.sleep(0.05)
    assert [found.key for found in outbox.alerts.open_alerts("prod")] == ["prod:00ff"]
    file.write_text(plain)
    bridge.reload()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reconciler")]
    bridge.stop()
    outbox.close()


def test_reload_after_the_database_file_names_another_is_logged(start, file, tmp_path, caplog):
    """The same text, read again, is no change; a literal that differs, or a file that leads elsewhere, is one."""
    url, at = tmp_path / "database.url", f"sqlite:///{tmp_path}"
    file.write_text(file.read_text().replace(f"database: {at}/bridge.db", f"database_file: {url}"))
    url.write_text(f"{at}/bridge.db")
    bridge = Bridge(start, load(file))
    bridge.reload()
    assert "Changes to database" not in caplog.text
    url.write_text(f"{at}/another.db")
    bridge.reload()
    assert "Changes to database take effect after a restart" in caplog.text
    bridge.stop()


def test_reload_says_what_a_removed_receiver_leaves_behind(start, file, caplog):
    """Alerts that nobody resolves or unacknowledges; of BigPanda's incidents, which are no alerts, the silences."""
    plain = file.read_text()
    silences = "silences: {alertmanager: 'http://am-1:9093'}"
    file.write_text(f"{plain}  - {{receiver: bigpanda, source: noc, headers: {{x-key: t}}, {silences}}}\n")
    bridge = Bridge(start, load(file))
    for content, ended in ((file.read_text().replace("am-1", "am-2"), "am-1"), (plain, "am-2")):
        file.write_text(content)
        bridge.reload()
        assert f"Silences for snoozes of noc stay in http://{ended}:9093 until they end" in caplog.text
    silenced = "reconcile: {urls: ['http://am-1:9093']}, silenced: acknowledge"
    for content in (plain.replace("source: lab", f"source: lab, {silenced}"), plain):
        file.write_text(content)
        bridge.reload()
    assert "Silenced alerts of lab stay acknowledged until their next webhook: reconcile was removed" in caplog.text
    assert "Open alerts of" not in caplog.text
    file.write_text("".join(line for line in plain.splitlines(keepends=True) if "source: lab" not in line))
    bridge.reload()
    assert "Open alerts of lab stay open until closed manually" in caplog.text
    bridge.stop()


def test_removed_receiver_hides_nothing_that_another_of_its_source_leaves_behind(file):
    """Receivers may share the name of a source."""
    plain = file.read_text()
    silenced = "reconcile: {urls: ['http://am-1:9093']}, silenced: acknowledge"
    both = plain.replace("source: lab", f"source: lab, {silenced}") + "  - {receiver: vigilmon, source: lab, secret: s}"
    file.write_text(both)
    before = load(file)
    file.write_text(plain)
    named = [left.partition(" of lab ")[0] for left in left_behind(before, load(file))]
    assert named == ["Open alerts", "Silenced alerts"]


def test_reload_removes_the_webhook_counters_of_a_removed_receiver(start, file):
    """With them, a bridge without any Alertmanager would alert that it hears nothing."""
    bridge = Bridge(start, load(file))
    bridge.start()
    host, port = bridge.addresses[0]

    def served():
        page = requests.get(f"http://{host}:{port}/metrics", timeout=30).text
        return set(re.findall(r'notifications_total{.*source="(\w+)"', page))

    assert served() == {"prod", "lab"}
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if "source: lab" not in line))
    bridge.reload()
    assert served() == {"prod"}
    bridge.stop()


def test_a_receiver_with_credentials_needs_none_of_the_web_configs_users(start, file, tmp_path):
    """Its `Authorization` is its own, and is accepted nowhere else."""
    web = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode()
    web.write_text(f"basic_auth_users: {{ann: '{hashed}'}}")
    file.write_text(f"{file.read_text()}  - {{receiver: alertmanager, source: bare}}\n")
    bridge = Bridge(replace(start, web_config=WebConfigFile(web)), load(file))
    bridge.start()
    host, port = bridge.addresses[0]
    url, bearer, ann = f"http://{host}:{port}", {"Authorization": "Bearer t"}, ("ann", "sesame")

    def status(path, **more):
        return requests.post(f"{url}/webhooks/alertmanager/{path}", json={"alerts": []}, timeout=30, **more).status_code

    assert status("prod", headers=bearer) == 200
    assert [status("prod"), status("prod", auth=ann)] == [401, 401]
    assert [status("bare"), status("bare", headers=bearer), status("bare", auth=ann)] == [401, 401, 200]
    assert [status("nobody"), status("nobody", auth=ann)] == [401, 404]
    assert status("../../dead-letters/requeue", headers=bearer) == 401
    for path in ("/", "/metrics", "/-/ready"):
        assert requests.get(url + path, headers=bearer, timeout=30).status_code == 401
        assert requests.get(url + path, auth=ann, timeout=30).status_code == 200
    page = requests.get(url, auth=ann, timeout=30).text
    assert "Signed in as ann" in page
    assert page.count("none yet") == 1
    bridge.stop()


@pytest.fixture
def pandas():
    both = Panda(), Panda()
    yield both
    for one in both:
        one.close()


def test_reload_moves_open_alerts_to_the_new_destination(start, file, pandas):
    """It has none of the old one's alerts."""
    old, new = pandas
    file.write_text(file.read_text().replace("http://127.0.0.1:1/alerts?access_token=hidden", old.url))
    bridge = Bridge(start, load(file))
    bridge.start()
    host, port = bridge.addresses[0]
    alert = {"status": "firing", "labels": {"alertname": "Down"}, "fingerprint": "00ff"}
    expected = requests.post(
        f"http://{host}:{port}/webhooks/alertmanager/prod",
        json={"alerts": [alert]}, headers={"Authorization": "Bearer t"}, timeout=30,
    )  # fmt: skip
    assert expected.status_code == 200
    eventually(lambda: old.statuses("prod:00ff"))
    file.write_text(file.read_text().replace(old.url, new.url))
    bridge.reload()
    eventually(lambda: new.statuses("prod:00ff"))
    bridge.stop()
    assert new.statuses("prod:00ff") == old.statuses("prod:00ff")[:1]
