"""What an operator does to alerts and quarantined webhooks, on the page or the command line: close, resend, replay."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unreadable
from bridge.outbox.quarantine import Quarantine, Quarantined
from bridge.receivers.contract import translate
from bridge.receivers.settings import ReceiverSettings

Accept = Callable[[Notification, float], Outcome]
AcceptAll = Callable[[Sequence[Notification], float], Sequence[Outcome]]
Receivers = Mapping[tuple[str, str], ReceiverSettings]
_Wanted = tuple[AlertState, ReceiverSettings | None, Alert]
"""An alert, its receiver (None: not configured), and what to queue."""
_TOGETHER: Final = 500
"""Alerts changed in one transaction. With one each, 100,000 kept webhooks waiting until the database was busy."""


def close(states: Iterable[AlertState], receivers: Receivers, accept: AcceptAll, now: float) -> dict[str, list[str]]:
    """Queue a resolution of each open alert; return the keys by outcome.

    `unchanged`: it is no longer open, or its sender reported something meanwhile, which takes precedence.
    `unknown`: its receiver is no longer configured, and BigPanda has not accepted it, so its app key is unknown.
    """
    wanted: list[_Wanted] = []
    for state in states:
        alert = state.alert
        settings = receivers.get((alert.receiver, alert.source))
        if settings is None and state.app_key:
            # No receiver can report its end any more; a resolution only needs to know where it was opened.
            settings = ReceiverSettings(receiver=alert.receiver, source=alert.source, app_key=state.app_key)
        ended = replace(alert, firing=False, ends_at=now, at=None, ordered=False)
        wanted.append((state, settings, ended))
    return _queue("closed", wanted, accept, now)


def resend(states: Iterable[AlertState], receivers: Receivers, accept: AcceptAll, now: float) -> dict[str, list[str]]:
    """Queue each open alert again, unchanged; return the keys by outcome, as `close` does."""
    wanted: list[_Wanted] = [
        (state, receivers.get((state.alert.receiver, state.alert.source)), state.alert) for state in states
    ]
    return _queue("resent", wanted, accept, now)


def _queue(done: str, wanted: Sequence[_Wanted], accept: AcceptAll, now: float) -> dict[str, list[str]]:
    """Accept a notification of each open alert that has not changed since it was read; return the keys by outcome."""
    results: dict[str, list[str]] = {done: [], "unchanged": [], "unknown": []}
    for at in range(0, len(wanted), _TOGETHER):
        notifications = {
            state.key: settings.correction(alert, state.updated_at, resend=done == "resent")
            for state, settings, alert in wanted[at : at + _TOGETHER]
            if settings and state.open
        }
        outcomes = accept(list(notifications.values()), now) if notifications else []
        queued = {key for key, each in zip(notifications, outcomes, strict=True) if each.queued}
        for state, settings, _ in wanted[at : at + _TOGETHER]:
            outcome = "unknown" if settings is None else done if state.key in queued else "unchanged"
            results[outcome].append(state.key)
    return results


def replay(
    quarantine: Quarantine, ids: Sequence[int] | None, receivers: Receivers, accept: Accept, now: float
) -> dict[str, list[int]]:
    """Process quarantined bodies as if they had just arrived (None: all), and delete those that could be read.

    Returns the ids by outcome; `unreadable` and `unknown` (receiver not configured) bodies are kept.
    """
    results: dict[str, list[int]] = {"replayed": [], "unreadable": [], "unknown": []}
    for one in quarantine.oldest(ids):
        settings = receivers.get((one.receiver, one.source))
        if settings is None:
            results["unknown"].append(one.id)
        elif (notification := read(one, settings, now)) is None:
            results["unreadable"].append(one.id)
        else:
            # Accept before deleting: if killed in between, the body is replayed twice, which dedup absorbs.
            accept(notification, now)
            quarantine.discard([one.id])
            results["replayed"].append(one.id)
    return results


def read(one: Quarantined, settings: ReceiverSettings, now: float) -> Notification | None:
    """Translate a quarantined body, which may be a single alert of a webhook; None if it cannot be read."""
    try:
        body = json.loads(one.body, strict=False)
    except (ValueError, RecursionError):
        return None
    # Only Alertmanager's are quarantined by the alert. As another sender's this is an unknown event, which is ignored.
    for whole in (body, {"alerts": [body]}) if one.receiver == "alertmanager" else (body,):
        try:
            notification = translate(whole, settings, now)
        except Unreadable:
            continue
        if not notification.unreadable and (notification.alerts or notification.incidents or notification.ignored):
            return notification
    return None
