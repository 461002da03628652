"""The incidents that a search means: folder, time, order, page. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from tests.sandbox.bigpanda.records import Incident, rank

FOLDERS = ("active", "shared", "snoozed", "resolved", "unhandled", "maintenance")
LAST_RESULT = 10_000
_LARGEST_PAGE = 100
_LARGEST_EXPANDED_PAGE = 10
_ORDERS: Mapping[str, Callable[[Incident], Any]] = {
    "last_change": lambda incident: incident.changed,
    "status": lambda incident: rank(incident.status),
    "start": lambda incident: incident.started,
    "alerts": lambda incident: len(incident.alerts),
}


def page(query: Mapping[str, str], incidents: Iterable[Incident], now: float) -> tuple[int, list[Incident]]:
    """Return the total and one page, which never goes past the 10,000th. Raises ValueError."""
    number, size = _size(query)
    if len(query.get("query", "")) > 2000:
        raise ValueError("'query' must not be longer than 2000 characters")
    order = _one_of(query, "sort_by", _ORDERS) or "last_change"
    _one_of(query, "folder", FOLDERS)
    found = [incident for incident in incidents if _meant(incident, query, now)]
    found.sort(key=_ORDERS[order], reverse=True)
    return len(found), found[:LAST_RESULT][(number - 1) * size : number * size]


def _size(query: Mapping[str, str]) -> tuple[int, int]:
    number, size = int(query.get("page", "1")), int(query.get("page_size", "10"))
    if number < 1 or size < 1:
        raise ValueError("'page' and 'page_size' must be positive")
    if query.get("expand") == "alerts" and size > _LARGEST_EXPANDED_PAGE:
        raise ValueError(f"'page_size' must be at most {_LARGEST_EXPANDED_PAGE} with expand=alerts")
    return number, min(size, _LARGEST_PAGE)


def _one_of(query: Mapping[str, str], name: str, allowed: Collection[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in allowed:
        raise ValueError(f"'{name}' must be one of {', '.join(allowed)}")
    return value


def _meant(incident: Incident, query: Mapping[str, str], now: float) -> bool:
    folder = query.get("folder")
    since, until = float(query.get("from", "-inf")), float(query.get("to", now))
    ended = float("inf") if incident.ended is None else incident.ended
    return (folder is None or folder in incident.folders(now)) and incident.started <= until and ended >= since
