"""BigPanda's JSON (Incidents API v2), read into records.

The vendor's documentation disagrees on the wrapper of a search, so every form is accepted: `{total, items}`, a bare
list, `{item}` or `{items}` alone. The case of statuses differs too; all are lower-cased.
"""

from dataclasses import dataclass
from typing import Any

from exporter.collectors.lenient_json import count_of, objects, read_json, text_of
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.lenient import flag_of, time_of

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident; "" and None for missing values. `start`: epoch seconds."""

    id: str
    status: str
    severity: str
    start: float | None
    active: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search. `total`: the number on all pages, None if missing."""

    total: int | None
    incidents: tuple[Incident, ...]


def read_environments(body: bytes) -> dict[str, str]:
    """Read the list of environments as names by id. If the id or the name is missing, the other stands in for it."""
    document = read_json(body)
    if isinstance(document, dict):
        document = next((document[name] for name in ("items", "environments") if name in document), document)
    places = {}
    for row in objects(document, "environments"):
        key, name = text_of(row.get("id")).strip(), text_of(row.get("name")).strip()
        if key or name:
            places[key or name] = name or key
    return places


def read_search(body: bytes) -> Found:
    """Read a page of incidents. Raises Malformed if it has neither a total nor incidents."""
    document = read_json(body)
    if isinstance(document, list):
        document = {"items": document}
    if not isinstance(document, dict):
        raise Malformed("body: neither an object nor a list")
    total, item = count_of(document.get("total")), document.get("item")
    if item is not None:
        rows: Any = item if isinstance(item, list) else [item]
    elif "items" in document or total is not None:
        rows = document.get("items")
    else:
        raise Malformed("items: missing")
    incidents = tuple(
        Incident(
            id=text_of(row.get("id")).strip(),
            status=text_of(row.get("status")).strip().lower() or UNKNOWN,
            severity=text_of(row.get("severity")).strip().lower() or UNKNOWN,
            start=time_of(row.get("start")),
            active=flag_of(row.get("active")) is not False,
        )
        for row in objects(rows, "items")
    )
    # Ignore a total that is smaller than the page.
    return Found(total if total is not None and total >= len(incidents) else None, incidents)


def read_plans(body: bytes) -> tuple[int, int | None]:
    """Read a page of maintenance plans: the length of its list, however named, and the total of all pages, if any."""
    document = read_json(body)
    members = {"items": document} if isinstance(document, list) else document if isinstance(document, dict) else {}
    total = count_of(members.get("total"))
    # An empty list of errors may stand beside it.
    listed = max((value for value in members.values() if isinstance(value, list)), key=len, default=None)
    if total is None and listed is None:
        raise Malformed("body: no list of maintenance plans")
    return len(listed or ()), total
