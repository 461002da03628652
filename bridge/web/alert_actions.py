"""An operator's actions on open alerts, from the page or the command line: close, resend."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification, Outcome
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
