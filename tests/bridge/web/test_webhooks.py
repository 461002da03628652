import base64
import gzip
import json
import socket
import threading
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import requests

from bridge.domain.incident import Incident
from bridge.domain.notification import Outcome
from bridge.errors import Unavailable
from bridge.metrics import Metrics
from bridge.receivers import alertmanager
from bridge.web.application import create_app
from bridge.web.webhooks import Webhooks
from exporter.toolkit.periodic import Clock
from tests.bridge.serving import current_of, serving
from tests.waiting import eventually

PATH = "/webhooks/alertmanager/prod"
BEARER = {"Authorization": "Bearer am-token"}
ALERT = {
    "status": "firing",
    "labels": {"alertname": "Down", "severity": "critical"},
    "annotations": {},
    "startsAt": "2026-11-20T20:54:08.9Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "59b0d025d8e99da7",
}
GOOD = {"version": "4", "receiver": "hook", "status": "firing", "alerts": [ALERT], "truncatedAlerts": 2}


class Front:
    """The receiver routes with one receiver, before a store in memory."""

    def __init__(self, folder):
        self.token = folder / "token"
        self.token.write_text("am-token")
        self.accepted, self.quarantined = [], []
        self.failure = self.held = None
        self.metrics = Metrics()
        settings = alertmanager.Settings.model_validate(
            {
                "receiver": "alertmanager",
                "source": "prod",
                "app_key": "app",
                "bearer_token_file": str(self.token),
                "username": "am",
                "password": "pass word",
            }
        )
        self.receiver = settings
        self.receivers = lambda: {("alertmanager", "prod"): self.receiver}
        self.loops = {}
        current, now = lambda: replace(current_of(self.receiver), **self.loops), 1_800_000_000.0
        webhooks = Webhooks(current, self._submit, self.metrics, clock=Clock(lambda: now))
        self.app = create_app([webhooks.blueprint()])
        self.client = self.app.test_client()

    def _submit(self, notification, now):
        settled = Future()
        unreadable = bool(notification.unreadable) and not notification.alerts
        if unreadable and self.held is not None:
            self.held.append(settled)
        elif self.failure:
            settled.set_exception(self.failure)
        elif unreadable:
            [kept] = notification.unreadable
            self.quarantined.append((notification.receiver, notification.source, kept.reason, kept.body, now))
            settled.set_result(Outcome(quarantined=1))
        else:
            self.accepted.append(notification)
            firing, odd = len(notification.alerts), len(notification.unreadable)
            settled.set_result(Outcome(queued=firing, quarantined=odd, unmapped=1))
        return settled

    def post(self, body, headers=BEARER, kind="application/json", path=PATH):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(path, data=content, headers=headers, content_type=kind)

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"vendorwatch_bridge_{name}", labels)


@pytest.fixture
def front(tmp_path):
    return Front(tmp_path)


def test_200_follows_the_commit(front):
    """A valid webhook is stored as a whole, counted, and answered in a word."""
    answer = front.post(GOOD)
    assert (answer.status_code, answer.data) == (200, b"accepted\n")
    [notification] = front.accepted
    assert [alert.key for alert in notification.alerts] == ["prod:59b0d025d8e99da7"]
    assert notification.receiver_name == "hook"
    where = {"receiver": "alertmanager", "source": "prod"}
    assert front.value("notifications_total", outcome="accepted", **where) == 1
    assert front.value("alerts_total", status="firing", **where) == 1
    assert front.value("events_total", outcome="queued", source="prod") == 1
    assert front.value("truncated_alerts_total", source="prod") == 2
    assert front.value("unmapped_severities_total", source="prod") == 1


@pytest.mark.parametrize(
    ("found", "failure", "woken"),
    [
        ({}, None, []),
        ({"truncated": 1}, None, ["reconciler"]),
        ({"incidents": [Incident(id="i")]}, None, ["follow-up"]),
        ({"truncated": 1, "incidents": [Incident(id="i")]}, Unavailable("busy"), []),
    ],
)
def test_durable_webhook_is_followed_up_at_once(front, monkeypatch, found, failure, woken):
    """What it left out is fetched, and what it says of incidents is acted upon; the page shows when it came."""
    done, last = [], {}
    reconciler, follow_up = (SimpleNamespace(wake=partial(done.append, name)) for name in ("reconciler", "follow-up"))
    front.loops = {"last_webhook": last, "reconcilers": {"prod": reconciler}, "follow_ups": {"prod": follow_up}}
    monkeypatch.setattr(alertmanager, "translate", lambda _body, settings, _now: settings.notification(**found))
    front.failure = failure
    front.post({})
    assert (done, last) == (woken, {} if failure else {("alertmanager", "prod"): 1_800_000_000.0})


def test_skipped_messages_are_counted(front, monkeypatch):
    """A watchdog's alert, a test message, an unknown event: 200, not sent, counted as skipped."""
    monkeypatch.setattr(alertmanager, "translate", lambda _body, settings, _now: settings.notification(ignored=3))
    assert front.post({}).status_code == 200
    assert front.value("events_total", outcome="skipped", source="prod") == 3


def test_one_bad_alert_is_quarantined_alone(front, caplog):
    """The readable alerts are accepted; the other one is counted and logged."""
    assert front.post(GOOD | {"alerts": [ALERT, {"status": "odd"}, 7]}).status_code == 200
    [notification] = front.accepted
    assert (len(notification.alerts), len(notification.unreadable)) == (1, 2)
    assert front.value("events_total", outcome="quarantined", source="prod") == 2
    assert "Quarantined 2 unreadable alerts of a webhook for alertmanager/prod: labels: missing" in caplog.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/webhooks/alertmanager/other", 404),
        ("/webhooks/vigilmon/prod", 404),
        ("/webhooks/alertmanager", 404),
        ("/webhooks/alertmanager/prod/more", 404),
    ],
)
def test_an_unknown_source_is_not_found(front, path, status):
    """Only configured sources have a path, and only they are counted: strangers may name any number of others."""
    assert front.post(GOOD, path=path).status_code == status
    (counted,) = (one for one in front.metrics.registry.collect() if one.name == "vendorwatch_bridge_notifications")
    assert not counted.samples


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods_are_405(front, method):
    """With the allowed one."""
    answer = getattr(front.client, method)(PATH, headers=BEARER)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/cloudevents+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_other_content_types_are_415(front, kind, status):
    """JSON in any of its spellings is accepted."""
    assert front.post(GOOD, kind=kind).status_code == status


@pytest.mark.parametrize(
    ("encoding", "status"), [("identity", 200), ("", 200), ("gzip", 415), ("GZIP", 415), ("zstd, gzip", 415)]
)
def test_compressed_body_is_415(front, encoding, status):
    """Counted, and not quarantined: nobody could read it."""
    body = gzip.compress(json.dumps(GOOD).encode()) if status == 415 else GOOD
    answer = front.post(body, BEARER | {"Content-Encoding": encoding})
    assert answer.status_code == status
    assert not front.quarantined
    if status == 415:
        assert answer.data == b"Content-Encoding is not supported\n"
        assert front.value("notifications_total", outcome="unsupported", receiver="alertmanager", source="prod") == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON: Expecting value at character 0"),
        (b'{"alerts": [', "the body is not JSON: Expecting value at character 12"),
        (b"\xff\xfe\xfa", "the body is not JSON: Expecting value at character 0"),
        (b'{"alerts": "x', "the body is not JSON: Unterminated string starting at character 11"),
        (b'{"alerts": ' + b"9" * 5000 + b"}", "the body is not readable JSON"),
        (b"[1, 2]", "the body is not an object"),
        (b"null", "the body is not an object"),
        (b'"text"', "the body is not an object"),
        (b"{}", "alerts: missing"),
        (b'{"alerts": {}}', "alerts: not a list"),
    ],
)
def test_unreadable_body_is_400_and_quarantined(front, body, reason):
    """With the reason."""
    answer = front.post(body)
    assert (answer.status_code, answer.data.decode()) == (400, reason + "\n")
    [(receiver, source, problem, kept, _)] = front.quarantined
    assert (receiver, source, problem) == ("alertmanager", "prod", reason)
    assert kept == body.decode("utf-8", "replace")
    assert front.value("notifications_total", outcome="unreadable", receiver="alertmanager", source="prod") == 1


def test_only_the_beginning_of_a_large_unreadable_body_is_kept(front):
    """A megabyte of it."""
    front.post(b"[" + b" " * 1_000_000)
    ((_receiver, _source, _problem, kept, _at),) = front.quarantined
    assert len(kept) == 1_000_000


def test_deeply_nested_body_is_400(front):
    """Python before 3.14 refuses the depth, later ones read to the end and miss the rest."""
    assert front.post(b"[" * 50_000).status_code == 400


@pytest.mark.parametrize("failure", [Unavailable("database: busy"), RuntimeError("am-token"), OSError("disk")])
@pytest.mark.parametrize("body", [GOOD, b"no json"])
def test_internal_error_is_503(front, caplog, failure, body):
    """The sender retries, and gets no details."""
    front.failure = failure
    answer = front.post(body)
    assert (answer.status_code, answer.data) == (503, b"not now; try again\n")
    assert front.value("notifications_total", outcome="unavailable", receiver="alertmanager", source="prod") == 1
    assert len(caplog.records) == 1
    assert "59b0d025d8e99da7" not in caplog.text


def test_body_with_too_many_objects_is_rejected_unparsed(front):
    """Logged, with its beginning quarantined; parsed objects need thirty times the memory."""
    body = b'{"alerts": [' + b"{}," * 100_000 + b"{}]}"
    tracemalloc.start()
    answer = front.post(body)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, answer.text) == (400, "the body has more than 100000 objects and lists\n")
    assert peak < 10 * len(body)
    ((_receiver, _source, reason, kept, _at),) = front.quarantined
    assert (reason, kept[:16]) == ("the body has more than 100000 objects and lists", '{"alerts": [{},{')


@pytest.fixture
def served(front):
    """Put the views behind the front, as the program does."""
    with serving(front.app, front.receivers, front.metrics, max_body=100_000) as (host, port):
        yield SimpleNamespace(front=front, url=f"http://{host}:{port}{PATH}", address=(host, port))


def post(served, content, headers=BEARER, path=PATH):
    url = served.url.removesuffix(PATH) + path
    return requests.post(url, data=content, headers=headers | {"Content-Type": "application/json"}, timeout=30)


def test_webhooks_do_not_wait_behind_unreadable_bodies(served):
    """However many of them, and however long the database takes to keep them."""
    served.front.held = held = []
    with ThreadPoolExecutor(5) as pool:
        unreadable = [pool.submit(post, served, b"no json") for _ in range(5)]
        try:
            eventually(lambda: len(held) == 5)
            assert post(served, json.dumps(GOOD)).status_code == 200
        finally:
            for one in held:
                one.set_result(Outcome(quarantined=1))
        assert [one.result(30).status_code for one in unreadable] == [400] * 5


def basic(pair):
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (BEARER, 200),
        ({"Authorization": "bearer am-token"}, 200),
        (basic("am:pass word"), 200),
        ({}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "am-token"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer am-token2"}, 401),
        ({"Authorization": "Bearer am-toke"}, 401),
        ({"Authorization": "Basic am-token"}, 401),
        ({"Authorization": "Bearer \xe9\xff"}, 401),
        (basic("am:wrong"), 401),
        (basic("other:pass word"), 401),
    ],
)
def test_credentials_are_checked_first(served, headers, status):
    """Any of the receiver's credentials is enough; nothing else is checked before."""
    answer = post(served, json.dumps(GOOD) if status == 200 else b"no json", headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="webhooks", Basic realm="webhooks"'
        assert not served.front.accepted
        assert not served.front.quarantined
        where = {"receiver": "alertmanager", "source": "prod"}
        assert served.front.value("notifications_total", outcome="unauthorized", **where) == 1
        assert served.front.value("http_refusals_total", reason="unauthorized") == 1


def test_rotated_token_is_used_at_once(served):
    """A changed token file is re-read."""
    served.front.token.write_text("rotated")
    assert post(served, json.dumps(GOOD)).status_code == 401
    assert post(served, json.dumps(GOOD), {"Authorization": "Bearer rotated"}).status_code == 200


@pytest.mark.parametrize("path", [f"{PATH}/", f"/{PATH}", "//webhooks//alertmanager/prod//"])
def test_doubled_and_trailing_slashes_are_accepted(served, path):
    """As senders build them from a configured URL."""
    assert post(served, json.dumps(GOOD), path=path).status_code == 200
    assert len(served.front.accepted) == 1


@pytest.mark.parametrize(
    "path", ["/webhooks/alertmanager/other", "/webhooks/vigilmon/prod", f"{PATH}/more", "/webhooks"]
)
def test_an_unknown_receiver_is_not_found_whatever_is_sent(served, path):
    """404 without reading the body: with credentials or without, small or large."""
    assert [
        post(served, body, headers, path).status_code for headers in ({}, BEARER) for body in (b"{}", bytes(500_000))
    ] == [404] * 4
    assert served.front.value("http_refusals_total", reason="not_found") == 4


def test_max_body_is_exact(served):
    """With any Content-Length."""
    content = json.dumps(GOOD).encode()
    assert post(served, content + b" " * (100_000 - len(content))).status_code == 200
    for body in (content + b" " * (100_001 - len(content)), iter([content, b" " * (100_001 - len(content))])):
        answer = post(served, body)
        assert (answer.status_code, answer.text) == (413, "larger than 100000 bytes\n")
    assert served.front.value("notifications_total", outcome="too_large", receiver="alertmanager", source="prod") == 2


def test_rejections_of_the_views_are_counted_and_logged(served, caplog):
    """Once a minute for each reason and receiver, with the peer's address and no secret."""
    url = served.url
    for _ in range(3):
        assert (
            requests.post(url, data=b"{}", headers=BEARER | {"Content-Type": "text/plain"}, timeout=30).status_code
            == 415
        )
    assert requests.get(url, headers=BEARER, timeout=30).status_code == 405
    assert requests.get(url.removesuffix(PATH) + "/am-token", timeout=30).status_code == 404
    unknown = requests.post(f"{url}uction", data=b"{}", timeout=30)
    assert (unknown.status_code, unknown.text) == (404, "no such receiver: alertmanager/production\n")
    assert [
        served.front.value("http_refusals_total", reason=reason) for reason in ("unsupported", "method", "not_found")
    ] == [3, 1, 2]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "Request for alertmanager/prod from 127.0.0.1 rejected (415): not application/json",
        "Request for alertmanager/prod from 127.0.0.1 rejected (405): Method not allowed",
        "Request from 127.0.0.1 rejected (404): Not Found",
        "Request from 127.0.0.1 rejected (404): no such receiver: alertmanager/production",
    ]


def pieces(total):
    for _ in range(total // 10_000):
        yield b" " * 10_000


@pytest.mark.parametrize(
    ("size", "headers", "status"),
    [(5_000_000, BEARER, 413), (5_000_000, {}, 401), (50_000, {}, 401)],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_rejected_sender_gets_its_response(served, size, headers, status, chunked):
    """Even if it is still sending, with Content-Length or chunks."""
    body = pieces(size) if chunked else b" " * size
    answer = requests.post(served.url, data=body, headers=headers | {"Content-Type": "application/json"}, timeout=30)
    assert answer.status_code == status


def test_chunked_body_is_read(served):
    """A body without an announced length is read to its end."""
    content = json.dumps(GOOD).encode()
    answer = requests.post(
        served.url,
        data=iter([content[:50], content[50:]]),
        headers=BEARER | {"Content-Type": "application/json"},
        timeout=30,
    )
    assert answer.status_code == 200
    assert len(served.front.accepted) == 1


def test_incomplete_body_changes_nothing(served):
    """Neither accepted nor quarantined."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer am-token\r\n"
    with socket.create_connection(served.address) as connection:
        connection.sendall(f'{head}Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{{"alerts": ['.encode())
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        connection.recv(1000)
    assert not served.front.accepted
    assert not served.front.quarantined


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [(PATH, "am-token", b"400"), (PATH, "wrong", b"401"), ("/webhooks/alertmanager/elsewhere", "am-token", b"404")],
)
@pytest.mark.parametrize("piece", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}??"])
def test_invalid_chunks_are_400(served, path, token, status, piece):
    """Never 500."""
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    with socket.create_connection(served.address, timeout=30) as connection:
        connection.sendall(request.encode() + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        if status == b"400":
            connection.sendall(piece)
        assert connection.recv(65_536).split()[1] == status
    assert not served.front.accepted
    assert not served.front.quarantined


def test_slow_sender_does_not_block_others(served):
    """While one body dribbles in, others are answered."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer am-token\r\nContent-Type: application/json\r\n"
    with socket.create_connection(served.address) as slow:
        slow.sendall(f"{head}Content-Length: 90000\r\n\r\n".encode())
        answers = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(
                    requests.post(served.url, json=GOOD, headers=BEARER, timeout=30).status_code
                )
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert answers == [200] * 8
