"""The reconciler: corrects what Alertmanager never reported because of a silence, a restart or `max_alerts`.

For each Alertmanager receiver with `reconcile:`, one thread in one replica polls every `interval`, and at once after a
truncated webhook. `diff` decides; a correction goes through ingest like any webhook, and any webhook received since the
first of the two polls takes precedence.
"""

import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.event import status_of
from bridge.errors import Unanswered
from bridge.metrics import Metrics
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Role
from bridge.receivers.alertmanager import Settings
from bridge.receivers.bigpanda import CREATED_BY
from bridge.reconcile.alertmanager_client import AlertmanagerApi, Peer, Silence, origin
from bridge.reconcile.diff import Poll, diff, read_poll, silence_changes
from bridge.reconcile.watchdog import arriving, watchdog_key
from exporter.toolkit.periodic import CLOCK, Clock, PeriodicThread

_BREATH: Final = 1.0
"""Seconds between two fetches of truncated alerts, however many webhooks were truncated."""
_GRACE: Final = 30.0
"""Seconds beyond three intervals without a success, after which a reconciler is late."""
_LATE: Final = 5.0
"""Seconds by which a tick may be late before another replica takes over."""
_QUOTED: Final = re.compile(r"\\(.)", re.DOTALL)
_CUT_OFF: Final = "active in Alertmanager, left out of a truncated webhook"
_MISSED: Final = "active in Alertmanager in two consecutive polls, but never reported"
_HIDDEN: Final = "Alertmanager before 0.28 does not show which of them a time interval mutes"
_UNLISTED: Final = "unknown to every Alertmanager in two consecutive polls"
_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class ReconcilerStatus:
    """The status of a reconciler. `last_success`: when all Alertmanagers last answered this process, None: not yet.

    `since`: when this process began to poll them, None while another replica does. `unanswered`: the Alertmanagers that
    did not answer the last poll, each with its error.
    """

    since: float | None = None
    last_success: float | None = None
    unanswered: str = ""
    failures: int = 0
    corrections: int = 0
    interval: float

    def late(self, now: float) -> bool:
        """Return whether no poll has succeeded for much longer than the interval."""
        last = self.since if self.last_success is None else self.last_success
        return last is not None and now - last > 3 * self.interval + _GRACE


class Reconciler(PeriodicThread):
    """The loop of one receiver: `start`, `wake` after a truncated webhook, `stop`."""

    def __init__(
        self,
        outbox: Outbox,
        settings: Settings,
        metrics: Metrics,
        *,
        api: AlertmanagerApi | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        """Take a receiver's settings, which must have `reconcile`."""
        if settings.reconcile is None:
            raise ValueError("this receiver has no reconcile section")
        self._outbox, self._settings, self._reconcile = outbox, settings, settings.reconcile
        self._metrics, self._clock = metrics, clock
        self._api = api or AlertmanagerApi(settings)
        self._role = Role(outbox.database, f"reconciler {settings.source}", 2 * settings.reconcile.interval + _LATE)
        self._before: Poll | None = None
        self._had_alerts = False
        self.silenced: Mapping[str, Silence] = {}
        """The silence of each open alert that is silenced in Alertmanager, by alert key, as last seen."""
        self._truncated = False
        self._opens: frozenset[str] = frozenset()
        """Alertmanager's names for this receiver, as of the last poll; none if nothing is opened."""
        self.status = ReconcilerStatus(interval=self._reconcile.interval)
        self._next_turn = self._next_fetch = clock.steady()
        super().__init__(self._role.name, f"Reconciling {settings.source}", self.tick, at_end=self.close)
        for action in ("opened", "closed"):
            metrics.reconciled.labels(settings.source, action)
        metrics.reconcile_failures.labels(settings.source)

    def wake(self) -> None:
        """Fetch alerts left out of a truncated webhook at once."""
        self._truncated = True
        super().wake()

    def tick(self) -> float:
        """Poll if due, fetch alerts left out of webhooks in between; return the seconds until the next of either."""
        if self._clock.steady() >= self._next_turn:
            self._next_turn = self._clock.steady() + self._reconcile.interval
            self.turn()
        elif self._truncated and self._clock.steady() >= self._next_fetch:
            self._next_fetch = self._clock.steady() + min(_BREATH, self._reconcile.interval)
            self.fetch()
            self._truncated = False
        due = min(self._next_turn, self._next_fetch) if self._truncated else self._next_turn
        return max(0.0, due - self._clock.steady())

    def turn(self) -> None:
        """Poll once and apply the corrections of this and the last poll. A no-op if another replica has the role."""
        before, self._before = self._before, None
        if not self._role.lead(self._clock.wall()):
            self._had_alerts, self.silenced = False, {}
            self.status.since, self.status.last_success, self.status.unanswered = None, None, ""
            self._withdraw()
            return
        if self.status.since is None:
            self.status.since = self._clock.wall()
        held = self._held()
        latest = self._before = self._poll(held, before.since if before else {})
        if self._settings.resolve_after:
            # A listed alert does not expire, whatever its repeat_interval.
            self._outbox.alerts.note_heard([key for key in held if key in latest.listed], self._clock.wall())
        result = diff(before, latest, min_uptime=self._reconcile.min_uptime)
        blocker = result.blocker
        unclosed = f"Not closing unlisted alerts of {self._settings.source}: {blocker}" if blocker else ""
        self.conditions.report("blocker", unclosed)
        hidden = math.isinf(latest.mutes_lag) and self._reconcile.open_missed
        unopened = f"Not opening missed alerts of {self._settings.source}: {_HIDDEN}" if hidden else ""
        self.conditions.report("mutes", unopened)
        # Open first: a closed alert may go on firing under the same identity as an opened one.
        self._correct("opened", self._unmuted(result.opened), latest.active, _MISSED)
        now = self._clock.wall()
        ended = {key: held[key].alert.resolved(now) for key in result.closed}
        self._correct("closed", result.closed, ended, _UNLISTED)
        self._follow_silences(held, latest)

    def fetch(self) -> None:
        """Open alerts at once that two immediate polls show as active and that are not open here."""
        first = self._poll(self._held(), {})
        # Two immediate polls cannot show since when an alert is active; one that began long ago has been flushed.
        second = self._poll(self._held(), {key: alert.starts_at for key, alert in first.active.items()})
        result = diff(first, second, min_uptime=self._reconcile.min_uptime)
        self._correct("opened", self._unmuted(result.opened), second.active, _CUT_OFF)

    def _held(self) -> dict[str, AlertState]:
        """Return the alerts open here. Alertmanager knows each by its own key, even if several share an identity."""
        source, receiver = self._settings.source, self._settings.receiver
        # Our own alerts about watchdogs are unknown to any Alertmanager.
        watchdogs = f"{watchdog_key(source)}:"
        return {
            key: replace(state, alert=alert, members={})
            for state in self._outbox.alerts.open_alerts(source)
            for key, alert in state.firing.items()
            if state.alert.receiver == receiver and not f"{state.key}:".startswith(watchdogs)
        }

    def _poll(self, held: Mapping[str, AlertState], since: Mapping[str, float]) -> Poll:
        at, names = self._clock.wall(), names_of(self._outbox, self._settings)
        answers = self._api.ask(at, names)
        self._report_health(answers)
        peers = [answer for answer in answers if isinstance(answer, Peer)]
        # One that sent to us once may have no webhook any more: its alerts are no longer meant for us.
        sending = (names if peer.senders is None else names & peer.senders for peer in peers)
        self._opens = frozenset().union(*sending) if self._reconcile.open_missed else frozenset()
        watchdog = self._settings.watchdog.alertname if self._settings.watchdog else None
        heartbeats = arriving(self._settings, self._outbox.status.heartbeats() if watchdog else (), at)

        def ours(alert: Alert, names: frozenset[str]) -> bool:
            """Return whether an alert is routed to us and of a kind that is sent on."""
            sent = alert.name != watchdog and status_of(alert, self._settings.mapping)[0] is not None
            return sent and not names.isdisjoint(self._opens)

        poll = read_poll(at, peers, len(answers), ours, since)
        known = self._outbox.alerts.of_alerts([alert for key, alert in poll.active.items() if key not in held])
        poll = replace(
            poll,
            unrelated=bool(heartbeats) and heartbeats.isdisjoint(poll.listed),
            emptied=poll.whole and not poll.listed and self._had_alerts,
            held={key: state.updated_at for key, state in held.items()},
            known={key: state.updated_at for key, state in known.items()},
        )
        if poll.whole:
            self._had_alerts = bool(poll.listed)
        return poll

    def _unmuted(self, opened: Mapping[str, float | None]) -> Mapping[str, float | None]:
        """Leave out alerts muted by a time interval; all of them while that is unknown."""
        if not opened:
            return opened
        try:
            muted = self._api.muted(self._opens, self._clock.wall())
        except Unanswered as error:
            unopened = f"Not opening missed alerts of {self._settings.source}: Alertmanager {error.url}: {error}"
            self.conditions.report("groups", unopened)
            return {}
        self.conditions.report("groups", "")
        return {key: updated_at for key, updated_at in opened.items() if key not in muted}

    def _correct(self, action: str, keys: Mapping[str, float | None], alerts: Mapping[str, Alert], reason: str) -> None:
        wanted = (self._settings.correction(alerts[key], updated_at) for key, updated_at in keys.items())
        for alert in self._outbox.correct(wanted, self._clock.wall()):
            self._metrics.reconciled.labels(self._settings.source, action).inc()
            self.status.corrections += 1
            _log.warning("Reconciled: %s %s (%s): %s", action, alert.key, alert.name, reason)

    def _follow_silences(self, held: Mapping[str, AlertState], latest: Poll) -> None:
        """Find the open alerts that are silenced, and report that to BigPanda if configured."""
        source = self._settings.source
        listed = [(key, name) for key, name in latest.silenced if key in held]
        try:
            silences = self._api.silences() if listed else {}
        except Unanswered as error:
            # Without the list of silences everything stays as it was.
            self.conditions.report("silences", f"Silences of {source} unknown: Alertmanager {error.url}: {error}")
            return
        self.conditions.report("silences", "")
        known = [(key, silences[name]) for key, name in listed if name in silences]
        # Of several, the one that ends last counts.
        known.sort(key=lambda pair: pair[1].ends_at)
        self.silenced = dict(known)
        self._metrics.silenced_alerts.labels(source).set(len(self.silenced))
        acknowledges = self._settings.silenced == "acknowledge"
        # BigPanda knows of its own snoozes: an event about one would come back as a change of the snoozed incident.
        wished = {key: silence for key, silence in known if silence.by != CREATED_BY} if acknowledges else {}
        # With `keep`, alerts acknowledged earlier get their status back.
        active = latest.unsuppressed if acknowledges else latest.listed
        changes = silence_changes(held, active, wished, whole=latest.whole)
        for alert in self._outbox.correct((self._settings.correction(*one) for one in changes), self._clock.wall()):
            silence = wished.get(alert.key)
            state = f"silenced until {silence.until} by {silence.by}" if silence else "no longer silenced"
            _log.info("%s is %s", alert.key, state)

    def _report_health(self, answers: Iterable[Peer | Unanswered]) -> None:
        source = self._settings.source
        failed = {answer.url: str(answer) for answer in answers if isinstance(answer, Unanswered)}
        self.status.unanswered = "; ".join(f"{url}: {why}" for url, why in failed.items())
        self.status.failures += len(failed)
        self._metrics.reconcile_failures.labels(source).inc(len(failed))
        if not failed:
            self.status.last_success = self._clock.wall()
            self._metrics.reconcile_success.labels(source).set(self.status.last_success)
        for url in map(origin, self._reconcile.urls):
            down = f"Alertmanager {url} is unavailable for reconciling {source}: {failed[url]}" if url in failed else ""
            self.conditions.report(url, down)

    def close(self) -> None:
        """Let another replica take over; close all connections."""
        self._role.close()
        self._withdraw()
        self._api.close()

    def _withdraw(self) -> None:
        """Remove the metrics of the replica that polls: those of another one are of long ago."""
        for metric in (self._metrics.reconcile_success, self._metrics.silenced_alerts):
            metric.remove(self._settings.source)


def names_of(outbox: Outbox, settings: Settings) -> set[str]:
    """Return Alertmanager's names for a receiver: the configured one, or those that have sent to us."""
    if settings.reconcile and settings.reconcile.receiver:
        return {settings.reconcile.receiver}
    return set(map(unquoted, outbox.status.receiver_names(settings.source)))


def unquoted(name: str) -> str:
    """Undo Go's regexp.QuoteMeta, which Alertmanager applies to the receiver's name in webhooks."""
    return _QUOTED.sub(r"\1", name)
