"""BigPanda's incidents in the store: their records from webhooks, and the callbacks that are due.

An incident and its callback are written in the same transaction as its webhook.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, case, func, literal, select, update

from bridge.domain.event import Status
from bridge.domain.incident import NEW, IncidentDetails, IncidentRecord, fires_still, lasted, merge
from bridge.domain.notification import Notification, Outcome
from bridge.outbox.alerts import states
from bridge.outbox.database import Database
from bridge.outbox.repository import Page, PageRequest, Repository, columns
from bridge.outbox.schema import alert_states, callbacks, incidents, share_quotas

_AS_JSON = {
    "keys": tuple[str, ...],
    "closed_manually": dict[str, float],
    "seen": tuple[str, ...],
    "details": IncidentDetails,
}


_REPORTED = select(*columns(incidents, IncidentRecord)).where(incidents.c.heard_at > 0)


@dataclass(frozen=True, slots=True)
class DueCallback:
    """One share that BigPanda waits for. `asked_at` distinguishes it from a later share of the same incident."""

    source: str
    incident: str
    attempts: int
    asked_at: float


class Incidents(Repository):
    """Incidents as last reported by BigPanda's webhooks, and the callbacks that are due."""

    def records(self, source: str | None = None) -> list[IncidentRecord]:
        """Return the incidents of one source, or of all, the newest first."""
        query = _REPORTED.order_by(incidents.c.heard_at.desc(), incidents.c.id)
        return self._all(query if source is None else query.where(incidents.c.source == source), _record)

    def page(self, request: PageRequest) -> Page[IncidentRecord]:
        """Return a page of incidents: the most urgent of the open ones first, then closed ones; of each the latest."""
        levels = ((incidents.c.status == Status.CRITICAL, 1), (incidents.c.status == Status.WARNING, 2))
        urgency = case((~incidents.c.active, 4), *levels, else_=3)
        order = (urgency, incidents.c.heard_at.desc(), incidents.c.source, incidents.c.id)
        return self._page(_REPORTED.order_by(*order), request, _record)

    def record(self, source: str, number: str) -> IncidentRecord | None:
        """Return one incident; None if no webhook has reported it."""
        here = (incidents.c.source == source, incidents.c.id == number)
        return next(iter(self._all(_REPORTED.where(*here), _record)), None)

    def share_quotas(self, receivers: Iterable[tuple[str, str]]) -> dict[str, float]:
        """Return each source's remaining shares until BigPanda resets the count, if its webhooks report them.

        `receivers`: (receiver, source) of those that are configured; the quota of a removed one never changes again.
        """
        sources = [source for receiver, source in receivers if receiver == "bigpanda"]
        rows = self._rows(select(share_quotas).where(share_quotas.c.source.in_(sources)))
        return {row.source: row.available for row in rows}

    def counts(self) -> dict[tuple[str, str], int]:
        """Count by environment and status; a closed incident counts as ok, whatever its alerts."""
        status: ColumnElement[str] = case((incidents.c.active, incidents.c.status), else_=literal(Status.OK.value))
        query = select(incidents.c.environment, status, func.count()).where(incidents.c.heard_at > 0)
        rows = self._rows(query.group_by(incidents.c.environment, status))
        return {(environment, found): number for environment, found, number in rows}

    def due_callbacks(self, source: str, now: float) -> list[DueCallback]:
        """Return the new shares whose callback BigPanda waits for, at most 30, the oldest first."""
        # A share from the future means that the clock was set back since.
        now_or_before = (callbacks.c.not_before <= now) | (callbacks.c.asked_at > now)
        due = (callbacks.c.source == source, callbacks.c.state == "waiting", now_or_before)
        query = select(*columns(callbacks, DueCallback)).where(*due)
        return self._all(query.order_by(callbacks.c.asked_at, callbacks.c.incident).limit(30), DueCallback)

    def settle_callback(self, callback: DueCallback, state: str, reason: str, *, now: float, not_before: float) -> None:
        """Record the outcome of a callback (`done`, `dead`, or `waiting` until `not_before`), unless superseded."""
        of = callbacks.c
        same = (of.source == callback.source, of.incident == callback.incident, of.asked_at == callback.asked_at)
        changes = {"state": state, "reason": reason, "attempts": callback.attempts + 1, "not_before": not_before}
        closed_at = None if state == "waiting" else now
        self._change(update(callbacks).where(*same).values(**changes, closed_at=closed_at))


class IncidentMerge:
    """The merge of a batch's incidents into their records, in the transaction of its webhooks."""

    def __init__(self, database: Database, connection: Connection, now: float) -> None:
        self._database, self._connection, self._now = database, connection, now

    def merge(self, batch: Sequence[Notification], outcomes: Sequence[Outcome]) -> None:
        """Merge the incidents of each notification, in the order given."""
        known = self._load({(one.source, each.id) for one in batch for each in one.incidents})
        for notification, outcome in zip(batch, outcomes, strict=True):
            source = notification.source
            for incoming in notification.incidents:
                before = known[source, incoming.id]
                after = merge(before, incoming, source, self._now)
                if after is None:
                    continue
                after = self._judged(before, after, outcome)
                for one in (after, *(self._absorbed(after) if after.active else ())):
                    here = (incidents.c.source == source) & (incidents.c.id == one.id)
                    self._connection.execute(update(incidents).where(here).values(_row(one)))
                    known[source, one.id] = one
                if incoming.quota is not None:
                    quota = self._database.upsert(share_quotas, "source")
                    self._connection.execute(quota.values(source=source, available=incoming.quota))
                # The first webhook of a share: v1 names no event, and an incident may be shared again.
                if notification.confirm and (before is None or incoming.event == NEW):
                    place = {"source": source, "incident": incoming.id, "asked_at": self._now}
                    fresh = {"state": "waiting", "reason": "", "attempts": 0, "not_before": 0.0, "closed_at": None}
                    due = self._database.upsert(callbacks, "source", "incident")
                    self._connection.execute(due.values(**place, **fresh))

    def _load(self, places: set[tuple[str, str]]) -> dict[tuple[str, str], IncidentRecord | None]:
        """Lock each incident, even one that does not exist yet, so that two replicas cannot both be the first."""
        found: dict[tuple[str, str], IncidentRecord | None] = {}
        for source, number in sorted(places):
            blank = _row(IncidentRecord(source=source, id=number, first_heard_at=self._now, heard_at=0.0))
            self._connection.execute(self._database.insert(incidents).values(blank).on_conflict_do_nothing())
            here = (incidents.c.source == source) & (incidents.c.id == number)
            this = select(*columns(incidents, IncidentRecord)).where(here).with_for_update()
            row = self._connection.execute(this).one()
            found[source, number] = _record(**row._asdict()) if row.heard_at else None
        return found

    def _judged(self, before: IncidentRecord | None, after: IncidentRecord, outcome: Outcome) -> IncidentRecord:
        """Count the changes in this webhook, and record the alerts that still fire in an incident that it closed."""
        if not (before and before.acknowledged_at) and (seconds := lasted(after, after.acknowledged_at)) is not None:
            outcome.acknowledged.append((after.environment, seconds))
        if after.active or (before and not before.active):
            return after
        # By BigPanda's clock, or by ours if it does not report the end.
        if (seconds := lasted(after, after.closed_at if after.ended_at is None else after.ended_at)) is not None:
            outcome.resolved.append((after.environment, seconds))
        # An incident merged into another open one was not closed.
        others = (incidents.c.source == after.source) & (incidents.c.id != after.id) & incidents.c.active
        listed = self._connection.execute(select(incidents.c["keys"]).where(others, incidents.c.heard_at > 0)).scalars()
        elsewhere = {key for keys in listed for key in json.loads(keys)}
        these = self._database.among(alert_states.c.key, after.keys)
        still = {
            one.key: one
            for one in states(self._connection, these)
            if one.open and one.key not in elsewhere and fires_still(one.queued_at, one.ended_at, after, self._now)
        }
        outcome.closed_manually.update(one.alert.source for one in still.values())
        return replace(after, closed_manually={key: one.updated_at for key, one in still.items()})

    def _absorbed(self, by: IncidentRecord) -> list[IncidentRecord]:
        """Return as closed the incidents merged into this one, all of whose alerts it has: BigPanda reports no merge.

        Incidents that another replica is writing at this moment are left to it.
        """
        mine = set(by.keys)
        others = (incidents.c.source == by.source) & (incidents.c.id != by.id) & incidents.c.active
        older = others & (incidents.c.updated_at <= by.updated_at)
        rows = self._connection.execute(_REPORTED.where(older).with_for_update(skip_locked=True))
        return [
            replace(one, active=False, snoozed=False, snoozed_until=None, closed_at=self._now)
            for one in (_record(**row._asdict()) for row in rows)
            if one.keys and mine.issuperset(one.keys)
        ]


def _record(**columns: Any) -> IncidentRecord:
    for name, kind in _AS_JSON.items():
        columns[name] = msgspec.json.decode(columns[name], type=kind)
    return IncidentRecord(**columns)


def _row(record: IncidentRecord) -> dict[str, Any]:
    found = {column.key: getattr(record, column.key) for column in incidents.c}
    return found | {name: msgspec.json.encode(found[name]).decode() for name in _AS_JSON}
