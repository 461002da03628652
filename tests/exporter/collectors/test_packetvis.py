import json

import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.contract import Response
from exporter.collectors.packetvis import collector as under_test
from exporter.collectors.packetvis.answers import read_report
from exporter.collectors.packetvis.collector import Collector, Knowledge
from exporter.collectors.packetvis.config import Settings
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_errors import Malformed

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
    for at, notifications in enumerate(polls, 1):
        (request,) = collector.requests(knowledge, at)
        knowledge = collector.update(knowledge, request, Response(at, 200, body(*notifications)))
    return collector, knowledge


def samples(collector, knowledge, name):
    families = {family.metric.name: dict(family.samples) for family in collector.families(knowledge, 0.0)}
    return families[name]


@pytest.mark.parametrize(
    ("value", "status", "warning"),
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
def test_warning_is_read_leniently(value, status, warning):
    """From a boolean or a clear equivalent; 418 means that it is on."""
    assert read_report(body(warning=value), status).warning is warning


@pytest.mark.parametrize("value", [2, -1, 0.5, "yes", [], {}, None])
def test_invalid_warning_is_malformed(value):
    """The error names the member; it is never read as 0."""
    with pytest.raises(Malformed, match=r"^data\.warning: not a boolean$"):
        read_report(body(warning=value))


def test_null_list_is_an_empty_one():
    """It lists nothing; a missing list is an error."""
    assert read_report(b'{"data": {"warning": false, "notifications": null}}').notifications == ()
    with pytest.raises(Malformed, match=r"^data\.notifications: missing$"):
        read_report(b'{"data": {"warning": false}}')


def test_each_id_is_counted_once():
    """Whether an id stays, goes or returns; the counter survives in the knowledge, with the time at which it began."""
    first, second, third = (notification(number) for number in range(3))
    collector, knowledge = learned([[first, first], [first, second], [], [second, third]])

    assert samples(collector, knowledge, "packetvis_notifications_seen_total") == {("hijack", "critical"): 3.0}
    assert samples(collector, knowledge, "packetvis_notifications") == {("bgp", "hijack", "critical"): 2.0}
    (seen,) = [one for one in collector.families(knowledge, 0.0) if one.metric is under_test.SEEN]
    assert list(seen.created) == [1]
    adapter = TypeAdapter(Knowledge)
    assert adapter.validate_json(adapter.dump_json(knowledge)) == knowledge


def test_suddenly_empty_list_is_polled_again():
    """Soon, and only a second one counts: PacketVis lists old notifications too."""
    collector, once = learned([[notification(1)], []])
    assert samples(collector, once, "packetvis_notifications") == {("bgp", "hijack", "critical"): 1.0}
    (request,) = collector.requests(once, 2.0)
    assert 2.0 < request.due < 2.0 + request.every
    collector, twice = learned([[notification(1)], [], []])
    assert samples(collector, twice, "packetvis_notifications") == {("bgp", "hijack", "critical"): 0.0}


def test_changed_filters_are_polled_at_once():
    """What is known is of the former ones; a list that is empty by the new ones is not suddenly so."""
    _, knowledge = learned([[notification(1)]])
    collector = Collector(settings(severity=4))
    (request,) = collector.requests(knowledge, 1.0)
    assert (request.due, request.expected_statuses) == (0.0, {418})
    knowledge = collector.update(knowledge, request, Response(1.0, 200, body()))
    assert samples(collector, knowledge, "packetvis_notifications") == {("bgp", "hijack", "critical"): 0.0}


def test_number_of_remembered_ids_is_bounded():
    """Ids no longer listed are dropped, the oldest first; listed ones never."""
    _, knowledge = learned([map(notification, range(10_001)), [notification("new")], [notification("newer")]])

    assert knowledge.ids == ("newer", "new", *map(str, range(9_999)))


def test_label_values_are_bounded():
    """However many types the vendor invents, the series are bounded and no notification is lost."""
    invented = [notification(number, f"type-{number}") for number in range(510)]
    collector, knowledge = learned([invented, invented])

    listed = samples(collector, knowledge, "packetvis_notifications")
    assert sum(listed.values()) == 510
    assert listed[("other", "other", "critical")] == 10
    assert len(listed) == 501
    *_, summary = collector.figures(knowledge, 0.0)
    assert summary.text.startswith("510 notifications listed: 10 other (critical), 1 type-")
    assert summary.text.count("type-") == 4


@pytest.mark.parametrize(("choice", "label"), [("keep", "brand-new"), ("other", "other")])
def test_unknown_types_are_kept_or_counted_as_other(choice, label):
    """As configured by `unknown_types`."""
    collector, knowledge = learned([[notification(1, "brand-new"), notification(2)]], unknown_types=choice)

    kinds = {kind for kind, _ in samples(collector, knowledge, "packetvis_notifications_seen_total")}
    assert kinds == {label, "hijack"}


def test_label_values_are_printable_and_short():
    """Spaces, control characters and long names never reach a label."""
    report = read_report(body(notification(1, "a\tb\x00c\u2028d"), notification(2, "x" * 1000), notification(3, " ")))

    assert [each.type for each in report.notifications] == ["a-b-c-d", "x" * 64, "unknown"]


def test_only_configured_parameters_are_sent():
    """`status` is never sent."""
    assert settings().params() == ()
    assert settings(severity=3, types=["hijack", "roa-diff"], warning_minutes=20).params() == (
        ("severity", "3"),
        ("types", "hijack,roa-diff"),
        ("warning", "20"),
    )


def test_the_url_is_a_secret(tmp_path):
    """It comes as a literal or from a file, and is shown nowhere."""
    (tmp_path / "url").write_text(f"{URL}\n", encoding="utf-8")
    from_file = Settings(collector="packetvis", account="noc", url_file=str(tmp_path / "url"))

    assert from_file.credentials() == URL
    assert isinstance(from_file.url(), Secret)
    assert from_file.url().read() == settings().url().read() == URL
    assert "tell-nobody" not in repr(from_file) + repr(settings())


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"url": "api.packetvis.com?key=tell-nobody"}, ("url",), "must be the whole URL of the API wizard"),
        ({"url": "https://me:tell-nobody@api.packetvis.com"}, ("url",), "must be the whole URL of the API wizard"),
        ({"severity": 5}, ("severity",), "less than or equal to 4"),
        ({"types": ["a,b"]}, ("types", 0), "match pattern"),
        ({"warning_minutes": 0}, ("warning_minutes",), "greater than 0"),
        ({"warning_minutes": 1_000_001}, ("warning_minutes",), "less than or equal to 1000000"),
        ({"unknown_types": "drop"}, ("unknown_types",), "'keep' or 'other'"),
        ({"address": URL}, ("address",), "Extra inputs"),
    ],
)
def test_invalid_settings_are_errors(given, place, message):
    """Each problem names its key, and never quotes the URL."""
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    (problem,) = caught.value.errors()
    assert problem["loc"] == place
    assert message in problem["msg"]
    assert "tell-nobody" not in str(caught.value)


def test_missing_url_is_reported_by_its_key():
    """The error says `url`, the key in the file."""
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
def test_unwise_settings_are_warnings(given, warnings):
    """Each has a line."""
    assert settings(**given).warnings() == warnings


def test_newest_notifications_have_prefix_and_page():
    """At most twenty, the newest first, and only within the vendor's window."""
    rows = [
        notification(n) | {"createdAt": f"2026-11-20T12:00:{n:02}Z", "summary": f"prefix {n}", "url": f"https://p/{n}"}
        for n in range(30)
    ]
    collector = Collector(settings())
    (request,) = collector.requests(collector.start(), 0)
    document = json.dumps(
        {"data": {"notifications": rows, "warning": True}, "metadata": {"warningMinutes": 2}}
    ).encode()
    knowledge = collector.update(collector.start(), request, Response(T_NOON + 60, 200, document))

    shown = recent(collector, knowledge, T_NOON + 60)
    assert shown[0] == (("29", "hijack", "critical", "bgp", "prefix 29", "https://p/29", ""), T_NOON + 29)
    assert [labels[0] for labels, _ in shown] == [str(n) for n in range(29, 9, -1)]
    assert [labels[0] for labels, _ in recent(collector, knowledge, T_NOON + 120 + 28)] == ["29", "28"]
    causes = [next(iter(collector.figures(knowledge, T_NOON + 120 + second))).text for second in (28, 29, 30)]
    assert causes == ["warning: prefix 29", "warning: prefix 29", "warning"]


def test_what_the_last_version_has_counted_is_kept():
    """Otherwise the counters would begin anew with each upgrade. Its newest notifications, in another form, are not."""
    old = {"as_of": 5.0, "seen": [["hijack", "critical", 7]], "recent": [[4.0, ["1", "hijack", "critical"]]]}
    knowledge = msgspec.json.decode(json.dumps(old).encode(), type=Knowledge)
    assert (knowledge.seen, knowledge.newest) == ((("hijack", "critical", 7),), ())


def recent(collector, knowledge, now):
    """Return the samples of the newest notifications."""
    return next(list(family.samples) for family in collector.families(knowledge, now) if family.metric.name == RECENT)


T_NOON = 1795176000.0
RECENT = "packetvis_notification_timestamp_seconds"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://p/" + "x" * 600, "https://p/ q", None, 7])
def test_invalid_url_is_left_out(url):
    """A URL on the page is complete and http or https."""
    report = read_report(body(notification(1) | {"url": url}))
    assert report.notifications[0].url == ""


def test_summary_and_url_have_their_length():
    """One is cut, the other left out: a part of it leads nowhere."""
    for extra, url in ((0, "https://p/" + "x" * 502), (1, "")):
        row = notification(1) | {"summary": "s" * (256 + extra), "url": "https://p/" + "x" * (502 + extra)}
        (read,) = read_report(body(row)).notifications
        assert (read.summary, read.url) == ("s" * 256, url)


def test_notifications_without_an_id_are_told_apart():
    """By their `data`, which is the event's address, or else by kind and time."""
    rows = [{"data": "https://p/a"}, {"data": "https://p/b"}, {"createdAt": 1}, {"createdAt": 2}, {"type": "hijack"}]
    ids = [[each.id for each in read_report(body(*rows)).notifications] for _ in range(2)]
    assert (ids[0] == ids[1], len(set(ids[0]))) == (True, 5)


def test_long_ids_stay_distinct():
    """Truncated to one label value they would be duplicate series, which Prometheus rejects."""
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
        (f"warning={'9' * 5000}", {}, []),
        ("warning=1", {}, ["poll_interval: a warning lasts 60 s and can begin and end between two polls"]),
    ],
)
def test_contradicting_url_is_a_warning(query, given, expected):
    """The wizard's URL has parameters too; nothing else of it is shown."""
    assert settings(url=f"https://api.packetvis.com/v1/any?{query}", **given).warnings() == expected
