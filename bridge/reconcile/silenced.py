"""Which open alerts Alertmanager has silenced, by whom, until when and why; and what to report of it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.reconcile.alertmanager_client import Listed, Silence


def silenced(listed: Iterable[Listed], silences: Mapping[str, Silence]) -> dict[str, Silence]:
    """Return, for each alert that a silence suppresses, the one that ends last."""
    found: dict[str, Silence] = {}
    for one in listed:
        for silence in (silences[name] for name in one.silenced_by if name in silences):
            known = found.get(one.alert.key)
            if known is None or known.ends_at < silence.ends_at:
                found[one.alert.key] = silence
    return found


def changes(
    held: Mapping[str, AlertState], active: Iterable[str], found: Mapping[str, Silence], *, whole: bool
) -> Iterator[tuple[Alert, float]]:
    """Give each open alert of which the silence is news, as it is to be reported, and when it was last updated.

    `active`: what no Alertmanager suppresses. Not `whole`: one that did not answer may still silence it.
    """
    unsuppressed = frozenset(active) if whole else frozenset()
    for key, state in held.items():
        silence = found.get(key)
        # Neither silenced nor active: inhibited, not looked at yet, or ended. That says nothing of a silence.
        tags = silence.tags if silence else ({} if key in unsuppressed else state.alert.silence)
        if tags != state.alert.silence:
            yield replace(state.alert, silence=tags), state.updated_at
