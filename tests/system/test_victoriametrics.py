"""VictoriaMetrics in place of Prometheus: it scrapes, and vmalert runs the shipped rules."""

import subprocess
import time

import pytest

from tests.system.commands import victoria_metrics, vmalert
from tests.system.deployed import DEPLOY
from tests.system.running import free_port, missing, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing("victoria-metrics", "vmalert")),
        reason="not installed: victoria-metrics, vmalert (tests/system/newest builds them)",
    ),
]


def test_vmalert_accepts_the_rules():
    """Every expression and every template of the shipped rules is valid."""
    done = subprocess.run(
        ["vmalert", f"-rule={DEPLOY}/prometheus/rules/*.yml", "-dryRun"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_outage_arrives_through_vmalert(make_way, started):
    """From a scrape by VictoriaMetrics over vmalert and Alertmanager to one BigPanda alert with two events."""
    way = make_way()
    way.configure()
    way.start_sandbox()
    for program in (way.exporter, way.bridge, way.alertmanager):
        started(program)
    victoria = started(victoria_metrics(way.folder, f"127.0.0.1:{free_port()}"))
    started(vmalert(way.folder, f"127.0.0.1:{free_port()}", victoria.url, way.alertmanager.url))
    number = way.change("vigilmon/add", name="shop", url="http://shop.example.com/")

    def statuses():
        return [event["status"] for event in way.accepted(monitor="shop", check="VigilmonMonitorDown")]

    def is_up():
        return victoria.get("/api/v1/query", query="vigilmon_monitor_up == 1").json()["data"]["result"]

    until("the monitor is up in VictoriaMetrics", is_up)
    way.change("vigilmon/down", id=number, cause="connection refused")
    until("the outage arrives", lambda: statuses() == ["critical"])
    way.change("vigilmon/up", id=number)
    until("its end arrives", lambda: statuses() == ["critical", "ok"])
    time.sleep(8.0)  # several group intervals
    assert statuses() == ["critical", "ok"]
