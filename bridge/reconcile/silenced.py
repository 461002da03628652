"""The events to send about open alerts silenced in Alertmanager: by whom, until when and why. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.reconcile.alertmanager_client import Silence


def changes(
    held: Mapping[str, AlertState], active: Iterable[str], found: Mapping[str, Silence], *, whole: bool
) -> Iterator[tuple[Alert, float]]:
    """Yield each open alert whose silence has changed, as it is to be reported, and when it was last updated.

    `active`: alerts that no Alertmanager suppresses. Not `whole`: one that did not answer may still silence them.
    """
    unsuppressed = frozenset(active) if whole else frozenset()
    for key, state in held.items():
        silence = found.get(key)
        # Neither silenced nor active: inhibited, not evaluated yet, or ended. That says nothing about a silence.
        tags = silence.tags if silence else ({} if key in unsuppressed else state.alert.silence)
        if tags != state.alert.silence:
            yield replace(state.alert, silence=tags), state.updated_at
