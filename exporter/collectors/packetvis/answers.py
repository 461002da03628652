"""PacketVis' JSON, read into records.

The vendor publishes no schema: what is documented by example is read leniently, and only what no number could
be true without (`warning`, the list of notifications) is demanded.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.errors import Malformed

SEVERITIES = {1: "low", 2: "medium", 3: "high", 4: "critical"}
UNKNOWN = "unknown"
LONGEST_LABEL = 64
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification as it is listed. `created`: epoch seconds, None when it cannot be read."""

    id: str
    category: str
    type: str
    severity: str
    created: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """One answer: does the vendor warn now, and what it lists."""

    warning: bool
    notifications: tuple[Notification, ...]


def read_report(body: bytes, status: int = 200) -> Report:
    """Read an answer. The vendor's 418 says that the warning is on; `Malformed` without a readable body."""
    document = _object(_parsed(body), "body")
    inner = document.get("data")
    places = (inner, document) if isinstance(inner, dict) else (document,)
    warning = _boolean(_member(places, "warning"))
    rows = _member(places, "notifications")
    if not isinstance(rows, list):
        raise Malformed("data.notifications: not a list")
    notifications = tuple(_notification(row, f"data.notifications[{place}]") for place, row in enumerate(rows))
    return Report(warning or status == 418, notifications)  # noqa: PLR2004  the vendor's teapot


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("body: not JSON") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{where}: not an object")
    return value


def _member(places: tuple[Mapping[str, Any], ...], name: str) -> Any:
    for place in places:
        if place.get(name) is not None:
            return place[name]
    raise Malformed(f"data.{name}: missing")


def _boolean(value: Any) -> bool:
    known = _BOOLEANS.get(str(value).lower()) if isinstance(value, bool | int | str) else None
    if known is None:
        raise Malformed("data.warning: not a boolean")
    return known


def _notification(row: Any, where: str) -> Notification:
    row = _object(row, where)
    category, kind = _label(row.get("service")), _label(row.get("type"))
    identity = row.get("id") or row.get("data") or f"{category}/{kind}/{row.get('createdAt')}"
    return Notification(str(identity), category, kind, _severity(row.get("severity")), _time(row.get("createdAt")))


def _label(value: Any) -> str:
    """Return what may stand as a label value: printable, without blanks, of bounded length."""
    if not isinstance(value, str):
        return UNKNOWN
    printable = "".join(letter if letter.isprintable() else " " for letter in value[: 4 * LONGEST_LABEL])
    return "-".join(printable.split())[:LONGEST_LABEL] or UNKNOWN


def _severity(value: Any) -> str:
    if isinstance(value, str) and value.strip().lower() in SEVERITIES.values():
        return value.strip().lower()
    try:
        return SEVERITIES.get(float(value), UNKNOWN)  # type: ignore[call-overload,no-any-return]  # 4.0 is 4
    except (TypeError, ValueError, OverflowError):
        return UNKNOWN


def _time(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
