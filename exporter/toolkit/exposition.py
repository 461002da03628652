"""A registry of prometheus_client in both text formats. Only OpenMetrics has units and counters' creation times."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

UNITS: Final = ("seconds", "bytes", "ratio", "percent", "days")
"""Units of our metrics. OpenMetrics requires the metric's name to end in its unit."""


def unit_of(name: str) -> str:
    """Return the unit of a metric by its OpenMetrics name; "" if it has none."""
    ending = name.rpartition("_")[2]
    return ending if ending in UNITS else ""


def text(collector: Collector) -> bytes:
    """Return the page in text 0.0.4, without `_created` series, which would be metrics of their own there."""
    return exposition.generate_latest(_WithoutCreated(collector))


def openmetrics(collector: Collector) -> bytes:
    """Return the page in OpenMetrics 1.0.0."""
    page: bytes = openmetrics_exposition.generate_latest(_WithUnits(collector))  # type: ignore[no-untyped-call]
    return page


@dataclass(frozen=True)
class _WithoutCreated(Collector):
    collector: Collector

    def collect(self) -> Iterator[Metric]:
        for metric in self.collector.collect():
            metric.samples = [sample for sample in metric.samples if sample.name != f"{metric.name}_created"]
            yield metric


@dataclass(frozen=True)
class _WithUnits(Collector):
    collector: Collector

    def collect(self) -> Iterator[Metric]:
        for metric in self.collector.collect():
            metric.unit = unit_of(metric.name)
            yield metric
