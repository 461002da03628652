import shutil
import subprocess

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.deploy.shipped import RULES, metrics_in, rules
from tests.system.running import until

pytestmark = pytest.mark.system


def findings(page):
    """Return what promtool says about a page, by metric."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert "error while linting" not in done.stderr
    return [line.split(" ", 1)[0] for line in done.stderr.splitlines()]


def test_pages_pass_promtool_and_have_the_metrics_of_the_rules(make_way):
    """Only `…_days` is questioned by promtool; every metric of a rule is served once each vendor has data.

    In OpenMetrics units and the starts of counters are beside them.
    """
    way = make_way()
    way.start_sandbox()
    endpoint = way.change("certificates/open", kind="good", days=90)
    way.change("populate", monitors=4, endpoints=[endpoint["url"]])
    way.change("vigilmon/down", id=way.change("vigilmon/add", name="down", url="http://down.example.com/"))
    way.change("thousandeyes/add_outage")
    way.change("packetvis/notify")
    root = way.folder / "root.pem"
    root.write_bytes(way.sandbox.get("/control/certificates/root.pem").content)
    way.endpoints = [endpoint["endpoint"]]
    kinds = ["http", "network", "bgp", "dns"]
    everything = {"test_results": "all", "result_types": kinds, "agents": True, "usage": True, "outages": True}
    way.targets = {"thousandeyes": everything, "vigilmon": {"ca_file": str(root)}}
    way.start()
    # Storage in PostgreSQL is no part of this way.
    wanted = set().union(*(metrics_in(rule) for path in RULES for rule in rules(path))) - {"vendorwatch_storage_up"}

    def missing():
        text = way.exporter.get("/metrics").text + way.bridge.get("/metrics").text
        return sorted(name for name in wanted if f"\n{name}" not in text and f" {name} " not in text)

    until("every metric of a rule is served", lambda: not missing())
    questioned = {name for page in (way.exporter, way.bridge) for name in findings(page.get("/metrics").text)}
    assert questioned == {name for name in questioned if name.endswith("_days")}
    for program in (way.exporter, way.bridge):
        page = requests.get(
            f"{program.url}/metrics", headers={"Accept": "application/openmetrics-text"}, timeout=10
        ).text
        families = list(text_string_to_metric_families(page))
        assert {each.unit for each in families if each.name.endswith("_seconds")} == {"seconds"}
        counters = [each for each in families if each.type == "counter" and each.name.startswith(("vendor", "packet"))]
        assert all(f"\n{each.name}_created" in page for each in counters if each.samples)
