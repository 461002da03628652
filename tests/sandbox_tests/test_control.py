import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

README = (Path(__file__).parents[1] / "sandbox" / "README.md").read_text()


def test_monitors_change_over_http(control, client):
    """Every change of a monitor can be made."""
    number = control.post("/vigilmon/add", json={"name": "svc1", "url": "https://svc1.example.com"}).json()["result"]
    vigilmon = client("/vigilmon/api/v1", "vtk_sandbox")

    def shown():
        return [(m["name"], m["current_status"]) for m in vigilmon.get("/monitors").json()["data"]]

    seen = []
    for change, body in (
        ("down", {"cause": "HTTP 503"}),
        ("up", {}),
        ("pause", {}),
        ("resume", {}),
        ("change", {"name": "new"}),
        ("remove", {}),
    ):
        assert control.post(f"/vigilmon/{change}", json={"id": number, **body}).status_code == 200
        seen += shown() or [None]
    assert seen == [("svc1", "down"), ("svc1", "up"), ("svc1", "paused"), ("svc1", "pending"), ("new", "pending"), None]


def test_the_other_vendors_change_over_http(control, client):
    """A hijack appears, an alert is triggered, suppressed and cleared, an incident is snoozed and resolved by hand."""
    control.post("/packetvis/notify", json={"type": "hijack", "severity": 4})
    rule = control.post("/thousandeyes/add_rule", json={"name": "r"}).json()["result"]
    alert = control.post("/thousandeyes/trigger", json={"rule": rule}).json()["result"]
    for change in ("suppress", "clear"):
        assert control.post(f"/thousandeyes/{change}", json={"id": alert}).status_code == 200
    control.post("/bigpanda/send_event", json={"host": "h", "status": "critical"})
    incident = control.get("/bigpanda/incidents").json()[0]["id"]
    for change in ("snooze", "resolve"):
        assert control.post(f"/bigpanda/{change}", json={"incident": incident}).status_code == 200
    assert control.get("/packetvis/notifications").json()[0]["type"] == "hijack"
    assert control.get("/thousandeyes/alerts").json()[0]["suppressed"] is True
    assert control.get("/bigpanda/incidents").json()[0]["active"] is False


@pytest.mark.parametrize(
    ("call", "body", "status"),
    [
        ("vigilmon/down", {"id": 9}, 400),
        ("vigilmon/down", {"number": 9}, 400),
        ("vigilmon/change", {"id": 1, "colour": "red"}, 400),
        ("vigilmon/explode", {}, 404),
        ("settings", {"vigilmon": {"per_hour": 1}}, 400),
        ("webhooks", {"vendor": "packetvis", "url": "http://127.0.0.1:9"}, 400),
    ],
)
def test_impossible_change_is_an_error(control, call, body, status):
    """With the reason."""
    control.post("/vigilmon/add", json={"name": "svc1", "url": "https://svc1.example.com"})
    answer = control.post(f"/{call}", json=body)
    assert (answer.status_code, "error" in answer.json()) == (status, True)


def test_any_body_can_be_sent_as_a_webhook(control, receiver):
    """Also bodies that the world never makes."""
    send = {"vendor": "thousandeyes", "body": {"eventType": "AGENT_ALERT_NOTIFICATION_TRIGGER"}}
    assert control.post("/webhooks/send", json=send).status_code == 400
    control.post("/webhooks", json={"vendor": "thousandeyes", "url": receiver.url, "bearer": "t"})
    assert control.post("/webhooks/send", json=send).status_code == 200
    receiver.wait_for(1)
    assert receiver.got[0][0]["Authorization"] == "Bearer t"


def test_requests_are_counted(sandbox, control, client):
    """Per vendor: how many, to which templates, with which methods and whose credentials, as a hash."""
    vigilmon = client("/vigilmon/api/v1", "vtk_sandbox")
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    vigilmon.get("/monitors")
    vigilmon.get(f"/monitors/{number}")
    vigilmon.delete(f"/monitors/{number}")
    counted = control.get("/requests").json()["vigilmon"]
    assert counted["paths"] == {"/api/v1/monitors": 1, "/api/v1/monitors/{id}": 2}
    assert (counted["count"], counted["not_get"], counted["peak_per_minute"]) == (3, 1, 3)
    assert counted["statuses"] == {"200": 2, "405": 1}
    assert len(counted["authorization"]) == 1
    assert "vtk_sandbox" not in str(counted)


def test_invalid_query_is_an_error(control):
    """A number that is none is refused."""
    assert control.get("/bigpanda/events?after=x").status_code == 400


def test_reset_restores_the_start(sandbox, control):
    """No faults, no counts, an empty world, the default settings."""
    control.post("/populate", json={"monitors": 3})
    control.post("/faults", json={"vendor": "vigilmon", "kind": "hang"})
    control.post("/settings", json={"vigilmon": {"per_minute": 1}})
    assert control.post("/reset").status_code == 200
    assert control.get("/faults").json() == []
    assert control.get("/vigilmon/monitors").json() == []
    assert control.get("/settings").json()["vigilmon"]["per_minute"] == 60
    assert sandbox.traffic.described() == {}


def test_every_control_call_is_documented(sandbox):
    """README.md has a line for each, and none that does not exist."""
    exist = {f"POST /control/{name}" for name in sandbox.control.changes}
    exist |= {f"GET /control/{name}" for name in sandbox.control.reads} | {"DELETE /control/faults"}
    assert set(re.findall(r"^\| `((?:GET|POST|DELETE) /control/[\w./]*)", README, re.MULTILINE)) == exist


def test_command_prints_its_url_and_stops_on_sigterm():
    """Even while a connection is open."""
    command = [sys.executable, "-m", "tests.sandbox", "--monitors", "3", "--endpoints", "good", "silent"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as program,
        requests.Session() as session,
    ):
        session.trust_env = False
        url = program.stdout.readline().strip()
        assert len(session.get(f"{url}/control/vigilmon/monitors", timeout=30).json()) == 3
        assert len(session.get(f"{url}/control/certificates", timeout=30).json()) == 2
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0
