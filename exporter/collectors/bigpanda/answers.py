"""BigPanda's JSON (Incidents API v2), read into records.

The vendor's pages disagree on the wrapper of a search, so each form seen is read: `{total, items}`, a bare list,
`{item}` or `{items}` alone. Letter case of statuses differs too; all are lower-cased.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exporter.errors import Malformed

UNKNOWN = "unknown"
LARGEST = 1e15
"""No count and no epoch second is greater."""


@dataclass(frozen=True, slots=True)
class Place:
    """An environment: `id` goes into paths, `name` is what people call it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident; "" and None where the vendor does not say. `start`: epoch seconds."""

    id: str
    status: str
    severity: str
    start: float | None
    active: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search. `total`: how many there are on all pages, None when the vendor does not say."""

    total: int | None
    incidents: tuple[Incident, ...]


def read_environments(body: bytes) -> tuple[Place, ...]:
    """Read the list of environments; one that has only an id or only a name goes by that."""
    document = _parsed(body)
    if isinstance(document, dict):
        document = next((document[name] for name in ("items", "environments") if name in document), document)
    rows = _objects(document, "environments")
    places = ((_text(row.get("id")), _text(row.get("name"))) for row in rows)
    unique = {key or name: Place(key or name, name or key) for key, name in places if key or name}
    return tuple(unique.values())


def read_search(body: bytes) -> Found:
    """Read a page of incidents; `Malformed` when neither a total nor any incidents are in it."""
    document = _parsed(body)
    if isinstance(document, list):
        return Found(None, _incidents(document))
    if not isinstance(document, dict):
        raise Malformed("body: neither an object nor a list")
    total = _count(document.get("total"))
    if document.get("item") is not None:
        item = document["item"]
        return Found(total, _incidents(item if isinstance(item, list) else [item]))
    if "items" not in document and total is None:
        raise Malformed("items: missing")
    return Found(total, _incidents(document.get("items", [])))


def read_total(body: bytes, page_size: int) -> int | None:
    """Read how many incidents a search finds; None where there is no `total` and the page is full: more may follow."""
    found = read_search(body)
    if found.total is not None:
        return found.total
    return None if len(found.incidents) == page_size else len(found.incidents)


def read_plans(body: bytes) -> int:
    """Read how many maintenance plans are listed: by a `total`, else by their list, whatever it is called."""
    document = _parsed(body)
    if isinstance(document, list):
        return len(document)
    total = _count(document.get("total")) if isinstance(document, dict) else None
    if total is not None:
        return total
    listed = [value for value in document.values() if isinstance(value, list)] if isinstance(document, dict) else []
    if not listed:
        raise Malformed("body: no list of maintenance plans")
    return len(listed[0])


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("body: not JSON") from None


def _objects(rows: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise Malformed(f"{where}: not a list")
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Malformed(f"{where}[{place}]: not an object")
    return rows


def _incidents(rows: Any) -> tuple[Incident, ...]:
    return tuple(_incident(row) for row in _objects(rows, "items"))


def _incident(row: dict[str, Any]) -> Incident:
    return Incident(
        id=_text(row.get("id")),
        status=_text(row.get("status")).lower() or UNKNOWN,
        severity=_text(row.get("severity")).lower() or UNKNOWN,
        start=_number(row.get("start")),
        active=row.get("active") is not False,
    )


def oldest(incidents: Iterable[Incident]) -> float | None:
    """Return the earliest start, epoch seconds."""
    return min((incident.start for incident in incidents if incident.start is not None), default=None)


def _text(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(value: Any) -> float | None:
    """Return a positive number, also one written as text."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= LARGEST else None


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
