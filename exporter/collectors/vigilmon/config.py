"""The settings of a `collector: vigilmon` target in exporter.yml."""

from typing import ClassVar

from pydantic import Field

from exporter.collectors.settings import ApiSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import BaseUrl


class Settings(ApiSettings):
    """One API token. The vendor allows 60 requests a minute per token; the default leaves ten to others.

    It documents paging but not the name of the page parameter. See README.md for the intervals and shares.
    """

    most_requests_per_minute: ClassVar[float] = 60.0
    base_url: BaseUrl = "https://vigilmon.online/api/v1"
    poll_interval: Duration = Field(30.0, gt=0)
    requests_per_minute: float = Field(50.0, gt=0, allow_inf_nan=False)
    page_parameter: str = Field("page", min_length=1)
    max_pages: int = Field(500, gt=0)
    uptime_interval: Duration = Field(300.0, gt=0)
    incidents_interval: Duration = Field(6 * 3600.0, gt=0)
    down_interval: Duration = Field(180.0, gt=0)
    status_share: float = Field(0.9, gt=0, le=0.95)
    certificates: bool = True
    certificate_interval: Duration = Field(3600.0, gt=0)
    certificate_retry_interval: Duration = Field(300.0, gt=0)
