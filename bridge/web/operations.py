"""What an operator does to alerts and quarantined webhooks, on the page or the command line: close, resend, replay."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.outbox.outbox import Outbox
from bridge.outbox.quarantine import Quarantined
from bridge.receivers.contract import translate
from bridge.receivers.settings import ReceiverSettings
from bridge.web.webhooks import parsed, readable

Receivers = Mapping[tuple[str, str], ReceiverSettings]
_Wanted = tuple[AlertState, ReceiverSettings | None, Alert]
"""An alert, its receiver (None: not configured), and what to queue."""


def close(outbox: Outbox, states: Iterable[AlertState], receivers: Receivers, now: float) -> dict[str, list[str]]:
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
        ended = replace(alert, firing=False, ends_at=now, at=None)
        wanted.append((state, settings, ended))
    return _queue(outbox, "closed", wanted, now)


def resend(outbox: Outbox, states: Iterable[AlertState], receivers: Receivers, now: float) -> dict[str, list[str]]:
    """Queue each open alert again, unchanged; return the keys by outcome, as `close` does."""
    wanted: list[_Wanted] = [
        (state, receivers.get((state.alert.receiver, state.alert.source)), state.alert) for state in states
    ]
    return _queue(outbox, "resent", wanted, now)


def _queue(outbox: Outbox, done: str, wanted: Sequence[_Wanted], now: float) -> dict[str, list[str]]:
    """Correct each open alert that has not changed since it was read; return the keys by outcome."""
    corrections = (
        settings.correction(alert, state.updated_at, resend=done == "resent")
        for state, settings, alert in wanted
        if settings and state.open
    )
    queued = {alert.key for alert in outbox.correct(corrections, now)}
    results: dict[str, list[str]] = {done: [], "unchanged": [], "unknown": []}
    for state, settings, _ in wanted:
        outcome = "unknown" if settings is None else done if state.key in queued else "unchanged"
        results[outcome].append(state.key)
    return results


def replay(outbox: Outbox, ids: Sequence[int] | None, receivers: Receivers, now: float) -> dict[str, list[int]]:
    """Process quarantined bodies as if they had just arrived (None: all), and delete those that could be read.

    Returns the ids by outcome; `unreadable` and `unknown` (receiver not configured) bodies are kept.
    """
    results: dict[str, list[int]] = {"replayed": [], "unreadable": [], "unknown": []}
    for one in outbox.quarantine.oldest(ids):
        settings = receivers.get((one.receiver, one.source))
        if settings is None:
            results["unknown"].append(one.id)
        elif (notification := read(one, settings, now)) is None:
            results["unreadable"].append(one.id)
        else:
            # Accept before deleting: if killed in between, the body is replayed twice, which dedup absorbs.
            outbox.ingest.accept([notification], now)
            outbox.quarantine.discard([one.id])
            results["replayed"].append(one.id)
    return results


def read(one: Quarantined, settings: ReceiverSettings, now: float) -> Notification | None:
    """Translate a quarantined body, which may be a single alert of a webhook; None if it cannot be read."""
    try:
        body = parsed(readable(one.body.encode()))
    except Unreadable:
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
