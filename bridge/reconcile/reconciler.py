"""The reconciler: what Alertmanager never told of, because a silence, a restart or `max_alerts` kept it, is made good.

Per Alertmanager receiver with `reconcile:`, one thread of one replica asks every `interval`, and at once when a webhook
says that alerts were cut off. `corrections` decides; a correction goes through the ledger like any webhook, and any
webhook that came since the first of the two polls overtakes it.
"""

import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import uuid4

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.event import status_of
from bridge.domain.notification import Notification
from bridge.errors import Unanswered
from bridge.metrics import Metrics
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.ingest import Ingest
from bridge.outbox.status import OutboxStatus
from bridge.periodic import Rounds
from bridge.receivers.alertmanager import Settings
from bridge.reconcile.alertmanager_client import AlertmanagerApi, Peer
from bridge.reconcile.diff import Action, Correction, Doubt, Poll, Verdict, correct, read_poll

WATCHDOG: Final = "watchdog"
"""What a watchdog's own key ends with: no Alertmanager knows that alert."""
_BATCH: Final = 500
"""Corrections in one transaction."""
_BREATH: Final = 1.0
"""Seconds between two looks for what was cut off, however many webhooks say so."""
_LATE: Final = 5.0
"""Seconds by which a turn may be late before another replica takes over."""
_QUOTED: Final = re.compile(r"\\(.)", re.DOTALL)
_CUT_OFF: Final = "a webhook was cut off, and it is active in Alertmanager"
_REASONS: Final = {
    Action.CLOSED: "no Alertmanager knows it, in two polls running",
    Action.OPENED: "active in Alertmanager in two polls running, and never told of",
}
_log = logging.getLogger(__name__)


class Api(Protocol):
    """The Alertmanagers of one receiver."""

    def ask(self, now: float) -> list[Peer | Unanswered]:
        """Return what each says."""

    def muted(self, names: Collection[str], now: float) -> frozenset[str]:
        """Return the keys that time intervals mute. Raises Unanswered."""

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known before a round of questions: what the ledger holds open, and how Alertmanager names us."""

    held: Mapping[str, AlertState]
    names: frozenset[str]


class Reconciler:
    """One receiver's loop: `start`, `hint` when a webhook was cut off, `stop`."""

    def __init__(  # noqa: PLR0913  the parts it is wired to; each is replaced alone in tests
        self,
        database: Database,
        settings: Settings,
        metrics: Metrics,
        *,
        wake: Callable[[], object] = lambda: None,
        api: Api | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take a receiver's settings, which must have `reconcile`. `wake`: called when something was queued."""
        if settings.reconcile is None:
            raise ValueError("this receiver reconciles nothing")
        self._alerts, self._ingest, self._status = Alerts(database), Ingest(database), OutboxStatus(database)
        self._settings, self._reconcile = settings, settings.reconcile
        self._metrics, self._wake, self._clock = metrics, wake, clock
        self._api: Api = api or AlertmanagerApi(settings)
        self._role, self._owner = f"reconciler {settings.source}", uuid4().hex
        self._lease = 2 * self._reconcile.interval + _LATE
        self._before: Poll | None = None
        self._size: int | None = None
        self._rounds = Rounds(self._role, f"Reconciling {settings.source}", self.run)
        metrics.expect_reconciled(settings.source)

    def start(self) -> None:
        """Begin to ask."""
        self._rounds.start()

    def hint(self) -> None:
        """Look at once for alerts that a webhook left out."""
        self._rounds.hint()

    def stop(self, patience: float = 1.0) -> None:
        """End after the question under way, or after `patience` seconds without it."""
        self._rounds.stop(patience)

    def run(self) -> None:
        """Ask until stopped."""
        while not self._rounds.ended:
            self._rounds.guarded(self.turn)
            self._rest(time.monotonic() + self._reconcile.interval)
        self._rounds.guarded(lambda: self._status.yield_role(self._role, self._owner))
        self._metrics.reconcile_success.remove(self._settings.source)
        self._api.close()

    def _rest(self, until: float) -> None:
        """Wait for the next turn; meanwhile fetch what webhooks left out."""
        while (left := until - time.monotonic()) > 0 and not self._rounds.ended:
            if self._rounds.rest(left):
                if not self._rounds.guarded(self.fetch):
                    self._rounds.hint()
                self._rounds.pause(min(_BREATH, self._reconcile.interval))

    def turn(self) -> None:
        """Take one poll and make good what it and the one before show. Another replica's turn: do nothing."""
        before, self._before = self._before, None
        if not self._status.lead(self._role, self._owner, self._clock(), self._lease):
            self._size = None
            return
        ground = self._ground()
        latest = self._poll(ground)
        self._before = latest
        verdict = correct(before, latest, min_uptime=self._reconcile.min_uptime)
        self._tell_doubt(verdict)
        corrections = self._audible(verdict.corrections, ground.names)
        self._apply(corrections, _alerts(ground, latest, self._clock()), _REASONS)

    def fetch(self) -> None:
        """Open at once what two polls in a row, right now, show as active and the ledger does not hold."""
        first = self._poll(self._ground())
        ground = self._ground()
        second = self._poll(ground)
        verdict = correct(first, second, min_uptime=self._reconcile.min_uptime)
        opened = [found for found in verdict.corrections if found.action is Action.OPENED]
        self._apply(self._audible(opened, ground.names), second.active, {Action.OPENED: _CUT_OFF})

    def _ground(self) -> Ground:
        source, receiver = self._settings.source, self._settings.receiver
        held = {
            found.key: found
            for found in self._alerts.open_alerts(source)
            if found.alert.receiver == receiver and found.key != f"{source}:{WATCHDOG}"
        }
        return Ground(held, self._names())

    def _names(self) -> frozenset[str]:
        """Return Alertmanager's names of the receivers that send to us. Webhooks bear them quoted for a pattern."""
        if not self._reconcile.open_missed:
            return frozenset()
        if self._reconcile.receiver is not None:
            return frozenset({self._reconcile.receiver})
        return frozenset(unquoted(name) for name in self._status.receiver_names(self._settings.source))

    def _poll(self, ground: Ground) -> Poll:
        at = self._clock()
        answers = self._api.ask(at)
        self._note_health(answers)
        peers = [answer for answer in answers if isinstance(answer, Peer)]
        poll = read_poll(at, peers, len(answers), lambda alert, names: self._ours(alert, names & ground.names))
        known = self._alerts.states([key for key in poll.active if key not in ground.held])
        emptied = poll.whole and not poll.listed and bool(self._size)
        if poll.whole:
            self._size = len(poll.listed)
        return replace(
            poll,
            emptied=emptied,
            held={key: found.updated_at for key, found in ground.held.items()},
            touched={key: state.updated_at for key, state in known.items()},
        )

    def _ours(self, alert: Alert, names: frozenset[str]) -> bool:
        """Tell whether an alert is routed to us, and one that is sent on."""
        watchdog = self._settings.watchdog
        heartbeat = watchdog is not None and alert.name == watchdog.alertname
        return bool(names) and not heartbeat and status_of(alert, self._settings.mapping)[0] is not None

    def _audible(self, corrections: Sequence[Correction], names: frozenset[str]) -> Sequence[Correction]:
        """Leave out what would open an alert that a time interval mutes; all that opens, while that is not known."""
        if not any(found.action is Action.OPENED for found in corrections):
            return corrections
        try:
            muted: Collection[str] = self._api.muted(names, self._clock())
        except Unanswered as error:
            self._rounds.say("groups", f"Nothing of {self._settings.source} is opened now: {error.url}: {error}")
            muted = [found.key for found in corrections]
        else:
            self._rounds.say("groups", "")
        return [found for found in corrections if found.action is Action.CLOSED or found.key not in muted]

    def _apply(
        self, corrections: Sequence[Correction], alerts: Mapping[str, Alert], reasons: Mapping[Action, str]
    ) -> None:
        for start in range(0, len(corrections), _BATCH):
            part = corrections[start : start + _BATCH]
            batch = [self._notification(alerts[found.key], found) for found in part]
            outcomes = self._ingest.accept(batch, self._clock())
            done = [found for found, outcome in zip(part, outcomes, strict=True) if outcome.queued]
            for found in done:
                self._metrics.reconciled.labels(self._settings.source, found.action).inc()
                name = alerts[found.key].name
                _log.warning("Reconciled: %s %s (%s): %s", found.action, found.key, name, reasons[found.action])
            if done:
                self._wake()

    def _notification(self, alert: Alert, correction: Correction) -> Notification:
        return self._settings.notification(alerts=(alert,), if_unmodified={correction.key: correction.touched})

    def _note_health(self, answers: Iterable[Peer | Unanswered]) -> None:
        source = self._settings.source
        failed = {answer.url: str(answer) for answer in answers if isinstance(answer, Unanswered)}
        if failed:
            self._metrics.reconcile_failures.labels(source).inc(len(failed))
        else:
            self._metrics.reconcile_success.labels(source).set(self._clock())
        for url in self._reconcile.urls:
            told = f"Alertmanager {url} does not help to reconcile {source}: {failed[url]}" if url in failed else ""
            self._rounds.say(url, told)

    def _tell_doubt(self, verdict: Verdict) -> None:
        doubt = verdict.doubt if verdict.doubt is not Doubt.FIRST else None
        told = f"Of {self._settings.source}, what no Alertmanager lists stays open: {doubt}" if doubt else ""
        self._rounds.say("doubt", told)


def unquoted(name: str) -> str:
    """Undo Go's regexp.QuoteMeta, as which webhooks bear the receiver's name."""
    return _QUOTED.sub(r"\1", name)


def _alerts(ground: Ground, latest: Poll, now: float) -> Mapping[str, Alert]:
    """Return each alert as a correction tells it: what is held has ended now, what is active fires."""
    ended = {
        key: replace(found.alert, firing=False, ends_at=now)
        for key, found in ground.held.items()
        if key not in latest.listed
    }
    return {**latest.active, **ended}
