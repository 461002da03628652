"""What an operator does to alerts and quarantined webhooks, on the page or the command line: close, resend, replay."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from bridge.domain.alert_state import AlertState
from bridge.domain.notification import Notification
from bridge.errors import Unavailable, Unreadable
from bridge.outbox.outbox import Outbox
from bridge.outbox.quarantine import Quarantined
from bridge.receivers.contract import translate
from bridge.receivers.settings import ReceiverSettings
from bridge.web.webhook_body import parsed, readable

Receivers = Mapping[tuple[str, str], ReceiverSettings]
Done = Literal["closed", "resent"]
_log = logging.getLogger(__name__)


def correct(
    outbox: Outbox, done: Done, states: Iterable[AlertState], receivers: Receivers, now: float
) -> dict[str, list[str]]:
    """Queue a resolution of each open alert, or the alert again; return the keys by outcome.

    `unchanged`: it is no longer open, or its sender reported something meanwhile, which takes precedence.
    `unknown`: its receiver is no longer configured, and no app key is known under which BigPanda could close it.
    """
    outcomes: dict[str, str] = {}
    corrections = []
    for state in states:
        alert = state.alert
        settings = receivers.get((alert.receiver, alert.source))
        if done == "closed":
            alert = alert.resolved(now)
            if settings is None and state.app_key:
                # No receiver can report its end any more; a resolution only needs to know where it was opened.
                settings = ReceiverSettings(receiver=alert.receiver, source=alert.source, app_key=state.app_key)
        outcomes[state.key] = "unchanged" if settings else "unknown"
        if settings and state.open:
            corrections.append(settings.correction(alert, state.updated_at, resend=done == "resent"))
    for alert in outbox.correct(corrections, now):
        outcomes[alert.key] = done
    return {word: [key for key, found in outcomes.items() if found == word] for word in (done, "unchanged", "unknown")}


def replay(outbox: Outbox, ids: Sequence[int] | None, receivers: Receivers, now: float) -> dict[str, list[int]]:
    """Process quarantined bodies as if they had just arrived (None: all), and delete those that could be read.

    Returns the ids by outcome; `unreadable` and `unknown` (receiver not configured) bodies are kept.
    """
    results: dict[str, list[int]] = {"replayed": [], "unreadable": [], "unknown": []}
    for one in outbox.quarantine.oldest(ids):
        try:
            outcome = _replay(outbox, one, receivers.get((one.receiver, one.source)), now)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001  an unforeseen body must not keep the others
            _log.error("Quarantined webhook %d not replayed: %s: %s", one.id, type(error).__name__, error)
            outcome = "unreadable"
        results[outcome].append(one.id)
    return results


def _replay(outbox: Outbox, one: Quarantined, settings: ReceiverSettings | None, now: float) -> str:
    if settings is None:
        return "unknown"
    if (notification := read(one, settings, now)) is None:
        return "unreadable"
    # Accept before deleting: if killed in between, the body is replayed twice, which dedup absorbs.
    outbox.ingest.accept([notification], now)
    outbox.quarantine.discard([one.id])
    return "replayed"


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
