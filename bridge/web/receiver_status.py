"""The status of each receiver: its last webhook, and the state of its reconciler and watchdogs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.config import Config
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Heartbeat
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.reconciler import Reconciler, ReconcilerStatus
from bridge.reconcile.watchdog import heartbeats_of, watchdog_key


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogStatus:
    """One heartbeat. `heard_at`: when it was last received, epoch seconds or None. `silent`: its alarm is open."""

    name: str
    heard_at: float | None
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStatus:
    """One receiver. `last`: when this process last accepted a webhook for it, None: not since it started."""

    receiver: str
    source: str
    last: float | None
    reconciler: ReconcilerStatus | None = None
    watchdogs: Sequence[WatchdogStatus] = ()


def statuses(
    config: Config,
    last: Mapping[tuple[str, str], float],
    reconcilers: Mapping[str, Reconciler],
    outbox: Outbox,
) -> list[ReceiverStatus]:
    """Return every configured receiver, in the order of the file. `last`: last webhooks, by receiver and source."""
    beats = outbox.status.heartbeats()
    return [
        ReceiverStatus(
            receiver=one.receiver,
            source=one.source,
            last=last.get((one.receiver, one.source)),
            reconciler=found.status if isinstance(one, Settings) and (found := reconcilers.get(one.source)) else None,
            watchdogs=_watchdogs(one, beats, outbox) if isinstance(one, Settings) else (),
        )
        for one in config.receivers
    ]


def _watchdogs(settings: Settings, heartbeats: Sequence[Heartbeat], outbox: Outbox) -> Sequence[WatchdogStatus]:
    """Return every heartbeat of a receiver; one that was never received counts as one."""
    if settings.watchdog is None:
        return ()
    name, ours = settings.watchdog.alertname, heartbeats_of(settings, heartbeats)
    keys = list(ours) or [watchdog_key(settings.source)]
    silent = {key for key, state in outbox.alerts.states(keys).items() if state.open}
    if not ours:
        return (WatchdogStatus(name=name, heard_at=None, silent=bool(silent)),)
    return [
        WatchdogStatus(name=name + beat.distinction, heard_at=beat.heard_at, silent=key in silent)
        for key, beat in ours.items()
    ]
