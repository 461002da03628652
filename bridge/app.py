"""The running bridge: its parts, wired; started, reloaded and stopped together."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from wsgiref.types import WSGIApplication

from bridge.config import Config, load, unauthenticated
from bridge.delivery.confirmation import Confirmation
from bridge.delivery.worker import Delivery
from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable
from bridge.incidents.follow_up import FollowUp
from bridge.metrics import Metrics, Stock
from bridge.outbox.database import Database
from bridge.outbox.group_commit import GroupCommit
from bridge.outbox.incidents import Incidents as IncidentRecords
from bridge.outbox.ingest import Ingest
from bridge.outbox.quarantine import Quarantine
from bridge.outbox.queue import Queue
from bridge.outbox.retention import Retention
from bridge.outbox.status import OutboxStatus
from bridge.receivers.contract import Receiver
from bridge.reconcile.expiry import Expiry
from bridge.reconcile.reconciler import Reconciler
from bridge.reconcile.watchdog import Watchdog
from bridge.web.application import Works, create_app
from bridge.web.operator_page import Insight
from bridge.web.operator_page import blueprint as console
from bridge.web.queue_history import Trend
from bridge.web.routes import route as route_of
from bridge.web.webhooks import Threshold, blueprint
from bridge.wiring import alertmanagers, confirmation, destination, followed, receivers, route
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.flags import Address
from exporter.toolkit.front import Front, Route
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile

_PRUNE_INTERVAL: Final = 60.0
_PRUNE_ROWS: Final = 500
_PRUNE_PAUSE: Final = 0.05
_GRACE: Final = 1.5
"""Seconds for webhooks under way when the program stops, and then for a request to BigPanda."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How the program was started: what the flags say."""

    config_file: Path
    addresses: tuple[Address, ...]
    web_config: WebConfigFile
    lifecycle: bool = False


def checked(file: Path, addresses: tuple[Address, ...]) -> Config:
    """Read bridge.yml for these addresses. ConfigError with every problem."""
    config = load(file)
    if found := unauthenticated(config, [host for host, _ in addresses]):
        raise ConfigError(found)
    return config


class Program:
    """Everything that runs. Opening it opens the database, starting it the sockets."""

    def __init__(self, start: Start, config: Config, clock: Callable[[], float] = time.time) -> None:
        """Wire the parts. ConfigError or Unavailable when the database cannot be used."""
        self._start, self._config, self._clock = start, config, clock
        self._reloading = threading.Lock()
        self._stopping = threading.Event()
        self._receivers: Mapping[tuple[str, str], Receiver] = {}
        self._database = Database(config.database.read())
        self._status = OutboxStatus(self._database)
        self._metrics = Metrics()
        self._metrics.watch(self._stock)
        self._delivery = Delivery(self._database, route(config), self._metrics)
        self._commits = GroupCommit(Ingest(self._database), wake=self._delivery.wake)
        self._watchdog = Watchdog(self._database, alertmanagers(config), self._metrics, wake=self._delivery.wake)
        self._expiry = Expiry(self._database, config.receivers, wake=self._delivery.wake)
        self._reconcilers: Mapping[str, Reconciler] = {}
        self._incidents: Mapping[str, FollowUp] = {}
        self._confirmation: Confirmation | None = None
        self._heard: dict[tuple[str, str], float] = {}
        self._trend = Trend(self._queue, clock)
        self._pruning = threading.Thread(target=self._prune, name="pruning", daemon=True)
        front = Front(self._application(), start.web_config, self._route, self._metrics.refused)
        self._server = HttpServer(front, start.addresses, start.web_config)
        self._adopt(config)

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, once started."""
        return self._server.addresses

    def start(self) -> None:
        """Open the sockets and begin. OSError when an address cannot be used, Unavailable when the database cannot."""
        self._server.start()
        self._commits.start()
        if reclaimed := Queue(self._database).reclaim():
            _log.info("%d events that were under way when the last process ended are due again", reclaimed)
        self._delivery.start()
        self._pruning.start()
        self._trend.start()
        self._watchdog.start()
        self._expiry.start()
        for looking in self._looking():
            looking.start()
        for host, port in self.addresses:
            _log.info("Listening on %s:%d", host, port)

    def stop(self) -> None:
        """Take no more, answer what was begun, and end; a BigPanda that hangs is not waited for."""
        self._stopping.set()
        self._dismiss()
        delivery = threading.Thread(target=self._delivery.stop, daemon=True)
        delivery.start()
        self._server.stop(_GRACE)
        commits = threading.Thread(target=self._commits.stop, daemon=True)
        commits.start()
        commits.join(_GRACE)
        delivery.join(_GRACE)
        self._watchdog.stop()
        self._expiry.stop()
        self._trend.stop()
        self._dismiss(_GRACE)
        self._database.close()

    def reload(self) -> None:
        """Read bridge.yml again. ConfigError when it cannot be used; then everything stays as it was."""
        with self._reloading:
            try:
                config = checked(self._start.config_file, self._start.addresses)
            except ConfigError as error:
                self._metrics.reloaded(successful=False, now=self._clock())
                _log.error("The configuration stays as it was: %s", "; ".join(error.problems))
                raise
            if config.database.read() != self._config.database.read():
                _log.warning("database: what has changed takes effect with a restart")
            self._dismiss(_GRACE)
            self._adopt(config)
            self._delivery.change(route(config))
            self._watchdog.change(alertmanagers(config))
            self._expiry.change(config.receivers)
            for looking in self._looking():
                looking.start()
            _log.info("Read %s again", self._start.config_file)

    def _adopt(self, config: Config) -> None:
        for settings in config.receivers:
            self._metrics.expect(settings.receiver, settings.source)
        self._config, self._receivers = config, receivers(config)
        self._reconcilers = {
            one.source: Reconciler(self._database, one, self._metrics, wake=self._delivery.wake)
            for one in alertmanagers(config)
            if one.reconcile
        }
        self._incidents = {
            one.settings.source: FollowUp(self._database, one, self._metrics, wake=self._delivery.wake)
            for one in followed(config)
        }
        self._confirmation = confirmation(config, self._database, self._metrics, self._delivery.wake)
        self._metrics.reloaded(successful=True, now=self._clock())

    def _dismiss(self, patience: float = 0.0) -> None:
        """Let those end that look after one receiver, and wait for each that is asking now for `patience` seconds."""
        for looking in self._looking():
            looking.stop(patience)

    def _looking(self) -> list[Reconciler | FollowUp | Confirmation]:
        confirmation = [self._confirmation] if self._confirmation else []
        return [*self._reconcilers.values(), *self._incidents.values(), *confirmation]

    def _cut_off(self, source: str) -> None:
        if reconciler := self._reconcilers.get(source):
            reconciler.wake()

    def _shared(self, source: str) -> None:
        if incidents := self._incidents.get(source):
            incidents.wake()

    def _application(self) -> WSGIApplication:
        works = Works(
            metrics=self._metrics,
            ready=self._status.writable,
            reload=self.reload if self._start.lifecycle else None,
        )
        threshold = Threshold(
            receivers=lambda: self._receivers,
            accept=self._accept,
            quarantine=Quarantine(self._database).add,
            metrics=self._metrics,
            cut_off=self._cut_off,
            shared=self._shared,
            clock=self._clock,
        )
        insight = Insight(
            database=self._database,
            metrics=self._metrics,
            trend=self._trend,
            config=lambda: self._config,
            destination=lambda: destination(self._config),
            mapping_of=self._mapping_of,
            heard=lambda: self._heard,
            secret_of=self._secret_of,
            wake=self._delivery.wake,
            clock=self._clock,
        )
        return create_app(works, [blueprint(threshold), console(insight)])

    def _accept(self, notification: Notification, now: float) -> Outcome:
        outcome = self._commits.accept(notification, now)
        self._heard[notification.receiver, notification.source] = now
        return outcome

    def _route(self, path: str) -> Route:
        return route_of(path, self._receivers, self._config.max_body)

    def _mapping_of(self, receiver: str, source: str) -> EventMapping | None:
        found = self._receivers.get((receiver, source))
        return found.settings.mapping if found else None

    def _secret_of(self, user: str) -> str | None:
        hashed = self._start.web_config.config.basic_auth_users.get(user)
        return hashed.read() if hashed else None

    def _queue(self) -> tuple[int, bool]:
        counts = self._status.counts(self._clock())
        return counts.waiting + counts.held, self._status.circuit(destination(self._config)).up

    def _stock(self) -> Stock:
        counts = self._status.counts(self._clock())
        return Stock(
            events={"waiting": counts.waiting, "held": counts.held},
            oldest=counts.oldest,
            dead_letters=counts.dead,
            dead_resolutions=counts.dead_resolutions,
            quarantined=counts.quarantined,
            open_alerts=counts.open_alerts,
            incidents=IncidentRecords(self._database).counts(),
            unconfirmed=self._confirmation.status.unconfirmed if self._confirmation else None,
        )

    def _prune(self) -> None:
        """Delete old history in batches too small to be felt."""
        retention, pause = Retention(self._database), _PRUNE_INTERVAL
        while not self._stopping.wait(pause):
            try:
                deleted = retention.prune(self._clock() - self._config.retention, _PRUNE_ROWS)
                pause = _PRUNE_PAUSE if deleted >= _PRUNE_ROWS else _PRUNE_INTERVAL
            except Unavailable as error:
                _log.warning("Old history stays for now: %s", error)
                pause = _PRUNE_INTERVAL
