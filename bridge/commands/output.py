"""Output of the sub-commands: tables or JSON, without terminal control characters."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bridge.web.formatting import visible

_WIDEST: Final = 60
"""Most characters of a column, except the last."""


def line(text: str) -> None:
    """Print a line of text."""
    sys.stdout.write(f"{visible(text)}\n")


def problem(text: str) -> None:
    """Print a line to standard error, so that standard output stays valid JSON."""
    sys.stderr.write(f"{visible(text)}\n")


def as_json(content: Any) -> None:
    """Print JSON."""
    json.dump(content, sys.stdout, indent=2)
    sys.stdout.write("\n")


def table(names: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print aligned columns with their names, or `empty` if there are no rows."""
    cells = [[" ".join(visible(str(cell)).split()) for cell in row] for row in rows]
    if not cells:
        line(empty)
        return
    lines = [list(names), *cells]
    widths = [min(_WIDEST, max(len(row[place]) for row in lines)) for place in range(len(names) - 1)]
    for row in lines:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        line("  ".join([*padded, row[-1]]).rstrip())


def facts(found: Mapping[str, object]) -> None:
    """Print names and values, one per line."""
    width = max(map(len, found), default=0) + 2
    for name, value in found.items():
        line(f"{name + ':':<{width}}{' '.join(str(value).split())}")


def results(found: Mapping[str, Sequence[object]], words: Mapping[str, str], form: str, nothing: str) -> list[Any]:
    """Print the outcome of each item; return all items named."""
    handled = [one for which in found.values() for one in which]
    if form == "json":
        as_json({name: list(which) for name, which in found.items()})
        return handled
    for name, which in found.items():
        for one in which:
            line(f"{one}: {words[name]}")
    if not handled and nothing:
        line(nothing)
    return handled


def one_or_all(records: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Print records as JSON: a single object if one was requested, else a list."""
    as_json(records[0] if len(records) == len(wanted) == 1 else records)


def missing(kind: str, wanted: Iterable[Any], found: Iterable[Any]) -> int:
    """Report items that do not exist; return the exit status."""
    there = set(found)
    absent = [one for one in dict.fromkeys(wanted) if one not in there]
    for one in absent:
        problem(f"{one}: no such {kind}")
    return 1 if absent else 0
