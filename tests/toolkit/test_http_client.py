import base64
import contextlib
import errno
import gzip
import itertools
import os
import re
import shutil
import socket
import ssl
import struct
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
import responses
import trustme
import urllib3
from requests import exceptions

from exporter.toolkit import http_connection
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import (
    ClientError,
    ConnectFailed,
    HttpError,
    Malformed,
    TimedOut,
    TlsFailed,
    translated,
)
from exporter.toolkit.http_settings import HttpClientSettings
from tests.toolkit.talking import answer, answering, dying_when_reused, serving

SECRET = "s3cret"
LONG = 60.0
"""Seconds that no test waits for."""


@contextlib.contextmanager
def client(timeout=LONG, **settings):
    made = HttpClient(HttpClientSettings(**settings), timeout)
    try:
        yield made
    finally:
        made.close()


def failure(one, url, **more):
    with pytest.raises(HttpError) as caught:
        one.request("GET", url, **more)
    return caught.value


def reset(connection):
    """End a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_response_has_status_headers_and_body():
    """For any status; header names are in lower case; the body is decompressed."""
    packed = answer(gzip.compress(b"gone"), "404 Not Found", "Content-Encoding: gzip", "X-One: 1")
    with serving(answering(packed)) as server, client() as one:
        got = one.request("GET", f"{server.url}/a?b=c%20d", headers={"Authorization": "Bearer t"})
    assert (got.status, got.body, got.headers["x-one"]) == (404, b"gone", "1")
    (request,) = server.requests
    assert request.startswith(b"GET /a?b=c%20d HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer t\r\n" in request
    assert b"\r\nUser-Agent: vendorwatch/" in request


def test_body_is_sent_unchanged():
    """The bytes of a POST are the caller's."""
    with serving(answering(answer(b"", "204 No Content"))) as server, client() as one:
        assert (
            one.request("POST", server.url, body=b'{"a": 1}', headers={"Content-Type": "application/json"}).status
            == 204
        )
    assert server.requests[0].endswith(b'\r\n\r\n{"a": 1}')


def test_requests_share_a_connection():
    """A connection is kept for the next request, for a short time."""
    with serving(answering(answer())) as server, client() as one:
        for _ in range(3):
            one.request("GET", server.url)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_an_idle_connection_is_not_kept_for_long(monkeypatch):
    """Load balancers and NATs drop idle connections silently."""
    monkeypatch.setattr(http_connection, "KEEP_IDLE", 0.0)
    with serving(answering(answer())) as server, client() as one:
        for _ in range(2):
            one.request("GET", server.url)
    assert server.connections == 2


@pytest.mark.parametrize(
    ("end", "timeout"),
    [
        (lambda connection, _: reset(connection), LONG),
        (lambda connection, _: connection.close(), LONG),
        pytest.param(lambda _, server: server.over.wait(60), 2.0, marks=pytest.mark.slow),
    ],
    ids=["reset", "closed", "silent"],
)
def test_a_dead_idle_connection_is_replaced(end, timeout):
    """A kept connection dropped by the server or a NAT does not fail the request, within the same deadline."""
    with serving(dying_when_reused(end)) as server, client(timeout) as one:
        for _ in range(4):
            assert one.request("GET", server.url).body == b"ok"
    assert server.connections >= 2


@pytest.mark.parametrize("end", [reset, ssl.SSLSocket.unwrap, ssl.SSLSocket.close], ids=["reset", "unwrap", "close"])
def test_dead_idle_tls_connection_is_replaced(authority, ca_file, end):
    """Reset, closed with close_notify, or just gone."""
    with (
        serving(dying_when_reused(lambda secure, _: end(secure)), context=tls(authority, "127.0.0.1")) as server,
        client(ca_file=str(ca_file)) as one,
    ):
        for _ in range(4):
            assert one.request("GET", server.url.replace("http:", "https:")).body == b"ok"
    assert server.connections == 4


def test_post_is_retried_only_if_repeatable():
    """A POST that failed may have been carried out."""
    with serving(dying_when_reused(lambda connection, _: reset(connection))) as server, client() as one:
        one.request("POST", server.url, body=b"1")
        with pytest.raises(ConnectFailed):
            one.request("POST", server.url, body=b"2")
        one.request("POST", server.url, body=b"3")
        assert one.request("POST", server.url, body=b"4", repeatable=True).status == 200
    assert [request[-1:] for request in server.requests] == [b"1", b"2", b"3", b"4", b"4"]


def test_failed_new_connection_is_not_retried():
    """The server is down, and the error comes at once."""
    with serving(lambda connection, server: next(server.heads(connection)) and reset(connection)) as server:
        with client() as one:
            assert isinstance(failure(one, server.url), ConnectFailed)
        assert len(server.requests) == 1


@pytest.mark.slow
def test_slow_response_on_a_kept_connection_is_used():
    """A second request was sent after half of the time, and the first is answered."""

    def act(connection, server):
        for count, _ in enumerate(server.heads(connection)):
            if server.connections > 1:
                server.over.wait(60)  # the second connection never answers
            elif count:
                deadline = time.monotonic() + 60
                while server.connections < 2 and time.monotonic() < deadline:
                    time.sleep(0.01)
            connection.sendall(answer())

    with serving(act) as server, client(4.0) as one:
        for _ in range(2):
            assert one.request("GET", server.url).body == b"ok"


def dripping(start, piece):
    def act(connection, server):
        next(server.heads(connection))
        connection.sendall(start)
        while not server.over.wait(0.05):
            connection.sendall(piece)

    return act


@pytest.mark.parametrize(
    "act",
    [
        dripping(b"", b""),
        dripping(b"", b"H"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["mute", "head", "headers", "body", "early hints"],
)
def test_endless_response_ends_at_the_deadline(act):
    """However often a byte arrives; the reading thread ends too."""
    before = threading.active_count()
    with serving(act) as server, client(0.5) as one:
        assert_timed_out(failure(one, server.url), "waiting for the response", reached=server.requests)
    ended(before)


def test_endless_answer_of_a_proxy_ends_at_the_deadline():
    """So does the thread that reads it."""
    with (
        serving(dripping(b"", b"H")) as server,
        client(0.5, proxy_url=Secret(server.url)) as one,
    ):
        before = threading.active_count()
        assert_timed_out(failure(one, "https://vendor.invalid"), "connecting", reached=server.requests)
        ended(before)


def assert_timed_out(error, stage, *, reached):
    """Assert that the error names the stage; a busy machine may not have come so far."""
    assert isinstance(error, TimedOut)
    assert str(error) == f"no complete response within 0.5 s ({stage})" or not reached


def ended(before):
    deadline = time.monotonic() + 30
    while threading.active_count() > before:
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.02)


def test_slow_tls_handshake_ends_at_the_deadline():
    """A socket's own timeout restarts with each byte."""

    def act(connection, server):
        connection.recv(1)
        server.requests.append("hello")
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 kB is to come
        while not server.over.wait(0.05):
            connection.sendall(b"\x00")

    before = threading.active_count()
    with serving(act) as server, client(0.5) as one:
        assert_timed_out(failure(one, server.url.replace("http:", "https:")), "TLS handshake", reached=server.requests)
    ended(before)


def test_the_deadline_covers_name_resolution(monkeypatch):
    """A resolver that does not answer blocks no longer than the deadline."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    with client(0.3) as one:
        began = time.monotonic()
        assert str(failure(one, "http://vendor.example")) == "no complete response within 0.3 s (resolving the name)"
        assert time.monotonic() - began < 30
    over.set()


def resolving(monkeypatch, *addresses):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@contextlib.contextmanager
def swallowing():
    """Yield the address of a listener whose queue is full: the kernel answers no more SYNs."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.settimeout(0)
            filling.connect_ex(listening.getsockname())
        time.sleep(0.1)
        yield listening.getsockname()


@pytest.mark.slow
def test_the_deadline_is_shared_among_the_addresses_of_a_name(monkeypatch):
    """The first does not answer, the second does."""
    with serving(answering(answer())) as server, swallowing() as dead, client(4.0) as one:
        resolving(monkeypatch, dead, ("127.0.0.1", server.port))
        assert one.request("GET", "http://vendor.example").body == b"ok"
        assert b"\r\nHost: vendor.example\r\n" in server.requests[0]


def test_name_with_only_dead_addresses_ends_at_the_deadline(monkeypatch):
    """None of its addresses is waited for any longer."""
    with swallowing() as dead, client(0.5) as one:
        resolving(monkeypatch, dead, dead)
        assert isinstance(failure(one, "http://vendor.example"), TimedOut)


def test_close_cancels_requests():
    """A stop waits neither for a response nor for a second attempt on a dead connection."""
    with serving(dying_when_reused(lambda _, server: server.over.wait(60))) as server:
        one = HttpClient(HttpClientSettings(), LONG)
        one.request("GET", server.url)
        caught = []
        waiting = threading.Thread(target=lambda: caught.append(failure(one, server.url)))
        waiting.start()
        while len(server.requests) < 2:
            time.sleep(0.01)
        one.close()
        waiting.join(20)
        assert not waiting.is_alive()
        caught.append(failure(one, server.url))
    assert [type(error) for error in caught] == [ConnectFailed] * 2
    assert len(server.requests) == 2


def test_failure_to_start_a_thread_is_a_request_error(monkeypatch):
    """The caller gets no exception that it does not expect."""

    def refuse(_self):
        raise RuntimeError("can't start new thread")

    with client() as one:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert str(failure(one, "http://vendor.example")) == "cannot start another thread"


def test_max_response_is_exact():
    """By default 8 MB, after decompression."""
    with serving(answering(answer(b"x" * 10), answer(b"x" * 11))) as server, client(max_response=10) as one:
        assert one.request("GET", server.url).body == b"x" * 10
        error = failure(one, server.url)
    assert isinstance(error, Malformed)
    assert str(error) == "response larger than 10 bytes"
    assert HttpClientSettings().max_response == 8_000_000


def test_gzip_bomb_is_rejected_early():
    """100 kB that would become 100 MB."""
    packer = gzip.zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(100)), packer.flush()])
    with serving(answering(answer(bomb, "200 OK", "Content-Encoding: gzip"))) as server, client() as one:
        tracemalloc.start()
        try:
            assert isinstance(failure(one, server.url), Malformed)
            assert tracemalloc.get_traced_memory()[1] < 40_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "300 Choices"])
def test_a_redirect_is_not_followed_and_its_body_not_read(status):
    """It would send the token elsewhere, and its body could be endless."""
    sent = []

    def act(connection, server):
        next(server.heads(connection))
        connection.sendall(f"HTTP/1.1 {status}\r\nLocation: /x\r\nSet-Cookie: a=b\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                connection.sendall(b"x" * 100_000)
                sent.append(1)

    with serving(act) as server, client() as one:
        got = one.request("GET", server.url)
        assert (got.status, got.body, got.headers["location"]) == (int(status[:3]), b"", "/x")
        with contextlib.suppress(HttpError):
            one.request("GET", server.url)
    assert len(sent) < 1000
    assert b"cookie" not in server.requests[-1].lower()


@pytest.mark.parametrize("early", [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_interim_responses_are_skipped(early):
    """1xx, once and several times; the connection stays usable."""
    with serving(answering(early * 3 + answer())) as server, client() as one:
        for _ in range(2):
            got = one.request("GET", server.url)
            assert (got.status, got.body) == (200, b"ok")
            assert "link" not in got.headers
    assert server.connections == 1


def test_switch_of_protocols_is_a_final_response():
    """Nothing that is HTTP follows 101."""
    with serving(answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")) as server, client(5.0) as one:
        assert one.request("GET", server.url).status == 101


def test_response_that_breaks_off_is_not_asked_for_again():
    """The kept connection was alive: that the answer is incomplete is the caller's to count and to repeat."""

    def act(connection, server):
        for count, _ in enumerate(server.heads(connection)):
            connection.sendall(answer() if count == 0 else answer()[:-1])
            if count:
                return

    with serving(act) as server, client() as one:
        assert one.request("GET", server.url).body == b"ok"
        assert isinstance(failure(one, server.url), ConnectFailed)
        assert len(server.requests) == 2


BROKE = "the connection broke before the response was complete"


@pytest.mark.parametrize(
    ("sent", "kind", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ConnectFailed, BROKE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ConnectFailed, BROKE),
        (answer(b"no gzip", "200 OK", "Content-Encoding: gzip"), Malformed, "the body's compression is broken"),
        (b"HTTP/1.1 200", ConnectFailed, BROKE),
        (b"HTTP/1.1 200 OK\r\n", ConnectFailed, BROKE),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n", ConnectFailed, BROKE),
        (b"", ConnectFailed, BROKE),
    ],
)  # fmt: skip
def test_incomplete_response_is_an_error(sent, kind, message):
    """Half a response is never treated as complete."""

    def act(connection, server):
        next(server.heads(connection))
        connection.sendall(sent)

    with serving(act) as server, client() as one, client(proxy_url=Secret(server.url)) as other:
        error = failure(one, server.url)
        assert not sent or str(failure(other, "http://vendor.invalid")) == message
    assert (type(error), str(error)) == (kind, message)


def test_environment_is_ignored(monkeypatch, tmp_path):
    """Neither a proxy nor a netrc nor a CA bundle of the environment is used."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pw")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with serving(answering(answer())) as server, client() as one:
        assert one.request("GET", server.url).status == 200
    assert b"authorization" not in server.requests[0].lower()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def tls(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_only_ca_file_is_trusted(authority, ca_file):
    """Verified before anything is sent; the error has OpenSSL's reason."""
    with serving(answering(answer()), context=tls(authority, "127.0.0.1")) as server:
        url = server.url.replace("http:", "https:")
        with client() as one:
            error = failure(one, url)
            assert isinstance(error, TlsFailed)
            assert str(error) == "the server's certificate is not trusted: unable to get local issuer certificate"
        with client(ca_file=str(ca_file)) as one:
            assert one.request("GET", url).body == b"ok"
            assert str(failure(one, url.replace("127.0.0.1", "localhost"))).startswith(
                "the server's certificate is not trusted: Hostname mismatch"
            )
    assert len(server.requests) == 1


def test_intermediate_authority_in_ca_file_is_trusted(authority, tmp_path):
    """Without its root, as by curl and Prometheus; the server sends it or not."""
    part = authority.create_child_ca()
    part.cert_pem.write_to_path(tmp_path / "part.pem")
    with client(ca_file=str(tmp_path / "part.pem")) as one:
        with serving(answering(answer()), context=tls(part, "127.0.0.1")) as server:
            assert one.request("GET", server.url.replace("http:", "https:")).body == b"ok"
        with serving(answering(answer()), context=tls(authority, "127.0.0.1")) as server:
            assert isinstance(failure(one, server.url.replace("http:", "https:")), TlsFailed)


def test_without_ca_file_the_systems_roots_are_trusted(authority, ca_file, monkeypatch):
    """OpenSSL's trust store on this machine, not a list in a package."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with serving(answering(answer()), context=tls(authority, "127.0.0.1")) as server, client() as one:
        assert one.request("GET", server.url.replace("http:", "https:")).body == b"ok"


def test_plain_http_on_an_https_url_is_a_tls_failure():
    """With OpenSSL's message."""

    def act(connection, _server):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(act) as server, client() as one:
        error = failure(one, server.url.replace("http:", "https:"))
    assert isinstance(error, TlsFailed)
    assert re.fullmatch("TLS handshake failed: (wrong version number|record layer failure)", str(error))


def test_a_replaced_ca_file_is_trusted_from_then_on(authority, ca_file, caplog):
    """A renewed authority needs no restart, and the old one is forgotten. A missing or broken file changes nothing."""
    renewed = trustme.CA()
    with (
        serving(answering(answer()), context=tls(authority, "127.0.0.1")) as old,
        serving(answering(answer()), context=tls(renewed, "127.0.0.1")) as new,
        client(ca_file=str(ca_file)) as one,
    ):
        before, after = (server.url.replace("http:", "https:") for server in (old, new))
        assert one.request("GET", before).body == b"ok"
        ca_file.unlink()
        assert one.request("GET", before).body == b"ok"
        ca_file.write_text("-----BEGIN")
        for _ in range(2):
            assert one.request("GET", before).body == b"ok"
        assert [record.getMessage().partition(" held before: ")[2] for record in caplog.records] == [
            f"ca_file: cannot read {ca_file}: No such file or directory",
            "ca_file: no certificate authority in PEM form",
        ]
        renewed.cert_pem.write_to_path(ca_file)
        assert one.request("GET", after).body == b"ok"
        assert isinstance(failure(one, before), TlsFailed)


def test_missing_ca_file_is_named(ca_file):
    """It existed when the configuration was read."""
    gone = Path(shutil.copy(ca_file, ca_file.with_name("gone.pem")))
    with client(ca_file=str(gone)) as one:
        gone.unlink()
        assert str(failure(one, "https://vendor.example")) == f"ca_file: cannot read {gone}: No such file or directory"


def proxy(act):
    """Return what connects through to a port, or forwards, when the right credentials come along."""
    right = b"Basic " + base64.b64encode(f"me:{SECRET}".encode())

    def proxying(connection, server):
        head = next(server.heads(connection))
        if right not in head:
            connection.sendall(answer(b"", "407 Proxy Authentication Required"))
        elif head.startswith(b"CONNECT"):
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            act(connection, head)
        else:
            connection.sendall(answer(b"forwarded"))

    return proxying


def test_http_goes_through_a_proxy_with_its_credentials():
    """The proxy gets the whole URL, with the credentials of proxy_url."""
    with serving(proxy(None)) as server:
        with client(proxy_url=Secret(f"http://me:{SECRET}@127.0.0.1:{server.port}")) as one:
            assert one.request("GET", "http://vendor.invalid/x").body == b"forwarded"
        assert server.requests[0].startswith(b"GET http://vendor.invalid/x HTTP/1.1\r\n")
        with client(proxy_url=Secret(server.url)) as one:
            error = failure(one, "http://vendor.invalid/x")
            assert str(error) == "the proxy does not accept the credentials (407)"


def test_https_goes_through_a_proxy_by_connect(authority, ca_file):
    """The proxy gets only the name, whose certificate is verified; a rejection is an error with its status."""
    context = tls(authority, "vendor.invalid")

    def act(connection, _head):
        with context.wrap_socket(connection, server_side=True) as secure:
            while secure.recv(65536):
                secure.sendall(answer(b"tunnelled"))

    with serving(proxy(act)) as server:
        url = "https://vendor.invalid/x"
        with client(proxy_url=Secret(f"http://me:{SECRET}@127.0.0.1:{server.port}"), ca_file=str(ca_file)) as one:
            for _ in range(2):
                assert one.request("GET", url).body == b"tunnelled"
        (request,) = server.requests
        assert request.startswith(b"CONNECT vendor.invalid:443 ")
        with client(proxy_url=Secret(server.url), ca_file=str(ca_file)) as one:
            assert str(failure(one, url)) == "the proxy refuses to connect (407)"


def test_a_proxy_may_speak_tls_itself(authority, ca_file):
    """Its certificate is verified like any other."""
    context = tls(authority, "127.0.0.1")
    with serving(proxy(None), context=context) as server:
        address = f"https://me:{SECRET}@127.0.0.1:{server.port}"
        with client(proxy_url=Secret(address), ca_file=str(ca_file)) as one:
            assert one.request("GET", "http://vendor.invalid/x").body == b"forwarded"
        with client(proxy_url=Secret(address)) as one:
            untrusted = "the server's certificate is not trusted: unable to get local issuer certificate"
            for url in ("http://vendor.invalid/x", "https://vendor.invalid/x"):
                error = failure(one, url)
                assert (type(error), str(error)) == (TlsFailed, f"cannot reach the proxy: {untrusted}")
        with client(proxy_url=Secret(address.replace(SECRET, "no")), ca_file=str(ca_file)) as one:
            assert str(failure(one, "https://vendor.invalid/x")) == "the proxy refuses to connect (407)"


def test_connection_errors_have_a_plain_reason():
    """Refused, unresolvable, a missing proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = f"http://127.0.0.1:{listening.getsockname()[1]}"
    for url, settings, message in [
        (closed, {}, "connection refused"),
        ("http://nowhere.invalid", {}, "the name does not resolve"),
        ("http://vendor.invalid", {"proxy_url": Secret(closed)}, "cannot reach the proxy: connection refused"),
        ("https://vendor.invalid", {"proxy_url": Secret(closed)}, "cannot reach the proxy: connection refused"),
        ("http://x", {"proxy_url": Secret("http://no.invalid:1")}, "cannot reach the proxy: the name does not resolve"),
    ]:
        with client(**settings) as one:
            error = failure(one, url)
            assert (type(error), str(error)) == (ConnectFailed, message)


@pytest.mark.parametrize("failed", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_unreachable_address_is_named_as_such(monkeypatch, failed):
    """By the system's own words: it is the route or a firewall, not the vendor."""

    def connect(_socket, _address):
        raise OSError(failed, os.strerror(failed))

    monkeypatch.setattr(socket.socket, "connect", connect)
    with client() as one:
        assert str(failure(one, "http://192.0.2.1/")) == os.strerror(failed).lower()


@pytest.mark.parametrize(
    ("url", "headers", "message"),
    [
        ("", {}, "the URL cannot be used"),
        ("nonsense", {}, "the URL cannot be used"),
        ("http://[::1", {}, "the URL cannot be used"),
        ("http://vendor:99999", {}, "the URL cannot be used"),
        ("ftp://vendor/", {}, "the URL cannot be used"),
        (f"http://me:{SECRET}@vendor/", {}, "the URL holds a user name or password"),
        ("http://vendor/", {"A": f"{SECRET}\r\nB: c"}, "the value of header A cannot be sent: printable ASCII only"),
        ("http://vendor/", {"A": f"{SECRET}é"}, "the value of header A cannot be sent: printable ASCII only"),
        ("http://vendor/", {"A": f" {SECRET}"}, "the value of header A cannot be sent: printable ASCII only"),
        ("http://vendor/", {f"A {SECRET}": "x"}, "a header's name cannot be sent"),
        ("http://" + "a" * 70 + ".invalid/", {}, "the URL or the credentials cannot be sent"),
    ],
)
def test_unsendable_request_is_an_error_without_secrets(url, headers, message):
    """Such as a user name in the URL, which requests would send in place of the token."""
    with client() as one:
        error = failure(one, url, headers=headers)
    assert (type(error), str(error)) == (ClientError, message)


def test_errors_contain_no_secret():
    """Neither the error nor a cause that a traceback would show."""
    with serving(lambda connection, server: next(server.heads(connection)) and connection.close()) as server:
        for base in (server.url, "http://127.0.0.1:1", "http://nowhere.invalid"):
            with client(2.0) as one:
                error = failure(one, f"{base}/{SECRET}?key={SECRET}", headers={"Authorization": SECRET})
                chain = itertools.takewhile(bool, (error, error.__cause__, error.__context__))
                assert not any(SECRET in repr(link) for link in chain)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b"SSH-2.0-OpenSSH_9.2"], "the response is not HTTP, or its head is too large"),
        ([b"HTTP/1.1 200 OK", b"X: " + b"a" * 70_000], "the response is not HTTP, or its head is too large"),
        ([b"HTTP/1.1 200 OK", *[b"X: y"] * 150], "the response is not HTTP, or its head is too large"),
        ([b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Content-Length: 3"], "the response's head contradicts itself"),
    ],
    ids=["ssh", "long", "many", "lengths"],
)
def test_response_that_is_not_http_is_malformed(lines, message):
    """The server was reached, and the request is not at fault."""
    with serving(answering(b"\r\n".join([*lines, b"", b"ok"]))) as server, client() as one:
        error = failure(one, server.url)
    assert (type(error), str(error)) == (Malformed, message)


@responses.activate
def test_mocks_of_requests_work_here():
    """Tests of vendors' clients need no server."""
    responses.get("https://vendor.example/x", json={"a": 1})
    with client() as one:
        assert one.request("GET", "https://vendor.example/x").body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.ConnectionError(urllib3.exceptions.ReadTimeoutError(None, "", "read timed out")), TimedOut),
        (exceptions.ConnectionError(urllib3.exceptions.ProtocolError("", ConnectionResetError())), ConnectFailed),
        (exceptions.ConnectTimeout(SECRET), TimedOut),
        (exceptions.SSLError(SECRET), TlsFailed),
        (exceptions.ProxyError(SECRET), ConnectFailed),
        (exceptions.ContentDecodingError(SECRET), Malformed),
        (exceptions.InvalidProxyURL(SECRET), ClientError),
        (exceptions.InvalidSchema(SECRET), ClientError),
        (exceptions.InvalidHeader(SECRET), Malformed),
        (exceptions.RequestException(SECRET), ConnectFailed),
        (urllib3.exceptions.LocationParseError(SECRET), ClientError),
        (UnicodeEncodeError("latin-1", "€", 0, 1, "no"), ClientError),
        (RuntimeError(SECRET), ConnectFailed),
    ],
)
def test_errors_of_requests_are_translated(error, kind):
    """Each to its own kind, not to that of a base class; a timeout while reading a body is one, wrapped or not."""
    assert type(translated(error)) is kind
    assert SECRET not in str(translated(error))
