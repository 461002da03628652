"""Heads and chunkings that Hypothesis makes, sent in pieces cut anywhere, against another parser's verdict: h11's."""

import contextlib
import re
import socket
from itertools import pairwise

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.toolkit.front import Front, Lane, Route
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.wsgi import Answer

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
odd = st.sampled_from([b"", b" ", b"\t", b"\r", b"\n", b"\0", b"\x0b", b",", b";", b'"', b"0", b"\xff", b"\r\n "])
content = st.one_of(
    st.binary(max_size=20), st.sampled_from([SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"x 0\r\n\r\n", b"\r\n", b""])
)
framing = st.sampled_from(
    [b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"Transfer-Encoding: CHUNKED", b"TE: chunked",
     b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity", b"Content-Length: 0", b"Content-Length: 5"]
)  # fmt: skip
header = st.one_of(
    framing,
    st.sampled_from(
        [
            b"Host: x",
            b"Connection: close",
            b"Connection: keep-alive",
            b"X: 0",
            b"Expect: 100-continue",
            b"X_Y: \xe9",
            b"Connection: Upgrade\r\nUpgrade: h2c",
        ]
    ),
)


@st.composite
def damaged(draw, parts):
    """Return bytes with now and then something odd in them."""
    said = draw(parts)
    if draw(st.integers(0, 3)):
        return said
    place = draw(st.integers(1, len(said) - 1))  # blank lines between requests are let pass
    return said[:place] + draw(odd) + said[place:]


@st.composite
def chunked(draw):
    """Return a body in chunks, with extensions and trailers."""
    said = b""
    for piece in draw(st.lists(content, max_size=3)):
        if piece:
            size = draw(st.sampled_from([b"%x", b"%X", b"000%x", b"%x;a=b", b'%x;a="b"'])) % len(piece)
            said += size + b"\r\n" + piece + b"\r\n"
    trailers = draw(st.lists(st.sampled_from([b"X: y\r\n", b"Z: 0\r\n", b"Host: y\r\n"]), max_size=2))
    return said + draw(st.sampled_from([b"0\r\n", b"000\r\n", b"0;a\r\n"])) + b"".join(trailers) + b"\r\n"


@st.composite
def requests(draw):
    """Return one request, legal more often than not."""
    line = draw(st.sampled_from([b"POST /%d HTTP/1.1", b"GET /%d HTTP/1.1", b"POST /%d HTTP/1.0"]))
    headers = draw(st.lists(header, max_size=2))
    body = draw(st.one_of(chunked(), content))
    match draw(st.integers(0, 3)):
        case 0:
            headers.append(b"Transfer-Encoding: chunked")
            body = draw(chunked())
        case 1:
            headers.append(b"Content-Length: %d" % len(body))
        case 2:
            body = b""
    head = b"\r\n".join([line % draw(st.integers(0, 9)), b"Host: x", *headers])
    return head + b"\r\n\r\n" + body


# Where HTTP allows a parser to be lenient, between a request line's words and before it, nothing odd is said.
said = (
    st.lists(damaged(requests()), min_size=1, max_size=3)
    .map(b"".join)
    .map(lambda stream: re.sub(rb"(POST|GET) +(/\d) +HTTP", rb"\1 \2 HTTP", stream))
    .map(lambda stream: re.sub(rb"(?<=\r\n\r\n|[^\r\n]{4})[\r\n]+(?=(POST|GET) )", b"", stream))
)


class Recorder:
    """An application that remembers each request."""

    def __init__(self):
        self.found = []

    def __call__(self, environ):
        target = environ["PATH_INFO"].encode("latin-1")
        self.found.append((environ["REQUEST_METHOD"].encode(), target, environ["wsgi.input"].read()))
        return Answer(200, [], [])


@pytest.fixture(scope="module")
def recorder():
    """Return a recorder, and where it is served."""
    application, config = Recorder(), WebConfigFile(None)
    front = Front(application, config, lambda path: Route(path=path, lane=Lane.LOOP))
    server = HttpServer(front, [("127.0.0.1", 0)])
    server.start()
    yield application, server.addresses[0]
    server.stop()


def expected(stream):
    """Return the whole requests that h11 finds before anything is wrong, and whether there is nothing else."""
    connection, found = h11.Connection(h11.SERVER), []
    connection.receive_data(stream)
    connection.receive_data(b"")
    head, body = None, b""
    try:
        while True:
            match event := connection.next_event():
                case h11.Request():
                    head, body = event, b""
                case h11.Data():
                    body += bytes(event.data)
                case h11.EndOfMessage():
                    found.append((head.method, head.target, body))
                    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is not h11.DONE:
                        return found, not connection.trailing_data[0]
                    # The parser skips empty lines before a request, which a body's length may leave there.
                    rest, connection = connection.trailing_data[0].lstrip(b"\r\n"), h11.Connection(h11.SERVER)
                    connection.receive_data(rest)
                    connection.receive_data(b"")
                case _:
                    return found, isinstance(event, h11.ConnectionClosed)
    except h11.RemoteProtocolError:
        return found, False


def responses_to(address, stream, cuts):
    """Send a stream in pieces, say that no more comes, and return everything that is answered."""
    got = b""
    with socket.create_connection(address, 30) as sock, contextlib.suppress(ConnectionError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        places = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), len(stream)})
        for start, end in pairwise(places):
            sock.sendall(stream[start:end])
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            got += piece
    return got


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=said, cuts=st.lists(st.integers(0, 10_000), max_size=6))
def test_framing_agrees_with_another_parser(recorder, stream, cuts):
    """Each request is answered or rejected as a whole; a rejection ends the connection."""
    application, address = recorder
    application.found.clear()
    got = responses_to(address, stream, cuts)
    found, (wanted, legal) = list(application.found), expected(stream)
    assert found == wanted[: len(found)]
    answered, refused = got.count(b"HTTP/1.1 200"), got.count(b"HTTP/1.1 4")
    assert answered <= len(found)
    assert refused <= 1
    if legal:  # a client that sends more than it may loses its answers
        assert answered == len(found)
        assert refused == (len(found) < len(wanted))
