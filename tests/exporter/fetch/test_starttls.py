import socket
import threading
from contextlib import contextmanager
from typing import get_args

import pytest

from exporter.collectors.contract import Probe, Reason, StartTls, TlsEndpoint
from exporter.fetch.tls_probe import probe
from tests.sandbox.starttls import GREETINGS

NOW = 1_800_000_000.0


@contextmanager
def saying(*words, host="127.0.0.1", heard=None):
    """Serve one connection after the other: say each of `words`, and append what follows it to `heard`."""
    heard = [] if heard is None else heard
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    try:
                        for word in words:
                            connection.sendall(word)
                            heard.append(connection.recv(4096))
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def probed(port, starttls, timeout=30.0, ca_file=None, host="127.0.0.1"):
    to = TlsEndpoint(f"localhost@{host}:{port}", "localhost", host, port, starttls)
    ask = Probe(endpoint="tls", reason=Reason.STATUS, due=0.0, every=60.0, to=to)
    return probe(ask, NOW, timeout, ca_file)


def test_every_starttls_protocol_is_tested():
    """The sandbox speaks every protocol of the configuration."""
    assert set(GREETINGS) == set(get_args(StartTls))


@pytest.mark.parametrize("protocol", get_args(StartTls))
def test_a_certificate_behind_starttls_is_read(sandbox, tmp_path, protocol):
    """Dates and validity are the same as with direct TLS."""
    (tmp_path / "ca.pem").write_bytes(sandbox.root_pem)
    endpoint = sandbox.open(starttls=protocol)
    seen = probed(endpoint.port, protocol, ca_file=str(tmp_path / "ca.pem"))
    assert (seen.reason, seen.valid, seen.not_after) == ("", True, endpoint.not_after)


def test_old_protocols_and_untrusted_certificates_behind_starttls(sandbox, tmp_path):
    """The second connection repeats the dialogue."""
    (tmp_path / "ca.pem").write_bytes(sandbox.root_pem)
    endpoint = sandbox.open("old_protocol", starttls="smtp")
    seen = probed(endpoint.port, "smtp", ca_file=str(tmp_path / "ca.pem"))
    assert (seen.reason, seen.valid, seen.not_after) == ("protocol", False, endpoint.not_after)
    assert probed(sandbox.open(starttls="imap").port, "imap").reason == "untrusted"


@pytest.mark.parametrize(
    ("protocol", "words", "detail"),
    [
        ("smtp", [b"220 ready\r\n", b"250-hello\r\n250 SIZE\r\n"], "the server does not offer STARTTLS"),
        ("smtp", [b"554 go away\r\n"], "the server answered '554 go away' instead of agreeing to TLS"),
        (
            "smtp",
            [b"220 ready\r\n", b"250 STARTTLS\r\n", b"220 go\r\n250 injected\r\n"],
            "the server sent plaintext after it agreed to TLS",
        ),
        ("imap", [b"* BYE\r\n"], "the server answered '* BYE' instead of agreeing to TLS"),
        ("imap", [b"* OK\r\n", b"a NO\r\n"], "the server answered 'a NO' instead of agreeing to TLS"),
        (
            "imap",
            [b"* OK" + b"x" * 60_000 + b"\r\n", b"a NO\r\n"],
            "the server answered 'a NO' instead of agreeing to TLS",
        ),
        ("pop3", [b"+OK\r\n", b"-ERR\r\n"], "the server answered '-ERR' instead of agreeing to TLS"),
        ("ftp", [b"220 hi\r\n", b"534 no\r\n"], "the server answered '534 no' instead of agreeing to TLS"),
        ("postgres", [b"N"], "the server answered 'N' instead of agreeing to TLS"),
        ("ldap", [b"0\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"], "the server answered .+"),
        ("ldap", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "the server answered 'H' instead of agreeing to TLS"),
        ("xmpp", [b"<stream:stream><stream:features/>"], "the server does not offer STARTTLS"),
        ("xmpp", [b"<stream:stream><stream:error><x/></stream:error>"], "the server does not offer STARTTLS"),
        ("imap", [], "the server closed the connection before TLS"),
    ],
)
def test_server_that_rejects_starttls(protocol, words, detail):
    """The reason is `tls`, with the server's reply."""
    with saying(*words) as port:
        seen = probed(port, protocol)
    assert (seen.reason, seen.not_after, seen.valid) == ("tls", None, None)
    assert seen.detail == detail or (detail.endswith(".+") and seen.detail.startswith(detail[:-2]))


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("ftp", [b"220-hi\r\n150 users online\r\n2200 files\r\n220 ready\r\n", b"234 go\r\n"]),
        (
            "smtp",
            [b"no code\r\n220-hi\r\n\r\n nor here\r\n220 ready\r\n", b"250-hello\r\n250 STARTTLS\r\n", b"220 go\r\n"],
        ),
        (
            "xmpp",
            [
                b"<stream:stream>",
                b"<stream:features>urn:ietf:params:xml:ns:xmpp-tls</stream:features>\n",
                b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>",
            ],
        ),
    ],
)
def test_server_that_agrees_in_other_words(protocol, words):
    """Only its own code ends a reply (RFC 959, 4.2), other lines are free; XML has more than one spelling."""
    heard = []
    with saying(*words, heard=heard) as port:
        probed(port, protocol)
    assert heard[len(words) - 1].startswith(b"\x16\x03")


@pytest.mark.parametrize(("host", "literal"), [("127.0.0.1", b"[127.0.0.1]"), ("::1", b"[IPv6:::1]")])
def test_smtp_client_introduces_itself_with_its_address(host, literal):
    """As RFC 5321 writes it (4.1.3): strict servers reject anything else."""
    heard = []
    with saying(b"220 ready\r\n", b"250 STARTTLS\r\n", b"454 not now\r\n", host=host, heard=heard) as port:
        assert probed(port, "smtp", host=host).reason == "tls"
    assert heard[:2] == [b"EHLO " + literal + b"\r\n", b"STARTTLS\r\n"]


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3", "ftp", "ldap", "xmpp"])
def test_endless_starttls_dialogue_is_limited(protocol):
    """The dialogue is limited in bytes."""
    words = b"0\x84\x7f\xff\xff\xff" if protocol == "ldap" else b"* " if protocol == "imap" else b""
    with saying(words + b"2" * 70_000) as port:
        seen = probed(port, protocol)
    assert (seen.reason, seen.not_after) == ("tls", None)


@pytest.mark.parametrize("protocol", get_args(StartTls))
def test_silent_starttls_server_ends_at_the_deadline(protocol):
    """The server accepts the connection and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        seen = probed(silent.getsockname()[1], protocol, timeout=0.2)
    assert (seen.reason, seen.detail) == ("timeout", "no answer in time")
