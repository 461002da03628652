"""Values in BigPanda's webhooks: a v2 template turns everything into strings and may leave placeholders unfilled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bridge.receivers.lenient import time_of

_LARGEST: Final = 1e14
_LONGEST: Final = 512
_PLACEHOLDER: Final = "{{"
_NOTHING: Final = frozenset({"", "null", "none", "undefined"})
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}

Places = Sequence[Mapping[str, Any]]
"""The objects in which a webhook may have a member."""


def object_of(value: Any) -> dict[str, Any]:
    """Return an object; {} for anything else."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return a list; a list of just the value for anything else."""
    return value if isinstance(value, list) else [value]


def places(body: Mapping[str, Any], incident: Mapping[str, Any]) -> Places:
    """Return the objects that may contain the dataset options, depending on option and version; the incident's first.

    `incident`: the whole body, if that is the incident itself.
    """
    return incident, object_of(incident.get("metadata")), object_of(body.get("metadata")), body


def text(value: Any) -> str | None:
    """Return text; None for an empty value or placeholder."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)[:_LONGEST] if abs(value) < _LARGEST else None
    if not isinstance(value, str) or _PLACEHOLDER in value or value.strip().lower() in _NOTHING:
        return None
    return value.strip()[:_LONGEST]


def texts(value: Any) -> list[str]:
    """Return the texts of a list, or of a single value."""
    return [found for one in list_of(value) if (found := text(one))]


def word(value: Any) -> str | None:
    """Return text in lower case."""
    found = text(value)
    return found.lower() if found else None


def flag(value: Any) -> bool | None:
    """Return a boolean, also one written as a string."""
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


def first_time(found: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of these members that is a time."""
    return next((time for name in names if (time := time_of(found.get(name))) is not None), None)


def person(where: Places, role: str) -> str | None:
    """Return the name of the person with a role, or another identification."""
    for found in (place.get(role) for place in where):
        names = [found.get(member) for member in ("name", "username", "email")] if isinstance(found, dict) else [found]
        if who := next(filter(None, map(text, names)), None):
            return who
    return None


def tags_of(found: Any, *naming: str) -> Iterator[tuple[Any, Any]]:
    """Yield names and values of tags: an object's members, or a list of objects, named by the first of `naming`."""
    if isinstance(found, dict):
        yield from found.items()
    for tag in found if isinstance(found, list) else ():
        if isinstance(tag, dict):
            yield next((tag[name] for name in naming if tag.get(name)), None), tag.get("value", tag.get("tag_value"))
