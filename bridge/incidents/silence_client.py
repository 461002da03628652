"""Alertmanager's API for silences: those of ours are listed, made, changed and ended, and no others.

One call, one meaning: done, or a DeliveryError that says whose fault it is.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import requests
from urllib3 import exceptions as torn

from bridge.delivery.bigpanda_client import FAULTS
from bridge.delivery.connection import below_http, content_of, session
from bridge.errors import Overloaded, Stopped, Unreached, Unreadable
from bridge.incidents.silence_plan import CREATED_BY, Silence, Step, Verb, Wanted, marked
from bridge.receivers.alertmanager import time_of
from bridge.receivers.bigpanda import Silences as Settings

_MOST_ANSWER: Final = 64_000_000
_EARLIER: Final = 3600.0
"""Seconds before now at which a silence is asked to begin. Alertmanager begins it at once, whatever its clock says."""


class SilenceApi:
    """The silences of one Alertmanager, spoken to by one thread. `owner`: what marks ours."""

    def __init__(self, settings: Settings, owner: str) -> None:
        self._settings, self._owner = settings, owner
        self._session = session()
        if settings.ca_file is not None:
            self._session.verify = str(settings.ca_file)

    def ours(self) -> list[Silence]:
        """Return the silences we made that are active or pending. Raises a DeliveryError."""
        answer = self._ask("GET", "/api/v2/silences")
        try:
            return list(ours(answer, self._owner))
        except Unreadable as error:
            raise Stopped(f"Alertmanager's list of silences cannot be read: {error}") from None

    def do(self, step: Step, now: float) -> None:
        """Carry a step out. Raises a DeliveryError."""
        if step.verb is Verb.EXPIRE:
            if step.silence is not None:
                self._ask("DELETE", f"/api/v2/silence/{quote(step.silence.id, safe='')}", gone=True)
        elif step.wanted is not None:
            self._ask("POST", "/api/v2/silences", body(step.wanted, step.silence, now), gone=True)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _ask(self, method: str, path: str, content: Any = None, *, gone: bool = False) -> Any:
        """Return the answer's JSON. `gone`: that what is asked for is not there any more is an answer."""
        try:
            status, text = self._exchange(method, path, content)
        except (requests.RequestException, torn.HTTPError) as error:
            raise Unreached(below_http(error)) from None
        except (OSError, ValueError):
            raise Unreached("the credentials cannot be read") from None
        if status == requests.codes.not_found and gone:
            return None
        if not 200 <= status < 300:  # noqa: PLR2004  2xx, whichever
            kind = FAULTS.get(status, Overloaded if status >= 500 else Stopped)  # noqa: PLR2004  5xx
            raise kind(f"Alertmanager answered {status}", status=status)
        return _parsed(text)

    def _exchange(self, method: str, path: str, content: Any) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._settings.timeout
        with self._session.request(
            method,
            self._settings.alertmanager + path,
            json=content,
            headers=dict(self._settings.credentials()) | {"Accept": "application/json"},
            timeout=self._settings.timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            return response.status_code, content_of(response, deadline, _MOST_ANSWER)


def _parsed(text: bytes) -> Any:
    """Return an answer's JSON; None where it holds none, as after a DELETE."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def body(one: Wanted, before: Silence | None, now: float) -> dict[str, Any]:
    """Return the request that makes a silence, or changes the one `before`: its beginning stays as it was."""
    matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in one.matchers]
    made = {
        "matchers": matchers,
        "startsAt": before.starts_at if before else _written(now - _EARLIER),
        "endsAt": _written(one.ends_at),
        "createdBy": CREATED_BY,
        "comment": one.comment,
    }
    return made | {"id": before.id} if before else made


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ours(answer: Any, owner: str) -> Iterator[Silence]:
    """Give those of a list of silences that bear our mark and are not over. Unreadable when one of ours is strange."""
    if not isinstance(answer, list):
        raise Unreadable("not a list")
    for entry in answer:
        if not isinstance(entry, dict):
            raise Unreadable("one is not an object")
        comment = entry.get("comment")
        key = marked(str(entry.get("createdBy")), comment, owner) if isinstance(comment, str) else None
        state = entry.get("status")
        if key is not None and not (isinstance(state, dict) and state.get("state") == "expired"):
            yield _silence(entry, key, str(comment))


def _silence(entry: dict[str, Any], key: str, comment: str) -> Silence:
    number, starts_at, ends_at = entry.get("id"), entry.get("startsAt"), time_of(entry, "endsAt")
    if not isinstance(number, str) or not isinstance(starts_at, str) or ends_at is None:
        raise Unreadable("one of ours has no id, no beginning or no end")
    return Silence(
        id=number,
        key=key,
        matchers=_matchers(entry.get("matchers")),
        starts_at=starts_at,
        ends_at=ends_at,
        comment=comment,
    )


def _matchers(found: Any) -> tuple[tuple[str, str], ...] | None:
    """Return names and values, None where a matcher is no equality."""
    if not isinstance(found, list):
        return None
    read = []
    for one in found:
        if not isinstance(one, dict) or one.get("isRegex") or one.get("isEqual") is False:
            return None
        read.append((str(one.get("name")), str(one.get("value"))))
    return tuple(sorted(read))
