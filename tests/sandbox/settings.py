"""The settings: credentials, limits, and behaviour where a vendor's documents are silent or disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Vigilmon:
    """`window` is "sliding" or "fixed"; Retry-After is not documented, so it is not sent unless asked for."""

    token: str = "vtk_sandbox"
    per_minute: int = 60
    window: str = "sliding"
    send_retry_after: bool = False
    webhook_throttle_seconds: float = 0
    """The vendor sends at most one alert per incident and channel in 300 s; 0 loses none."""


@dataclass(slots=True)
class ThousandEyes:
    """`page_size` is the vendor's choice; `max` can only make a page smaller."""

    token: str = "te-sandbox-token"
    per_minute: int = 240
    unauthorized_per_minute: int = 100
    page_size: int = 50
    send_retry_after: bool = False


@dataclass(slots=True)
class PacketVis:
    """Names of the parameters are not published; `key` and `org` are this sandbox's choice."""

    key: str = "pv-sandbox-key"
    org: str = "sandbox"
    per_minute: int = 0


@dataclass(slots=True)
class BigPanda:
    """`app_keys` empty: any is known. 0 means no limit."""

    org_token: str = "bp-sandbox-org-token"
    user_key: str = "bp-sandbox-user-key"
    app_keys: list[str] = field(default_factory=list)
    alerts_per_second: int = 0
    alerts_per_minute: int = 0
    resources_per_second: int = 5
    send_retry_after: bool = False
    max_body_bytes: int = 6_000_000
    too_large_status: int = 413
    bad_item_spoils_batch: bool = True
    drops_one_in: int = 0
    """Every n-th new event is answered 201 and dropped; only the diagnostics show it."""
    shows_integration_alerts: bool = True
    """Whether a user may read the processed alerts and the diagnostics; 403 otherwise."""
    strict_old_dedup: bool = False
    """The old rule: same app_key, timestamp and identity is dropped even if the status differs."""
    reopen_seconds: float = 48 * 3600
    correlate_by: str = ""
    """Name of a tag: active alerts with the same value share an incident. Empty: one incident per alert."""
    capitalised: bool = False
    """Write "Critical" instead of "critical"; the vendor's examples do both."""
    callback_timeout_seconds: float = 300
    share_automatically: bool = False


@dataclass(slots=True)
class Settings:
    """`backoff_scale` multiplies every wait between two tries of an outbound webhook."""

    vigilmon: Vigilmon = field(default_factory=Vigilmon)
    thousandeyes: ThousandEyes = field(default_factory=ThousandEyes)
    packetvis: PacketVis = field(default_factory=PacketVis)
    bigpanda: BigPanda = field(default_factory=BigPanda)
    backoff_scale: float = 1.0

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set `{"vigilmon": {"per_minute": 10}, "backoff_scale": 0.01}`. Raises ValueError for an unknown name."""
        for name, value in changes.items():
            if name not in Settings.__slots__:
                raise ValueError(f"no such setting: {name}")
            if isinstance(value, Mapping):
                self._change_vendor(name, value)
            else:
                setattr(self, name, value)

    def _change_vendor(self, vendor: str, values: Mapping[str, Any]) -> None:
        section = getattr(self, vendor)
        for name, value in values.items():
            if not hasattr(section, name):
                raise ValueError(f"no such setting: {vendor}.{name}")
            setattr(section, name, value)
