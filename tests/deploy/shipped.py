"""The rules in `deploy/`, the names that they use, and the metrics that the programs serve."""

import importlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml
from prometheus_client.metrics import MetricWrapperBase

import exporter.metrics.exporter_metrics
from bridge.metrics import Metrics, QueueStatsCollector
from exporter.config import known
from exporter.metrics.families import Metric

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
RULE_TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yml"))

OURS = re.compile(r"\b(?:vigilmon|packetvis|thousandeyes|bigpanda|tls|vendorwatch)_[a-z0-9_]+")
RECORDED = re.compile(r"\b\w+:\w+:\w+")
SELECTOR = re.compile(r"\b([a-z][a-z0-9_:]*)\{([^{}]*)\}")
GROUPING = re.compile(r"\b(?:by|on|group_left|without)\s*\(([^()]*)\)")
SCRAPED = {"instance", "job", "pod"}


@cache
def rules(path: Path) -> list[dict]:
    """Return the rules of one file, of all its groups."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


@cache
def rule_tests() -> list[dict]:
    """Return the rule tests of all files."""
    return [test for path in RULE_TESTS for test in yaml.safe_load(path.read_text())["tests"]]


def metrics_in(rule: dict) -> set[str]:
    """Return the programs' metrics that a rule and the queries in its description use."""
    expr = GROUPING.sub("", re.sub(r'"[^"]*"', "", rule["expr"]))
    return set(OURS.findall(RECORDED.sub("", expr))) | {name for name in _in_text(rule) if ":" not in name}


def recordings_in(rule: dict) -> set[str]:
    """Return the recorded series that a rule uses."""
    return set(RECORDED.findall(re.sub(r'"[^"]*"', "", rule["expr"]))) | {
        name for name in _in_text(rule) if ":" in name
    }


def _in_text(rule: dict) -> set[str]:
    return {name for name, _ in SELECTOR.findall(rule.get("annotations", {}).get("description", ""))}


@cache
def stated() -> dict[str, set[str]]:
    """Return every metric that the programs serve, with its labels, those added by the scrape included."""
    found = {"up": set[str]()}
    for collector in known():
        metrics = importlib.import_module(f"exporter.collectors.{collector}.collector").Collector.metrics
        found |= {metric.name: {"account", *metric.labels} for metric in metrics}
    found |= {metric.name: set(metric.labels) for metric in _among(vars(exporter.metrics.exporter_metrics).values())}
    found |= dict(_bridge())
    return {name: labels | SCRAPED for name, labels in found.items()}


def _among(values: Iterable[object]) -> Iterator[Metric]:
    for value in values:
        if isinstance(value, Metric):
            yield value
        elif isinstance(value, tuple):
            yield from _among(value)


def _bridge() -> Iterator[tuple[str, set[str]]]:
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            for family in metric.describe():
                endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
                bucket = {"le"} if family.type == "histogram" else set()
                yield from ((family.name + ending, {*metric._labelnames} | bucket) for ending in endings)
    for family in QueueStatsCollector(dict).describe():
        yield family.name, set(family._labelnames)
