"""Direct or derived: with the routes that the document gives, each outage takes one way to BigPanda."""

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
    """Return the label sets that tell the shipped vendors' alerts apart, certificates with each vendor's view."""
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
    """Return the shipped configuration with these routes in force."""
    commented = "".join(f"    # {line[4:]}\n" for line in text.splitlines())
    assert commented in SHIPPED
    return SHIPPED.replace(commented, text)


def test_as_shipped_all_is_derived(config):
    """Every vendor's alert goes to the bridge, but for BigPanda's own."""
    config.write_text(SHIPPED)
    taken = {(vendor, receivers(config, vendor, name, severity)) for vendor, name, severity in derived()}
    assert taken == {
        ("bigpanda", "operators"),
        *((vendor, "bigpanda") for vendor in ("vigilmon", "thousandeyes", "packetvis", "certificates")),
    }


def test_what_comes_directly_is_dropped_and_nothing_else(config):
    """The label `vendor` and the name pick it; what no webhook tells goes on as before."""
    config.write_text(uncommented(ROUTES))
    named = {(vendor, name): receivers(config, vendor, name, severity) for vendor, name, severity in derived()}
    assert {alert for alert, receiver in named.items() if receiver == "nobody"} == DIRECT
    assert {name for _, name in named} >= PLAIN


def test_certificates_can_be_left_to_the_vendor_too(config):
    """Those that Vigilmon sees, not those of the exporter's own list."""
    config.write_text(SHIPPED.replace("    # Where a vendor sends", f"{CERTIFICATES}\n    # Where a vendor sends"))
    named = {(vendor, name): receivers(config, vendor, name, severity) for vendor, name, severity in derived()}
    dropped = {vendor for (vendor, name), receiver in named.items() if receiver == "nobody"}
    assert dropped == {"vigilmon"}
    assert named["vigilmon", "VigilmonMonitorDown"] == "bigpanda"
