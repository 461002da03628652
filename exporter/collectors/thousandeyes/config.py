"""The settings of a ThousandEyes target in exporter.yml."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from exporter.collectors.lenient_json import text_of
from exporter.collectors.settings import ApiSettings, all_or_listed
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import BaseUrl

Id = Annotated[str, BeforeValidator(lambda value: text_of(value) or value), Field(pattern=r"^[A-Za-z0-9_-]+$")]
"""A vendor's id; YAML reads an unquoted one as a number."""


class Settings(ApiSettings):
    """One ThousandEyes organisation, as visible to one user's token."""

    most_requests_per_minute: ClassVar[float] = 240.0

    base_url: BaseUrl = "https://api.thousandeyes.com/v7"
    account_groups: tuple[Id, ...] = ()
    test_results: Annotated[tuple[Id, ...] | None, all_or_listed("test ids")] = ()
    """None: all."""
    result_types: tuple[Literal["http", "network", "bgp", "dns"], ...] = Field(("http",), min_length=1)
    agents: bool = True
    agents_interval: Duration = Field(600.0, gt=0)
    cleared_window: Duration | None = Field(None, ge=60)
    usage: bool = True
    outages: bool = False
    max_pages: int = Field(50, gt=0)

    @field_validator("account_groups", "test_results")
    @classmethod
    def _once(cls, value: Any) -> Any:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("an id is given twice")
        return value

    def groups(self) -> tuple[str, ...]:
        """Return the account groups to request; "" is the token's own."""
        return self.account_groups or ("",)
