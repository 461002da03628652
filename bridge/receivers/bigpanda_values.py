"""Values as BigPanda's webhooks write them: a v2 template makes a string of everything, placeholders stay unfilled."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

_MILLISECONDS: Final = 1e11
"""From here on a number is no date in seconds: that would be in the year 5138."""
_LATEST: Final = 1e14
_LONGEST: Final = 512
_PLACEHOLDER: Final = "{{"
_NOTHING: Final = frozenset({"", "null", "none", "undefined"})
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


def object_of(value: Any) -> dict[str, Any]:
    """Return an object, an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str | None:
    """Return text, None for what says nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)[:_LONGEST] if abs(value) < _LATEST else None
    if not isinstance(value, str) or _PLACEHOLDER in value or value.strip().lower() in _NOTHING:
        return None
    return value.strip()[:_LONGEST]


def word(value: Any) -> str | None:
    """Return text in lower case."""
    found = text(value)
    return found.lower() if found else None


def flag(value: Any) -> bool | None:
    """Return a boolean, also of one written as a string."""
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


def first_time(told: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of these members that is a time."""
    return next((time for name in names if (time := time_of(told.get(name))) is not None), None)


def time_of(value: Any) -> float | None:
    """Return epoch seconds of a number, of one written as a string, or of a date; milliseconds are recognized."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    except ValueError:
        return _date(str(value))
    if not 0 < found < _LATEST:
        return None
    return found / 1000 if found >= _MILLISECONDS else found


def _date(written: str) -> float | None:
    try:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def person(found: Any) -> str | None:
    """Return somebody's name, or whatever else names him."""
    if not isinstance(found, dict):
        return text(found)
    return next((name for member in ("name", "username", "email") if (name := text(found.get(member)))), None)
