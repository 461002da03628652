"""Probes each endpoint on its own schedule and shows it at once; a round is complete once all have been probed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.collectors.certificate_observations import (
    CertificateObservation,
    certificate_families,
    certificate_figures,
    certificate_metrics,
    observe,
    shown,
)
from exporter.collectors.contract import Certificate, Figure, Probe, Reason, Request
from exporter.metrics.families import Family
from exporter.toolkit.text import counted

from .config import Settings

METRICS = certificate_metrics("tls_certificate", "tls_probe_success", "tls_probe_failure", "endpoint")


@dataclass(frozen=True, slots=True)
class Known:
    """All observations, by label. `as_of`: the oldest probe of the endpoints shown; `round_at`: of all endpoints."""

    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    observations: dict[str, CertificateObservation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collector:
    """Probes every endpoint; an unreachable one is a result too."""

    settings: Settings

    metrics = METRICS
    start = Known

    def requests(self, knowledge: Known, now: float, failing: int = 0) -> Iterator[Request]:  # noqa: ARG002  all are wanted
        """Yield one probe for each endpoint; one that was never probed is most overdue."""
        settings = self.settings
        every, retry = settings.poll_interval, min(settings.retry_interval, settings.poll_interval)
        for endpoint in settings.listed():
            known = knowledge.observations.get(endpoint.written)
            yield Probe(
                endpoint="tls",
                reason=Reason.STATUS,
                due=known.due(every, retry) if known else 0.0,
                every=every,
                to=endpoint,
                client_certificate=settings.client_certificate,
            )

    def update(self, knowledge: Known, request: Probe, response: Certificate) -> Known:
        """Return the knowledge after a probe; endpoints that are no longer configured are dropped."""
        listed = self.settings.listed()
        known = {one.written: knowledge.observations.get(one.written) for one in listed}
        if request.to.written in known:
            known[request.to.written] = observe(known[request.to.written], response)
        observations = {written: observation for written, observation in known.items() if observation}
        fresh = response.at - self.settings.max_age
        file = self.settings.endpoints_file
        times = [observation.probed_at for observation in observations.values() if observation.probed_at >= fresh]
        return Known(
            as_of=min(times, default=knowledge.as_of),
            round_at=min(times) if times and len(times) == len(listed) else knowledge.round_at,
            truncated=bool(file and (file.problems or file.unreadable)),
            observations=observations,
        )

    def families(self, knowledge: Known, now: float) -> Iterator[Family]:
        """Yield the dates and validity of every endpoint seen within `max_age`, and the result of its last probe."""
        found = (((one.written,), knowledge.observations.get(one.written)) for one in self.settings.listed())
        yield from certificate_families(METRICS, shown(found, self.settings.max_age, now), now)

    def figures(self, knowledge: Known, now: float) -> Iterator[Figure]:
        """Yield the number of endpoints, and those whose certificate is not accepted, missing or about to expire."""
        listed = self.settings.listed()
        yield Figure(counted(len(listed), "endpoint"))
        seen = [(one.written, known) for one in listed if (known := knowledge.observations.get(one.written))]
        yield from certificate_figures(seen, now)
