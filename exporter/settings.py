"""What every target has in exporter.yml, whatever its vendor."""

from typing import ClassVar

from pydantic import Field

from exporter.notation import Duration, Secret, Section


class TargetSettings(Section):
    """One target. A vendor's `Settings` adds its own keys and sets the defaults, in its folder's `config.py`.

    The `ClassVar`s are the vendor's advice and documented limits: going beyond them is allowed, with a warning.
    """

    shortest_poll_interval: ClassVar[float] = 0.0
    """Seconds; the vendor asks not to poll faster."""
    most_requests_per_minute: ClassVar[float] = float("inf")
    """The vendor's documented limit."""

    collector: str
    account: str = Field(min_length=1)
    poll_interval: Duration = Field(60.0, gt=0)
    timeout: Duration = Field(10.0, gt=0)
    max_age: Duration = Field(300.0, gt=0)
    requests_per_minute: float = Field(60.0, gt=0)
    series_limit: int = Field(100_000, gt=0)
    ca_file: str | None = None
    proxy_url: Secret | None = None

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

    base_url: str = Field(pattern=r"^https?://")
    token: Secret

    def url(self) -> str:
        """Return the configured base URL."""
        return self.base_url

    def bearer(self) -> Secret:
        """Return the configured token."""
        return self.token
