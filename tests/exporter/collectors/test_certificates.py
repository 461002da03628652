import pytest
import trustme
import yaml
from pydantic import TypeAdapter, ValidationError

from exporter import config
from exporter.collectors.certificate_observations import observe
from exporter.collectors.certificates.collector import Collector, Known
from exporter.collectors.certificates.config import Settings
from exporter.collectors.certificates.endpoints import endpoint, place
from exporter.collectors.contract import Certificate, TlsEndpoint
from exporter.toolkit.config_types import problems

HOW = (
    "write it like www.example.com:443, www.example.com@192.0.2.1:443, [2001:db8::1]:443 or smtp://mail.example.com:25"
)


def settings(*endpoints, **others):
    return Settings(collector="certificates", account="edge", endpoints=list(endpoints), **others)


def refused(endpoints):
    with pytest.raises(ValidationError) as caught:
        Settings(collector="certificates", account="edge", endpoints=endpoints)
    return problems(caught.value)


@pytest.mark.parametrize(
    ("text", "server_name", "address", "port"),
    [
        ("www.example.com:443", "www.example.com", "www.example.com", 443),
        ("192.0.2.1:1", "192.0.2.1", "192.0.2.1", 1),
        ("www.example.com@192.0.2.1:443", "www.example.com", "192.0.2.1", 443),
        ("[2001:DB8::1]:443", "2001:db8::1", "2001:db8::1", 443),
        ("www.example.com@[2001:db8::1]:65535", "www.example.com", "2001:db8::1", 65535),
        ("www.example.com.:443", "www.example.com.", "www.example.com.", 443),
    ],
)
def test_endpoint_is_parsed(text, server_name, address, port):
    """The part before @ is the expected name, the rest the address; the label is as written."""
    assert endpoint(text) == TlsEndpoint(text, server_name, address, port)


def test_starttls_protocol_is_parsed():
    """An endpoint may name its protocol; the target's `starttls` applies to the others."""
    assert endpoint("smtp://mail.example.com:25") == TlsEndpoint(
        "smtp://mail.example.com:25", "mail.example.com", "mail.example.com", 25, "smtp"
    )
    chosen = settings("a.example:389", "postgres://b.example@192.0.2.1:5432", starttls="ldap")
    collector = Collector(chosen)
    assert [request.to.starttls for request in collector.requests(collector.start(), 0.0)] == ["ldap", "postgres"]


@pytest.mark.parametrize(
    ("endpoints", "problem"),
    [
        (["www.example.com"], f"endpoints[0]: not an endpoint: {HOW}"),
        (["https://www.example.com:443"], f"endpoints[0]: not an endpoint: {HOW}"),
        (["2001:db8::1:443"], f"endpoints[0]: not an endpoint: {HOW}"),
        (["a@b@c:443"], f"endpoints[0]: not an endpoint: {HOW}"),
        ([443], f"endpoints[0]: not an endpoint: {HOW}"),
        (["ok.example.com:443", "www.example.com:0"], "endpoints[1]: the port must be between 1 and 65535"),
        (["www.example.com:65536"], "endpoints[0]: the port must be between 1 and 65535"),
        (["[192.0.2.1]:443"], "endpoints[0]: no IPv6 address between the brackets"),
        (
            ["a.example:443", "b.example:443", "a.example@a.example:443"],
            "endpoints: listed more than once: a.example@a.example:443",
        ),
        (["gopher://www.example.com:70"], f"endpoints[0]: not an endpoint: {HOW}"),
        (["smtp://a.example:25", "a.example:25"], "endpoints: listed more than once: a.example:25"),
        ([], "endpoints_file: give endpoints or endpoints_file, with at least one endpoint"),
    ],
)
def test_invalid_endpoint_is_one_line(endpoints, problem):
    """With its place in the file."""
    assert refused(endpoints) == [problem]


def test_all_invalid_endpoints_are_reported_at_once():
    """An operator can fix them in one go."""
    assert len(refused(["one", "two", "three:443"])) == 2


def test_each_endpoint_is_published_after_its_probe():
    """A hanging endpoint does not delay the others (E5); the round ends when every endpoint was probed."""
    collector = Collector(settings("a.example:443", "b.example:443"))
    knowledge = collector.start()
    first, second = collector.requests(knowledge, 100.0)

    knowledge = collector.update(knowledge, first, Certificate(100.0, 9e9, valid=True))
    assert (knowledge.as_of, knowledge.round_at) == (100.0, None)
    assert next(collector.families(knowledge, 101.0)).samples == [(("a.example:443",), (9e9 - 101.0) / 86400)]
    knowledge = collector.update(knowledge, second, Certificate(130.0, None, valid=None, reason="connect"))
    assert (knowledge.as_of, knowledge.round_at) == (100.0, 100.0)
    knowledge = collector.update(knowledge, first, Certificate(400.0, 9e9, valid=True))
    assert (knowledge.as_of, knowledge.round_at) == (130.0, 130.0)


def test_old_snapshot_does_not_delay_new_probes():
    """After a restart each endpoint is published after its probe, even if the others are older than `max_age`."""
    collector = Collector(settings("a.example:443", "b.example:443", max_age=1000.0))
    knowledge = collector.start()
    for request in collector.requests(knowledge, 0.0):
        knowledge = collector.update(knowledge, request, Certificate(1.0, 9e9, valid=True))
    knowledge = collector.update(knowledge, request, Certificate(5000.0, 9e9, valid=True))
    assert knowledge.as_of == 5000.0


def samples(collector, knowledge, now):
    return {family.metric.name: family.samples for family in collector.families(knowledge, now)}


def test_failure_reason_chain_expiry_and_issuer_are_exported():
    """While probes fail, the last read certificate stays for `max_age`."""
    collector = Collector(settings("a.example:443", max_age=1000.0))
    (request,) = collector.requests(collector.start(), 0.0)
    seen = Certificate(
        500.0, 9e9, valid=False, reason="name", chain_not_after=8e9, issuer="CN=An Authority", serial="1A2B"
    )
    knowledge = collector.update(collector.start(), request, seen)
    exported = samples(collector, knowledge, 501.0)
    assert exported["tls_probe_failure"] == [(("a.example:443", "name"), 1.0)]
    assert exported["tls_certificate_chain_expiry_timestamp_seconds"] == [(("a.example:443",), 8e9)]
    assert exported["tls_certificate_info"] == [(("a.example:443", "CN=An Authority", "1A2B"), 1.0)]

    knowledge = collector.update(knowledge, request, Certificate(1400.0, None, valid=None, reason="timeout"))
    exported = samples(collector, knowledge, 1500.0)
    assert exported["tls_probe_failure"] == [(("a.example:443", "timeout"), 1.0)]
    assert exported["tls_certificate_info"] == [(("a.example:443", "CN=An Authority", "1A2B"), 1.0)]
    exported = samples(collector, knowledge, 1501.0)
    assert exported["tls_probe_failure"] == [(("a.example:443", "timeout"), 1.0)]
    assert exported["tls_certificate_info"] == exported["tls_certificate_chain_expiry_timestamp_seconds"] == []

    knowledge = collector.update(knowledge, request, Certificate(1500.0, 9e9, valid=True))
    assert samples(collector, knowledge, 1501.0)["tls_probe_failure"] == []


def test_what_a_probe_did_not_find_out_is_absent():
    """Such as whether a certificate is valid while `ca_file` cannot be read; the other series stay."""
    collector = Collector(settings("a.example:443"))
    (request,) = collector.requests(collector.start(), 0.0)
    seen = Certificate(500.0, 9e9, valid=None, reason="untrusted")
    exported = samples(collector, collector.update(collector.start(), request, seen), 501.0)
    assert {name for name, found in exported.items() if found} == {
        "tls_certificate_expiry_days",
        "tls_certificate_expiry_timestamp_seconds",
        "tls_probe_success",
        "tls_probe_failure",
    }


def test_removed_endpoints_have_no_series():
    """Knowledge of endpoints that are no longer configured is dropped."""
    old = Known(
        as_of=50.0,
        observations={"old.example:443": observe(None, Certificate(50.0, 9e9, valid=True))},
    )
    collector = Collector(settings("new.example:443"))

    assert not any(family.samples for family in collector.families(old, 60.0))
    (request,) = collector.requests(old, 60.0)
    learned = collector.update(old, request, Certificate(60.0, 9e9, valid=True))
    assert set(learned.observations) == {"new.example:443"}
    assert learned.as_of == 60.0


def test_failed_endpoint_is_retried_sooner():
    """After `retry_interval`, but never later than after a success."""
    for every, retry, expected in [(300.0, 60.0, 160.0), (30.0, 60.0, 130.0)]:
        collector = Collector(settings("a.example:443", poll_interval=every, retry_interval=retry))
        (request,) = collector.requests(collector.start(), 100.0)
        knowledge = collector.update(collector.start(), request, Certificate(100.0, None, valid=None))
        (again,) = collector.requests(knowledge, 100.0)
        assert again.due == expected


def test_days_are_counted_at_rendering():
    """Not at the probe."""
    collector = Collector(settings("a.example:443", max_age=10 * 86400.0))
    (request,) = collector.requests(collector.start(), 0.0)
    knowledge = collector.update(collector.start(), request, Certificate(0.0, 10 * 86400.0, valid=True))

    for now, days in [(0.0, 10.0), (86400.0, 9.0), (9.5 * 86400, 0.5)]:
        assert next(collector.families(knowledge, now)).samples == [(("a.example:443",), days)]


def test_certificate_that_expires_between_two_probes_is_invalid_at_once():
    """A client would no longer accept it."""
    collector = Collector(settings("a.example:443"))
    (request,) = collector.requests(collector.start(), 0.0)
    knowledge = collector.update(collector.start(), request, Certificate(0.0, 100.0, valid=True))

    for now, valid in [(99.0, 1.0), (100.0, 0.0)]:
        found = {family.metric.name: family.samples for family in collector.families(knowledge, now)}
        assert found["tls_certificate_valid"] == [(("a.example:443",), valid)]


def test_stale_probes_are_withdrawn():
    """After `max_age` without a probe even the failure is withdrawn."""
    collector = Collector(settings("a.example:443", poll_interval=30.0, max_age=100.0))
    (request,) = collector.requests(collector.start(), 0.0)
    knowledge = collector.update(collector.start(), request, Certificate(0.0, 9e9, valid=True))

    assert any(family.samples for family in collector.families(knowledge, 100.0))
    assert not any(family.samples for family in collector.families(knowledge, 100.5))


def test_knowledge_survives_json():
    """Stored knowledge is equal when it is loaded again."""
    known = Known(as_of=1.5, observations={"[::1]:443": observe(None, Certificate(1.5, None, valid=None))})
    adapter = TypeAdapter(Known)
    assert adapter.validate_json(adapter.dump_json(known)) == known


def listed(collector, knowledge, now=0.0):
    return [f"{request.to.server_name}:{request.to.port}" for request in collector.requests(knowledge, now)]


def test_observation_without_its_certificate_is_no_observation():
    """A snapshot from before the certificate was stored whole would report a failed probe and no date."""
    with pytest.raises(ValidationError, match="seen"):
        TypeAdapter(Known).validate_python(
            {"observations": {"a:1": {"probed_at": 1.0, "reached": True, "reason": "", "seen_at": 1.0, "valid": True}}}
        )


def test_changed_endpoints_file_is_read_without_a_reload(tmp_path, caplog):
    """New endpoints are probed, removed ones dropped (ping_exporter 35)."""
    file = tmp_path / "endpoints"
    file.write_text("# the edge\na.example:443\n\n  smtp://mail.example:25   # relay\n")
    collector = Collector(settings("own.example:443", endpoints_file=str(file)))
    assert listed(collector, collector.start()) == ["own.example:443", "a.example:443", "mail.example:25"]

    knowledge = collector.start()
    for request in collector.requests(knowledge, 0.0):
        knowledge = collector.update(knowledge, request, Certificate(1.0, 9e9, valid=True))
    assert (knowledge.round_at, knowledge.truncated) == (1.0, False)

    file.write_text("b.example:443\na.example:443\n")
    assert listed(collector, knowledge) == ["own.example:443", "b.example:443", "a.example:443"]
    assert {labels for labels, _ in next(collector.families(knowledge, 2.0)).samples} == {
        ("own.example:443",),
        ("a.example:443",),
    }
    assert caplog.records == []
    file.write_text("c.example:443\n")
    assert settings("own.example:443", endpoints_file=str(file)) == collector.settings  # a reload changes nothing


def test_invalid_line_in_a_changed_file_is_skipped(tmp_path, caplog):
    """The log names it once, and `vendorwatch_poll_truncated` is 1 until it is fixed."""
    file = tmp_path / "endpoints"
    file.write_text("a.example:443\n")
    collector = Collector(settings(endpoints_file=str(file)))
    file.write_text("a.example:443\nno port\nb.example:443\na.example@a.example:443\n")
    (first, _second) = collector.requests(collector.start(), 0.0)
    knowledge = collector.update(collector.start(), first, Certificate(1.0, 9e9, valid=True))
    assert knowledge.truncated
    assert listed(collector, knowledge) == ["a.example:443", "b.example:443"]
    assert [record.getMessage() for record in caplog.records] == [
        f"Skipped a line of {file}: line 2: not an endpoint: {HOW}",
        f"Skipped a line of {file}: line 4: listed more than once: a.example@a.example:443",
    ]

    file.write_text("a.example:443\n")
    assert not collector.update(knowledge, first, Certificate(2.0, 9e9, valid=True)).truncated


def test_unreadable_endpoints_file_keeps_the_last_endpoints(tmp_path, caplog):
    """A missing, partial or empty file must not end the probes: a shell empties it before a command writes."""
    file = tmp_path / "endpoints"
    file.write_text("a.example:443\n")
    collector = Collector(settings(endpoints_file=str(file)))
    for change in (file.unlink, lambda: file.write_bytes(b"\xff\xfe"), lambda: file.write_bytes(b"\n")):
        change()
        for _ in range(2):
            assert listed(collector, collector.start()) == ["a.example:443"]
    assert [record.getMessage() for record in caplog.records] == [
        f"Cannot read {file}, keeping its 1 endpoint: No such file or directory",
        f"Cannot read {file}, keeping its 1 endpoint: not UTF-8 text",
        f"Cannot read {file}, keeping its 1 endpoint: empty",
    ]
    for again in ("a.example:443\n", ""):  # readable for a while: the next failure is another one
        file.write_text(again)
        assert listed(collector, collector.start()) == ["a.example:443"]
    assert [record.getMessage() for record in caplog.records[3:]] == [caplog.records[2].getMessage()]
    file.write_text("# none for now\n")
    assert listed(collector, collector.start()) == []


def test_poll_is_truncated_while_the_endpoints_file_is_unreadable(tmp_path):
    """Endpoints that were added to it meanwhile are missing; only the log said so. The same file may come back."""
    file = tmp_path / "endpoints"
    file.write_text("a.example:443\n")
    collector = Collector(settings(endpoints_file=str(file)))
    (request,) = collector.requests(collector.start(), 0.0)

    def truncated():
        return collector.update(collector.start(), request, Certificate(1.0, 9e9, valid=True)).truncated

    assert not truncated()
    away = file.rename(tmp_path / "away")
    assert truncated()
    away.rename(file)
    assert not truncated()


def test_endpoints_file_without_a_valid_line_keeps_the_last_endpoints(tmp_path, caplog):
    """As after a download that saved the server's error page: every series vanished, and the poll was a success."""
    file = tmp_path / "endpoints"
    file.write_text("a.example:443\n")
    collector = Collector(settings(endpoints_file=str(file)))
    file.write_text("<html>\n<h1>404 Not Found</h1>\n")
    for _ in range(2):
        assert listed(collector, collector.start()) == ["a.example:443"]
    assert [record.getMessage() for record in caplog.records] == [
        f"Cannot read {file}, keeping its 1 endpoint: no line is valid: line 1: not an endpoint: {HOW}"
    ]
    file.write_text("b.example:443\n<html>\n")
    assert listed(collector, collector.start()) == ["b.example:443"]


def refused_target(**target):
    with pytest.raises(ValidationError) as caught:
        Settings(collector="certificates", account="edge", **target)
    return problems(caught.value)


def test_invalid_endpoints_file_is_an_error_at_start(tmp_path):
    """Each invalid line is named; a missing or empty file is an error too."""
    file = tmp_path / "endpoints"
    file.write_text("a.example:443\nwrong\na.example:443\nb.example:0\n")
    (refusal,) = refused_target(endpoints_file=str(file))
    assert refusal.split("; ") == [
        f"endpoints_file: line 2: not an endpoint: {HOW}",
        "line 3: listed more than once: a.example:443",
        "line 4: the port must be between 1 and 65535",
    ]
    gone = tmp_path / "gone"
    (refusal,) = refused_target(endpoints_file=str(gone))
    assert refusal == f"endpoints_file: cannot read {gone}: No such file or directory"
    for none_yet in ("", "# none yet\n"):
        file.write_text(none_yet)
        assert settings("own.example:443", endpoints_file=str(file))
        assert refused_target(endpoints_file=str(file)) == [
            "endpoints_file: give endpoints or endpoints_file, with at least one endpoint"
        ]
    file.write_text("a.example:443\n")
    assert refused_target(endpoints_file=str(file), endpoints=["a.example:443"]) == [
        "endpoints_file: in endpoints already: a.example:443"
    ]
    assert refused_target(endpoints_file=5) == ["endpoints_file: must be the path of a file"]


def test_paths_are_relative_to_the_file_that_names_them(tmp_path):
    """As in Prometheus; the working directory does not matter (E14)."""
    (tmp_path / "endpoints").write_text("a.example:443\n")
    trustme.CA().issue_cert("prober@example.com").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    target = {
        "collector": "certificates",
        "account": "edge",
        "endpoints_file": "endpoints",
        "client_cert_file": "both.pem",
    }
    (tmp_path / "exporter.yml").write_text(yaml.safe_dump({"targets": [target]}))
    (read,) = config.load(tmp_path / "exporter.yml").targets
    assert [place(one) for one in read.listed()] == [("a.example", "a.example", 443)]
    assert read.client_certificate == (str(tmp_path / "both.pem"), str(tmp_path / "both.pem"))


def test_proxy_is_an_error_because_probes_connect_directly():
    """It would be ignored (E15)."""
    assert refused_target(endpoints=["a.example:443"], proxy_url="http://proxy.example:3128") == [
        "proxy_url: probes connect directly: remove it"
    ]


def test_a_client_certificate_is_checked_at_the_start(tmp_path):
    """Certificate and key must match and be readable; one file may have both."""
    leaf = trustme.CA().issue_cert("prober@example.com")
    both, key = tmp_path / "both.pem", tmp_path / "key.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(both)
    leaf.private_key_pem.write_to_path(key)
    for files in ({"client_cert_file": str(both)}, {"client_cert_file": str(both), "client_key_file": str(key)}):
        collector = Collector(settings("a.example:443", **files))
        (request,) = collector.requests(collector.start(), 0.0)
        assert request.client_certificate == (str(both), files.get("client_key_file", str(both)))

    trustme.CA().issue_cert("other@example.com").private_key_pem.write_to_path(key)
    refusal = "client_key_file: not a certificate and its unencrypted key in PEM form"
    pair = {"client_cert_file": str(both), "client_key_file": str(key)}
    assert refused_target(endpoints=["a.example:443"], **pair) == [refusal]
    assert refused_target(endpoints=["a.example:443"], client_key_file=str(key)) == [
        "client_key_file: give client_cert_file too"
    ]
    gone = tmp_path / "gone.pem"
    assert refused_target(endpoints=["a.example:443"], client_cert_file=str(gone)) == [
        f"client_key_file: cannot read {gone}: No such file or directory"
    ]
