"""Prometheus's web config file: what is read, basic auth, TLS, and what follows a change."""

import base64
import ssl
import time
from wsgiref.util import setup_testing_defaults

import bcrypt
import pytest
import trustme

from exporter.toolkit import web_config as access
from exporter.toolkit.config_types import ConfigError

HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()


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


def ask(gate, credentials=None, scheme="Basic", path="/"):
    """Return the status and the headers that a request gets."""
    environ, got = {"PATH_INFO": path, "REMOTE_USER": "forged"}, []
    setup_testing_defaults(environ)
    if credentials is not None:
        environ["HTTP_AUTHORIZATION"] = f"{scheme} {base64.b64encode(credentials.encode()).decode()}"
    list(gate(environ, lambda status, headers, _exc_info=None: got.append((status[:3], dict(headers)))))
    return got[0]


def application(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"in"]


def gate_of(allowed, inside=application, excepted=lambda _path: False):
    return access.Gate(inside, allowed, excepted)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "basic_auth_users: {ann: secret}",
            "basic_auth_users.ann: not a bcrypt hash: make one with htpasswd -nBC 10 NAME",
        ),
        ("basic_auth: {}", "basic_auth: unknown key"),
        ("tls_server_config: {cert_file: c}", "tls_server_config.key_file: missing"),
        (
            "tls_server_config: {cert_file: both.pem, key_file: both.pem, min_version: SSL3}",
            "tls_server_config.min_version: Input should be 'TLS10', 'TLS11', 'TLS12' or 'TLS13'",
        ),
        (
            "tls_server_config: {cert_file: both.pem, key_file: both.pem, client_ca_file: ca.pem}",
            "tls_server_config: client_ca_file has no effect without a client_auth_type that verifies",
        ),
        ("tls_server_config: {cert_file: gone, key_file: gone}", "tls_server_config: No such file or directory"),
        ("tls_server_config: {cert_file: web.yml, key_file: web.yml}", "tls_server_config: [SSL] PEM lib"),
        ("a: [", "line 1, column 5: not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_bad_file_is_told_by_its_problem(web_config, certificate, text, problem):
    """One line with the place in the file, and no value of it."""
    with pytest.raises(ConfigError) as raised:
        access.Access(web_config(text))
    assert [line.split(" (_ssl")[0] for line in raised.value.problems] == [problem]


def test_without_a_file_everybody_comes_in():
    """Neither TLS nor basic auth."""
    open_to_all = access.Access(None)
    assert open_to_all.tls is None
    assert ask(gate_of(open_to_all))[0] == "200"


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ("ann:open sesame", "200"),
        ("ann:wrong", "401"),
        ("ann:", "401"),
        ("ann", "401"),
        ("nobody:open sesame", "401"),
        (":", "401"),
        ("bob:other", "200"),
        ("bob:open sesame", "401"),
        ("ann:" + "x" * 100, "401"),
        (None, "401"),
    ],
)
def test_basic_auth_lets_in_whoever_has_the_password(web_config, credentials, status):
    """By bcrypt, again and again."""
    gate = gate_of(access.Access(web_config(f"basic_auth_users: {{ann: {HASH}, bob: {OTHER}}}")))
    assert [ask(gate, credentials)[0] for _ in range(2)] == [status, status]


def test_another_scheme_and_broken_base64_are_refused(web_config):
    """401 with the challenge, never an error."""
    gate = gate_of(access.Access(web_config(f"basic_auth_users: {{ann: {HASH}}}")))
    status, headers = ask(gate, "ann:open sesame", scheme="Bearer")
    assert (status, headers["WWW-Authenticate"]) == ("401", "Basic")
    assert ask(gate, "ann:open sesame", scheme="Basic ?")[0] == "401"


def test_a_right_pair_is_verified_once_and_an_unknown_name_costs_the_same(web_config, monkeypatch):
    """What was right is remembered by a hash; what was wrong is computed each time, whoever it names."""
    gate = gate_of(access.Access(web_config(f"basic_auth_users: {{ann: {HASH}}}")))
    costs = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hashed: costs.append(hashed) or check(password, hashed))
    for credentials in ("ann:open sesame", "ann:open sesame", "ann:wrong", "nobody:wrong", "nobody:open sesame"):
        ask(gate, credentials)
    assert costs == [HASH.encode()] * 4


def test_the_application_learns_who_came_in(web_config):
    """The name whose password was right, and never one that came otherwise."""
    names = []

    def inside(environ, start_response):
        names.append(environ.get("REMOTE_USER"))
        return application(environ, start_response)

    guarded = access.Access(web_config(f"basic_auth_users: {{ann: {HASH}}}"))
    ask(gate_of(guarded, inside), "ann:open sesame")
    ask(gate_of(guarded, inside, lambda _path: True), "ann:open sesame")
    ask(gate_of(access.Access(None), inside), "ann:open sesame")
    assert names == ["ann", None, None]


def test_a_path_with_credentials_of_its_own_is_passed(web_config):
    """Its `Authorization` is its own, so the file's users are not asked for there, and everywhere else they are."""
    gate = gate_of(access.Access(web_config(f"basic_auth_users: {{ann: {HASH}}}")), excepted="/own".__eq__)
    assert [ask(gate, path=path)[0] for path in ("/own", "/own/", "/", "/other")] == ["200", "401", "401", "401"]


def test_headers_of_the_file_go_onto_every_answer(web_config):
    """`http_server_config.headers`; `http2` is accepted and without effect."""
    text = "http_server_config: {http2: false, headers: {X-Frame-Options: deny}}"
    assert ask(gate_of(access.Access(web_config(text))))[1]["X-Frame-Options"] == "deny"


def later(file, text):
    file.write_text(text)
    time.sleep(1.01)


def test_a_change_is_followed_and_a_bad_one_is_not(web_config, caplog):
    """Users come and go without a restart; what cannot be read changes nothing and is logged once."""
    file = web_config(f"basic_auth_users: {{ann: {HASH}}}")
    gate = gate_of(access.Access(file))
    assert ask(gate, "ann:open sesame")[0] == "200"
    later(file, f"basic_auth_users: {{bob: {OTHER}}}")
    assert [ask(gate, pair)[0] for pair in ("ann:open sesame", "bob:other")] == ["401", "200"]
    later(file, "basic_auth_users: {bob: plain}")
    assert ask(gate, "bob:other")[0] == "200"
    assert caplog.text.count("web config stays as it was") == 1
    assert "plain" not in caplog.text
    later(file, "{}")
    assert ask(gate)[0] == "200"


def test_a_certificate_is_rotated_without_a_restart(web_config, certificate, tmp_path):
    """New connections get the certificate that the file now holds."""
    with_tls = access.Access(web_config("tls_server_config: {cert_file: both.pem, key_file: both.pem}"))
    before = with_tls.tls
    assert before.minimum_version == ssl.TLSVersion.TLSv1_2
    certificate.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    time.sleep(1.01)
    with_tls.refresh()
    assert with_tls.tls is not before


@pytest.mark.parametrize(
    ("auth_type", "mode"),
    [
        ("NoClientCert", ssl.CERT_NONE),
        ("RequestClientCert", ssl.CERT_NONE),
        ("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL),
        ("RequireAndVerifyClientCert", ssl.CERT_REQUIRED),
    ],
)
def test_client_certificates_are_asked_for_as_the_file_says(web_config, certificate, auth_type, mode):
    """Go's names for what OpenSSL does."""
    authorities = ", client_ca_file: ca.pem" if mode is not ssl.CERT_NONE else ""
    text = f"tls_server_config: {{cert_file: both.pem, key_file: both.pem, client_auth_type: {auth_type}{authorities}}}"
    assert access.Access(web_config(text)).tls.verify_mode == mode
