"""The bridge as a durable BigPanda Alerts API: BigPanda's own clients work with its base URL as they are."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from bridge.__main__ import main
from bridge.domain.event import Status
from bridge.metrics import Metrics
from bridge.receivers.contract import sender
from bridge.web.application import create_app
from tests.bridge.serving import serving, webhooks_at
from tests.store import Store

TOKEN = "cron-token"
NOW = 1_800_000_000.0
EVENT = {"app_key": "k", "status": "critical", "host": "db-1", "check": "backup", "timestamp": 1_799_999_000}


class Api:
    """The bridge's Alerts API, before a real store."""

    def __init__(self, store):
        self.store, self.base = store, ""
        named = {"receiver": "alerts_api", "source": "cron", "app_key": "app"}
        settings = sender("alerts_api").Settings(bearer_token=TOKEN, **named)
        self.receivers = {("alerts_api", "cron"): settings}
        self.webhooks = webhooks_at(NOW, store, lambda: self.receivers)

    def post(self, body, token=TOKEN, path="/data/v2/alerts"):
        content = body if isinstance(body, bytes) else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return requests.post(self.base + path, data=content, headers=headers, timeout=60)

    def open(self):
        return {state.alert.labels["host"]: str(state.status) for state in self.store.alerts.open_alerts("cron")}


@pytest.fixture
def api(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/bridge.db")
    made = Api(store)
    application, metrics = create_app([made.webhooks.blueprint()]), Metrics()
    with serving(application, lambda: made.receivers, metrics) as (host, port):
        made.base = f"http://{host}:{port}/webhooks/alerts_api/cron"
        yield made
    store.close()


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (f"access_token={TOKEN}", {}, 201),
        (f"x=%FF&access_token={TOKEN}", {}, 201),
        ("access_token=wrong", {}, 401),
        ("access_token=%FF", {}, 401),
        ("access_token=", {}, 401),
        ("", {"query": f"access_token={TOKEN}"}, 401),
        (f"access_token={TOKEN}", {"Authorization": "Bearer wrong"}, 401),
        ("access_token=wrong", {"Authorization": f"Bearer {TOKEN}"}, 201),
    ],
)
def test_token_in_the_query(api, query, headers, status):
    """As BigPanda takes it from clients that cannot set headers; a header counts first."""
    answer = requests.post(f"{api.base}/data/v2/alerts?{query}", json=EVENT, headers=headers, timeout=60)
    assert answer.status_code == status


def test_an_event_is_created_and_an_exact_duplicate_is_not(api):
    """201, then 204 with an empty body; a later time is a new event; the end resolves it."""
    first = api.post(EVENT)
    assert (first.status_code, first.json()) == (201, {"response": {"status": "created"}})
    again = api.post(EVENT)
    assert (again.status_code, again.content) == (204, b"")
    assert api.post(EVENT | {"timestamp": 1_799_999_060}).status_code == 201
    assert api.open() == {"db-1": "critical"}
    assert api.post(EVENT | {"status": "ok", "timestamp": 1_799_999_120}).status_code == 201
    assert api.open() == {}
    assert api.store.status.counts(NOW).waiting == 2


def test_batch_is_accepted_or_rejected_as_a_whole(api):
    """One event that BigPanda would reject, named by its number, rejects the batch."""
    alerts = [{"status": "warning", "host": f"h{number}", "check": "c"} for number in range(3)]
    answer = api.post({"app_key": "k", "alerts": [*alerts, {"status": "odd"}]})
    assert answer.status_code == 400
    assert answer.json()["status"] == 400
    wrong_status, no_host = answer.json()["errors"]
    assert wrong_status.startswith("alert 4: 'status' must exist and be one of")
    assert no_host.startswith("alert 4: a primary property must exist: host")
    assert api.open() == {}
    assert api.post({"app_key": "k", "alerts": alerts}).status_code == 201
    assert api.open() == dict.fromkeys(("h0", "h1", "h2"), "warning")


def test_batch_is_a_duplicate_only_if_each_event_is(api):
    """A 204 means that no event is new."""
    first, second = ({"status": "warning", "host": host, "check": "c", "timestamp": 1_799_999_000} for host in "ab")
    assert api.post({"app_key": "k", "alerts": [first]}).status_code == 201
    assert api.post({"app_key": "k", "alerts": [first, second]}).status_code == 201
    assert api.post({"app_key": "k", "alerts": [first, second]}).status_code == 204
    later = second | {"timestamp": 1_799_999_060}
    assert api.post({"app_key": "k", "alerts": [first, later]}).status_code == 201


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [(b"{", TOKEN, 400), (b"[]", TOKEN, 400), ({"status": "ok"}, TOKEN, 400), (EVENT, "wrong", 401)],
)
def test_rejections_look_like_bigpandas(api, body, token, status):
    """Its status codes; 400 with `status` and `errors`."""
    answer = api.post(body, token)
    assert answer.status_code == status
    if status == 400:
        assert set(answer.json()) == {"status", "errors"}


@pytest.mark.parametrize("path", ["/data/v2/alerts/", "//data/v2/alerts"])
def test_doubled_slash_is_accepted(api, path):
    """Base URLs are written with and without one."""
    assert api.post(EVENT, path=path).status_code == 201


@pytest.mark.parametrize("path", ["/data/v1/alerts", "/data/v2", "/data/v2/alerts/more"])
def test_only_the_alerts_api_is_served(api, path):
    """404 for the rest of BigPanda."""
    assert api.post(EVENT, path=path).status_code == 404


CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])  # it imports its modules as Python 2 did
from client import Client
panda = Client(api_token=sys.argv[3], app_key="app", base_url=sys.argv[2])
panda.alert("crit", "db-1", "backup", description="it failed", timestamp=1799999000, team="db").send()
panda.send([panda.alert("warn", f"web-{n}", "load", timestamp=1799999000) for n in range(3)])
panda.alert("ok", "web-2", "load", timestamp=1799999060).send()
panda.alert("ack", "db-1", "backup", timestamp=1799999060).send()
"""


def test_bigpandas_python_module_works_unchanged(api):
    """With the bridge's base URL: batches, resolution, acknowledgement."""
    folder = Path(find_spec("bigpanda").origin).parent
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(folder), api.base, TOKEN],
        capture_output=True, text=True, check=False, timeout=120, env=os.environ,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert api.open() == {"db-1": Status.ACKNOWLEDGED.value, "web-0": "warning", "web-1": "warning"}
    events = [json.loads(one.body) for one in api.store.queue.claim(100, NOW, 60.0)]
    assert {(event["host"], event["check"], event["primary_property"]) for event in events} == {
        ("db-1", "backup", "host"), ("web-0", "load", "host"), ("web-1", "load", "host"), ("web-2", "load", "host"),
    }  # fmt: skip


def test_kapacitors_handler_works_unchanged(api):
    """RFC 3339 times with nanoseconds, the message as `check`, tags as members; only a 201 is a success for it."""
    said = {"app_key": "app", "check": "cpu is CRITICAL", "status": "critical", "host": "db-2", "cpu": "cpu-total"}
    for moment in ("2026-11-20T20:54:08.123456789Z", "2026-11-20T20:54:18.123456789+01:00"):
        assert api.post(said | {"timestamp": moment}).status_code == 201
    assert api.open() == {"db-2": "critical"}
    assert api.post(said | {"status": "ok", "timestamp": "2026-11-20T20:55:08Z"}).status_code == 201
    assert api.open() == {}


def test_send_command_exits_with_0_once_durable(api, tmp_path, capsys):
    """From cron: without a configuration, with the token's file."""
    (tmp_path / "token").write_text(TOKEN)
    arguments = ["send", "--url", api.base, "--token-file", str(tmp_path / "token"), "--host=db-3", "--check=backup"]
    assert main([*arguments, "--status=warning", "--tag=team=db"]) == 0
    assert api.open() == {"db-3": "warning"}
    api.receivers.clear()
    assert main([*arguments, "--status=ok"]) == 1
    assert "the bridge answered 404" in capsys.readouterr().err
