import re
import shutil
import subprocess
from itertools import chain

import pytest
import yaml

from tests.deploy.shipped import (
    DEPLOY,
    GROUPING,
    RULE_TESTS,
    RULES,
    SELECTOR,
    metrics_in,
    recordings_in,
    rule_tests,
    rules,
    stated,
)

ASKED = re.compile(r'ALERTS\{alertname="(?P<name>\w+)"(?:.*?severity="(?P<severity>\w+)")?')
ALERTS = [(path, rule) for path in RULES for rule in rules(path) if "alert" in rule]
by_name = pytest.mark.parametrize(
    ("path", "rule"), ALERTS, ids=[f"{rule['alert']}-{rule['labels']['severity']}" for _, rule in ALERTS]
)


@by_name
def test_an_alert_says_how_bad_it_is_and_where_it_comes_from(path, rule):
    """Severity is one the bridge knows; `origin` and `vendor` or `component` let a route pick it."""
    assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert rule["labels"]["origin"] == "vendorwatch"
    assert rule["alert"] == "Watchdog" or path.stem == "certificates" or {"vendor", "component"} & set(rule["labels"])


@by_name
def test_an_alert_says_what_to_do(path, rule):
    """A summary of one line, a description, and a runbook section that exists."""
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "\n" not in annotations["summary"].strip()
    assert len(re.sub(r"{{.*?}}", "", annotations["summary"])) < 120
    assert len(annotations["description"]) > 80
    page, anchor = annotations["runbook_url"].rsplit("/", 1)[1].split("#")
    assert anchor in anchors(DEPLOY / "runbooks" / page)
    assert anchor == rule["alert"].lower()


THINGS = {
    "vigilmon": r"\$labels\.monitor\b",
    "packetvis": r"\.Labels\.summary\b",
    "thousandeyes": r"\$labels\.(test|agent|account)\b|\.Labels\.rule\b",
    "bigpanda": r"\$labels\.bigpanda_environment\b",
    "certificates": r"\$labels\.host\b",
}
"""What each vendor's alerts are about, as their texts name it."""
OF_VENDORS = [(path, rule) for path, rule in ALERTS if path.stem in THINGS]


@pytest.mark.parametrize(("path", "rule"), OF_VENDORS, ids=[rule["alert"] for _, rule in OF_VENDORS])
def test_a_vendors_alert_names_the_thing_and_leads_to_the_vendor(path, rule):
    """Whoever reads no more than the description knows what it is about and which page to open first."""
    description = rule["annotations"]["description"]
    assert re.search(THINGS[path.stem], description)
    assert "https://" in description or rule["labels"].get("vendor") == "certificates"


def anchors(page):
    return {line.removeprefix("## ").lower() for line in page.read_text().splitlines() if line.startswith("## ")}


@by_name
def test_an_alert_is_seen_to_fire_and_to_end(path, rule):
    """Some rule test asks for the alert before it fires, while it fires, and after it; the Watchdog never ends."""
    seen = [fired_in(test, rule) for test in rule_tests()]
    assert ([True] if rule["alert"] == "Watchdog" else [False, True, False]) in seen


def fired_in(test, rule):
    """Return whether the alert fires each time that the rule test asks, repeats joined."""
    fired = [
        bool(asked.get("exp_samples")) for asked in test.get("promql_expr_test", ()) if is_about(asked["expr"], rule)
    ]
    return [now for now, before in zip(fired, [None, *fired], strict=False) if now != before]


def is_about(expr, rule):
    match = ASKED.match(expr)
    return match and match["name"] == rule["alert"] and match["severity"] in {None, rule["labels"]["severity"]}


def test_every_name_in_the_rules_is_one_that_is_stated():
    """Metrics are stated by the programs or recorded here."""
    recorded = {rule["record"] for path in RULES for rule in rules(path) if "record" in rule}
    for path in RULES:
        for rule in rules(path):
            assert metrics_in(rule) <= set(stated()), path.name
            assert recordings_in(rule) <= recorded, path.name


def test_every_label_in_the_rules_is_one_of_its_metric():
    """Selectors name labels of their own metric; groupings name labels that some metric has, or that a rule adds."""
    everywhere = set(chain.from_iterable(stated().values())) | {"host", "vendor"}
    for path in RULES:
        for rule in rules(path):
            for metric, selector in SELECTOR.findall(rule["expr"]):
                labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
                assert labels <= stated().get(metric, everywhere), (path.name, rule["expr"])
            grouped = {label.strip() for group in GROUPING.findall(rule["expr"]) for label in group.split(",")}
            assert grouped <= everywhere, (path.name, grouped - everywhere)


def run(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules():
    """The rules are valid, with no lint finding."""
    run("promtool", "check", "rules", "--lint-fatal", *map(str, RULES))


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_promtool_runs_the_rule_tests(path):
    """What the rule tests expect is what Prometheus computes."""
    run("promtool", "test", "rules", str(path))


def test_promtool_accepts_the_configuration():
    """Prometheus would start with this file, and finds the rules it names."""
    run("promtool", "check", "config", "prometheus/prometheus.yml")


def test_amtool_accepts_the_routing():
    """Alertmanager would start with this file."""
    run("amtool", "check-config", "alertmanager/alertmanager.yml")


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=VigilmonMonitorDown", "origin=vendorwatch", "vendor=vigilmon"], "bigpanda"),
        (["alertname=Watchdog", "severity=none"], "bigpanda"),
        (["alertname=AnythingElse"], "bigpanda"),
        (["alertname=BigPandaIncidentOld", "origin=vendorwatch", "vendor=bigpanda"], "operators"),
        (["alertname=VendorwatchBridgeDown", "origin=vendorwatch", "component=bridge"], "operators,bigpanda"),
        (["alertname=VendorwatchBridgeWatchdogSilent", "origin=vendorwatch", "component=bridge"], "operators"),
    ],
)
def test_alerts_go_where_they_are_useful(labels, receivers):
    """BigPanda's own incidents never return to it; the bridge's alerts take a second way, which is enough for some."""
    run(
        "amtool", "config", "routes", "test",
        "--config.file=alertmanager/alertmanager.yml", f"--verify.receivers={receivers}", *labels,
    )  # fmt: skip


def test_what_explains_what_names_alerts_that_exist():
    """Each side of an inhibition matches alerts that are shipped, and no alert is on both sides of one."""
    shipped = {rule["alert"] for _, rule in ALERTS}
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    for inhibition in config["inhibit_rules"]:
        sources, targets = (
            alerts_matched(inhibition[side], shipped) for side in ("source_matchers", "target_matchers")
        )
        assert sources
        assert targets
        assert not sources & targets


def alerts_matched(matchers, shipped):
    """Return the alerts whose names satisfy every matcher of `alertname`."""
    for matcher in matchers:
        match = re.fullmatch(r'alertname(=~|!=|=)"(.*)"', matcher)
        if match:
            wanted = match[1] != "!="
            shipped = {name for name in shipped if bool(re.fullmatch(match[2], name)) == wanted}
    return shipped


def test_the_bridge_hears_everything():
    """Resolutions are sent, nothing is cut off, and the token is a file's."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    (webhook,) = next(each for each in config["receivers"] if each["name"] == "bigpanda")["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert "credentials_file" in webhook["http_config"]["authorization"]
