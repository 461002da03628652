"""Vendors, exporter, Prometheus, Alertmanager, bridge, BigPanda: all real but the vendors, which are the sandbox."""

import time
from itertools import pairwise

import pytest

from tests.system.running import until
from tests.system.way import ACCOUNTS

pytestmark = [pytest.mark.system, pytest.mark.slow]

QUIET = 8.0
"""Seconds without another event that prove there is none: several group intervals."""


def populate(way, monitors):
    """Fill the world with monitors that are up and wait until Prometheus has them all."""
    numbers = {name: way.change("vigilmon/add", name=name, url=f"http://{name}.example.com/") for name in monitors}
    until("all monitors are up in Prometheus", lambda: len(way.query("vigilmon_monitor_up == 1")) == len(monitors))
    return numbers


def statuses(way, name, check="VigilmonMonitorDown"):
    return [event["status"] for event in way.accepted(monitor=name, check=check)]


def arrives(way, name, expected):
    until(f"{name}: {expected}", lambda: statuses(way, name) == expected)


def test_one_event_per_change(way):
    """Four monitors of a group go down and up, one of them twice: groups are repeated, events are not."""
    number = populate(way, ["shop", "login", "mail", "vpn", "docs"])
    before = way.duplicates()
    for name in ("shop", "login", "mail"):
        way.change("vigilmon/down", id=number[name])
        arrives(way, name, ["critical"])
    way.change("vigilmon/up", id=number["login"])
    arrives(way, "login", ["critical", "ok"])
    way.change("vigilmon/down", id=number["vpn"])
    arrives(way, "vpn", ["critical"])
    way.change("vigilmon/down", id=number["login"])
    arrives(way, "login", ["critical", "ok", "critical"])
    known = {alert["labels"]["monitor"]: alert["fingerprint"] for alert in way.notified("VigilmonMonitorDown")}
    for name in ("login", "shop", "mail", "vpn"):
        way.change("vigilmon/up", id=number[name])
    for name in ("shop", "mail", "vpn"):
        arrives(way, name, ["critical", "ok"])
    arrives(way, "login", ["critical", "ok", "critical", "ok"])
    time.sleep(QUIET)

    assert {name: statuses(way, name) for name in number} == {
        "shop": ["critical", "ok"],
        "login": ["critical", "ok", "critical", "ok"],
        "mail": ["critical", "ok"],
        "vpn": ["critical", "ok"],
        "docs": [],
    }
    assert way.duplicates() == before
    for name, fingerprint in known.items():
        assert {event["incident_identifier"] for event in way.accepted(monitor=name)} == {f"prod:{fingerprint}"}
        times = [event["timestamp"] for event in way.accepted(monitor=name)]
        assert all(earlier < later for earlier, later in pairwise(times))
        assert times[-1] <= time.time()
    received = way.counted("vendorwatch_bridge_alerts_total", receiver="alertmanager")
    assert received > len(way.accepted()) + 5, "the groups did not repeat"


def arriving(endpoint, alert):
    """Return each alert's status, members, and what its description must name and link to."""
    page = f"https://app.thousandeyes.com/alerts/list/?__a=1234&alertId={alert}"
    return {
        "PacketVisCriticalNotification": (
            "critical",
            {"service": "bgp", "notification_type": "hijack"},
            ["192.0.2.0/24", "https://packetvis.com/bgp/event/"],
        ),
        "ThousandEyesAlerts": (
            "critical",
            {"service": "thousandeyes http-server", "account_group": "1234"},
            ["Slow page on checkout-http", page],
        ),
        "ThousandEyesAgentOffline": (
            "warning",
            {"service": "thousandeyes agent Prague"},
            ["agent Prague", "https://app.thousandeyes.com"],
        ),
        "VigilmonMonitorDown": (
            "critical",
            {"monitor": "shop"},
            ["shop", "http://shop.example.com/", "connection refused", "https://vigilmon.online"],
        ),
        "CertificateExpiring": ("critical", {"host": endpoint, "vendor": "certificates"}, [endpoint]),
    }


def test_alerts_of_every_vendor_arrive_and_resolve(make_way):
    """Each problem becomes one event that names the subject and links to the vendor, and one resolution."""
    way = make_way()
    way.start_sandbox()
    endpoint = way.change("certificates/open", kind="good", days=90)
    root = way.folder / "root.pem"
    root.write_bytes(way.sandbox.get("/control/certificates/root.pem").content)
    way.endpoints = [endpoint["endpoint"]]
    way.targets = {
        "certificates": {"ca_file": str(root)},
        "thousandeyes": {"account_groups": ["1234"], "agents_interval": "1s"},
    }
    way.change("packetvis/notify", type="newprefix", severity=1, summary="old", age=86400)
    rule = way.change("thousandeyes/add_rule", name="Slow page", severity="critical")
    test = way.change("thousandeyes/add_test", name="checkout-http")
    agent = way.change("thousandeyes/add_agent", name="Prague")
    monitor = way.change("vigilmon/add", name="shop", url="http://shop.example.com/")
    way.start()
    until("every vendor is polled", lambda: len(way.query("vendorwatch_poll_success == 1")) == len(ACCOUNTS))
    until("the certificate is seen", lambda: way.query("tls_certificate_valid == 1"))

    hijack = way.change("packetvis/notify", type="hijack", severity=4)
    alert = way.change("thousandeyes/trigger", rule=rule, test=test)
    way.change("thousandeyes/change_agent", id=agent, state="offline")
    way.change("vigilmon/down", id=monitor, cause="connection refused")
    way.change("certificates/renew", port=endpoint["port"], days=2)
    for name, (status, members, texts) in arriving(endpoint["endpoint"], alert).items():
        (event,) = until(name, lambda name=name, members=members: way.accepted(check=name, **members))
        assert event["status"] == status
        assert event["runbook_url"].endswith(f"#{name.lower()}")
        assert [text for text in texts if text not in event["description"]] == []

    expected = arriving(endpoint["endpoint"], alert)
    way.change("packetvis/withdraw", id=hijack)
    way.change("thousandeyes/change_agent", id=agent, state="online")
    way.change("vigilmon/up", id=monitor)
    way.change("thousandeyes/clear", id=alert)
    way.change("certificates/renew", port=endpoint["port"], days=90)
    for name in expected:
        until(f"{name} ends", lambda name=name: [event["status"] for event in way.accepted(check=name)][-1] == "ok")
    time.sleep(QUIET)
    for name in expected:
        assert [event["status"] for event in way.accepted(check=name)] == [expected[name][0], "ok"]
    assert way.accepted(check="Watchdog") == []
    assert way.accepted(vendor="bigpanda") == []


def test_changing_severity_is_one_alert(make_way):
    """Rules per severity: warning, critical, warning, ok are four events of one alert, with no ok in between."""
    # Prometheus sends what one rule ends and what the next begins one after the other: the longer the interval, the
    # less likely Alertmanager notifies in between.
    way = make_way(receiver_settings={"identity": {"without": ["severity"]}}, wait="0s", group_interval="10s")
    way.start_sandbox()
    endpoint = way.change("certificates/open", kind="good", days=90)
    root = way.folder / "root.pem"
    root.write_bytes(way.sandbox.get("/control/certificates/root.pem").content)
    way.endpoints = [endpoint["endpoint"]]
    way.targets = {"certificates": {"ca_file": str(root)}}
    way.start()
    until("the certificate is seen", lambda: way.query("tls_certificate_valid == 1"))

    def events():
        return [(event["status"], event["severity"]) for event in way.accepted(check="CertificateExpiring")]

    story = [(5, "warning", "warning"), (2, "critical", "critical"), (5, "warning", "warning"), (90, "ok", "warning")]
    for number, (days, *_) in enumerate(story, start=1):
        way.change("certificates/renew", port=endpoint["port"], days=days)
        until(f"{days} days", lambda number=number: len(events()) >= number)
    time.sleep(QUIET)
    assert events() == [(status, severity) for _, status, severity in story]
    assert len({event["incident_identifier"] for event in way.accepted(check="CertificateExpiring")}) == 1


def test_alert_is_held_while_the_vendor_cannot_be_polled(make_way):
    """Vigilmon fails while a monitor is down: its series are withdrawn, the alert stays until the monitor is up."""
    way = make_way(targets={"vigilmon": {"max_age": "3s"}}).start()
    number = populate(way, ["shop", "login"])
    way.change("vigilmon/down", id=number["shop"])
    arrives(way, "shop", ["critical"])
    way.change("faults", vendor="vigilmon", kind="status", code=503)
    until("the series are withdrawn", lambda: not way.query("vigilmon_monitor_up"))
    until("the failure arrives", lambda: way.accepted(check="VendorwatchTargetFailing", account="prod"))
    time.sleep(QUIET)
    assert statuses(way, "shop") == ["critical"]
    assert way.query('ALERTS{alertname="VigilmonMonitorDown",monitor="shop",alertstate="firing"}')

    way.change("vigilmon/up", id=number["shop"])
    way.change("faults/clear")
    arrives(way, "shop", ["critical", "ok"])
    assert statuses(way, "login") == []
    failing = way.accepted(check="VendorwatchTargetFailing", account="prod")
    until(
        "the failure ends", lambda: way.accepted(check="VendorwatchTargetFailing", account="prod")[-1]["status"] == "ok"
    )
    assert failing[0]["status"] == "warning"


def test_alertmanager_cluster_sends_no_duplicates(make_way):
    """Both peers get every alert; BigPanda gets each change once, even if one of them is killed."""
    way = make_way(peers=1).start()
    number = populate(way, ["shop", "login"])
    before = way.duplicates()
    way.change("vigilmon/down", id=number["shop"])
    arrives(way, "shop", ["critical"])
    way.alertmanager.kill()
    way.change("vigilmon/down", id=number["login"])
    arrives(way, "login", ["critical"])
    way.change("vigilmon/up", id=number["shop"])
    way.change("vigilmon/up", id=number["login"])
    for name in number:
        arrives(way, name, ["critical", "ok"])
    time.sleep(QUIET)
    assert [statuses(way, name) for name in number] == [["critical", "ok"]] * 2
    assert way.duplicates() == before
