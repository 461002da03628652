import contextlib
import gzip
import shutil
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import trustme
import urllib3
from requests import exceptions

from exporter.collectors.contract import Get, Reason, Response
from exporter.collectors.settings import TargetSettings
from exporter.errors import (
    ClientError,
    ConnectFailed,
    Malformed,
    PollError,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TlsFailed,
)
from exporter.fetch import session as session_module
from exporter.fetch.error_mapping import KINDS, check, translated
from exporter.fetch.session import Session, located
from exporter.toolkit.config_types import Secret

TOKEN = "s3cret-token"


class Settings(TargetSettings):
    address: str | Secret = ""
    token: Secret | None = None

    def url(self):
        return self.address

    def bearer(self):
        return self.token


def request(path="/x", params=(), **more):
    return Get(endpoint="/x", reason=Reason.STATUS, due=0.0, every=60.0, path=path, params=params, **more)


class Vendor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list

    def do_GET(self):
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        getattr(self, "answer_" + self.path.lstrip("/").partition("?")[0], self.response)()

    def response(self, body=b"{}", status=200, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_elsewhere(self):
        self.response(b"moved", 302, Location="/x", Set_Cookie="a=b", **{"Set-Cookie": "a=b"})

    def answer_packed(self):
        self.response(gzip.compress(b"[1]"), **{"Content-Encoding": "gzip"})

    def answer_badly_packed(self):
        self.response(b"no gzip", **{"Content-Encoding": "gzip"})

    def answer_cut(self):
        self.response(b"half", **{"Content-Length": "9"})
        self.close_connection = True

    def answer_mute(self):
        self.drip(b"")

    def answer_dripping_head(self):
        self.drip(b"H")

    def answer_dripping_body(self):
        self.send_response(200)
        self.end_headers()
        self.drip(b"x")

    def drip(self, byte):
        self.close_connection = True
        try:
            while not self.server.over.wait(0.05):
                self.wfile.write(byte)
        except OSError:
            self.server.cut.set()

    def log_message(self, *args):
        pass


@contextmanager
def serving(context=None):
    handler = type("Handler", (Vendor,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.over, server.cut, server.seen = threading.Event(), threading.Event(), handler.seen
    server.handle_error = lambda *_: None
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def vendor():
    with serving() as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server


@contextmanager
def opened(address, **more):
    session = Session(Settings(collector="c", account="a", address=address, **more), lambda: 1000.0)
    try:
        yield session
    finally:
        session.close()


def failure(session, asked):
    with pytest.raises(PollError) as caught:
        session.get(asked)
    return caught.value


def test_an_answer_carries_its_time_status_body_and_headers(vendor):
    """The time is when it was asked for, names of headers are in lower case, the body is unpacked."""
    with opened(vendor.url) as session:
        response = session.get(request("/packed"))
    assert (response.at, response.status, response.body) == (1000.0, 200, b"[1]")
    assert response.headers["content-encoding"] == "gzip"


def test_a_request_says_who_asks_and_carries_the_token_as_it_is_now(vendor, tmp_path):
    """A token file is read again when it has changed; nothing else of a session goes along."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with opened(vendor.url, token=Secret(file=file)) as session:
        session.get(request(accept="application/hal+json"))
        first = session.credentials()
        file.write_text("renewed")
        session.get(request())
        assert session.credentials() not in {first, "", "renewed"}
    headers = [headers for _, headers in vendor.seen]
    assert headers[0]["user-agent"].startswith("vendorwatch")
    assert headers[0]["accept"] == "application/hal+json"
    assert [one["authorization"] for one in headers] == [f"Bearer {TOKEN}", "Bearer renewed"]


def test_a_redirect_is_not_followed_and_no_cookie_kept(vendor):
    """It would carry the token away."""
    with opened(vendor.url, token=Secret(TOKEN)) as session:
        response = session.get(request("/elsewhere"))
        session.get(request())
    assert response.status == 302
    assert [path for path, _ in vendor.seen] == ["/elsewhere", "/x"]
    assert "cookie" not in vendor.seen[1][1]
    with pytest.raises(ClientError, match="302: redirects are not followed"):
        check(request(), response)


def test_the_environment_changes_nothing(vendor, monkeypatch, tmp_path):
    """Neither a proxy nor a netrc nor a CA bundle of the environment is used."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pw")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with opened(vendor.url) as session:
        assert session.get(request()).status == 200
    assert "authorization" not in vendor.seen[0][1]


def answered_within(session, seconds):
    """Whether a request is answered at last: a busy machine may miss a short deadline now and then."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        with contextlib.suppress(TimedOut):
            return session.get(request()).status == 200
    return False


@pytest.mark.parametrize("path", ["/mute", "/dripping_head", "/dripping_body"])
def test_a_vendor_that_never_ends_is_cut_off(vendor, path):
    """The deadline counts for the whole answer; the connection is shut, and the next request works."""
    with opened(vendor.url, timeout=0.5) as session:
        began = time.monotonic()
        error = failure(session, request(path))
        took = time.monotonic() - began
        assert isinstance(error, TimedOut)
        assert str(error) == "no whole answer within 0.5 s"
        assert 0.4 < took < 30
        if path != "/mute":
            assert vendor.cut.wait(30)
        assert answered_within(session, 30)


def test_closing_cuts_what_is_under_way(vendor):
    """A stop need not wait for a vendor."""
    with opened(vendor.url, timeout=60.0) as session:
        caught = []
        waiting = threading.Thread(target=lambda: caught.append(failure(session, request("/mute"))))
        waiting.start()
        while not vendor.seen:
            time.sleep(0.01)
        time.sleep(0.05)
        session.close()
        waiting.join(30)
    assert [type(error) for error in caught] == [ConnectFailed]


def test_an_answer_that_is_too_long_is_not_read_to_its_end(vendor, monkeypatch):
    """It cannot fill the memory."""
    monkeypatch.setattr(session_module, "MOST_BYTES", 1)
    with opened(vendor.url) as session:
        assert str(failure(session, request())) == "an answer of more than 1 bytes"


@pytest.mark.parametrize(
    ("path", "kind"), [("/cut", ConnectFailed), ("/badly_packed", Malformed)]
)  # fmt: skip
def test_a_broken_body_is_an_error(vendor, path, kind):
    """Half an answer is never taken for a whole one."""
    with opened(vendor.url) as session:
        assert type(failure(session, request(path))) is kind


def test_no_connection_has_a_plain_reason():
    """Refused, unresolvable, without a URL, through a proxy that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    closed = f"http://127.0.0.1:{port}"
    for address, more, kind, message in [
        (closed, {}, ConnectFailed, "connection refused"),
        ("http://nowhere.invalid", {}, ConnectFailed, "the name does not resolve"),
        ("", {}, ClientError, "the URL cannot be used"),
        ("http://[::1", {}, ClientError, "the URL cannot be used"),
        ("http://vendor.invalid", {"proxy_url": Secret(closed)}, ConnectFailed, None),
    ]:
        with opened(address, **more) as session:
            error = failure(session, request())
            assert type(error) is kind
            assert message in {None, str(error)}


def test_an_untrusted_vendor_is_not_told_the_token(tmp_path):
    """Its certificate is verified by `ca_file` or the usual roots before anything is sent."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving(context) as server:
        url = f"https://127.0.0.1:{server.server_port}"
        with opened(url, token=Secret(TOKEN)) as session:
            error = failure(session, request())
            assert type(error) is TlsFailed
            assert "not to be trusted" in str(error)
        gone = Path(shutil.copy(tmp_path / "ca.pem", tmp_path / "gone.pem"))
        with opened(url, token=Secret(TOKEN), ca_file=str(gone)) as session:
            gone.unlink()
            assert str(failure(session, request())) == "ca_file cannot be read"
        assert server.seen == []
        with opened(url, token=Secret(TOKEN), ca_file=str(tmp_path / "ca.pem")) as session:
            assert session.get(request()).status == 200


@pytest.mark.parametrize(
    ("secret", "failing"), [({"token": "gone"}, "token"), ({"address": "gone"}, "URL")]
)  # fmt: skip
def test_a_secret_that_cannot_be_read_is_a_refusal(tmp_path, secret, failing):
    """The target waits for the file, as it waits for better credentials."""
    (name,) = secret
    unreadable = Settings.model_construct(
        collector="c", account="a", timeout=1.0, ca_file=None, proxy_url=None,
        **{"address": "http://x", "token": None, name: Secret(file=tmp_path / "gone")},
    )  # fmt: skip
    session = Session(unreadable, lambda: 0.0)
    error = failure(session, request())
    session.close()
    assert isinstance(error, Refused)
    assert failing in str(error)
    assert session.credentials() == ""


def test_no_message_holds_a_secret(vendor, tmp_path):
    """Whatever goes wrong with a secret URL and a token, neither is repeated, nor in the chain of causes."""
    secrets = ("qs3cret", TOKEN)
    for base in (f"{vendor.url}/mute?key=qs3cret", "http://127.0.0.1:1/?key=qs3cret", "nonsense://x?key=qs3cret",
                 "http://nowhere.invalid/?key=qs3cret", "http://[qs3cret"):  # fmt: skip
        with opened(Secret(base), token=Secret(TOKEN), timeout=0.5) as session:
            error = failure(session, request(""))
            assert not any(secret in str(error) + repr(error) for secret in secrets)
    with opened(vendor.url, token=Secret(TOKEN + "\nX: y")) as session:
        error = failure(session, request())
        assert type(error) is ClientError
        assert TOKEN not in str(error)


@pytest.mark.parametrize(
    ("base", "path", "params", "url"),
    [
        ("http://v/api/v1", "/monitors", (), "http://v/api/v1/monitors"),
        ("http://v/api/v1/", "/monitors", (("page", "2"),), "http://v/api/v1/monitors?page=2"),
        ("http://v/status?key=k&severity=1", "", (), "http://v/status?key=k&severity=1"),
        ("http://v/status?key=k&severity=1", "", (("severity", "3"),), "http://v/status?key=k&severity=3"),
        ("http://v/status?a=%2B+x&b", "", (("c", "a b&c"),), "http://v/status?a=%2B+x&b&c=a+b%26c"),
        ("http://v/s?t=1&t=2&u", "", (("t", "3"), ("t", "4")), "http://v/s?u&t=3&t=4"),
        ("http://v/s#part", "/x", (), "http://v/s/x"),
    ],
)
def test_an_ask_is_located_below_the_base_url(base, path, params, url):
    """The base's own query stays to the letter, except for what the ask's params replace."""
    assert located(base, request(path, params)) == url


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        (301, {}, ClientError, None),
        (400, {}, ClientError, None),
        (404, {}, ClientError, None),
        (401, {}, Refused, None),
        (403, {}, Refused, None),
        (429, {}, RateLimited, None),
        (429, {"retry-after": "30"}, RateLimited, 30),
        (429, {"retry-after": "1.5"}, RateLimited, 1.5),
        (429, {"retry-after": "Thu, 01 Jan 1970 00:17:10 GMT"}, RateLimited, 30),
        (429, {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, RateLimited, 0),
        (429, {"retry-after": "later"}, RateLimited, None),
        (429, {"retry-after": "1x"}, RateLimited, None),
        (500, {}, ServerError, None),
        (599, {}, ServerError, None),
        (204, {}, Malformed, None),
        (999, {}, Malformed, None),
    ],
)
def test_a_status_means_one_kind_of_error(status, headers, kind, retry_after):
    """Retry-After is read as seconds or as a date, from the moment of asking."""
    with pytest.raises(PollError) as caught:
        check(request(), Response(1000.0, status, b"", headers))
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == retry_after


@pytest.mark.parametrize("status", [200, 418])
def test_200_and_what_the_ask_names_are_answers(status):
    """PacketVis answers 418 with a body."""
    check(request(expected_statuses=frozenset({418})), Response(0.0, status, b""))


def every_exception():
    found = [one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, Exception)]
    return [one for one in found if one.__module__.startswith("requests") and not issubclass(one, Warning)]


@pytest.mark.parametrize("foreign", every_exception())
def test_every_exception_of_requests_has_its_kind(foreign):
    """Each is in the table by itself, behind none that would take it first."""
    first = next(row for row in KINDS if issubclass(foreign, row[0]))
    assert first[0] is foreign


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.ConnectionError(urllib3.exceptions.ReadTimeoutError(None, "", "read timed out")), TimedOut),
        (exceptions.ConnectionError(urllib3.exceptions.ProtocolError("reset", ConnectionResetError())), ConnectFailed),
        (urllib3.exceptions.LocationParseError("x"), ClientError),
        (UnicodeEncodeError("latin-1", "€", 0, 1, "no"), ClientError),
        (RuntimeError(TOKEN), ConnectFailed),
    ],
)
def test_causes_that_are_wrapped_are_found(error, kind):
    """Requests reports a timeout while reading a body as a ConnectionError."""
    assert type(translated(error)) is kind
    assert TOKEN not in str(translated(error))


def test_every_kind_of_error_has_its_reason():
    """The table leads to every kind that a transport can meet."""
    assert {kind for _, kind, _ in KINDS} == {TimedOut, ConnectFailed, TlsFailed, ClientError, Malformed}
    assert requests.exceptions is exceptions
