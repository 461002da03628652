"""PacketVis's single request: the warning, and the list of notifications."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import ClassVar

from exporter.collectors.contract import Figure, Get, Reason, Request, Response, confirmed
from exporter.metrics.families import Family, counter, gauge
from exporter.toolkit.text import counted

from .answers import Notification, read_report
from .config import DOCUMENTED_TYPES, Settings

WARNING = gauge("packetvis_warning", "Whether a matching notification was created within the warning window.")
NOTIFICATIONS = gauge(
    "packetvis_notifications",
    "Notifications that PacketVis lists now, old ones included.",
    *("category", "notification_type", "severity"),
)
SEEN = counter(
    "packetvis_notifications_seen_total", "Distinct notifications seen, by their id.", "notification_type", "severity"
)
LATEST = gauge(
    "packetvis_latest_notification_timestamp_seconds",
    "When the newest notification was created, in seconds since the epoch.",
)
RECENT = gauge(
    "packetvis_notification_timestamp_seconds",
    "When each of the newest notifications within the warning window was created, in seconds since the epoch.",
    *("notification_id", "notification_type", "severity", "category", "summary", "url", "dispatched"),
)

OTHER = "other"
MOST_RECENT = 20
"""Most notifications with a series of their own."""
MOST_KINDS = 500
"""Most kinds with label values of their own; the vendor documents 60."""
REMEMBERED_IDS = 10_000
"""Ids remembered after they are no longer listed, so that one that comes back is not counted twice."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The notifications of one account. `listed` holds every kind ever listed, with the number listed now.

    `newest`: those with a series of their own, the newest first; `window` is in seconds. `filters`: the
    parameters of the request; `emptied_at`: when the list suddenly became empty, until that is confirmed.
    """

    as_of: float | None = None
    warning: bool = False
    latest: float | None = None
    listed: tuple[tuple[str, str, str, int], ...] = ()
    seen: tuple[tuple[str, str, int], ...] = ()
    ids: tuple[str, ...] = ()
    newest: tuple[Notification, ...] = ()
    window: float = 0.0
    filters: tuple[tuple[str, str], ...] = ()
    emptied_at: float | None = None
    counting_since: float | None = None
    """When the list was first read: `seen` has counted since then."""

    @property
    def round_at(self) -> float | None:
        """Each response is a complete round."""
        return self.as_of

    truncated: ClassVar[bool] = False
    """Never: the response has no pages."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Requests the wizard's URL, and nothing else."""

    settings: Settings

    metrics = (WARNING, LATEST, RECENT, SEEN, NOTIFICATIONS)
    start = Knowledge

    def requests(self, knowledge: Knowledge, now: float, failing: int = 0) -> Iterator[Request]:  # noqa: ARG002  there is one
        """Yield the only request. 418 is expected: a pasted URL may contain `status=true`."""
        every = self.settings.poll_interval
        params, as_of = self.settings.params(), knowledge.as_of
        due = 0.0 if as_of is None or knowledge.filters != params else as_of + every  # at once when filters change
        yield Get(
            endpoint="/notifications",
            reason=Reason.STATUS,
            due=confirmed(knowledge.emptied_at, every, due),
            every=every,
            params=params,
            expected_statuses=frozenset({418}),
        )

    def update(self, knowledge: Knowledge, request: Get, response: Response) -> Knowledge:  # noqa: ARG002  there is one request
        """Return the knowledge after a response. Raises Malformed if the warning or the list is missing."""
        report = read_report(response.body, response.status)
        distinct = self._labelled(knowledge, report.notifications)
        filters = self.settings.params()
        # PacketVis lists old notifications too, so a suddenly empty list must be confirmed.
        was_listed = any(count for *_, count in knowledge.listed) and knowledge.filters == filters
        if not distinct and was_listed and knowledge.emptied_at is None:
            return replace(knowledge, emptied_at=response.at)
        counts = Counter((each.category, each.type, each.severity) for each in distinct.values())
        listed = sorted({kind[:3] for kind in knowledge.listed} | set(counts))  # 0 for those listed before
        old = set(knowledge.ids)
        seen = Counter({(kind, severity): count for kind, severity, count in knowledge.seen})
        seen.update((each.type, each.severity) for each in distinct.values() if each.id not in old)
        newest = sorted(distinct.values(), key=lambda each: (-(each.created or 0.0), each.id))
        gone = [each for each in knowledge.ids if each not in distinct]
        return Knowledge(
            as_of=response.at,
            warning=report.warning,
            latest=newest[0].created if newest and newest[0].created else knowledge.latest,
            listed=tuple((*kind, counts[kind]) for kind in listed),
            seen=tuple((*key, count) for key, count in sorted(seen.items())),
            ids=(*distinct, *gone[:REMEMBERED_IDS]),
            filters=filters,
            newest=tuple(each for each in newest[:MOST_RECENT] if each.created),
            window=report.window or self.settings.window(),
            counting_since=knowledge.counting_since or response.at,
        )

    def _labelled(self, knowledge: Knowledge, notifications: Iterable[Notification]) -> dict[str, Notification]:
        """Return the notifications by id; beyond the limit a new kind becomes `other`, to bound the label values."""
        known = {kind[:3] for kind in knowledge.listed}
        distinct = {each.id: each for each in notifications}
        for each in distinct.values():
            is_kept = each.type in DOCUMENTED_TYPES or self.settings.unknown_types == "keep"
            kind = (each.category, each.type if is_kept else OTHER, each.severity)
            if kind not in known and len(known) >= MOST_KINDS:
                kind = (OTHER, OTHER, each.severity)
            known.add(kind)
            distinct[each.id] = replace(each, category=kind[0], type=kind[1])
        return distinct

    def families(self, knowledge: Knowledge, now: float) -> Iterator[Family]:
        """Yield the families, the warning first."""
        if knowledge.as_of is None:
            return
        yield Family(WARNING, [((), float(knowledge.warning))])
        yield Family.of(LATEST, [((), knowledge.latest)])
        recent = [
            ((each.id, each.type, each.severity, each.category, each.summary, each.url, each.dispatched), each.created)
            for each in _new(knowledge, now)
        ]
        yield Family.of(RECENT, recent)
        seen = [((kind, severity), float(count)) for kind, severity, count in knowledge.seen]
        yield Family(SEEN, seen, [] if knowledge.counting_since is None else [knowledge.counting_since] * len(seen))
        yield Family(NOTIFICATIONS, [(kind[:3], float(kind[3])) for kind in knowledge.listed])

    def figures(self, knowledge: Knowledge, now: float) -> Iterator[Figure]:
        """Yield the warning and its cause, and the listed notifications by kind."""
        summaries = [each.summary for each in _new(knowledge, now)]
        warning = f"warning: {shorten(summaries[0], 200, placeholder='…')}" if summaries else "warning"
        yield Figure(warning if knowledge.warning else "no warning", bad=knowledge.warning)
        kinds = Counter[str]()
        for _, kind, severity, count in knowledge.listed:
            kinds[f"{kind} ({severity})"] += count
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5) if count)
        yield Figure(f"{counted(kinds.total(), 'notification')} listed{f': {listed}' if listed else ''}")


def _new(knowledge: Knowledge, now: float) -> list[Notification]:
    """Return the newest notifications within the warning window."""
    return [each for each in knowledge.newest if (each.created or 0.0) >= now - knowledge.window]
