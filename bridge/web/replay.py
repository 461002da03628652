"""Replay of quarantined webhooks, which a newer bridge or a reconfigured receiver may be able to read."""

import json
from collections.abc import Callable, Mapping, Sequence

from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unreadable
from bridge.outbox.quarantine import Quarantine, Quarantined
from bridge.receivers.contract import translate
from bridge.receivers.settings import ReceiverSettings

_MOST = 100_000
"""Most bodies in one replay of all."""


def replay(
    quarantine: Quarantine,
    ids: Sequence[int] | None,
    receivers: Mapping[tuple[str, str], ReceiverSettings],
    accept: Callable[[Notification, float], Outcome],
    now: float,
) -> dict[str, list[int]]:
    """Process quarantined bodies as if they had just arrived (None: all), and delete those that could be read.

    Returns the ids by outcome; `unreadable` and `unknown` (receiver not configured) bodies are kept.
    """
    results: dict[str, list[int]] = {"replayed": [], "unreadable": [], "unknown": []}
    for one in quarantine.oldest(_MOST):
        if ids is not None and one.id not in ids:
            continue
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
