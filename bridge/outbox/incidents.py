"""BigPanda's incidents in the store: what webhooks tell of them, and what BigPanda waits to hear.

An incident and the callback that follows from it are written in the transaction that its webhook is answered for.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, case, func, literal, select, update

from bridge.domain.alert import Alert
from bridge.domain.event import Status
from bridge.domain.incident import Kept, fires_still, fold, is_new_share, lasted
from bridge.domain.notification import Notification, Outcome
from bridge.outbox import retention as pruning
from bridge.outbox.database import Database
from bridge.outbox.rows import read
from bridge.outbox.schema import callbacks, incidents, keys
from bridge.outbox.schema import identity as identities

_AS_JSON = ("alerts", "by_hand", "seen")
_MEMBERS = tuple(member.name for member in fields(Kept) if member.name != "keys")
_AT_ONCE = 500
"""Keys that one SELECT names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A key as the ledger knows it: its last alert, whether BigPanda has it as open, and since when.

    `told_at`: when it was last told; `ended_at`: the end of its last episode; `touched_at`: when it last changed.
    """

    alert: Alert
    open: bool
    told_at: float
    ended_at: float | None
    touched_at: float


@dataclass(frozen=True, slots=True)
class DueCallback:
    """One share that BigPanda waits to hear of. `asked_at` tells it from a later share of the same incident."""

    source: str
    incident: str
    attempts: int
    asked_at: float


def keep(
    database: Database, connection: Connection, batch: Sequence[Notification], outcomes: Sequence[Outcome], now: float
) -> None:
    """Fold in what each notification tells of incidents, in the order given."""
    known = _load(database, connection, {(one.source, told.id) for one in batch for told in one.incidents}, now)
    for notification, outcome in zip(batch, outcomes, strict=True):
        for told in notification.incidents:
            place = (notification.source, told.id)
            before = known[place]
            after = fold(before, told, notification.source, now)
            if after is None:
                continue
            after = _judged(connection, before, after, outcome, now)
            _write(connection, after)
            known[place] = after
            if after.active:
                known |= {(one.source, one.id): one for one in _absorbed(connection, after, now)}
            if notification.confirm and is_new_share(before, told):
                _ask(database, connection, place, now)


def _load(
    database: Database, connection: Connection, places: set[tuple[str, str]], now: float
) -> dict[tuple[str, str], Kept | None]:
    """Lock each incident, also one that is not there yet, so that two replicas cannot both be the first."""
    found: dict[tuple[str, str], Kept | None] = {}
    for source, number in sorted(places):
        blank = _row(Kept(source=source, id=number, first_heard_at=now, heard_at=0.0))
        connection.execute(database.insert(incidents).values(blank).on_conflict_do_nothing())
        here = (incidents.c.source == source) & (incidents.c.id == number)
        row = connection.execute(select(incidents).where(here).with_for_update()).one()
        found[source, number] = _kept(row) if row.heard_at else None
    return found


def _judged(connection: Connection, before: Kept | None, after: Kept, outcome: Outcome, now: float) -> Kept:
    """Count what this webhook brought about; note what still fires in an incident that it closed."""
    if not (before and before.acknowledged_at) and (seconds := lasted(after, after.acknowledged_at)) is not None:
        outcome.acknowledged.append(seconds)
    if after.active or (before and not before.active):
        return after
    if (seconds := _took(after)) is not None:
        outcome.resolved.append(seconds)
    elsewhere = _elsewhere(connection, after)
    still = {
        key: one
        for key, one in told(connection, after.keys).items()
        if one.open and key not in elsewhere and fires_still(one.told_at, one.ended_at, after, now)
    }
    outcome.by_hand.update(one.alert.source for one in still.values())
    return replace(after, by_hand={key: one.touched_at for key, one in still.items()})


def _absorbed(connection: Connection, by: Kept, now: float) -> list[Kept]:
    """Close the incidents of which every alert is in this one now: BigPanda does not tell of what was merged away.

    What another replica writes at this moment is left to it.
    """
    mine = set(by.keys)
    others = (incidents.c.source == by.source) & (incidents.c.id != by.id) & incidents.c.active
    older = others & (incidents.c.heard_at > 0) & (incidents.c.updated_at <= by.updated_at)
    found = [_kept(row) for row in connection.execute(select(incidents).where(older).with_for_update(skip_locked=True))]
    merged = [
        replace(one, active=False, snoozed=False, snoozed_until=None, closed_at=now)
        for one in found
        if one.keys and mine.issuperset(one.keys)
    ]
    for one in merged:
        _write(connection, one)
    return merged


def _elsewhere(connection: Connection, closed: Kept) -> set[str]:
    """Return the keys in other open incidents: what was merged away was not closed."""
    others = (incidents.c.source == closed.source) & (incidents.c.id != closed.id) & incidents.c.active
    found = connection.execute(select(incidents.c.alerts).where(others, incidents.c.heard_at > 0)).scalars()
    return {key for listed in found for key in json.loads(listed)}


def _took(after: Kept) -> float | None:
    """Return how long an incident lasted: by BigPanda's clock, by ours where it does not tell the end."""
    return lasted(after, after.closed_at if after.ended_at is None else after.ended_at)


def _write(connection: Connection, kept: Kept) -> None:
    here = (incidents.c.source == kept.source) & (incidents.c.id == kept.id)
    connection.execute(update(incidents).where(here).values(_row(kept)))


def _ask(database: Database, connection: Connection, place: tuple[str, str], now: float) -> None:
    source, incident = place
    fresh = {"state": "waiting", "reason": "", "attempts": 0, "asked_at": now, "not_before": 0.0, "closed_at": None}
    statement = database.insert(callbacks).values(source=source, incident=incident, **fresh)
    connection.execute(statement.on_conflict_do_update(index_elements=["source", "incident"], set_=fresh))


def _kept(row: Row[Any]) -> Kept:
    found = row._asdict() | {name: json.loads(getattr(row, name)) for name in _AS_JSON}
    keys_in, seen = tuple(found.pop("alerts")), tuple(found.pop("seen"))
    return Kept(**found, keys=keys_in, seen=seen)


def _row(kept: Kept) -> dict[str, Any]:
    found = {name: getattr(kept, name) for name in _MEMBERS} | {"alerts": kept.keys}
    return found | {name: json.dumps(found[name]) for name in _AS_JSON}


def incidents_heard(connection: Connection, source: str | None) -> list[Kept]:
    """Return every incident."""
    query = select(incidents).where(incidents.c.heard_at > 0).order_by(incidents.c.heard_at.desc(), incidents.c.id)
    if source is not None:
        query = query.where(incidents.c.source == source)
    return [_kept(row) for row in connection.execute(query)]


def page(connection: Connection, limit: int, offset: int) -> tuple[list[Kept], int]:
    """Return some of the incidents, what is open first and then what was heard last, and how many there are in all."""
    heard = incidents.c.heard_at > 0
    order = (incidents.c.active.desc(), incidents.c.heard_at.desc(), incidents.c.source, incidents.c.id)
    rows = connection.execute(select(incidents).where(heard).order_by(*order).limit(limit).offset(offset))
    return [_kept(row) for row in rows], connection.execute(select(func.count()).where(heard)).scalar_one()


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Count by environment and status; what is closed is ok, whatever its alerts say."""
    status: ColumnElement[str] = case((incidents.c.active, incidents.c.status), else_=literal(Status.OK.value))
    query = select(incidents.c.environment, status, func.count()).where(incidents.c.heard_at > 0)
    rows = connection.execute(query.group_by(incidents.c.environment, status))
    return {(environment, found): number for environment, found, number in rows}


def told(connection: Connection, names: Sequence[str]) -> dict[str, Told]:
    """Return what the ledger knows of these keys."""
    columns = (keys.c.key, keys.c.status, keys.c.told_at, keys.c.ended_at, keys.c.updated_at, keys.c.alert)
    found: dict[str, Told] = {}
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        for row in connection.execute(select(*columns).where(keys.c.key.in_(part), keys.c.status != "")):
            found[row.key] = Told(
                alert=read(row.alert),
                open=row.status != Status.OK,
                told_at=row.told_at,
                ended_at=row.ended_at,
                touched_at=row.updated_at,
            )
    return found


def due_callbacks(connection: Connection, source: str, now: float, limit: int) -> list[DueCallback]:
    """Return what is due."""
    columns = (callbacks.c.source, callbacks.c.incident, callbacks.c.attempts, callbacks.c.asked_at)
    due = (callbacks.c.source == source, callbacks.c.state == "waiting", callbacks.c.not_before <= now)
    query = select(*columns).where(*due).order_by(callbacks.c.asked_at, callbacks.c.incident).limit(limit)
    return [DueCallback(*row) for row in connection.execute(query)]


def settle(  # noqa: PLR0913  what became of it, why and when
    connection: Connection, callback: DueCallback, state: str, reason: str, *, now: float, not_before: float
) -> None:
    """Note what became of a callback, unless a later share asks anew."""
    same = (
        (callbacks.c.source == callback.source)
        & (callbacks.c.incident == callback.incident)
        & (callbacks.c.asked_at == callback.asked_at)
    )
    changes = {"state": state, "reason": reason, "attempts": callback.attempts + 1, "not_before": not_before}
    closed_at = None if state == "waiting" else now
    connection.execute(update(callbacks).where(same).values(**changes, closed_at=closed_at))


def identity(database: Database, connection: Connection) -> str:
    """Return the name of this database; it is given one when it has none."""
    statement = database.insert(identities).values(one=1, name=uuid4().hex[:12])
    connection.execute(statement.on_conflict_do_nothing())
    return str(connection.execute(select(identities.c.name)).scalar_one())


def prune(connection: Connection, before: float, limit: int) -> int:
    """Delete incidents that were not heard of for long, and callbacks long asked for or made.

    What is snoozed stays as long as its snooze: BigPanda does not tell of it meanwhile, and its silence must last.
    """
    lasting = incidents.c.snoozed & (incidents.c.snoozed_until.is_(None) | (incidents.c.snoozed_until >= before))
    forgotten = (incidents.c.heard_at < before) & ~lasting
    deleted = pruning.prune(connection, (incidents.c.source, incidents.c.id), forgotten, limit)
    done = (callbacks.c.closed_at < before) | (callbacks.c.asked_at < before)
    return deleted + pruning.prune(connection, (callbacks.c.source, callbacks.c.incident), done, limit - deleted)
