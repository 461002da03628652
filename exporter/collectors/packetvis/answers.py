"""PacketVis's JSON, read into records.

The vendor publishes no schema: members documented by example are read leniently, and only those that every metric
depends on (`warning`, the list of notifications) are required.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.collectors.lenient_json import objects, read_object, text_of
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.lenient import flag_of, number_of, object_of, time_of

SEVERITIES: Mapping[float, str] = {1: "low", 2: "medium", 3: "high", 4: "critical"}
UNKNOWN = "unknown"
LONGEST_LABEL = 64
LONGEST_TEXT = 256
LONGEST_URL = 512
"""Most characters of a summary and of a page's URL; the vendor's are shorter than half of that."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One listed notification. `created`: epoch seconds, None if unreadable.

    `summary` names the prefix, `url` is the vendor's page about it; "" if missing. `dispatched` is "true", "false" or,
    if missing, "".
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
    """One response: the warning and the listed notifications. `window`: seconds for which a notification warns."""

    warning: bool
    notifications: tuple[Notification, ...]
    window: float | None = None


def read_report(body: bytes, status: int = 200) -> Report:
    """Read a response. The vendor's 418 means that the warning is on. Raises Malformed if the body is unreadable."""
    document = read_object(body)
    found = document | object_of(document.get("data"))
    for name in ("warning", "notifications"):
        if name not in found:
            raise Malformed(f"data.{name}: missing")
    warning = flag_of(found["warning"])
    if warning is None:
        raise Malformed("data.warning: not a boolean")
    rows = objects(found["notifications"], "data.notifications")
    minutes = number_of(object_of(document.get("metadata")).get("warningMinutes"))
    return Report(
        warning or status == 418,  # noqa: PLR2004  the vendor's teapot
        tuple(_notification(row) for row in rows),
        60.0 * minutes if minutes is not None and minutes > 0 else None,
    )


def _notification(row: Mapping[str, Any]) -> Notification:
    # Label values: printable, without spaces, of bounded length.
    words = (_text(row.get(name), LONGEST_LABEL).replace(" ", "-") for name in ("service", "type"))
    category, kind = (word or UNKNOWN for word in words)
    identity = str(row.get("id") or row.get("data") or f"{category}/{kind}/{row.get('createdAt')}")
    if identity != _text(identity, LONGEST_TEXT):
        # It cannot be a label value as it is, and two different ones must stay different.
        identity = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    severity = text_of(row.get("severity")).strip().lower()
    if severity not in SEVERITIES.values():
        severity = SEVERITIES.get(number_of(row.get("severity")) or 0, UNKNOWN)
    url = _text(row.get("url"), LONGEST_URL + 1)
    if not url.startswith(("https://", "http://")) or len(url) > LONGEST_URL or " " in url:
        url = ""  # not safe to link to, or too long
    dispatched = flag_of(row.get("dispatched"))
    return Notification(
        id=identity,
        category=category,
        type=kind,
        severity=severity,
        created=time_of(row.get("createdAt")),
        summary=_text(row.get("summary"), LONGEST_TEXT),
        url=url,
        dispatched="" if dispatched is None else str(dispatched).lower(),
    )


def _text(value: Any, most: int) -> str:
    """Return one line of printable text of bounded length; "" for anything but text."""
    if not isinstance(value, str):
        return ""
    printable = "".join(letter if letter.isprintable() else " " for letter in value[: 4 * most])
    return " ".join(printable.split())[:most]
