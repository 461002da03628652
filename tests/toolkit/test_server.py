"""The sockets: many clients, mute ones, TLS, limits, and the end."""

import contextlib
import gc
import http.client
import inspect
import re
import select
import socket
import ssl
import struct
import threading
import time
import weakref
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import trustme
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.toolkit import connection as connection_module
from exporter.toolkit import server as server_module
from exporter.toolkit.connection import PATIENCE, Connections
from exporter.toolkit.front import Front, Lane, Route
from exporter.toolkit.refusals import Refusals
from exporter.toolkit.server import RESERVE, HttpServer, limit
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.wsgi import LATER, call
from tests.toolkit.conftest import LARGE, application
from tests.waiting import eventually


@pytest.fixture
def secure(tmp_path):
    """Return a web config with TLS that asks for a client's certificate, and such a client's context."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: both.pem, key_file: both.pem, client_ca_file: ca.pem, "
        "client_auth_type: RequireAndVerifyClientCert}"
    )
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    authority.issue_cert("client").configure_cert(context)
    return WebConfigFile(tmp_path / "web.yml"), context


def test_every_address_is_served(serve, get):
    """The same application on each, bracketed IPv6 included."""
    wanted = [("127.0.0.1", 0), ("127.0.0.1", 0)]
    if socket.has_ipv6:
        wanted.append(("::1", 0))
    listener = serve(addresses=wanted)
    assert len(set(listener.addresses)) == len(wanted)
    assert {get(address) for address in listener.addresses} == {(200, b"hello")}


def test_every_address_is_ipv4_on_a_host_without_ipv6(serve, get, monkeypatch):
    """`:9788` means all that there are."""
    monkeypatch.setattr("socket.has_dualstack_ipv6", lambda: False)
    _, port = serve(addresses=[("::", 0)]).address
    assert get(("127.0.0.1", port)) == (200, b"hello")


def test_an_address_in_use_is_an_error_and_nothing_stays_open(serve, get):
    """Addresses opened before it are closed again."""
    taken = serve().addresses[0]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()
    with pytest.raises(OSError, match="in use"):
        serve(addresses=[free, taken])
    with socket.create_server(free):
        pass


def test_many_clients_may_come_at_once(get):
    """Before any of them is accepted."""
    config = WebConfigFile(None)
    front = Front(partial(call, application), config, lambda path: Route(path=path))
    server = HttpServer(front, [("127.0.0.1", 0)])
    server.open()
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection(server.addresses[0], 30))
        server.start()
        assert get(server.addresses[0]) == (200, b"hello")
        server.stop()


def test_large_page_is_sent_completely(serve, get):
    """In blobs, on plain connections."""
    assert get(serve().addresses[0], "/large") == (200, b"".join(LARGE))


def test_a_connection_serves_many_requests(serve, get):
    """Kept alive, with responses in order."""
    client = http.client.HTTPConnection(*serve().addresses[0], timeout=30)
    with contextlib.closing(client):
        for number in range(5):
            client.request("POST", "/echo", str(number))
            assert client.getresponse().read() == str(number).encode()


def received(sock, end):
    """Return what arrives up to and with `end`, and leave what follows it on the socket."""
    got = b""
    while not got.endswith(end):
        piece = sock.recv(1)
        assert piece, got
        got += piece
    return got


def test_pipelined_requests_are_answered_in_order(serve, get):
    """Bytes after one request begin the next."""
    request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
    with socket.create_connection(serve().addresses[0], 30) as sock:
        sock.sendall(b"".join(request + digit for digit in (b"1", b"2", b"3")))
        for digit in (b"1", b"2", b"3"):
            assert received(sock, b"\r\n\r\n" + digit).count(b"HTTP/1.1 200") == 1


def test_100_continue_is_sent_at_once(serve, get):
    """Before the body arrives; the response comes after it."""
    with socket.create_connection(serve().addresses[0], 30) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert received(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        sock.sendall(b"body")
        assert received(sock, b"\r\n\r\nbody").startswith(b"HTTP/1.1 200")


def test_response_without_a_body_is_sent_at_once(serve, get):
    """To a HEAD, or to a POST without a body."""
    with socket.create_connection(serve().addresses[0], 30) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert received(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_busy_client_does_not_prevent_a_stop(serve, get):
    """The server checks between two requests."""
    listener = serve()
    stopped = threading.Event()

    def ask():
        client = http.client.HTTPConnection(*listener.addresses[0], timeout=30)
        with contextlib.closing(client), contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                client.request("GET", "/")
                client.getresponse().read()
        stopped.set()

    asking = threading.Thread(target=ask)
    asking.start()
    listener.stop()
    assert stopped.wait(30)
    asking.join()


@pytest.mark.slow
def test_client_accepted_as_the_server_stops_is_closed(serve):
    """Not left to the garbage collector, whose warning fails this test."""

    def connect(address, clients):
        with contextlib.suppress(OSError):
            while True:
                clients.enter_context(socket.create_connection(address, 30))

    for _ in range(6):
        served = serve()
        with contextlib.ExitStack() as clients:
            connecting = threading.Thread(target=connect, args=(served.address, clients))
            connecting.start()
            time.sleep(0.01)
            served.stop(0.0)
            connecting.join()
        gc.collect()


def test_body_over_the_limit_is_413(serve, get):
    """Without reading it; a reload changes the limit at once."""
    most = [1000]
    served = serve(route=lambda path: Route(path=path, max_body=most[0]))
    assert get(served.address, "/echo", method="POST", body=b"x" * 1000) == (200, b"x" * 1000)
    assert get(served.address, "/echo", method="POST", body=b"x" * 1001)[0] == 413
    most[0] = 2000
    assert get(served.address, "/echo", method="POST", body=b"x" * 1001)[0] == 200
    assert served.reasons == ["too_large"]


def test_threads_are_started_on_demand(serve, get, monkeypatch):
    """None at first, more while requests last, up to the limit; then requests wait."""
    monkeypatch.setattr("exporter.toolkit.front.THREADS", 20)
    together = threading.Barrier(20)

    def meeting(_environ, start_response):
        together.wait(60)
        start_response("200 OK", [("Content-Length", "3")])
        return [b"met"]

    before = threading.active_count()
    address = serve(application=meeting).address
    few = threading.active_count() - before
    with ThreadPoolExecutor(60) as clients:
        assert list(clients.map(get, [address] * 60)) == [(200, b"met")] * 60
    assert few == 1
    assert threading.active_count() - before == 21


def test_postponed_response_occupies_no_thread(serve, get, monkeypatch, caplog):
    """One thread begins many requests, each of which is answered as its own event ends."""
    monkeypatch.setattr("exporter.toolkit.front.THREADS", 1)
    events = [Future() for _ in range(5)]
    begun, not_begun = threading.Semaphore(0), list(events)

    def postponing(environ, start_response):
        event = not_begun.pop()

        def response():
            word = event.result()

            def answer(_environ, start_response):
                start_response("201 Created", [])
                return [word]

            return answer

        environ[LATER](event, response)
        start_response("202 Accepted", [])
        begun.release()
        return [b"not yet"]

    served = serve(application=postponing)
    with ThreadPoolExecutor(5) as clients:
        waiting = [clients.submit(get, served.address) for _ in events]
        for _ in events:
            assert begun.acquire(timeout=60)
        assert not any(one.done() for one in waiting)
        for number, event in enumerate(events[:4]):
            event.set_result(b"number %d" % number)
        events[4].set_exception(ValueError("unforeseen"))
        answers = sorted(one.result(60) for one in waiting)
    assert answers == [*((201, b"number %d" % number) for number in range(4)), (503, b"not now; try again\n")]
    del events, waiting
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_requests_that_wait_without_a_thread_are_bounded(serve, get, monkeypatch):
    """Those beyond are rejected before the application takes them, and logged at most once a minute."""
    monkeypatch.setattr("exporter.toolkit.front.QUEUED", 1)
    event, begun = Future(), threading.Semaphore(0)

    def postponing(environ, start_response):
        environ[LATER](event, lambda: postponing_no_more)
        start_response("202 Accepted", [])
        begun.release()
        return [b"not yet"]

    def postponing_no_more(_environ, start_response):
        start_response("200 OK", [])
        return [b"done"]

    served = serve(application=postponing, lane=Lane.BRIEF)
    with ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(get, served.address) for _ in range(3)]
        for _ in waiting:
            assert begun.acquire(timeout=60)
        assert get(served.address) == (503, b"too many requests at once; try again\n")
        event.set_result(None)
        assert [one.result(60) for one in waiting] == [(200, b"done")] * 3
    assert not begun.acquire(blocking=False)


def test_large_bodies_are_handled_one_at_a_time(serve, get, monkeypatch):
    """Small ones overtake them."""
    monkeypatch.setattr("exporter.toolkit.front.LARGE", 1000)
    go_on, running, most = threading.Event(), [], []

    def handling(environ, start_response):
        if int(environ["CONTENT_LENGTH"]) > 1000:
            running.append(1)
            most.append(len(running))
            go_on.wait(60)
            running.pop()
        start_response("200 OK", [])
        return [b"done"]

    served = serve(application=handling, lane=Lane.BRIEF)
    with ThreadPoolExecutor(4) as clients:
        large = [clients.submit(get, served.address, "/", method="POST", body=bytes(2000)) for _ in range(4)]
        assert get(served.address, "/", method="POST", body=bytes(1000)) == (200, b"done")
        go_on.set()
        assert [one.result(60) for one in large] == [(200, b"done")] * 4
    assert most == [1, 1, 1, 1]


def test_full_queue_is_503(serve, get, monkeypatch):
    """At once, while every thread is busy; requests answered in the event loop still are."""
    monkeypatch.setattr("exporter.toolkit.front.THREADS", 1)
    monkeypatch.setattr("exporter.toolkit.front.QUEUED", 1)
    go_on, busy = threading.Event(), threading.Semaphore(0)

    def waiting(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            busy.release()
            go_on.wait(60)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    served = serve(
        application=waiting, route=lambda path: Route(path=path, lane=Lane.POOL if path == "/slow" else Lane.LOOP)
    )
    with ThreadPoolExecutor(3) as clients:
        first = clients.submit(get, served.address, "/slow")
        busy.acquire()
        others = [clients.submit(get, served.address, "/slow") for _ in range(2)]
        (full,) = wait(others, return_when=FIRST_COMPLETED).done
        assert full.result() == (503, b"too many requests at once; try again\n")
        assert get(served.address, "/-/healthy") == (200, b"")
        go_on.set()
        assert first.result() == (200, b"")
        assert sorted(one.result()[0] for one in others) == [200, 503]
    assert served.reasons == ["overloaded"]


def test_silent_clients_do_not_block_others(serve, get):
    """A hundred silent connections need no thread."""
    address = serve().addresses[0]
    with contextlib.ExitStack() as mute:
        for _ in range(100):
            mute.enter_context(socket.create_connection(address, 30))
        assert get(address) == (200, b"hello")


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /ec",
        b"GET / HTTP/1.1\r\nHost: x\r\nAcc",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ],
    ids=["half a request line", "half a header", "half a body", "no body after leave for it", "half a chunk"],
)
def test_endless_requests_do_not_block_others(serve, get, begun):
    """Three times as many as threads: incomplete requests wait without one."""
    address = serve().address
    with contextlib.ExitStack() as slow:
        clients = [slow.enter_context(socket.create_connection(address, 30)) for _ in range(200)]
        for client in clients:
            client.sendall(begun)
        for _ in range(3):
            assert get(address) == (200, b"hello")
            assert get(address, "/echo", method="POST", body=b"x" * 200_000) == (200, b"x" * 200_000)


def ended(sock):
    """Return what arrives until the connection ends, however it does."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            got += piece
    return got


def test_slow_head_is_a_timeout(serve, monkeypatch):
    """However many bytes arrive meanwhile; an idle connection stays."""
    monkeypatch.setitem(PATIENCE, "head", 0.5)
    served = serve()
    with socket.create_connection(served.address, 30) as idle, socket.create_connection(served.address, 30) as slow:
        slow.sendall(b"GET /")
        slow.settimeout(0.1)
        for _ in range(300):
            with contextlib.suppress(ConnectionError):
                slow.sendall(b"G")
            with contextlib.suppress(TimeoutError):
                assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
                break
        else:
            pytest.fail("still open")
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(idle, b"hello").startswith(b"HTTP/1.1 200")
    assert served.reasons == ["timeout"]


@pytest.mark.parametrize(
    ("state", "said"),
    [("new", b""), ("new", b"\r\n\r\n"), ("idle", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    ids=["mute", "blank lines", "idle"],
)
def test_idle_connection_is_closed(serve, monkeypatch, state, said):
    """Before its first request, and after the last one."""
    monkeypatch.setitem(PATIENCE, state, 0.2)
    served = serve()
    with socket.create_connection(served.address, 30) as client:
        client.sendall(said)
        assert ended(client).count(b"hello") == said.count(b"GET")
    assert served.reasons == []


@pytest.mark.parametrize(("state", "seconds"), [("new", 30), ("head", 10), ("idle", 90)])
def test_each_state_has_its_own_patience(monkeypatch, state, seconds):
    """Half a minute for a first request, ten seconds for its head, more than most scrape intervals for another one."""
    now, expired = [0.0], []
    monkeypatch.setattr(connection_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    registry = Connections(1, Refusals(lambda _refusal: None))
    connection = Mock(state=state, expire=lambda: expired.append(now[0]))
    registry.move(connection, state)
    for now[0] in (seconds, seconds + 1.0):
        registry.expire()
    assert expired == [seconds + 1.0]


@pytest.mark.parametrize("framing", [b"Content-Length: 9\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n9\r\n"])
def test_stalled_body_is_a_timeout(serve, monkeypatch, framing):
    """A slow but steady one is not: each byte is progress."""
    monkeypatch.setattr("exporter.toolkit.front.STALLED", 2.0)
    served = serve()
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + framing
    with socket.create_connection(served.address, 30) as slow, socket.create_connection(served.address, 30) as stalled:
        stalled.sendall(head + b"half")
        slow.sendall(head)
        for _ in range(9):
            time.sleep(0.3)
            slow.sendall(b"x")
        if b"chunked" in framing:
            slow.sendall(b"\r\n0\r\n\r\n")
        assert received(slow, b"x" * 9).startswith(b"HTTP/1.1 200")
        assert ended(stalled).startswith(b"HTTP/1.1 408 ")
    assert served.reasons == ["timeout"]


def test_incomplete_large_bodies_share_a_limit(serve, get, monkeypatch):
    """Small ones still fit, and large ones once the others are gone."""
    monkeypatch.setattr("exporter.toolkit.front.ROOM", 300_000)
    served = serve(route=lambda path: Route(path=path, max_body=300_000))
    begun = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200001\r\n\r\n" + bytes(200_000)
    with contextlib.ExitStack() as slow:
        clients = [slow.enter_context(socket.create_connection(served.address, 30)) for _ in range(3)]
        with contextlib.suppress(ConnectionError):
            for client in clients:
                client.sendall(begun)
        (refused, *_), _, _ = select.select(clients, [], [], 30)
        assert ended(refused).startswith(b"HTTP/1.1 503 ")
        assert get(served.address) == (200, b"hello")
        assert get(served.address, "/echo", method="POST", body=b"small") == (200, b"small")
    for _ in range(3):
        assert get(served.address, "/echo", method="POST", body=bytes(250_000)) == (200, bytes(250_000))
    assert set(served.reasons) == {"overloaded"}


def test_small_bodies_leave_room_for_large_ones(serve, get, monkeypatch):
    """Though they are incomplete and many: anything but a webhook may send no more. There is always room for one."""
    monkeypatch.setattr("exporter.toolkit.front.ROOM", 200_000)  # less than the one that is allowed
    served = serve(route=lambda path: Route(path=path, max_body=300_000) if path == "/echo" else Route(path=path))
    begun = b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with contextlib.ExitStack() as slow:
        for _ in range(10):
            client = slow.enter_context(socket.create_connection(served.address, 30))
            client.sendall(begun % 64_000 + bytes(63_999))
        eventually(lambda: [one.state for one in served.connections] == ["body"] * 10)
        assert get(served.address, "/echo", method="POST", body=bytes(250_000)) == (200, bytes(250_000))
        client = slow.enter_context(socket.create_connection(served.address, 30))
        client.sendall(begun % 64_001)
        assert client.recv(12) == b"HTTP/1.1 413"


def stalled_reader(stack, address):
    """Return a client that has asked for a large page and reads the beginning of it only."""
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(address)
    client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(10) == b"HTTP/1.1 2"
    return client


def test_clients_that_do_not_read_do_not_block_others(serve, get, monkeypatch):
    """Five times as many as threads."""
    monkeypatch.setattr("exporter.toolkit.front.THREADS", 4)
    address = serve().address
    with contextlib.ExitStack() as stalled:
        for _ in range(20):
            stalled_reader(stalled, address)
        assert get(address) == (200, b"hello")


@pytest.mark.parametrize("drips", [False, True])
def test_client_that_does_not_read_is_disconnected(serve, monkeypatch, drips):
    """A byte now and then is not reading."""
    monkeypatch.setattr("exporter.toolkit.front.STALLED", 0.5)
    served = serve()
    with contextlib.ExitStack() as stack:
        client = stalled_reader(stack, served.address)
        end = time.monotonic() + 30
        while len(served.server._connections):
            assert time.monotonic() < end, "it is still served"
            time.sleep(0.05)
            if drips:
                with contextlib.suppress(ConnectionError):
                    client.recv(1)
        with contextlib.suppress(ConnectionError):
            assert sum(map(len, iter(lambda: client.recv(1 << 20), b""))) < sum(map(len, LARGE))


@pytest.mark.slow
def test_client_that_reads_slowly_but_steadily_gets_everything(serve, monkeypatch):
    """However long the whole takes."""
    monkeypatch.setattr("exporter.toolkit.front.STALLED", 2.0)
    with contextlib.closing(http.client.HTTPConnection(*serve().address, timeout=30)) as client:
        client.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, len(LARGE[0]))
        client.request("GET", "/large")
        response, began = client.getresponse(), time.monotonic()
        for piece in LARGE:
            time.sleep(0.06)
            assert response.read(len(piece)) == piece
        assert time.monotonic() - began > 2.0


def test_idle_connections_are_closed_when_descriptors_are_scarce(serve, get, monkeypatch):
    """Unused ones first; a request in progress is finished."""
    monkeypatch.setattr("exporter.toolkit.server.limit", lambda _descriptors: 8)
    address = serve().address
    half = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha"
    with (
        contextlib.ExitStack() as mute,
        socket.create_connection(address, 30) as kept,
        socket.create_connection(address, 30) as working,
    ):
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received(kept, b"hello")
        working.sendall(half)
        clients = [mute.enter_context(socket.create_connection(address, 30)) for _ in range(30)]
        for client in clients[20:]:
            client.sendall(b"GET / HT")  # half a head is not worth more
        assert ended(clients[0]) == b""
        assert get(address) == (200, b"hello")
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(kept, b"hello").startswith(b"HTTP/1.1 200")
        working.sendall(b"lf")
        assert received(working, b"half").startswith(b"HTTP/1.1 200")


def test_connection_that_the_client_resets_leaves_nothing(serve):
    """Not even in memory, where uvicorn's keep-alive timer would hold it for an hour."""
    served = serve()
    client = socket.create_connection(served.address, 30)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received(client, b"hello")
    eventually(lambda: len(served.server._connections.groups["idle"]) == 1)
    connection = weakref.ref(served.connections[0])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # so that closing it is a reset
    client.close()
    eventually(lambda: not served.connections)
    eventually(lambda: gc.collect() >= 0 and connection() is None)


HALF = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha"


def test_connection_beyond_the_limit_is_rejected(serve, get, monkeypatch):
    """If the requests of all are being answered; it is counted, and there is room again once one ends."""
    monkeypatch.setattr("exporter.toolkit.server.limit", lambda _descriptors: 2)
    go_on = threading.Event()

    def waiting(_environ, start_response):
        go_on.wait(60)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    served = serve(application=waiting)
    with contextlib.ExitStack() as stack:
        working = [stack.enter_context(socket.create_connection(served.address, 30)) for _ in range(2)]
        for one in working:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        eventually(lambda: len(served.server._connections.groups["busy"]) == 2)
        with socket.create_connection(served.address, 30) as another:
            assert ended(another) == b""
        go_on.set()
        assert all(ended(one).endswith(b"hello") for one in working)
        eventually(lambda: not served.connections)
        assert get(served.address) == (200, b"hello")
    assert served.reasons == ["overloaded"]


@pytest.mark.parametrize("begun", [HALF, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + HALF])
def test_incomplete_bodies_do_not_keep_others_out(serve, get, monkeypatch, begun):
    """Though they take every connection, and are pipelined: the oldest makes room, and is counted."""
    monkeypatch.setattr("exporter.toolkit.server.limit", lambda _descriptors: 4)
    served = serve()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(served.address, 30)) for _ in range(4)]
        for number, client in enumerate(clients, 1):
            client.sendall(begun)
            eventually(lambda: len(served.server._connections.groups["body"]) == number)  # noqa: B023  it is called now
        assert get(served.address) == (200, b"hello")
        assert ended(clients[0]).count(b"hello") == begun.count(b"GET")
        clients[1].sendall(b"lf")
        assert received(clients[1], b"half")
    assert served.reasons == ["overloaded"]


def test_clients_that_do_not_read_do_not_keep_others_out(serve, get, monkeypatch):
    """Though they take every connection: one makes room for each client, and is counted."""
    monkeypatch.setattr("exporter.toolkit.server.limit", lambda _descriptors: 4)
    served = serve()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stalled_reader(stack, served.address)
        busy = served.server._connections.groups["busy"]
        eventually(lambda: [one.flow.write_paused for one in busy] == [True] * 4)
        assert get(served.address) == (200, b"hello")
    assert served.reasons == ["overloaded"]


def test_connection_evicted_as_it_begins_leaves_nothing(serve, monkeypatch):
    """While a client is being accepted, the next one may already take its place."""
    monkeypatch.setattr("exporter.toolkit.server.limit", lambda _descriptors: 1)
    served = serve()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(served.address)
        last = stack.enter_context(socket.create_connection(served.address, 30))
        last.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received(last, b"hello")
        eventually(lambda: len(served.server._state.connections) == len(served.connections) == 1)


def test_there_are_fewer_connections_than_descriptors():
    """Some are left for the database, delivery and polls."""
    assert limit(256) == 256 - RESERVE
    assert limit(20_000) == limit(1_000_000) == limit(-1) == 4000
    assert limit(64) == 16


def test_silent_tls_clients_do_not_block_others(serve, get, secure):
    """Neither before nor in the handshake."""
    access, context = secure
    address = serve(access).addresses[0]
    with contextlib.ExitStack() as mute:
        for number in range(200):
            client = mute.enter_context(socket.create_connection(address, 30))
            client.sendall(b"\x16\x03\x01" * (number % 2))
        assert get(address, context=context) == (200, b"hello")
        assert get(address, "/large", context=context) == (200, b"".join(LARGE))


def test_client_without_a_certificate_is_rejected(serve, get, secure, tmp_path, capfd):
    """If the web config requires one, as is one without TLS; both are counted, with the reason, and not printed."""
    access, context = secure
    served = serve(access)
    address = served.addresses[0]
    socket.create_connection(address, 30).close()  # a load balancer's check is not
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with pytest.raises(OSError, match=r"(?i)certificate.required|reset|EOF|closed|broken pipe"):
        get(address, context=stranger)
    with pytest.raises((OSError, http.client.HTTPException)):
        get(address)
    assert get(address, context=context) == (200, b"hello")
    assert [(refusal.reason, refusal.message) for refusal in served.refusals] == [
        ("unauthorized", "TLS handshake failed: peer did not return a certificate"),
        ("malformed", "TLS handshake failed: http request"),
    ]
    assert capfd.readouterr().err == ""


def test_stop_finishes_requests_and_drops_stalled_clients(serve, get):
    """Within seconds; no thread is left."""
    before = set(threading.enumerate())
    listener = serve()
    with socket.socket() as stalled, socket.create_connection(listener.addresses[0], 30):
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(listener.addresses[0])
        stalled.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stalled.recv(10)
        began = time.monotonic()
        listener.stop(grace=0.5)
        assert time.monotonic() - began < 30
    assert set(threading.enumerate()) == before
    with pytest.raises(OSError, match="refused"):
        get(listener.addresses[0])


def test_errors_of_the_network_are_no_errors_of_ours(serve, caplog):
    """What asyncio reports of a client is logged for debugging only."""
    caplog.set_level("DEBUG", "exporter.toolkit.server")
    loop = serve().server._runner.get_loop()
    for error in (BrokenPipeError(), ValueError()):
        loop.call_soon_threadsafe(loop.call_exception_handler, {"message": "odd", "exception": error})
    eventually(lambda: [one.levelname for one in caplog.records if one.message == "odd"] == ["DEBUG", "ERROR"])


def test_idle_clients_do_not_delay_a_stop(serve):
    """Neither one that has sent nothing nor one between two requests."""
    served = serve()
    with socket.create_connection(served.address, 30) as new, socket.create_connection(served.address, 30) as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
        served.stop(grace=20.0)
        assert time.monotonic() - began < 10
        assert ended(new) == b""


def test_stop_during_pipelined_requests_is_not_an_error(serve, caplog):
    """Neither the one that is being answered nor those that wait for it are logged."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def waiting(_environ, start_response):
        begun.release()
        go_on.wait(60)
        start_response("200 OK", [])
        return []

    served = serve(application=waiting)
    with socket.create_connection(served.address, 30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        assert begun.acquire(timeout=60)
        served.stop(0.0)
        go_on.set()
        assert ended(client) == b""
    assert caplog.text == ""


def test_no_private_attribute_of_uvicorn_is_used():
    """Undocumented attributes may change in its next release."""
    sources = [inspect.getsource(module) for module in (connection_module, server_module)]
    theirs = set(re.findall(r"self\.(_\w+)", inspect.getsource(httptools_impl))) | set(dir(HttpToolsProtocol))
    ours = {name for source in sources for name in re.findall(r"\.(_[a-z]\w*)", source)}
    assert {name for name in ours & theirs if not name.startswith("__")} == set()
    strangers = [found for source in sources for found in re.findall(r"\b(?!self\b|cls\b)\w+\._[a-z]\w*", source)]
    assert strangers == []
