import re
import shutil
import subprocess
from itertools import chain

import pytest
import yaml

from tests.deploy.shipped import (
    DEPLOY,
    GROUPING,
    RULES,
    SELECTOR,
    metrics_in,
    recordings_in,
    rule_tests,
    rules,
    stated,
)

ALERTS_QUERY = re.compile(r'ALERTS\{alertname="(?P<name>\w+)"(?:.*?severity="(?P<severity>\w+)")?')
ALERTS = [(path, rule) for path in RULES for rule in rules(path) if "alert" in rule]
by_name = pytest.mark.parametrize(
    ("path", "rule"), ALERTS, ids=[f"{rule['alert']}-{rule['labels']['severity']}" for _, rule in ALERTS]
)


@by_name
def test_alert_has_severity_and_origin(path, rule):
    """The bridge knows the severity; `origin` and `vendor` or `component` are for routing."""
    assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert rule["labels"]["origin"] == "vendorwatch"
    assert rule["alert"] == "Watchdog" or path.stem == "certificates" or {"vendor", "component"} & set(rule["labels"])


@by_name
def test_alert_has_summary_description_and_runbook(path, rule):
    """The summary is one line, and the runbook section exists."""
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "\n" not in annotations["summary"].strip()
    assert len(re.sub(r"{{.*?}}", "", annotations["summary"])) < 120
    assert len(annotations["description"]) > 80
    page, anchor = annotations["runbook_url"].rsplit("/", 1)[1].split("#")
    assert anchor in anchors(DEPLOY / "runbooks" / page)
    assert anchor == rule["alert"].lower()


SUBJECTS = {
    "vigilmon": r"\$labels\.monitor\b",
    "packetvis": r"\.Labels\.summary\b",
    "thousandeyes": r"\$labels\.(test|agent|account)\b|\.Labels\.rule\b",
    "bigpanda": r"\$labels\.bigpanda_environment\b",
    "certificates": r"\$labels\.host\b",
}
"""The subject that descriptions of each vendor's alerts must name."""
OF_VENDORS = [(path, rule) for path, rule in ALERTS if path.stem in SUBJECTS]


@pytest.mark.parametrize(("path", "rule"), OF_VENDORS, ids=[rule["alert"] for _, rule in OF_VENDORS])
def test_vendor_alert_names_its_subject_and_links_to_the_vendor(path, rule):
    """The description alone has the subject and the page to open first."""
    description = rule["annotations"]["description"]
    assert re.search(SUBJECTS[path.stem], description)
    assert "https://" in description or rule["labels"].get("vendor") == "certificates"


def anchors(page):
    return {line.removeprefix("## ").lower() for line in page.read_text().splitlines() if line.startswith("## ")}


@by_name
def test_rule_tests_cover_inactive_firing_and_resolved(path, rule):
    """A rule test checks the alert before, while and after it fires; the Watchdog never resolves."""
    seen = [fired_in(test, rule) for test in rule_tests()]
    assert ([True] if rule["alert"] == "Watchdog" else [False, True, False]) in seen


def fired_in(test, rule):
    """Return whether the alert fires at each evaluation in the rule test, without repeats."""
    fired = [
        bool(asked.get("exp_samples")) for asked in test.get("promql_expr_test", ()) if is_about(asked["expr"], rule)
    ]
    return [now for now, before in zip(fired, [None, *fired], strict=False) if now != before]


def is_about(expr, rule):
    match = ALERTS_QUERY.match(expr)
    return match and match["name"] == rule["alert"] and match["severity"] in {None, rule["labels"]["severity"]}


def test_rules_use_existing_metrics():
    """Every metric is served by a program or recorded by a rule."""
    recorded = {rule["record"] for path in RULES for rule in rules(path) if "record" in rule}
    for path in RULES:
        for rule in rules(path):
            assert metrics_in(rule) <= set(stated()), path.name
            assert recordings_in(rule) <= recorded, path.name


def test_rules_use_existing_labels():
    """Selectors use labels of their metric; groupings use labels of some metric or of a rule."""
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


def test_promtool_accepts_the_configuration():
    """Prometheus accepts prometheus.yml and finds its rules."""
    run("promtool", "check", "config", "prometheus/prometheus.yml")


def test_amtool_accepts_the_routing():
    """Alertmanager accepts alertmanager.yml."""
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
def test_alerts_are_routed_to_their_receivers(labels, receivers):
    """Alerts about BigPanda's incidents never go to BigPanda; the bridge's alerts also go to the operators."""
    run(
        "amtool", "config", "routes", "test",
        "--config.file=alertmanager/alertmanager.yml", f"--verify.receivers={receivers}", *labels,
    )  # fmt: skip


def test_inhibitions_match_shipped_alerts():
    """Each side of an inhibition matches shipped alerts, and no alert is on both sides."""
    shipped = {rule["alert"] for _, rule in ALERTS}
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    for inhibition in config["inhibit_rules"]:
        sources, targets = (
            alerts_matched(inhibition[side], shipped) for side in ("source_matchers", "target_matchers")
        )
        assert sources
        assert targets
        assert not sources & targets
        # One exporter or bridge of several says nothing about the others.
        of_one_program = {name for name in sources if re.match("Vendorwatch(Exporter|Bridge)Down", name)}
        assert not of_one_program or inhibition["equal"] == ["instance"]


def alerts_matched(matchers, shipped):
    """Return the alerts whose names satisfy every matcher of `alertname`."""
    for matcher in matchers:
        match = re.fullmatch(r'alertname(=~|!=|=)"(.*)"', matcher)
        if match:
            wanted = match[1] != "!="
            shipped = {name for name in shipped if bool(re.fullmatch(match[2], name)) == wanted}
    return shipped


def test_webhook_sends_resolved_and_all_alerts():
    """Resolutions are sent, nothing is truncated, and the token is in a file."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    (webhook,) = next(each for each in config["receivers"] if each["name"] == "bigpanda")["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert "credentials_file" in webhook["http_config"]["authorization"]
