import datetime as dt
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from exporter.collectors.contract import Probe, Reason
from exporter.fetch import tls_probe as certificate
from exporter.fetch.tls_probe import probe

NOW = 1_800_000_000.0
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()


def at(days):
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def issued(name="www.example.com", *, by=AUTHORITY, begins=None, ends=None):
    return by.issue_cert(name, not_before=begins, not_after=ends)


@contextmanager
def serving(act):
    """Serve connections, one after the other, by `act(connection)`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        over = threading.Event()

        def serve():
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(30)
                    act(connection, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join()


def showing(leaf, names=None):
    """Return what shows `leaf` in a TLS handshake, noting the server names that clients ask for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: names.append(name) if names is not None else None

    def act(connection, _over):
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)
        except OSError:
            pass

    return act


def asked(port, name="www.example.com", address="127.0.0.1"):
    return Probe(
        endpoint="tls", reason=Reason.STATUS, due=0.0, every=60.0, server_name=name, address=address, port=port
    )


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    path = tmp_path_factory.mktemp("roots") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return str(path)


@pytest.mark.parametrize(
    ("leaf", "valid", "problem"),
    [
        ({}, True, ""),
        ({"begins": at(-30), "ends": at(-1)}, False, "expired"),
        ({"begins": at(1), "ends": at(30)}, False, "not_yet_valid"),
        ({"name": "other.example.com"}, False, "wrong_name"),
        ({"by": STRANGER}, False, "untrusted"),
    ],
)
def test_a_certificate_tells_its_dates_whether_valid_or_not(roots, leaf, valid, problem):
    """A client with the roots of `ca_file` would refuse it, yet when it ends is known."""
    shown = issued(**leaf)
    with serving(showing(shown)) as port:
        seen = probe(asked(port), NOW, 30.0, roots)
    assert (seen.at, seen.valid, seen.problem) == (NOW, valid, problem)
    if "ends" in leaf:
        assert abs(seen.not_after - leaf["ends"].timestamp()) < 2
        assert abs(seen.not_before - leaf["begins"].timestamp()) < 2
    assert seen.not_before < seen.not_after


def test_a_self_signed_certificate_is_said_to_be_one(roots, tmp_path):
    """Self-signed is a word of its own: it is how appliances ship."""
    alone = trustme.CA()
    alone.private_key_pem.write_to_path(tmp_path / "key.pem")
    alone.cert_pem.write_to_path(tmp_path / "cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    leaf = type("Leaf", (), {"configure_cert": lambda _self, other: other.load_cert_chain(
        tmp_path / "cert.pem", tmp_path / "key.pem")})()  # fmt: skip
    with serving(showing(leaf)) as port:
        seen = probe(asked(port), NOW, 30.0, roots)
    assert (seen.valid, seen.problem) == (False, "self_signed")
    assert seen.not_after is not None


def test_without_ca_file_the_systems_roots_decide():
    """They do not know our own authority."""
    with serving(showing(issued())) as port:
        assert probe(asked(port), NOW, 30.0, None).valid is False


def test_the_name_is_asked_for_and_an_address_too(roots):
    """SNI carries the name, whatever address is pinned; an IP address is verified as one, without SNI."""
    names = []
    with serving(showing(issued(), names)) as port:
        assert probe(asked(port), NOW, 30.0, roots).valid is True
    with serving(showing(issued("127.0.0.1"), names)) as port:
        assert probe(asked(port, name="127.0.0.1"), NOW, 30.0, roots).valid is True
        assert probe(asked(port, name="127.0.0.2"), NOW, 30.0, roots).problem == "wrong_name"
    assert names == ["www.example.com", None, None, None]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def test_an_endpoint_that_cannot_be_reached_is_an_answer(roots):
    """Nothing is raised; no dates, no verdict, one word."""
    for request, problem in [
        (asked(closed_port()), "refused"),
        (asked(443, address="nowhere.invalid"), "resolve"),
        (asked(443, address="a" * 70 + ".invalid"), "resolve"),
    ]:
        assert probe(request, NOW, 30.0, roots) == certificate.Certificate(NOW, None, None, None, problem)


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda connection, _over: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls"),
        (lambda connection, _over: connection.recv(9999), "tls"),
        (lambda connection, over: over.wait(30), "timeout"),
    ],
)
def test_an_endpoint_that_speaks_no_tls_is_an_answer(roots, act, problem):
    """Also one that accepts and says nothing: the deadline counts for the whole probe."""
    began = time.monotonic()
    with serving(act) as port:
        seen = probe(asked(port), NOW, 0.5, roots)
        took = time.monotonic() - began
    assert (seen.not_after, seen.valid) == (None, None)
    assert seen.problem == problem or (problem == "tls" and seen.problem == "connect")
    assert took < 30


def test_roots_that_cannot_be_read_leave_validity_open(tmp_path):
    """A mistake in our own configuration is not the endpoint's."""
    with serving(showing(issued())) as port:
        seen = probe(asked(port), NOW, 30.0, str(tmp_path / "gone.pem"))
    assert (seen.valid, seen.problem) == (None, "roots")


def test_an_exporter_that_meets_valid_certificates_does_without_what_reads_the_others():
    """Loading cryptography costs as much memory as a page of 100,000 series."""
    program = "import sys, exporter.__main__; print('cryptography' in sys.modules)"
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "False\n"
