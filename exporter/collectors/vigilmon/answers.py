"""Vigilmon's JSON, read into records.

What no number could be true without must be right: lists, ids, totals, percentages. Any other member that cannot be
read counts as not told, so that one odd monitor does not blind its account.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.errors import Malformed
from exporter.toolkit.config_types import problems

_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/]*@")
_HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor as the listing tells it. `status` is lower case, "" when not told; `checked_at` epoch seconds.

    `url` is without credentials, query and fragment. `host` and `port` say where its certificate is; "" and 0
    when it has none.
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

    @property
    def up(self) -> bool | None:
        """Whether it is up; None while it is paused or the vendor does not know."""
        if self.active is False:
            return None
        return {"up": True, "down": False}.get(self.status)


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


def _number(value: object) -> object:
    """Return a decimal written as text, as databases hand them out, as the number it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _text(value: object) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


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
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Percent = Annotated[float, BeforeValidator(_number), Field(ge=0, le=100)]
_Text = Annotated[str, BeforeValidator(_text)]


class _Meta(_Lenient):
    total: _Count | None = None
    per_page: _Count | None = None
    last_page: _Count | None = None


class _Monitor(_Lenient):
    id: _Identity
    name: _Text = ""
    url: _Text = ""
    method: _Text = ""
    is_active: Annotated[bool | None, BeforeValidator(_flag)] = None
    current_status: _Text = ""
    last_checked_at: Annotated[float | None, BeforeValidator(_moment)] = None


class _Monitors(_Lenient):
    data: list[_Monitor]
    meta: _Meta | None = None


class _Detail(_Lenient):
    id: _Identity | None = None
    uptime: dict[str, _Percent | None] | None


class _Monitored(_Lenient):
    data: _Detail


class _Incident(_Lenient):
    status: _Text = ""
    resolved_at: Any = None


class _Incidents(_Lenient):
    data: list[_Incident]
    meta: _Meta | None = None


Read = TypeVar("Read", bound=_Lenient)


def read_monitors(body: bytes) -> Page:
    """Read one page of `GET /monitors`. `Malformed` names the member."""
    read = _read(_Monitors, body)
    meta = read.meta or _Meta()
    return Page(tuple(map(_monitor, read.data)), meta.total, meta.per_page, meta.last_page)


def read_uptime(body: bytes) -> dict[str, float]:
    """Read `GET /monitors/{id}`: percent by window, without those that the vendor does not know yet."""
    uptime = _read(_Monitored, body).data.uptime or {}
    return {window: percent for window in ("24h", "7d", "30d") if (percent := uptime.get(window)) is not None}


def read_incidents(body: bytes) -> tuple[int, int | None]:
    """Read `GET /monitors/{id}/incidents`: how many are ongoing, how many are on record (None when not told).

    Ongoing ones are counted on the first page: it holds 30, newest first.
    """
    read = _read(_Incidents, body)
    return sum(map(_ongoing, read.data)), read.meta.total if read.meta else None


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
    )


def _ongoing(incident: _Incident) -> bool:
    return incident.status.lower() == "ongoing" if incident.status else incident.resolved_at is None


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
