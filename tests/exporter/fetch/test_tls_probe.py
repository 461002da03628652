import datetime as dt
import errno
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509

from exporter.collectors.contract import PROBE_FAILURES, Certificate, Probe, Reason, TlsEndpoint
from exporter.fetch import tls_handshake
from exporter.fetch.tls_handshake import Handshake
from exporter.fetch.tls_probe import probe
from exporter.fetch.tls_verdict import BROKEN, KINDS, OBJECTIONS, TEXTS, covers, judge, names_of, reason_of

NOW = 1_800_000_000.0
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
DAY = 86400


def at(days):
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


def issued(name="www.example.com", *, by=AUTHORITY, begins=None, ends=None):
    return by.issue_cert(name, not_before=begins, not_after=ends)


@contextmanager
def serving(act, host="127.0.0.1"):
    """Serve connections, one after the other, by `act(connection)`."""
    with socket.create_server((host, 0)) as listening:
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


def asked(port, name="www.example.com", address="127.0.0.1", **others):
    to = TlsEndpoint(f"{name}@{address}:{port}", name, address, port)
    return Probe(endpoint="tls", reason=Reason.STATUS, due=0.0, every=60.0, to=to, **others)


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    path = tmp_path_factory.mktemp("roots") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="module")
def sandbox_roots(sandbox, tmp_path_factory):
    path = tmp_path_factory.mktemp("sandbox") / "ca.pem"
    path.write_bytes(sandbox.root_pem)
    return str(path)


@pytest.mark.parametrize(
    ("leaf", "valid", "reason"),
    [
        ({}, True, ""),
        ({"begins": at(-30), "ends": at(-1)}, False, "expired"),
        ({"begins": at(1), "ends": at(30)}, False, "not_yet_valid"),
        ({"name": "other.example.com"}, False, "name"),
        ({"by": STRANGER}, False, "untrusted"),
        ({"by": STRANGER, "begins": at(-30), "ends": at(-1)}, False, "untrusted"),  # the first objection counts
    ],
)
def test_dates_are_read_from_valid_and_invalid_certificates(roots, leaf, valid, reason):
    """A client with the roots of `ca_file` would reject it, but its expiry is known."""
    shown = issued(**leaf)
    with serving(showing(shown)) as port:
        seen = probe(asked(port), NOW, 30.0, roots)
    assert (seen.at, seen.valid, seen.reason) == (NOW, valid, reason)
    assert bool(seen.detail) is not valid
    if "ends" in leaf:
        assert abs(seen.not_after - leaf["ends"].timestamp()) < 2


def test_intermediate_authority_in_ca_file_is_trusted(tmp_path):
    """Without its root, as by clients with that `ca_file`."""
    part = AUTHORITY.create_child_ca()
    part.cert_pem.write_to_path(tmp_path / "part.pem")
    found = []
    for issuer in (part, AUTHORITY):
        with serving(showing(issued(by=issuer))) as port:
            found.append(probe(asked(port), NOW, 30.0, str(tmp_path / "part.pem")).reason)
    assert found == ["", "untrusted"]


def test_self_signed_certificate_has_its_own_reason(sandbox, sandbox_roots):
    """Appliances ship with them."""
    endpoint = sandbox.open("self_signed")
    seen = probe(asked(endpoint.port, "localhost"), NOW, 30.0, sandbox_roots)
    assert (seen.valid, seen.reason, seen.not_after) == (False, "self_signed", endpoint.not_after)


def test_issuer_and_serial_are_written_as_openssl_does(roots):
    """So that an operator can compare with `openssl x509 -serial -issuer`."""
    leaf = issued()
    shown = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    with serving(showing(leaf)) as port:
        seen = probe(asked(port), NOW, 30.0, roots)
    assert (seen.issuer, seen.serial) == (shown.issuer.rfc4514_string(), f"{shown.serial_number:X}")


def test_long_issuer_is_truncated():
    """A label is cut at its documented length (E18), and the dates are read."""
    key = ec.generate_private_key(ec.SECP256R1())
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "\u202e\0ü" * 20) for _ in range(40)]
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An Authority"), *units])
    builder = x509.CertificateBuilder().subject_name(issuer).issuer_name(issuer).public_key(key.public_key())
    leaf = builder.serial_number(1).not_valid_before(at(-1)).not_valid_after(at(1)).sign(key, hashes.SHA256())
    seen = judge(Handshake(chain=(leaf,), verify_code=20), "www.example.com", NOW)
    assert len(seen.issuer.encode()) <= 512
    assert "\0" not in seen.issuer
    assert seen.not_after == pytest.approx(at(1).timestamp(), abs=60)


def test_chain_expiry_is_the_earliest_in_the_chain(sandbox, sandbox_roots):
    """An intermediate that expires first breaks the site before the server's own certificate expires."""
    endpoint = sandbox.open("intermediate", days=60, chain_days=10)
    seen = probe(asked(endpoint.port, "localhost"), NOW, 30.0, sandbox_roots)
    assert (seen.valid, seen.not_after) == (True, endpoint.not_after)
    assert seen.chain_not_after == pytest.approx(endpoint.not_after - 50 * DAY, abs=2)

    sandbox.renew(endpoint.port, days=60, kind="intermediate", chain_days=-1)
    seen = probe(asked(endpoint.port, "localhost"), NOW, 30.0, sandbox_roots)
    assert (seen.valid, seen.reason, seen.not_after) == (False, "expired", endpoint.not_after)
    assert seen.chain_not_after < time.time() < seen.not_after


def test_system_roots_are_used_without_ca_file(monkeypatch, roots):
    """As for API requests: our own authority is trusted once it is where OpenSSL looks."""
    with serving(showing(issued())) as port:
        assert probe(asked(port), NOW, 30.0, None).reason == "untrusted"
        monkeypatch.setenv("SSL_CERT_FILE", roots)
        assert probe(asked(port), NOW, 30.0, None).valid is True


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_certificate_is_read_without_any_system_root(monkeypatch, tmp_path, content):
    """As in a container whose file of roots is empty: for the API client every certificate is untrusted, too."""
    (tmp_path / "ca.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    leaf = issued()
    with serving(showing(leaf)) as port:
        seen = probe(asked(port), NOW, 30.0, None)
    assert (seen.valid, seen.reason, seen.seen) == (False, "untrusted", True)


def test_roots_of_the_systems_folder_are_used_if_its_file_has_none(monkeypatch, tmp_path, roots):
    """As for API requests; OpenSSL finds a root there by the hash of its name."""
    pem = Path(roots).read_bytes()
    name = X509.from_cryptography(x509.load_pem_x509_certificate(pem)).subject_name_hash()
    (tmp_path / f"{name:08x}.0").write_bytes(pem)
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with serving(showing(issued())) as port:
        assert probe(asked(port), NOW, 30.0, None).valid is True


def test_sni_has_the_name_also_with_a_pinned_address(roots):
    """An IP address is verified as one, without SNI."""
    names = []
    with serving(showing(issued(), names)) as port:
        assert probe(asked(port), NOW, 30.0, roots).valid is True
    with serving(showing(issued("127.0.0.1"), names)) as port:
        assert probe(asked(port, name="127.0.0.1"), NOW, 30.0, roots).valid is True
        assert probe(asked(port, name="127.0.0.2"), NOW, 30.0, roots).reason == "name"
    assert names == ["www.example.com", None, None]


@pytest.mark.parametrize(
    ("certified", "name", "valid"),
    [
        ("host.example.test", "host.example.test.", True),
        ("host.example.test", "HOST.example.TEST", True),
        ("*.example.test", "a_b.example.test", True),
        ("*.example.test", "a.b.example.test", False),
        ("*.example.test", "example.test", False),
        ("xn--bcher-kva.example.test", "bücher.example.test", True),
        ("*.example.test", "bücher.example.test", True),
        ("::1", "::1", True),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_names_are_checked_as_clients_check_them(roots, certified, name, valid):
    """A trailing dot, an underscore under a wildcard, an international name: as in curl and Go (E9)."""
    names = []
    with serving(showing(issued(certified), names)) as port:
        seen = probe(asked(port, name=name), NOW, 30.0, roots)
    assert (seen.valid, seen.reason) == (valid, "" if valid else "name")
    assert names[0] is None or (names[0].isascii() and not names[0].endswith("."))


def test_partial_wildcard_matches_nothing():
    """Browsers, curl and Go accept an asterisk only as a whole label."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(at(-1)).not_valid_after(at(1))
    assert names_of(builder.sign(key, hashes.SHA256())) == ()  # the common name is no client's business any more
    names = [x509.DNSName("w*.example.test"), x509.DNSName("*.example.org"), x509.DNSName("a.*.example.test")]
    leaf = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    assert covers(names_of(leaf), "www.example.org")
    assert not covers(names_of(leaf), "www.example.test")
    assert not covers(names_of(leaf), "a.b.example.test")


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def test_unreachable_endpoint_has_a_reason(roots):
    """No exception, no dates, no validity."""
    for ask, reason, detail in [
        (asked(closed_port()), "connect", "Connection refused"),
        (asked(443, address="nowhere.invalid"), "dns", "the name does not resolve: .+"),
        (asked(443, address="a" * 70 + ".invalid"), "dns", "the name does not resolve: .+"),
        (asked(443, address="ü" * 70 + ".invalid"), "dns", "the name does not resolve: .+"),
    ]:
        seen = probe(ask, NOW, 30.0, roots)
        assert seen == Certificate(NOW, None, None, reason, seen.detail)
        assert re.fullmatch(detail, seen.detail)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda connection, _over: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls"),
        (lambda connection, _over: connection.sendall(b"220 mail.example.com ESMTP\r\n"), "tls"),
        (lambda connection, _over: connection.recv(9999), "tls"),
        (lambda connection, over: over.wait(30), "timeout"),
    ],
)
def test_endpoint_without_tls_has_a_reason(roots, act, reason):
    """Also one that accepts and sends nothing: the deadline covers the whole probe."""
    began = time.monotonic()
    with serving(act) as port:
        seen = probe(asked(port), NOW, 0.5, roots)
        took = time.monotonic() - began
    assert (seen.not_after, seen.valid) == (None, None)
    assert seen.reason == reason or (reason == "tls" and seen.reason == "connect")
    assert took < 30


def test_date_is_read_from_a_server_with_old_tls_only(sandbox, sandbox_roots):
    """No current client connects, so it is not valid, but its expiry is known (E10)."""
    endpoint = sandbox.open("old_protocol")
    seen = probe(asked(endpoint.port, "localhost"), NOW, 30.0, sandbox_roots)
    assert (seen.valid, seen.reason, seen.not_after) == (False, "protocol", endpoint.not_after)


@pytest.mark.parametrize("kind", ["client_certificate", "client_certificate_late"])
def test_date_is_read_from_a_server_that_requires_a_client_certificate(sandbox, sandbox_roots, tmp_path, kind):
    """The server's own certificate is valid; the missing client certificate is the reason (E10)."""
    endpoint = sandbox.open(kind)
    seen = probe(asked(endpoint.port, "localhost"), NOW, 30.0, sandbox_roots)
    assert (seen.valid, seen.reason, seen.not_after) == (True, "client_certificate", endpoint.not_after)

    ours = tmp_path / "client.pem"
    ours.write_bytes(sandbox.client_pem())
    presenting = asked(endpoint.port, "localhost", client_certificate=(str(ours), str(ours)))
    seen = probe(presenting, NOW, 30.0, sandbox_roots)
    assert (seen.valid, seen.reason, seen.not_after) == (True, "", endpoint.not_after)

    ours.write_bytes(sandbox.client_pem(days=-1))
    assert probe(presenting, NOW, 30.0, sandbox_roots).reason == "client_certificate"

    ours.unlink()
    seen = probe(presenting, NOW, 30.0, sandbox_roots)
    assert (seen.reason, seen.not_after) == ("client_certificate", endpoint.not_after)
    assert "client_cert_file" in seen.detail


def test_server_that_takes_no_certificate_for_an_answer_is_valid(roots, monkeypatch):
    """It says nothing after the handshake, and the probe does not wait for that until its deadline."""
    monkeypatch.setattr(tls_handshake, "VERDICT", 0.1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued().configure_cert(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    AUTHORITY.configure_trust(context)

    def act(connection, _over):
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    with serving(act) as port:
        began = time.monotonic()
        seen = probe(asked(port), NOW, 30.0, roots)
        assert time.monotonic() - began < 15
    assert (seen.valid, seen.reason) == (True, "")


def test_unreadable_ca_file_leaves_validity_unknown(tmp_path):
    """The date is exported, and the error names the file."""
    with serving(showing(issued())) as port:
        seen = probe(asked(port), NOW, 30.0, str(tmp_path / "gone.pem"))
    assert (seen.valid, seen.reason, seen.detail) == (None, "untrusted", "cannot read ca_file")
    assert seen.not_after is not None


def test_slow_server_ends_at_the_deadline(roots):
    """The deadline covers the whole probe, not the time since the last byte."""

    def drip(connection, over):
        connection.sendall(b"\x16\x03\x03\x40\x00")
        with suppress(OSError):  # the client has given up
            while not over.wait(0.02):
                connection.sendall(b"\x02")

    with serving(drip) as port:
        assert probe(asked(port), NOW, 0.3, roots).reason == "timeout"


@pytest.mark.parametrize(
    ("error", "asks", "valid", "reason"),
    [
        (TimeoutError(), True, None, "timeout"),
        (TimeoutError(), False, None, "timeout"),
        (EOFError(), False, None, "tls"),
        (EOFError(), True, True, "client_certificate"),
        (ConnectionResetError(104, "Connection reset by peer"), False, None, "connect"),
    ],
)
def test_date_is_read_from_an_incomplete_handshake(error, asks, valid, reason):
    """Without proof of the private key the certificate is neither valid nor invalid."""
    leaf = x509.load_pem_x509_certificate(issued().cert_chain_pems[0].bytes())
    seen = judge(Handshake(chain=(leaf,), asks_for_certificate=asks, error=error), "www.example.com", NOW)
    assert (seen.valid, seen.reason, seen.seen) == (valid, reason, True)


def test_untrusted_issuer_is_that_of_the_last_certificate():
    """The missing root, or what should be added to `ca_file`."""
    chain = [
        x509.load_pem_x509_certificate(each.bytes()) for each in issued(by=AUTHORITY.create_child_ca()).cert_chain_pems
    ]
    detail = judge(Handshake(chain=tuple(chain), verify_code=20), "www.example.com", NOW).detail
    assert chain[0].issuer != chain[-1].issuer
    assert detail == f"not signed by a trusted root: issuer {chain[-1].issuer.rfc4514_string()}, OpenSSL 20"


def test_malformed_issuer_does_not_hide_the_date():
    """Its name is not UTF-8."""
    sent = x509.load_pem_x509_certificate(issued().cert_chain_pems[0].bytes())
    leaf = x509.load_der_x509_certificate(sent.public_bytes(Encoding.DER).replace(b"Testing CA", b"\xff\xfesting CA"))
    seen = judge(Handshake(chain=(leaf,)), "www.example.com", NOW)
    assert (seen.issuer, seen.not_after) == ("unreadable", sent.not_valid_after_utc.timestamp())


def test_old_protocol_is_invalid_whatever_is_trusted():
    """No client would connect."""
    leaf = x509.load_pem_x509_certificate(issued().cert_chain_pems[0].bytes())
    shown = Handshake(chain=(leaf,), unreadable=["ca_file"])
    found = [judge(shown, "www.example.com", NOW, old=old) for old in (True, False)]
    assert [(seen.valid, seen.reason) for seen in found] == [(False, "protocol"), (None, "untrusted")]


def test_unneeded_certificates_do_not_shorten_the_chain(roots):
    """A cross-signed root that expires beside one that clients trust breaks nothing."""
    leaf, old = (issued(ends=at(days)) for days in (60, 2))
    pems = [pem.bytes() for pem in (leaf.private_key_pem, leaf.cert_chain_pems[0], old.cert_chain_pems[0])]
    with serving(showing(trustme.LeafCert(*pems[:2], pems[2:]))) as port:
        seen = probe(asked(port), NOW, 30.0, roots)
    assert (seen.valid, seen.chain_not_after) == (True, seen.not_after)


def test_objection_to_a_trusted_issuer_is_named():
    """That its root is not trusted would send an operator the wrong way."""
    leaf = x509.load_pem_x509_certificate(issued().cert_chain_pems[0].bytes())
    found = [judge(Handshake(chain=(leaf,), verify_code=code), "www.example.com", NOW).detail for code in (20, 26)]
    assert [detail.partition(":")[0] for detail in found] == ["not signed by a trusted root", "not for a TLS server"]


@pytest.mark.parametrize("silent", [True, False])
def test_certificate_is_read_from_a_server_that_drops_long_messages(roots, monkeypatch, silent):
    """Post-quantum keys make a client's first message longer than a packet, too long for some servers and firewalls."""
    assert [share for _, share in tls_handshake.ATTEMPTS] == [0.7, 1.0, 1.0]  # silence leaves time for the second
    monkeypatch.setattr(tls_handshake, "ATTEMPTS", (("current", 0.01), ("short", 1.0)))
    show = showing(issued())

    def act(connection, over):
        while len(head := connection.recv(5, socket.MSG_PEEK)) < 5:
            pass
        if int.from_bytes(head[3:]) < 1400:
            show(connection, over)
        elif silent:
            while connection.recv(65536):
                pass

    with serving(act) as port:
        seen = probe(asked(port), NOW, 30.0, roots)
    assert (seen.valid, seen.reason) == (True, "")


def test_unreachable_address_does_not_hide_the_failure_of_another(roots, monkeypatch):
    """Most names have IPv6 addresses, which many networks cannot reach."""

    def connect(_socket, address):
        failure = errno.ENETUNREACH if ":" in address[0] else errno.ECONNREFUSED
        raise OSError(failure, os.strerror(failure))

    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 443, 0, 0)),
    ]
    for addresses in (found, found[::-1]):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, some=addresses, **_kwargs: some)
        monkeypatch.setattr(socket.socket, "connect", connect)
        assert probe(asked(443, address="www.example.com"), NOW, 30.0, roots).detail == "Connection refused"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SSL.Error([("", "", "the cause"), ("", "", "what failed")]), ("tls", "the handshake failed: what failed")),
        (SSL.Error(), ("tls", "the handshake failed: Error")),
        (OSError(errno.ECONNREFUSED, "Connection refused"), ("connect", "Connection refused")),
        (ConnectionError("more than 9 bytes of handshake"), ("connect", "more than 9 bytes of handshake")),
        (ValueError("x" * 201), ("tls", f"the certificate cannot be read: {'x' * 200}")),
    ],
)
def test_reason_has_the_systems_explanation(error, reason):
    """The last of OpenSSL's, which is about the connection; at least the kind of error."""
    assert reason_of(error) == reason


def test_every_reason_is_documented():
    """Rules and dashboards have a text for each."""
    reasons = {*OBJECTIONS.values(), *(reason for _, reason, _ in KINDS), *BROKEN, *TEXTS}
    assert reasons | {"untrusted", "name"} == set(PROBE_FAILURES)


def test_deadline_covers_name_resolution(roots, monkeypatch):
    """The probe ends in time, and a second one does not start a second lookup (E11)."""
    hanging, lookups = threading.Event(), []

    def hang(*_args, **_kwargs):
        lookups.append(threading.current_thread())
        hanging.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        for _ in range(2):
            seen = probe(asked(443, address="slow.example.test"), NOW, 0.2, roots)
            assert (seen.reason, seen.detail) == ("dns", "the name does not resolve: the resolver does not answer")
        assert len(lookups) == 1
    finally:
        hanging.set()
        lookups[0].join(30)
    assert not lookups[0].is_alive()
    assert probe(asked(443, address="slow.example.test"), NOW, 30.0, roots).detail == "the name does not resolve: late"
    assert len(lookups) == 2  # an answer is not kept: addresses change


def test_lookup_that_cannot_start_does_not_block_later_ones(roots, monkeypatch):
    """When the host has no thread left, only that probe fails."""

    def full(_thread):
        raise RuntimeError("can't start new thread")

    with serving(showing(issued())) as port:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", full)
            assert probe(asked(port), NOW, 30.0, roots).valid is None
        assert probe(asked(port), NOW, 30.0, roots).valid is True


def test_deadline_is_shared_among_the_addresses(roots, monkeypatch):
    """Each that does not answer leaves equal shares, of a first handshake's time, to the others; the last has all."""
    waited, real = [], socket.socket.connect

    def connect(plain, address):
        waited.append(plain.gettimeout())
        if address[0] != "127.0.0.1":
            raise TimeoutError
        real(plain, address)

    with serving(showing(issued())) as port:
        addresses = [("192.0.2.1", port), ("192.0.2.2", port), ("127.0.0.1", port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        monkeypatch.setattr(socket.socket, "connect", connect)
        assert probe(asked(port, address="www.example.com"), NOW, 30.0, roots).valid is True
    assert waited == pytest.approx([7.0, 10.5, 30.0], abs=1.5)


def test_exporter_without_probes_does_not_load_cryptography():
    """Loading pyOpenSSL and cryptography needs more memory than a page of 100,000 series."""
    program = "import sys, exporter.__main__; print('cryptography' in sys.modules, 'OpenSSL' in sys.modules)"
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "False False\n"
