"""Lenient reading of what vendors and senders write: an unreadable value counts as missing. Pure."""

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

LARGEST: Final = 1e15
"""Largest plausible count, time or duration."""
EARLIEST: Final = 1e8
LATEST: Final = 1e11
"""Seconds: the years 1973 and 5138. A larger number is in milliseconds."""
UNCERTAIN: Final = 60.0
"""Longest wait, in seconds, for a date that cannot be compared with the server's own clock."""
_LONGEST_DATE: Final = 64
_FAILED: Final = frozenset({"error", "errors", "fail", "failed", "failure", "unauthorized", "forbidden"})
_FLAGS: Final = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def number_of(value: Any) -> float | None:
    """Return a number, also one given as a string, as some databases do; None beyond `LARGEST`."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= LARGEST else None  # false for NaN too


def flag_of(value: Any) -> bool | None:
    """Return a boolean, also one given as 0 or 1 or as text; None for anything else."""
    return _FLAGS.get(str(value).strip().lower()) if isinstance(value, bool | int | float | str) else None


def object_of(value: Any) -> dict[str, Any]:
    """Return an object; {} for anything else."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; [] for anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def reports_failure(answer: Mapping[str, Any]) -> bool:
    """Return whether a JSON object reports that its request failed: some APIs do so with a 200."""
    statuses = (answer.get(name) for name in ("status", "statusCode", "status_code", "code"))
    denied = any(flag_of(answer.get(name)) is False for name in ("success", "ok"))
    return denied or bool(answer.get("errors") or answer.get("error")) or any(map(_failed, statuses))


def _failed(status: Any) -> bool:
    if isinstance(status, str):
        return status.lower() in _FAILED or (len(status) == 3 and status.isdecimal() and status >= "400")  # noqa: PLR2004
    return isinstance(status, int | float) and status >= 400  # noqa: PLR2004  4xx, 5xx


def time_of(value: Any) -> float | None:
    """Return a time in epoch seconds, from ISO 8601, an HTTP date or a number; UTC if no zone is given.

    None for anything else, and for Go's zero time, which means "not yet".
    """
    number = number_of(value)
    if number is not None:
        seconds = number / 1000 if number >= LATEST else number
        return seconds if EARLIEST <= seconds < LATEST else None
    if not isinstance(value, str) or len(value) > _LONGEST_DATE:
        return None
    try:
        iso = value.removesuffix(" UTC")  # as Ruby writes a date
        moment = parsedate_to_datetime(value) if value[:3].isalpha() else datetime.fromisoformat(iso)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # In UTC a moment near either end of the calendar lies outside it, where no date can be written.
        return None if moment.year == 1 else moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait. A date is compared with the server's own `Date` header.

    So is a number too large for a wait: some servers write an epoch second, as in other rate limit headers. Of several,
    such as a gateway's beside the server's, the longest wait counts.
    """
    text = headers.get("retry-after", "").strip()
    with suppress(ValueError):
        if text[:1].isdigit() and (seconds := max(map(float, text.split(",")))) < EARLIEST:
            return seconds
    moment, servers_now = time_of(text), time_of(headers.get("date", ""))
    if moment is None:
        return None
    if servers_now is None:
        # Without a Date header only our own clock is left: cap the wait in case either clock is wrong.
        return min(max(0.0, moment - now), UNCERTAIN)
    return max(0.0, moment - servers_now)
