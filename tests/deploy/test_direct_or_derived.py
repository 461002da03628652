"""Direct or derived: with the routes in direct-or-derived.md, each outage reaches BigPanda once."""

import re
import shutil
import subprocess
import textwrap

import pytest

from tests.deploy.shipped import DEPLOY, RULES, rules

DOCUMENT = (DEPLOY / "direct-or-derived.md").read_text()
SHIPPED = (DEPLOY / "alertmanager/alertmanager.yml").read_text()
ROUTES, CERTIFICATES = (textwrap.indent(text, "    ") for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL))
DIRECT = {("vigilmon", "VigilmonMonitorDown"), ("thousandeyes", "ThousandEyesAlerts")}
PLAIN = {"VigilmonMonitorDown", "VigilmonUptimeLow", "ThousandEyesAlerts", "ThousandEyesAvailabilityLow"}

pytestmark = pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")


def derived():
    """Yield vendor, alert name and severity of each shipped alert about a vendor; certificates once for each vendor."""
    for rule in (rule for path in RULES for rule in rules(path) if "alert" in rule):
        seen_by = [rule["labels"]["vendor"]] if "vendor" in rule["labels"] else ["vigilmon", "certificates"]
        if "vendor" in rule["labels"] or rule["alert"].startswith("Certificate"):
            yield from ((vendor, rule["alert"], rule["labels"]["severity"]) for vendor in seen_by)


def receivers(config, vendor, alertname, severity):
    labels = [f"vendor={vendor}", f"alertname={alertname}", f"severity={severity}", "origin=vendorwatch"]
    command = ["amtool", "config", "routes", "test", f"--config.file={config}", *labels]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def config(tmp_path):
    return tmp_path / "alertmanager.yml"


def uncommented(text):
    """Return the shipped configuration with these routes uncommented."""
    commented = "".join(f"    # {line[4:]}\n" for line in text.splitlines())
    assert commented in SHIPPED
    return SHIPPED.replace(commented, text)


def test_shipped_routing_sends_every_derived_alert_to_the_bridge(config):
    """Every vendor's alerts go to the bridge, except those about BigPanda's own incidents."""
    config.write_text(SHIPPED)
    taken = {(vendor, receivers(config, vendor, name, severity)) for vendor, name, severity in derived()}
    assert taken == {
        ("bigpanda", "operators"),
        *((vendor, "bigpanda") for vendor in ("vigilmon", "thousandeyes", "packetvis", "certificates")),
    }


def test_documented_routes_drop_only_the_alerts_that_arrive_directly(config):
    """The routes match `vendor` and the alert's name; alerts without a webhook still go to the bridge."""
    config.write_text(uncommented(ROUTES))
    named = {(vendor, name): receivers(config, vendor, name, severity) for vendor, name, severity in derived()}
    assert {alert for alert, receiver in named.items() if receiver == "nobody"} == DIRECT
    assert {name for _, name in named} >= PLAIN


def test_documented_route_drops_the_certificate_alerts_of_vigilmon(config):
    """The certificates of the exporter's own list still go to the bridge."""
    routes = "  routes:\n"
    assert SHIPPED.count(routes) == 1
    config.write_text(SHIPPED.replace(routes, routes + CERTIFICATES))
    named = {(vendor, name): receivers(config, vendor, name, severity) for vendor, name, severity in derived()}
    dropped = {vendor for (vendor, name), receiver in named.items() if receiver == "nobody"}
    assert dropped == {"vigilmon"}
    assert named["vigilmon", "VigilmonMonitorDown"] == "bigpanda"
