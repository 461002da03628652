"""What every target has in exporter.yml, whatever its vendor."""

import math
import ssl
from typing import Any, ClassVar, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from exporter.toolkit.config_types import Duration, Secret
from exporter.toolkit.http_settings import HttpClientSettings, HttpUrl

MINUTE: Final = 60.0
POLLS_MISSED: Final = 3
"""So many polls in a row may fail before series are withdrawn, unless `max_age` is configured."""


def check_key_pair(cert_file: str, key_file: str) -> None:
    """Raise ValueError unless the files hold a certificate and its key, in PEM form and unencrypted."""
    try:
        # Without a password of ours OpenSSL would ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError as error:
        raise ValueError(
            f"{cert_file} and {key_file} hold no certificate and its unencrypted key in PEM form"
        ) from error
    except OSError as error:
        raise ValueError(f"cannot read {cert_file} or {key_file}: {error.strerror}") from error


def all_or_listed(what: str) -> BeforeValidator:
    """Return what reads `all` as None, and else wants a list: a union of the two would tell each mistake twice."""

    def read(value: Any) -> Any:
        if value != "all" and not isinstance(value, list | tuple):
            raise ValueError(f"give a list of {what}, or all")
        return None if value == "all" else value

    return BeforeValidator(read)


class TargetSettings(HttpClientSettings):
    """One target. A vendor's `Settings` adds its own keys and sets the defaults, in its folder's `config.py`.

    The `ClassVar`s are the vendor's advice and documented limits: going beyond them is allowed, with a warning.
    """

    shortest_poll_interval: ClassVar[float] = 0.0
    """Seconds; the vendor asks not to poll faster."""
    most_requests_per_minute: ClassVar[float] = float("inf")
    """The vendor's documented limit."""
    shortest_max_age: ClassVar[float] = 300.0
    """Seconds; the default of `max_age` is no shorter."""

    collector: str
    account: str = Field(min_length=1)
    poll_interval: Duration = Field(60.0, gt=0)
    timeout: Duration = Field(10.0, gt=0)
    max_age: Duration = Field(math.nan, gt=0, validate_default=True)
    """Unless configured `shortest_max_age`, or three polls where the interval is longer."""
    requests_per_minute: float = Field(60.0, gt=0, allow_inf_nan=False)
    series_limit: int = Field(100_000, gt=0)

    @field_validator("max_age", mode="before")
    @classmethod
    def _follows_the_interval(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, float) and math.isnan(value):
            return max(cls.shortest_max_age, POLLS_MISSED * info.data.get("poll_interval", 0.0))
        return value

    @field_validator("max_age")
    @classmethod
    def _outlives_the_interval(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("poll_interval", 0.0):
            raise ValueError("must be longer than poll_interval: series would be withdrawn between two polls")
        return value

    @field_validator("requests_per_minute")
    @classmethod
    def _polls_within_max_age(cls, value: float, info: ValidationInfo) -> float:
        if value * info.data.get("max_age", math.inf) < MINUTE:
            raise ValueError("less than one request within max_age: series would be withdrawn between two polls")
        return value

    def url(self) -> str | Secret | None:
        """Return the base URL of the vendor's API: a `Secret` where it is one, None where nothing is got."""
        return None

    def bearer(self) -> Secret | None:
        """Return what goes into `Authorization: Bearer …`, if anything does."""
        return None

    def warnings(self) -> list[str]:
        """Return what goes against the vendor's advice or limits, a line each, naming the key."""
        found = []
        if self.poll_interval < self.shortest_poll_interval:
            found.append(f"poll_interval: the vendor advises {self.shortest_poll_interval:g} s or more")
        if self.max_age < 2 * self.poll_interval:
            found.append("max_age: less than two poll intervals: a single poll that fails withdraws the series")
        if self.timeout > self.max_age:
            found.append("timeout: longer than max_age: one request that hangs withdraws the series")
        if self.requests_per_minute > self.most_requests_per_minute:
            found.append(f"requests_per_minute: the vendor allows {self.most_requests_per_minute:g}")
        return found


class ApiSettings(TargetSettings):
    """A target with a base URL and a bearer token."""

    base_url: HttpUrl
    token: Secret

    @field_validator("token")
    @classmethod
    def _fits_into_a_header(cls, value: Secret) -> Secret:
        if not value.read().isascii() or not value.read().isprintable():
            raise ValueError("holds a character that no token has: letters, digits and punctuation of ASCII only")
        return value

    def url(self) -> str:
        """Return the configured base URL."""
        return self.base_url

    def bearer(self) -> Secret:
        """Return the configured token."""
        return self.token
