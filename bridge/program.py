"""The running bridge: its parts, wired; started, reloaded and stopped together."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from wsgiref.types import WSGIApplication

from bridge.access import Access
from bridge.app import Works, create_app
from bridge.bigpanda import BigPanda
from bridge.commits import Commits
from bridge.config import Config, load, module, unauthenticated
from bridge.delivery import Delivery, Route
from bridge.door import Entrance, Threshold, blueprint
from bridge.errors import ConfigError, Unavailable
from bridge.event import mapping_of
from bridge.incidents import Followed, Incidents
from bridge.lapses import Falling, Lapses
from bridge.listen import Address, Listener
from bridge.metrics import Metrics, Stock
from bridge.outbox import Outbox
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.reconciler import Reconciler
from bridge.watchdog import Watchdog, Watched

_DRAINED: Final = 64_000_000
"""Bytes beyond `max_body` that are read and thrown away, so that the sender sees the 413."""
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
    access: Access
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
        self._entrances: Mapping[tuple[str, str], Entrance] = {}
        self._outbox = Outbox.open(config.database.read())
        self._metrics = Metrics()
        self._metrics.watch(self._stock)
        self._delivery = Delivery(self._outbox, route(config), self._metrics)
        self._commits = Commits(self._outbox, wake=self._delivery.wake)
        self._watchdog = Watchdog(self._outbox, watched(config), self._metrics, wake=self._delivery.wake)
        self._lapses = Lapses(self._outbox, falling(config), wake=self._delivery.wake)
        self._reconcilers: Mapping[str, Reconciler] = {}
        self._incidents: Mapping[str, Incidents] = {}
        self._pruning = threading.Thread(target=self._prune, name="pruning", daemon=True)
        self._listener = Listener(
            self._application(), start.addresses, start.access, body_limit=config.max_body + _DRAINED
        )
        self._adopt(config)

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, once started."""
        return self._listener.addresses

    def start(self) -> None:
        """Open the sockets and begin. OSError when an address cannot be used, Unavailable when the database cannot."""
        self._listener.start()
        self._commits.start()
        if reclaimed := self._outbox.reclaim():
            _log.info("%d events that were under way when the last process ended are due again", reclaimed)
        self._delivery.start()
        self._pruning.start()
        self._watchdog.start()
        self._lapses.start()
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
        self._listener.stop(_GRACE)
        commits = threading.Thread(target=self._commits.stop, daemon=True)
        commits.start()
        commits.join(_GRACE)
        delivery.join(_GRACE)
        self._watchdog.stop()
        self._lapses.stop()
        self._dismiss(_GRACE)
        self._outbox.close()

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
            self._watchdog.change(watched(config))
            self._lapses.change(falling(config))
            for looking in self._looking():
                looking.start()
            _log.info("Read %s again", self._start.config_file)

    def _adopt(self, config: Config) -> None:
        for settings in config.receivers:
            self._metrics.expect(settings.receiver, settings.source)
        self._config, self._entrances = config, entrances(config)
        self._reconcilers = {
            one.settings.source: Reconciler(
                self._outbox, one.settings, one.mapping, self._metrics, wake=self._delivery.wake
            )
            for one in watched(config)
            if one.settings.reconcile
        }
        self._incidents = {
            one.settings.source: Incidents(self._outbox, one, self._metrics, wake=self._delivery.wake)
            for one in followed(config)
        }
        self._metrics.reloaded(successful=True, now=self._clock())

    def _dismiss(self, patience: float = 0.0) -> None:
        """Let those end that look after one receiver, and wait for each that is asking now for `patience` seconds."""
        for looking in self._looking():
            looking.stop(patience)

    def _looking(self) -> list[Reconciler | Incidents]:
        return [*self._reconcilers.values(), *self._incidents.values()]

    def _cut_off(self, source: str) -> None:
        if reconciler := self._reconcilers.get(source):
            reconciler.hint()

    def _shared(self, source: str) -> None:
        if incidents := self._incidents.get(source):
            incidents.hint()

    def _application(self) -> WSGIApplication:
        works = Works(
            metrics=self._metrics,
            ready=self._outbox.writable,
            reload=self.reload if self._start.lifecycle else None,
        )
        threshold = Threshold(
            entrances=lambda: self._entrances,
            max_body=lambda: self._config.max_body,
            accept=self._commits.accept,
            quarantine=self._outbox.quarantine,
            metrics=self._metrics,
            cut_off=self._cut_off,
            shared=self._shared,
            clock=self._clock,
        )
        return create_app(works, [blueprint(threshold)])

    def _stock(self) -> Stock:
        counts = self._outbox.counts(self._clock())
        return Stock(
            events={"waiting": counts.waiting, "held": counts.held},
            oldest=counts.oldest,
            dead_letters=counts.dead,
            dead_resolutions=counts.dead_resolutions,
            quarantined=counts.quarantined,
            open_alerts=counts.open_alerts,
            incidents=self._outbox.incident_counts(),
        )

    def _prune(self) -> None:
        """Delete old history in batches too small to be felt."""
        pause = _PRUNE_INTERVAL
        while not self._stopping.wait(pause):
            try:
                deleted = self._outbox.prune(self._clock() - self._config.retention, _PRUNE_ROWS)
                pause = _PRUNE_PAUSE if deleted >= _PRUNE_ROWS else _PRUNE_INTERVAL
            except Unavailable as error:
                _log.warning("Old history stays for now: %s", error)
                pause = _PRUNE_INTERVAL


def entrances(config: Config) -> Mapping[tuple[str, str], Entrance]:
    """Return the place of each configured receiver."""
    return {
        (one.receiver, one.source): Entrance(
            one, module(one.receiver).translate, mapping_of(one, config.bigpanda.app_key)
        )
        for one in config.receivers
    }


def watched(config: Config) -> list[Watched]:
    """Return the receivers of Alertmanagers."""
    return [
        Watched(one, mapping_of(one, config.bigpanda.app_key))
        for one in config.receivers
        if isinstance(one, AlertmanagerSettings)
    ]


def falling(config: Config) -> list[Falling]:
    """Return every receiver, with how its alerts become events."""
    return [Falling(one, mapping_of(one, config.bigpanda.app_key)) for one in config.receivers]


def followed(config: Config) -> list[Followed]:
    """Return the BigPanda receivers of which anything follows."""
    mappings = {(one.receiver, one.source): mapping_of(one, config.bigpanda.app_key) for one in config.receivers}
    return [
        Followed(one, mappings)
        for one in config.receivers
        if isinstance(one, BigPandaSettings) and (one.callback or one.silences or one.reopen_after)
    ]


def route(config: Config) -> Route:
    """Return where events go, and how fast."""
    found = config.bigpanda
    return Route(
        name=hashlib.blake2b(found.url.encode(), digest_size=8).hexdigest(),  # a URL may hold a token
        destination=BigPanda(found.url, found.token, found.timeout),
        events_per_minute=found.events_per_minute,
        batch_size=found.batch_size,
        timeout=found.timeout,
    )
