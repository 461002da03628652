"""Each endpoint is probed on its own clock, and shown as it is probed; the round is whole once every one was."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.collectors.certificate_observations import (
    CertificateObservation,
    certificate_families,
    certificate_metrics,
    observe,
)
from exporter.collectors.contract import Certificate, Probe, Reason, Request, Response
from exporter.collectors.figures import certificate_figures, counted
from exporter.metrics.families import Family
from exporter.metrics.health import Figure

from .config import Settings

METRICS = certificate_metrics("tls_certificate", "tls_probe_success", "tls_probe_failure", "endpoint")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of all endpoints, each by its label.

    `as_of` is when the endpoint was probed that waits longest of those told of; `round_at` the same of all endpoints.
    """

    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    observations: dict[str, CertificateObservation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collector:
    """Probes every endpoint; one that cannot be reached is an answer too."""

    settings: Settings

    metrics = tuple(METRICS)
    start = Known
    """What is known before the first probe."""

    def requests(self, knowledge: Known, now: float) -> Iterator[Request]:  # noqa: ARG002  nothing depends on the time
        """Yield one probe for each endpoint; one that was never probed is overdue since ever."""
        settings = self.settings
        every, retry = settings.poll_interval, min(settings.retry_interval, settings.poll_interval)
        for endpoint in settings.listed().values():
            known = knowledge.observations.get(endpoint.written)
            yield Probe(
                endpoint="tls",
                reason=Reason.STATUS,
                due=known.due(every, retry) if known else 0.0,
                every=every,
                server_name=endpoint.server_name,
                address=endpoint.address,
                port=endpoint.port,
                starttls=endpoint.starttls or settings.starttls,
                client_certificate=settings.client_certificate,
            )

    def update(self, knowledge: Known, request: Request, response: Response | Certificate) -> Known:
        """Return the knowledge with what the probe saw; endpoints no longer configured are forgotten."""
        if not isinstance(request, Probe) or not isinstance(response, Certificate):
            raise TypeError("only probes are asked for here")
        listed = self.settings.listed()
        known = {one.written: knowledge.observations.get(one.written) for one in listed.values()}
        probed = listed.get((request.server_name, request.address, request.port))
        if probed:
            known[probed.written] = observe(known[probed.written], response)
        observations = {written: observation for written, observation in known.items() if observation}
        fresh = response.at - self.settings.max_age
        file = self.settings.endpoints_file
        told = [observation.probed_at for observation in observations.values() if observation.probed_at >= fresh]
        return Known(
            as_of=min(told, default=knowledge.as_of),
            round_at=min(told) if told and len(told) == len(listed) else knowledge.round_at,
            truncated=bool(file and file.read().problems),
            observations=observations,
        )

    def families(self, knowledge: Known, now: float) -> Iterator[Family]:
        """Yield dates and validity of every endpoint seen within `max_age`, and how the last probe ended."""
        max_age = self.settings.max_age
        told = [
            ((endpoint.written,), known.within(max_age, now))
            for endpoint in self.settings.listed().values()
            if (known := knowledge.observations.get(endpoint.written)) and now - known.probed_at <= max_age
        ]
        yield from certificate_families(METRICS, told, now)

    def figures(self, knowledge: Known, now: float) -> Iterator[Figure]:
        """Yield how many endpoints there are, and those whose certificate is refused, missing or about to end."""
        listed = self.settings.listed().values()
        yield Figure(counted(len(listed), "endpoint"))
        seen = [(one.written, known) for one in listed if (known := knowledge.observations.get(one.written))]
        yield from certificate_figures(seen, now)
