"""The sockets: many clients, mute ones, TLS, limits, and the end."""

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from exporter.listen import AT_FIRST, Listener
from exporter.toolkit.web_config import Access

LARGE = [bytes(128 * 1024)] * 64


def application(environ, start_response):
    body = {"/large": LARGE, "/": [b"hello"]}.get(environ["PATH_INFO"], [environ["wsgi.input"].read()])
    start_response("200 OK", [("Content-Length", str(sum(map(len, body))))])
    return body


@pytest.fixture
def listen():
    """Start listeners, and stop them in the end."""
    started = []

    def start(access=None, addresses=(("127.0.0.1", 0),), application=application, **more):
        listener = Listener(application, list(addresses), access or Access(None), **more)
        listener.start()
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.stop()


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
    return Access(tmp_path / "web.yml"), context


def get(address, path="/", context=None, method="GET", body=None):
    """Return the status and the body of one request on its own connection."""
    if context:
        client = http.client.HTTPSConnection(*address, timeout=30, context=context)
    else:
        client = http.client.HTTPConnection(*address, timeout=30)
    with contextlib.closing(client):
        client.request(method, path, body)
        answer = client.getresponse()
        return answer.status, answer.read()


def test_every_address_is_served(listen):
    """The same application on each, IPv6 in its brackets too."""
    wanted = [("127.0.0.1", 0), ("127.0.0.1", 0)]
    if socket.has_ipv6:
        wanted.append(("::1", 0))
    listener = listen(addresses=wanted)
    assert len(set(listener.addresses)) == len(wanted)
    assert {get(address) for address in listener.addresses} == {(200, b"hello")}


def test_an_address_in_use_is_an_error_and_nothing_stays_open(listen):
    """The addresses before it are let go again."""
    taken = listen().addresses[0]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()
    with pytest.raises(OSError, match="in use"):
        listen(addresses=[free, taken])
    with socket.create_server(free):
        pass


def test_a_large_page_arrives_whole(listen):
    """In blobs, on plain connections."""
    assert get(listen().addresses[0], "/large") == (200, b"".join(LARGE))


def test_a_connection_serves_many_requests(listen):
    """Kept alive, with answers in their order."""
    client = http.client.HTTPConnection(*listen().addresses[0], timeout=30)
    with contextlib.closing(client):
        for number in range(5):
            client.request("POST", "/echo", str(number))
            assert client.getresponse().read() == str(number).encode()


def received(sock, end):
    """Return what arrives up to and with `end`."""
    got = b""
    while not got.endswith(end):
        piece = sock.recv(65536)
        assert piece, got
        got += piece
    return got


def test_requests_sent_at_once_are_answered_in_their_order(listen):
    """Pipelined: what was read beyond one request is the beginning of the next."""
    request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
    with socket.create_connection(listen().addresses[0], 30) as sock:
        sock.sendall(b"".join(request + digit for digit in (b"1", b"2", b"3")))
        for digit in (b"1", b"2", b"3"):
            assert received(sock, b"\r\n\r\n" + digit).count(b"HTTP/1.1 200") == 1


def test_a_client_that_waits_for_leave_to_send_gets_it_at_once(listen):
    """`Expect: 100-continue` is answered before the body is there, and the answer after it."""
    with socket.create_connection(listen().addresses[0], 30) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert received(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        sock.sendall(b"body")
        assert received(sock, b"\r\n\r\nbody").startswith(b"HTTP/1.1 200")


def test_an_answer_without_a_body_is_sent_at_once(listen):
    """Its head waits for nothing: a client that says HEAD or POSTs nothing hears at once."""
    with socket.create_connection(listen().addresses[0], 30) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert received(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_client_that_never_pauses_does_not_keep_the_listener_from_stopping(listen):
    """Its thread looks up between two requests."""
    listener = listen()
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


def test_a_body_over_the_limit_is_refused(listen):
    """413 without reading it."""
    address = listen(body_limit=1000).addresses[0]
    assert get(address, "/echo", method="POST", body=b"x" * 1000) == (200, b"x" * 1000)
    assert get(address, "/echo", method="POST", body=b"x" * 1001)[0] == 413


def test_there_are_as_many_threads_as_were_busy_at_once(listen, monkeypatch):
    """Few at first; more for as long as requests last; at most the limit, and then requests wait for their turn."""
    monkeypatch.setattr("exporter.listen.THREADS", 20)
    together = threading.Barrier(20)

    def meeting(_environ, start_response):
        together.wait(60)
        start_response("200 OK", [("Content-Length", "3")])
        return [b"met"]

    before = threading.active_count()
    address = listen(application=meeting).addresses[0]
    few = threading.active_count() - before
    with ThreadPoolExecutor(60) as clients:
        assert list(clients.map(get, [address] * 60)) == [(200, b"met")] * 60
    assert few < 5
    assert threading.active_count() - before == few + 20 - AT_FIRST


def test_mute_clients_hold_nobody_up(listen):
    """A hundred connections that say nothing cost no thread."""
    address = listen().addresses[0]
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
def test_clients_that_never_come_to_an_end_hold_nobody_up(listen, begun, monkeypatch):
    """Three times as many as there are threads: what is not whole waits without one."""
    monkeypatch.setattr("exporter.listen.ARRIVAL", 1000)
    address = listen().addresses[0]
    with contextlib.ExitStack() as slow:
        clients = [slow.enter_context(socket.create_connection(address, 30)) for _ in range(200)]
        for client in clients:
            client.sendall(begun)
        for _ in range(3):
            assert get(address) == (200, b"hello")
            assert get(address, "/echo", method="POST", body=b"x" * 200_000) == (200, b"x" * 200_000)


def test_a_request_that_is_not_whole_in_time_ends(listen, monkeypatch):
    """However many bytes come meanwhile; an idle connection stays."""
    monkeypatch.setattr("exporter.listen.ARRIVAL", 1)
    address = listen().addresses[0]
    with socket.create_connection(address, 30) as idle, socket.create_connection(address, 30) as slow:
        with contextlib.suppress(ConnectionError):
            for _ in range(300):
                slow.sendall(b"G")
                slow.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    assert slow.recv(1) == b""
                    break
            else:
                pytest.fail("still open")
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(idle, b"hello").startswith(b"HTTP/1.1 200")


def test_large_requests_that_are_not_whole_have_little_room(listen, monkeypatch):
    """All of them together; small ones find room nevertheless."""
    monkeypatch.setattr("exporter.listen.ARRIVING", 300_000)
    address = listen().addresses[0]
    begun = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200001\r\n\r\n" + bytes(200_000)
    with contextlib.ExitStack() as slow:
        clients = [slow.enter_context(socket.create_connection(address, 30)) for _ in range(3)]
        with contextlib.suppress(ConnectionError):
            for client in clients:
                client.sendall(begun)
        assert select.select(clients, [], [], 30)[0], "none was closed"
        assert get(address) == (200, b"hello")
        assert get(address, "/echo", method="POST", body=b"small") == (200, b"small")


def test_clients_that_do_not_read_hold_nobody_up_for_long(listen, monkeypatch):
    """Five times as many as there are threads: while others wait, a second without a byte is the end."""
    monkeypatch.setattr("exporter.listen.THREADS", 4)
    monkeypatch.setattr("exporter.wire.STALLED", 1000)
    address = listen().addresses[0]
    with contextlib.ExitStack() as stalled:
        for _ in range(20):
            client = stalled.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert get(address) == (200, b"hello")


def test_a_client_that_does_not_read_ends_in_time_though_nobody_waits(listen, monkeypatch):
    """The rest of its answer is never sent."""
    monkeypatch.setattr("exporter.wire.STALLED", 0)
    monkeypatch.setattr("exporter.wire.IMPATIENT", 0.1)
    listener = listen()
    (server,) = listener._servers
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(listener.addresses[0])
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        got = len(client.recv(10))
        end = time.monotonic() + 30
        while server.requests.idle < AT_FIRST:
            assert time.monotonic() < end, "a thread waits for it"
            time.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(1 << 20):
                got += len(piece)
    assert got < sum(map(len, LARGE))


def test_mute_tls_clients_hold_nobody_up(listen, secure):
    """Neither before the handshake, nor in the middle of it."""
    access, context = secure
    address = listen(access).addresses[0]
    with contextlib.ExitStack() as mute:
        for number in range(200):
            client = mute.enter_context(socket.create_connection(address, 30))
            client.sendall(b"\x16\x03\x01" * (number % 2))
        assert get(address, context=context) == (200, b"hello")
        assert get(address, "/large", context=context) == (200, b"".join(LARGE))


def test_a_client_without_a_certificate_is_refused(listen, secure, tmp_path, capfd):
    """Where the web config asks for one; and nothing is printed about it."""
    access, context = secure
    address = listen(access).addresses[0]
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with pytest.raises(OSError, match=r"(?i)certificate.required|reset|EOF|closed"):
        get(address, context=stranger)
    with pytest.raises((OSError, http.client.HTTPException)):
        get(address)
    assert get(address, context=context) == (200, b"hello")
    assert capfd.readouterr().err == ""


def test_stopping_lets_a_request_end_and_breaks_a_reader_that_stalls(listen):
    """Within seconds, whoever holds on; no thread is left."""
    before = set(threading.enumerate())
    listener = listen()
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
