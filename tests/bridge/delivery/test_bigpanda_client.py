import json
import socket
import threading
import time

import pytest
import requests
import responses

from bridge.config import BigPanda as Settings
from bridge.delivery.bigpanda_client import BigPanda, body
from bridge.errors import DeliveryError, Rejected, Stopped, Transient
from exporter.toolkit.config_types import Secret
from tests.toolkit.talking import answer, dying_when_reused, serving

URL = "https://api.bigpanda.test/data/v2/alerts"
EVENTS = ['{"timestamp":20, "incident_identifier":"prod:ü"}', '{"timestamp":10,"incident_identifier":"prod:1"}']


def settings(**changed):
    """Give the settings without the checks of bridge.yml, which would miss a token file that is not there."""
    return Settings.model_construct(**{"url": URL, "token": Secret("tok-7c1"), "timeout": 2.0} | changed)


@pytest.fixture
def bigpanda():
    client = BigPanda(settings())
    yield client
    client.close()


@responses.activate
def test_a_request_is_one_batch_with_the_token(bigpanda):
    """The app key is beside the alerts, which ascend by timestamp; the token is only in the header."""
    call = responses.post(URL, status=201, body="created")
    assert bigpanda.send(EVENTS, "my-app") == "accepted"
    request = call.calls[0].request
    assert request.headers["Authorization"] == "Bearer tok-7c1"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {"app_key": "my-app", "alerts": [json.loads(EVENTS[1]), json.loads(EVENTS[0])]}
    assert b"tok-7c1" not in request.body


def test_the_same_events_are_the_same_bytes():
    """Each event is sent as it was frozen, so that BigPanda detects a duplicate."""
    assert body(EVENTS, 'a"b') == f'{{"app_key":"a\\"b","alerts":[{EVENTS[1]},{EVENTS[0]}]}}'.encode()
    assert body([], "a") == b'{"app_key":"a","alerts":[]}'


@responses.activate
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_is_success(bigpanda, status):
    """BigPanda documents 201 here, and 200 and 202 elsewhere."""
    responses.post(URL, status=status, body="{not json")
    assert bigpanda.send(EVENTS, "a") == "accepted"


@responses.activate
def test_204_is_a_duplicate(bigpanda):
    """BigPanda has this event already: success."""
    responses.post(URL, status=204)
    assert bigpanda.send(EVENTS, "a") == "duplicate"


@responses.activate
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Stopped),
        (400, Rejected),
        (401, Stopped),
        (403, Stopped),
        (404, Stopped),
        (405, Stopped),
        (407, Stopped),
        (408, Transient),
        (409, Rejected),
        (410, Stopped),
        (413, Rejected),
        (422, Rejected),
        (425, Transient),
        (429, Transient),
        (500, Transient),
        (501, Transient),
        (502, Transient),
        (503, Transient),
        (504, Transient),
        (599, Transient),
    ],
)
def test_each_status_is_one_kind_of_error(bigpanda, status, kind):
    """With its status."""
    call = responses.post(URL, status=status, headers={"Location": "https://elsewhere.test/"})
    with pytest.raises(DeliveryError) as raised:
        bigpanda.send(EVENTS, "a")
    assert type(raised.value) is kind
    assert raised.value.status == status
    assert call.call_count == 1
    assert "tok-7c1" not in str(raised.value)


@responses.activate
@pytest.mark.parametrize(
    "kind", [ConnectionError, TimeoutError, requests.exceptions.SSLError, requests.exceptions.ReadTimeout]
)
def test_transport_errors_are_transient(bigpanda, kind):
    """No exception of the HTTP client is passed on, and no message has a URL or a token."""
    responses.post(URL, body=kind("https://x.test/?token=tok-7c1"))
    with pytest.raises(Transient) as raised:
        bigpanda.send(EVENTS, "a")
    assert "tok-7c1" not in str(raised.value)


@responses.activate
def test_an_echoed_token_is_masked(bigpanda):
    """BigPanda's message is kept without the token that it quotes."""
    responses.post(URL, status=400, json={"errors": ["no such header: Authorization: Bearer tok-7c1", "tok-7c1?"]})
    with pytest.raises(Rejected) as raised:
        bigpanda.send(EVENTS, "a")
    expected = "BigPanda answered 400: no such header: Authorization: Bearer <secret>; <secret>?"
    assert str(raised.value) == expected


@responses.activate
def test_a_login_page_is_no_acceptance(bigpanda):
    """A proxy that answers 200 with its login page: the destination is down."""
    responses.post(URL, status=200, body="<html><head><title>Log\n in</title>…", content_type="text/html")
    with pytest.raises(Stopped, match=r"BigPanda answered 200, but did not accept: a web page \(Log in\)"):
        bigpanda.send(EVENTS, "a")


@responses.activate
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_web_page_is_recognized_in_any_encoding(bigpanda, encoding):
    """A gateway need not write UTF-8."""
    responses.post(URL, status=201, body="<!DOCTYPE html><title>Log in</title>".encode(encoding))
    with pytest.raises(Stopped, match=r"a web page \(Log in\)"):
        bigpanda.send(EVENTS, "a")


@responses.activate
def test_a_new_token_is_used_at_once(tmp_path):
    """A replaced token file is used for the next request."""
    file = tmp_path / "token"
    file.write_text("old")
    call = responses.post(URL, status=201)
    client = BigPanda(settings(token=Secret(file=file)))
    client.send(EVENTS, "a")
    file.write_text("newer")
    client.send(EVENTS, "a")
    client.close()
    assert [one.request.headers["Authorization"] for one in call.calls] == ["Bearer old", "Bearer newer"]


@responses.activate
def test_the_body_of_a_redirect_is_not_read(bigpanda):
    """However long it is."""
    responses.post(URL, status=302, body=b"x" * 20_000_000, headers={"Location": "http://elsewhere.test/"})
    with pytest.raises(Stopped, match=r"^BigPanda answered 302$"):
        bigpanda.send(EVENTS, "a")


@pytest.fixture
def dripping():
    """Yield the URL of a server that sends its answer a byte every 100 ms, from `first` on."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + b"x" * 500

    def serve(at_once):
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer[:at_once])
            for byte in answer[at_once:]:
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    return
                if done.wait(0.1):
                    return

    threads = []

    def start(at_once):
        threads.append(threading.Thread(target=serve, args=[at_once]))
        threads[0].start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield start
    done.set()
    for thread in threads:
        thread.join(30)
    server.close()


@pytest.mark.parametrize("at_once", [5, 50])
def test_slow_response_ends_at_the_deadline(dripping, at_once):
    """Bytes that trickle, in the head or the body, do not extend the timeout."""
    client = BigPanda(settings(url=dripping(at_once), timeout=0.5))
    began = time.monotonic()
    with pytest.raises(Transient):
        client.send(EVENTS, "a")
    client.close()
    assert time.monotonic() - began < 30  # 45 bytes of head would take 4.5 s, the body 50 s


def test_kept_connection_that_broke_off_is_no_failure():
    """Or every rest of BigPanda's or of a load balancer's would open the circuit; the same bytes are a duplicate."""
    with serving(dying_when_reused(lambda connection, _: connection.close())) as server:
        client = BigPanda(settings(url=server.url, timeout=60.0))
        assert [client.send(EVENTS, "a") for _ in range(2)] == ["accepted"] * 2
        client.close()
    assert len(set(server.requests)) == 1


def test_closed_client_keeps_no_connection():
    """A reload of bridge.yml makes another."""
    ended = threading.Event()

    def act(connection, server):
        for _ in server.heads(connection):
            connection.sendall(answer())
        ended.set()

    with serving(act) as server:
        client = BigPanda(settings(url=server.url, timeout=60.0))
        client.send(EVENTS, "a")
        assert not ended.is_set()
        client.close()
        assert ended.wait(60)


def test_a_refused_connection_is_transient():
    """It is retried."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = BigPanda(settings(url=f"http://127.0.0.1:{port}/"))
    with pytest.raises(Transient, match="connection refused"):
        client.send(EVENTS, "a")
    client.close()
