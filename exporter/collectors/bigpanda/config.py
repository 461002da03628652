"""The settings of a BigPanda target in exporter.yml."""

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from exporter.collectors.settings import ApiSettings, all_or_listed
from exporter.toolkit.http_settings import BaseUrl

Name = Annotated[str, Field(min_length=1)]


class Settings(ApiSettings):
    """One BigPanda organisation, as visible to one user's API key."""

    most_requests_per_minute: ClassVar[float] = 300.0
    """5 per second and endpoint; nearly all requests go to the same one."""

    base_url: BaseUrl = "https://api.bigpanda.io"
    environments: Annotated[tuple[Name, ...] | None, all_or_listed("environments")] = None
    """None: all."""
    max_pages: int = Field(100, gt=0)
    page_size: int = Field(100, gt=0)
    """Of incidents and plans; the vendor's limit is not documented."""

    @field_validator("environments")
    @classmethod
    def _some_and_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError("give at least one environment, or all")
        if value and len(set(value)) < len(value):
            raise ValueError("an environment is given twice")
        return value
