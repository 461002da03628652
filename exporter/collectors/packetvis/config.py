"""The settings of a PacketVis target in exporter.yml."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator

from exporter.collectors.lenient_json import count_of
from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Duration, Secret
from exporter.toolkit.http_settings import is_url

DOCUMENTED_TYPES = (
    *("hijack", "visibility", "misconfiguration", "newprefix", "neighbors"),
    *("rpki-invalid", "rpki-unknown", "rpki-disappear"),
    *("roa-diff", "roa-expire", "ta-expire", "ta-malfunction"),
)
"""The types that the vendor documents; there may be others."""
DEFAULT_WARNING_MINUTES = 10
"""The vendor's default if the URL has none."""


class Settings(TargetSettings):
    """One PacketVis account: the URL from its API wizard, which contains key and organisation."""

    shortest_poll_interval: ClassVar[float] = 120.0
    shortest_max_age: ClassVar[float] = 600.0

    poll_interval: Duration = Field(120.0, gt=0)
    address: Secret = Field(alias="url")
    severity: int | None = Field(None, ge=1, le=4)
    types: tuple[Annotated[str, Field(pattern=r"^[^,\s]+$")], ...] = ()
    warning_minutes: int | None = Field(None, gt=0, le=1_000_000)
    unknown_types: Literal["keep", "other"] = "keep"

    @field_validator("address")
    @classmethod
    def _is_url(cls, value: Secret) -> Secret:
        if not is_url(value.read()) or "@" in urlsplit(value.read()).netloc:
            raise ValueError("must be the whole URL of the API wizard, with https://")
        return value

    def url(self) -> Secret:
        """Return the wizard's URL, all of which is secret."""
        return self.address

    def params(self) -> tuple[tuple[str, str], ...]:
        """Return the configured parameters; they replace those of the URL."""
        given = {"severity": self.severity, "types": ",".join(self.types) or None, "warning": self.warning_minutes}
        return tuple((name, str(value)) for name, value in given.items() if value is not None)

    def window(self) -> float:
        """Return how many seconds a notification keeps the warning on, as far as the configuration shows."""
        of_url = count_of(self._of_url().get("warning"))
        return 60.0 * (self.warning_minutes or of_url or DEFAULT_WARNING_MINUTES)

    def warnings(self) -> list[str]:
        """Return the settings that go against the vendor's advice, could miss a warning, or contradict the URL."""
        found = super().warnings()
        if self.poll_interval >= self.window():
            found.append(f"poll_interval: a warning lasts {self.window():g} s and can begin and end between two polls")
        of_url = self._of_url()
        found += [
            f"{key}: replaces the other {name}= of the URL"
            for name, key in (("severity", "severity"), ("types", "types"), ("warning", "warning_minutes"))
            if name in of_url and of_url[name] != dict(self.params()).get(name, of_url[name])
        ]
        if of_url.get("status", "").lower() == "true":
            found.append("url: contains status=true: PacketVis answers 418 while it warns, which proxies may break")
        unknown = [name for name in self.types if name not in DOCUMENTED_TYPES]
        return found + [f"types: {name} is not one of the vendor's documented types" for name in unknown]

    def _of_url(self) -> dict[str, str]:
        """Return the parameters of the wizard's URL. Some are secret: only the documented four may be shown."""
        return dict(parse_qsl(urlsplit(self.address.read()).query))
