"""How each receiver is doing: when it was last heard, and the health of its reconciler and its watchdog."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from bridge.config import Config
from bridge.metrics import Metrics
from bridge.outbox.status import Heartbeat
from bridge.receivers.alertmanager import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciling:
    """How a reconciler does. `success`: when all Alertmanagers last answered this process, None: not yet."""

    success: float | None
    failures: int
    corrections: int
    interval: float

    def late(self, now: float) -> bool:
        """Whether no round has gone well for much longer than one takes."""
        return self.success is not None and now - self.success > 3 * self.interval + 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How a watchdog does. `heard_at`: in epoch seconds, None: never."""

    alertname: str
    heard_at: float | None
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One receiver. `last`: when this process last took a notification of it, None: not since it started."""

    receiver: str
    source: str
    last: float | None
    reconciling: Reconciling | None = None
    watching: Watching | None = None


def senders(
    config: Config, metrics: Metrics, heartbeats: Iterable[Heartbeat], heard: Mapping[tuple[str, str], float]
) -> list[Sender]:
    """Return every configured receiver, in the order of the file. `heard`: by receiver and source."""
    beats: dict[tuple[str, str], float] = {}
    for beat in heartbeats:
        beats[beat.receiver, beat.source] = max(beat.heard_at, beats.get((beat.receiver, beat.source), 0.0))
    return [
        Sender(
            receiver=one.receiver,
            source=one.source,
            last=heard.get((one.receiver, one.source)),
            reconciling=_reconciling(one, metrics) if isinstance(one, Settings) else None,
            watching=_watching(one, metrics, beats.get((one.receiver, one.source)))
            if isinstance(one, Settings)
            else None,
        )
        for one in config.receivers
    ]


def _reconciling(settings: Settings, metrics: Metrics) -> Reconciling | None:
    if settings.reconcile is None:
        return None
    return Reconciling(
        success=_sum(metrics.reconcile_success, settings.source) or None,
        failures=int(_sum(metrics.reconcile_failures, settings.source)),
        corrections=int(_sum(metrics.reconciled, settings.source)),
        interval=settings.reconcile.interval,
    )


def _watching(settings: Settings, metrics: Metrics, heard_at: float | None) -> Watching | None:
    if settings.watchdog is None:
        return None
    return Watching(
        alertname=settings.watchdog.alertname,
        heard_at=heard_at,
        silent=_sum(metrics.watchdog_silent, settings.source) > 0,
    )


def _sum(metric: Gauge | Counter, source: str) -> float:
    return sum(
        sample.value for family in metric.collect() for sample in family.samples if sample.labels["source"] == source
    )
