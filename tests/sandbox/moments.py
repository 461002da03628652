"""The vendors' ways to write a time. All epoch seconds are UTC."""

import re
from datetime import UTC, datetime

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def zulu(epoch: float) -> str:
    """`2026-11-20T11:30:00Z`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def zulu_milliseconds(epoch: float) -> str:
    """`2026-11-20T11:58:10.120Z`."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offset(epoch: float) -> str:
    """`2026-11-20T12:00:00+00:00`."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def spaced(epoch: float) -> str:
    """`2026-11-20 11:30:00`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S")


def epoch_of(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def seconds_of(window: str) -> int:
    r"""Seconds of ThousandEyes' `^\d+[smhdw]?$`. Raises ValueError."""
    match = re.fullmatch(r"(\d+)([smhdw]?)", window)
    if not match:
        raise ValueError(f"window {window!r} is not digits with s, m, h, d or w")
    return int(match[1]) * _UNITS[match[2]]
