"""The client of Alertmanager's silences API: lists, creates, changes and expires our own silences, and no others."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from bridge.delivery.answers import parsed
from bridge.delivery.http_api import HttpApi
from bridge.errors import Stopped, Unreadable
from bridge.incidents.silence_plan import Silence, Step, Wanted, tagged_key
from bridge.receivers.bigpanda import CREATED_BY
from bridge.receivers.bigpanda import Silences as Settings
from exporter.toolkit.lenient import object_of, objects_of, time_of

_EARLIER: Final = 3600.0
"""Seconds by which a new silence is backdated, so that Alertmanager starts it at once, whatever its clock."""


class SilenceApi(HttpApi):
    """The silences of one Alertmanager, for one thread. `owner`: our owner tag."""

    def __init__(self, settings: Settings, owner: str) -> None:
        super().__init__(settings, settings.timeout, settings, "Alertmanager")
        self._url, self._owner = f"{settings.alertmanager}/api/v2/silence", owner

    def ours(self) -> list[Silence]:
        """Return our active and pending silences. Raises DeliveryError."""
        # Since 0.34 expired silences can be left out; an older Alertmanager always lists them.
        answer = self.request("GET", f"{self._url}s?expired=false")
        try:
            return list(ours(parsed(answer.body), self._owner))
        except Unreadable as error:
            raise Stopped(f"Alertmanager's list of silences cannot be read: {error}") from None

    def do(self, step: Step, now: float) -> None:
        """Execute a step. Raises DeliveryError."""
        try:
            if step.wanted is not None:
                self.request("POST", f"{self._url}s", body(step.wanted, step.silence, now))
            elif step.silence is not None:
                self.request("DELETE", f"{self._url}/{quote(step.silence.id, safe='')}")
        except Stopped as error:
            # It has expired meanwhile; if it is still wanted, the next check finds it missing.
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def body(one: Wanted, before: Silence | None, now: float) -> dict[str, Any]:
    """Return the request that creates a silence, or changes the one `before`, keeping its start."""
    matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in one.matchers]
    span = (datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") for at in (now - _EARLIER, one.ends_at))
    starts_at, ends_at = (at.replace("+00:00", "Z") for at in span)
    return {
        "matchers": matchers,
        "startsAt": before.starts_at if before else starts_at,
        "endsAt": ends_at,
        "createdBy": CREATED_BY,
        "comment": one.comment,
    } | ({"id": before.id} if before else {})


def ours(answer: Any, owner: str) -> Iterator[Silence]:
    """Yield the unexpired silences in a list with our owner tag. Raises Unreadable for a malformed one."""
    if not isinstance(answer, list):
        raise Unreadable("not a list")
    for entry in answer:
        if not isinstance(entry, dict):
            raise Unreadable("one is not an object")
        comment = entry.get("comment")
        key = tagged_key(str(entry.get("createdBy")), comment, owner) if isinstance(comment, str) else None
        if key is None or object_of(entry.get("status")).get("state") == "expired":
            continue
        number, starts_at, ends_at = entry.get("id"), entry.get("startsAt"), time_of(entry.get("endsAt"))
        if not isinstance(number, str) or not isinstance(starts_at, str) or ends_at is None:
            raise Unreadable("one of ours has no id, start or end")
        found = objects_of(entry.get("matchers"))
        exact = all(not one.get("isRegex") and one.get("isEqual") is not False for one in found)
        matchers = tuple(sorted((str(one.get("name")), str(one.get("value"))) for one in found if exact))
        yield Silence(id=number, key=key, matchers=matchers, starts_at=starts_at, ends_at=ends_at, comment=str(comment))
