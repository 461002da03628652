"""Vigilmon's JSON, read into records: what the contract promises must be right, what it leaves open may be missing."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporter.errors import Malformed
from exporter.notation import problems

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


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


_Identity = Annotated[str, BeforeValidator(_identity)]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Percent = Annotated[float, Field(ge=0, le=100)]


class _Meta(_Lenient):
    total: _Count | None = None
    per_page: _Count | None = None
    last_page: _Count | None = None


class _Monitor(_Lenient):
    id: _Identity
    name: str | None = None
    url: str | None = None
    method: str | None = None
    is_active: bool | None = None
    current_status: str | None = None
    last_checked_at: datetime | None = None


class _Monitors(_Lenient):
    data: list[_Monitor]
    meta: _Meta | None = None


class _Detail(_Lenient):
    id: _Identity | None = None
    uptime: dict[str, _Percent | None] | None


class _Monitored(_Lenient):
    data: _Detail


class _Incident(_Lenient):
    status: str | None = None
    resolved_at: datetime | None = None


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
        return model.model_validate_json(body)
    except ValidationError as error:
        if any(problem["type"] == "json_invalid" for problem in error.errors(include_input=False)):
            raise Malformed("the body is not JSON") from None
        raise Malformed(problems(error)[0]) from None


def _monitor(read: _Monitor) -> Monitor:
    url = _public(read.url or "")
    host, port = _tls(url)
    return Monitor(
        id=read.id,
        name=read.name or "",
        url=url,
        method=read.method or "",
        active=read.is_active,
        status=(read.current_status or "").lower(),
        checked_at=_epoch(read.last_checked_at),
        host=host,
        port=port,
    )


def _ongoing(incident: _Incident) -> bool:
    if incident.status is None:
        return incident.resolved_at is None
    return incident.status.lower() == "ongoing"


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
