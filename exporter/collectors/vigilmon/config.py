"""What a target of `collector: vigilmon` has in exporter.yml."""

from typing import ClassVar

from pydantic import Field

from exporter.collectors.settings import ApiSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import HttpUrl


class Settings(ApiSettings):
    """One API token. The vendor allows 60 requests a minute per token; ten of them are left to others by default."""

    most_requests_per_minute: ClassVar[float] = 60.0
    base_url: HttpUrl = "https://vigilmon.online/api/v1"
    poll_interval: Duration = Field(30.0, gt=0)
    """How often each page of statuses is asked for, as long as `status_share` allows it."""
    requests_per_minute: float = Field(50.0, gt=0, allow_inf_nan=False)
    page_parameter: str = Field("page", min_length=1)
    """The vendor documents pages but not the parameter's name."""
    max_pages: int = Field(500, gt=0)
    uptime_interval: Duration = Field(300.0, gt=0)
    """How often a monitor's uptime is wanted; uptime moves slowly."""
    incidents_interval: Duration = Field(6 * 3600.0, gt=0)
    """How often the incidents of a monitor are wanted that neither changed nor is down."""
    down_interval: Duration = Field(180.0, gt=0)
    """How often the incidents of a monitor are wanted that is down."""
    status_share: float = Field(0.9, gt=0, le=0.95)
    """At most this share of the budget goes into statuses, or a large account would never hear of its uptimes."""
    certificates: bool = True
    certificate_interval: Duration = Field(3600.0, gt=0)
    certificate_retry_interval: Duration = Field(300.0, gt=0)
