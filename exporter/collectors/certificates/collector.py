"""Each endpoint is probed on its own clock, and shown as it is probed; the round is whole once every one was."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.collectors.contract import (
    Certificate,
    CertificateObservation,
    Probe,
    Reason,
    Request,
    Response,
    certificate_families,
    observe,
)
from exporter.collectors.figures import certificate_figures, counted
from exporter.metrics.families import Family, certificate_metrics
from exporter.metrics.health import Figure

from .config import Endpoint, Settings

METRICS = certificate_metrics("tls_certificate", "tls_probe_success", "endpoint")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of all endpoints, each by its label.

    `as_of` is when the endpoint that waits longest was probed, of those that were: since then all of it holds.
    `round_at` is the same once every endpoint was probed, None before.
    """

    as_of: float | None = None
    round_at: float | None = None
    truncated: bool = False
    observations: dict[str, CertificateObservation] = field(default_factory=dict)


class Collector:
    """Probes every endpoint; one that cannot be reached is an answer too."""

    metrics = tuple(METRICS)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> Known:
        """Return what is known before the first probe."""
        return Known()

    def requests(self, knowledge: Known, now: float) -> Iterator[Request]:  # noqa: ARG002  nothing depends on the time
        """Yield one probe for each endpoint; one that was never probed is overdue since ever."""
        for endpoint in self._settings.endpoints:
            yield self._probe(endpoint, knowledge.observations.get(endpoint.written))

    def _probe(self, endpoint: Endpoint, known: CertificateObservation | None) -> Probe:
        settings = self._settings
        return Probe(
            endpoint="tls",
            reason=Reason.STATUS,
            due=known.due(settings.poll_interval, self._retry()) if known else 0.0,
            every=settings.poll_interval,
            server_name=endpoint.server_name,
            address=endpoint.address,
            port=endpoint.port,
        )

    def _retry(self) -> float:
        return min(self._settings.retry_interval, self._settings.poll_interval)

    def update(self, knowledge: Known, request: Request, response: Response | Certificate) -> Known:
        """Return the knowledge with what the probe saw; endpoints no longer configured are forgotten."""
        if not isinstance(request, Probe) or not isinstance(response, Certificate):
            raise TypeError("only probes are asked for here")
        place = (request.server_name, request.address, request.port)
        observations = {}
        for endpoint in self._settings.endpoints:
            known = knowledge.observations.get(endpoint.written)
            seen = observe(known, response) if endpoint.place == place else known
            if seen is not None:
                observations[endpoint.written] = seen
        as_of = min((observation.probed_at for observation in observations.values()), default=None)
        is_whole = len(observations) == len(self._settings.endpoints)
        return Known(as_of=as_of, round_at=as_of if is_whole else knowledge.round_at, observations=observations)

    def families(self, knowledge: Known, now: float) -> Iterator[Family]:
        """Yield dates and validity of every endpoint seen within `max_age`, and whether the last probe saw one."""
        max_age = self._settings.max_age
        told = [
            ((endpoint.written,), known.within(max_age, now))
            for endpoint in self._settings.endpoints
            if (known := knowledge.observations.get(endpoint.written)) and now - known.probed_at <= max_age
        ]
        yield from certificate_families(METRICS, told, now)

    def figures(self, knowledge: Known, now: float) -> Iterator[Figure]:
        """Yield how many endpoints there are, and those whose certificate is refused, missing or about to end."""
        yield Figure(counted(len(self._settings.endpoints), "endpoint"))
        yield from certificate_figures(
            [
                (endpoint.written, known)
                for endpoint in self._settings.endpoints
                if (known := knowledge.observations.get(endpoint.written))
            ],
            now,
        )
