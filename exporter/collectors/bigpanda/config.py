"""What a BigPanda target has in exporter.yml."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from exporter.notation import Duration
from exporter.settings import ApiSettings


class Settings(ApiSettings):
    """One organisation of BigPanda, as far as the roles of one user's API key reach."""

    most_requests_per_minute: ClassVar[float] = 300.0
    """5 per second and endpoint; nearly all requests go to one."""

    base_url: str = Field("https://api.bigpanda.io", pattern=r"^https?://")
    poll_interval: Duration = Field(60.0, gt=0)
    environments: Literal["all"] | tuple[Annotated[str, Field(min_length=1)], ...] = "all"
    max_pages: int = Field(100, gt=0)

    @field_validator("environments")
    @classmethod
    def _some_and_once(cls, value: Literal["all"] | tuple[str, ...]) -> Literal["all"] | tuple[str, ...]:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("an environment is given twice")
        if not value:
            raise ValueError("give at least one environment, or all")
        return value
