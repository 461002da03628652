"""The settings common to every target in exporter.yml."""

import math
from typing import Any, ClassVar, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from exporter.toolkit.config_types import Duration, Secret
from exporter.toolkit.http_settings import BaseUrl, HeaderSecret, HttpClientSettings

MINUTE: Final = 60.0
POLLS_MISSED: Final = 3
"""Consecutive polls that may fail before series are withdrawn, unless `max_age` allows more."""


def all_or_listed(what: str) -> BeforeValidator:
    """Return a validator that reads `all` as None and else requires a list: a union would report mistakes twice."""

    def read(value: Any) -> Any:
        if value != "all" and not isinstance(value, list | tuple):
            raise ValueError(f"give a list of {what}, or all")
        return None if value == "all" else value

    return BeforeValidator(read)


class TargetSettings(HttpClientSettings):
    """One target. A vendor's `Settings` adds its own keys and sets the defaults, in its folder's `config.py`.

    The `ClassVar`s are the vendor's advice and documented limits; exceeding them is allowed, with a warning.
    """

    shortest_poll_interval: ClassVar[float] = 0.0
    """Shortest interval in seconds that the vendor advises."""
    most_requests_per_minute: ClassVar[float] = float("inf")
    """The vendor's documented limit."""
    shortest_max_age: ClassVar[float] = 300.0
    """Smallest default of `max_age`, in seconds."""

    collector: str
    account: str = Field(min_length=1)
    poll_interval: Duration = Field(60.0, gt=0)
    timeout: Duration = Field(10.0, gt=0)
    max_age: Duration = Field(math.nan, validate_default=True)
    """Default: `shortest_max_age`, or three poll intervals if that is longer."""
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

    def max_age_of(self, every: float) -> float:
        """Return how many seconds old data may become that is polled every `every` seconds."""
        return max(self.max_age, POLLS_MISSED * every)

    def shows(self, at: float | None, now: float, every: float = 0.0) -> bool:
        """Return whether data as of `at` that is polled every `every` seconds may still be shown."""
        return at is not None and now - at <= self.max_age_of(every)

    def url(self) -> str | Secret | None:
        """Return the base URL of the vendor's API: a `Secret` if it is one, None if there are no requests."""
        return None

    def bearer(self) -> Secret | None:
        """Return the token for `Authorization: Bearer …`, if any."""
        return None

    def credentials(self) -> str:
        """Return what the vendor knows this target by at present: its token, or its URL if that holds the key."""
        known = self.bearer() or self.url() or ""
        return known.read() if isinstance(known, Secret) else known

    def warnings(self) -> list[str]:
        """Return one line for each setting that goes against the vendor's advice or limits, naming the key."""
        found = []
        if self.poll_interval < self.shortest_poll_interval:
            found.append(f"poll_interval: the vendor advises {self.shortest_poll_interval:g} s or more")
        if self.max_age < 2 * self.poll_interval:
            found.append("max_age: less than two poll intervals: a single failed poll withdraws the series")
        if self.timeout > self.max_age:
            found.append("timeout: longer than max_age: a single hanging request withdraws the series")
        if self.requests_per_minute > self.most_requests_per_minute:
            found.append(f"requests_per_minute: the vendor allows {self.most_requests_per_minute:g}")
        return found


class ApiSettings(TargetSettings):
    """A target with a base URL and a bearer token."""

    base_url: BaseUrl
    token: HeaderSecret

    def url(self) -> str:
        """Return the configured base URL."""
        return self.base_url

    def bearer(self) -> Secret:
        """Return the configured token."""
        return self.token
