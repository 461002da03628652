"""What a BigPanda target has in exporter.yml."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from exporter.collectors.settings import ApiSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import HttpUrl


def _all_or_listed(value: Any) -> Any:
    """Return None for `all`: a union of the two would tell each mistake twice."""
    if value != "all" and not isinstance(value, list | tuple):
        raise ValueError("give a list of environments, or all")
    return None if value == "all" else value


class Settings(ApiSettings):
    """One organisation of BigPanda, as far as the roles of one user's API key reach."""

    most_requests_per_minute: ClassVar[float] = 300.0
    """5 per second and endpoint; nearly all requests go to one."""

    base_url: HttpUrl = "https://api.bigpanda.io"
    poll_interval: Duration = Field(60.0, gt=0)
    environments: Annotated[tuple[Annotated[str, Field(min_length=1)], ...] | None, BeforeValidator(_all_or_listed)] = (
        None
    )
    """None: all."""
    max_pages: int = Field(100, gt=0)

    @field_validator("environments")
    @classmethod
    def _some_and_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        if not value:
            raise ValueError("give at least one environment, or all")
        if len(set(value)) < len(value):
            raise ValueError("an environment is given twice")
        return value
