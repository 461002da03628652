import importlib
import re
import shutil
import subprocess
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import yaml

from bridge.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yml"))
COLLECTORS = sorted(
    path.parent.name
    for path in (Path(__file__).parents[2] / "exporter/collectors").glob("*/collector.py")
    if (path.parent / "__init__.py").exists()
)
OURS = re.compile(r"\b(?:vigilmon|packetvis|thousandeyes|bigpanda|tls|vendorwatch)_[a-z0-9_]+")
RECORDED = re.compile(r"\b\w+:\w+:\w+")
SELECTOR = re.compile(r"\b([a-z][a-z0-9_:]*)\{([^{}]*)\}")
GROUPING = re.compile(r"\b(?:by|on|group_left|without)\s*\(([^()]*)\)")
SERIES = re.compile(r'ALERTS\{alertname="(?P<name>\w+)".*?severity="(?P<severity>\w+)"')

EXPORTER_ITSELF = {
    "vendorwatch_poll_success": {"collector", "account"},
    "vendorwatch_poll_last_success_timestamp_seconds": {"collector", "account"},
    "vendorwatch_poll_duration_seconds": {"collector", "account"},
    "vendorwatch_poll_truncated": {"collector", "account"},
    "vendorwatch_api_requests_total": {"collector", "account", "endpoint", "outcome"},
    "vendorwatch_api_rate_limit_remaining": {"collector", "account"},
    "vendorwatch_target_series": {"collector", "account"},
    "vendorwatch_config_last_reload_successful": set(),
    "vendorwatch_config_last_reload_success_timestamp_seconds": set(),
}
"""Section 4 of the interface; a system test holds the served page to the same names."""


@cache
def rules(path):
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def stated():
    """Return every metric that the programs state, with its labels, those of the scrape included."""
    found = dict(EXPORTER_ITSELF)
    for name in COLLECTORS:
        metrics = importlib.import_module(f"exporter.collectors.{name}.collector").Collector.metrics
        found |= {metric.name: {"account", *metric.labels} for metric in metrics}
    for family in Metrics().registry.collect():
        found |= {name: labels_of(family) for name in served_names(family)}
    found |= STOCK
    return {name: labels | {"instance", "job"} for name, labels in found.items()} | {"up": {"instance", "job"}}


STOCK = {
    "vendorwatch_bridge_outbox_events": {"state"},
    "vendorwatch_bridge_outbox_oldest_event_timestamp_seconds": set(),
    "vendorwatch_bridge_dead_letters": {"kind"},
    "vendorwatch_bridge_open_alerts": {"source", "status"},
}
"""What the bridge reads from its database, and therefore states only while it runs."""
BRIDGE_LABELS = {"receiver", "source", "outcome", "status", "action", "le"}


def served_names(family):
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
    return [family.name + ending for ending in endings]


def labels_of(family):
    return set(chain.from_iterable(sample.labels for sample in family.samples)) or BRIDGE_LABELS


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
    assert len(annotations["summary"]) < 150
    assert len(annotations["description"]) > 80
    page, anchor = annotations["runbook_url"].rsplit("/", 1)[1].split("#")
    assert anchor in anchors(DEPLOY / "runbooks" / page)
    assert anchor == rule["alert"].lower()


def anchors(page):
    return {line.removeprefix("## ").lower() for line in page.read_text().splitlines() if line.startswith("## ")}


@by_name
def test_an_alert_is_seen_to_fire_and_to_end(path, rule):
    """Some rule test asks for the alert before it fires, while it fires, and after it ended."""
    samples = [bool(asked.get("exp_samples")) for asked in asked_for(rule["alert"], rule["labels"]["severity"])]
    assert True in samples
    assert rule["alert"] == "Watchdog" or [False, True, False] in asked_in_order(rule)


def asked_in_order(rule):
    """Return for each rule test whether the alert fired, repeats joined."""
    found = []
    for test in all_tests():
        fired = [bool(asked.get("exp_samples")) for asked in about(test, rule["alert"], rule["labels"]["severity"])]
        found.append([now for now, before in zip(fired, [None, *fired], strict=False) if now != before])
    return found


def asked_for(name, severity):
    return [asked for test in all_tests() for asked in about(test, name, severity)]


def about(test, name, severity):
    matches = [(SERIES.match(asked["expr"]), asked) for asked in test["promql_expr_test"]]
    return [asked for match, asked in matches if match and (match["name"], match["severity"]) == (name, severity)] or [
        asked for match, asked in matches if match is None and f'"{name}"' in asked["expr"] and severity == "none"
    ]


@cache
def all_tests():
    return [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]


def test_every_name_in_the_rules_is_one_that_is_served():
    """Metrics are stated by the programs or recorded here."""
    known = set(stated())
    recorded = {rule["record"] for path in RULES for rule in rules(path) if "record" in rule}
    for path in RULES:
        for rule in rules(path):
            expr = GROUPING.sub("", re.sub(r'"[^"]*"', "", rule["expr"]))
            assert set(RECORDED.findall(expr)) <= recorded, path.name
            assert set(OURS.findall(RECORDED.sub("", expr))) <= known, path.name
            asked_in_text = {name for name, _ in SELECTOR.findall(rule.get("annotations", {}).get("description", ""))}
            assert asked_in_text <= known, path.name


def test_every_label_in_the_rules_is_one_of_its_metric():
    """Selectors name labels of their own metric; groupings name labels that some metric has, or that a rule adds."""
    known = stated()
    added = {"host", "vendor", "monitor", "url", "le"}
    everywhere = set(chain.from_iterable(known.values())) | added
    for path in RULES:
        for rule in rules(path):
            for metric, selector in SELECTOR.findall(rule["expr"]):
                labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
                assert labels <= known.get(metric, everywhere), (path.name, rule["expr"])
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


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
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
    ],
)
def test_alerts_go_where_they_are_useful(labels, receivers):
    """BigPanda's own incidents never return to it; the bridge's own alerts take a second way."""
    run(
        "amtool", "config", "routes", "test",
        "--config.file=alertmanager/alertmanager.yml", f"--verify.receivers={receivers}", *labels,
    )  # fmt: skip


def test_the_bridge_hears_everything():
    """Resolutions are sent, nothing is cut off, and the token is a file's."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    (webhook,) = next(each for each in config["receivers"] if each["name"] == "bigpanda")["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert "credentials_file" in webhook["http_config"]["authorization"]
