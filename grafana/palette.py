"""Colours that colour-blind people can distinguish, and words with the same meaning.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), some of them lighter or darker, so that
they are readable as text on a dark page and as the background of white or black text.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import (
    DashboardRegexMapOptions,
    DashboardSpecialValueMapOptions,
    RegexMap,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

GOOD: Final = "#2F8FD0"
WARN: Final = "#F2B134"
BAD: Final = "#D55E00"
CALM: Final = "#4C6A85"
QUIET: Final = "#8E8E8E"
LINK: Final = "#56B4E9"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"

SERIES: Final = {
    **dict.fromkeys(("accepted", "ok", "queued", "closed", "p50", "active"), GOOD),
    **dict.fromkeys(("duplicate", "unchanged", "resolved", "opened", "Certificates", "sending"), LINK),
    **dict.fromkeys(("retry", "warning", "superseded", "major", "rate_limited", "waiting", "BigPanda"), WARN),
    **dict.fromkeys(("rejected", "critical", "quarantined", "firing", "auth", "p99", "Vigilmon"), BAD),
    **dict.fromkeys(("destination_down", "server_error", "unauthorized", "vendorwatch", "high"), PURPLE),
    **dict.fromkeys(("skipped", "unknown", "low", "info", "unreadable", "client_error", "PacketVis"), QUIET),
    **dict.fromkeys(("timeout", "minor", "medium", "unavailable", "ThousandEyes"), GREEN),
}
"""The colour of a series by its name, or by the part after the last colon; other series have Grafana's colours."""

Step = tuple[float, str]
"""A threshold: from this value on, this colour."""

HIGH_IS_BAD: Final[Sequence[Step]] = ((1, BAD),)
"""For counts of failures."""
HIGH_IS_ODD: Final[Sequence[Step]] = ((1, WARN),)
"""For counts of things to look at."""
DAYS_LEFT: Final[Sequence[Step]] = ((3, WARN), (14, GOOD))
"""For certificates; the lowest colour is BAD. The days are those of the rules."""
AGE: Final[Sequence[Step]] = ((600, WARN), (1800, BAD))
"""Seconds since a target's last successful poll; stale after 1800, as in the rules."""


def steps(above: Sequence[Step], lowest: str = GOOD) -> ThresholdsConfig:
    """Return thresholds: `lowest` up to the first step."""
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps(
            [Threshold(value=None, color=lowest), *(Threshold(value=value, color=colour) for value, colour in above)]
        )
    )


def words(said: Mapping[str, tuple[str, str]]) -> list[ValueMapping]:
    """Return the mapping from values to (text, colour)."""
    return [
        ValueMap(
            {
                value: ValueMappingResult(text=text, color=colour, index=place)
                for place, (value, (text, colour)) in enumerate(said.items())
            }
        )
    ]


def unknown(text: str) -> ValueMapping:
    """Return the text for a missing value, in a neutral colour."""
    absent = DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, ValueMappingResult(text=text, color=QUIET))
    return SpecialValueMap(absent)


def anything(text: str, colour: str) -> list[ValueMapping]:
    """Return the mapping from every value to one text; the value itself is for the link."""
    return [RegexMap(DashboardRegexMapOptions(pattern=".+", result=ValueMappingResult(text=text, color=colour)))]


UP: Final = words({"1": ("✓ up", GOOD), "0": ("✗ DOWN", BAD)})
ONLINE: Final = words({"1": ("✓ online", GOOD), "0": ("✗ OFFLINE", BAD)})
POLLED: Final = words({"1": ("✓ succeeded", GOOD), "0": ("✗ FAILED", BAD)})
ACCEPTED: Final = words({"1": ("✓ accept", GOOD), "0": ("✗ REJECT", BAD)})
READ: Final = words({"1": ("✓ read", GOOD), "0": ("✗ failed", WARN)})
REASON: Final = words(
    {
        "dns": ("✗ not in DNS", WARN),
        "connect": ("✗ no connection", WARN),
        "timeout": ("✗ no answer", WARN),
        "tls": ("✗ not TLS", WARN),
        "protocol": ("✗ TLS 1.1 or older", BAD),
        "name": ("✗ for another name", BAD),
        "expired": ("✗ expired", BAD),
        "not_yet_valid": ("✗ not valid yet", BAD),
        "untrusted": ("✗ no trusted root", BAD),
        "self_signed": ("✗ self-signed", BAD),
        "client_certificate": ("▲ client certificate", WARN),
    }
)
TRUNCATED: Final = words({"0": ("✓ complete", GOOD), "1": ("▲ incomplete", WARN)})
QUIET_OR_NOT: Final = words({"0": ("✓ none", GOOD), "1": ("▲ NEW", BAD)})
WATCHDOG: Final = words({"0": ("✓ received", GOOD), "1": ("✗ SILENT", BAD)})
ACTIVE: Final = words({"1": ("✓ checked", GOOD), "0": ("⏸ paused", QUIET)})
LEVEL: Final = words({"critical": ("✗ critical", BAD), "warning": ("▲ warning", WARN)})
SEVERITY: Final = words(
    {
        "critical": ("✗ critical", BAD),
        "major": ("✗ major", BAD),
        "high": ("▲ high", WARN),
        "warning": ("▲ warning", WARN),
        "medium": ("▲ medium", WARN),
        "minor": ("▲ minor", WARN),
        "low": ("● low", LINK),
        "info": ("● info", LINK),
        "unknown": ("? unknown", QUIET),
    }
)
