"""Basic auth of the web config's users, on real connections."""

import asyncio
import base64
import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from exporter.toolkit.config_types import Secret
from exporter.toolkit.front import Lane, Route
from exporter.toolkit.passwords import Passwords
from exporter.toolkit.web_config import WebConfigFile
from tests.waiting import eventually

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(6)).decode()
LONG = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{ann: {HASH}, bob: {OTHER}, eve: {LONG}}}"


def whose(environ, start_response):
    """Answer with the name of whoever asks."""
    body = environ.get("REMOTE_USER", "nobody").encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def guarded(tmp_path, serve):
    """Return a server that asks for two users, except where a path has credentials of its own."""
    (tmp_path / "web.yml").write_text(USERS)

    def route(path):
        admits = (lambda headers, _query: (b"x-own", b"yes") in headers) if path == "/own" else None
        return Route(path=path, lane=Lane.LOOP, admits=admits)

    return serve(WebConfigFile(tmp_path / "web.yml"), application=whose, route=route)


def basic(pair):
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.parametrize(
    ("pair", "status"),
    [
        ("ann:open sesame", 200),
        ("ann:wrong", 401),
        ("ann:", 401),
        ("ann", 401),
        ("nobody:open sesame", 401),
        (":", 401),
        ("bob:other", 200),
        ("bob:open sesame", 401),
        ("eve:" + "x" * 72, 200),
        ("eve:" + "x" * 73, 200),  # htpasswd cuts a password there too
        ("eve:" + "x" * 71, 401),
        ("ann:" + "x" * 100, 401),
        ("ann:open sesame\0open sesame", 401),  # the same to bcrypt
    ],
)
def test_right_password_is_accepted(guarded, get, pair, status):
    """By bcrypt, and the application gets the user's name."""
    name = pair.partition(":")[0].encode()
    for _ in range(2):
        assert get(guarded.address, headers=basic(pair)) == (status, name if status == 200 else b"Unauthorized\n")


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Basic ?", "Basic \xe9", "Bearer YW5uOm9wZW4gc2VzYW1l", "YW5uOm9wZW4gc2VzYW1l"],
)
def test_malformed_credentials_are_401(guarded, get, header):
    """Never an error."""
    assert get(guarded.address, headers={} if header is None else {"Authorization": header})[0] == 401
    assert guarded.reasons == ["unauthorized"]


def test_scheme_is_case_insensitive(guarded, get):
    """As in HTTP."""
    assert get(guarded.address, headers={"Authorization": "bAsIc YW5uOm9wZW4gc2VzYW1l"}) == (200, b"ann")


def test_auth_exempt_path_needs_no_user(guarded, get):
    """Its `Authorization` is its own, and a user's password is not accepted there."""
    assert get(guarded.address, "/own", headers={"X-Own": "yes"}) == (200, b"nobody")
    assert get(guarded.address, "/own", headers=basic("ann:open sesame"))[0] == 401
    assert get(guarded.address, "/", headers={"X-Own": "yes"})[0] == 401


def test_remote_user_cannot_be_sent(serve, get):
    """Only a password sets `REMOTE_USER`."""
    address = serve(application=whose).address
    assert get(address, headers={"Remote-User": "ann", "Remote_User": "ann"} | basic("ann:open sesame")) == (
        200,
        b"nobody",
    )


def test_wrong_users_cost_as_much_as_wrong_passwords(guarded, get, monkeypatch):
    """The response time does not show which users exist; a right pair is checked once."""
    checked = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hashed: checked.append(hashed) or check(password, hashed))
    for _ in range(3):
        assert get(guarded.address, headers=basic("ann:open sesame"))[0] == 200
    assert checked == [HASH.encode()]
    for name in ("ann", "bob", "nobody"):
        checked.clear()
        assert get(guarded.address, headers=basic(f"{name}:wrong"))[0] == 401
        assert sum(2 ** int(hashed[4:6]) for hashed in checked) == 2**6


def test_cached_password_does_not_wait(guarded, get, monkeypatch):
    """While wrong ones are checked; if too many wait, they are answered 503 at once."""
    assert get(guarded.address, headers=basic("ann:open sesame")) == (200, b"ann")
    go_on, check = threading.Event(), bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hashed: go_on.wait(60) and check(password, hashed))
    with ThreadPoolExecutor(20) as clients:
        wrong = [clients.submit(get, guarded.address, headers=basic("ann:wrong")) for _ in range(20)]
        for _ in range(5):
            assert get(guarded.address, headers=basic("ann:open sesame")) == (200, b"ann")
        go_on.set()
        statuses = [one.result()[0] for one in wrong]
    assert set(statuses) <= {401, 503}
    assert 503 in statuses


def test_password_that_comes_again_is_checked_despite_a_crowd(guarded, get, monkeypatch):
    """Of passwords that are all different; a wrong one that is repeated is rejected at once."""
    go_on, check, stop = threading.Semaphore(0), bcrypt.checkpw, threading.Event()
    monkeypatch.setattr(
        bcrypt, "checkpw", lambda password, hashed: go_on.acquire(timeout=60) and check(password, hashed)
    )

    def crowd(number):
        statuses = [get(guarded.address, headers=basic(f"ann:{number}"))[0]]
        while not stop.is_set():
            statuses.append(get(guarded.address, headers=basic(f"ann:{number}-{len(statuses)}"))[0])
        return statuses

    with ThreadPoolExecutor(30) as clients:
        try:
            crowds = [clients.submit(crowd, number) for number in range(15)]
            eventually(lambda: "overloaded" in guarded.reasons)
            assert get(guarded.address, headers=basic("ann:open sesame"))[0] == 503
            scrape = clients.submit(get, guarded.address, headers=basic("ann:open sesame"))
            for _ in range(10):
                go_on.release()
                with contextlib.suppress(TimeoutError):
                    assert scrape.result(0.2) == (200, b"ann")
                    break
            else:
                pytest.fail("it is not checked")
        finally:
            stop.set()
            for _ in range(10_000):
                go_on.release()
        assert {status for one in crowds for status in one.result()} == {401, 503}
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, _hashed: pytest.fail("it was checked already"))
    wrong = next(number for number, one in enumerate(crowds) if one.result()[0] == 401)
    assert get(guarded.address, headers=basic(f"ann:{wrong}"))[0] == 401


def test_changed_password_invalidates_the_cache(guarded, get, tmp_path, monkeypatch):
    """The cached old password is no longer accepted."""
    assert get(guarded.address, headers=basic("ann:open sesame"))[0] == 200
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: {OTHER}}}")
    monkeypatch.setattr("exporter.toolkit.web_config._LOOK_AGAIN", 0)
    assert get(guarded.address, headers=basic("ann:open sesame"))[0] == 401
    assert get(guarded.address, headers=basic("ann:other"))[0] == 200


def test_repeated_authorization_headers_are_rejected(guarded):
    """Even if one of them is right."""
    pair = basic("ann:open sesame")["Authorization"]
    with socket.create_connection(guarded.address, 30) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {pair}\r\nAuthorization: {pair}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")


def test_user_name_may_contain_anything_but_a_colon():
    """A password may contain colons too; several spaces may follow the scheme."""
    users = {"ä b": Secret(bcrypt.hashpw(b"c:d", bcrypt.gensalt(4)).decode())}
    header = b"Basic  " + base64.b64encode("ä b:c:d".encode())
    assert asyncio.run(Passwords().user(header, users)) == "ä b"
