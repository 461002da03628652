import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.certificates.collector import Collector, Known
from exporter.collectors.certificates.config import Endpoint, Settings, endpoint
from exporter.collectors.contract import Certificate, CertificateObservation, observe
from exporter.toolkit.config_types import problems

HOW = "write it like www.example.com:443, www.example.com@192.0.2.1:443 or [2001:db8::1]:443"


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
        ("192.0.2.1:8443", "192.0.2.1", "192.0.2.1", 8443),
        ("www.example.com@192.0.2.1:443", "www.example.com", "192.0.2.1", 443),
        ("[2001:DB8::1]:443", "2001:db8::1", "2001:db8::1", 443),
        ("www.example.com@[2001:db8::1]:65535", "www.example.com", "2001:db8::1", 65535),
    ],
)
def test_reads_an_endpoint(text, server_name, address, port):
    """The part before @ is whose certificate is expected, the rest where to connect; the label is as written."""
    assert endpoint(text) == Endpoint(text, server_name, address, port)


@pytest.mark.parametrize(
    ("endpoints", "told"),
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
        ([], "endpoints: list at least one endpoint"),
    ],
)
def test_names_what_is_wrong_with_an_endpoint(endpoints, told):
    """Each bad endpoint is one line with its place in the file."""
    assert refused(endpoints) == [told]


def test_tells_all_bad_endpoints_at_once():
    """An operator mends a list in one go."""
    assert len(refused(["one", "two", "three:443"])) == 2


def test_round_is_whole_once_every_endpoint_was_probed():
    """Each endpoint is shown as it is probed; success waits for all, reached or not. The oldest probe is the age."""
    collector = Collector(settings("a.example:443", "b.example:443"))
    knowledge = collector.start()
    first, second = collector.requests(knowledge, 100.0)

    knowledge = collector.update(knowledge, first, Certificate(100.0, 0.0, 9e9, valid=True))
    assert (knowledge.as_of, knowledge.round_at) == (100.0, None)
    knowledge = collector.update(knowledge, second, Certificate(130.0, None, None, valid=None, problem="refused"))
    assert (knowledge.as_of, knowledge.round_at) == (100.0, 100.0)
    knowledge = collector.update(knowledge, first, Certificate(400.0, 0.0, 9e9, valid=True))
    assert knowledge.as_of == 130.0


def test_forgets_endpoints_that_left_the_configuration():
    """Knowledge that outlived a reload tells nothing of endpoints that are no longer listed."""
    old = Known(
        as_of=50.0,
        observations={"old.example:443": CertificateObservation(50.0, reached=True, not_after=9e9, seen_at=50.0)},
    )
    collector = Collector(settings("new.example:443"))

    assert not any(family.samples for family in collector.families(old, 60.0))
    (request,) = collector.requests(old, 60.0)
    learned = collector.update(old, request, Certificate(60.0, 0.0, 9e9, valid=True))
    assert set(learned.observations) == {"new.example:443"}
    assert learned.as_of == 60.0


def test_tries_a_silent_endpoint_again_sooner():
    """A failure is retried after `retry_interval`, but never later than a success would be."""
    for every, retry, expected in [(300.0, 60.0, 160.0), (30.0, 60.0, 130.0)]:
        collector = Collector(settings("a.example:443", poll_interval=every, retry_interval=retry))
        (request,) = collector.requests(collector.start(), 100.0)
        knowledge = collector.update(collector.start(), request, Certificate(100.0, None, None, valid=None))
        (again,) = collector.requests(knowledge, 100.0)
        assert again.due == expected


def test_counts_days_when_asked():
    """The days are those left at rendering, not at the probe."""
    collector = Collector(settings("a.example:443", max_age=10 * 86400.0))
    (request,) = collector.requests(collector.start(), 0.0)
    knowledge = collector.update(collector.start(), request, Certificate(0.0, -1.0, 10 * 86400.0, valid=True))

    for now, days in [(0.0, 10.0), (86400.0, 9.0), (9.5 * 86400, 0.5)]:
        assert next(collector.families(knowledge, now)).samples == [(("a.example:443",), days)]


def test_stale_probes_tell_nothing():
    """When nothing was probed for `max_age`, not even the failure is told as if it were of today."""
    collector = Collector(settings("a.example:443", poll_interval=30.0, max_age=100.0))
    (request,) = collector.requests(collector.start(), 0.0)
    knowledge = collector.update(collector.start(), request, Certificate(0.0, 0.0, 9e9, valid=True))

    assert any(family.samples for family in collector.families(knowledge, 100.0))
    assert not any(family.samples for family in collector.families(knowledge, 100.5))


def test_knowledge_survives_json():
    """What is stored over a restart comes back equal."""
    known = Known(as_of=1.5, observations={"[::1]:443": observe(None, Certificate(1.5, None, None, valid=None))})
    adapter = TypeAdapter(Known)
    assert adapter.validate_json(adapter.dump_json(known)) == known
