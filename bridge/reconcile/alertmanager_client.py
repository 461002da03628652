"""Alertmanagers' API v2: what each of them knows now, suppressed or not, and since when it runs.

They hold alerts in memory only and never list a resolved one. Whatever is missing in an answer could close what still
fires, so an answer counts as a whole or not at all.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import requests
from urllib3 import exceptions as torn

from bridge.delivery.connection import below_http, content_of, session
from bridge.domain.alert import Alert
from bridge.errors import Unanswered, Unreadable
from bridge.receivers.alertmanager import Settings, read, time_of

TIMEOUT: Final = 10.0
"""Seconds for one whole answer."""
_MOST_ANSWER: Final = 256_000_000
_EVERYTHING: Final = {"active": "true", "silenced": "true", "inhibited": "true", "unprocessed": "true"}
_MUTES: Final = ("silencedBy", "inhibitedBy", "mutedBy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One alert that an Alertmanager knows. `receivers`: the names of those it is routed to.

    `active` and `suppressed` are both false before Alertmanager has looked at its silences and inhibitions.
    """

    alert: Alert
    active: bool
    suppressed: bool
    receivers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What one Alertmanager says. `started`: epoch seconds; `settling`: its cluster has not found together yet."""

    started: float
    settling: bool
    listed: tuple[Listed, ...]


class AlertmanagerApi:
    """The Alertmanagers of one receiver, asked one after the other, by one thread."""

    def __init__(self, settings: Settings) -> None:
        """Take a receiver's settings, which must have `reconcile`."""
        if settings.reconcile is None:
            raise ValueError("this receiver reconciles nothing")
        self._settings, self._reconcile = settings, settings.reconcile
        self._session = session()
        if self._reconcile.ca_file is not None:
            self._session.verify = str(self._reconcile.ca_file)

    def ask(self, now: float) -> list[Peer | Unanswered]:
        """Return what each says, or why that does not count; `now` stands in for a time that it does not tell."""
        return [self._ask(url, now) for url in self._reconcile.urls]

    def muted(self, names: Collection[str], now: float) -> frozenset[str]:
        """Return the keys that a time interval mutes in every group that goes to one of these receivers.

        Alertmanager shows that in its groups alone, since 0.28; one that has no groups mutes nothing. Unanswered when
        none of them says.
        """
        answers = [self._muted(url, names, now) for url in self._reconcile.urls]
        known = [answer for answer in answers if not isinstance(answer, Unanswered)]
        if not known:
            raise next(answer for answer in answers if isinstance(answer, Unanswered))
        return frozenset().union(*known)

    def _muted(self, url: str, names: Collection[str], now: float) -> set[str] | Unanswered:
        try:
            groups = self._get(f"{url}/api/v2/alerts/groups", _EVERYTHING | {"muted": "true"})
            return muted(groups, names, self._settings, now)
        except _Missing:
            return set()
        except _FAILURES as error:
            return Unanswered(url, _told(error))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _ask(self, url: str, now: float) -> Peer | Unanswered:
        try:
            started, settling = status(self._get(f"{url}/api/v2/status", {}))
            alerts = self._get(f"{url}/api/v2/alerts", _EVERYTHING)
            return Peer(started=started, settling=settling, listed=tuple(listed(alerts, self._settings, now)))
        except _FAILURES as error:
            return Unanswered(url, _told(error))

    def _get(self, url: str, params: Mapping[str, str]) -> Any:
        deadline = time.monotonic() + TIMEOUT
        with self._session.get(
            url,
            params=params,
            headers=dict(self._reconcile.credentials()) | {"Accept": "application/json"},
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
        ) as response:
            if response.status_code != requests.codes.ok:
                kind = _Missing if response.status_code == requests.codes.not_found else Unreadable
                raise kind(f"answered {response.status_code}")
            return _parsed(content_of(response, deadline, _MOST_ANSWER))


class _Missing(Unreadable):
    """The Alertmanager has no such resource."""


_FAILURES: Final = (requests.RequestException, torn.HTTPError, Unreadable, OSError, ValueError)


def _told(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, (requests.RequestException, torn.HTTPError)):
        return below_http(error)
    return "the credentials cannot be read"


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Unreadable("answered with something that is not JSON") from None


def status(answer: Any) -> tuple[float, bool]:
    """Return since when an Alertmanager runs (epoch seconds), and whether its cluster settles. Raises Unreadable."""
    if not isinstance(answer, dict):
        raise Unreadable("status: not an object")
    started = time_of(answer, "uptime")
    if started is None:
        raise Unreadable("status: uptime: missing")
    cluster = answer.get("cluster")
    return started, isinstance(cluster, dict) and cluster.get("status") == "settling"


def listed(answer: Any, settings: Settings, now: float) -> Iterator[Listed]:
    """Give every alert of a list. Unreadable when one cannot be read: it could be any."""
    if not isinstance(answer, list):
        raise Unreadable("alerts: not a list")
    for entry in answer:
        if not isinstance(entry, dict):
            raise Unreadable("alerts: one is not an object")
        told = entry.get("status")
        state: Mapping[str, Any] = told if isinstance(told, dict) else {}
        suppressed = state.get("state") == "suppressed" or any(state.get(name) for name in _MUTES)
        yield Listed(
            alert=read({**entry, "status": "firing"}, settings, "", now),
            active=state.get("state") == "active" and not suppressed,
            suppressed=suppressed,
            receivers=frozenset(_names(entry.get("receivers"))),
        )


def muted(answer: Any, names: Collection[str], settings: Settings, now: float) -> set[str]:
    """Return the keys that are muted in all groups of these receivers. Unreadable when an alert cannot be read."""
    by_muting: dict[bool, set[str]] = {True: set(), False: set()}
    for group in answer if isinstance(answer, list) else ():
        if isinstance(group, dict) and not set(_names([group.get("receiver")])).isdisjoint(names):
            for found in listed(group.get("alerts"), settings, now):
                by_muting[found.suppressed].add(found.alert.key)
    return by_muting[True] - by_muting[False]


def _names(receivers: Any) -> Iterator[str]:
    found: Sequence[Any] = receivers if isinstance(receivers, list) else ()
    for receiver in found:
        if isinstance(receiver, dict) and isinstance(receiver.get("name"), str):
            yield receiver["name"]
