"""Alert states: open alerts, the states of given keys, the operator's list and search."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, case, func, select

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Member
from bridge.domain.event import Status
from bridge.domain.identity import identity_key
from bridge.outbox.database import Repository
from bridge.outbox.pages import Page, PageRequest, page_of
from bridge.outbox.rows import member_of, state_of
from bridge.outbox.schema import alert_states, last_heard, members, opened

_STREAMED: Final = 500
MOST_WORDS: Final = 8
MOST_SECONDS: Final = 0.25
"""Most seconds of one search: many may look at pages, and webhooks come first."""
_AT_ONCE: Final = 500
"""Most keys in one SELECT."""
_AS_IT_IS: Final = re.compile(r"[^\x00-\x1f\x7f-\U0010ffff\"\\]+")
"""Characters that JSON does not escape, so that the database can search for them."""
_URGENCY: Final = case(
    (alert_states.c.status == Status.CRITICAL, 0), (alert_states.c.status == Status.WARNING, 1), else_=2
)
_known = alert_states.c.status != ""


class Alerts(Repository):
    """Reads alert states."""

    def open_alerts(self, source: str) -> list[AlertState]:
        """Return a source's alerts that are open in BigPanda, or will be, by key."""
        query = select(alert_states).where(opened, alert_states.c.source == source).order_by(alert_states.c.key)
        with self._database.read() as connection:
            shared = (
                select(members)
                .join(alert_states, alert_states.c.key == members.c.key)
                .where(alert_states.c.source == source)
            )
            return _with_members([state_of(row) for row in connection.execute(query)], connection.execute(shared).all())

    def opened_at(self, destination: str) -> list[AlertState]:
        """Return the alerts that a destination accepted as open and whose resolution it was not sent."""
        query = select(alert_states).where(alert_states.c.destination == destination).order_by(alert_states.c.key)
        with self._database.read() as connection:
            return [state_of(row) for row in connection.execute(query)]

    def opened_elsewhere(self, destination: str) -> list[AlertState]:
        """Return the open alerts that another destination accepted, as far as known."""
        elsewhere = alert_states.c.destination.not_in(["", destination])
        query = select(alert_states).where(opened, elsewhere).order_by(alert_states.c.key)
        with self._database.read() as connection:
            return [state_of(row) for row in connection.execute(query)]

    def states(self, keys: Sequence[str]) -> dict[str, AlertState]:
        """Return the states of these keys, as far as known."""
        with self._database.read() as connection:
            return states(connection, keys)

    def of_alerts(self, alerts: Sequence[Alert]) -> dict[str, AlertState]:
        """Return the states that these alerts of a sender belong to, by the alert's key, as far as known."""
        with self._database.read() as connection:
            owners = owners_of(connection, [alert.key for alert in alerts])
            wanted = {one for alert in alerts for one in (alert.key, alert.identity, owners.get(alert.key, "")) if one}
            found = states(connection, sorted(wanted))
        return {alert.key: found[key] for alert in alerts if (key := identity_key(alert, owners, found)) in found}

    def heard_at(self, keys: Sequence[str]) -> dict[str, float]:
        """Return when each of these keys was last repeated, if that is recorded."""
        found: dict[str, float] = {}
        with self._database.read() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                part = last_heard.c.key.in_(keys[start : start + _AT_ONCE])
                found |= {row.key: row.at for row in connection.execute(select(last_heard).where(part))}
        return found

    def note_heard(self, keys: Sequence[str], now: float) -> None:
        """Record these keys as still firing, without a webhook."""
        if keys:
            with self._database.write() as connection:
                rows = [{"key": key, "at": now} for key in sorted(keys)]
                connection.execute(self._database.upsert(last_heard, "key"), rows)

    def page(self, words: Sequence[str], request: PageRequest) -> Page[AlertState]:
        """Return open alerts that have each of `words` in key, name or labels; most urgent, then youngest first."""
        query = select(alert_states).where(opened)
        query = query.order_by(_URGENCY, alert_states.c.starts_at.desc(), alert_states.c.key)
        with self._database.read() as connection:
            if words:
                return _search(connection, query, [word.casefold() for word in words[:MOST_WORDS]], request)
            return page_of(connection, query, request, state_of)


def owners_of(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Return the shared identity of each of these alerts, by the alert's own key, if it fires as a member."""
    owners: dict[str, str] = {}
    for start in range(0, len(keys), _AT_ONCE):
        of = select(members.c.member, members.c.key).where(members.c.member.in_(keys[start : start + _AT_ONCE]))
        owners |= {row.member: row.key for row in connection.execute(of)}
    return owners


def states(connection: Connection, keys: Sequence[str]) -> dict[str, AlertState]:
    """Return the states of these keys, as far as known."""
    found: dict[str, AlertState] = {}
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        rows = connection.execute(select(alert_states).where(alert_states.c.key.in_(part), _known))
        states_found = [state_of(row) for row in rows]
        shared = connection.execute(select(members).where(members.c.key.in_(part))).all()
        found |= {state.key: state for state in _with_members(states_found, shared)}
    return found


def _with_members(states_found: Iterable[AlertState], rows: Iterable[Row[Any]]) -> list[AlertState]:
    shared: dict[str, dict[str, Member]] = {}
    for row in rows:
        shared.setdefault(row.key, {})[row.member] = member_of(row)
    return [replace(one, members=shared[one.key]) if one.key in shared else one for one in states_found]


def _search(
    connection: Connection, query: Select[tuple[Any, ...]], words: Sequence[str], request: PageRequest
) -> Page[AlertState]:
    for piece in (piece for word in words for piece in word.split("=")):
        if _AS_IT_IS.fullmatch(piece):
            query = query.where(func.lower(alert_states.c.alert).contains(piece, autoescape=True))
    found: list[AlertState] = []
    total, until = 0, time.monotonic() + MOST_SECONDS
    with connection.execution_options(yield_per=_STREAMED).execute(query) as rows:
        for row in rows:
            if time.monotonic() > until:
                return Page(found, total, partial=True)
            state = state_of(row)
            if not matches(state, words):
                continue
            if request.offset <= total < request.offset + request.limit:
                found.append(state)
            total += 1
    return Page(found, total)


def matches(state: AlertState, words: Sequence[str]) -> bool:
    """Return whether each of the words, case-folded, is in the key, the name, or a label written `name=value`."""
    alert = state.alert
    labels = (f"{name}={value}" for name, value in alert.labels.items())
    text = "\n".join((state.key, alert.name, *labels)).casefold()
    return all(word in text for word in words)
