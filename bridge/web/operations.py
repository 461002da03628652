"""What an operator does to alerts and quarantined webhooks, on the page or the command line: close, resend, replay."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unreadable
from bridge.outbox.quarantine import Quarantine, Quarantined
from bridge.receivers.contract import translate
from bridge.receivers.settings import ReceiverSettings

Accept = Callable[[Notification, float], Outcome]
Receivers = Mapping[tuple[str, str], ReceiverSettings]


def close(states: Iterable[AlertState], receivers: Receivers, accept: Accept, now: float) -> dict[str, list[str]]:
    """Queue a resolution of each open alert; return the keys by outcome.

    `unchanged`: it is no longer open, or its sender reported something meanwhile, which takes precedence.
    `unknown`: its receiver is no longer configured, and BigPanda has not accepted it, so its app key is unknown.
    """
    done: dict[str, list[str]] = {"closed": [], "unchanged": [], "unknown": []}
    for state in states:
        alert, path = state.alert, (state.alert.receiver, state.alert.source)
        settings = receivers.get(path)
        if settings is None and state.app_key:
            # No receiver can report its end any more; a resolution only needs to know where it was opened.
            settings = ReceiverSettings(receiver=alert.receiver, source=alert.source, app_key=state.app_key)
        ended = replace(alert, firing=False, ends_at=now, at=None, ordered=False)
        done[_queue("closed", state, settings, accept, now, alerts=(ended,))].append(state.key)
    return done


def resend(states: Iterable[AlertState], receivers: Receivers, accept: Accept, now: float) -> dict[str, list[str]]:
    """Queue each open alert again, unchanged; return the keys by outcome, as `close` does."""
    done: dict[str, list[str]] = {"resent": [], "unchanged": [], "unknown": []}
    for state in states:
        settings = receivers.get((state.alert.receiver, state.alert.source))
        done[_queue("resent", state, settings, accept, now, alerts=(state.alert,), resend=True)].append(state.key)
    return done


def _queue(
    done: str, state: AlertState, settings: ReceiverSettings | None, accept: Accept, now: float, **parts: Any
) -> str:
    """Accept a notification of one alert unless it has changed since it was read; return the outcome."""
    if settings is None:
        return "unknown"
    notification = settings.notification(if_unmodified={state.key: state.updated_at}, **parts)
    return done if state.open and accept(notification, now).queued else "unchanged"


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
        body = json.loads(one.body)
    except (ValueError, RecursionError):
        return None
    for whole in (body, {"alerts": [body]}):
        try:
            notification = translate(whole, settings, now)
        except Unreadable:
            continue
        if not notification.unreadable and (notification.alerts or notification.incidents or notification.ignored):
            return notification
    return None
