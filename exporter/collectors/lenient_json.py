"""Lenient reading of a vendor's JSON: an unreadable value counts as missing. Pure."""

import json
import math
from typing import Any, Final

from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.lenient import number_of, reports_failure
from exporter.toolkit.text import is_page

_ROUNDING: Final = 0.001
"""Percent by which a computed percentage may go beyond 0 or 100."""
_LONGEST: Final = 4300
"""Most digits of a number: Python reads no longer ones."""


def read_json(body: bytes) -> Any:
    """Parse a response. Raises Malformed if it is not JSON or reports errors, whatever else it contains."""
    try:
        document = json.loads(body, parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST else math.inf)
    except (ValueError, RecursionError):
        what = "a web page, not JSON" if is_page(body) else "not JSON" if body.strip() else "empty"
        raise Malformed(f"body: {what}") from None
    if document is None:
        raise Malformed("body: null")
    if isinstance(document, dict) and reports_failure(document):
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
