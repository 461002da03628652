"""The settings common to every receiver in bridge.yml."""

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ByteSize, Field, ValidationInfo, field_validator

from bridge.domain.alert import Alert
from bridge.domain.event import DEFAULT_STATUSES, EventMapping
from bridge.domain.notification import Notification
from exporter.toolkit.config_types import Duration, Secret, Section, fold_files
from exporter.toolkit.http_settings import HEADER_NAME, HeaderSecret, HttpClientSettings

BigPandaStatus = Literal["critical", "warning", "unknown", "acknowledged", "none"]
"""The possible mappings of a severity; `none`: not sent."""


class ReceiverSettings(Section):
    """One receiver. A sender's `Settings`, in its module of `bridge.receivers`, adds its own keys.

    `app_key` defaults to that of `bigpanda`. `resolve_after`: seconds of silence after which an alert is resolved; 0:
    never.
    """

    needs_all: ClassVar[bool] = False
    """Whether a request must have every credential instead of any one."""
    severities: ClassVar[Mapping[str, BigPandaStatus]] = {}
    """The sender's own severities, in lower case, and those that do not mean what they usually do."""

    receiver: str
    source: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    app_key: str | None = Field(None, min_length=1)
    statuses: dict[str, BigPandaStatus] = Field(default_factory=dict)
    primary_property: tuple[str, ...] = ("host", "instance", "monitor", "service", "job")
    update_interval: Duration = Field(900.0, ge=0)
    resolve_after: Duration = Field(0.0, ge=0)
    allow_unauthenticated: bool = False

    @field_validator("statuses")
    @classmethod
    def _fold_severities(cls, statuses: dict[str, BigPandaStatus]) -> dict[str, BigPandaStatus]:
        folded = {severity.lower(): status for severity, status in statuses.items()}
        if len(folded) < len(statuses):
            raise ValueError("duplicate severity: upper and lower case are the same")
        return folded

    @property
    def mapping(self) -> EventMapping:
        """Return the mapping of its alerts to events."""
        statuses = {**DEFAULT_STATUSES, **self.severities, **self.statuses}
        return EventMapping(app_key=self.app_key or "", statuses=statuses, primary_property=self.primary_property)

    def notification(self, **parts: Any) -> Notification:
        """Return a notification of this receiver."""
        return Notification(
            receiver=self.receiver,
            source=self.source,
            mapping=self.mapping,
            update_interval=self.update_interval,
            note_heard=self.resolve_after > 0,
            **parts,
        )

    def correction(self, alert: Alert, updated_at: float | None, *, resend: bool = False) -> Notification:
        """Return a correction of our own, void unless the state is still that of `updated_at` (None: unknown alert)."""
        return self.notification(alerts=(alert,), if_unmodified={alert.key: updated_at}, resend=resend)

    def alert(self, key: str, **parts: Any) -> Alert:
        """Return an alert of this receiver. `key`: the sender's key, without the source."""
        return Alert(receiver=self.receiver, source=self.source, key=f"{self.source}:{key}", **parts)

    @property
    def lapses(self) -> Mapping[str, float]:
        """Seconds of silence after which alerts are resolved, by name, for senders that report no resolution."""
        return {}

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of which a request must have one (`needs_all`: each), as (name, whole value).

        Empty: anyone may send. Read at every request, so that a rotated secret applies at once.
        """
        return ()


class HttpCredentials(Section):
    """A bearer token, or a user and a password, as `Authorization` carries them."""

    bearer_token: HeaderSecret | None = None
    username: str | None = Field(None, min_length=1)
    password: Secret | None = Field(None, validate_default=True)

    # Not of the model: that would check it only once every key is valid.
    @field_validator("password")
    @classmethod
    def _whole(cls, password: Secret | None, info: ValidationInfo) -> Secret | None:
        if "username" in info.data and (info.data["username"] is None) != (password is None):
            raise ValueError("username and password belong together: give both or neither")
        return password

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the accepted values of `Authorization`."""
        found = []
        if self.bearer_token is not None:
            found.append(("Authorization", f"Bearer {self.bearer_token.read()}"))
        if self.username is not None and self.password is not None:
            pair = f"{self.username}:{self.password.read()}".encode()
            found.append(("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
        return tuple(found)


class HeaderCredentials(Section):
    """Headers of any name; `NAME_file: PATH` reads one."""

    headers: dict[str, HeaderSecret] = Field(default_factory=dict)

    @field_validator("headers", mode="before")
    @classmethod
    def _read_files(cls, headers: Any, info: ValidationInfo) -> Any:
        if not isinstance(headers, Mapping):
            return headers
        return fold_files(headers, frozenset(str(name).removesuffix("_file") for name in headers), info)

    @field_validator("headers")
    @classmethod
    def _arrives(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        """Check that a request can carry all of them."""
        for name in headers:
            if not HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid header name")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("duplicate header: upper and lower case are the same")
        return headers

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the headers with their values."""
        return tuple((name, secret.read()) for name, secret in self.headers.items())


class AlertmanagerClientSettings(HttpCredentials, HeaderCredentials, HttpClientSettings):
    """Connection settings of an Alertmanager. `max_response`: largest response in bytes.

    `headers`: sent with every request, such as the tenant of Mimir, or the token of a proxy.
    """

    max_response: ByteSize = Field(ByteSize(64_000_000), gt=0)

    @field_validator("username")
    @classmethod
    def _one(cls, username: str | None, info: ValidationInfo) -> str | None:
        if username is not None and info.data.get("bearer_token") is not None:
            raise ValueError("give bearer_token or username and password, not both")
        return username

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of every request."""
        return (*HttpCredentials.credentials(self), *HeaderCredentials.credentials(self))


class HttpAuthSettings(HttpCredentials, ReceiverSettings):
    """A receiver whose sender authenticates with a bearer token, or with a user and a password."""
