"""How a metric is stated.

A collector states its metrics once, as constants (`Metric`), and fills them with samples (`Family`).
The label `account` is never stated: the exposition adds it, first, to every sample of every collector.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

CACHED = "Cached from the last poll; its age: vendorwatch_poll_last_success_timestamp_seconds."

Kind = Literal["gauge", "counter"]
Sample = tuple[tuple[str, ...], float]
"""The values of the metric's labels, in their order, and the value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family as it is stated: full name, type, HELP, label names beside `account`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples. No sample means: not known."""

    metric: Metric
    samples: Sequence[Sample]
    created: Sequence[float] = ()
    """Of a counter: since when each sample counts, epoch seconds."""


def gauge(name: str, text: str, *labels: str) -> Metric:
    """State a gauge whose HELP says that it is cached."""
    return Metric(name, "gauge", f"{text} {CACHED}", labels)


def counter(name: str, text: str, *labels: str) -> Metric:
    """State a counter (`name` ends in `_total`) whose HELP says that it is cached."""
    return Metric(name, "counter", f"{text} {CACHED}", labels)


class Limited:
    """Lets at most `most` samples through, cut from the end; `series` were let through, `cut`: not all of them."""

    def __init__(self, most: int) -> None:
        self._most, self.series, self.cut = most, 0, False

    def __call__(self, families: Iterable[Family]) -> Iterator[Family]:
        """Yield every family with the samples that are left to it."""
        for family in families:
            samples = family.samples[: self._most - self.series]
            self.series += len(samples)
            self.cut = self.cut or len(samples) < len(family.samples)
            yield replace(family, samples=samples)
