"""Hostile and broken senders: their status codes, and no effect on other senders."""

import contextlib
import json
import random
import re
import socket
import threading
from pathlib import Path

import pytest
import requests

from tests.store import Store
from tests.system.bridging import (
    BEARER,
    RECEIVER,
    SOURCE,
    TOKEN,
    WEBHOOK,
    Sender,
    Station,
    alert,
    dead_letters,
    post,
    webhook,
)
from tests.system.running import PATIENCE, until

pytestmark = pytest.mark.system

JSON = {"Content-Type": "application/json"}
MOST = 50_000_000
GOOD = json.dumps(webhook([alert("good", "critical")])).encode()
TAG = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@contextlib.contextmanager
def besieging(folder):
    """Give a station, and a bridge that takes up to `MOST` bytes."""
    station = Station(folder)
    with station.sandbox:
        station.configure(max_body="50MB", receivers=[RECEIVER])
        with station.bridge() as running:
            yield station, running


def unharmed(station, bridge, pid):
    """See that it is the same process, has no traceback in its log, and takes a fresh alert."""
    assert (bridge.pid, bridge.running) == (pid, True)
    assert "Traceback" not in bridge.log.read_text()
    station.fresh(bridge.url)


@pytest.fixture(scope="module")
def besieged(tmp_path_factory):
    """Run one bridge, to which all come."""
    with besieging(tmp_path_factory.mktemp("besieged")) as found:
        yield found


@pytest.fixture
def station(besieged):
    return besieged[0]


@pytest.fixture
def bridge(besieged, logged):
    """Give the bridge; afterwards it is unharmed."""
    station, running = besieged
    logged([running])
    pid = running.pid
    yield running
    unharmed(station, running, pid)


def quarantined(station, bridge):
    """Return how many bodies are in quarantine; the metric, which is cached, comes to say the same."""
    store = Store(station.database)
    count = len(store.quarantine.oldest())
    store.close()
    said = f"vendorwatch_bridge_quarantined_bodies {count}.0\n"
    until("the metric says how many", lambda: said in bridge.get("/metrics").text)
    return count


def send(bridge, body, path=WEBHOOK, **headers) -> int:
    found = {**BEARER, **JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    given = {name: value for name, value in found.items() if value is not None}
    return requests.post(bridge.url + path, data=body, headers=given, timeout=PATIENCE).status_code


BROKEN = {
    "nothing": b"",
    "a brace": b"{",
    "cut off": GOOD[:-20],
    "not UTF-8": b'{"alerts": "\xff\xfe"}',
    "null": b"null",
    "a list": b"[]",
    "a number": b"1e999",
    "no alerts": b"{}",
    "alerts is null": b'{"alerts": null}',
    "alerts is a number": b'{"alerts": NaN}',
    "alerts is an object": b'{"alerts": {"0": {}}}',
    "deep": b"[" * 200_000,
    "a long number": b'{"alerts": ' + b"9" * 10_000 + b"}",
}


def test_unreadable_bodies_are_answered_400_and_quarantined(station, bridge):
    """Each body that can never be read is kept."""
    before = quarantined(station, bridge)
    assert {name: send(bridge, body) for name, body in BROKEN.items()} == dict.fromkeys(BROKEN, 400)
    assert quarantined(station, bridge) == before + len(BROKEN)


def test_rejected_requests_have_their_status_codes(bridge):
    """401, 404, 405, 413 and 415, whatever else is wrong with the request."""
    wrong = [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        TOKEN,
        "Bearer \xe9",
        "Basic !!!",
    ]
    for credentials in wrong:
        assert send(bridge, GOOD, Authorization=credentials) == 401, credentials
        assert send(bridge, b"{", Authorization=credentials) == 401, credentials
    for path in ("/webhooks/alertmanager/other", "/webhooks/vigilmon/prod", "/webhooks/alertmanager/..%2fprod"):
        assert send(bridge, GOOD, path) == 404, path
    assert send(bridge, GOOD, "/metrics") == 405
    assert bridge.get(WEBHOOK).status_code == 405
    for kind in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        assert send(bridge, GOOD, Content_Type=kind) == 415, kind
    assert send(bridge, b" " * (MOST + 1)) == 413
    assert send(bridge, pieces(MOST + 1)) == 413


def pieces(size, piece=1_000_000):
    """Give a body of blanks without telling its length before: it is sent in chunks."""
    for start in range(0, size, piece):
        yield b" " * min(piece, size - start)


def test_strange_labels_do_not_change_the_event(station, bridge):
    """Labels named like members of an event do not replace them; every name and value is valid for BigPanda."""
    labels = {
        "status": "ok",
        "timestamp": "0",
        "app_key": "stolen",
        "incident_identifier": "other",
        "primary_property": "x",
        "alerts": "[]",
        "größe": "ü" * 5000,
        "n" * 100: "long",
        "n" * 99 + "m": "long too",
        "__name__": "up",
        "_": "underscore",
        "9lives": "digit",
        "日本": "東京",
        "nul": "a\0b\ud800c",
        "": "no name",
        "big": "x" * 5000,
    }
    found = alert("strange", "critical")
    found["labels"] |= labels
    found["annotations"] = {"description": "d" * 5000, "status": "ok", "größe": "y" * 5000}
    before = len(station.events)
    assert send(bridge, json.dumps(webhook([found])).encode()) == 200
    station.ledger.note(f"{SOURCE}:strange", "critical")
    station.settle()

    (event,) = station.events[before:]
    assert (event["status"], event["label_status"], event["label_app_key"]) == ("critical", "ok", "stolen")
    assert event["incident_identifier"] == f"{SOURCE}:strange"
    assert [name for name in event if not TAG.fullmatch(name)] == []
    assert [name for name, value in event.items() if name != "description" and len(str(value)) > 512] == []
    assert len(event["description"]) == 2048
    assert dead_letters(station) == {}


ODD = (None, 5, -1, 1e300, "", "x", [], {}, [None], {"a": {"b": 1}}, True, "9" * 400, "2026-13-45T99:99:99Z", "\ud800")


def mutated(chance: random.Random, number: int) -> dict:
    """Return a webhook of one alert in which some members are missing or something else."""
    body = webhook([alert(f"m{number}", "critical")])
    for _ in range(chance.randint(1, 3)):
        place = chance.choice([body, body["alerts"][0], body["alerts"][0]["labels"]] if _sound(body) else [body])
        name = chance.choice(sorted(place) or ["new"])
        if chance.random() < 0.3:
            place.pop(name, None)
        else:
            place[name] = chance.choice(ODD)
    return body


def _sound(body) -> bool:
    alerts = body.get("alerts")
    return (
        isinstance(alerts, list)
        and alerts
        and isinstance(alerts[0], dict)
        and isinstance(alerts[0].get("labels"), dict)
    )


def test_wrong_types_and_missing_members(station, bridge):
    """A missing member or one of another type is answered 200 or 400, and every event is valid for BigPanda."""
    chance, before = random.Random(7), len(station.events)
    statuses = {send(bridge, json.dumps(mutated(chance, number)).encode()) for number in range(300)}
    assert statuses == {200, 400}
    page = bridge.get("/metrics").text
    assert 'outcome="unavailable",receiver="alertmanager",source="prod"} 0.0' in page
    until(
        "nothing waits", lambda: 'vendorwatch_bridge_outbox_events{state="waiting"} 0.0' in bridge.get("/metrics").text
    )
    assert dead_letters(station) == {}
    for event in station.events[before:]:
        station.ledger.note(event["incident_identifier"], event["status"])


def test_one_bad_alert_is_quarantined_alone(station, bridge):
    """The other alerts of the webhook are delivered."""
    neighbours = [alert(f"n{number}", "critical") for number in range(10)]
    bad = [None, 5, {}, {"status": "firing"}, alert("x", "critical") | {"labels": [], "fingerprint": None}]
    before = quarantined(station, bridge)
    assert send(bridge, json.dumps(webhook([*neighbours[:5], *bad, *neighbours[5:]])).encode()) == 200
    for one in neighbours:
        station.ledger.note(f"{SOURCE}:{one['fingerprint']}", "critical")
    station.settle()
    assert quarantined(station, bridge) == before + len(bad)


def test_forty_megabyte_webhook_is_accepted(station, bridge):
    """Other webhooks are answered meanwhile."""
    alerts = [alert(f"huge{number}", "warning") for number in range(400)]
    for one in alerts:
        one["annotations"]["description"] = "d" * 100_000
    body = json.dumps(webhook(alerts)).encode()
    assert len(body) > 40_000_000
    answered = []
    huge = threading.Thread(target=lambda: answered.append(send(bridge, body)))
    huge.start()
    other = Sender([bridge.url], station.ledger)
    number = 0
    while huge.is_alive():
        number += 1
        other.send(f"small{number}", "critical")
        huge.join(0.1)
    assert answered == [200]
    assert {answer.status for answer in other.answers} == {200}
    for one in alerts:
        station.ledger.note(f"{SOURCE}:{one['fingerprint']}", "warning")
    station.settle()


FILLED = {
    "not UTF-8": (b'{"alerts": [{"labels": {"alertname": "', b"\xff", 49_000_000),
    "half emoji": (b'{"alerts": [{"labels": {"alertname": "', rb"\ud83d", 8_000_000),
    "emoji": (b'{"alerts": [{"labels": {"alertname": "', "\U0001f600".encode(), 12_000_000),
    "one text": (b'{"alerts": [{"labels": {"alertname": "', b"x", 49_000_000),
    "texts": (b'{"alerts": [],"more": [', b'"ab",', 9_900_000),
    "alerts that are numbers": (b'{"alerts": [', b"1,", 24_000_000),
    "numbers": (b'{"alerts": [],"more": [', b"1.5,", 12_000_000),
    "too many objects": (b'{"alerts": [', b"{},", 16_000_000),
    "objects with a member": (b'{"alerts": [', b'{"a":1},', 88_000),
    "objects": (b'{"alerts": [', b"{},", 88_000),
}
"""The beginning of a body, its filling, and how often that is repeated."""
ENDS = {b"[": b"]}", b'"': b'"}}]}'}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILLED)
def test_no_webhook_needs_more_than_256_megabytes(tmp_path, logged, name):
    """The peak memory of a fresh bridge counts, whether the webhook is accepted or rejected; it is left unharmed."""
    head, piece, count = FILLED[name]
    body = head + (piece * count).rstrip(b",") + ENDS[head[-1:]]
    assert len(body) < MOST
    with besieging(tmp_path) as (station, bridge):
        logged([bridge])
        pid = bridge.pid
        assert send(bridge, body) in {200, 400}
        status = Path(f"/proc/{pid}/status").read_text()
        assert int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) < 256 * 1024
        unharmed(station, bridge, pid)


def test_chunked_and_slow_bodies_are_accepted(station, bridge):
    """A chunked body, or one that arrives slowly, is accepted."""
    assert send(bridge, iter([GOOD[:10], GOOD[10:300], GOOD[300:]])) == 200
    with begun(bridge, len(GOOD)) as dripping:
        for start in range(0, len(GOOD), 100):
            dripping.sendall(GOOD[start : start + 100])
            threading.Event().wait(0.02)
        assert dripping.recv(100).startswith(b"HTTP/1.1 200")
    station.ledger.note(f"{SOURCE}:good", "critical")
    station.settle()


@contextlib.contextmanager
def begun(bridge, length):
    """Give a connection on which the head of a webhook was sent."""
    host, port = bridge.url.removeprefix("http://").split(":")
    head = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        yield connection


def test_stalled_connections_do_not_block_webhooks(bridge):
    """Thirty connections promise a body and send none, some send no HTTP: a webhook is still answered."""
    host, port = bridge.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as held:
        for _ in range(30):
            held.enter_context(begun(bridge, 1000)).sendall(b'{"alerts"')
        for rubbish in (
            b"\x16\x03\x01\x02\x00",
            b"GET\r\n\r\n",
            b"POST / HTTP/9.9\r\n\r\n",
            b"\0" * 5000 + b"\r\n\r\n",
        ):
            held.enter_context(socket.create_connection((host, int(port)))).sendall(rubbish)
        answer = post(bridge.url, webhook([]))
    assert answer.status == 200
