"""Metric definitions and families.

A collector defines its metrics once, as constants (`Metric`), and fills them with samples (`Family`).
The label `account` is never among their labels: the exposition adds it, first, to every sample of every collector.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

CACHED = "Cached from the last poll; its age: vendorwatch_poll_last_success_timestamp_seconds."

Kind = Literal["gauge", "counter"]
Sample = tuple[tuple[str, ...], float]
"""The label values, in the metric's order, and the value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The definition of a metric: full name, type, HELP, label names besides `account`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples. No sample means not known."""

    metric: Metric
    samples: Sequence[Sample]
    created: Sequence[float] = ()
    """For a counter: when each sample started counting, in epoch seconds."""

    @classmethod
    def of(cls, metric: Metric, values: Iterable[tuple[tuple[str, ...], float | None]]) -> "Family":
        """Return the family of all values that are known; None is not."""
        return cls(metric, [(labels, float(value)) for labels, value in values if value is not None])


def gauge(name: str, text: str, *labels: str) -> Metric:
    """Define a gauge whose HELP says that it is cached."""
    return Metric(name, "gauge", f"{text} {CACHED}", labels)


def counter(name: str, text: str, *labels: str) -> Metric:
    """Define a counter (`name` ends in `_total`) whose HELP says that it is cached."""
    return Metric(name, "counter", f"{text} {CACHED}", labels)


@dataclass
class Limited:
    """Passes at most `most` samples and drops the rest. `series`: how many passed; `cut`: whether any were dropped."""

    most: int
    series: int = 0
    cut: bool = False

    def __call__(self, families: Iterable[Family]) -> Iterator[Family]:
        """Yield every family with its remaining samples."""
        for family in families:
            samples = family.samples[: self.most - self.series]
            self.series += len(samples)
            self.cut = self.cut or len(samples) < len(family.samples)
            yield replace(family, samples=samples)
