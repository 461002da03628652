"""PacketVis' JSON, read into records.

The vendor publishes no schema: what is documented by example is read leniently, and only what no number could
be true without (`warning`, the list of notifications) is demanded.
"""

import hashlib
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
LONGEST_TEXT = 256
LONGEST_URL = 512
"""Characters of a summary and of a page's address; the vendor's are shorter than half of that."""
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification as it is listed. `created`: epoch seconds, None when it cannot be read.

    `summary` names the prefix, `url` is the vendor's page of it; "" where the vendor says nothing. `dispatched` is
    "true", "false", or "" when it is not told.
    """

    id: str
    category: str
    type: str
    severity: str
    created: float | None
    summary: str = ""
    url: str = ""
    dispatched: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One answer: does the vendor warn now, and what it lists. `window`: seconds for which a notification warns."""

    warning: bool
    notifications: tuple[Notification, ...]
    window: float | None = None


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
    return Report(warning or status == 418, notifications, _window(document))  # noqa: PLR2004  the vendor's teapot


def _window(document: Mapping[str, Any]) -> float | None:
    """Return the warning window that `metadata` tells, in seconds; None when it tells none that can be one."""
    metadata = document.get("metadata")
    minutes = metadata.get("warningMinutes") if isinstance(metadata, dict) else None
    try:
        window = 60.0 * float(minutes)  # type: ignore[arg-type]  # what is no number is an error here
    except (TypeError, ValueError, OverflowError):
        return None
    return window if math.isfinite(window) and window > 0 else None


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
    dispatched = row.get("dispatched")
    return Notification(
        id=_identity(str(identity)),
        category=category,
        type=kind,
        severity=_severity(row.get("severity")),
        created=_time(row.get("createdAt")),
        summary=_text(row.get("summary"), LONGEST_TEXT),
        url=_page(row.get("url")),
        dispatched=str(dispatched).lower() if isinstance(dispatched, bool) else "",
    )


def _identity(told: str) -> str:
    """Return an id as it is when it can be a label's value as it is; two that differ never become one."""
    if told == _text(told, LONGEST_TEXT):
        return told
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _text(value: Any, most: int) -> str:
    """Return one line of printable text, of bounded length; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    printable = "".join(letter if letter.isprintable() else " " for letter in value[: 4 * most])
    return " ".join(printable.split())[:most]


def _page(value: Any) -> str:
    """Return the vendor's page of a notification; "" for what an operator should not be sent to, or would be cut."""
    url = _text(value, LONGEST_URL + 1)
    return url if url.startswith(("https://", "http://")) and len(url) <= LONGEST_URL and " " not in url else ""


def _label(value: Any) -> str:
    """Return what may stand as a label value: printable, without blanks, of bounded length."""
    return _text(value, LONGEST_LABEL).replace(" ", "-") or UNKNOWN


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
