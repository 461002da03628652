"""A registry of prometheus_client in both text formats. Only OpenMetrics has units and counters' creation times."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector
from werkzeug.http import parse_accept_header, parse_options_header

from exporter.toolkit.wsgi import Headers

TEXT: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS: Final = openmetrics_exposition.CONTENT_TYPE_LATEST
UNITS: Final = ("seconds", "bytes", "ratio", "percent", "days")
"""Units of our metrics. OpenMetrics requires the metric's name to end in its unit."""


def unit_of(name: str) -> str:
    """Return the unit of a metric by its OpenMetrics name; "" if it has none."""
    ending = name.rpartition("_")[2]
    return ending if ending in UNITS else ""


def page(collector: Collector, *, openmetrics: bool, packed: bool = False) -> list[bytes]:
    """Return the page in OpenMetrics 1.0.0 or text 0.0.4, gzipped if `packed`, in one piece."""
    generate = openmetrics_exposition.generate_latest if openmetrics else exposition.generate_latest
    found: bytes = generate(_Suited(collector, openmetrics=openmetrics))
    return [gzip.compress(found, 1) if packed else found]


@lru_cache(maxsize=16)
def negotiated(accept: str, accept_encoding: str) -> tuple[bool, bool, Headers]:
    """Return whether to send OpenMetrics, whether to send gzip, and the response headers that say so."""
    openmetrics, packed = wants_openmetrics(accept), wants_gzip(accept_encoding)
    kind = OPENMETRICS if openmetrics else TEXT
    headers = [(b"content-type", kind.encode()), (b"vary", b"Accept, Accept-Encoding")]
    return openmetrics, packed, [*headers, *([(b"content-encoding", b"gzip")] if packed else [])]


def wants_openmetrics(accept: str) -> bool:
    """Return whether a client prefers OpenMetrics 1.0.0. A client that accepts neither format gets text."""
    for offer, quality in parse_accept_header(accept):  # best first
        name, parameters = parse_options_header(offer.lower())
        version = parameters.get("version", "")
        if quality > 0 and name == "application/openmetrics-text" and version in {"", "1.0.0"}:
            return True
        if quality <= 0 or (name == "text/plain" and version in {"", "0.0.4"}) or name in {"text/*", "*/*"}:
            return False
    return False


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether a client accepts gzip and does not prefer the plain page."""
    accepted = parse_accept_header(accept_encoding.lower().replace("x-gzip", "gzip"))
    return accepted["gzip"] > 0 and accepted["gzip"] >= accepted["identity"]


@dataclass(frozen=True)
class _Suited(Collector):
    collector: Collector
    openmetrics: bool

    def collect(self) -> Iterator[Metric]:
        for metric in self.collector.collect():
            if self.openmetrics:
                metric.unit = unit_of(metric.name)
            else:  # in text a `_created` series would be a metric of its own
                metric.samples = [sample for sample in metric.samples if sample.name != f"{metric.name}_created"]
            yield metric
