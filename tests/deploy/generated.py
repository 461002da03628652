"""Generated files in `deploy/`: `python -m tests.deploy.generated` rewrites them.

METRICS.md comes from the programs' metrics, the PrometheusRules from Prometheus's own rule files.
"""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

import exporter.metrics.exporter_metrics
from bridge.metrics import Metrics, QueueStatsCollector
from exporter.config import known
from exporter.metrics.families import CACHED, Metric

DEPLOY = Path(__file__).parents[2] / "deploy"
Row = tuple[str, str, tuple[str, ...], str]
"""Name, type, labels, HELP."""
TITLES = {"certificates": "TLS certificates", "bigpanda": "BigPanda incidents", "packetvis": "PacketVis",
          "thousandeyes": "ThousandEyes", "vigilmon": "Vigilmon"}  # fmt: skip
HEAD = """# Metrics

Every metric of both programs, with its HELP text. `python -m tests.deploy.generated` writes this page,
and a test checks that it is current. Details of the vendors' metrics: [exporter/collectors](../exporter/collectors).

An unknown value is absent, never 0. The vendors' metrics are cached from the last poll: their age is
`vendorwatch_poll_last_success_timestamp_seconds`, and past `max_age` they are withdrawn. A label's value is cut at 512
bytes of UTF-8, with an ellipsis at its end. The vendors' metrics also have the label
`account`, which the tables omit. Times are epoch seconds. Both programs also serve `process_*` and `python_*`, as
prometheus_client does.
"""
RULES_HEAD = "# Written by `python -m tests.deploy.generated` from deploy/prometheus/rules.\n"


def metrics_reference() -> str:
    """Return `deploy/METRICS.md`."""
    sections = [
        HEAD,
        *(_section(f"Exporter: {TITLES.get(name, name)}", _rows(_of_collector(name))) for name in known()),
        _section("Exporter: itself", _rows(_among(vars(exporter.metrics.exporter_metrics).values()))),
        _section("Bridge", sorted(_of_bridge())),
    ]
    return "\n".join(sections)


def _section(title: str, rows: Iterable[Row]) -> str:
    lines = [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"
        for name, kind, labels, text in rows
    ]
    return "\n".join([f"## {title}", "", "| metric | type | labels | meaning |", "|---|---|---|---|", *lines, ""])


def _of_collector(name: str) -> tuple[Metric, ...]:
    found: tuple[Metric, ...] = importlib.import_module(f"exporter.collectors.{name}.collector").Collector.metrics
    return found


def _among(values: Iterable[object]) -> Iterator[Metric]:
    for value in values:
        if isinstance(value, Metric):
            yield value
        elif isinstance(value, tuple):
            yield from _among(value)


def _rows(metrics: Iterable[Metric]) -> Iterator[Row]:
    for metric in metrics:
        yield metric.name, metric.kind, metric.labels, metric.help.removesuffix(CACHED).strip()


def _of_bridge() -> Iterator[Row]:
    for collector in Metrics().registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            (family,) = collector.describe()
            yield _name(family.name, family.type), family.type, tuple(collector._labelnames), family.documentation
    for family in QueueStatsCollector(dict).describe():
        yield family.name, family.type, tuple(family._labelnames), family.documentation


def _name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def prometheus_rules() -> str:
    """Return `deploy/kubernetes/base/prometheusrules.yaml`: one PrometheusRule per rule file, comments included."""
    files = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
    return RULES_HEAD + "".join(_rule_object(path.stem, path.read_text()) for path in files)


def _rule_object(name: str, text: str) -> str:
    body = "".join(f"  {line}".rstrip() + "\n" for line in text.splitlines())
    return (
        "---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
        f"metadata:\n  name: vendorwatch-{name}\nspec:\n{body}"
    )


WRITTEN = {
    DEPLOY / "METRICS.md": metrics_reference,
    DEPLOY / "kubernetes/base/prometheusrules.yaml": prometheus_rules,
}

if __name__ == "__main__":
    for path, content in WRITTEN.items():
        path.write_text(content(), encoding="utf-8")
