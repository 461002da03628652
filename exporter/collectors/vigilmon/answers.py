"""Vigilmon's JSON, read into records.

What no number could be true without must be right: lists, ids, percentages. Any other member that cannot be read
counts as not told, so that one odd monitor does not blind its account. The vendor is written in PHP: an empty map may
come as an empty list, a list with gaps as a map, a number as text.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.collectors.lenient_json import time_of
from exporter.errors import Malformed
from exporter.toolkit.config_types import problems

from . import values

_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/]*@")
_HTTPS_PORT = 443


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


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


_Identity = Annotated[str, BeforeValidator(values.identity)]
_Count = Annotated[int | None, BeforeValidator(values.count)]
_Percent = Annotated[Annotated[float, Field(ge=0, le=100)] | None, BeforeValidator(values.percentage)]
_Text = Annotated[str, BeforeValidator(values.text)]
_Moment = Annotated[float | None, BeforeValidator(time_of)]


class _Meta(_Lenient):
    total: _Count = None
    per_page: _Count = None
    last_page: _Count = None


_Told = Annotated[_Meta, BeforeValidator(values.optional_mapping), Field(default_factory=_Meta)]


class _Monitor(_Lenient):
    id: _Identity
    name: _Text = ""
    url: _Text = ""
    method: _Text = ""
    is_active: Annotated[bool | None, BeforeValidator(values.flag)] = None
    current_status: _Text = ""
    last_checked_at: _Moment = None
    check_interval_seconds: Annotated[float | None, BeforeValidator(values.interval)] = None


class _Monitors(_Lenient):
    data: Annotated[list[_Monitor], BeforeValidator(values.rows)]
    meta: _Told


class _Uptime(_Lenient):
    day: _Percent = Field(None, alias="24h")
    week: _Percent = Field(None, alias="7d")
    month: _Percent = Field(None, alias="30d")


class _Detail(_Lenient):
    uptime: Annotated[_Uptime | None, BeforeValidator(values.mapping)]


class _Monitored(_Lenient):
    data: _Detail


class _Incident(_Lenient):
    id: Annotated[str, BeforeValidator(values.incident_name)] = ""
    status: _Text = ""
    started_at: _Moment = None
    resolved_at: Any = None
    duration_seconds: Annotated[float | None, BeforeValidator(values.duration)] = None
    cause: _Text = ""
    confirmed_regions: Annotated[str, BeforeValidator(values.regions)] = ""

    @property
    def ongoing(self) -> bool:
        """The status decides; without one, an incident that was not resolved is ongoing."""
        return self.status.lower() == "ongoing" if self.status else self.resolved_at is None

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end."""
        ended = time_of(self.resolved_at)
        if self.duration_seconds is not None or ended is None or self.started_at is None:
            return self.duration_seconds
        return max(0.0, ended - self.started_at)


class _Incidents(_Lenient):
    data: Annotated[list[_Incident], BeforeValidator(values.rows)]
    meta: _Told


Read = TypeVar("Read", bound=_Lenient)


def read_monitors(body: bytes) -> Page:
    """Read one page of `GET /monitors`. `Malformed` names the member."""
    read = _read(_Monitors, body)
    monitors = []
    for row in read.data:
        url = _USERINFO.sub(r"\1", re.split(r"[?#]", row.url, maxsplit=1)[0])
        host, port = "", 0
        with suppress(ValueError):  # no URL, or no port that there is: it is shown, and has no certificate to probe
            parts = urlsplit(url)
            if parts.scheme == "https" and parts.hostname:
                host, port = parts.hostname, parts.port or _HTTPS_PORT
        one = Monitor(
            id=row.id,
            name=row.name,
            url=url,
            method=row.method,
            active=row.is_active,
            status=row.current_status.lower(),
            checked_at=row.last_checked_at,
            host=host,
            port=port,
            check_interval=row.check_interval_seconds,
        )
        monitors.append(one)
    return Page(tuple(monitors), read.meta.total, read.meta.per_page, read.meta.last_page)


def read_uptime(body: bytes) -> dict[str, float]:
    """Read `GET /monitors/{id}`: percent by window, without those that the vendor does not know yet."""
    uptime = _read(_Monitored, body).data.uptime or _Uptime()
    told = {"24h": uptime.day, "7d": uptime.week, "30d": uptime.month}
    return {window: percent for window, percent in told.items() if percent is not None}


def read_incidents(body: bytes) -> History:
    """Read `GET /monitors/{id}/incidents`; only its first page is ever asked for."""
    read = _read(_Incidents, body)
    ongoing = [incident for incident in read.data if incident.ongoing]
    begun = [(each.started_at, each) for each in ongoing if each.started_at is not None]
    newest = None
    if begun:
        started, last = max(begun, key=lambda each: each[0])
        newest = Incident(last.id, started, last.cause, last.confirmed_regions)
    durations = (each.duration for each in read.data if not each.ongoing)
    return History(
        ongoing=len(ongoing),
        recorded=read.meta.total,
        newest=newest,
        last_duration=next((duration for duration in durations if duration is not None), None),
    )


def _read(model: type[Read], body: bytes) -> Read:
    try:
        return model.model_validate(json.loads(body.decode("utf-8-sig", "replace")))
    except ValidationError as error:
        raise Malformed(problems(error)[0]) from None
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
