"""Vigilmon's JSON, read into records.

What no number could be true without must be right: lists, ids, percentages. Any other member that cannot be read
counts as not told, so that one odd monitor does not blind its account. The vendor is written in PHP: an empty map may
come as an empty list, a list with gaps as a map, a number as text.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.errors import Malformed
from exporter.toolkit.config_types import problems
from exporter.toolkit.text import valid

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


def _identity(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError("not an id")
    return str(value)


def _number(value: object) -> float | None:
    """Return a number, also one written as text, as databases hand them out; None when there is none."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _percentage(value: object) -> object:
    """Return a percentage as a number, without what rounding has put beyond 0 or 100; anything else as it is."""
    number = _number(value)
    if number is None:
        return None if value == "" else value
    return min(max(number, 0.0), 100.0) if -_ROUNDING <= number <= 100.0 + _ROUNDING else number


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 0 <= number <= 2**53 else None


def _duration(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _interval(value: object) -> float | None:
    return _duration(value) or None


def _text(value: object) -> str:
    return valid(value) if isinstance(value, str) else ""


def _name(value: object) -> str:
    return valid(str(value)) if isinstance(value, int | str) else ""


def _regions(value: object) -> str:
    """Return regions as the vendor's webhooks spell them: with commas between."""
    listed = value if isinstance(value, list) else [value]
    return ",".join(valid(each) for each in listed if isinstance(each, str) and each)


def _mapping(value: object) -> object:
    return {} if value == [] else value


def _optional_mapping(value: object) -> object:
    return value if isinstance(value, dict) else {}


def _rows(value: object) -> object:
    gaps = isinstance(value, dict) and value and all(isinstance(key, str) and key.isdecimal() for key in value)
    return list(value.values()) if isinstance(value, dict) and gaps else value


def _flag(value: object) -> bool | None:
    return bool(value) if value in (0, 1) else None


def _moment(value: object) -> float | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return _epoch(moment)
    except (ValueError, OverflowError):
        return None


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


_Identity = Annotated[str, BeforeValidator(_identity)]
_Count = Annotated[int | None, BeforeValidator(_count)]
_Percent = Annotated[Annotated[float, Field(ge=0, le=100)] | None, BeforeValidator(_percentage)]
_Text = Annotated[str, BeforeValidator(_text)]
_Moment = Annotated[float | None, BeforeValidator(_moment)]


class _Meta(_Lenient):
    total: _Count = None
    per_page: _Count = None
    last_page: _Count = None


_Told = Annotated[_Meta, BeforeValidator(_optional_mapping), Field(default_factory=_Meta)]


class _Monitor(_Lenient):
    id: _Identity
    name: _Text = ""
    url: _Text = ""
    method: _Text = ""
    is_active: Annotated[bool | None, BeforeValidator(_flag)] = None
    current_status: _Text = ""
    last_checked_at: _Moment = None
    check_interval_seconds: Annotated[float | None, BeforeValidator(_interval)] = None


class _Monitors(_Lenient):
    data: Annotated[list[_Monitor], BeforeValidator(_rows)]
    meta: _Told


class _Uptime(_Lenient):
    day: _Percent = Field(None, alias="24h")
    week: _Percent = Field(None, alias="7d")
    month: _Percent = Field(None, alias="30d")


class _Detail(_Lenient):
    uptime: Annotated[_Uptime | None, BeforeValidator(_mapping)]


class _Monitored(_Lenient):
    data: _Detail


class _Incident(_Lenient):
    id: Annotated[str, BeforeValidator(_name)] = ""
    status: _Text = ""
    started_at: _Moment = None
    resolved_at: Any = None
    duration_seconds: Annotated[float | None, BeforeValidator(_duration)] = None
    cause: _Text = ""
    confirmed_regions: Annotated[str, BeforeValidator(_regions)] = ""

    @property
    def ongoing(self) -> bool:
        """The status decides; without one, an incident that was not resolved is ongoing."""
        return self.status.lower() == "ongoing" if self.status else self.resolved_at is None

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end."""
        ended = _moment(self.resolved_at)
        if self.duration_seconds is not None or ended is None or self.started_at is None:
            return self.duration_seconds
        return max(0.0, ended - self.started_at)


class _Incidents(_Lenient):
    data: Annotated[list[_Incident], BeforeValidator(_rows)]
    meta: _Told


Read = TypeVar("Read", bound=_Lenient)


def read_monitors(body: bytes) -> Page:
    """Read one page of `GET /monitors`. `Malformed` names the member."""
    read = _read(_Monitors, body)
    return Page(tuple(map(_monitor, read.data)), read.meta.total, read.meta.per_page, read.meta.last_page)


def read_uptime(body: bytes) -> dict[str, float]:
    """Read `GET /monitors/{id}`: percent by window, without those that the vendor does not know yet."""
    uptime = _read(_Monitored, body).data.uptime or _Uptime()
    told = {"24h": uptime.day, "7d": uptime.week, "30d": uptime.month}
    return {window: percent for window, percent in told.items() if percent is not None}


def read_incidents(body: bytes) -> History:
    """Read `GET /monitors/{id}/incidents`; only its first page is ever asked for."""
    read = _read(_Incidents, body)
    ongoing = [incident for incident in read.data if incident.ongoing]
    durations = (each.duration for each in read.data if not each.ongoing)
    return History(
        ongoing=len(ongoing),
        recorded=read.meta.total,
        newest=_newest(ongoing),
        last_duration=next((duration for duration in durations if duration is not None), None),
    )


def _newest(ongoing: Sequence[_Incident]) -> Incident | None:
    """Return the incident that began last; None when of none is told when it began."""
    begun = [(each.started_at, each) for each in ongoing if each.started_at is not None]
    if not begun:
        return None
    started, newest = max(begun, key=lambda each: each[0])
    return Incident(newest.id, started, newest.cause, newest.confirmed_regions)


def _read(model: type[Read], body: bytes) -> Read:
    try:
        return model.model_validate(json.loads(body.decode("utf-8-sig", "replace")))
    except ValidationError as error:
        raise Malformed(problems(error)[0]) from None
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None


def _monitor(read: _Monitor) -> Monitor:
    url = _public(read.url)
    host, port = _tls(url)
    return Monitor(
        id=read.id,
        name=read.name,
        url=url,
        method=read.method,
        active=read.is_active,
        status=read.current_status.lower(),
        checked_at=read.last_checked_at,
        host=host,
        port=port,
        check_interval=read.check_interval_seconds,
    )


def _public(url: str) -> str:
    return _USERINFO.sub(r"\1", re.split(r"[?#]", url, maxsplit=1)[0])


def _tls(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _HTTPS_PORT
    except ValueError:
        return "", 0
    return (host, port) if parts.scheme == "https" and host else ("", 0)


def _epoch(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
