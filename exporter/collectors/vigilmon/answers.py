"""Vigilmon's JSON, read into records.

Members that metrics depend on must be valid: lists, ids, percentages. Any other unreadable member counts as missing, so
that one odd monitor does not fail its account. The vendor uses PHP: an empty map may arrive as an empty list, a list
with gaps as a map, a number as text.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from exporter.collectors.lenient_json import amount_of, count_of, objects, percent_of, read_object, text_of
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.lenient import flag_of, object_of, time_of

_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/]*@")
_HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor as listed. `status` is lower-case, "" if missing; `url` is without credentials, query and fragment.

    `checked_at` and `found`, when it was first listed, are in epoch seconds, `check_interval` in seconds. `host` and
    `port` are where its certificate is; "" and 0 if it has none.
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
    found: float = 0.0

    @property
    def place(self) -> str:
        """The `host:port` of its certificate; "" if it has none."""
        return f"{self.host}:{self.port}" if self.host else ""

    @property
    def up(self) -> bool | None:
        """Whether it is up; None while it is paused or its status is unknown."""
        if self.active is False:
            return None
        return {"up": True, "down": False}.get(self.status)


@dataclass(frozen=True, slots=True)
class Incident:
    """An ongoing outage: its start in epoch seconds, its cause, and the regions that confirmed it."""

    id: str
    started: float
    cause: str
    regions: str


@dataclass(frozen=True, slots=True)
class History:
    """A monitor's incidents, newest first, at most 30, requested at `at`.

    `recorded`: the number that the vendor has on record, None if missing. `newest`: the newest ongoing one,
    `last_duration`: the duration in seconds of the newest resolved one.
    """

    at: float = 0.0
    ongoing: int | None = None
    recorded: int | None = None
    newest: Incident | None = None
    last_duration: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no incident, as far as known."""
        return not (self.ongoing or self.recorded) and self.last_duration is None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the listing, with the vendor's totals over all pages, if given."""

    monitors: tuple[Monitor, ...]
    total: int | None
    per_page: int | None
    last_page: int | None
    goes_on: bool = False
    """Whether the vendor names a next page."""


def read_monitors(body: bytes) -> Page:
    """Read one page of `GET /monitors`. Raises Malformed, naming the member."""
    (rows, meta), monitors = _listed(body), []
    for place, row in enumerate(rows):
        identity = text_of(row.get("id"))
        if not identity:
            raise Malformed(f"data[{place}].id: not an id")
        url = _USERINFO.sub(r"\1", re.split(r"[?#]", text_of(row.get("url")))[0])
        host, port = "", 0
        with suppress(ValueError):  # no URL, or an invalid port: the monitor is shown, but has no certificate to probe
            parts = urlsplit(url)
            if parts.scheme == "https" and parts.hostname:
                host, port = parts.hostname, parts.port or _HTTPS_PORT
        one = Monitor(
            id=identity,
            name=text_of(row.get("name")),
            url=url,
            method=text_of(row.get("method")),
            active=flag_of(row.get("is_active")),
            status=text_of(row.get("current_status")).strip().lower(),
            checked_at=time_of(row.get("last_checked_at")),
            host=host,
            port=port,
            check_interval=amount_of(row.get("check_interval_seconds")) or None,
        )
        monitors.append(one)
    total, per_page, last_page = (count_of(meta.get(name)) for name in ("total", "per_page", "last_page"))
    return Page(tuple(monitors), total, per_page, last_page, goes_on=bool(meta["next"]))


def read_uptime(body: bytes) -> dict[str, float]:
    """Read `GET /monitors/{id}` as percent by window, without windows not yet known."""
    detail = object_of(read_object(body).get("data"))
    if "uptime" not in detail:
        raise Malformed("data.uptime: missing")
    uptime = {} if detail["uptime"] in (None, []) else detail["uptime"]  # PHP writes an empty map as an empty list
    if not isinstance(uptime, dict):
        raise Malformed("data.uptime: not an object")
    given = {window: value for window in ("24h", "7d", "30d") if (value := uptime.get(window)) not in (None, "", [])}
    windows = {window: percent for window, value in given.items() if (percent := percent_of(value)) is not None}
    if given and not windows:
        raise Malformed(f"data.uptime.{next(iter(given))}: not a percentage")
    return windows


def read_incidents(body: bytes, at: float = 0.0) -> History:
    """Read `GET /monitors/{id}/incidents`, requested at `at`; only its first page is ever requested."""
    rows, meta = _listed(body)
    ongoing, newest, last_duration = 0, None, None
    distinct = {text_of(row.get("id")) or place: row for place, row in enumerate(rows)}.values()
    for row in sorted(distinct, key=lambda row: time_of(row.get("started_at")) or 0.0, reverse=True):
        status, resolved_at = text_of(row.get("status")).strip().lower(), row.get("resolved_at")
        started, ended = time_of(row.get("started_at")), time_of(resolved_at)
        # The status decides; without a documented one, an incident without a resolution is ongoing.
        if {"ongoing": True, "resolved": False}.get(status, not resolved_at):
            ongoing += 1
            if started is not None and newest is None:
                regions = row.get("confirmed_regions")
                regions = list(regions.values()) if isinstance(regions, dict) else regions
                listed = filter(None, map(text_of, regions if isinstance(regions, list) else [regions]))
                newest = Incident(text_of(row.get("id")), started, text_of(row.get("cause")), ",".join(listed))
        elif last_duration is None:
            last_duration = amount_of(row.get("duration_seconds"))
            if last_duration is None and started is not None and ended is not None:
                last_duration = amount_of(ended - started)
    total = count_of(meta.get("total"))
    recorded = total if total is not None and total >= len(distinct) else None  # one that is too small is none
    return History(at, ongoing, recorded=recorded, newest=newest, last_duration=last_duration)


def _listed(body: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows under `data`, and `meta`, which describes all pages, with the link to the `next` one."""
    document = read_object(body)
    if "data" not in document:
        raise Malformed("data: missing")
    meta, links = object_of(document.get("meta")), object_of(document.get("links"))
    return objects(document["data"], "data"), {**meta, "next": links.get("next") or meta.get("next_cursor")}
