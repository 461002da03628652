"""The contract of a collector.

A collector does no I/O: it is the pure functions of `Collector` over its knowledge of one target, and for service
discovery that of `Discovering`. The poller calls them.

A vendor is a folder `exporter/collectors/<name>/` whose `config.py` holds `Settings` (a `TargetSettings`) and whose
`collector.py` holds `Collector`, which takes those settings. `starter.yml` is the section that `init` writes,
`README.md` the documentation. The folder's name is the value of `collector:` in exporter.yml and of the label
`collector`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal, Protocol, runtime_checkable

from exporter.metrics.families import Family, Metric

_CONFIRM_AFTER: Final = 10.0
"""Seconds after which a suddenly empty listing is requested again to confirm it."""
MOST_ROWS: Final = 20_000
"""Rows of a listing, over all its pages: what goes on is cut. Twice what `max_pages` lets through."""
UNSEEN: Final = frozenset({403, 404})
"""Statuses of what does not exist or the credentials may not see, such as a single monitor, agents or plans."""
PROBE_FAILURES: Final = (
    *("dns", "connect", "timeout", "tls", "protocol"),
    *("name", "expired", "not_yet_valid", "untrusted", "self_signed", "client_certificate"),
)
"""Reasons why a probe saw no certificate, or one that a client would not accept."""
StartTls = Literal["smtp", "imap", "pop3", "ftp", "postgres", "ldap", "xmpp"]
"""Protocols whose STARTTLS a probe supports."""


class Reason(IntEnum):
    """The reason for a request; smaller values go first."""

    STATUS = 0
    CHANGED = 1
    LISTING = 2
    """A whole list in one or few requests: not delayed by the rotation of single items."""
    OLDEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a collector says of each request that it wants sent."""

    endpoint: str
    """The template shown in metrics, such as `/monitors/{id}`."""
    reason: Reason
    due: float
    """Epoch second from which it is wanted."""
    every: float
    """Its interval in seconds. Of the same reason, the request overdue by the most of its own intervals goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Get(Wanted):
    """A GET below the target's base URL. `params` replace parameters of the same name in the base URL."""

    path: str = ""
    item: str = ""
    """What it is about, such as a monitor's id, for the collector that gets the response."""
    params: tuple[tuple[str, str], ...] = ()
    accept: str = "application/json"
    expected_statuses: frozenset[int] = frozenset()
    """Statuses besides 200 that the collector handles, such as PacketVis's 418."""
    content: bytes = b""
    """JSON that makes it a POST, but one that only reads, such as a search with its filter in the body."""

    @property
    def identity(self) -> tuple[str, ...]:
        """The identity of a request."""
        return (self.path, *(f"{name}={value}" for name, value in self.params))


@dataclass(frozen=True, slots=True)
class TlsEndpoint:
    """The address to connect to and the name to expect there. `written`: as configured, unique in a target."""

    written: str
    server_name: str
    address: str
    port: int
    starttls: StartTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Wanted):
    """A TLS connection. It costs nothing of the vendor's budget."""

    to: TlsEndpoint
    client_certificate: tuple[str, str] | None = None
    """Paths of the certificate and the key to present."""

    @property
    def identity(self) -> tuple[str, ...]:
        """The identity of a probe."""
        return (self.to.written,)


Request = Get | Probe


def confirmed(emptied_at: float | None, every: float, due: float) -> float:
    """Return when to request a listing: when `due`, or soon after it suddenly became empty, to confirm that."""
    return due if emptied_at is None else emptied_at + min(_CONFIRM_AFTER, every)


@dataclass(frozen=True, slots=True)
class Response:
    """A vendor's response. `at`: epoch second when the request was sent, so that an age is never understated."""

    at: float
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers with lower-case names."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The result of a probe. For an unreachable endpoint the times are None and `reason` says why.

    `valid`: whether a client with the trusted roots would accept it now; None if unknown. `reason` is one of
    `PROBE_FAILURES` or "" on success, `detail` its explanation. Times are epoch seconds.
    """

    at: float
    not_after: float | None
    valid: bool | None
    reason: str = ""
    detail: str = ""
    chain_not_after: float | None = None
    """The earliest expiry in the chain that the server sent, its own certificate included."""
    issuer: str = ""
    serial: str = ""

    @property
    def seen(self) -> bool:
        """Whether the server sent a certificate, valid or not."""
        return self.not_after is not None


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a vendor's summary: `3 monitors down: shop, api, mail`. `bad`: needs attention."""

    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL or address that blackbox_exporter can probe too, with its labels.

    `labels` are names without the prefix `__meta_<collector>_`, and values, without the account.
    """

    address: str
    labels: tuple[tuple[str, str], ...] = ()


class Knowledge(Protocol):
    """A collector's knowledge of one target: a frozen dataclass of plain values, so that it can be stored.

    It survives a change of the target's settings as long as account and place stay the same: the collector drops what
    is no longer wanted and requests what is missing.
    """

    @property
    def as_of(self) -> float | None:
        """Time as of which the oldest status shown is valid, in epoch seconds; None while nothing is shown.

        The data of one endpoint or account group is shown as it arrives, without waiting for the others.
        """

    @property
    def round_at(self) -> float | None:
        """A value that changes when a round of statuses ends, such as its start; None before the first complete one."""

    @property
    def truncated(self) -> bool:
        """Whether something is missing: a page cap cut the last complete round, or a part of it keeps failing."""


class Collector(Protocol):
    """Four functions, and the knowledge of a target before its first response."""

    metrics: tuple[Metric, ...]
    """Every metric that `families` may yield, in the order of the page."""

    def start(self) -> Knowledge:
        """Return the empty knowledge before the first response."""

    def requests(self, knowledge: Any, now: float, failing: int = 0) -> Iterable[Request]:
        """Yield the requests wanted, now or later. The least urgent may be left out, the most urgent never.

        `failing` of them wait for another try: so many more must be yielded, or the others would have to wait too.
        """

    def update(self, knowledge: Any, request: Request, response: Response | Certificate) -> Knowledge:
        """Return the knowledge after a Get's Response or a Probe's Certificate. Raises Malformed if it is unusable."""

    def families(self, knowledge: Any, now: float) -> Iterable[Family]:
        """Yield the metrics, each once, the most important first: `series_limit` cuts from the end."""

    def figures(self, knowledge: Any, now: float) -> Iterable[Figure]:
        """Yield a summary of the vendor's data in words, the most important first."""


@runtime_checkable
class Discovering(Protocol):
    """A collector that supports service discovery."""

    def endpoints(self, knowledge: Any, now: float) -> Iterable[Endpoint]:
        """Yield the endpoints to probe, as of the last poll."""
