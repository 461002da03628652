"""What webhooks change in the store: alert states and the events to send, decided and written in one transaction."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.dedup import Action, Decision, Reason, decide, next_state, resend
from bridge.domain.event import NONE, Draft, Status, draft, status_of
from bridge.domain.notification import Notification, Outcome
from bridge.outbox import incidents
from bridge.outbox.database import Database
from bridge.outbox.quarantine import quarantine_row
from bridge.outbox.rows import PRIORITY, alert_json, pending_of, state_of, state_row
from bridge.outbox.schema import (
    alert_states,
    events,
    last_heard,
    quarantine,
    senders,
    waiting,
    watchdog_heartbeats,
)

_BLANK = {
    "receiver": "", "source": "", "status": "", "content": "", "timestamp": 0, "seq": 0, "told_at": 0.0,
    "starts_at": 0.0, "ended_at": None, "at": None, "doubtful": False, "alert": "", "updated_at": 0.0,
}  # fmt: skip
"""The row of an alert of which nothing is known yet."""


class Ingest:
    """Takes notifications in: what they say is durable once `accept` returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Commit several notifications at once, all or nothing. Unavailable when the database cannot be used now."""
        with self._database.write() as connection:
            return Batch(self._database, connection, now).accept(batch)


class Batch:
    """One batch of notifications on its way into the store, in one transaction."""

    def __init__(self, database: Database, connection: Connection, now: float) -> None:
        self._database, self._connection, self._now = database, connection, now
        self._states: dict[str, AlertState] = {}
        self._changed: set[str] = set()
        self._events: dict[tuple[str, int], dict[str, Any]] = {}
        self._superseded: list[tuple[str, int]] = []

    def accept(self, batch: Sequence[Notification]) -> list[Outcome]:
        """Decide about every alert, in the order given, and write what follows."""
        self._load(sorted({alert.key for notification in batch for alert in notification.alerts}))
        outcomes = [self._ingest(notification) for notification in batch]
        self._write()
        self._write_unreadable(batch)
        self._write_senders(batch)
        incidents.merge_heard(self._database, self._connection, batch, outcomes, self._now)
        return outcomes

    def _load(self, keys: list[str]) -> None:
        if self._database.postgresql:
            self._reserve(keys)
        wanted = select(alert_states).where(self._database.among(alert_states.c.key, keys))
        if self._database.postgresql:
            wanted = wanted.order_by(alert_states.c.key.collate("C")).with_for_update()  # all replicas in one order
        for row in self._connection.execute(wanted):
            if row.status:
                self._states[row.key] = state_of(row)
        # After the rows are locked: what another replica sent in the meantime is not pending any more.
        pending = (
            select(events)
            .join(alert_states, (alert_states.c.key == events.c.key) & (alert_states.c.seq == events.c.seq))
            .where(waiting, events.c.attempts == 0, self._database.among(events.c.key, list(self._states)))
        )
        for row in self._connection.execute(pending):
            self._states[row.key] = replace(self._states[row.key], pending=pending_of(row))

    def _reserve(self, keys: list[str]) -> None:
        """Insert unknown keys blank, so that two replicas cannot both be the first.

        Before any row is locked, and in one order: a replica that inserts while it holds locks may wait for one that
        waits for it.
        """
        found = select(alert_states.c.key).where(self._database.among(alert_states.c.key, keys))
        new = sorted(set(keys).difference(self._connection.execute(found).scalars()))
        if new:
            blank = self._database.insert(alert_states).on_conflict_do_nothing()
            self._connection.execute(blank, [{"key": key, **_BLANK} for key in new])

    def _ingest(self, notification: Notification) -> Outcome:
        outcome = Outcome(quarantined=len(notification.unreadable))
        for alert in notification.alerts:
            state = self._states.get(alert.key)
            expected = notification.if_unmodified
            if expected is not None and expected.get(alert.key) != (state.updated_at if state else None):
                outcome.unchanged += 1
                outcome.reasons[Reason.OVERTAKEN] += 1
                continue
            status, mapped = status_of(alert, notification.mapping)
            if notification.resend and state:
                status = state.status
            event = draft(alert, status or Status.OK, notification.mapping)
            if notification.resend:
                decision = resend(state, now=self._now)
            else:
                decision = decide(
                    state,
                    alert,
                    status,
                    event.content_hash,
                    now=self._now,
                    update_interval=notification.update_interval,
                )
            self._apply(alert, state, decision, event, notification.mapping.app_key)
            _count(outcome, decision, status, mapped=mapped)
        return outcome

    def _apply(self, alert: Alert, state: AlertState | None, decision: Decision, event: Draft, app_key: str) -> None:
        if state and decision.supersede:
            self._supersede(state)
        after = next_state(state, alert, decision, event.content_hash, self._now)
        if after is None or after is state:
            return
        self._states[alert.key] = after
        self._changed.add(alert.key)
        if decision.kind:
            self._events[alert.key, after.seq] = self._event_row(after, decision, event, app_key)

    def _supersede(self, state: AlertState) -> None:
        if new := self._events.get((state.key, state.seq)):
            new |= {"state": "superseded", "closed_at": self._now}
        else:
            self._superseded.append((state.key, state.seq))

    def _event_row(self, state: AlertState, decision: Decision, event: Draft, app_key: str) -> dict[str, Any]:
        pending = state.pending
        assert pending  # noqa: S101  a decision with a kind leaves one
        return {
            "key": state.key,
            "seq": state.seq,
            "receiver": state.alert.receiver,
            "source": state.alert.source,
            "app_key": app_key,
            "kind": pending.kind.value,
            "status": decision.status.value,
            "priority": PRIORITY.get(decision.status, 2),
            "timestamp": pending.timestamp,
            "body": event.freeze(pending.timestamp),
            "content": event.content_hash,
            "replaces": pending.replaces,
            "alert": alert_json(state.alert),
            "state": "waiting",
            "reason": decision.reason.value,
            "attempts": 0,
            "accepted_at": self._now,
            "queued_at": pending.queued_at,
            "not_before": pending.not_before,
            "closed_at": None,
            "lease_token": "",
            "lease_until": 0.0,
        }

    def _write(self) -> None:
        if self._superseded:
            one = (events.c.key == bindparam("of"), events.c.seq == bindparam("number"), waiting)
            changes = update(events).where(*one).values(state="superseded", closed_at=self._now)
            self._connection.execute(changes, [{"of": key, "number": seq} for key, seq in self._superseded])
        if self._events:
            self._connection.execute(insert(events), list(self._events.values()))
        if self._changed:
            rows = [state_row(self._states[key]) for key in sorted(self._changed)]
            self._connection.execute(self._database.upsert(alert_states, "key"), rows)

    def _write_unreadable(self, batch: Sequence[Notification]) -> None:
        rows = [
            quarantine_row(notification.receiver, notification.source, item.reason, item.body, self._now)
            for notification in batch
            for item in notification.unreadable
        ]
        if rows:
            self._connection.execute(insert(quarantine), rows)

    def _write_senders(self, batch: Sequence[Notification]) -> None:
        if beats := {(one.receiver, one.source, alert.key): alert for one in batch for alert in one.heartbeats}:
            rows = [
                {
                    "receiver": receiver,
                    "source": source,
                    "key": key,
                    "labels": json.dumps(dict(alert.labels)),
                    "firing": alert.firing,
                    "heard_at": self._now,
                }
                for (receiver, source, key), alert in sorted(beats.items(), key=lambda item: item[0])
            ]
            self._connection.execute(self._database.upsert(watchdog_heartbeats, "receiver", "source", "key"), rows)
        if heard := sorted({alert.key for one in batch if one.note_heard for alert in one.alerts if alert.firing}):
            rows = [{"key": key, "at": self._now} for key in heard]
            self._connection.execute(self._database.upsert(last_heard, "key"), rows)
        if names := sorted({(one.receiver, one.source, one.receiver_name) for one in batch if one.receiver_name}):
            rows = [{"receiver": receiver, "source": source, "name": name} for receiver, source, name in names]
            self._connection.execute(self._database.insert(senders).on_conflict_do_nothing(), rows)


def _count(outcome: Outcome, decision: Decision, status: Status | None, *, mapped: bool) -> None:
    outcome.statuses[status or NONE] += 1
    outcome.reasons[decision.reason] += 1
    outcome.unmapped += not mapped
    outcome.superseded += decision.supersede
    outcome.queued += decision.action in (Action.QUEUE, Action.HOLD)
    outcome.unchanged += decision.action is Action.UNCHANGED
    outcome.skipped += decision.action is Action.SKIP
