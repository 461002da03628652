"""Raw bytes against both programs: no data is answered as a request, nothing malformed is 2xx, nothing legal hangs."""

import contextlib
import socket
import time
from functools import partial

import h11
import pytest

from bridge.domain.notification import Outcome
from bridge.metrics import Metrics
from bridge.receivers import alertmanager
from bridge.web import routes
from bridge.web.application import create_app
from bridge.web.webhooks import Webhooks
from exporter.metrics.exporter_metrics import Running
from exporter.polling.page_cache import PageCache
from exporter.toolkit import exposition
from exporter.toolkit.management import Management
from exporter.toolkit.wsgi import call
from exporter.web import pages
from tests.bridge.serving import current_of, settled

HOST = b"Host: x\r\n"
GET = b"GET /-/healthy HTTP/1.1\r\n" + HOST + b"\r\n"
BEGUN = b"GET /-/healthy HTTP/1.1\r\n" + HOST
OFFER = BEGUN + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
"""As Java's HTTP client begins, with a body or without."""
CHUNKED = BEGUN + b"Transfer-Encoding: chunked\r\n\r\n"
RELOAD = b"POST /-/reload HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
"""The request that these bytes must never cause within a body."""
NEVER = b"0\r\n\r\n" + RELOAD


def chunk(content, size=b"%x"):
    return size % len(content) + b"\r\n" + content + b"\r\n"


LEGAL = {
    "no body": (GET, 1),
    "HTTP/1.0 without a Host": (b"GET /-/healthy HTTP/1.0\r\n\r\n", 1),
    "a length": (BEGUN + b"Content-Length: %d\r\n\r\n" % len(RELOAD) + RELOAD, 1),
    "a length of zero": (BEGUN + b"Content-Length: 0\r\n\r\n", 1),
    "a length, and the next request": (BEGUN + b"Content-Length: 3\r\n\r\nabc" + GET, 2),
    "an underscore for a hyphen": (BEGUN + b"Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n" + GET, 2),
    "chunks": (CHUNKED + chunk(RELOAD) + b"0\r\n\r\n", 1),
    "a terminator within a chunk": (CHUNKED + chunk(b"data " + NEVER) + b"0\r\n\r\n", 1),
    "a chunk that ends like a terminator": (CHUNKED + chunk(b"data 0\r\n\r\n") + chunk(RELOAD) + b"0\r\n\r\n", 1),
    "a head that ends like a terminator": (
        BEGUN + b"Transfer-Encoding: chunked\r\nX: 0\r\n\r\n" + chunk(RELOAD) + b"0\r\n\r\n",
        1,
    ),
    "an extension": (CHUNKED + b"3;name=value\r\nabc\r\n0\r\n\r\n", 1),
    "an extension of the last chunk": (CHUNKED + b"3\r\nabc\r\n0;last\r\n\r\n", 1),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\nZ: 0\r\n\r\n", 1),
    "trailers that are headers": (CHUNKED + b"3\r\nabc\r\n0\r\nHost: y\r\nExpect: x\r\n\r\n" + GET, 2),
    "white space after a value": (BEGUN + b"Content-Length: 3 \t\r\n\r\nabc" + GET, 2),
    "zeros before the size": (CHUNKED + b"0003\r\nabc\r\n000\r\n\r\n", 1),
    "upper case": (
        BEGUN + b"TRANSFER-ENCODING:\t Chunked \r\n\r\n" + chunk(b"x" * 26, b"%X") + b"0\r\n\r\n",
        1,
    ),
    "two at once": (GET + GET, 2),
    "chunks, and the next request": (CHUNKED + chunk(b"abc") + b"0\r\n\r\n" + GET, 2),
    "leave to send": (BEGUN + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", 1),
    "an IPv6 address as Host": (b"GET /-/healthy HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 1),
    "a Host without its port": (b"GET /-/healthy HTTP/1.1\r\nHost: x:\r\n\r\n", 1),
    "an absolute form": (b"GET http://x/-/healthy HTTP/1.1\r\n" + HOST + b"\r\n", 1),
    "blank lines before": (b"\r\n\r\n" + GET, 1),
    "a value of other letters": (BEGUN + b"X: \xe9\xff\r\nY:\r\n\r\n", 1),
    "an offer of another protocol": (OFFER + b"\r\n" + GET, 2),
    "an offer with a body": (OFFER + b"Content-Length: %d\r\n\r\n" % len(RELOAD) + RELOAD + GET, 2),
    "an offer with chunks": (OFFER + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(RELOAD) + b"0\r\n\r\n" + GET, 2),
    "an offer, and then the end": (OFFER + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", 1),
    "an offer in HTTP/1.0": (OFFER.replace(b"1.1", b"1.0") + b"Content-Length: 3\r\n\r\nabc", 1),
    "many offers": ((OFFER + b"\r\n") * 40, 40),
}  # fmt: skip

BROKEN_HEADS = {
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunks in a list twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "gzip, then chunks": b"Transfer-Encoding: gzip, chunked\r\n",
    "an empty item, then chunks": b"Transfer-Encoding: , chunked\r\n",
    "chunks, then gzip": b"Transfer-Encoding: chunked, gzip\r\n",
    "another word": b"Transfer-Encoding: xchunked\r\n",
    "another word after it": b"Transfer-Encoding: chunked x\r\n",
    "in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "identity": b"Transfer-Encoding: identity\r\n",
    "nothing": b"Transfer-Encoding:\r\n",
    "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n",
    "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "a folded header": b"X: y\r\n Transfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "a length with a sign": b"Content-Length: +5\r\n",
    "a negative length": b"Content-Length: -5\r\n",
    "a hexadecimal length": b"Content-Length: 0x5\r\n",
    "a length of two words": b"Content-Length: 5 0\r\n",
    "no digits": b"Content-Length:\r\n",
    "a length without end": b"Content-Length: 99999999999999999999999\r\n",
    "a blank before the length's colon": b"Content-Length : 0\r\n",
    "a NUL": b"X: a\0b\r\n",
    "a control character": b"X: a\x01b\r\n",
    "a bare CR": b"X: a\rTransfer-Encoding: chunked\r\n",
    "a bare LF": b"X: a\nTransfer-Encoding: chunked\r\n",
    "a name with a NUL": b"X\0: a\r\n",
    "a name in parentheses": b"(X): a\r\n",
    "no name": b": a\r\n",
    "no colon": b"chunked\r\n",
    "a second Host": b"Host: x\r\n",
    "another Host": b"Host: y\r\n",
}
BROKEN = {
    **{name: BEGUN + lines + b"\r\n" + NEVER for name, lines in BROKEN_HEADS.items()},
    "chunks in HTTP/1.0": b"GET /-/healthy HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + NEVER,
    "a fold at once": b"GET /-/healthy HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n" + RELOAD,
    "no Host": b"GET /-/healthy HTTP/1.1\r\n\r\n",
    "a Host of two words": b"GET /-/healthy HTTP/1.1\r\nHost: x y\r\n\r\n",
    "a Host with a path": b"GET /-/healthy HTTP/1.1\r\nHost: x/y\r\n\r\n",
    **{
        f"a Host of {host!r}": b"GET /-/healthy HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        for host in (b"x:y", b"::1", b"[::1", b"]x[", b"x:1:2", b"[::1]x")
    },
    "a fragment": GET.replace(b"healthy", b"healthy#x"),
    "a fragment of the query": GET.replace(b"healthy", b"healthy?a=b#x") + RELOAD,
    "bare LFs": GET.replace(b"\r\n", b"\n"),
    "HTTP/1.2": GET.replace(b"1.1", b"1.2"),
    "HTTP/2.0": GET.replace(b"1.1", b"2.0"),
    "HTTP/0.9": GET.replace(b"1.1", b"0.9"),
    "no version": b"GET /-/healthy\r\n\r\n",
    "a small protocol": GET.replace(b"HTTP", b"http"),
    "a small method": GET.replace(b"GET", b"get"),
    "a method that is none": GET.replace(b"GET", b"FETCH"),
    "a tunnel": b"CONNECT x:443 HTTP/1.1\r\n" + HOST + b"\r\n" + RELOAD,
    "a tunnel to a path": GET.replace(b"GET", b"CONNECT") + RELOAD,
    "a tunnel with a body": BEGUN.replace(b"GET", b"CONNECT") + b"Content-Length: 55\r\n\r\n" + RELOAD,
    "a target of other letters": GET.replace(b"healthy", b"\xe9"),
    "a NUL in the target": GET.replace(b"healthy", b"\0"),
    "half an address": GET.replace(b"/-/healthy", b"//["),
    "no target": GET.replace(b"/-/healthy ", b""),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n",
    **{
        f"a chunk of {size!r}": CHUNKED + size + b"\r\n" + b"abc\r\n" + NEVER
        for size in (b"-3", b"+3", b"0x3", b" 3", b"3 ", b"3\t", b"", b"g", b"3,3", b"1%015d" % 3, b"3\r", b"3\n")
    },
    "a chunk longer than its size": CHUNKED + b"3\r\nabcd\r\n" + NEVER,
    "a chunk shorter than its size": CHUNKED + b"5\r\nabc\r\n" + NEVER,
    "chunks with bare LFs": CHUNKED + b"3\nabc\n0\n\n" + RELOAD,
    "a chunk's end without CR": CHUNKED + b"3\r\nabc\n" + NEVER,
    "a chunk's end without LF": CHUNKED + b"3\r\nabc\r" + NEVER,
    "a bare LF in an extension": CHUNKED + b"3;a\nb\r\nabc\r\n" + NEVER,
    "a length as a trailer": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n" + RELOAD,
    "a trailer with a NUL": CHUNKED + b"0\r\nX: \0\r\n\r\n" + RELOAD,
    "a trailer that is folded": CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n" + RELOAD,
}  # fmt: skip


def exporter(reload):
    web = pages.application(PageCache(time.time, Running("1.2.3")), reload)
    return {"answering": web, "route": pages.route}


def bridge(reload):
    settings = alertmanager.Settings.model_validate({"receiver": "alertmanager", "source": "prod"})
    current, metrics = current_of(settings), Metrics()
    accept = lambda notification, now: settled(lambda: Outcome(queued=len(notification.alerts)))  # noqa: E731
    webhooks = Webhooks(lambda: current, accept, metrics)
    application = partial(call, create_app([webhooks.blueprint()]))
    managed = Management("vendorwatch-bridge", application, partial(exposition.page, metrics.registry), str, reload)
    return {"answering": managed, "route": lambda path: routes.route(path, current.config.by_source, 1_000_000)}


@pytest.fixture(params=[exporter, bridge], ids=["exporter", "bridge"])
def program(request, serve):
    """Return where a program is served, and how often it has reloaded."""
    reloads = []
    return serve(**request.param(lambda: reloads.append(1))).address, reloads


def answers(address, said, pieces=1):
    """Send bytes, and return the statuses of the answers until the server ends; a legal request is not broken off."""
    client = h11.Connection(h11.CLIENT)
    found = []
    with socket.create_connection(address, 30) as sock, contextlib.suppress(ConnectionError):
        size = max(1, len(said) // pieces)
        for start in range(0, len(said), size):
            sock.sendall(said[start : start + size])
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while piece := sock.recv(65536):
            data += piece
        while data:
            client = h11.Connection(h11.CLIENT)
            client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
            client.send(h11.EndOfMessage())
            client.receive_data(data)
            while not isinstance(event := client.next_event(), h11.EndOfMessage):
                assert event is not h11.NEED_DATA, data
                if isinstance(event, h11.Response):
                    found.append(event.status_code)
            data = client.trailing_data[0]
    return found


@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize("name", LEGAL)
def test_valid_requests_are_answered(program, name, pieces):
    """Each request once, even byte by byte, and its body is never a request."""
    address, reloads = program
    said, count = LEGAL[name]
    assert answers(address, said, pieces) == [200] * count
    assert reloads == []


@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize("name", BROKEN)
def test_malformed_requests_are_rejected(program, name, pieces):
    """With a 4xx or without a response, and nothing after it is read."""
    address, reloads = program
    found = answers(address, BROKEN[name], pieces)
    assert len(found) <= 1
    assert all(400 <= status < 500 for status in found), found
    assert reloads == []


def test_same_bytes_as_a_real_request_are_answered(program):
    """The bytes that are a body above are a request here."""
    address, reloads = program
    assert answers(address, GET + RELOAD) == [200, 200]
    assert reloads == [1]


def test_100_continue_is_not_sent_to_http_1_0(program):
    """Only HTTP/1.1 knows it, whatever white space follows it."""
    address, _ = program
    for version, expected in ((b"1.1", b"HTTP/1.1 100"), (b"1.0", b"HTTP/1.1 200")):
        with socket.create_connection(address, 30) as sock:
            head = b"GET /-/healthy HTTP/%b\r\nHost: x\r\nExpect: 100-continue \r\nContent-Length: 3\r\n\r\n" % version
            sock.sendall(head)
            if version == b"1.0":
                sock.sendall(b"abc")
            assert sock.recv(12) == expected


@pytest.mark.parametrize("closing", [BEGUN + b"Connection: Close\r\n\r\n", CHUNKED + b"0\r\nConnection: close\r\n\r\n"])
def test_connection_close_ends_the_connection(program, closing):
    """`Close` in any case, also as a trailer: the parser reads nothing after it."""
    address, reloads = program
    with socket.create_connection(address, 30) as sock:
        sock.sendall(closing)
        head = b"".join(iter(partial(sock.recv, 65536), b""))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head
    assert answers(address, closing + RELOAD) == [200]
    assert reloads == []


def test_excessive_pipelining_is_cut_off(program):
    """Each request needs a hundred times its bytes; the first ones are answered."""
    address, _ = program
    found = answers(address, GET * 5000)
    assert 50 < len(found) < 1000
    assert set(found[:-1]) == {200}  # the last is the rejection, if the client reads it before the connection breaks


def test_broken_request_does_not_affect_the_one_before(program):
    """The complete request before it gets its own response."""
    address, reloads = program
    assert answers(address, GET + b"POST / HTTP/1.1\r\nbroken\r\n\r\n" + RELOAD) == [200, 400]
    assert reloads == []
