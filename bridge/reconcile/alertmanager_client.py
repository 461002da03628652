"""The client of Alertmanager's API v2: the alerts that each peer knows, suppressed or not, and its start time.

Alertmanagers keep alerts in memory only and never list resolved ones. An incomplete response could resolve an alert
that still fires, so a response counts as a whole or not at all.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from bridge.delivery.answers import judge, parsed
from bridge.delivery.http_api import HttpApi
from bridge.domain.alert import Alert
from bridge.errors import DeliveryError, Unanswered, Unreadable
from bridge.receivers.alertmanager import Settings, read
from exporter.toolkit.config_types import seconds
from exporter.toolkit.lenient import object_of, objects_of, time_of
from exporter.toolkit.yaml_file import parse_foreign

TIMEOUT: Final = 10.0
"""Timeout in seconds of one complete response."""
_EVERYTHING: Final = {"active": "true", "silenced": "true", "inhibited": "true", "unprocessed": "true"}
_MUTES: Final = ("silencedBy", "inhibitedBy", "mutedBy")
_VERSION: Final = re.compile(r"v?(\d{1,9})\.(\d{1,9})")
_SHOWS_MUTES: Final = (0, 35)
"""The first version that shows time interval mutes at once; earlier ones only after the group's next flush."""
_GROUPS_SHOW_MUTES: Final = (0, 28)
"""The first version that shows them at all."""
_GROUP_INTERVAL: Final = 300.0
"""Alertmanager's default."""
_MOST_VALUES: Final = 5_000_000
"""Objects, lists and values in one response; an alert has some thirty. In memory one takes up to a hundred bytes."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One alert known to an Alertmanager, routed to `receivers`. `silenced_by`: the ids of its silences.

    `active` and `suppressed` are both false until Alertmanager has checked its silences and inhibitions.
    """

    alert: Alert
    active: bool
    suppressed: bool
    receivers: frozenset[str]
    silenced_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A silence in Alertmanager: its creator and comment. `until`: its end for people, `ends_at` for us."""

    by: str
    until: str
    comment: str
    ends_at: float

    @property
    def tags(self) -> Mapping[str, str]:
        """Return the tags that BigPanda shows."""
        shown = {"silenced_by": self.by, "silenced_until": self.until, "silence_comment": self.comment}
        return {name: value for name, value in shown.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The response of one Alertmanager.

    `started`: its start in epoch seconds, inf if it does not report one; `ask` bounds it by what it has seen.
    `settling`: its cluster has not settled yet. `mutes_lag`: seconds until it shows that an alert is muted by a time
    interval; inf: never. `senders`: its receivers with a webhook, None if it does not show its configuration.
    """

    started: float
    settling: bool
    mutes_lag: float = 0.0
    senders: frozenset[str] | None = None
    listed: tuple[Listed, ...] = ()


class AlertmanagerApi(HttpApi):
    """The Alertmanagers of one receiver, queried one after the other, by one thread."""

    def __init__(self, settings: Settings, steady: Callable[[], float] = time.monotonic) -> None:
        """Take a receiver's settings, which must have `reconcile`. `steady`: a monotonic clock."""
        if settings.reconcile is None:
            raise ValueError("this receiver has no reconcile section")
        super().__init__(settings.reconcile, TIMEOUT, settings.reconcile, "Alertmanager")
        self._settings, self._urls, self._steady = settings, settings.reconcile.urls, steady
        self._runs: dict[str, tuple[float, float, bool]] = {}
        """Of each URL the latest start reported, since when we know it, and whether it is that of a restart."""

    def ask(self, now: float, names: Collection[str] = ()) -> list[Peer | Unanswered]:
        """Return each one's response, or why it is unusable; `now` stands in for a missing time.

        `names`: the receivers that have sent to us. One whose configuration has a webhook for none of them is another
        Alertmanager, which says nothing about our alerts.
        """
        answers: list[Peer | Unanswered] = []
        for url in self._urls:
            try:
                peer = status(self._get(url, "/api/v2/status", {}))
                if names and peer.senders is not None and peer.senders.isdisjoint(names):
                    ours = " or ".join(sorted(names))
                    raise Unreadable(f"another Alertmanager: its configuration has no webhook for receiver {ours}")
                found = tuple(listed(self._get(url, "/api/v2/alerts", _EVERYTHING), self._settings, now))
            except _FAILURES as error:
                # It may have restarted meanwhile: without a reported start time, count it as young again.
                if math.inf in self._runs.get(url, ()):
                    del self._runs[url]
                answers.append(Unanswered(origin(url), str(error)))
                continue
            newest, since, restarted = self._runs.get(url, (peer.started, self._steady(), False))
            if peer.started > newest:
                newest, since, restarted = peer.started, self._steady(), True
            self._runs[url] = newest, since, restarted
            # It has run for at least as long as we know it, and no longer if it has restarted since our first request,
            # whatever happens to its clock or ours. With several behind one URL, that is true of the newest.
            known = now - (self._steady() - since)
            started = known if restarted and peer.started == newest else min(peer.started, known)
            answers.append(replace(peer, started=started, listed=found))
        return answers

    def muted(self, names: Collection[str], now: float) -> frozenset[str]:
        """Return the keys that a time interval mutes in every group routed to one of these receivers.

        Alertmanager shows that only in its groups, since 0.28; one without groups mutes nothing. Raises Unanswered if
        none of them answers.
        """
        query, read = _EVERYTHING | {"muted": "true"}, partial(muted, names=names, settings=self._settings, now=now)
        return frozenset().union(*self._any("/api/v2/alerts/groups", query, read, missing=[]))

    def silences(self) -> dict[str, Silence]:
        """Return the silences of all that answer, by id. Raises Unanswered if none does."""
        found = self._any("/api/v2/silences", {"expired": "false"}, silences)
        return {name: silence for one in found for name, silence in one.items()}

    def _any(self, path: str, params: Mapping[str, str], read: Callable[[Any], T], missing: Any = None) -> list[T]:
        """Return what `read` finds in the responses, at least one. `missing`: stands in for a 404."""
        answers = []
        failed: Unanswered | None = None
        for url in self._urls:
            try:
                answers.append(read(self._get(url, path, params, missing)))
            except _FAILURES as error:
                failed = failed or Unanswered(origin(url), str(error))
        if failed and not answers:
            raise failed
        return answers

    def _get(self, url: str, path: str, params: Mapping[str, str], missing: Any = None) -> Any:
        answer = self.fetch("GET", f"{url}{path}?{urlencode(params)}")
        if answer.status == HTTPStatus.NOT_FOUND and missing is not None:
            return missing
        if answer.status != HTTPStatus.OK:
            judge(answer, time.time(), who="", secrets=self._sent)
            raise Unreadable(f"answered {answer.status}")
        if sum(map(answer.body.count, (b"{", b"[", b","))) > _MOST_VALUES:
            raise Unreadable(f"the response has more than {_MOST_VALUES:,} values")
        if (found := parsed(answer.body)) is None:
            raise Unreadable("the response is not JSON")
        return found


_FAILURES: Final = (DeliveryError, Unreadable)


def origin(url: str) -> str:
    """Return a URL's scheme and host for the log: its path and query may contain secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def status(answer: Any) -> Peer:
    """Return what an Alertmanager says of itself, without its alerts. Raises Unreadable."""
    if not isinstance(answer, dict):
        raise Unreadable("status: not an object")
    cluster, about, config = (object_of(answer.get(member)) for member in ("cluster", "versionInfo", "config"))
    started = time_of(answer["uptime"]) if isinstance(answer.get("uptime"), str) else None
    version = _VERSION.match(str(about.get("version")))
    release = (int(version[1]), int(version[2])) if version else _GROUPS_SHOW_MUTES
    original = str(config.get("original"))
    lag, senders = _routing(original)
    if release >= _SHOWS_MUTES:
        lag = 0.0
    elif release < _GROUPS_SHOW_MUTES and "_time_intervals:" in original:
        lag = math.inf
    return Peer(
        started=math.inf if started is None else started,
        settling=cluster.get("status") == "settling",
        mutes_lag=lag,
        senders=senders,
    )


@lru_cache(maxsize=8)
def _routing(config: str) -> tuple[float, frozenset[str] | None]:
    """Return the longest group interval of a configuration's routes, and its receivers with a webhook.

    Cached, because parsing the YAML is slow.
    """
    parsed = {}
    with suppress(ValueError):
        parsed = object_of(parse_foreign(config))
    senders = [one for one in objects_of(parsed.get("receivers")) if one.get("webhook_configs")]
    names = frozenset(_names(senders)) if "receivers" in parsed else None
    return max(_group_intervals(object_of(parsed.get("route")), _GROUP_INTERVAL)), names


def _group_intervals(route: Mapping[str, Any], interval: float) -> Iterator[float]:
    with suppress(KeyError, ValueError):
        interval = seconds(route["group_interval"])
    yield interval
    for child in objects_of(route.get("routes")):
        yield from _group_intervals(child, interval)


def listed(answer: Any, settings: Settings, now: float) -> Iterator[Listed]:
    """Yield every alert of a list. Raises Unreadable if one cannot be read, because it could be any."""
    if not isinstance(answer, list):
        raise Unreadable("alerts: not a list")
    for entry in answer:
        if not isinstance(entry, dict):
            raise Unreadable("alerts: one is not an object")
        # Alertmanager writes them in only one way: with anything else the alert's identity is uncertain.
        labels = entry.get("labels")
        if not (isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())):
            raise Unreadable("labels: not text")
        state = object_of(entry.get("status"))
        suppressed = state.get("state") == "suppressed" or any(state.get(name) for name in _MUTES)
        silenced_by = state.get("silencedBy")
        yield Listed(
            alert=read({**entry, "status": "firing"}, settings, "", now),
            active=state.get("state") == "active" and not suppressed,
            suppressed=suppressed,
            receivers=frozenset(_names(entry.get("receivers"))),
            silenced_by=tuple(map(str, silenced_by)) if isinstance(silenced_by, list) else (),
        )


def muted(answer: Any, names: Collection[str], settings: Settings, now: float) -> set[str]:
    """Return the keys muted in all groups of these receivers. Raises Unreadable if an alert cannot be read."""
    by_muting: dict[bool, set[str]] = {True: set(), False: set()}
    for group in objects_of(answer):
        if not set(_names([group.get("receiver")])).isdisjoint(names):
            for found in listed(group.get("alerts"), settings, now):
                by_muting[found.suppressed].add(found.alert.key)
    return by_muting[True] - by_muting[False]


def silences(answer: Any) -> dict[str, Silence]:
    """Return the silences of a list, by id, leaving out incomplete ones."""
    found = {}
    for entry in objects_of(answer):
        ends_at = time_of(entry.get("endsAt"))
        if ends_at is not None and isinstance(entry.get("id"), str):
            by, comment = (str(entry.get(name) or "") for name in ("createdBy", "comment"))
            until = datetime.fromtimestamp(ends_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            found[entry["id"]] = Silence(by=by, until=until, comment=comment, ends_at=ends_at)
    return found


def _names(receivers: Any) -> list[str]:
    return [name for one in objects_of(receivers) if isinstance(name := one.get("name"), str)]
