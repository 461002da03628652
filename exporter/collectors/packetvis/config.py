"""What a PacketVis target has in exporter.yml."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from exporter.collectors.settings import TargetSettings, is_url
from exporter.toolkit.config_types import Duration, Secret

DOCUMENTED_TYPES = frozenset(
    {
        "hijack",
        "visibility",
        "misconfiguration",
        "newprefix",
        "neighbors",
        "rpki-invalid",
        "rpki-unknown",
        "rpki-disappear",
        "roa-diff",
        "roa-expire",
        "ta-expire",
        "ta-malfunction",
    }
)
"""The vendor's list; an open one."""
DEFAULT_WARNING_MINUTES = 10
"""What the vendor takes when the URL says nothing."""


class Settings(TargetSettings):
    """One account of PacketVis: the URL that its API wizard prints, which carries key and organisation."""

    shortest_poll_interval: ClassVar[float] = 120.0
    shortest_max_age: ClassVar[float] = 600.0

    poll_interval: Duration = Field(120.0, gt=0)
    address: Secret = Field(alias="url")
    severity: int | None = Field(None, ge=1, le=4)
    types: tuple[Annotated[str, Field(pattern=r"^[^,\s]+$")], ...] = ()
    warning_minutes: int | None = Field(None, gt=0)
    unknown_types: Literal["keep", "other"] = "keep"

    @field_validator("address")
    @classmethod
    def _is_url(cls, value: Secret) -> Secret:
        if not is_url(value.read()):
            raise ValueError("must be the whole URL of the API wizard, with https://")
        return value

    def url(self) -> Secret:
        """Return the wizard's URL, which is a secret as a whole."""
        return self.address

    def params(self) -> tuple[tuple[str, str], ...]:
        """Return the documented parameters that are configured; they replace those of the URL."""
        given = {
            "severity": self.severity,
            "types": ",".join(self.types) or None,
            "warning": self.warning_minutes,
        }
        return tuple((name, str(value)) for name, value in given.items() if value is not None)

    def warnings(self) -> list[str]:
        """Return what goes against the vendor's advice, or would let a warning pass unseen."""
        found = super().warnings()
        window = 60.0 * (self.warning_minutes or DEFAULT_WARNING_MINUTES)
        if self.poll_interval >= window:
            found.append(f"poll_interval: a warning lasts {window:g} s and can begin and end between two polls")
        found += [
            f"types: {name} is none of the vendor's documented types"
            for name in self.types
            if name not in DOCUMENTED_TYPES
        ]
        return found
