"""bridge.yml → frozen models, every problem of the file at once.

The receivers are the modules of `bridge.receivers`; a new one needs no registration here.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path

from pydantic import ByteSize, Field, ValidationError, ValidationInfo, field_validator

from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.receivers.contract import sender, senders
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit import starter, yaml_file
from exporter.toolkit.config_types import (
    ConfigError,
    Duration,
    Secret,
    Section,
    SectionList,
    located,
    problems,
    secret_keys,
)
from exporter.toolkit.flags import Address
from exporter.toolkit.http_settings import BaseUrl, HeaderSecret, HttpClientSettings, HttpUrl
from exporter.toolkit.lenient import objects_of

_FORMS = ("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")


class Confirm(HttpClientSettings):
    """How to confirm events with BigPanda. `url`: its API, by default where events go; `api_key`: a user's."""

    api_key: HeaderSecret
    interval: Duration = Field(300.0, gt=0)
    url: BaseUrl | None = None


class BigPanda(HttpClientSettings):
    """The destination of events, and the rate. `timeout`: seconds for one request."""

    url: HttpUrl = "https://api.bigpanda.io/data/v2/alerts"
    app_key: str = Field(min_length=1)
    token: HeaderSecret
    events_per_minute: float = Field(300.0, gt=0, allow_inf_nan=False)
    batch_size: int = Field(100, gt=0, le=1000)
    timeout: Duration = Field(10.0, gt=0)
    confirm: Confirm | None = None

    @field_validator("confirm")
    @classmethod
    def _asks_somewhere(cls, confirm: Confirm | None, info: ValidationInfo) -> Confirm | None:
        if confirm and confirm.url is None and "/data/" not in info.data.get("url", "/data/"):
            raise ValueError("url is missing: cannot be derived from bigpanda.url")
        return confirm


class Incidents(HttpClientSettings):
    """BigPanda's Incidents API. `api_key`: of a user whose roles may act on incidents; `timeout`: for one request."""

    url: BaseUrl = "https://api.bigpanda.io"
    api_key: HeaderSecret
    timeout: Duration = Field(10.0, gt=0)


class Config(Section):
    """The content of bridge.yml. `retention`: seconds of history; `max_body`: largest webhook in bytes."""

    database: Secret
    retention: Duration = Field(30 * 86400.0, gt=0)
    max_body: ByteSize = Field(ByteSize(64_000_000), gt=0)
    bigpanda: BigPanda
    incidents: Incidents | None = None
    receivers: tuple[ReceiverSettings, ...] = ()

    @field_validator("database")
    @classmethod
    def _known(cls, secret: Secret, info: ValidationInfo) -> Secret:
        """Check that it is a supported URL. It is a secret, because it may contain a password."""
        url = secret.read()
        if not url.startswith(_FORMS):
            raise ValueError("not a supported database: write sqlite:////path/to/bridge.db or postgresql://…")
        if url.startswith(_FORMS[0]) and url.removeprefix(_FORMS[0]).strip("/") in ("", ":memory:"):
            raise ValueError("must name a file: an in-memory database is lost with the process")
        if url.startswith(_FORMS[0]) and not url.startswith("sqlite:////"):
            # A command run in another directory would create an empty database there.
            return Secret(f"{_FORMS[0]}{located(url.removeprefix(_FORMS[0]), info).absolute()}")
        return secret

    @property
    def alertmanagers(self) -> list[AlertmanagerSettings]:
        """Return the Alertmanager receivers."""
        return [one for one in self.receivers if isinstance(one, AlertmanagerSettings)]

    @cached_property
    def by_source(self) -> Mapping[tuple[str, str], ReceiverSettings]:
        """Return every receiver by (receiver, source)."""
        return {(one.receiver, one.source): one for one in self.receivers}

    @property
    def silencing(self) -> frozenset[tuple[str, str]]:
        """Return which sources of incidents silence alerts in which Alertmanager."""
        return frozenset(
            (one.source, one.silences.alertmanager)
            for one in self.receivers
            if isinstance(one, BigPandaSettings) and one.silences
        )

    @property
    def destination(self) -> str:
        """Return the destination's name in the outbox, without its URL, which may contain a token."""
        return hashlib.blake2b(self.bigpanda.url.encode(), digest_size=8).hexdigest()


def starter_for(names: Sequence[str]) -> str:
    """Return a first bridge.yml for these senders. Raises ConfigError for an unknown one."""
    chosen = starter.chosen("receiver", names, senders())
    paths = "starter.yml", *(f"receivers/starter/{name}.yml" for name in chosen)
    head, *sections = (resources.files("bridge").joinpath(path).read_text(encoding="utf-8") for path in paths)
    return head + "\n" + starter.listed("receivers", sections)


def load(path: Path) -> Config:
    """Read and check bridge.yml. Raises ConfigError, one line for each problem: its path in the file, the reason."""
    return yaml_file.load(path, read)


def load_for(path: Path, addresses: Iterable[Address]) -> Config:
    """Read and check bridge.yml for a bridge that listens on these addresses. Raises ConfigError with every problem."""
    config = load(path)
    if found := unauthenticated(config, [host for host, _ in addresses]):
        raise ConfigError(found)
    return config


def read(content: object, folder: Path = Path()) -> Config:
    """Check the content of a bridge.yml in `folder`. Raises ConfigError with one line for each problem."""
    if not isinstance(content, Mapping):
        raise ConfigError(["file: not a mapping: must begin with database:"])
    ground = {key: value for key, value in content.items() if key != "receivers"}
    listed = SectionList("receivers", "receiver", "source", senders(), lambda name: sender(name).Settings)
    receivers, found = listed.read(content.get("receivers"), folder)
    try:
        checked = Config.model_validate(ground, context={"folder": folder})
    except ValidationError as error:
        secrets = frozenset().union(*(secret_keys(one) for one in (Config, BigPanda, Confirm, Incidents)))
        raise ConfigError([*problems(error, secrets), *found]) from None
    # Also those of a receiver with problems of its own: its source would be missing only as a consequence.
    known = [one.get("source") for one in objects_of(content.get("receivers")) if one.get("receiver") == "alertmanager"]
    found += [
        f"receivers: bigpanda {one.source}: silences.sources: no alertmanager receiver has the source {source}"
        for one in receivers
        if isinstance(one, BigPandaSettings) and one.silences
        for source in one.silences.sources or ()
        if source not in known
    ]
    if found:
        raise ConfigError(found)
    default = {"app_key": checked.bigpanda.app_key}
    whole = (one if one.app_key else one.model_copy(update=default) for one in receivers)
    return checked.model_copy(update={"receivers": tuple(whole)})


def unauthenticated(config: Config, hosts: Iterable[str]) -> list[str]:
    """Return why the bridge must not start: receivers without credentials on an address that others can reach."""
    exposed = []
    for host in hosts:
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback:
            exposed.append(host)
    if not exposed:
        return []
    return [
        f"receivers[{index}]: {receiver.receiver}/{receiver.source} has no credentials and {exposed[0]} is not "
        "loopback: give it credentials, or set allow_unauthenticated: true"
        for index, receiver in enumerate(config.receivers)
        if not receiver.allow_unauthenticated and not receiver.credentials()
    ]
