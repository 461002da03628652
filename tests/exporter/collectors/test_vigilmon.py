import json
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.collectors.contract import Certificate, Get, Probe, Reason, Response
from exporter.collectors.vigilmon.answers import History, Incident, Monitor, read_incidents, read_monitors, read_uptime
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.knowledge import Known, Uptime, with_uptime
from exporter.collectors.vigilmon.rotation import MOST
from exporter.toolkit.config_types import problems
from exporter.toolkit.http_errors import Malformed


def settings(**others):
    return Settings(collector="vigilmon", account="prod", token="vtk_secret", **others)


def monitor(identity, status="up", **others):
    return {"id": identity, "current_status": status, **others}


def kept(identity, status="up"):
    return Monitor(identity, "", "", "", active=True, status=status, checked_at=None, host="", port=443)


def listed(*monitors, **meta):
    return {"data": list(monitors), "meta": meta}


def next_get(collector, known, now):
    due = [request for request in collector.requests(known, now) if isinstance(request, Get) and request.due <= now]
    return min(due, key=lambda request: (request.reason, (request.due - now) / request.every), default=None)


def polled(collector, known, at, document):
    """Answer the most urgent request at `at`."""
    request = next_get(collector, known, at)
    return collector.update(known, request, Response(at, 200, json.dumps(document).encode()))


def samples(collector, known, now, name):
    (family,) = [one for one in collector.families(known, now) if one.metric.name == name]
    return dict(family.samples)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://shop.example.com/health", "https://shop.example.com/health"),
        ("https://shop.example.com/health?token=secret#top", "https://shop.example.com/health"),
        ("https://user:secret@shop.example.com/", "https://shop.example.com/"),
        ("https://user:se@cret@shop.example.com:8443/a@b", "https://shop.example.com:8443/a@b"),
        ("user:secret@db.example.com:5432", "db.example.com:5432"),
        ("https://shop.example.com?user=me@example.com", "https://shop.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("", ""),
    ],
)
def test_secrets_in_urls_are_dropped(url, shown):
    """Credentials, query and fragment are not even stored."""
    (one,) = read_monitors(json.dumps(listed(monitor(1, url=url))).encode()).monitors
    assert one.url == shown


@pytest.mark.parametrize(
    ("odd", "read"),
    [
        ({"last_checked_at": "never"}, {"checked_at": None}),
        ({"last_checked_at": 1763640000}, {"checked_at": 1763640000.0}),
        ({"last_checked_at": "2026-11-20 12:00:00"}, {"checked_at": 1795176000.0}),
        ({"is_active": 0}, {"active": False}),
        ({"is_active": "0", "current_status": "up"}, {"active": False, "up": None}),
        ({"is_active": "no"}, {"active": None}),
        ({"current_status": 5}, {"status": "5", "up": None}),
        ({"current_status": " UP "}, {"up": True}),
        ({"name": ["a"], "url": {}, "method": {}}, {"name": "", "url": "", "method": ""}),
        ({"name": 7}, {"name": "7"}),
        ({"check_interval_seconds": "60"}, {"check_interval": 60.0}),
        ({"check_interval_seconds": 0}, {"check_interval": None}),
        ({"check_interval_seconds": {}}, {"check_interval": None}),
    ],
)
def test_unreadable_member_affects_no_other_data(odd, read):
    """It counts as missing; the monitor's other members, and the other monitors, are exported."""
    first, second = read_monitors(json.dumps(listed(monitor(1) | odd, monitor(2))).encode()).monitors
    assert {name: getattr(first, name) for name in read} == read
    assert (first.id, second.id, second.up) == ("1", "2", True)


@pytest.mark.parametrize(("value", "read"), [("99.98", 99.98), (100, 100.0), (0, 0.0), ("0", 0.0)])
def test_percentages_may_be_decimals_written_as_text(value, read):
    """Databases export them as text."""
    assert read_uptime(json.dumps({"data": {"uptime": {"24h": value, "7d": None}}}).encode()) == {"24h": read}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://shop.example.com/health", ("shop.example.com", 443)),
        ("HTTPS://Shop.Example.com:8443", ("shop.example.com", 8443)),
        ("https://[2001:db8::1]/", ("2001:db8::1", 443)),
        ("http://shop.example.com", ("", 0)),
        ("https://", ("", 0)),
        ("https://shop.example.com:port/", ("", 0)),
        ("https://shop.example.com:70000/", ("", 0)),
        ("https://[broken/", ("", 0)),
    ],
)
def test_certificate_endpoint_is_taken_from_the_url(url, place):
    """Only an https URL with a host and a valid port is probed."""
    (one,) = read_monitors(json.dumps(listed(monitor(1, url=url))).encode()).monitors
    assert (one.host, one.port) == place


@pytest.mark.parametrize(
    ("status", "active", "up"),
    [
        ("up", True, True),
        ("UP", None, True),
        ("down", True, False),
        ("down", False, None),
        ("up", False, None),
        ("pending", True, None),
        ("", True, None),
        (None, True, None),
    ],
)
def test_undocumented_states_are_unknown(status, active, up):
    """Paused, pending and undocumented states are never down."""
    (one,) = read_monitors(json.dumps(listed(monitor(1, status, is_active=active))).encode()).monitors
    assert one.up is up


@pytest.mark.parametrize(
    ("incident", "ongoing"),
    [
        ({"status": "ongoing", "resolved_at": None}, 1),
        ({"status": "resolved", "resolved_at": "2026-11-20T12:00:00+00:00"}, 0),
        ({"status": "resolved", "resolved_at": None}, 0),
        ({"status": "investigating", "resolved_at": None}, 1),
        ({"status": "closed", "resolved_at": "2026-11-20T12:00:00Z"}, 0),
        ({"resolved_at": None}, 1),
        ({"resolved_at": ""}, 1),
        ({"resolved_at": "2026-11-20T12:00:00Z"}, 0),
    ],
)
def test_ongoing_incidents_are_counted(incident, ongoing):
    """By status; without one that is documented, an unresolved incident is ongoing."""
    history = read_incidents(json.dumps({"data": [incident]}).encode())
    assert (history.ongoing, history.recorded) == (ongoing, None)


def test_page_parameter_is_configurable():
    """The first page is requested without it: a wrong name loses only the other pages."""
    collector = Collector(settings(page_parameter="p"))
    request = next_get(collector, collector.start(), 0.0)
    assert (request.path, request.params) == ("/monitors", ())
    known = polled(collector, collector.start(), 0.0, listed(monitor(1), total=2))
    assert next_get(collector, known, 1.0).params == (("p", "2"),)


@pytest.mark.parametrize("total", [2, None])
def test_missing_page_ends_only_a_list_that_may_have_ended(total):
    """With a total that was not reached it is a failure: monitors would be missing."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 100.0, listed(monitor(1), total=total))
    request = next_get(collector, known, 101.0)
    gone = Response(101.0, 404, b"<html>")
    if total:
        with pytest.raises(Malformed, match=r"^404, though there are more monitors$"):
            collector.update(known, request, gone)
    else:
        ended = collector.update(known, request, gone)
        assert (ended.round_at, ended.truncated, list(ended.monitors)) == (100.0, False, ["1"])


def test_monitors_that_stay_down_take_half_of_what_the_statuses_leave():
    """Here that is one request in two minutes, for ten monitors; the uptimes get the rest."""
    names = list(map(str, range(10)))
    known = Known(
        round_at=100.0,
        monitors={name: kept(name, "down") for name in names},
        incidents={name: History(at=100.0, ongoing=1) for name in names},
        troubled=tuple(names),
    )
    found = Collector(settings(requests_per_minute=2, poll_interval="1m")).requests(known, 100.0)
    again = {
        (each.due, each.every)
        for each in found
        if each.endpoint == "/monitors/{id}/incidents" and each.reason is Reason.CHANGED
    }
    assert again == {(1300.0, 1200.0)}


def test_ongoing_incidents_are_withdrawn_after_a_change():
    """From a change of status until the incidents were polled again, their number is unknown."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 100.0, listed(monitor(1), total=1))
    known = polled(collector, known, 101.0, {"data": {"uptime": None}})
    known = polled(collector, known, 102.0, {"data": [], "meta": {"total": 3}})
    assert samples(collector, known, 103.0, "vigilmon_monitor_ongoing_incidents") == {("1",): 0.0}

    known = polled(collector, known, 160.0, listed(monitor(1, "down"), total=1))
    assert samples(collector, known, 160.0, "vigilmon_monitor_ongoing_incidents") == {}
    assert samples(collector, known, 160.0, "vigilmon_monitor_incidents") == {}
    known = polled(collector, known, 161.0, {"data": [{"status": "ongoing"}], "meta": {"total": 4}})
    assert samples(collector, known, 161.0, "vigilmon_monitor_ongoing_incidents") == {("1",): 1.0}
    assert samples(collector, known, 161.0, "vigilmon_monitor_incidents") == {("1",): 4.0}


@pytest.mark.parametrize(
    ("what", "path", "full", "status", "empty"),
    [
        ("ongoing_incidents", "/monitors/1/incidents", {"data": [{"status": "ongoing"}]}, 200, {"data": []}),
        ("ongoing_incidents", "/monitors/1/incidents", {"data": [{"status": "ongoing"}]}, 403, {}),
        ("incidents", "/monitors/1/incidents", {"data": [], "meta": {"total": 4}}, 200, {"data": None, "meta": []}),
        ("uptime_percent", "/monitors/1", {"data": {"uptime": {"24h": 99}}}, 200, {"data": {"uptime": []}}),
        ("uptime_percent", "/monitors/1", {"data": {"uptime": {"24h": 99}}}, 404, {}),
    ],
)
def test_what_is_suddenly_gone_is_polled_again(what, path, full, status, empty):
    """One bad response would end the incident of a monitor that is down, or withdraw values until their next turn."""
    collector = Collector(settings())
    request = Get(endpoint=path.replace("1", "{id}"), reason=Reason.OLDEST, due=0.0, every=300.0, path=path, item="1")

    def answered(known, at, document, status=200):
        return collector.update(known, request, Response(at, status, json.dumps(document).encode()))

    def asked(known, now):
        return {each.due for each in collector.requests(known, now) if isinstance(each, Get) and each.path == path}

    known = answered(polled(collector, collector.start(), 99.0, listed(monitor(1, "down"), total=1)), 100.0, full)
    shown = samples(collector, known, 101.0, f"vigilmon_monitor_{what}")
    doubted = answered(known, 101.0, empty, status)
    assert samples(collector, doubted, 101.0, f"vigilmon_monitor_{what}") == shown != {}
    assert asked(doubted, 101.0) == {111.0}
    assert samples(collector, answered(doubted, 111.0, empty, status), 111.0, f"vigilmon_monitor_{what}") != shown
    restored = answered(doubted, 111.0, full)
    assert restored.emptied == {}
    assert samples(collector, restored, 111.0, f"vigilmon_monitor_{what}") == shown


def test_doubt_about_a_monitor_that_is_gone_is_forgotten():
    """It is kept for an hour, which the vendor's longest pause may take."""
    collector = Collector(settings())
    known = replace(collector.start(), emptied={"/monitors/1": 100.0, "/monitors/2": 101.0})
    assert polled(collector, known, 3700.0, listed(monitor(3), total=1)).emptied == {"/monitors/2": 101.0}


def test_unchanged_status_confirms_incidents():
    """A monitor's incidents stay valid as long as its status is confirmed."""
    collector = Collector(settings(incidents_interval=86400.0, uptime_interval=86400.0))
    known = polled(collector, collector.start(), 0.0, listed(monitor(1), total=1))
    known = polled(collector, known, 1.0, {"data": {"uptime": None}})
    known = polled(collector, known, 2.0, {"data": [], "meta": {"total": 0}})
    for minute in range(1, 200):
        known = polled(collector, known, minute * 60.0, listed(monitor(1), total=1))

    assert samples(collector, known, 12000.0, "vigilmon_monitor_ongoing_incidents") == {("1",): 0.0}
    assert samples(collector, known, 11940.0 + 301, "vigilmon_monitor_ongoing_incidents") == {}


def test_only_a_monitor_that_is_up_confirms_old_incidents():
    """Those of one that is down are polled every few minutes; unless they are, they are withdrawn."""
    known = Known(
        round_at=9000.0,
        seen={"1": 9000.0, "2": 9000.0},
        monitors={"1": kept("1"), "2": kept("2", "down")},
        incidents=dict.fromkeys("12", History(at=100.0, ongoing=0)),
    )
    shown = samples(Collector(settings()), known, 9000.0, "vigilmon_monitor_ongoing_incidents")
    assert shown == {("1",): 0.0}


def test_incident_of_a_recovered_monitor_is_polled_again():
    """Every few minutes until the incident is resolved."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 0.0, listed(monitor(1), total=1))
    known = polled(collector, known, 1.0, {"data": {"uptime": None}})
    known = polled(collector, known, 2.0, {"data": [{"status": "ongoing"}], "meta": {"total": 1}})
    for minute in (1, 2, 3):
        known = polled(collector, known, minute * 60.0, listed(monitor(1), total=1))

    request = next_get(collector, known, 183.0)
    assert (request.path, request.reason) == ("/monitors/1/incidents", Reason.CHANGED)


@pytest.mark.parametrize(("status", "polled_again"), [("up", True), ("down", False)])
def test_uptime_that_falls_reveals_an_outage_of_a_monitor_that_is_up(status, polled_again):
    """Of one that is down it falls all the time: its incident stays on the page."""
    known = Known(
        round_at=0.0, monitors={"1": kept("1", status)}, seen={"1": 0.0}, incidents={"1": History(at=5.0, ongoing=1)}
    )
    for at, percent in ((1.0, 99.9), (10.0, 99.8)):
        known = with_uptime(known, "1", at, {"24h": percent})
    shown = samples(Collector(settings()), known, 11.0, "vigilmon_monitor_ongoing_incidents")
    assert shown == ({} if polled_again else {("1",): 1.0})


def test_ongoing_incident_of_a_monitor_that_is_up_is_only_counted():
    """Vigilmon closes it a little later: an alert by its start would outlive the outage."""
    history = History(at=5.0, ongoing=1, newest=Incident("7", 1.0, "HTTP 503", ""))
    known = Known(round_at=0.0, monitors={"1": kept("1")}, seen={"1": 0.0}, incidents={"1": history})
    assert samples(Collector(settings()), known, 6.0, "vigilmon_monitor_ongoing_incidents") == {("1",): 1.0}
    assert samples(Collector(settings()), known, 6.0, "vigilmon_ongoing_incident_start_timestamp_seconds") == {}


@pytest.mark.parametrize(("now", "page"), [(130.0, "2"), (40.0, "2"), (39.0, None), (161.0, None)])
def test_round_goes_on_while_its_last_page_is_of_this_minute(now, page):
    """Also if the clock was set back a little; after a stall, or by a larger step, it begins anew."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 100.0, listed(monitor(1), total=2))
    request = next(each for each in collector.requests(known, now) if each.endpoint == "/monitors")
    assert dict(request.params).get("page") == page


def test_a_monitor_that_has_just_changed_goes_before_those_that_are_down():
    """Why it is down is not known yet; of the others only whether they still are."""
    known = Known(
        round_at=100.0,
        monitors={name: kept(name, "down") for name in "12"},
        incidents={"2": History(at=100.0 - 200.0, ongoing=1)},
        changed={"1": 100.0},
        troubled=("2",),
        uptimes={"1": Uptime(100.0, {})},
    )
    assert next_get(Collector(settings()), known, 100.0).path == "/monitors/1/incidents"
    changed = [each.path for each in Collector(settings()).requests(known, 100.0) if each.reason is Reason.CHANGED]
    assert changed == ["/monitors/1/incidents", "/monitors/2/incidents"]  # its uptime has been read since


def test_incidents_are_read_again_after_their_own_interval():
    """They change rarely, and the status shows when."""
    known = Known(round_at=0.0, monitors={"1": kept("1")}, seen={"1": 0.0}, incidents={"1": History(at=5.0, ongoing=0)})
    chosen = settings(incidents_interval="2h", uptime_interval="10m")
    due = {each.endpoint: (each.due, each.every) for each in Collector(chosen).requests(known, 6.0)}
    assert due["/monitors/{id}/incidents"] == (7205.0, 7200.0)
    assert due["/monitors/{id}"] == (0.0, 600.0)


def test_an_id_is_one_step_of_a_path():
    """Whatever it contains: another monitor's, or no monitor at all, would be read instead."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 0.0, listed(monitor("a/b?c"), total=1))
    assert next_get(collector, known, 1.0).path == "/monitors/a%2Fb%3Fc"


@pytest.mark.parametrize(("monitors", "oldest"), [(1, 900.0), (10, 1800.0)])
def test_old_uptimes_are_withdrawn(monitors, oldest):
    """After three missed turns of the rotation, which takes ten minutes if the budget leaves one uptime a minute."""
    collector = Collector(settings(requests_per_minute=2, poll_interval="1m", uptime_interval="5m", max_age="2m"))
    known = polled(collector, collector.start(), 0.0, listed(*map(monitor, range(monitors)), total=monitors))
    known = polled(collector, known, 1.0, {"data": {"uptime": {"24h": 99.5}}})

    assert samples(collector, known, 1.0 + oldest, "vigilmon_monitor_uptime_percent") == {("0", "24h"): 99.5}
    assert samples(collector, known, 1.5 + oldest, "vigilmon_monitor_uptime_percent") == {}


def test_one_probe_serves_all_monitors_of_a_host():
    """Monitors of the same host and port share a probe and its result; hourly, sooner after a failure."""
    collector = Collector(settings())
    urls = ["https://shop.example.com/a", "https://shop.example.com:443/b", "http://shop.example.com/"]
    document = listed(*(monitor(n, url=url, name="shop" * n) for n, url in enumerate(urls)), total=3)
    known = polled(collector, collector.start(), 100.0, document)
    (probe,) = [request for request in collector.requests(known, 100.0) if isinstance(request, Probe)]
    assert (probe.to.server_name, probe.to.address, probe.to.port, probe.due) == (
        "shop.example.com",
        "shop.example.com",
        443,
        100.0,
    )

    known = collector.update(known, probe, Certificate(101.0, None, valid=None, reason="timeout"))
    (probe,) = [request for request in collector.requests(known, 101.0) if isinstance(request, Probe)]
    assert probe.due == 401.0
    unseen = [each.text for each in collector.figures(known, 101.0) if each.bad]
    assert unseen == ["2 certificates not seen: 0 (timeout), shop (timeout)"]
    known = collector.update(known, probe, Certificate(401.0, 401.0 + 86400, valid=True))
    (probe,) = [request for request in collector.requests(known, 401.0) if isinstance(request, Probe)]
    assert probe.due == 4001.0
    assert samples(collector, known, 401.0, "vigilmon_certificate_expiry_days") == {("0",): 1.0, ("1",): 1.0}
    name = "vigilmon_certificate_expiry_timestamp_seconds"
    assert samples(collector, known, 401.0 + 3 * 3600, name) == {("0",): 86801.0, ("1",): 86801.0}
    assert samples(collector, known, 401.0 + 3 * 3600 + 1, "vigilmon_certificate_expiry_days") == {}


def test_certificates_false_probes_nothing():
    """With `certificates: false` there are no probes."""
    collector = Collector(settings(certificates=False))
    known = polled(collector, collector.start(), 0.0, listed(monitor(1, url="https://a.example"), total=1))
    assert not [request for request in collector.requests(known, 0.0) if isinstance(request, Probe)]


def test_wanted_requests_are_few_and_include_the_next_due_one():
    """Of thousands of monitors only the most urgent requests are returned."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 0.0, listed(*map(monitor, range(1000)), total=1000))
    requests = list(collector.requests(known, 0.0))
    assert len(requests) <= 4 * MOST + 1
    assert min(request.due for request in requests if isinstance(request, Get)) == 0.0
    uptimes = [each for each in collector.requests(known, 0.0, failing=7) if each.endpoint == "/monitors/{id}"]
    assert len(uptimes) == MOST + 7  # others take the place of those that wait for another try


def test_knowledge_survives_json_in_the_middle_of_a_round():
    """After a restart between two pages the round continues with the second."""
    collector = Collector(settings())
    known = polled(collector, collector.start(), 0.0, listed(monitor(1, "down"), monitor("x"), total=4))
    adapter = TypeAdapter(Known)
    restored = adapter.validate_json(adapter.dump_json(known))
    assert restored == known
    assert list(collector.requests(restored, 1.0)) == list(collector.requests(known, 1.0))


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ({}, ["account: missing", "token: missing"]),
        ({"account": "", "token": "t"}, ["account: String should have at least 1 character"]),
        (
            {"account": "prod", "token": "t", "base_url": "vigilmon.online", "uptime_interval": "soon"},
            [
                "base_url: not a URL: must begin with http:// or https:// and a host",
                "uptime_interval: not a duration: write it like 30s, 5m or 1h30m",
            ],
        ),
        ({"account": "prod", "token": "t", "pages": 3}, ["pages: unknown key"]),
        (
            {"account": "prod", "token": "t", "requests_per_minute": 0},
            ["requests_per_minute: Input should be greater than 0"],
        ),
    ],
)
def test_invalid_settings_are_errors(target, lines):
    """All problems of a target are reported at once, a line each."""
    with pytest.raises(ValidationError) as caught:
        Settings(collector="vigilmon", **target)
    assert problems(caught.value) == lines


def test_rate_above_the_documented_limit_is_a_warning():
    """For sandboxes and negotiated limits."""
    assert settings(requests_per_minute=60).warnings() == []
    assert settings(requests_per_minute=61).warnings() == ["requests_per_minute: the vendor allows 60"]


def test_service_discovery_lists_active_monitors():
    """URL, id, name and status of each monitor with a URL, as long as its status is fresh."""
    collector = Collector(settings())
    document = listed(
        monitor(1, "down", name="shop", url="https://u:p@shop.example.com/health?key=s", is_active=True),
        monitor(2, name="paused", url="https://paused.example.com", is_active=False),
        monitor(3, name="heartbeat"),
        total=3,
    )
    known = polled(collector, collector.start(), 100.0, document)
    (found,) = collector.endpoints(known, 100.0)
    assert found.address == "https://shop.example.com/health"
    assert dict(found.labels) == {"monitor_id": "1", "monitor": "shop", "status": "down"}
    assert list(collector.endpoints(known, 100.0 + 301)) == []


@pytest.mark.parametrize(
    ("meta", "read"),
    [
        ([], (None, None)),
        (None, (None, None)),
        ({"total": "3", "per_page": 20.0}, (3, 20)),
        ({"total": "three", "per_page": True}, (None, None)),
        ({"total": 2.5, "per_page": -1}, (None, None)),
    ],
)
def test_unreadable_totals_count_as_missing(meta, read):
    """PHP's empty list is an empty map, and a number may be text."""
    page = read_monitors(json.dumps({"data": [monitor(1)], "meta": meta}).encode())
    assert (page.total, page.per_page) == read


@pytest.mark.parametrize(
    ("more", "goes_on"),
    [
        ({}, False),
        ({"links": {"next": None}, "meta": {"next_cursor": None}}, False),
        ({"links": {"next": "https://elsewhere.example.com/?page=2"}}, True),
        ({"meta": {"next_cursor": "abc"}}, True),
    ],
)
def test_next_page_may_be_named_by_a_link_or_a_cursor(more, goes_on):
    """Either means that the page is not the last one."""
    assert read_monitors(json.dumps({"data": [monitor(1)], **more}).encode()).goes_on is goes_on


def test_a_state_that_is_not_known_is_on_the_page():
    """The metric is absent then, as while a monitor is paused."""
    collector = Collector(settings())
    document = listed(monitor(1, "Degraded", name="shop"), monitor(2, is_active=False), monitor(3, None), total=3)
    figures = collector.figures(polled(collector, collector.start(), 100.0, document), 100.0)
    assert [(figure.text, figure.bad) for figure in figures][1:] == [
        ("1 paused", False),
        ("2 in an unknown state: shop (degraded), 3 (none)", True),
    ]


def test_long_names_and_causes_are_cut_on_the_page():
    """One of them must not hide the others."""
    history = History(at=100.0, ongoing=1, newest=Incident("7", 1.0, "c" * 60, ""))
    known = Known(
        round_at=100.0,
        monitors={"1": replace(kept("1", "down"), name="d" * 60), "2": replace(kept("2", "s" * 99), name="u" * 60)},
        seen={"1": 100.0, "2": 100.0},
        incidents={"1": history},
    )
    figures = [(figure.text, figure.bad) for figure in Collector(settings()).figures(known, 100.0)]
    down, unknown = f"1 down: {'d' * 45}… ({'c' * 45}…)", f"1 in an unknown state: {'u' * 60} ({'s' * 31}…"
    assert figures[1:] == [(down, True), (unknown, True)]


def test_ongoing_incident_is_exported_only_for_a_monitor_that_is_down():
    """With cause and regions; once it is up, the duration of the incident."""
    collector = Collector(settings())
    name = "vigilmon_ongoing_incident_start_timestamp_seconds"
    ongoing = {"id": 7, "started_at": "1970-01-01T00:01:00Z", "cause": "HTTP 503", "confirmed_regions": ["za", "eu"]}
    known = polled(collector, collector.start(), 100.0, listed(monitor(1, "down"), total=1))
    known = polled(collector, known, 101.0, {"data": [{**ongoing, "resolved_at": None}]})
    assert samples(collector, known, 102.0, name) == {("1", "7", "HTTP 503", "za,eu"): 60.0}
    assert [figure.text for figure in collector.figures(known, 102.0)] == ["1 monitor", "1 down: 1 (HTTP 503)"]

    known = polled(collector, known, 160.0, listed(monitor(1), total=1))
    assert samples(collector, known, 160.0, name) == {}
    known = polled(collector, known, 161.0, {"data": [{**ongoing, "resolved_at": "1970-01-01T00:02:40Z"}]})
    assert samples(collector, known, 162.0, "vigilmon_monitor_last_incident_duration_seconds") == {("1",): 100.0}


@pytest.mark.parametrize(
    ("uptime", "windows"),
    [
        ({"24h": "N/A", "7d": 99.9, "30d": "99.5"}, {"7d": 99.9, "30d": 99.5}),
        ({"24h": 250, "7d": [], "30d": 99}, {"30d": 99.0}),
        ({"24h": None, "7d": "", "30d": None}, {}),
    ],
)
def test_unreadable_uptime_leaves_the_other_windows(uptime, windows):
    """It counts as missing."""
    assert read_uptime(json.dumps({"data": {"uptime": uptime}}).encode()) == windows


def test_uptime_without_any_percentage_is_malformed():
    """The vendor has changed something."""
    with pytest.raises(Malformed, match=r"^data\.uptime\.24h: not a percentage$"):
        read_uptime(b'{"data": {"uptime": {"24h": {"value": 100}, "7d": "99 %"}}}')


@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_of_several_incidents_counts(order):
    """In whichever order they are listed; an ongoing one without a start is only counted."""
    rows = [
        {"id": 5, "status": "resolved", "duration_seconds": 7},
        {"id": 6, "status": "resolved", "started_at": 1_700_000_000, "duration_seconds": 11},
        {"id": 7, "status": "resolved", "started_at": 1_700_000_060, "duration_seconds": 22},
        {"id": 1, "status": "ongoing", "started_at": 1_800_000_000, "cause": "old"},
        {"id": 2, "status": "ongoing", "started_at": 1_800_000_060, "cause": "new"},
        {"id": 3, "status": "ongoing", "cause": "whenever"},
    ]
    found = read_incidents(json.dumps({"data": rows[::order]}).encode())
    assert (found.ongoing, found.newest.cause, found.last_duration) == (3, "new", 22.0)


@pytest.mark.parametrize(("total", "recorded"), [(0, None), (1, None), (2, 2), (40, 40), (-1, None)])
def test_total_of_fewer_incidents_than_listed_is_missing(total, recorded):
    """It would show a monitor without a past."""
    rows = [{"id": 1, "status": "resolved"}, {"id": 2, "status": "resolved"}]
    assert read_incidents(json.dumps({"data": rows, "meta": {"total": total}}).encode()).recorded == recorded


def test_incident_listed_twice_counts_once():
    """As last listed. Regions with gaps are a map in PHP."""
    incident = {"id": 7, "started_at": "2026-01-01T00:00:00Z", "resolved_at": None, "status": " Ongoing"}
    rows = [incident, {**incident, "confirmed_regions": {"0": "eu", "2": "us"}}, {**incident, "id": None}]
    history = read_incidents(json.dumps({"data": rows, "meta": {"total": 2}}).encode())
    assert (history.ongoing, history.newest.regions) == (2, "eu,us")
