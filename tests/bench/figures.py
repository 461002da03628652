"""The results of a benchmark: tables of figures, and whether each promise about them holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from math import log10
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Promise:
    """A ratio or a figure with its bound: at most, or at least when `least`."""

    what: str
    measured: float
    bound: float
    unit: str = ""
    least: bool = False

    @property
    def holds(self) -> bool:
        """Whether what was measured is within the bound."""
        return self.measured >= self.bound if self.least else self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` by name, each with its values by column; a column that a row lacks was not measured."""

    name: str
    title: str
    unit: str
    rows: Mapping[str, Mapping[str, float]]
    notes: Sequence[str] = ()
    promises: Sequence[Promise] = field(default=())

    @property
    def columns(self) -> list[str]:
        """Every column, in the order in which they appear."""
        return list(dict.fromkeys(column for row in self.rows.values() for column in row))


def short(value: float) -> str:
    """Return a number with three digits that matter."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - int(log10(abs(value)) // 1))
    return f"{value:.{min(digits, 4)}f}"


def markdown(tables: Sequence[Table], machine: Mapping[str, str], took: float) -> str:
    """Return the page for people."""
    parts = [
        "# What was measured",
        (
            "Written by `make bench`; every ratio is of two figures of the same run. Where the time goes, and how to "
            "read the tables: [README.md](README.md)."
        ),
        "\n".join(f"- {name}: {value}" for name, value in machine.items()) + f"\n- the run took {took:.0f} s",
        "## Promises\n\n" + _promises([promise for table in tables for promise in table.promises]),
    ]
    parts += [_section(table) for table in tables]
    return "\n\n".join(parts) + "\n"


def _promises(promises: Sequence[Promise]) -> str:
    lines = ["| | measured | bound | |", "|---|---|---|---|"]
    for one in promises:
        sign = "≥" if one.least else "≤"
        held = "holds" if one.holds else "**does not hold**"
        lines.append(
            f"| {one.what} | {short(one.measured)} {one.unit} | {sign} {short(one.bound)} {one.unit} | {held} |"
        )
    return "\n".join(lines)


def _section(table: Table) -> str:
    columns = table.columns
    lines = [f"| {table.unit} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, row in table.rows.items():
        cells = (short(row[column]) if column in row else "" for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    notes = "".join(f"\n\n{note}" for note in table.notes)
    return f"## {table.title}\n\n" + "\n".join(lines) + notes + f"\n\n![{table.title}](plots/{table.name}.svg)"


def document(tables: Sequence[Table], machine: Mapping[str, str], took: float) -> str:
    """Return the same for programs."""
    content = {
        "machine": dict(machine),
        "took_seconds": round(took, 1),
        "promises": [asdict(one) | {"holds": one.holds} for table in tables for one in table.promises],
        "tables": [{key: value for key, value in asdict(table).items() if key != "promises"} for table in tables],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


_COLOURS = ("#2563eb", "#94a3b8", "#f59e0b", "#dc2626", "#16a34a", "#7c3aed", "#0891b2", "#be185d")
_BAR, _GAP, _LEFT, _WIDTH = 13, 9, 250, 820


def plot(table: Table) -> str:
    """Draw a table: a group of bars for each row, on a logarithmic scale."""
    columns = table.columns
    values = [value for row in table.rows.values() for value in row.values() if value > 0] or [1.0]
    low = 10 ** ((log10(min(values)) - 0.3) // 0.5 * 0.5)
    span = max(0.5, log10(max(values)) - log10(low))
    y, parts = 46 + 18 * len(columns), []
    for place, column in enumerate(columns):
        parts.append(_box(8, 34 + 18 * place, 12, 12, column) + _text(26, 44 + 18 * place, column))
        parts[-1] = parts[-1].replace("COLOUR", _COLOURS[place % len(_COLOURS)])
    for name, row in table.rows.items():
        parts.append(_text(8, y + _BAR, name))
        for column, value in row.items():
            width = 2 + (_WIDTH - _LEFT - 80) * max(0.0, log10(value / low)) / span if value > 0 else 1
            parts.append(_box(_LEFT, y, width, _BAR - 2, f"{name}, {column}: {short(value)}"))
            parts[-1] = parts[-1].replace("COLOUR", _COLOURS[columns.index(column) % len(_COLOURS)])
            parts.append(_text(_LEFT + width + 4, y + _BAR - 3, short(value), 10))
            y += _BAR
        y += _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y + 6}" font-family="sans-serif">'
        '<rect width="100%" height="100%" fill="#fff"/>'
    )
    return head + _text(8, 20, f"{table.title} ({table.unit}, logarithmic)", 14) + "".join(parts) + "</svg>\n"


def _box(x: float, y: float, width: float, height: float, title: str) -> str:
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.1f}" height="{height}" fill="COLOUR">'
        f"<title>{escape(title)}</title></rect>"
    )


def _text(x: float, y: float, words: str, size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="#111">{escape(words)}</text>'


def write(folder: Path, tables: Sequence[Table], machine: Mapping[str, str], took: float) -> None:
    """Write RESULTS.md, RESULTS.json and a plot for each table."""
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    (folder / "RESULTS.md").write_text(markdown(tables, machine, took), encoding="utf-8")
    (folder / "RESULTS.json").write_text(document(tables, machine, took), encoding="utf-8")
    for table in tables:
        (folder / "plots" / f"{table.name}.svg").write_text(plot(table), encoding="utf-8")
