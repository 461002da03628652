"""Output of the sub-commands: tables or JSON, without terminal control characters."""

import json
import sys
from argparse import Namespace
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from bridge.web.formatting import OUTCOMES, body_text, moment
from exporter.toolkit.text import visible

_WIDEST: Final = 60
"""Most characters of a column, except the last."""
_KEPT: Final = ("unknown", "unreadable")
"""Outcomes of items for which nothing could be done."""


def line(text: str) -> None:
    """Print a line of text."""
    sys.stdout.write(f"{visible(text)}\n")


def problem(text: str) -> None:
    """Print a line to standard error, so that standard output stays valid JSON."""
    sys.stderr.write(f"{visible(text)}\n")


def as_json(content: Any) -> None:
    """Print JSON."""
    json.dump(content, sys.stdout, indent=2, default=str)
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


def listed(
    arguments: Namespace, records: Iterable[Any], names: Sequence[str], rows: Iterable[Sequence[object]], empty: str
) -> int:
    """Print a list: `records` as JSON, or a table of `rows`; return the exit status."""
    if arguments.format == "json":
        as_json(list(records))
    else:
        table(names, rows, empty)
    return 0


def in_full(arguments: Namespace, kind: str, records: Sequence[Mapping[str, Any]]) -> int:
    """Print the items named by id, as JSON or text, and report those that do not exist; return the exit status."""
    if arguments.format == "json":
        as_json(records[0] if len(records) == len(arguments.ids) == 1 else records)
    else:
        for one in records:
            facts({name: moment(one[name]) if name.endswith("_at") else one[name] for name in one if name != "body"})
            body = one["body"] if isinstance(one["body"], str) else json.dumps(one["body"])
            line(body_text(body, len(body) + 1))
    return missing(kind, arguments.ids, [one["id"] for one in records])


def results(
    arguments: Namespace, kind: str, wanted: Collection[Any], done: Mapping[str, Sequence[Any]], nothing: str = ""
) -> int:
    """Print the items by outcome, or `nothing`, and report those that do not exist; return the exit status."""
    if arguments.format == "json":
        as_json(done)
    elif nothing and not wanted and not any(done.values()):
        line(nothing)
    else:
        for outcome, items in done.items():
            for one in items:
                line(f"{one}: {OUTCOMES[outcome]}")
    absent = missing(kind, wanted, {one for items in done.values() for one in items})
    return 1 if absent or any(done.get(outcome) for outcome in _KEPT) else 0


def missing(kind: str, wanted: Iterable[Any], found: Collection[Any]) -> int:
    """Report items that do not exist; return the exit status."""
    absent = [one for one in dict.fromkeys(wanted) if one not in found]
    for one in absent:
        problem(f"{one}: no such {kind}")
    return 1 if absent else 0
