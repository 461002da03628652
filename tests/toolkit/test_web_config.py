"""Prometheus's web config file: each key of its format is honoured or refused in one line; changes are followed."""

import contextlib
import datetime as dt
import http.client
import ssl
import time

import bcrypt
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.yaml_file import load_yaml

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
PAIR = "cert_file: both.pem, key_file: both.pem"


@pytest.fixture
def web_config(tmp_path):
    def write(text):
        file = tmp_path / "web.yml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def certificate(tmp_path):
    """Write a certificate for loopback beside the web config; return its authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return authority


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "basic_auth_users: {ann: secret}",
            "basic_auth_users.ann: not a bcrypt hash: make one with htpasswd -nBC 10 NAME",
        ),
        (
            f"basic_auth_users: {{ann: $2b$04${'a' * 21}.{'a' * 32}}}",  # a letter too many
            "basic_auth_users.ann: not a bcrypt hash: make one with htpasswd -nBC 10 NAME",
        ),
        (
            f"basic_auth_users: {{ann: $2b$99${'a' * 53}}}",
            "basic_auth_users.ann: not a bcrypt hash: make one with htpasswd -nBC 10 NAME",
        ),
        (
            f"basic_auth_users: {{ann: $2b$04${'a' * 53}}}",  # a salt that bcrypt cannot read
            "basic_auth_users.ann: not a bcrypt hash: make one with htpasswd -nBC 10 NAME",
        ),
        ("basic_auth: {}", "basic_auth: unknown key"),
        ("tls_server_config: {cert_file: c}", "tls_server_config: missing: give key or key_file"),
        ("tls_server_config: {key_file: c}", "tls_server_config: missing: give cert or cert_file"),
        (f"tls_server_config: {{{PAIR}, cert: x}}", "tls_server_config: give cert or cert_file, not both"),
        (
            f"tls_server_config: {{{PAIR}, min_version: SSL3}}",
            "tls_server_config.min_version: Input should be 'TLS10', 'TLS11', 'TLS12' or 'TLS13'",
        ),
        (
            f"tls_server_config: {{{PAIR}, min_version: TLS13, max_version: TLS12}}",
            "tls_server_config: min_version is above max_version",
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, client_ca: \u00e9}}",
            "tls_server_config: no certificate authority in PEM form",
        ),
        (
            f"tls_server_config: {{{PAIR}, client_ca_file: ca.pem}}",
            "tls_server_config: client_ca_file has no effect without a client_auth_type that verifies",
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: RequireAnyClientCert}}",
            (
                "tls_server_config.client_auth_type: Input should be 'NoClientCert', 'RequestClientCert', "
                "'VerifyClientCertIfGiven' or 'RequireAndVerifyClientCert'"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, client_allowed_sans: [a]}}",
            "tls_server_config: client_allowed_sans needs client_auth_type RequireAndVerifyClientCert",
        ),
        (
            f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_2048]}}",
            "tls_server_config.cipher_suites[0]: no such cipher suite: TLS_RSA_WITH_2048",
        ),
        (
            f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP257]}}",
            (
                "tls_server_config.curve_preferences[0]: Input should be 'CurveP256', 'CurveP384', 'CurveP521' "
                "or 'X25519'"
            ),
        ),
        (
            f"tls_server_config: {{{PAIR}, curve_preferences: [CurveP256, X25519]}}",
            "tls_server_config.curve_preferences: only one curve is supported: give one, or none to allow all",
        ),
        *(
            (text, "tls_server_config: cannot read FOLDER/gone: No such file or directory")
            for text in (
                "tls_server_config: {cert_file: gone, key_file: both.pem}",
                "tls_server_config: {cert_file: both.pem, key_file: gone}",
                f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: gone}}",
            )
        ),
        *(
            (
                f"tls_server_config: {{{pair}}}",
                "tls_server_config: not a certificate and its unencrypted key in PEM form",
            )
            for pair in (
                "cert_file: web.yml, key_file: both.pem",
                "cert_file: both.pem, key_file: web.yml",
                "cert: hidden, key: hidden",
            )
        ),
        (
            f"tls_server_config: {{{PAIR}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: web.yml}}",
            "tls_server_config: no certificate authority in PEM form",
        ),
        ('http_server_config: {headers: {X-A: "a\\r\\nb"}}', "http_server_config.headers: X-A: printable ASCII only"),
        ("http_server_config: {headers: {'X A': b}}", "http_server_config.headers: 'X A' cannot be set"),
        (
            "http_server_config: {headers: {Content-Length: 1}}",
            "http_server_config.headers.Content-Length: must be a string: put a number, a date, yes or no in quotes",
        ),
        (
            "http_server_config: {headers: {Connection: close}}",
            "http_server_config.headers: 'Connection' cannot be set",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: all}}",
            "http_server_config.headers: X-Frame-Options: must be deny or sameorigin",
        ),
        ("rate_limit: {interval: 1}", "rate_limit.interval: not a duration: write it like 30s, 5m or 1h30m"),
        ("[a]", "file: must be a mapping"),
        ("[]", "file: must be a mapping"),
        ("rate_limit: {burst: -1}", "rate_limit.burst: Input should be greater than or equal to 0"),
        ("a: [", "line 1, column 5: not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_invalid_file_is_one_line(web_config, certificate, tmp_path, text, problem):
    """With the place in the file, and no secret value."""
    with pytest.raises(ConfigError) as raised:
        WebConfigFile(web_config(text))
    found = [line.split(" (_ssl")[0].replace(str(tmp_path), "FOLDER") for line in raised.value.problems]
    assert found == [problem]


def test_without_a_file_there_is_no_tls_or_auth():
    """Every client is accepted over plain HTTP."""
    open_to_all = WebConfigFile(None)
    assert open_to_all.context is None
    assert open_to_all.config.basic_auth_users == {}


def later(file, text):
    file.write_text(text)
    time.sleep(1.01)


def test_changed_file_is_used_and_an_invalid_one_is_not(web_config, caplog):
    """Users are added and removed without a restart; an unreadable file is logged once."""
    file = web_config(f"basic_auth_users: {{ann: {HASH}}}")
    found = WebConfigFile(file)
    later(file, f"basic_auth_users: {{bob: {OTHER}}}")
    found.refresh()
    assert list(found.config.basic_auth_users) == ["bob"]
    for _ in range(2):
        later(file, "basic_auth_users: {bob: plain}")
        found.refresh()
    assert list(found.config.basic_auth_users) == ["bob"]
    assert caplog.text.count("keeping the current one") == 2
    found.refresh()
    assert caplog.text.count("keeping the current one") == 2
    assert "plain" not in caplog.text
    later(file, f"tls_server_config: {{{PAIR}}}")
    found.refresh()
    assert found.context is None


def test_certificate_that_cannot_be_used_is_logged_once(web_config, certificate, tmp_path, monkeypatch, caplog):
    """Not each second until it is replaced; the last one stays in force."""
    monkeypatch.setattr("exporter.toolkit.web_config._LOOK_AGAIN", 0)
    found = WebConfigFile(web_config(f"tls_server_config: {{{PAIR}}}"))
    before = found.context
    (tmp_path / "both.pem").write_text("half")
    for _ in range(3):
        found.refresh()
    assert found.context is before
    assert caplog.text.count("keeping the current one") == 1


def test_file_that_becomes_empty_lets_nobody_in(web_config, monkeypatch, caplog):
    """It may be about to be written; `{}` removes all users, and a program may start with an empty file."""
    monkeypatch.setattr("exporter.toolkit.web_config._LOOK_AGAIN", 0)
    found = WebConfigFile(web_config(f"basic_auth_users: {{ann: {HASH}}}"))
    for text, users in (("", ["ann"]), ("# soon\n", ["ann"]), ("{}", [])):
        web_config(text)
        found.refresh()
        assert list(found.config.basic_auth_users) == users
    assert caplog.text.count("the file is empty") == 2
    assert WebConfigFile(web_config("")).config.basic_auth_users == {}


def test_change_while_the_file_is_read_is_read_next(web_config, monkeypatch):
    """At the start as well as later. An unchanged file is not read again."""
    monkeypatch.setattr("exporter.toolkit.web_config._LOOK_AGAIN", 0)
    file = web_config(f"basic_auth_users: {{ann: {HASH}}}")

    def replaced(path):
        content = load_yaml(path)
        if name := next(names, None):
            file.write_text(f"basic_auth_users: {{{name}: {HASH}}}")
        return content

    names = iter(("robert", "clara"))  # of different lengths: the clock of files is coarse
    monkeypatch.setattr("exporter.toolkit.web_config.load_yaml", replaced)
    found = WebConfigFile(file)
    for name in ("ann", "robert", "clara"):
        assert list(found.config.basic_auth_users) == [name]
        found.refresh()
    found = WebConfigFile(file)
    monkeypatch.setattr("exporter.toolkit.web_config.load_yaml", lambda _path: {})  # as of a pipe, the second time
    found.refresh()
    assert list(found.config.basic_auth_users) == ["clara"]


@pytest.mark.parametrize(
    ("auth_type", "mode"),
    [
        ("NoClientCert", ssl.CERT_NONE),
        ("RequestClientCert", ssl.CERT_NONE),
        ("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL),
        ("RequireAndVerifyClientCert", ssl.CERT_REQUIRED),
    ],
)
def test_client_auth_type_is_applied(web_config, certificate, auth_type, mode):
    """Go's names are mapped to OpenSSL's modes."""
    authorities = ", client_ca_file: ca.pem" if mode is not ssl.CERT_NONE else ""
    text = f"tls_server_config: {{{PAIR}, client_auth_type: {auth_type}{authorities}}}"
    assert WebConfigFile(web_config(text)).context.verify_mode == mode


def test_ciphers_curves_and_versions_are_applied(web_config, certificate):
    """Go's names are mapped to OpenSSL's; TLS 1.3 ciphers are always enabled, as in Go."""
    names = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
             "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_AES_128_GCM_SHA256"]  # fmt: skip
    text = (
        f"tls_server_config: {{{PAIR}, cipher_suites: [{', '.join(names)}], prefer_server_cipher_suites: false, "
        "curve_preferences: [CurveP384], min_version: TLS12, max_version: TLS12}"
    )
    context = WebConfigFile(web_config(text)).context
    suites = [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"]
    assert suites == ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "AES256-SHA"]
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2,) * 2


def trusting(authority, **more):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for name, value in more.items():
        setattr(context, name, value)
    return context


def status(address, context):
    """Return the status of a GET, None when no connection comes about."""
    client = http.client.HTTPSConnection(*address, timeout=30, context=context)
    with contextlib.closing(client):
        try:
            client.request("GET", "/")
            return client.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def test_inline_certificate_key_and_authority(web_config, serve):
    """As in exporter-toolkit, for containers without files."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")

    def block(pem):
        return "|\n" + "".join(f"    {line}\n" for line in pem.bytes().decode().splitlines())

    text = (
        f"tls_server_config:\n  cert: {block(issued.cert_chain_pems[0])}  key: {block(issued.private_key_pem)}"
        f"  client_ca: {block(authority.cert_pem)}  client_auth_type: RequireAndVerifyClientCert\n"
    )
    address = serve(WebConfigFile(web_config(text))).address
    assert status(address, trusting(authority)) is None
    known = trusting(authority)
    authority.issue_cert("client").configure_cert(known)
    assert status(address, known) == 200


def test_client_allowed_sans_are_checked(web_config, certificate, serve):
    """DNS names, addresses and others, exactly as written."""
    text = (
        f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
        'client_allowed_sans: [prometheus.example, 10.0.0.7, "2001:db8::1"]}'
    )
    served = serve(WebConfigFile(web_config(text)))
    found = []
    for name in ("prometheus.example", "10.0.0.7", "2001:db8::1", "other.example", "sub.prometheus.example"):
        context = trusting(certificate)
        certificate.issue_cert(name).configure_cert(context)
        found.append(status(served.address, context))
    assert found == [200, 200, 200, None, None]
    assert served.reasons == ["unauthorized", "unauthorized"]


@pytest.mark.parametrize(("sans", "wanted"), [("[]", None), ("null", 200)])
def test_empty_list_of_allowed_sans_admits_nobody(web_config, certificate, serve, sans, wanted):
    """As in exporter-toolkit; without the list every certificate of the authority is allowed."""
    text = (
        f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, "
        f"client_allowed_sans: {sans}}}"
    )
    context = trusting(certificate)
    certificate.issue_cert("prometheus.example").configure_cert(context)
    assert status(serve(WebConfigFile(web_config(text))).address, context) == wanted


def test_other_kinds_of_names_are_skipped(web_config, certificate, tmp_path, serve, caplog):
    """A directory name is never allowed, and does not hide the name that is."""
    key, nobody, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), dt.datetime.now(dt.UTC)
    text = (
        f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: client.pem, "
        "client_allowed_sans: [prometheus.example]}"
    )
    found = []
    for more in ([], [x509.DNSName("prometheus.example")]):
        names = x509.SubjectAlternativeName([x509.DirectoryName(nobody), *more])
        builder = x509.CertificateBuilder().subject_name(nobody).issuer_name(nobody).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        issued = builder.add_extension(names, critical=True).sign(key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "client.pem").write_bytes(issued.public_bytes(serialization.Encoding.PEM) + private)
        context = trusting(certificate)
        context.load_cert_chain(tmp_path / "client.pem")
        found.append(status(serve(WebConfigFile(web_config(text))).address, context))
    assert found == [None, 200]
    assert "Traceback" not in caplog.text


def test_intermediate_authority_admits_its_own_clients(web_config, certificate, tmp_path, serve):
    """As in Go: not those of the root above it, nor of its other authorities."""
    root = trustme.CA()
    part, other = root.create_child_ca(), root.create_child_ca()
    part.cert_pem.write_to_path(tmp_path / "part.pem")
    text = f"tls_server_config: {{{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: part.pem}}"
    address, found = serve(WebConfigFile(web_config(text))).address, []
    for issuer in (part, other, root):
        context = trusting(certificate)
        issuer.issue_cert("client").configure_cert(context)
        found.append(status(address, context))
    assert found == [200, None, None]


def test_a_certificate_is_rotated_without_a_restart(web_config, certificate, tmp_path, serve):
    """New connections get the new certificate; open ones continue."""
    address = serve(WebConfigFile(web_config(f"tls_server_config: {{{PAIR}}}"))).address
    kept = http.client.HTTPSConnection(*address, timeout=30, context=trusting(certificate))
    with contextlib.closing(kept):
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
        successor = trustme.CA()
        successor.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        time.sleep(1.01)
        assert status(address, trusting(successor)) == 200
        assert status(address, trusting(certificate)) is None
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"


def test_certificate_of_another_path_may_come_later(web_config, certificate, tmp_path, serve):
    """Than the web config that names it, or be half-written then."""
    address = serve(WebConfigFile(web_config(f"tls_server_config: {{{PAIR}}}"))).address
    successor = trustme.CA()
    issued = successor.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes()
    web_config("tls_server_config: {cert_file: new.pem, key_file: new.pem}")
    for content, used in ((None, certificate), (issued[:900], certificate), (issued, successor)):
        if content:
            (tmp_path / "new.pem").write_bytes(content)
        time.sleep(1.01)
        assert status(address, trusting(used)) == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("suites", ["", ", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]"])
def test_old_version_is_served_if_it_is_allowed(web_config, certificate, serve, version, suites):
    """As in Go: `min_version` is all that it takes."""
    context = trusting(certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        pytest.warns(DeprecationWarning, match="deprecated")
        if version < ssl.TLSVersion.TLSv1_2
        else contextlib.nullcontext()
    ):
        context.minimum_version = context.maximum_version = version
    found = []
    for lowest in ("TLS10", "TLS12"):
        text = f"tls_server_config: {{{PAIR}, min_version: {lowest}{suites}}}"
        with pytest.warns(DeprecationWarning, match="deprecated") if lowest == "TLS10" else contextlib.nullcontext():
            found.append(status(serve(WebConfigFile(web_config(text))).address, context))
    assert found == [200, 200 if version is ssl.TLSVersion.TLSv1_2 else None]


def test_headers_of_the_file_are_added_to_every_response(web_config, serve):
    """Unless the application sets them; a blank one is removed; `http2` has no effect. Ours stand there once."""

    def own(_environ, start_response):
        start_response("200 OK", [("Content-Length", "0"), ("X-Frame-Options", "DENY")])
        return []

    headers = "{X-Frame-Options: sameorigin, X-Content-Type-Options: nosniff, X-XSS-Protection: ''}"
    text = f"http_server_config: {{http2: false, headers: {headers}}}\nbasic_auth_users: {{ann: {HASH}}}"
    address = serve(WebConfigFile(web_config(text)), application=own).address
    for credentials in ({}, {"Authorization": "Basic YW5uOm9wZW4gc2VzYW1l"}):
        client = http.client.HTTPConnection(*address, timeout=30)
        with contextlib.closing(client):
            client.request("GET", "/", headers=credentials)
            answer = client.getresponse()
            expected = "DENY" if credentials else "sameorigin"
            assert answer.getheader("X-Frame-Options") == expected
            assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
            assert answer.headers.get_all("Cache-Control") == ["no-store"]
            assert answer.getheader("X-XSS-Protection") is None
