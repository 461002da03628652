"""Vigilmon's JSON, read into records.

What no number could be true without must be right: lists, ids, percentages. Any other member that cannot be read
counts as not told, so that one odd monitor does not blind its account. The vendor is written in PHP: an empty map may
come as an empty list, a list with gaps as a map, a number as text.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from exporter.collectors.lenient_json import amount_of, count_of, number_of, objects, read_object, text_of, time_of
from exporter.errors import Malformed

_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/]*@")
_HTTPS_PORT = 443
_ROUNDING = 0.001
"""Percent by which a computed percentage may miss 0 or 100."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor as the listing tells it. `status` is lower case, "" when not told.

    `checked_at` is in epoch seconds, `check_interval` in seconds. `url` is without credentials,
    query and fragment. `host` and `port` say where its certificate is; "" and 0 when it has none.
    """

    id: str
    name: str
    url: str
    method: str
    active: bool | None
    status: str
    checked_at: float | None
    host: str
    port: int
    check_interval: float | None = None

    @property
    def up(self) -> bool | None:
        """Whether it is up; None while it is paused or the vendor does not know."""
        if self.active is False:
            return None
        return {"up": True, "down": False}.get(self.status)


@dataclass(frozen=True, slots=True)
class Incident:
    """An outage that is not over: when it began, epoch seconds; why, and in which regions it was confirmed."""

    id: str
    started: float
    cause: str
    regions: str


@dataclass(frozen=True, slots=True)
class History:
    """What is told of a monitor's incidents, newest first: 30 of them at most.

    `recorded`: how many the vendor has on record, None when not told. `newest`: the newest of those that are ongoing,
    `last_duration`: seconds that the newest took that is over.
    """

    ongoing: int | None = None
    recorded: int | None = None
    newest: Incident | None = None
    last_duration: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the listing, with what the vendor says about all of them, if it does."""

    monitors: tuple[Monitor, ...]
    total: int | None
    per_page: int | None
    last_page: int | None


def read_monitors(body: bytes) -> Page:
    """Read one page of `GET /monitors`. `Malformed` names the member."""
    document = read_object(body)
    monitors = []
    for place, row in enumerate(_rows(document)):
        identity, active = text_of(row.get("id")), row.get("is_active")
        if not identity:
            raise Malformed(f"data[{place}].id: not an id")
        url = _USERINFO.sub(r"\1", re.split(r"[?#]", _text(row.get("url")), maxsplit=1)[0])
        host, port = "", 0
        with suppress(ValueError):  # no URL, or no port that there is: it is shown, and has no certificate to probe
            parts = urlsplit(url)
            if parts.scheme == "https" and parts.hostname:
                host, port = parts.hostname, parts.port or _HTTPS_PORT
        one = Monitor(
            id=identity,
            name=_text(row.get("name")),
            url=url,
            method=_text(row.get("method")),
            active=bool(active) if active in (0, 1) else None,
            status=_text(row.get("current_status")).lower(),
            checked_at=time_of(row.get("last_checked_at")),
            host=host,
            port=port,
            check_interval=amount_of(row.get("check_interval_seconds")) or None,
        )
        monitors.append(one)
    return Page(tuple(monitors), *(_of_all(document, name) for name in ("total", "per_page", "last_page")))


def read_uptime(body: bytes) -> dict[str, float]:
    """Read `GET /monitors/{id}`: percent by window, without those that the vendor does not know yet."""
    detail = read_object(body).get("data")
    if not isinstance(detail, dict) or "uptime" not in detail:
        raise Malformed("data.uptime: missing")
    uptime = {} if detail["uptime"] in (None, []) else detail["uptime"]  # PHP's empty list stands for the empty map
    if not isinstance(uptime, dict):
        raise Malformed("data.uptime: not an object")
    windows = {}
    for window in ("24h", "7d", "30d"):
        value = uptime.get(window)
        if value is None or value == "":
            continue
        percent = number_of(value)
        if percent is None or not -_ROUNDING <= percent <= 100.0 + _ROUNDING:
            raise Malformed(f"data.uptime.{window}: not a percentage")
        windows[window] = min(max(percent, 0.0), 100.0)
    return windows


def read_incidents(body: bytes) -> History:
    """Read `GET /monitors/{id}/incidents`; only its first page is ever asked for."""
    document = read_object(body)
    ongoing, newest, last_duration = 0, None, None
    for row in _rows(document):
        status, resolved_at = _text(row.get("status")).lower(), row.get("resolved_at")
        started, ended = time_of(row.get("started_at")), time_of(resolved_at)
        # The status decides; without one, an incident that was not resolved is ongoing.
        if status == "ongoing" if status else resolved_at is None:
            ongoing += 1
            if started is not None and (newest is None or started > newest.started):
                regions = row.get("confirmed_regions")
                listed = filter(None, map(_text, regions if isinstance(regions, list) else [regions]))
                newest = Incident(text_of(row.get("id")), started, _text(row.get("cause")), ",".join(listed))
        elif last_duration is None:
            last_duration = amount_of(row.get("duration_seconds"))
            if last_duration is None and started is not None and ended is not None:
                last_duration = max(0.0, ended - started)
    return History(ongoing, recorded=_of_all(document, "total"), newest=newest, last_duration=last_duration)


def _rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows under `data`: a list, also one with gaps, which PHP writes as a map from places."""
    if "data" not in document:
        raise Malformed("data: missing")
    rows = document["data"]
    if isinstance(rows, dict) and rows and all(key.isdecimal() for key in rows):
        rows = list(rows.values())
    return objects(rows, "data")


def _of_all(document: dict[str, Any], name: str) -> int | None:
    """Return what the vendor says about all rows, on whichever page."""
    meta = document.get("meta")
    return count_of(meta.get(name)) if isinstance(meta, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
