"""What a collector must be.

A collector does no I/O. It is four pure functions over what it knows of one target:

    requests(knowledge, now)                what it would like to request, each with its reason and due time
    update(knowledge, request, response)    the knowledge after a response, or `Malformed`
    families(knowledge, now)                the metrics
    figures(knowledge, now)                 what the vendor says now, in words, for the status page

A fifth is optional:

    endpoints(knowledge, now)               what somebody else may want to probe as well, for service discovery

The poller turns the crank. A vendor is a folder `exporter/collectors/<name>/` whose `config.py` holds
`Settings` (a `TargetSettings`) and whose `collector.py` holds `Collector`, made from those settings.
`starter.yml` is what `init` writes of it, `README.md` what a reader is told.
The folder's name is the value of `collector:` in exporter.yml and of the label `collector`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal, Protocol, TypeVar, runtime_checkable

from exporter.metrics.families import Family, Metric
from exporter.metrics.health import Endpoint, Figure

CONFIRM_AFTER: Final = 10.0
"""Seconds after which a listing that is suddenly empty is requested again: it is believed when it is empty twice."""
MOST_ROWS: Final = 20_000
"""Rows of a listing, over all its pages: what goes on is cut. Twice what `max_pages` lets through."""
PROBE_FAILURES: Final = (
    "dns",
    "connect",
    "timeout",
    "tls",
    "protocol",
    "name",
    "expired",
    "not_yet_valid",
    "untrusted",
    "self_signed",
    "client_certificate",
)
"""Why a probe saw no certificate, or one that a client would not accept."""
StartTls = Literal["smtp", "imap", "pop3", "ftp", "postgres", "ldap", "xmpp"]
"""Protocols in which a probe can ask for TLS."""


class Reason(IntEnum):
    """Why something is requested; smaller goes first."""

    STATUS = 0
    CHANGED = 1
    LISTING = 2
    """All of a kind in a request or few: it waits for no rotation of single things."""
    OLDEST = 3


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
class ReadingPost(Get):
    """A POST that only reads: a vendor's search whose filter goes into the body. `content` is JSON."""

    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Request):
    """A TLS connection to `address:port` that asks for `server_name`. Costs nothing of a vendor's budget."""

    server_name: str
    address: str
    port: int
    starttls: StartTls | None = None
    """The protocol whose dialogue comes before TLS."""
    client_certificate: tuple[str, str] | None = None
    """Paths of the certificate and the key to present."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two probes the same."""
        return (self.server_name, self.address, str(self.port), self.starttls or "")

    @property
    def place(self) -> str:
        """The endpoint as people write it: `smtp://name@address:port`."""
        name = "" if self.server_name == self.address else f"{self.server_name}@"
        address = f"[{self.address}]" if ":" in self.address else self.address
        protocol = f"{self.starttls}://" if self.starttls else ""
        return f"{protocol}{name}{address}:{self.port}"


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
    """What a probe saw. An endpoint that cannot be reached is an answer too: times None, `reason` says why.

    `valid`: would a client with the trusted roots accept it now; None when nobody can tell. `reason` is one of
    `PROBE_FAILURES`, "" when all is well, `detail` says it for people. Times are epoch seconds.
    """

    at: float
    not_before: float | None
    not_after: float | None
    valid: bool | None
    reason: str = ""
    detail: str = ""
    chain_not_after: float | None = None
    """When the first certificate ends of those the server sent, its own among them."""
    issuer: str = ""
    serial: str = ""

    @property
    def seen(self) -> bool:
        """Whether the server showed a certificate, valid or not."""
        return self.not_after is not None


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
K_contra = TypeVar("K_contra", bound=Knowledge, contravariant=True)


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


@runtime_checkable
class Discovering(Protocol[K_contra]):
    """A collector that knows what somebody else may want to probe."""

    def endpoints(self, knowledge: K_contra, now: float) -> Iterable[Endpoint]:
        """Yield what there is to probe, as of the last poll."""
