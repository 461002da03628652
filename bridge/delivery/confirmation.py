"""The confirmation: checks that BigPanda processed the events it accepted, and resends those it dropped.

One thread in one replica. `confirmation_diff` decides; missed events and their counts are in the outbox, so a restart
neither forgets nor resends twice. If BigPanda rejects these calls, that is logged once and everything else goes on.
"""

import logging
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from bridge.config import Config
from bridge.delivery.confirmation_diff import LOOKS, Diagnostic, ListedAlert, compare, read_alerts, read_diagnostics
from bridge.delivery.integration_api import IntegrationApi
from bridge.errors import DeliveryError, Unreadable
from bridge.metrics import DIAGNOSTICS, Metrics
from bridge.outbox.confirmations import LONGEST, Confirmations
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Role
from exporter.toolkit.periodic import CLOCK, Clock, PeriodicThread

_LATE: Final = 60.0
"""Seconds by which a check may be late before another replica takes over."""
_SETTLED: Final = 30.0
"""Seconds that BigPanda gets to process an event."""
_SKEW: Final = 120.0
"""Seconds by which BigPanda's clock and ours may differ."""
_LONGEST_TICK: Final = 60.0
_MOST_KNOWN: Final = 10_000
_MOST_SHOWN: Final = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationStatus:
    """The result of the last check, for the page. `problem`: why it failed."""

    looked_at: float | None = None
    problem: str = ""
    unconfirmed: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()


class Confirmation(PeriodicThread):
    """Checks every `interval` seconds which events BigPanda has processed: `start`, `stop`."""

    def __init__(
        self,
        outbox: Outbox,
        config: Config,
        metrics: Metrics,
        *,
        api: IntegrationApi | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        """Take a configuration, which must have `bigpanda.confirm`."""
        if (confirm := config.bigpanda.confirm) is None:
            raise ValueError("bigpanda has no confirm section")
        self._outbox, self._confirmations = outbox, Confirmations(outbox.database, config.destination)
        self._api, self._metrics = api or IntegrationApi(config.bigpanda, confirm), metrics
        self._interval, self._clock = confirm.interval, clock
        self._role = Role(outbox.database, "confirmation", 2 * confirm.interval + _LATE)
        # By these we recognize BigPanda's diagnostics about our events.
        self._app_keys = {config.bigpanda.app_key, *(one.app_key for one in config.receivers if one.app_key)}
        self._sources = {one.source for one in config.receivers}
        self._began = self._since = clock.wall()
        self._known: deque[str] = deque(maxlen=_MOST_KNOWN)
        self._shown: deque[Diagnostic] = deque(maxlen=_MOST_SHOWN)
        self._last = ConfirmationStatus()
        super().__init__(self._role.name, "Confirming events", self.tick, at_end=self.close, retry=_LONGEST_TICK)
        for level in DIAGNOSTICS:
            metrics.diagnostics.labels(level)

    @property
    def status(self) -> ConfirmationStatus:
        """Return the result of the last check."""
        return replace(self._last, unconfirmed=self._confirmations.unconfirmed(), diagnostics=tuple(self._shown))

    def tick(self) -> float:
        """Check once; return the seconds until the next check. A no-op if another replica has the role."""
        if not self._role.lead(self._clock.wall()):
            return min(self._interval, _LONGEST_TICK)
        try:
            self._look(self._clock.wall())
            self._diagnose()
        except (DeliveryError, Unreadable) as error:
            self._last = replace(self._last, problem=str(error))
            self.conditions.report("bigpanda", f"BigPanda does not confirm events, still sending: {error}")
        else:
            self._last = ConfirmationStatus(looked_at=self._clock.wall())
            self.conditions.report("bigpanda", "")
        return self._interval

    def _look(self, now: float) -> None:
        """Compare the events sent since the last check, and those missed then, with the alerts that BigPanda lists."""
        until = now - min(_SETTLED, self._interval)
        sent = self._confirmations.to_confirm(until, self._began)
        listings: dict[str, list[ListedAlert]] = {}
        for app_key in sorted({event.app_key for event in sent}):
            queued = min(event.queued_at for event in sent if event.app_key == app_key)
            since = max(queued, until - LONGEST) - _SKEW
            listings[app_key] = []
            # Only a complete listing shows what is missing; an incomplete one raises.
            for page in self._api.alerts(app_key, since):
                if self.stopping:
                    return
                listings[app_key] += read_alerts(page)
        found = compare(sent, listings)
        for app_key in listings:
            blind = f"BigPanda lists no event of {app_key}, not resending any" if app_key in found.blind else ""
            self.conditions.report(f"listing of {app_key}", blind)
        missed = [*found.missed, *found.lost]
        self._confirmations.record(confirmed=found.confirmed, missed=missed, resend=found.resend, until=until)
        self._metrics.confirmed_events.inc(len(found.confirmed))
        for event in found.resend:
            _log.warning("Resent %s event of %s: BigPanda accepted but did not process it", event.status, event.key)
        for event in found.lost:
            if event.looks + 1 == LOOKS:
                _log.error("%s event of %s not processed by BigPanda although resent", event.status, event.key)
        if found.resend:
            self._outbox.wake()

    def _diagnose(self) -> None:
        began = self._clock.wall()
        for page in self._api.diagnostics(self._since - _SKEW):
            for found in read_diagnostics(page, self._app_keys, self._sources):
                if found.id not in self._known:
                    shown = replace(found, message=self._api.masked(found.message))
                    self._known.append(found.id)
                    self._shown.append(shown)
                    self._metrics.diagnostics.labels(found.level).inc()
                    if found.level == "error":
                        _log.warning("BigPanda's diagnostics report an error: %s", shown.message)
        self._since = began

    def close(self) -> None:
        """Let another replica take over; close all connections."""
        self._role.close()
        self._api.close()
