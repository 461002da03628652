"""Two states of the whole path: one without problems, and one with every problem that a dashboard can show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import time
from typing import Any

import requests
import yaml

from tests.system.running import until
from tests.system.way import TOKEN, Way

KINDS = (
    ("good", 60),
    ("good", 10),
    ("near_expiry", 2),
    ("expired", -2),
    ("self_signed", 60),
    ("intermediate", 60),
    ("silent", None),
)
"""TLS endpoints of the outage, with the days left."""
SITES = ("www", "shop", "api", "login", "mail", "docs")
OLD = """\
vendorwatch_config_last_reload_successful 1
vendorwatch_bridge_config_last_reload_successful 1
vendorwatch_poll_success{{collector="thousandeyes",account="old"}} 0
vendorwatch_poll_last_success_timestamp_seconds{{collector="thousandeyes",account="old"}} {then}
vendorwatch_bridge_outbox_oldest_event_timestamp_seconds {then}
vendorwatch_bridge_notifications_total{{receiver="alertmanager",source="old",outcome="accepted"}} 1
vendorwatch_storage_up 0
vendorwatch_bridge_database_up 0
"""
"""The page of a fake program, for problems that would take half an hour to occur."""


class OldPage:
    """A fake program without new data for an hour; after `close` it is down."""

    def __init__(self) -> None:
        page = OLD.format(then=time() - 3600).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; may be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@dataclass
class Day(Way):
    """The whole path with TLS endpoints of these kinds, a reconciler, a watchdog, and optional other scrape targets."""

    kinds: Sequence[tuple[str, float | None]] = (("good", 60),)
    also: Sequence[str] = ()
    """Further addresses, scraped as `vendorwatch-old`."""
    hosts: list[dict[str, Any]] = field(default_factory=list)

    def prepare(self) -> None:
        """Start the sandbox with its TLS endpoints and no other data."""
        self.start_sandbox()
        self.hosts = [self.change("certificates/open", kind=kind, days=days) for kind, days in self.kinds]
        self.endpoints = [host["endpoint"] for host in self.hosts]
        root = self.folder / "root.pem"
        root.write_bytes(self.sandbox.get("/control/certificates/root.pem").content)
        trusting = {"ca_file": str(root)}
        self.targets = {
            "thousandeyes": {
                "test_results": "all",
                "result_types": ["http", "network", "bgp", "dns"],
                "agents": True,
                "usage": True,
                "outages": True,
                "cleared_window": "24h",
                "requests_per_minute": 240,
            },
            "vigilmon": trusting,
            "certificates": trusting,
            **self.targets,
        }
        self.change("bigpanda/add_environment", name="Network", id="network", tag="team", value="network")

    def configure(self) -> None:
        """Write every configuration file."""
        alertmanager = {"receiver": "alertmanager", "bearer_token": TOKEN}
        reconcile = {"urls": [self.alertmanager.url], "interval": "2s", "min_uptime": "0s"}
        prod = {**alertmanager, "source": "prod", "reconcile": reconcile, "watchdog": {"max_silence": "5m"}}
        self.bridge_settings = {"receivers": [prod, {**alertmanager, "source": "dark", **self.receiver_settings}]}
        self.bridge_settings["receivers"].append({**alertmanager, "source": "locked"})
        super().configure()
        path = self.folder / "prometheus.yml"
        content = yaml.safe_load(path.read_text())
        if self.also:
            content["scrape_configs"].append(
                {"job_name": "vendorwatch-old", "static_configs": [{"targets": list(self.also)}]}
            )
        path.write_text(yaml.safe_dump(content))

    def post(self, body: bytes | dict[str, Any], source: str = "dark", token: str = TOKEN) -> int:
        """Send the bridge a webhook as Alertmanager does; return the status code."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        url = f"{self.bridge.url}/webhooks/alertmanager/{source}"
        return requests.post(url, headers=headers, timeout=10, **content).status_code


def healthy(folder: Path) -> Day:
    """Start the path without problems: monitors that are up, a resolved incident, valid certificates, no alert."""
    day = Day(folder)
    day.prepare()
    for site in SITES:
        day.change("vigilmon/add", name=site, url=f"http://{site}.example.com/")
        day.change("thousandeyes/add_test", name=f"{site}-http", certificate_days=60)
    day.change("vigilmon/add", name="secure", url=day.hosts[0]["url"])
    recovered = day.change("vigilmon/add", name="recovered", url="http://recovered.example.com/")
    day.change("vigilmon/down", id=recovered)
    day.change("vigilmon/up", id=recovered)
    day.change("thousandeyes/add_test", name="resolver", type="dns-server")
    day.change("thousandeyes/add_agent", name="Prague")
    day.change("thousandeyes/add_rule", name="HTTP response code", severity="critical")
    day.change("packetvis/notify", type="newprefix", severity=1, age=2 * 86400)
    return day.start()


def outage(folder: Path, old: OldPage) -> Day:
    """Start the path with every problem that a dashboard can show."""
    day = Day(folder, kinds=KINDS, also=[old.address], receiver_settings={"watchdog": {"max_silence": "3s"}})
    day.prepare()
    day.change("populate", monitors=30, endpoints=[host["url"] for host in day.hosts])
    for kind in ("http-server", "dns-server"):
        failing = {"failing_agents": 1, "loss": 40.0, "reachability": 50.0}
        day.change("thousandeyes/add_test", name=f"failing-{kind}", type=kind, **failing)
    day.start()
    try:
        until("every vendor is known", lambda: day.query("packetvis_notifications") and day.query("bigpanda_incidents"))
        # A counter that Prometheus first sees at 1 has not increased.
        until("the bridge is known", lambda: day.query('vendorwatch_bridge_notifications_total{source="locked"}'))
        day.change("packetvis/notify", type="hijack", severity=4)
        day.change("faults", vendor="packetvis", kind="status", code=500, count=2)
        _send_bad_webhooks(day)
        _fail_deliveries(day)
    except BaseException:
        day.stop()
        raise
    return day


def alert(name: str, **labels: str) -> dict[str, Any]:
    """Return a firing alert for a webhook."""
    return {
        "status": "firing",
        "labels": {"alertname": name, "severity": "critical", "host": "db1", **labels},
        "annotations": {"summary": name},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": name.lower().ljust(16, "0"),
        "generatorURL": "",
    }


def webhook(*alerts: dict[str, Any], truncated: int = 0) -> dict[str, Any]:
    """Return Alertmanager's webhook with these alerts."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": truncated,
        "status": "firing",
        "receiver": "bigpanda",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
    }


def _send_bad_webhooks(day: Day) -> None:
    """Send an unreadable body, an unmapped severity and truncated alerts, and webhooks with a wrong token."""
    assert day.post(b"not json") == 400
    assert day.post(webhook(alert("Odd", severity="odd"), truncated=3)) == 200
    assert day.post(b"", source="locked", token="wrong") == 401


def _fail_deliveries(day: Day) -> None:
    """Let BigPanda reject an event and its resolution while it accepts others, and then be unavailable."""
    path = "/data/v2/alerts"
    until("events have been accepted", lambda: day.counted("vendorwatch_bridge_deliveries_total", outcome="accepted"))
    fault = day.change("faults", vendor="bigpanda", kind="status", path=path, code=400, containing='"Refused"')
    day.post(webhook(alert("Refused")))
    until(
        "an event is a dead letter",
        lambda: "vendorwatch_bridge_dead_letters 0.0" not in day.bridge.get("/metrics").text,
    )
    day.post(webhook({**alert("Refused"), "status": "resolved", "endsAt": "2026-01-01T00:01:00Z"}))
    none_yet = "vendorwatch_bridge_dead_letter_resolutions 0.0"
    until("a resolution is a dead letter", lambda: none_yet not in day.bridge.get("/metrics").text)
    day.change("faults/clear", number=fault)
    day.change("faults", vendor="bigpanda", kind="status", path=path, code=503)
    day.post(webhook(alert("Waits")))
