import json

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.contract import Certificate, Response
from exporter.collectors.packetvis import collector as under_test
from exporter.collectors.packetvis.answers import read_report
from exporter.collectors.packetvis.collector import Collector, Knowledge
from exporter.collectors.packetvis.config import Settings
from exporter.errors import Malformed
from exporter.toolkit.config_types import Secret

URL = "https://api.packetvis.com/v1/any?key=tell-nobody"


def settings(**given):
    return Settings(**{"collector": "packetvis", "account": "noc", "url": URL} | given)


def notification(number, kind="hijack", severity=4, service="bgp"):
    return {"id": str(number), "service": service, "type": kind, "severity": severity}


def body(*notifications, warning=False):
    return json.dumps({"data": {"notifications": notifications, "warning": warning}}).encode()


def learned(polls, **given):
    """Return collector and knowledge after polls, each a list of notifications."""
    collector = Collector(settings(**given))
    knowledge = collector.start()
    for at, notifications in enumerate(polls):
        (request,) = collector.requests(knowledge, at)
        knowledge = collector.update(knowledge, request, Response(at, 200, body(*notifications)))
    return collector, knowledge


def samples(collector, knowledge, name):
    families = {family.metric.name: dict(family.samples) for family in collector.families(knowledge, 0.0)}
    return families[name]


@pytest.mark.parametrize(
    ("told", "status", "warning"),
    [
        (True, 200, True),
        (False, 200, False),
        (1, 200, True),
        (0, 200, False),
        ("true", 200, True),
        ("False", 200, False),
        (True, 418, True),
        (False, 418, True),
    ],
)
def test_reads_the_warning(told, status, warning):
    """A warning is read from a boolean or what plainly means one; 418 says that it is on."""
    assert read_report(body(warning=told), status).warning is warning


@pytest.mark.parametrize("told", [2, -1, 0.5, "yes", [], {}])
def test_refuses_a_warning_that_is_none(told):
    """What is no boolean is an error that names the member, never 0."""
    with pytest.raises(Malformed, match=r"^data\.warning: not a boolean$"):
        read_report(body(warning=told))


def test_counts_each_id_once_and_never_less():
    """An id that stays, goes or comes back is one notification seen, and the counter survives in the knowledge."""
    first, second, third = (notification(number) for number in range(3))
    collector, knowledge = learned([[first, first], [first, second], [], [second, third]])

    assert samples(collector, knowledge, "packetvis_notifications_seen_total") == {("hijack", "critical"): 3.0}
    assert samples(collector, knowledge, "packetvis_notifications") == {("bgp", "hijack", "critical"): 2.0}
    adapter = TypeAdapter(Knowledge)
    assert adapter.validate_json(adapter.dump_json(knowledge)) == knowledge


def test_remembers_a_bounded_number_of_ids(monkeypatch):
    """Ids that are gone are forgotten, the longest gone first; those listed now never."""
    monkeypatch.setattr(under_test, "REMEMBERED_IDS", 2)
    _, knowledge = learned([[notification(number) for number in range(5)], [notification(9)], [notification(8)]])

    assert knowledge.ids == ("8", "9", "0")


def test_bounds_the_label_values(monkeypatch):
    """However many types the vendor invents, the series stay few and no notification is lost."""
    monkeypatch.setattr(under_test, "MOST_KINDS", 3)
    invented = [notification(number, f"type-{number}") for number in range(10)]
    collector, knowledge = learned([invented, invented])

    listed = samples(collector, knowledge, "packetvis_notifications")
    assert sum(listed.values()) == 10
    assert listed[("other", "other", "critical")] == 7
    assert len(listed) == 4


@pytest.mark.parametrize(("choice", "label"), [("keep", "brand-new"), ("other", "other")])
def test_keeps_or_gathers_unknown_types(choice, label):
    """A type that the vendor does not document survives as it is, or as `other` where that is configured."""
    collector, knowledge = learned([[notification(1, "brand-new"), notification(2)]], unknown_types=choice)

    kinds = {kind for kind, _ in samples(collector, knowledge, "packetvis_notifications_seen_total")}
    assert kinds == {label, "hijack"}


def test_label_values_are_printable_and_short():
    """Blanks, control characters and endless names never reach a label."""
    report = read_report(body(notification(1, "a\tb\x00c\u2028d"), notification(2, "x" * 1000), notification(3, " ")))

    assert [each.type for each in report.notifications] == ["a-b-c-d", "x" * 64, "unknown"]


def test_refuses_a_certificate():
    """Nothing was probed."""
    collector = Collector(settings())
    (request,) = collector.requests(collector.start(), 0.0)
    with pytest.raises(Malformed):
        collector.update(collector.start(), request, Certificate(0.0, None, None, None))


def test_sends_only_what_is_configured():
    """Of the documented parameters those configured are sent; `status` never."""
    assert settings().params() == ()
    assert settings(severity=3, types=["hijack", "roa-diff"], warning_minutes=20).params() == (
        ("severity", "3"),
        ("types", "hijack,roa-diff"),
        ("warning", "20"),
    )


def test_the_url_is_a_secret(tmp_path):
    """The URL comes as a literal or from a file, and shows nowhere."""
    (tmp_path / "url").write_text(f"{URL}\n", encoding="utf-8")
    from_file = Settings(collector="packetvis", account="noc", url_file=str(tmp_path / "url"))

    assert isinstance(from_file.url(), Secret)
    assert from_file.url().read() == settings().url().read() == URL
    assert "tell-nobody" not in repr(from_file) + repr(settings())


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"url": "api.packetvis.com?key=tell-nobody"}, ("url",), "must be the whole URL of the API wizard"),
        ({"severity": 5}, ("severity",), "less than or equal to 4"),
        ({"types": ["a,b"]}, ("types", 0), "match pattern"),
        ({"warning_minutes": 0}, ("warning_minutes",), "greater than 0"),
        ({"unknown_types": "drop"}, ("unknown_types",), "'keep' or 'other'"),
        ({"address": URL}, ("address",), "Extra inputs"),
    ],
)
def test_refuses_bad_settings(given, place, message):
    """Each problem names its key, and never quotes the URL."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    (problem,) = caught.value.errors()
    assert problem["loc"] == place
    assert message in problem["msg"]
    assert "tell-nobody" not in str(caught.value)


def test_a_missing_url_is_called_by_its_key():
    """The operator reads `url`, the key of the file."""
    with pytest.raises(ValidationError) as caught:
        Settings(collector="packetvis", account="noc")

    assert [problem["loc"] for problem in caught.value.errors()] == [("url",)]


@pytest.mark.parametrize(
    ("given", "warnings"),
    [
        ({}, []),
        ({"poll_interval": "1m"}, ["poll_interval: the vendor advises 120 s or more"]),
        (
            {"poll_interval": "5m", "warning_minutes": 5},
            ["poll_interval: a warning lasts 300 s and can begin and end between two polls"],
        ),
        ({"types": ["hijack", "hijak"]}, ["types: hijak is not one of the vendor's documented types"]),
    ],
)
def test_warns_against_the_vendors_advice(given, warnings):
    """What is allowed but unwise is said, a line each."""
    assert settings(**given).warnings() == warnings


def test_the_newest_notifications_name_prefix_and_page_while_they_are_new():
    """Twenty at most, the newest first; what is older than the vendor's window has no series, a blink later neither."""
    rows = [
        notification(n) | {"createdAt": f"2026-11-20T12:00:{n:02}Z", "summary": f"prefix {n}", "url": f"https://p/{n}"}
        for n in range(30)
    ]
    collector = Collector(settings())
    (request,) = collector.requests(collector.start(), 0)
    told = json.dumps({"data": {"notifications": rows, "warning": True}, "metadata": {"warningMinutes": 2}}).encode()
    knowledge = collector.update(collector.start(), request, Response(T_NOON + 60, 200, told))

    shown = recent(collector, knowledge, T_NOON + 60)
    assert shown[0] == (("29", "hijack", "critical", "bgp", "prefix 29", "https://p/29", ""), T_NOON + 29)
    assert [labels[0] for labels, _ in shown] == [str(n) for n in range(29, 9, -1)]
    assert [labels[0] for labels, _ in recent(collector, knowledge, T_NOON + 120 + 28)] == ["29", "28"]


def recent(collector, knowledge, now):
    """Return the samples of the newest notifications."""
    return next(list(family.samples) for family in collector.families(knowledge, now) if family.metric.name == RECENT)


T_NOON = 1795176000.0
RECENT = "packetvis_notification_timestamp_seconds"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://p/" + "x" * 600, "https://p/ q", None, 7])
def test_an_address_that_is_none_is_left_out(url):
    """An operator follows it at night: it is whole and of the web, or it is not told."""
    report = read_report(body(notification(1) | {"url": url}))
    assert report.notifications[0].url == ""


def test_long_ids_that_differ_in_their_end_stay_two():
    """Cut to one label value they would be two equal series, and Prometheus would refuse the page."""
    ids = {each.id for each in read_report(body(*(notification("x" * 5000 + end) for end in "ab"))).notifications}
    assert len(ids) == 2
    assert all(len(each) < 300 for each in ids)


@pytest.mark.parametrize(
    ("query", "given", "expected"),
    [
        ("warning=5&key=s", {"warning_minutes": 10}, ["warning_minutes: replaces the other warning= of the URL"]),
        ("severity=1&types=hijack", {"severity": 1, "types": ["hijack"]}, []),
        (
            "status=true",
            {},
            ["url: contains status=true: PacketVis answers 418 while it warns, which proxies may break"],
        ),
        ("warning=1", {}, ["poll_interval: a warning lasts 60 s and can begin and end between two polls"]),
    ],
)
def test_a_url_that_contradicts_the_configuration_is_told_at_start(query, given, expected):
    """The wizard's URL carries parameters too; nothing else of it is shown."""
    assert settings(url=f"https://api.packetvis.com/v1/any?{query}", **given).warnings() == expected
