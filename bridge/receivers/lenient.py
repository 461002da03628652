"""What senders write where text is expected, read as far as it can be. Text itself is valid already: see `web`."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

MOST_KEPT: Final = 100_000
"""Characters of one of them that are kept."""


def text_of(value: Any) -> str:
    """Return a value as text: scalars as JSON writes them, a list joined as BigPanda joins one; "" for none."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value) if abs(value) < 10**300 else ""
    if isinstance(value, list):
        return "|".join(text for one in value if not isinstance(one, list) and (text := text_of(one)))
    return ""


def strings_of(value: Any) -> dict[str, str]:
    """Return the members of an object that are, or can be read as, text; nothing of what is no object."""
    if not isinstance(value, Mapping):
        return {}
    if all(isinstance(one, str) for one in value.values()):
        return dict(value)
    return {name: text for name, one in value.items() if one is not None and (text := _member(one)) is not None}


def _member(value: Any) -> str | None:
    """Return a member as text; None for null and for objects, which no tag can hold."""
    return None if value is None or isinstance(value, Mapping) else text_of(value)
