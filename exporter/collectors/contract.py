"""What a collector must be.

A collector does no I/O. It is four pure functions over what it knows of one target:

    requests(knowledge, now)                what it would like to request, each with its reason and due time
    update(knowledge, request, response)    the knowledge after a response, or `Malformed`
    families(knowledge, now)                the metrics
    figures(knowledge, now)                 what the vendor says now, in words, for the status page

The poller turns the crank. A vendor is a folder `exporter/collectors/<name>/` whose `config.py` holds
`Settings` (a `TargetSettings`) and whose `collector.py` holds `Collector`, made from those settings.
The folder's name is the value of `collector:` in exporter.yml and of the label `collector`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from exporter.metrics.families import CertificateMetrics, Family, Metric
from exporter.metrics.health import Figure

CONFIRM_AFTER: Final = 10.0
"""Seconds after which a listing that is suddenly empty is requested again: it is believed when it is empty twice."""


class Reason(IntEnum):
    """Why something is requested; smaller goes first."""

    STATUS = 0
    CHANGED = 1
    OLDEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something to be told.

    `endpoint` is the template that metrics show, such as `/monitors/{id}`. `due` is the epoch second from
    which it is wanted, `every` how often (seconds): among requests of one reason the one that is overdue by the
    most of its own intervals goes first.
    """

    endpoint: str
    reason: Reason
    due: float
    every: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Get(Request):
    """A GET below the target's base URL. `params` replace those of the same name in the base URL."""

    path: str = ""
    params: tuple[tuple[str, str], ...] = ()
    accept: str = "application/json"
    expected_statuses: frozenset[int] = frozenset()
    """Statuses beside 200 whose body is an answer, such as PacketVis' 418."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two requests the same."""
        return (self.path, *(f"{name}={value}" for name, value in self.params))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Request):
    """A TLS connection to `address:port` that asks for `server_name`. Costs nothing of a vendor's budget."""

    server_name: str
    address: str
    port: int

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two probes the same."""
        return (self.server_name, self.address, str(self.port))


@dataclass(frozen=True, slots=True)
class Response:
    """A vendor's answer. `at`: epoch second at which it was asked for, so that an age is never understated."""

    at: float
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a probe saw. An endpoint that cannot be reached is an answer too: times None, `problem` says why.

    `valid`: would a client with the trusted roots accept it now; None when no certificate was seen.
    Times are epoch seconds.
    """

    at: float
    not_before: float | None
    not_after: float | None
    valid: bool | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CertificateObservation:
    """What is known of an endpoint's certificate: the last one seen, and whether the last probe saw one.

    Times are epoch seconds. `seen_at`, `not_after` and `valid` outlast a failed probe.
    """

    probed_at: float
    reached: bool
    seen_at: float | None = None
    not_after: float | None = None
    valid: bool | None = None

    def due(self, every: float, retry: float) -> float:
        """Return when the endpoint is to be probed again: `retry` seconds after a failure, else `every`."""
        return self.probed_at + (every if self.reached else retry)

    def within(self, max_age: float, now: float) -> "CertificateObservation":
        """Return what of it may still be told: a certificate not seen for `max_age` seconds is not."""
        if self.seen_at is None or now - self.seen_at <= max_age:
            return self
        return CertificateObservation(self.probed_at, self.reached)


def observe(known: CertificateObservation | None, certificate: Certificate) -> CertificateObservation:
    """Return what is known of an endpoint after a probe."""
    if certificate.valid is not None:
        return CertificateObservation(
            certificate.at,
            reached=True,
            seen_at=certificate.at,
            not_after=certificate.not_after,
            valid=certificate.valid,
        )
    if known is None:
        return CertificateObservation(certificate.at, reached=False)
    return replace(known, probed_at=certificate.at, reached=False)


def certificate_families(
    metrics: CertificateMetrics, observations: Sequence[tuple[tuple[str, ...], CertificateObservation]], now: float
) -> Iterator[Family]:
    """Yield the families of `metrics`, each sighting with the values of its labels; days are counted from `now`."""
    dates = [(labels, seen.not_after) for labels, seen in observations if seen.not_after is not None]
    yield Family(metrics.days, [(labels, (not_after - now) / 86400) for labels, not_after in dates])
    yield Family(metrics.timestamp, dates)
    yield Family(
        metrics.valid, [(labels, float(seen.valid)) for labels, seen in observations if seen.valid is not None]
    )
    yield Family(metrics.probe_success, [(labels, float(seen.reached)) for labels, seen in observations])


class Knowledge(Protocol):
    """What a collector knows of one target: a frozen dataclass of plain values, so that it can be stored.

    It outlives a change of the target's settings, as long as the same account is read at the same place: a collector
    leaves out what is no longer wanted, and requests what is missing.
    """

    @property
    def as_of(self) -> float | None:
        """As of when the oldest status that is shown holds, epoch seconds; None while nothing is shown.

        What one endpoint or one account group brings is shown as it arrives, and waits for no other.
        """

    @property
    def round_at(self) -> float | None:
        """What changes as a round of statuses ends, such as when it began; None before the first whole one."""

    @property
    def truncated(self) -> bool:
        """A page cap cut the last whole round."""


K = TypeVar("K", bound=Knowledge)


class Collector(Protocol[K]):
    """The four functions, beside what is known of a target before its first response."""

    metrics: tuple[Metric, ...]
    """Every metric that `families` may yield, in the order of the page."""

    def start(self) -> K:
        """Return what is known before the first answer: nothing."""

    def requests(self, knowledge: K, now: float) -> Iterable[Request]:
        """Yield what is wanted, now or later. The list may be short of the least urgent, never of the most."""

    def update(self, knowledge: K, request: Request, response: Response | Certificate) -> K:
        """Return the new knowledge; `Malformed` when the answer breaks the contract."""

    def families(self, knowledge: K, now: float) -> Iterable[Family]:
        """Yield the metrics, each once, the most important first: `series_limit` cuts from the end."""

    def figures(self, knowledge: K, now: float) -> Iterable[Figure]:
        """Yield what the vendor says now, as a person would ask for it, the most important first."""
