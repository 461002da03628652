"""How a metric is stated.

A collector states its metrics once, as constants (`Metric`), and fills them with samples (`Family`).
The label `account` is never stated: the exposition adds it, first, to every sample of every collector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

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


def gauge(name: str, text: str, *labels: str) -> Metric:
    """State a gauge whose HELP says that it is cached."""
    return Metric(name, "gauge", f"{text} {CACHED}", labels)


def counter(name: str, text: str, *labels: str) -> Metric:
    """State a counter (`name` ends in `_total`) whose HELP says that it is cached."""
    return Metric(name, "counter", f"{text} {CACHED}", labels)


class CertificateMetrics(NamedTuple):
    """What is told of the certificate of an endpoint that we probe."""

    days: Metric
    timestamp: Metric
    valid: Metric
    probe_success: Metric


def certificate_metrics(prefix: str, probe_success: str, *labels: str) -> CertificateMetrics:
    """State the metrics of probed certificates: `prefix` as in `tls_certificate`, `probe_success` in full."""
    return CertificateMetrics(
        gauge(
            f"{prefix}_expiry_days", "Days until the server's own certificate expires, negative once it has.", *labels
        ),
        gauge(f"{prefix}_expiry_timestamp_seconds", "When the server's own certificate expires.", *labels),
        gauge(f"{prefix}_valid", "Whether a client with the trusted roots would accept the certificate now.", *labels),
        gauge(probe_success, "Whether the last TLS probe saw a certificate, valid or not.", *labels),
    )
