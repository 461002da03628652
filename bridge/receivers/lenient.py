"""What senders write, read as far as it can be. Text itself is valid already: see `web`."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

_MOST_KEPT: Final = 100_000
"""Characters of an unreadable alert that are kept."""
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
_LONGEST: Final = 2048
"""Characters of a text that are kept: no member of an event holds more."""
_LONGEST_KEPT: Final = 100_000
_MOST_NAMES: Final = 1000
_MOST_TOGETHER: Final = 1_000_000
"""Characters of an object's names and texts that are kept: they are stored more than once, and BigPanda takes few."""
_LONGEST_IDENTIFIER: Final = 128
_MILLISECONDS: Final = 1e11
"""From here on a number is no date in seconds: that would be in the year 5138."""
_LATEST: Final = 1e14


def beginning_of(value: Any) -> str:
    """Return the JSON of a value, as much as is kept: a hostile one's would take its size several times over."""
    kept = ""
    with suppress(RecursionError):
        for piece in _ENCODER.iterencode(value):
            kept += piece[: _MOST_KEPT - len(kept)]
            if len(kept) == _MOST_KEPT:
                break
    return kept


def text_of(value: Any) -> str:
    """Return a value as text: scalars as JSON writes them, a list joined as BigPanda joins one; "" for none."""
    if isinstance(value, str):
        return value[:_LONGEST_KEPT]
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value) if abs(value) < 10**300 else ""
    if isinstance(value, list):
        texts = (text for one in value if not isinstance(one, list) and (text := text_of(one)))
        return "|".join(texts)[:_LONGEST_KEPT]
    return ""


def short_text_of(value: Any) -> str:
    """Return a value as text that fits into a member of an event, without blanks around it."""
    return text_of(value)[:_LONGEST].strip()


def strings_of(value: Any) -> dict[str, str]:
    """Return the members of an object that are, or can be read as, text; nothing of what is no object."""
    if not isinstance(value, Mapping):
        return {}
    with suppress(TypeError):  # where one is no text
        if len(value) <= _MOST_NAMES and len("".join((*value, *value.values()))) <= _LONGEST_KEPT:
            return dict(value)
    found, room = {}, _MOST_TOGETHER
    for name, one in islice(value.items(), _MOST_NAMES):
        # No tag can hold an object, and null says nothing.
        if one is None or isinstance(one, Mapping):
            continue
        text = text_of(one)
        room -= len(name) + len(text)
        if room < 0:
            break
        found[name] = text
    return found


def identifier_of(value: Any) -> str:
    """Return what identifies something, a whole number or one line of ASCII; "" for what cannot."""
    text = "" if isinstance(value, bool | float) else text_of(value)
    return text.strip() if len(text) <= _LONGEST_IDENTIFIER and text.isascii() and text.isprintable() else ""


def whole_of(value: Any) -> int | None:
    """Return a number without its fraction; None for what is no number, or beyond any count."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LATEST:
        return None
    return math.floor(value)


def time_of(value: Any) -> float | None:
    """Return epoch seconds of a number, of one written as text, or of a date; milliseconds are recognized.

    None for what is no time, or Go's zero time: "not yet".
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    except ValueError:
        return date_of(str(value))
    if not 0 < found < _LATEST:
        return None
    return found / 1000 if found >= _MILLISECONDS else found


def date_of(text: str) -> float | None:
    """Return epoch seconds of an ISO 8601 date, in UTC where it names no zone; None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return None if moment.year == 1 else moment.timestamp()
    except (ValueError, OverflowError):
        return None
