"""A vendor's JSON and its single values, read leniently: what cannot be read counts as not told. Pure."""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from exporter.errors import Malformed

LARGEST: Final = 1e15
"""No count, no time and no duration is greater."""
_EARLIEST: Final = 1e8
_LATEST: Final = 1e11
"""Seconds: the years 1973 and 5138. A number beyond is of milliseconds."""
_LONGEST: Final = 4300
"""Digits of a number."""


def read_json(body: bytes) -> Any:
    """Return what an answer holds. Malformed when it is not JSON, or tells of errors, whatever it lists beside them."""
    try:
        document = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        raise Malformed("body: not JSON") from None
    if isinstance(document, dict) and (document.get("errors") or document.get("error")):
        raise Malformed("body: it tells of errors")
    return document


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST else math.inf  # Python reads no longer ones


def read_object(body: bytes) -> dict[str, Any]:
    """Return an answer's JSON object. Malformed when it is none."""
    document = read_json(body)
    if not isinstance(document, dict):
        raise Malformed("body: not an object")
    return document


def objects(rows: Any, where: str) -> list[dict[str, Any]]:
    """Return a list of objects as such. Malformed when `rows`, which stand at `where`, are anything else but null."""
    if not isinstance(rows, list):
        raise Malformed(f"{where}: not a list")
    for place, row in enumerate(rows):
        if not (row is None or isinstance(row, dict)):
            raise Malformed(f"{where}[{place}]: not an object")
    return [row for row in rows if row is not None]


def text_of(value: Any) -> str:
    """Return a text or a whole number as text; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def number_of(value: Any) -> float | None:
    """Return a number, also one that is written as text, as databases hand them out; None beyond `LARGEST`."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= LARGEST else None  # NaN is not within it either


def amount_of(value: Any) -> float | None:
    """Return a number that is not below 0."""
    found = number_of(value)
    return found if found is not None and found >= 0 else None


def count_of(value: Any) -> int | None:
    """Return a whole number that is not below 0."""
    found = amount_of(value)
    return int(found) if found is not None and found.is_integer() else None


def time_of(value: Any) -> float | None:
    """Return a moment in epoch seconds: ISO 8601 or HTTP's form, in UTC where it names no zone, or a number."""
    number = number_of(value)
    if number is not None:
        seconds = number / 1000 if number > _LATEST else number
        return seconds if _EARLIEST <= seconds <= _LATEST else None
    if not isinstance(value, str):
        return None
    try:
        moment = parsedate_to_datetime(value) if value[:3].isalpha() else datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).timestamp()  # what is no moment of UTC's years could not be told of either
    except (ValueError, OverflowError):
        return None
