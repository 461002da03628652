"""What is configured now: the parts that a reload replaces, and the status of each receiver for the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.config import Config
from bridge.delivery.confirmation import Confirmation
from bridge.incidents.follow_up import FollowUp
from bridge.incidents.incidents_client import IncidentsClient
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Heartbeat
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.alertmanager_client import Silence
from bridge.reconcile.reconciler import Reconciler, ReconcilerStatus
from bridge.reconcile.watchdog import heartbeats_of


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


@dataclass(frozen=True, slots=True)
class Current:
    """The parts that a reload replaces: the configuration and its loops.

    `last_webhook`: when this process last accepted one, by receiver and source; kept across reloads.
    """

    config: Config
    last_webhook: dict[tuple[str, str], float] = field(default_factory=dict)
    reconcilers: Mapping[str, Reconciler] = field(default_factory=dict)
    follow_ups: Mapping[str, FollowUp] = field(default_factory=dict)
    confirmation: Confirmation | None = None

    @property
    def loops(self) -> Iterator[Reconciler | FollowUp | Confirmation]:
        """Yield every loop."""
        yield from self.reconcilers.values()
        yield from self.follow_ups.values()
        if self.confirmation is not None:
            yield self.confirmation

    @property
    def silences(self) -> Mapping[str, Silence]:
        """Return the silences of open alerts, by key."""
        return {key: found for one in self.reconcilers.values() for key, found in one.silenced.items()}

    @property
    def refused_silences(self) -> Mapping[str, str]:
        """Return why wanted silences are not created, by alert key."""
        return {key: why for one in self.follow_ups.values() for key, why in one.refused_silences.items()}

    def incidents_client(self) -> IncidentsClient | None:
        """Return the client for acting on incidents, or None if it is not configured."""
        return IncidentsClient(self.config.incidents) if self.config.incidents else None

    def receivers(self, outbox: Outbox) -> list[ReceiverStatus]:
        """Return the status of every receiver, in the order of the file."""
        beats, loops = outbox.status.heartbeats(), self.reconcilers
        return [
            ReceiverStatus(
                receiver=one.receiver,
                source=one.source,
                last=self.last_webhook.get((one.receiver, one.source)),
                reconciler=found.status if isinstance(one, Settings) and (found := loops.get(one.source)) else None,
                watchdogs=_watchdogs(one, beats, outbox) if isinstance(one, Settings) else (),
            )
            for one in self.config.receivers
        ]


def _watchdogs(settings: Settings, heartbeats: Sequence[Heartbeat], outbox: Outbox) -> Sequence[WatchdogStatus]:
    """Return every heartbeat of a receiver; one that was never received counts as one."""
    if settings.watchdog is None:
        return ()
    ours = heartbeats_of(settings, heartbeats)
    states = outbox.alerts.states(list(ours))
    return [
        WatchdogStatus(
            name=settings.watchdog.alertname + (beat.distinction if beat else ""),
            heard_at=beat.heard_at if beat else None,
            silent=key in states and states[key].open,
        )
        for key, beat in ours.items()
    ]
