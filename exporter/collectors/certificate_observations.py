"""Observations of the certificates that our own probe reads, and their metrics. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from exporter.collectors.contract import Certificate
from exporter.metrics.families import Family, Metric, gauge

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertificateObservation:
    """The last certificate seen at an endpoint, and the result of the last probe.

    Times are epoch seconds. The members from `seen_at` to `serial` are kept after a failed probe.
    """

    probed_at: float
    reached: bool
    """Whether the last probe saw a certificate, valid or not."""
    reason: str = ""
    """Why the last probe failed, one of `PROBE_FAILURES`; "" if a client would connect."""
    seen_at: float | None = None
    not_after: float | None = None
    valid: bool | None = None
    chain_not_after: float | None = None
    issuer: str = ""
    serial: str = ""

    def due(self, every: float, retry: float) -> float:
        """Return when to probe the endpoint again: `retry` seconds after a failure, else `every`."""
        return self.probed_at + (every if self.reached else retry)

    def within(self, max_age: float, now: float) -> "CertificateObservation":
        """Return the observation without a certificate last seen more than `max_age` seconds ago."""
        if self.seen_at is None or now - self.seen_at <= max_age:
            return self
        return CertificateObservation(self.probed_at, self.reached, self.reason)


def observe(known: CertificateObservation | None, certificate: Certificate) -> CertificateObservation:
    """Return the observation of an endpoint after a probe."""
    if certificate.seen:
        return CertificateObservation(
            certificate.at,
            reached=True,
            reason=certificate.reason,
            seen_at=certificate.at,
            not_after=certificate.not_after,
            valid=certificate.valid,
            chain_not_after=certificate.chain_not_after,
            issuer=certificate.issuer,
            serial=certificate.serial,
        )
    if known is None:
        return CertificateObservation(certificate.at, reached=False, reason=certificate.reason)
    return replace(known, probed_at=certificate.at, reached=False, reason=certificate.reason)


class CertificateMetrics(NamedTuple):
    """The metrics of a probed certificate."""

    days: Metric
    timestamp: Metric
    valid: Metric
    probe_success: Metric
    failure: Metric
    chain: Metric
    info: Metric


def certificate_metrics(prefix: str, probe_success: str, probe_failure: str, label: str) -> CertificateMetrics:
    """Define the metrics of probed certificates: `prefix` as in `tls_certificate`, the probe's names in full."""
    return CertificateMetrics(
        gauge(f"{prefix}_expiry_days", "Days until the server's own certificate expires, negative once it has.", label),
        gauge(f"{prefix}_expiry_timestamp_seconds", "When the server's own certificate expires.", label),
        gauge(f"{prefix}_valid", "Whether a client with the trusted roots would accept the certificate now.", label),
        gauge(probe_success, "Whether the last TLS probe saw a certificate, valid or not.", label),
        gauge(
            probe_failure,
            "Why the last TLS probe saw no certificate, or one that a client would not accept; always 1.",
            label,
            "reason",
        ),
        gauge(
            f"{prefix}_chain_expiry_timestamp_seconds",
            "When the first certificate of the chain that the server sent expires, its own included.",
            label,
        ),
        gauge(
            f"{prefix}_info",
            "Issuer and serial number of the server's own certificate; always 1.",
            label,
            "issuer",
            "serial",
        ),
    )


def certificate_families(
    metrics: CertificateMetrics, observations: Sequence[tuple[Labels, CertificateObservation]], now: float
) -> Iterator[Family]:
    """Yield the families of `metrics` for observations with their label values; days are counted from `now`."""
    dates = [(labels, known.not_after) for labels, known in observations if known.not_after is not None]
    yield Family(metrics.days, [(labels, (not_after - now) / 86400) for labels, not_after in dates])
    yield Family(metrics.timestamp, dates)
    valid = [(labels, known.valid) for labels, known in observations if known.valid is not None]
    yield Family(metrics.valid, [(labels, float(valid)) for labels, valid in valid])
    yield Family(metrics.probe_success, [(labels, float(known.reached)) for labels, known in observations])
    yield Family(metrics.failure, [((*labels, known.reason), 1.0) for labels, known in observations if known.reason])
    chains = [(labels, known.chain_not_after) for labels, known in observations if known.chain_not_after is not None]
    yield Family(metrics.chain, chains)
    seen = [(labels, known) for labels, known in observations if known.serial]
    yield Family(metrics.info, [((*labels, known.issuer, known.serial), 1.0) for labels, known in seen])
