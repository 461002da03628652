"""What an operator does to open alerts, from the page or a terminal: close them, resend them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification, Outcome
from bridge.receivers.contract import Receiver

Accept = Callable[[Notification, float], Outcome]
Receivers = Mapping[tuple[str, str], Receiver]


def close(states: Iterable[AlertState], receivers: Receivers, accept: Accept, now: float) -> dict[str, list[str]]:
    """Queue a resolution of each open alert; return the keys by what became of them.

    `unchanged`: it is not open any more, or its sender reported something in between, which counts for more.
    `unknown`: its receiver is not configured any more.
    """

    def closing(state: AlertState) -> Notification:
        resolved = replace(state.alert, firing=False, ends_at=now, at=None, ordered=False)
        settings = receivers[state.alert.receiver, state.alert.source].settings
        return settings.notification(alerts=(resolved,), if_unmodified={state.key: state.updated_at})

    return _each("closed", states, closing, receivers, accept, now)


def resend(states: Iterable[AlertState], receivers: Receivers, accept: Accept, now: float) -> dict[str, list[str]]:
    """Queue each open alert once more, as it is; return the keys by what became of them, as `close` does."""

    def resending(state: AlertState) -> Notification:
        settings = receivers[state.alert.receiver, state.alert.source].settings
        return settings.notification(alerts=(state.alert,), resend=True, if_unmodified={state.key: state.updated_at})

    return _each("resent", states, resending, receivers, accept, now)


def _each(  # noqa: PLR0913, PLR0917  the parts that close and resend share
    done: str,
    states: Iterable[AlertState],
    notification: Callable[[AlertState], Notification],
    receivers: Receivers,
    accept: Accept,
    now: float,
) -> dict[str, list[str]]:
    results: dict[str, list[str]] = {done: [], "unchanged": [], "unknown": []}
    for state in states:
        if (state.alert.receiver, state.alert.source) not in receivers:
            results["unknown"].append(state.key)
        elif state.open and accept(notification(state), now).queued:
            results[done].append(state.key)
        else:
            results["unchanged"].append(state.key)
    return results
