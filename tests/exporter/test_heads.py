"""Requests that came before are understood as they were the first time, and answers look as cheroot's."""

import contextlib
import socket

import pytest

from exporter.heads import LONGEST, REMEMBERED, opening
from exporter.listen import Listener
from exporter.toolkit.web_config import Access


class Application:
    """Answers with what the environment says, and keeps the environments."""

    def __init__(self):
        self.environs = []

    def __call__(self, environ, start_response):
        self.environs.append(dict(environ))
        body = environ["wsgi.input"].read() or environ["REQUEST_METHOD"].encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return () if environ["REQUEST_METHOD"] == "HEAD" else [body]


@pytest.fixture
def application():
    return Application()


@pytest.fixture
def server(application):
    """Return where the application is served, and what its server remembers."""
    listener = Listener(application, [("127.0.0.1", 0)], Access(None))
    listener.start()
    yield listener
    listener.stop()


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(server.addresses[0], 30) as sock, sock.makefile("rb") as answers:

        def ask(request):
            """Return an answer's head and body."""
            sock.sendall(request)
            head = b"".join(iter(answers.readline, b"\r\n"))
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head, b"" if request.startswith(b"HEAD") else answers.read(length)

        yield ask, sock.getsockname()[1]


def known(server):
    """Return the remembered heads."""
    (one,) = server._servers
    return list(one.heads._known)


def get(path=b"/", *headers, method=b"GET"):
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: x", *headers, b"", b""])


def test_a_request_is_the_same_whether_it_is_known_or_not(server, application):
    """The environment of each is its own, and tells of its own connection."""
    requests = [get(b"/a%20b?c=d", b"Accept: x", b"Accept: y"), get(), get(method=b"HEAD")]
    for _ in range(3):
        with connected(server) as (ask, port):
            for request in requests:
                head, body = ask(request)
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert body in {b"GET", b""}
            assert [environ["REMOTE_PORT"] for environ in application.environs[-3:]] == [str(port)] * 3
    plain = [{key: value for key, value in environ.items() if key not in {"REMOTE_PORT", "wsgi.input"}}
             for environ in application.environs]  # fmt: skip
    assert plain[:3] == plain[3:6] == plain[6:]
    assert plain[0]["HTTP_ACCEPT"] == "x, y"
    assert known(server) == requests


def test_a_connection_that_shall_close_closes_every_time(server):
    """`Connection: close` is part of what is remembered."""
    for _ in range(3):
        with connected(server) as (ask, _):
            assert b"Connection: close" in ask(get(b"/", b"Connection: close"))[0]


@pytest.mark.parametrize(
    "request_",
    [
        get(b"/", b"Authorization: Basic c2VjcmV0OnNlY3JldA=="),
        get(b"/", b"cookie: secret"),
        get(b"/", b"Content-Length: 3", method=b"POST") + b"abc",
        get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"3\r\nabc\r\n0\r\n\r\n",
        get(b"/" + b"x" * LONGEST),
        b"GET / HTTP/1.0\r\nHost: x\r\nAuthorization: x\r\n\r\n",
    ],
)
def test_what_holds_a_secret_or_a_body_or_is_long_is_not_remembered(server, request_):
    """And is answered as ever."""
    for _ in range(2):
        with connected(server) as (ask, _):
            assert ask(request_)[1] in {b"GET", b"abc"}
    assert known(server) == []


def test_what_cannot_be_understood_is_not_remembered(server):
    """400 the first time and the second."""
    for _ in range(2):
        with connected(server) as (ask, _):
            assert ask(b"get / HTTP/1.1\r\nHost: x\r\n\r\n")[0].startswith(b"HTTP/1.1 400")
    assert known(server) == []


def test_few_heads_are_remembered(server):
    """A client that never repeats itself fills nothing."""
    with connected(server) as (ask, _):
        for number in range(REMEMBERED * 2 + 3):
            ask(get(b"/%d" % number))
    assert len(known(server)) == 3


@pytest.mark.parametrize(
    "hidden",
    [
        b"Content-Length:\r\n 30",
        b"Content-Length: +30",
        b"Content-Length: 3_0",
        b"Content-Length: -30",
    ],
)
def test_a_body_whose_length_is_hidden_is_never_taken_for_a_request(server, application, hidden):
    """Two readers of one head could differ: then the connection ends with it."""
    smuggled = get(b"/smuggled", method=b"GET")
    with socket.create_connection(server.addresses[0], 30) as sock:
        sock.sendall(get(b"/", hidden, method=b"POST") + smuggled)
        with contextlib.suppress(ConnectionError):
            while sock.recv(65536):
                pass
    assert [environ["PATH_INFO"] for environ in application.environs] in (["/"], [])
    assert known(server) == []


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("X", "y")]),
        ("200 OK", [("Content-Length", "1"), ("Connection", "close")]),
        ("200 OK", [("Content-Length", "1"), ("Date", "today")]),
        ("413 Too Large", [("Content-Length", "1")]),
    ],
)
def test_what_is_not_plain_is_left_to_cheroot(status, headers):
    """Unknown lengths, and headers that it would have set itself."""
    assert opening(status, tuple(headers), "us") is None


def test_an_answer_opens_with_its_headers_and_the_server():
    """In their order; its length beside it."""
    told = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 12\r\nServer: us\r\n"
    assert opening("200 OK", (("X", "y"), ("Content-Length", "12")), "us") == (told, 12)
