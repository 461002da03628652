"""Observations of the certificates that our own probe reads, their metrics, and their summary. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exporter.collectors.contract import Certificate, Figure
from exporter.metrics.families import Family, Metric, Sample, gauge
from exporter.toolkit.text import counted, named

Labels = tuple[str, ...]
SOON: Final = 14 * 86400.0
"""Seconds before expiry from which a certificate is mentioned."""


@dataclass(frozen=True, slots=True)
class CertificateObservation:
    """The last probe of an endpoint, and the last certificate seen there, kept after a failed probe."""

    probed_at: float
    reason: str
    """Why the probe failed, one of `PROBE_FAILURES`; "" if a client would connect."""
    seen: Certificate | None
    """No default: in an older program's snapshot it would stand for a probe that failed."""

    @property
    def reached(self) -> bool:
        """Whether the last probe saw a certificate, valid or not."""
        return self.seen is not None and self.seen.at == self.probed_at

    def due(self, every: float, retry: float) -> float:
        """Return when to probe the endpoint again: `retry` seconds after a failure, else `every`."""
        return self.probed_at + (every if self.reached else retry)


def observe(known: CertificateObservation | None, certificate: Certificate) -> CertificateObservation:
    """Return the observation of an endpoint after a probe."""
    seen = certificate if certificate.seen else known.seen if known else None
    return CertificateObservation(certificate.at, certificate.reason, seen)


def shown(
    found: Iterable[tuple[Labels, CertificateObservation | None]], max_age: float, now: float
) -> list[tuple[Labels, CertificateObservation]]:
    """Return the probes at most `max_age` seconds old, without a certificate last seen before that."""
    fresh = [(labels, known) for labels, known in found if known and now - known.probed_at <= max_age]
    return [
        (labels, replace(known, seen=None) if known.seen and now - known.seen.at > max_age else known)
        for labels, known in fresh
    ]


def certificate_metrics(prefix: str, probe_success: str, probe_failure: str, label: str) -> tuple[Metric, ...]:
    """Define the metrics of probed certificates: `prefix` as in `tls_certificate`, the probe's names in full."""
    failure = "Why the last TLS probe saw no certificate, or one that a client would not accept; always 1."
    chain = "When the first certificate of the chain that the server sent expires, its own included."
    info = "Issuer and serial number of the server's own certificate; always 1."
    return (
        gauge(f"{prefix}_expiry_days", "Days until the server's own certificate expires, negative once it has.", label),
        gauge(f"{prefix}_expiry_timestamp_seconds", "When the server's own certificate expires.", label),
        gauge(f"{prefix}_valid", "Whether a client with the trusted roots would accept the certificate now.", label),
        gauge(probe_success, "Whether the last TLS probe saw a certificate, valid or not.", label),
        gauge(probe_failure, failure, label, "reason"),
        gauge(f"{prefix}_chain_expiry_timestamp_seconds", chain, label),
        gauge(f"{prefix}_info", info, label, "issuer", "serial"),
    )


def certificate_families(
    metrics: tuple[Metric, ...], observations: Sequence[tuple[Labels, CertificateObservation]], now: float
) -> Iterator[Family]:
    """Yield the families of `metrics` for observations with their label values; days are counted from `now`."""
    seen = [(labels, known.seen) for labels, known in observations if known.seen]
    dates = [(labels, each.not_after) for labels, each in seen if each.not_after is not None]
    expired = {labels for labels, not_after in dates if not_after <= now}  # perhaps since the probe
    samples: tuple[Iterable[Sample], ...] = (
        ((labels, (not_after - now) / 86400) for labels, not_after in dates),
        dates,
        ((labels, float(each.valid and labels not in expired)) for labels, each in seen if each.valid is not None),
        ((labels, float(known.reached)) for labels, known in observations),
        (((*labels, known.reason), 1.0) for labels, known in observations if known.reason),
        ((labels, each.chain_not_after) for labels, each in seen if each.chain_not_after is not None),
        (((*labels, each.issuer, each.serial), 1.0) for labels, each in seen if each.serial),
    )
    for metric, found in zip(metrics, samples, strict=True):
        yield Family(metric, list(found))  # one at a time: together they are larger than their page


def certificate_figures(observations: Sequence[tuple[str, CertificateObservation]], now: float) -> Iterator[Figure]:
    """Yield the certificates that a client would not accept, that could not be read, and that expire soon."""
    seen = [(name, each.seen) for name, each in observations if each.seen]
    ends = sorted((each.not_after, name) for name, each in seen if each.not_after is not None)
    labelled = [(f"{name} ({each.reason})" if each.reason else name, each) for name, each in observations]
    found = {
        "not accepted": [text for text, each in labelled if each.seen and each.seen.valid is False],
        "seen by a probe that failed": [
            text
            for text, each in labelled
            if each.reached and each.reason and each.seen and each.seen.valid is not False
        ],
        "not seen": [text for text, each in labelled if not each.reached],
        "expiring within 14 days": [name for at, name in ends if now < at <= now + SOON],
    }
    for what, names in found.items():
        if names:
            yield Figure(f"{counted(len(names), 'certificate')} {what}: {named(names)}", bad=True)
    if ends:
        days = (ends[0][0] - now) / 86400
        when = f"in {counted(round(days), 'day')}" if days >= 0 else "expired"
        yield Figure(f"first certificate to expire: {ends[0][1]}, {when}")
