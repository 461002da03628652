"""Lenient reading of a vendor's JSON: an unreadable value counts as missing. Pure."""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from exporter.errors import Malformed

LARGEST: Final = 1e15
"""Largest plausible count, time or duration."""
_EARLIEST: Final = 1e8
_LATEST: Final = 1e11
"""Seconds: the years 1973 and 5138. A larger number is in milliseconds."""
_ROUNDING: Final = 0.001
"""Percent by which a computed percentage may go beyond 0 or 100."""
_FLAGS: Final = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_LONGEST: Final = 4300
"""Most digits of a number: Python reads no longer ones."""


def read_json(body: bytes) -> Any:
    """Parse a response. Raises Malformed if it is not JSON or reports errors, whatever else it contains."""
    try:
        document = json.loads(body, parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST else math.inf)
    except (ValueError, RecursionError):
        raise Malformed("body: not JSON") from None
    if document is None:
        raise Malformed("body: null")
    if isinstance(document, dict) and (document.get("errors") or document.get("error")):
        raise Malformed("body: reports errors")
    return document


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises Malformed if the response is none."""
    document = read_json(body)
    if not isinstance(document, dict):
        raise Malformed("body: not an object")
    return document


def objects(rows: Any, where: str) -> list[dict[str, Any]]:
    """Return `rows`, found at `where`, as a list of objects; [] for null. Raises Malformed for anything else."""
    if isinstance(rows, dict) and rows and all(key.isdecimal() for key in rows):
        rows = list(rows.values())  # PHP writes a list with gaps as a map
    rows = [] if rows is None else rows
    if not isinstance(rows, list):
        raise Malformed(f"{where}: not a list")
    for place, row in enumerate(rows):
        if not (row is None or isinstance(row, dict)):
            raise Malformed(f"{where}[{place}]: not an object")
    return [row for row in rows if row is not None]


def text_of(value: Any) -> str:
    """Return a string or a whole number as text; "" for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def number_of(value: Any) -> float | None:
    """Return a number, also one given as a string, as some databases do; None beyond `LARGEST`."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= LARGEST else None  # false for NaN too


def amount_of(value: Any) -> float | None:
    """Return a number if it is not negative."""
    found = number_of(value)
    return found if found is not None and found >= 0 else None


def percent_of(value: Any) -> float | None:
    """Return a percentage, 0 to 100 but for rounding; None for any other number."""
    found = number_of(value)
    if found is None or not -_ROUNDING <= found <= 100.0 + _ROUNDING:
        return None
    return min(max(found, 0.0), 100.0)


def count_of(value: Any) -> int | None:
    """Return a whole number if it is not negative."""
    found = amount_of(value)
    return int(found) if found is not None and found.is_integer() else None


def flag_of(value: Any) -> bool | None:
    """Return a boolean, also one given as 0 or 1 or as text; None for anything else."""
    return _FLAGS.get(str(value).strip().lower()) if isinstance(value, bool | int | float | str) else None


def time_of(value: Any) -> float | None:
    """Return a time in epoch seconds, from ISO 8601, an HTTP date or a number; UTC if no zone is given."""
    number = number_of(value)
    if number is not None:
        seconds = number / 1000 if number > _LATEST else number
        return seconds if _EARLIEST <= seconds <= _LATEST else None
    if not isinstance(value, str):
        return None
    try:
        moment = parsedate_to_datetime(value) if value[:3].isalpha() else datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).timestamp()  # a time outside the years of UTC could not be shown either
    except (ValueError, OverflowError):
        return None
