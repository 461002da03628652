"""Alert states: open alerts, the states of given keys, the operator's list and search."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Member
from bridge.domain.event import Status
from bridge.domain.identity import identity_key
from bridge.outbox.repository import Page, PageRequest, Repository, columns
from bridge.outbox.rows import alert_of, state_of
from bridge.outbox.schema import alert_states, last_heard, members, opened

_STREAMED: Final = 500
MOST_WORDS: Final = 8
"""Most words of one search: each is looked for in every alert."""
MOST_SECONDS: Final = 0.25
"""Most seconds of processor time of one search: many may look at pages, and webhooks come first."""
_AS_IT_IS: Final = re.compile(r"[^\x00-\x1f\x7f-\U0010ffff\"\\]+")
"""Characters that JSON does not escape, so that the database can search for them."""
_URGENCY: Final = case(
    (alert_states.c.status == Status.CRITICAL, 0), (alert_states.c.status == Status.WARNING, 1), else_=2
)


class Alerts(Repository):
    """Reads alert states."""

    def open_alerts(self, source: str) -> list[AlertState]:
        """Return a source's alerts that are open in BigPanda, or will be, by key."""
        with self._database.read() as connection:
            return states(connection, opened, alert_states.c.source == source)

    def accepted(self) -> list[AlertState]:
        """Return the alerts that a destination accepted as open and whose resolution it was not sent, by key."""
        with self._database.read() as connection:
            return states(connection, alert_states.c.destination != "")

    def states(self, keys: Sequence[str]) -> dict[str, AlertState]:
        """Return the states of these keys, as far as known."""
        these = self._database.among(alert_states.c.key, keys)
        with self._database.read() as connection:
            return {state.key: state for state in states(connection, these)}

    def of_alerts(self, alerts: Sequence[Alert]) -> dict[str, AlertState]:
        """Return the states that these alerts of a sender belong to, by the alert's key, as far as known."""
        own = self._database.among(members.c.member, [alert.key for alert in alerts])
        with self._database.read() as connection:
            shared = connection.execute(select(members.c.member, members.c.key).where(own))
            owners = {row.member: row.key for row in shared}
            wanted = {one for alert in alerts for one in (alert.key, alert.identity, owners.get(alert.key, "")) if one}
            these = self._database.among(alert_states.c.key, wanted)
            found = {state.key: state for state in states(connection, these)}
        return {alert.key: found[key] for alert in alerts if (key := identity_key(alert, owners, found)) in found}

    def heard_at(self, keys: Sequence[str]) -> dict[str, float]:
        """Return when each of these keys was last repeated, if that is recorded."""
        query = select(last_heard).where(self._database.among(last_heard.c.key, keys))
        return {row.key: row.at for row in self._rows(query)}

    def note_heard(self, keys: Sequence[str], now: float) -> None:
        """Record these keys as still firing, without a webhook."""
        if keys:
            self._change(self._database.upsert(last_heard, "key"), [{"key": key, "at": now} for key in sorted(keys)])

    def page(self, words: Sequence[str], request: PageRequest) -> Page[AlertState]:
        """Return open alerts that have each of `words` in key, name or labels; most urgent, then youngest first.

        A label is searched as `name=value`, everything regardless of case.
        """
        query = select(*columns(alert_states, AlertState)).where(opened)
        query = query.order_by(_URGENCY, alert_states.c.starts_at.desc(), alert_states.c.key)
        if not words:
            return self._page(query, request, state_of)
        with self._database.read() as connection:
            return _search(connection, query, [word.casefold() for word in words[:MOST_WORDS]], request)


def states(connection: Connection, *conditions: ColumnElement[bool]) -> list[AlertState]:
    """Return the known states that meet all conditions, by key, with their members."""
    known = select(*columns(alert_states, AlertState)).where(alert_states.c.status != "")
    query = known.where(*conditions).order_by(alert_states.c.key)
    # Before their members: if another replica changes both in between, the old `updated_at` shows that it did.
    found = [state_of(**row._asdict()) for row in connection.execute(query)]
    shared: dict[str, dict[str, Member]] = {}
    keys = query.with_only_columns(alert_states.c.key).order_by(None)
    for row in connection.execute(select(members).where(members.c.key.in_(keys))):
        shared.setdefault(row.key, {})[row.member] = Member(alert_of(row.alert), Status(row.status))
    return [replace(state, members=shared[state.key]) if state.key in shared else state for state in found]


def _search(
    connection: Connection, query: Select[tuple[Any, ...]], words: Sequence[str], request: PageRequest
) -> Page[AlertState]:
    for piece in (piece for word in words for piece in word.split("=")):
        if _AS_IT_IS.fullmatch(piece):
            query = query.where(func.lower(alert_states.c.alert).contains(piece, autoescape=True))
    found: list[AlertState] = []
    total, until = 0, time.thread_time() + MOST_SECONDS
    with connection.execution_options(yield_per=_STREAMED).execute(query) as rows:
        for row in rows:
            if time.thread_time() > until:
                return Page(found, total, partial=True)
            state = state_of(**row._asdict())
            labels = (f"{name}={value}" for name, value in state.alert.labels.items())
            text = "\n".join((state.key, state.alert.name, *labels)).casefold()
            if not all(word in text for word in words):
                continue
            if request.offset <= total < request.offset + request.limit:
                found.append(state)
            total += 1
    return Page(found, total)
