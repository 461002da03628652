"""Lenient reading of senders' values. Text itself is already valid: see `web`."""

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
_LONGEST: Final = 2048
"""Most characters kept of a text: no member of an event holds more."""
_LONGEST_KEPT: Final = 100_000
"""Most characters kept of any text, and of an unreadable alert."""
_MOST_NAMES: Final = 1000
_MOST_TOGETHER: Final = 1_000_000
"""Most characters kept of an object's names and texts: they are stored more than once, and BigPanda accepts few."""
_LONGEST_IDENTIFIER: Final = 128
_INEXACT: Final = 2**53
"""From here on a float may be another number's."""


def beginning_of(value: Any) -> str:
    """Return the beginning of a value's JSON; that of a whole hostile value would take several times its size."""
    kept = ""
    with suppress(RecursionError):
        for piece in _ENCODER.iterencode(value):
            kept += piece[: _LONGEST_KEPT - len(kept)]
            if len(kept) == _LONGEST_KEPT:
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
    """Return a value as stripped text that fits into a member of an event."""
    return text_of(value)[:_LONGEST].strip()


def strings_of(value: Any, first: Iterable[str] = ()) -> dict[str, str]:
    """Return the members of an object as text, as far as possible; {} for anything else; `first` before others."""
    if not isinstance(value, Mapping):
        return {}
    with suppress(TypeError):  # one of them is not text
        if len(value) <= _MOST_NAMES and len("".join((*value, *value.values()))) <= _LONGEST_KEPT:
            return dict(value)
    found, room = {}, _MOST_TOGETHER
    ordered = {**{name: value[name] for name in first if name in value}, **value}
    for name, one in islice(ordered.items(), _MOST_NAMES):
        # A tag cannot hold an object, and null is no value.
        if one is None or isinstance(one, Mapping):
            continue
        text = text_of(one)
        room -= len(name) + len(text)
        if room < 0:
            break
        found[name] = text
    return found


def identifier_of(value: Any) -> str:
    """Return an identifier, a whole number or one line of ASCII; "" for anything else."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _INEXACT:
        value = int(value)
    text = "" if isinstance(value, bool | float) else text_of(value)
    return text.strip() if len(text) <= _LONGEST_IDENTIFIER and text.isascii() and text.isprintable() else ""
