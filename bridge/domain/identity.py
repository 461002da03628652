"""Alerts that share an identity are one alert in BigPanda: the choice of the one that represents them. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Member
from bridge.domain.event import Status

_WORST_FIRST: Final = (Status.CRITICAL, Status.WARNING, Status.UNKNOWN, Status.ACKNOWLEDGED)


def with_member(members: Mapping[str, Member], alert: Alert, status: Status | None, now: float) -> dict[str, Member]:
    """Return the firing members of an identity after one of them changed to `status`; None: it is not sent."""
    if alert.key in members and alert.precedes(members[alert.key].alert.starts_at, now):
        return dict(members)
    others = {key: member for key, member in members.items() if key != alert.key}
    return others if status in (None, Status.OK) else others | {alert.key: Member(alert, status or Status.OK)}


def speaker(key: str, members: Mapping[str, Member]) -> Member:
    """Return the worst of the firing members, as the alert that BigPanda shows under `key`.

    Among equally bad ones it is the one that began first, so that a new one changes nothing.
    """
    worst = min(
        members.values(),
        key=lambda member: (_WORST_FIRST.index(member.status), member.alert.starts_at, member.alert.key),
    )
    return Member(replace(worst.alert, key=key, identity=""), worst.status)


def identity_key(alert: Alert, owners: Mapping[str, str], states: Mapping[str, AlertState]) -> str:
    """Return the key of an alert in BigPanda. An open alert keeps the identity under which it was opened.

    `owners`: the shared identity of each firing member, by the member's own key.
    """
    if alert.key in owners:
        return owners[alert.key]
    alone = states.get(alert.key)
    return alert.key if alone and alone.open else alert.identity or alert.key
