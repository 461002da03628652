"""An operator's actions on open alerts, from the page or the command line: close, resend."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification, Outcome
from bridge.receivers.contract import Receiver
from bridge.receivers.settings import ReceiverSettings

Accept = Callable[[Notification, float], Outcome]
Receivers = Mapping[tuple[str, str], Receiver]


def close(states: Iterable[AlertState], receivers: Receivers, accept: Accept, now: float) -> dict[str, list[str]]:
    """Queue a resolution of each open alert; return the keys by outcome.

    `unchanged`: it is no longer open, or its sender reported something meanwhile, which takes precedence.
    `unknown`: its receiver is no longer configured, and BigPanda has not accepted it, so its app key is unknown.
    """

    def closing(state: AlertState, settings: ReceiverSettings) -> Notification:
        resolved = replace(state.alert, firing=False, ends_at=now, at=None, ordered=False)
        return settings.notification(alerts=(resolved,), if_unmodified={state.key: state.updated_at})

    def settings_of(state: AlertState) -> ReceiverSettings | None:
        if found := _configured(state, receivers):
            return found
        # No receiver can report its end any more; a resolution only needs to know where it was opened.
        whose = {"receiver": state.alert.receiver, "source": state.alert.source}
        return ReceiverSettings(app_key=state.app_key, **whose) if state.app_key else None

    return _each("closed", states, settings_of, closing, accept, now)


def resend(states: Iterable[AlertState], receivers: Receivers, accept: Accept, now: float) -> dict[str, list[str]]:
    """Queue each open alert again, unchanged; return the keys by outcome, as `close` does."""

    def resending(state: AlertState, settings: ReceiverSettings) -> Notification:
        return settings.notification(alerts=(state.alert,), resend=True, if_unmodified={state.key: state.updated_at})

    return _each("resent", states, lambda state: _configured(state, receivers), resending, accept, now)


def _configured(state: AlertState, receivers: Receivers) -> ReceiverSettings | None:
    found = receivers.get((state.alert.receiver, state.alert.source))
    return found.settings if found else None


def _each(  # noqa: PLR0913, PLR0917  the parts that close and resend share
    done: str,
    states: Iterable[AlertState],
    settings_of: Callable[[AlertState], ReceiverSettings | None],
    notification: Callable[[AlertState, ReceiverSettings], Notification],
    accept: Accept,
    now: float,
) -> dict[str, list[str]]:
    results: dict[str, list[str]] = {done: [], "unchanged": [], "unknown": []}
    for state in states:
        if (settings := settings_of(state)) is None:
            results["unknown"].append(state.key)
        elif state.open and accept(notification(state, settings), now).queued:
            results[done].append(state.key)
        else:
            results["unchanged"].append(state.key)
    return results
