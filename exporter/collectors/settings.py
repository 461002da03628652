"""What every target has in exporter.yml, whatever its vendor."""

import ssl
from typing import ClassVar

from pydantic import Field, field_validator

from exporter.toolkit.config_types import Duration, Secret
from exporter.toolkit.http_settings import HttpClientSettings, HttpUrl


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


class TargetSettings(HttpClientSettings):
    """One target. A vendor's `Settings` adds its own keys and sets the defaults, in its folder's `config.py`.

    The `ClassVar`s are the vendor's advice and documented limits: going beyond them is allowed, with a warning.
    """

    shortest_poll_interval: ClassVar[float] = 0.0
    """Seconds; the vendor asks not to poll faster."""
    most_requests_per_minute: ClassVar[float] = float("inf")
    """The vendor's documented limit."""
    paces: ClassVar[frozenset[str]] = frozenset()
    """Keys of the vendor's own that say how often or how much is asked, not what: what is stored outlives a change."""

    collector: str
    account: str = Field(min_length=1)
    poll_interval: Duration = Field(60.0, gt=0)
    timeout: Duration = Field(10.0, gt=0)
    max_age: Duration = Field(300.0, gt=0)
    requests_per_minute: float = Field(60.0, gt=0, allow_inf_nan=False)
    series_limit: int = Field(100_000, gt=0)

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
