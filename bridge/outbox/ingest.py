"""Ingest of webhooks: decides and writes alert states and the events to send, in one transaction."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, literal_column, select, update

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Member, PendingEvent
from bridge.domain.dedup import LONGEST_HOLD, Decision, Reason, decide, next_state, resend
from bridge.domain.event import Draft, Status, draft, status_of
from bridge.domain.identity import identity_key, speaker, with_member
from bridge.domain.notification import Notification, Outcome
from bridge.outbox.database import Database
from bridge.outbox.incidents import IncidentMerge
from bridge.outbox.quarantine import put
from bridge.outbox.repository import columns
from bridge.outbox.rows import OTHER_PRIORITY, PRIORITY, alert_json, alert_of, state_of, state_row, untried
from bridge.outbox.schema import alert_states, events, last_heard, members, senders, waiting, watchdog_heartbeats

_BLANK = {column.key: None if column.nullable else column.type.python_type() for column in alert_states.c}
_log = logging.getLogger(__name__)


class Statements:
    """The compiled statements of every batch: building one takes SQLAlchemy longer than SQLite takes to run it."""

    def __init__(self, database: Database) -> None:
        this_alert = database.among(alert_states.c.key)
        known = select(*columns(alert_states, AlertState)).where(this_alert)
        in_one_order = known.order_by(alert_states.c.key.collate("C")).with_for_update()  # same order everywhere
        self.known = in_one_order if database.postgresql else known
        self.names = select(alert_states.c.key).where(this_alert)
        self.reserve = database.insert(alert_states).on_conflict_do_nothing()
        self.pending = (
            select(events.c.key, *columns(events, PendingEvent))
            .join(alert_states, (alert_states.c.key == events.c.key) & (alert_states.c.seq == events.c.seq))
            .where(waiting, events.c.attempts == literal_column("0"), database.among(events.c.key))
        )
        superseded = (events.c.key == bindparam("of"), events.c.seq == bindparam("number"), waiting)
        self.supersede = update(events).where(*superseded).values(state="superseded", closed_at=bindparam("at"))
        self.queue = insert(events)
        held_up = select(events.c.key).where(waiting, events.c.priority == OTHER_PRIORITY, database.among(events.c.key))
        theirs = (waiting, events.c.lease_token == "", events.c.key.in_(held_up))
        self.hurry = update(events).where(*theirs).values(priority=PRIORITY[Status.CRITICAL])
        self.owners = select(members.c.key).where(database.among(members.c.member) | database.among(members.c.key))
        self.members = select(members).where(database.among(members.c.key))
        self.leave = delete(members).where(database.among(members.c.member))
        self.join = database.upsert(members, "member")
        self.keep = database.upsert(alert_states, "key")
        self.heartbeat = database.upsert(watchdog_heartbeats, "receiver", "source", "key")
        self.heard = database.upsert(last_heard, "key")
        self.sender = database.insert(senders).on_conflict_do_nothing()


class Ingest:
    """Stores notifications, which are durable once `accept` returns. `queued`: called when an event was queued."""

    def __init__(self, database: Database, queued: Callable[[], object] = lambda: None) -> None:
        self._database, self._statements, self._queued = database, Statements(database), queued

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Commit several notifications, all or nothing. Raises Unavailable if the database cannot be used now."""
        self._database.refuse_when_full()
        with self._database.write() as connection:
            outcomes = Batch(self._database, self._statements, connection, now).accept(batch)
        if any(outcome.queued for outcome in outcomes):
            self._queued()
        return outcomes


class Batch:
    """One batch of notifications, stored in one transaction."""

    def __init__(self, database: Database, statements: Statements, connection: Connection, now: float) -> None:
        self._database, self._statements, self._connection, self._now = database, statements, connection, now
        self._states: dict[str, AlertState] = {}
        self._changed: set[str] = set()
        self._owners: dict[str, str] = {}
        self._members: dict[str, dict[str, Member]] = {}
        self._stored: dict[str, tuple[str, Member]] = {}
        self._events: dict[tuple[str, int], dict[str, Any]] = {}
        self._superseded: list[tuple[str, int]] = []

    def accept(self, batch: Sequence[Notification]) -> list[Outcome]:
        """Decide about every alert, in the order given, and write the results."""
        self._load([alert for notification in batch for alert in notification.alerts])
        outcomes = [self._ingest(notification) for notification in batch]
        self._write()
        for one in batch:
            if one.unreadable:
                put(self._connection, one.receiver, one.source, one.unreadable, self._now)
        self._write_senders(batch)
        IncidentMerge(self._database, self._connection, self._now).merge(batch, outcomes)
        return outcomes

    def _load(self, alerts: Sequence[Alert]) -> None:
        """Read, and on PostgreSQL lock, the states of these alerts and of the identities that they share."""
        execute, names = self._connection.execute, self._database.names
        identities = {alert.identity for alert in alerts if alert.identity}
        wanted = {alert.key for alert in alerts} | identities
        shared = execute(self._statements.owners, names(sorted(wanted))).scalars().all()
        keys = sorted(wanted.union(shared))
        if self._database.postgresql:
            # Insert unknown keys blank, so that two replicas cannot both be the first; before any row is locked, and in
            # one order, to avoid deadlocks with other replicas.
            found = execute(self._statements.names, names(keys)).scalars()
            if new := sorted(set(keys).difference(found)):
                execute(self._statements.reserve, [_BLANK | {"key": key} for key in new])
        for row in execute(self._statements.known, names(keys)):
            if row.status:
                state = state_of(**row._asdict())
                self._states[state.key] = state
        if not self._states:
            return
        # Only after locking the rows: an event that another replica has claimed meanwhile is no longer pending.
        for row in execute(self._statements.pending, names(list(self._states))):
            pending = msgspec.convert(row, PendingEvent, from_attributes=True)
            self._states[row.key] = replace(self._states[row.key], pending=pending)
        if shared or identities:
            for row in execute(self._statements.members, names(keys)):
                self._owners[row.member] = row.key
                member = Member(alert_of(row.alert), Status(row.status))
                self._stored[row.member] = row.key, member
                self._members.setdefault(row.key, {})[row.member] = member

    def _ingest(self, notification: Notification) -> Outcome:
        outcome = Outcome(quarantined=len(notification.unreadable))
        now, interval = self._now, notification.update_interval
        for alert in notification.alerts:
            key = identity_key(alert, self._owners, self._states)
            state = self._states.get(key)
            expected = notification.if_unmodified
            if expected is not None and expected.get(alert.key) != (state.updated_at if state else None):
                outcome.unchanged += 1
                continue
            status, mapped = status_of(alert, notification.mapping)
            if notification.resend and state:
                status = state.status
            elif alert.identity or self._members.get(key):
                alert, status = self._shared(key, alert, status)  # noqa: PLW2901  who speaks for all of them
                state = self._states.get(key)
            event = draft(alert, status or Status.OK, notification.mapping)
            if notification.resend:
                decision = resend(state, now=now)
            else:
                decision = decide(state, alert, status, event.content_hash, now=now, update_interval=interval)
            if decision.reason is Reason.REPEAT and state and alert.at is not None:
                # By the sender's own times: one that is ahead of our clock counts as of its arrival.
                times = (alert.starts_at, state.starts_at) if alert.firing else (alert.ends_at, state.ended_at)
                outcome.duplicates += times[0] == times[1]
            self._apply(alert, state, decision, event, notification.mapping.app_key)
            outcome.unmapped += not mapped
            outcome.superseded += decision.supersede
            outcome.queued += decision.kind is not None
            outcome.skipped += decision.reason is Reason.SEVERITY_NONE
            outcome.unchanged += decision.kind is None and decision.reason is not Reason.SEVERITY_NONE
        return outcome

    def _shared(self, key: str, alert: Alert, status: Status | None) -> tuple[Alert, Status | None]:
        """Update one alert of a shared identity; return the alert that represents all of them, and its status."""
        state, known = self._states.get(key), self._members.get(key, {})
        if not alert.identity and alert.key not in known and not alert.firing:
            after: dict[str, Member] = {}  # the whole identity is resolved, by expiry or manually
        elif state and state.open and not known:
            # It was opened before its sender's alerts shared identities.
            after = with_member({state.key: Member(state.alert, state.status)}, alert, status, self._now)
        else:
            after = with_member(known, alert, status, self._now)
        for left in known.keys() - after.keys():
            self._owners.pop(left, None)
        self._owners |= dict.fromkeys(after, key)
        if state and after != known:
            # Judgements about the former members are obsolete, even if BigPanda sees no change.
            self._states[key] = replace(state, updated_at=self._now)
            self._changed.add(key)
        self._members[key] = after
        if after:
            worst = speaker(key, after)
            return worst.alert, worst.status
        return replace(alert, key=key, identity=""), status

    def _apply(self, alert: Alert, state: AlertState | None, decision: Decision, event: Draft, app_key: str) -> None:
        if state and decision.supersede:
            if new := self._events.get((state.key, state.seq)):
                new |= {"state": "superseded", "closed_at": self._now}
            else:
                self._superseded.append((state.key, state.seq))
        after = next_state(state, alert, decision, event.content_hash, self._now)
        if after is None or after is state:
            return
        self._states[alert.key] = after
        self._changed.add(alert.key)
        if decision.kind:
            self._events[alert.key, after.seq] = self._event_row(after, decision, event, app_key)
            if decision.timestamp > self._now + LONGEST_HOLD:
                _log.warning(
                    "Clock stepped back: event of %s sent with a timestamp %d seconds ahead, after its last one",
                    alert.key,
                    decision.timestamp - self._now,
                )

    def _event_row(self, state: AlertState, decision: Decision, event: Draft, app_key: str) -> dict[str, Any]:
        pending = state.pending
        assert pending  # noqa: S101  a decision with a kind leaves one
        return {
            "key": state.key,
            "seq": state.seq,
            "receiver": state.alert.receiver,
            "source": state.alert.source,
            "kind": pending.kind.value,
            "replaces": pending.replaces,
            "alert": alert_json(state.alert),
            "reason": decision.reason.value,
            "accepted_at": self._now,
            "queued_at": pending.queued_at,
            "not_before": pending.not_before,
            "lease_token": "",
            "lease_until": 0.0,
            **untried(event, decision.status, state.timestamp, app_key),
        }

    def _write(self) -> None:
        if self._superseded:
            these = [{"of": key, "number": seq, "at": self._now} for key, seq in self._superseded]
            self._connection.execute(self._statements.supersede, these)
        if self._events:
            self._connection.execute(self._statements.queue, list(self._events.values()))
            # Behind its queued warning, which is among the last to be sent, a critical event would be too.
            urgent = {key for (key, seq), row in self._events.items() if row["status"] == Status.CRITICAL and seq > 1}
            if urgent:
                self._connection.execute(self._statements.hurry, self._database.names(sorted(urgent)))
        firing = {member: (key, found) for key, group in self._members.items() for member, found in group.items()}
        if left := self._stored.keys() - firing.keys():
            self._connection.execute(self._statements.leave, self._database.names(sorted(left)))
        if joined := [
            {"member": member, "key": key, "status": found.status.value, "alert": alert_json(found.alert)}
            for member, (key, found) in firing.items()
            if self._stored.get(member) != (key, found)
        ]:
            self._connection.execute(self._statements.join, joined)
        if self._changed:
            rows = [state_row(self._states[key]) for key in sorted(self._changed)]
            self._connection.execute(self._statements.keep, rows)

    def _write_senders(self, batch: Sequence[Notification]) -> None:
        """Record what reconciler, watchdog and expiry need: the senders' names, heartbeats and repeated alerts."""
        if named := sorted({(one.receiver, one.source, one.receiver_name) for one in batch if one.receiver_name}):
            names = [{"receiver": receiver, "source": source, "name": name} for receiver, source, name in named]
            self._connection.execute(self._statements.sender, names)
        if beats := {(one.receiver, one.source, alert.key): alert for one in batch for alert in one.heartbeats}:
            rows = []
            for receiver, source, key in sorted(beats):
                alert = beats[receiver, source, key]
                heard = {"labels": json.dumps(dict(alert.labels)), "firing": alert.firing, "heard_at": self._now}
                rows.append({"receiver": receiver, "source": source, "key": key} | heard)
            self._connection.execute(self._statements.heartbeat, rows)
        firing = {alert.key for one in batch if one.note_heard for alert in one.alerts if alert.firing}
        if repeated := [{"key": key, "at": self._now} for key in sorted(firing)]:
            self._connection.execute(self._statements.heard, repeated)
