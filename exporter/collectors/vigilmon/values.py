"""Single values of Vigilmon's JSON, as PHP and its databases spell them. What cannot be read is None, or ""."""

from typing import Final

from exporter.collectors.lenient_json import number_of
from exporter.toolkit.text import valid

_ROUNDING: Final = 0.001
"""Percent by which a computed percentage may miss 0 or 100."""


def identity(value: object) -> str:
    """Return an id as text. ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError("not an id")
    return str(value)


def percentage(value: object) -> object:
    """Return a percentage as a number, without what rounding has put beyond 0 or 100; anything else as it is."""
    read = number_of(value)
    if read is None:
        return None if value == "" else value
    return min(max(read, 0.0), 100.0) if -_ROUNDING <= read <= 100.0 + _ROUNDING else read


def count(value: object) -> int | None:
    """Return how many there are."""
    read = number_of(value)
    return int(read) if read is not None and read.is_integer() and read >= 0 else None


def duration(value: object) -> float | None:
    """Return seconds, which may be none at all."""
    read = number_of(value)
    return read if read is not None and read >= 0 else None


def interval(value: object) -> float | None:
    """Return seconds, of which there is at least a part of one."""
    return duration(value) or None


def text(value: object) -> str:
    """Return valid text."""
    return valid(value) if isinstance(value, str) else ""


def incident_name(value: object) -> str:
    """Return an incident's id as text."""
    return valid(str(value)) if isinstance(value, int | str) else ""


def regions(value: object) -> str:
    """Return regions as the vendor's webhooks spell them: with commas between."""
    listed = value if isinstance(value, list) else [value]
    return ",".join(valid(each) for each in listed if isinstance(each, str) and each)


def flag(value: object) -> bool | None:
    """Return a boolean, also one that is a number."""
    return bool(value) if value in (0, 1) else None


def mapping(value: object) -> object:
    """Return PHP's empty list as the empty map that it stands for; anything else as it is."""
    return {} if value == [] else value


def optional_mapping(value: object) -> object:
    """Return a map; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> object:
    """Return a list; also one with gaps, which PHP writes as a map from places. Anything else as it is."""
    if isinstance(value, dict) and value and all(isinstance(key, str) and key.isdecimal() for key in value):
        return list(value.values())
    return value
