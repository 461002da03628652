"""The alerts that `GET /v7/alerts` lists: the semantics of state and time filters, and pages. Pure."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.sandbox.moments import epoch_of, seconds_of
from tests.sandbox.thousandeyes.state import Alert

_NINETY_DAYS = 90 * 86400


class Refused(ValueError):
    """A parameter that is not understood: the field, and why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


@dataclass(frozen=True, slots=True)
class Wanted:
    """`since` and `until` are None when no time filter was given."""

    state: str | None
    since: float | None
    until: float | None


def wanted(query: Mapping[str, str], now: float) -> Wanted:
    """Read state, window, startDate and endDate. Raises Refused."""
    state = query.get("state")
    if state not in (None, "trigger", "clear"):
        raise Refused("state", "must be trigger or clear")
    if "window" in query and ("startDate" in query or "endDate" in query):
        raise Refused("window", "cannot be used with startDate or endDate")
    try:
        if "window" in query:
            return Wanted(state, now - seconds_of(query["window"]), now)
        if "startDate" in query:
            return Wanted(
                state, epoch_of(query["startDate"]), epoch_of(query["endDate"]) if "endDate" in query else now
            )
    except ValueError as wrong:
        raise Refused("window" if "window" in query else "startDate", str(wrong)) from None
    if "endDate" in query:
        raise Refused("endDate", "needs startDate")
    return Wanted(state, None, None)


def matching(alerts: Iterable[Alert], want: Wanted, now: float) -> list[Alert]:
    """Those that are meant, the newest first."""
    found = [alert for alert in alerts if _meant(alert, want, now)]
    return sorted(found, key=lambda alert: (alert.started, alert.id), reverse=True)


def _meant(alert: Alert, want: Wanted, now: float) -> bool:
    active = alert.cleared is None
    if want.since is None or want.until is None:
        recent = (alert.started if alert.cleared is None else alert.cleared) >= now - _NINETY_DAYS
        return recent and active == (want.state != "clear")
    if want.state == "trigger":
        return active and want.since <= alert.started <= want.until
    cleared_in_range = alert.cleared is not None and want.since <= alert.cleared <= want.until
    return cleared_in_range or (want.state is None and active)


def page(found: list[Alert], cursor: str | None, size: int) -> tuple[list[Alert], str | None]:
    """Cut a page, with the cursor of the next: it names the last alert, so a page does not shift. Raises Refused."""
    rest = found if cursor is None else _after(found, cursor)
    shown = rest[:size]
    if len(rest) <= size:
        return shown, None
    last = json.dumps([shown[-1].started, shown[-1].id], separators=(",", ":"))
    return shown, base64.b64encode(last.encode()).decode()


def _after(found: list[Alert], cursor: str) -> list[Alert]:
    try:
        started, number = json.loads(base64.b64decode(cursor, validate=True))
    except (ValueError, binascii.Error):
        raise Refused("cursor", "is not one of ours") from None
    return [alert for alert in found if (alert.started, alert.id) < (started, number)]
