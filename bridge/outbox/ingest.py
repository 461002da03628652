"""What webhooks change in the store: key states and the events to send, decided and written in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, update

from bridge.domain.alert import Alert
from bridge.domain.dedup import Action, Decision, Known, Reason, decide, later, resend
from bridge.domain.event import NONE, Draft, Status, draft, status_of
from bridge.domain.notification import Notification, Outcome
from bridge.outbox.database import Database
from bridge.outbox.rows import PRIORITY, KeyRow, known, quarantined, waiting_event, written
from bridge.outbox.schema import events, keys, quarantine
from bridge.outbox.statements import Statements

__all__ = ["Intake", "Notification", "Outcome"]

_KNOWN = ("content", "timestamp", "told_at", "ended_at", "at")
_AT_ONCE = 500
"""Events that one UPDATE names."""


class _Line:
    """One key while a batch is decided: what is known, and what is still to be written of it."""

    __slots__ = ("_known", "row", "seq", "starts_at", "tail", "touched_at")

    def __init__(self, row: KeyRow | None, tail: dict[str, Any] | None) -> None:
        self._known = known(row, tail)
        self.seq: int = row.seq if row else 0
        self.tail = tail
        self.row: dict[str, Any] | None = None
        self.starts_at: float | None = row.starts_at if row and self._known else None
        self.touched_at: float | None = row.updated_at if row and self._known else None

    @property
    def known(self) -> Known | None:
        """What is known, as the next alert of this key in the batch finds it."""
        if self._known is None and self.row:
            told = {name: self.row[name] for name in _KNOWN}
            self._known = Known(status=Status(self.row["status"]), **told, waiting=waiting_event(self.tail))
        return self._known

    def keep(self, row: dict[str, Any]) -> None:
        """Let `row` be what is written, and known from now on."""
        self.row, self._known = row, None
        self.starts_at, self.touched_at = row["starts_at"], row["updated_at"]

    def amend(self, times: dict[str, Any], alert: Alert, now: float) -> None:
        """Let some of the times be known from now on."""
        if known := self.known:
            self._known = replace(known, **{name: time for name, time in times.items() if name != "starts_at"})
        self.starts_at, self.touched_at = alert.starts_at, now


class Intake:
    """One batch of notifications on its way into the store."""

    def __init__(self, database: Database, connection: Connection, now: float) -> None:
        self._database = database
        self._connection = connection
        self._now = now
        self._statements = database.prepared(Statements)
        self._lines: dict[str, _Line] = {}
        self._new: list[dict[str, Any]] = []
        self._replaced: list[int] = []
        self._touched: dict[str, dict[str, Any]] = {}

    def accept(self, batch: Sequence[Notification]) -> list[Outcome]:
        """Decide about every alert, in the order given, and write what follows."""
        self._load({alert.key for notification in batch for alert in notification.alerts})
        outcomes = [self._decide(notification) for notification in batch]
        self._write()
        self._set_aside(batch)
        self._note_senders(batch)
        return outcomes

    def _load(self, names: set[str]) -> None:
        wanted = sorted(names)
        bound = self._database.names(wanted)
        if self._statements.reserve:
            self._statements.reserve.run(self._connection, names=bound)
        found = {row.key: row for row in self._statements.known.read(self._connection, names=bound)}
        told = [key for key, row in found.items() if row.status]
        tails = self._tails(told) if told else {}
        for key in wanted:
            self._lines[key] = _Line(found.get(key), tails.get(key))

    def _tails(self, found: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the newest event of each key where it waits and was never tried."""
        rows = self._statements.tails.read(self._connection, names=self._database.names(found))
        return {row.key: row._asdict() for row in rows}

    def _decide(self, notification: Notification) -> Outcome:
        outcome = Outcome(quarantined=len(notification.set_aside))
        for alert in notification.alerts:
            line = self._lines[alert.key]
            if notification.seen is not None and notification.seen.get(alert.key) != line.touched_at:
                outcome.unchanged += 1
                outcome.reasons[Reason.OVERTAKEN] += 1
                continue
            status, mapped = status_of(alert, notification.mapping)
            if notification.resend and line.known:
                status = line.known.status
            made = draft(alert, status or Status.OK, notification.mapping)
            if notification.resend:
                decision = resend(line.known, now=self._now)
            else:
                decision = decide(
                    line.known, alert, status, made.content, now=self._now, update_interval=notification.update_interval
                )
            self._apply(line, alert, decision, made, notification.mapping.app_key)
            _count(outcome, decision, status, mapped=mapped)
        return outcome

    def _apply(self, line: _Line, alert: Alert, decision: Decision, made: Draft, app_key: str) -> None:
        given_way = self._withdraw(line) if decision.withdraw else None
        if decision.reason is Reason.REVERTED:
            self._keep(line, alert, decision, made)
        if decision.reason is Reason.REPEAT:
            self._touch(line, alert)
        if decision.kind is None:
            return
        line.seq += 1
        event = self._event(line, alert, decision, made, app_key)
        event["replaces"] = given_way["replaces"] if given_way else _shown(line.known)
        if given_way and decision.heir:
            event["queued_at"] = given_way["queued_at"]
        self._new.append(event)
        line.tail = event
        self._keep(line, alert, decision, made)

    def _touch(self, line: _Line, alert: Alert) -> None:
        """Let the key show what a repeat tells of times: of another episode, or that it holds at a later time.

        What was judged by the episode before is overtaken; what is older than the repeat comes too late.
        """
        times: dict[str, Any] = dict(later(line.known, line.starts_at, alert))
        if not times:
            return
        line.amend(times, alert, self._now)
        row = self._touched.setdefault(alert.key, {}) if line.row is None else line.row
        row |= times | {"updated_at": self._now}

    def _withdraw(self, line: _Line) -> dict[str, Any] | None:
        tail, line.tail = line.tail, None
        if tail is None:
            return None
        if "id" in tail:
            self._replaced.append(tail["id"])
        else:
            tail |= {"state": "superseded", "closed_at": self._now}
        return tail

    def _event(self, line: _Line, alert: Alert, decision: Decision, made: Draft, app_key: str) -> dict[str, Any]:
        """Return the row. Its words are plain strings: over an enumeration's the driver takes as long as over a row."""
        return {
            "key": alert.key,
            "seq": line.seq,
            "receiver": alert.receiver,
            "source": alert.source,
            "app_key": app_key,
            "kind": decision.kind.value if decision.kind else "",
            "status": decision.status.value,
            "priority": PRIORITY.get(decision.status, 2),
            "timestamp": decision.timestamp,
            "body": made.freeze(decision.timestamp),
            "content": made.content,
            "alert": written(alert),
            "state": "waiting",
            "reason": decision.reason.value,
            "attempts": 0,
            "accepted_at": self._now,
            "queued_at": self._now,
            "not_before": decision.not_before,
            "closed_at": None,
            "lease_token": "",
            "lease_until": 0.0,
        }

    def _keep(self, line: _Line, alert: Alert, decision: Decision, made: Draft) -> None:
        """Let the key say what BigPanda will show once everything that waits was sent."""
        known = line.known
        follows = known is not None and (decision.kind is None or decision.heir)
        line.keep(
            {
                "key": alert.key,
                "receiver": alert.receiver,
                "source": alert.source,
                "status": made.status.value,
                "content": made.content,
                "timestamp": known.timestamp if known and decision.kind is None else decision.timestamp,
                "seq": line.seq,
                "told_at": known.told_at if known and follows else self._now,
                "starts_at": alert.starts_at,
                "ended_at": _ended_at(known, alert, made.status, self._now),
                "at": known.at if known and alert.at is None else alert.at,
                "doubtful": decision.doubtful,
                "alert": line.tail["alert"] if line.tail else written(alert),
                "updated_at": self._now,
            }
        )

    def _write(self) -> None:
        for part in _parts(self._replaced):
            changes = {"state": "superseded", "closed_at": self._now}
            self._connection.execute(update(events).where(events.c.id.in_(part)).values(changes))
        if self._new:
            self._statements.events.write(self._connection, self._new)
        for key, times in self._touched.items():
            self._connection.execute(update(keys).where(keys.c.key == key).values(times))
        rows = [line.row for line in self._lines.values() if line.row]
        if rows:
            self._statements.keys.write(self._connection, rows)

    def _set_aside(self, batch: Sequence[Notification]) -> None:
        rows = [
            quarantined(notification.receiver, notification.source, item.reason, item.body, self._now)
            for notification in batch
            for item in notification.set_aside
        ]
        if rows:
            self._connection.execute(insert(quarantine), rows)

    def _note_senders(self, batch: Sequence[Notification]) -> None:
        beats = sorted({(item.receiver, item.source) for item in batch if item.heartbeat})
        if beats:
            rows = [{"receiver": receiver, "source": source, "heard_at": self._now} for receiver, source in beats]
            self._statements.heartbeats.write(self._connection, rows)
        names = sorted({(item.receiver, item.source, item.receiver_name) for item in batch if item.receiver_name})
        if names:
            rows = [{"receiver": receiver, "source": source, "name": name} for receiver, source, name in names]
            self._statements.senders.write(self._connection, rows)


def _shown(known: Known | None) -> str:
    return known.content if known and known.open else ""


def _ended_at(known: Known | None, alert: Alert, status: Status, now: float) -> float | None:
    if status is not Status.OK:
        return known.ended_at if known else None
    return now if alert.ends_at is None else alert.ends_at


def _count(outcome: Outcome, decision: Decision, status: Status | None, *, mapped: bool) -> None:
    outcome.statuses[status or NONE] += 1
    outcome.reasons[decision.reason] += 1
    outcome.unmapped += not mapped
    outcome.superseded += decision.withdraw
    outcome.queued += decision.action in (Action.QUEUE, Action.HOLD)
    outcome.unchanged += decision.action is Action.UNCHANGED
    outcome.skipped += decision.action is Action.SKIP


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
