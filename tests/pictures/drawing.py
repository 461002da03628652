"""A dashboard's numbers and tables as a page of HTML: enough of what Grafana does with its JSON for a picture.

Only panels of the kinds `stat` and `table` are drawn, with their queries, words, colours, columns and order.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from grafana.palette import QUIET, WARN
from tests.grafana.boards import filled

Row = dict[str, Any]
Ask = Callable[[str], list[Mapping[str, Any]]]
"""PromQL → series with `metric` and `value`, as Prometheus answers."""
STYLE = """
body { margin: 0; padding: 12px; background: #111217; color: #ccccdc; font: 14px sans-serif; }
main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px; }
section { background: #181b1f; border: 1px solid #2c2f35; border-radius: 3px; padding: 8px; overflow: hidden; }
h2 { margin: 0 0 8px; font: 500 14px sans-serif; }
p { margin: 0; padding: 14px 0; border-radius: 3px; font-size: 30px; text-align: center; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 5px 8px; text-align: left; white-space: nowrap; border-bottom: 1px solid #2c2f35; }
th { font-weight: 500; color: #9fa7b3; }
"""
STEPS = ((86400, "day"), (3600, "hour"), (60, "min"))


def page(board: Mapping[str, Any], ask: Ask, last: str) -> str:
    """Return the dashboard's panels down to the one with the title `last`."""
    shown = list(board["panels"])
    end = next(place for place, panel in enumerate(shown) if panel.get("title") == last)
    drawn = "".join(_panel(panel, ask) for panel in shown[: end + 1] if panel["type"] in ("stat", "table"))
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><main>{drawn}</main>"


def _panel(panel: Mapping[str, Any], ask: Ask) -> str:
    inside = _stat(panel, ask) if panel["type"] == "stat" else _table(panel, ask)
    width = f"grid-column: span {panel['gridPos']['w']}"
    return f'<section style="{width}"><h2>{html.escape(panel["title"])}</h2>{inside}</section>'


def _stat(panel: Mapping[str, Any], ask: Ask) -> str:
    field = panel["fieldConfig"]["defaults"]
    found = ask(filled(panel["targets"][0]["expr"]))
    text, colour = shown(float(found[0]["value"][1]) if found else None, field)
    ink = "#111217" if colour == WARN else "#fff"
    return f'<p style="background: {colour or QUIET}; color: {ink}">{html.escape(text)}</p>'


def _table(panel: Mapping[str, Any], ask: Ask) -> str:
    organize = panel["transformations"][-1]["options"]
    rows = _sorted(list(_merged(panel["targets"], ask)), panel["options"].get("sortBy", []), organize["renameByName"])
    if not rows:
        return f"<p>{html.escape(panel['fieldConfig']['defaults']['noValue'])}</p>"
    # A label that no series has is no column.
    present = [name for name in organize["indexByName"] if any(row.get(name) not in (None, "") for row in rows)]
    names = sorted(present, key=organize["indexByName"].get)
    titles = [organize["renameByName"][name] for name in names]
    fields = [_field(panel, title) for title in titles]
    head = "".join(f"<th>{html.escape(title)}" for title in titles)
    lines = [
        "".join(_cell(row.get(name), field) for name, field in zip(names, fields, strict=True))
        for row in rows[: panel["gridPos"]["h"] - 2]
    ]
    return f"<table><tr>{head}{''.join(f'<tr>{line}' for line in lines)}</table>"


def _merged(targets: Sequence[Mapping[str, Any]], ask: Ask) -> Iterator[Row]:
    """Yield a row for each label set, with the values of all queries."""
    rows: dict[frozenset[tuple[str, str]], Row] = {}
    for target in targets:
        for series in ask(filled(target["expr"])):
            labels = {name: value for name, value in series["metric"].items() if name != "__name__"}
            row = rows.setdefault(frozenset(labels.items()), dict(labels))
            row["Value" if len(targets) == 1 else f"Value #{target['refId']}"] = float(series["value"][1])
    yield from rows.values()


def _sorted(rows: list[Row], by: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[Row]:
    for each in by:
        name = next(name for name, title in titles.items() if title == each["displayName"])
        rows.sort(key=lambda row, name=name: (row.get(name) is None, row.get(name)), reverse=each.get("desc", False))
    return rows


def _field(panel: Mapping[str, Any], title: str) -> dict[str, Any]:
    config = panel["fieldConfig"]
    own = [each["properties"] for each in config["overrides"] if each["matcher"].get("options") == title]
    return config["defaults"] | {each["id"]: each["value"] for properties in own for each in properties}


def _cell(value: float | str | None, field: Mapping[str, Any]) -> str:
    text, colour = shown(value, field)
    coloured = "custom.cellOptions" in field and field["custom.cellOptions"].get("type") == "color-text"
    return f'<td style="color: {colour}">{html.escape(text)}' if coloured else f"<td>{html.escape(text)}"


def shown(value: float | str | None, field: Mapping[str, Any]) -> tuple[str, str]:
    """Return a value's words and its colour: of its mapping, else by unit and thresholds."""
    for mapping in field.get("mappings", ()):
        if result := _mapped(value, mapping):
            return result.get("text", str(value)), result.get("color", "")
    if value is None or value == "":
        return field.get("noValue", "-"), ""
    if isinstance(value, str):
        return value, ""
    reached = [step for step in field["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    return number(value, field.get("unit", "none")), reached[-1]["color"]


def _mapped(value: float | str | None, mapping: Mapping[str, Any]) -> Mapping[str, Any] | None:
    options, plain = mapping["options"], f"{value:g}" if isinstance(value, float) else value
    if mapping["type"] == "value":
        return options.get(plain)
    matches = plain in (None, "") if mapping["type"] == "special" else re.fullmatch(options["pattern"], plain or "")
    return options["result"] if matches else None


def number(value: float, unit: str) -> str:
    """Return a number with its unit, rounded for people."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit != "s":
        return f"{value:.10g}" if value.is_integer() else f"{value:.1f}"
    for seconds, name in STEPS:
        if value >= seconds:
            return f"{value / seconds:.0f} {name}{'s' if value >= 1.5 * seconds else ''}"
    return f"{value:.0f} s"
