"""What every target has in exporter.yml, whatever its vendor."""

import math
import re
import ssl
from typing import ClassVar, Final
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from exporter.toolkit.config_types import Duration, Secret, Section

POLLS_MISSED: Final = 3
"""So many polls in a row may fail before series are withdrawn, unless `max_age` is configured."""
_URL = re.compile(r"https?://[^\s]+", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Tell whether `text` is an http or https URL with a host and, if any, a port that there is."""
    try:
        return bool(_URL.fullmatch(text) and urlsplit(text).hostname and urlsplit(text).port != 0)
    except ValueError:
        return False


class TargetSettings(Section):
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
    ca_file: str | None = None
    proxy_url: Secret | None = None

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

    @field_validator("ca_file")
    @classmethod
    def _holds_authorities(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            ssl.create_default_context(cafile=value)
        except ssl.SSLError as error:
            raise ValueError(f"{value} holds no certificate in PEM form") from error
        except OSError as error:
            raise ValueError(f"cannot read {value}: {error.strerror}") from error
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
        if self.requests_per_minute > self.most_requests_per_minute:
            found.append(f"requests_per_minute: the vendor allows {self.most_requests_per_minute:g}")
        return found


class ApiSettings(TargetSettings):
    """A target with a base URL and a bearer token."""

    base_url: str
    token: Secret

    @field_validator("base_url")
    @classmethod
    def _leads_somewhere(cls, value: str) -> str:
        if not is_url(value):
            raise ValueError("not a URL: it begins with https:// and a host")
        if "@" in urlsplit(value).netloc:
            raise ValueError("give no user name or password: the token is what is sent")
        return value

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
