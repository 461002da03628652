"""How each receiver is doing: its last webhook, and the state of its reconciler and its watchdogs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.config import Config
from bridge.outbox.alerts import Alerts
from bridge.outbox.status import Heartbeat
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.reconciler import Reconciler
from bridge.reconcile.reconciler_status import ReconcilerStatus
from bridge.reconcile.watchdog import watchdog_key


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogStatus:
    """One heartbeat. `heard_at`: in epoch seconds, None: never. `silent`: its alarm is open."""

    name: str
    heard_at: float | None
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStatus:
    """One receiver. `last`: when this process last accepted a webhook of it, None: not since it started."""

    receiver: str
    source: str
    last: float | None
    reconciler: ReconcilerStatus | None = None
    watchdogs: Sequence[WatchdogStatus] = ()


def statuses(
    config: Config,
    last: Mapping[tuple[str, str], float],
    reconcilers: Mapping[str, Reconciler],
    heartbeats: Iterable[Heartbeat],
    alerts: Alerts,
) -> list[ReceiverStatus]:
    """Return every configured receiver, in the order of the file. `last`: its last webhook, by receiver and source."""
    beats = list(heartbeats)
    found = []
    for one in config.receivers:
        reconciler = reconcilers.get(one.source) if isinstance(one, Settings) else None
        found.append(
            ReceiverStatus(
                receiver=one.receiver,
                source=one.source,
                last=last.get((one.receiver, one.source)),
                reconciler=reconciler.status if reconciler else None,
                watchdogs=_watchdogs(one, beats, alerts) if isinstance(one, Settings) else (),
            )
        )
    return found


def _watchdogs(settings: Settings, heartbeats: Iterable[Heartbeat], alerts: Alerts) -> Sequence[WatchdogStatus]:
    """Return every heartbeat of a receiver; one that was never heard is one."""
    if settings.watchdog is None:
        return ()
    name, alone = settings.watchdog.alertname, watchdog_key(settings.source)
    ours = [beat for beat in heartbeats if (beat.receiver, beat.source) == (settings.receiver, settings.source)]
    # One label set needs no name of its own.
    keys = [alone] if len(ours) <= 1 else [f"{alone}:{beat.key.rpartition(':')[2]}" for beat in ours]
    states = alerts.states(keys)
    silent = [key in states and states[key].open for key in keys]
    if not ours:
        return (WatchdogStatus(name=name, heard_at=None, silent=silent[0]),)
    return [
        WatchdogStatus(name=_named(name, beat.labels), heard_at=beat.heard_at, silent=quiet)
        for beat, quiet in zip(ours, silent, strict=True)
    ]


def _named(name: str, labels: Mapping[str, str]) -> str:
    told = ", ".join(f"{label}={labels[label]}" for label in sorted(labels) if label not in ("alertname", "severity"))
    return f"{name} ({told})" if told else name
