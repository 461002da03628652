"""The layer in front of the application: rejections, the WSGI environment, and their logs and counters."""

import contextlib
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.toolkit.front import Lane, Route
from exporter.toolkit.refusals import Refusal, Refusals
from exporter.toolkit.web_config import WebConfigFile
from tests.waiting import eventually


def talk(address, said):
    """Return what is answered to some bytes until the server ends."""
    got = b""
    with socket.create_connection(address, 30) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            got += piece
    return got


def environs(seen):
    """Return an application that remembers what it is called with."""

    def application(environ, start_response):
        seen.append(environ | {"body": environ["wsgi.input"].read()})
        start_response("200 OK", [("Content-Length", "0")])
        return []

    return application


def test_wsgi_environment_is_complete(serve):
    """Path, query, headers and the whole body; repeated headers are joined, ambiguous names dropped."""
    seen = []
    served = serve(application=environs(seen))
    talk(
        served.address,
        b"POST /a%20b/%C3%A4?x=%20 HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/x\r\nX-A: 1\r\nX-A: 2\r\nX_B: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    (environ,) = seen
    assert environ["body"] == b"abcde"
    expected = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/a b/\xc3\xa4", "QUERY_STRING": "x=%20", "CONTENT_LENGTH": "5",
        "CONTENT_TYPE": "text/x", "HTTP_X_A": "1,2", "HTTP_HOST": "h:1", "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
    }  # fmt: skip
    assert {name: environ[name] for name in expected} == expected
    assert "HTTP_X_B" not in environ


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
)
def test_offer_of_another_protocol_is_ignored(serve, framing):
    """Java's HTTP client makes one with its first request, whose body must not be lost."""
    seen = []
    served = serve(application=environs(seen))
    head = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    got = talk(served.address, (head + framing) * 2)
    assert got.count(b"HTTP/1.1 200 ") == len(seen) == 2
    for environ in seen:
        assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["body"]) == ("/a", "b", b"{}")
        assert "HTTP_UPGRADE" not in environ
        assert environ["HTTP_X_A"] == "1"


def test_trailers_are_not_headers(serve):
    """Credentials, and everything else, are decided by the head."""
    seen = []
    admits = lambda headers, _query: (b"x-token", b"t") in headers  # noqa: E731
    served = serve(application=environs(seen), route=lambda path: Route(path=path, admits=admits))
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    body = b"\r\n1\r\na\r\n0\r\nX-Token: t\r\nX-More: y\r\n\r\n"
    assert talk(served.address, head + body).startswith(b"HTTP/1.1 401 ")
    assert talk(served.address, head + b"X-Token: t\r\n" + body).startswith(b"HTTP/1.1 200 ")
    (environ,) = seen
    assert "HTTP_X_MORE" not in environ


@pytest.mark.parametrize(("receiver", "level"), [("alertmanager/prod", "INFO"), ("", "DEBUG")])
def test_incomplete_request_is_logged(serve, caplog, receiver, level):
    """At info if it is a receiver's webhook; anybody can send another one, again and again."""
    served = serve(route=lambda path: Route(path=path, receiver=receiver))
    caplog.set_level("DEBUG", "exporter.toolkit")
    assert talk(served.address, b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf") == b""
    eventually(lambda: caplog.records)
    (record,) = caplog.records
    assert record.getMessage() == f"Client 127.0.0.1 disconnected while sending to {receiver or '/a'}"
    assert record.levelname == level


def test_failing_application_is_a_bare_503(serve, get, caplog):
    """For any exception; the next request is answered."""

    def failing(environ, start_response):
        if environ["PATH_INFO"] == "/":
            raise RuntimeError("the token is t0k")
        start_response("200 OK", [])
        return [b"fine"]

    for lane in Lane:
        served = serve(application=failing, lane=lane)
        assert get(served.address) == (503, b"not now; try again\n")
        assert get(served.address, "/other") == (200, b"fine")
    assert caplog.text.count("Request failed unexpectedly") == len(Lane)


def test_an_applications_own_header_replaces_the_usual_one(serve):
    """Two of a name would contradict each other."""

    def cached(_environ, start_response):
        start_response("200 OK", [("Cache-Control", "max-age=60"), ("Content-Length", "0")])
        return []

    found = talk(serve(application=cached).address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").lower()
    assert found.count(b"cache-control:") == found.count(b"cache-control: max-age=60\r\n") == 1
    assert b"x-content-type-options: nosniff\r\n" in found


def test_response_without_a_body_has_no_length(serve):
    """RFC 9110, 8.6: after 204 a length would announce a body."""

    def nothing(_environ, start_response):
        start_response("204 No Content", [])
        return []

    found = talk(serve(application=nothing).address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 204 ")
    assert b"content-length" not in found.lower()


def test_sender_whose_body_is_not_read_is_told_that_the_connection_closes(serve):
    """Otherwise it would send its next request on it."""
    served = serve(route=lambda path: Route(path=path, admits=lambda _headers, _query: False))
    found = talk(served.address, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    assert b"\r\nconnection: close\r\n" in found.lower()


@pytest.mark.parametrize(("method", "reasons"), [("GET", []), ("HEAD", []), ("POST", ["overloaded"])])
def test_an_applications_503_is_a_rejection_only_of_what_is_sent(serve, get, method, reasons):
    """A probe that asks whether it is ready is answered, not turned away."""

    def unready(_environ, start_response):
        start_response("503 Service Unavailable", [("Content-Length", "0")])
        return []

    served = serve(application=unready)
    assert get(served.address, method=method)[0] == 503
    assert served.reasons == reasons


@pytest.mark.parametrize(
    ("body", "message"), [(b"odd key\nand more", "odd key"), (b"<!doctype html>\n", "Not Found"), (b"", "Not Found")]
)
def test_logged_reason_of_an_applications_rejection(serve, get, body, message):
    """The first line of what it answers; the status if that is a page, or nothing, as to a HEAD."""

    def missing(_environ, start_response):
        start_response("404 Not Found", [("Content-Length", str(len(body)))])
        return [body] if body else []

    served = serve(application=missing)
    assert get(served.address) == (404, body)
    assert [refusal.message for refusal in served.refusals] == [message]


def test_response_iterables_are_closed(serve, get):
    """As in WSGI; generators too, which start late."""
    closed = threading.Event()

    def generating(_environ, start_response):
        try:
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"a"
            yield b"b"
        finally:
            closed.set()

    assert get(serve(application=generating).address) == (200, b"ab")
    assert closed.wait(30)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1000, 20_000_000])
def test_rejected_sender_gets_its_response(serve, size, chunked):
    """Even if it is still sending, and reads only at the end."""
    served = serve(route=lambda path: Route(path=path, admits=lambda _headers, _query: False))
    body = iter([bytes(size // 10)] * 10) if chunked else bytes(size)
    client = http.client.HTTPConnection(*served.address, timeout=30)
    with contextlib.closing(client):
        client.request("POST", "/", body, {}, encode_chunked=chunked)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (401, b"missing or wrong credentials\n")
    assert served.reasons == ["unauthorized"]


def test_rejected_request_without_a_body_keeps_its_connection(serve):
    """A browser asks for a password and tries again."""
    served = serve(route=lambda path: Route(path=path, admits=lambda headers, _query: (b"x-token", b"t") in headers))
    client = http.client.HTTPConnection(*served.address, timeout=30)
    with contextlib.closing(client):
        for headers, status in (({}, 401), ({"X-Token": "t"}, 200), ({}, 401)):
            client.request("GET", "/", headers=headers)
            answer = client.getresponse()
            assert (answer.status, answer.getheader("Connection")) == (status, None)
            answer.read()
            assert client.sock


def test_100_continue_is_not_sent_without_credentials(serve):
    """The final response comes at once, and the body is never sent."""
    served = serve(route=lambda path: Route(path=path, admits=lambda _headers, _query: False))
    with socket.create_connection(served.address, 30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 401"


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: chunked, x\r\n",
        b"Host: y\r\n",
        b"Content-Length: +1\r\n",
        b"X Y: z\r\n",
    ],
)
def test_malformed_request_is_counted_once(serve, head):
    """Whoever rejects it, the parser or we, the application never sees it."""
    seen = []
    served = serve(application=environs(seen))
    said = b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\nsome data"
    assert talk(served.address, said).startswith(b"HTTP/1.1 400 ")
    assert served.reasons == ["malformed"]
    assert seen == []


@pytest.mark.parametrize("burst", [1, 2])
def test_requests_beyond_the_rate_limit_are_rejected(serve, get, tmp_path, burst):
    """`rate_limit`: after a burst 429, or 503 for senders that must retry."""
    (tmp_path / "web.yml").write_text(f"rate_limit: {{interval: 1h, burst: {burst}}}")

    def route(path):
        return Route(path=path, admits=(lambda _headers, _query: True) if path == "/own" else None)

    served = serve(WebConfigFile(tmp_path / "web.yml"), route=route)
    found = [get(served.address, path)[0] for path in (*["/"] * (burst + 1), "/own")]
    assert found == [*[200] * burst, 429, 503]
    assert served.reasons == ["overloaded", "overloaded"]


def test_many_may_wait_for_a_lane_of_few_threads(serve, get):
    """A crowd at one page is served late, not turned away."""
    go_on = threading.Event()

    def waiting(_environ, start_response):
        go_on.wait(60)
        start_response("200 OK", [])
        return []

    served = serve(application=waiting, lane=Lane.SIDE)
    with ThreadPoolExecutor(40) as clients:
        found = [clients.submit(get, served.address) for _ in range(40)]
        eventually(lambda: len(served.connections) == 40 or served.reasons)
        go_on.set()
        assert {one.result()[0] for one in found} == {200}


def test_too_large_head_is_431(serve):
    """After 64 kB; trailers and chunk extensions are limited too."""
    served = serve()
    begun = b"GET / HTTP/1.1\r\nHost: x\r\n"
    chunks = begun + b"Transfer-Encoding: chunked\r\n\r\n1"
    for said, more in (
        (begun + b"X: ", b"x" * 1000),
        (chunks + b";", b"x" * 1000),
        (chunks + b"\r\na\r\n0\r\n", b"X: y\r\n" * 200),
        (chunks + b"\r\na\r\n0\r\nX: ", b"x" * 1000),
    ):
        with socket.create_connection(served.address, 30) as sock:
            sock.sendall(said)
            sock.settimeout(0.001)
            got = b""
            for _ in range(1000):
                with contextlib.suppress(TimeoutError, ConnectionError):
                    sock.sendall(more)
                    got += sock.recv(100)
                    break
            assert got.startswith(b"HTTP/1.1 431 "), said
    assert set(served.reasons) == {"too_large"}


@pytest.mark.parametrize(
    "head", [b"GET /?%b HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n"]
)
def test_complete_head_is_limited_too(serve, head):
    """However it arrives: all at once, or after another request."""
    served = serve()
    small, large = head % (b"x" * 65_000), head % (b"x" * 66_000)
    assert talk(served.address, small).startswith(b"HTTP/1.1 200 ")
    assert talk(served.address, large).startswith(b"HTTP/1.1 431 ")
    both = talk(served.address, small + large)
    assert (both.count(b"HTTP/1.1 200 "), both.count(b"HTTP/1.1 431 ")) == (1, 1)
    assert served.reasons == ["too_large"] * 2


def test_too_many_headers_are_rejected(serve):
    """Whether the head is complete or not; a hundred are accepted, and as many trailers as fit."""
    served = serve()
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    body = b"\r\n1\r\na\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n"
    for count, end, status in ((98, body, b"200"), (99, body, b"431"), (100, b"", b"431"), (9000, b"", b"431")):
        assert talk(served.address, head + b"X: y\r\n" * count + end).startswith(b"HTTP/1.1 " + status), (count, end)
    assert [(refusal.reason, refusal.message) for refusal in served.refusals] == [
        ("too_large", "more than 100 headers")
    ] * 3


def test_too_many_pipelined_requests_are_overload(serve):
    """The log and the counter say so; the first ones are answered."""
    served = serve()
    assert talk(served.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000).count(b"HTTP/1.1 200") > 50
    assert [(refusal.reason, refusal.message) for refusal in served.refusals] == [
        ("overloaded", "more than 100 pipelined requests")
    ]


def test_rejections_are_logged_once_a_minute(caplog):
    """By reason and receiver, with the peer's address and their number."""
    now, counted = [0.0], []
    refusals = Refusals(counted.append, clock=lambda: now[0])
    for at, status, receiver in (
        (0, 401, "alertmanager/prod"),
        (1, 401, "alertmanager/prod"),
        (2, 401, ""),
        (3, 413, "alertmanager/prod"),
        (59, 401, "alertmanager/prod"),
        (61, 401, "alertmanager/prod"),
        (62, 401, "alertmanager/prod"),
    ):
        now[0] = float(at)
        refusals.note(Refusal(status, "no", "10.0.0.7", receiver))
    assert len(counted) == 7
    assert [record.getMessage() for record in caplog.records] == [
        "Request for alertmanager/prod from 10.0.0.7 rejected (401): no",
        "Request from 10.0.0.7 rejected (401): no",
        "Request for alertmanager/prod from 10.0.0.7 rejected (413): no",
        "Request for alertmanager/prod from 10.0.0.7 rejected (401): no; 2 more since the last such line",
    ]
