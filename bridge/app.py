"""The wiring of the bridge: its parts are started, reloaded and stopped together."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bridge.config import Config, load_for
from bridge.delivery.confirmation import Confirmation
from bridge.delivery.worker import Delivery
from bridge.incidents.follow_up import FollowUp
from bridge.metrics import Metrics, Numbers, QueueStatsCollector
from bridge.outbox.database import Database
from bridge.outbox.group_commit import GroupCommit
from bridge.outbox.outbox import Outbox
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.reconcile.alertmanager_client import origin
from bridge.reconcile.expiry import Expiry
from bridge.reconcile.reconciler import Reconciler
from bridge.reconcile.watchdog import Watchdog
from bridge.web.actions import Actions
from bridge.web.application import create_app
from bridge.web.current import Current
from bridge.web.operator_page import OperatorPage
from bridge.web.routes import route
from bridge.web.webhooks import Webhooks
from exporter.toolkit import exposition, program
from exporter.toolkit.flags import Address
from exporter.toolkit.front import Front
from exporter.toolkit.management import Management
from exporter.toolkit.periodic import PeriodicThread, stop_all
from exporter.toolkit.server import HttpServer
from exporter.toolkit.text import counted
from exporter.toolkit.web_config import WebConfigFile
from exporter.toolkit.wsgi import call

_PRUNE_INTERVAL: Final = 60.0
_PRUNE_ROWS: Final = 500
_PRUNE_PAUSE: Final = 0.05
_GRACE: Final = 1.5
"""Seconds for webhooks in flight when the program stops, and after that for a request to BigPanda."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """The command-line flags."""

    config_file: Path
    addresses: tuple[Address, ...]
    web_config: WebConfigFile
    lifecycle: bool = False


class Bridge:
    """The running bridge. Creating it opens the database, starting it opens the sockets."""

    def __init__(self, start: Start, config: Config) -> None:
        """Wire the parts. Raises ConfigError or Unavailable if the database cannot be used."""
        self._start, self._reloading = start, threading.Lock()
        self._database = database = Database(config.database.read(), config.database.read)
        self._last_webhook: dict[tuple[str, str], float] = {}
        self._metrics = Metrics()
        self._metrics.registry.register(QueueStatsCollector(self._queue_stats))

        # Parts that live as long as the process.
        self._delivery = Delivery(Outbox(database.reserved()), config, self._metrics)
        self._outbox = Outbox(database, self._delivery.wake)
        self._commits = GroupCommit(self._outbox.ingest.accept)
        self._watchdog = Watchdog(self._outbox, config.alertmanagers, self._metrics)
        self._expiry = Expiry(self._outbox, config.receivers)
        self._pruning = PeriodicThread("retention", "Deleting old history", self._prune)

        # Parts that a reload replaces.
        self._current = self._configure(config)
        self._metrics.reloaded(time.time())
        way = lambda path: route(path, self._current.config.by_source, self._current.config.max_body)  # noqa: E731  read each time
        front = Front(self._application(), start.web_config, way, self._metrics.refused)
        self._server = HttpServer(front, start.addresses)

    @property
    def addresses(self) -> list[Address]:
        """The addresses it listens on, once started."""
        return self._server.addresses

    def start(self) -> None:
        """Open the sockets and start. Raises OSError for an unusable address, Unavailable for an unusable database."""
        self._server.start()
        if requeued := self._outbox.queue.reclaim():
            _log.info("Requeued %s left in flight by the previous run", counted(requeued, "event"))
        for loop in (self._commits, self._delivery, self._watchdog, self._expiry, self._pruning, *self._current.loops):
            loop.start()

    def stop(self) -> None:
        """Stop accepting, answer requests in flight, and stop, without waiting for a BigPanda that hangs."""
        for loop in self._current.loops:
            loop.stop(0.0)
        delivery = threading.Thread(target=self._delivery.stop, args=(2 * _GRACE,), daemon=True)
        delivery.start()
        self._server.stop(_GRACE)
        self._commits.stop(_GRACE)
        delivery.join(_GRACE)
        stop_all((self._watchdog, self._expiry, self._pruning, *self._current.loops), _GRACE)
        self._database.close()

    def reload(self) -> None:
        """Reload bridge.yml. Raises ConfigError if it is invalid, keeping the current configuration."""
        failed, web_config = partial(self._metrics.reloaded, None), self._start.web_config
        with self._reloading:
            with program.reloading(web_config.file, failed):
                web_config.check()
            with program.reloading(self._start.config_file, failed):
                self._follow(load_for(self._start.config_file, self._start.addresses))

    def _follow(self, config: Config) -> None:
        """Use a configuration from now on."""
        if config.database != self._current.config.database or not self._database.leads_to(config.database.read()):
            _log.warning("Changes to database take effect after a restart")
        for left in left_behind(self._current.config, config):
            _log.warning(left)
        removed = self._current.config.by_source.keys() - config.by_source.keys()
        # Two reconcilers of one receiver would undo each other's corrections.
        stop_all(self._current.loops, _GRACE)
        self._current = self._configure(config)
        for receiver, source in removed:
            self._metrics.forget(receiver, source)
        self._delivery.change(config)
        self._watchdog.change(config.alertmanagers)
        self._expiry.change(config.receivers)
        for loop in self._current.loops:
            loop.start()
        self._metrics.reloaded(time.time())
        _log.info("Reloaded %s", self._start.config_file)

    def _configure(self, config: Config) -> Current:
        """Create the parts that this configuration needs."""
        outbox, metrics = self._outbox, self._metrics
        for one in config.receivers:
            metrics.expect(one.receiver, one.source)
        return Current(
            config,
            self._last_webhook,
            reconcilers={one.source: Reconciler(outbox, one, metrics) for one in config.alertmanagers if one.reconcile},
            follow_ups={
                one.source: FollowUp(outbox, one, config.by_source, metrics)
                for one in config.receivers
                if isinstance(one, BigPandaSettings) and (one.callback or one.silences or one.reopen_after)
            },
            confirmation=Confirmation(outbox, config, metrics) if config.bigpanda.confirm else None,
        )

    def _application(self) -> Management:
        """Return the web application: webhooks, the operator's page, metrics and health."""
        current = lambda: self._current  # noqa: E731  a reload replaces it
        webhooks = Webhooks(current, self._commits.submit, self._metrics)
        page = OperatorPage(self._outbox, current, self._password_hash)
        actions = Actions(self._outbox, current, self._password_hash)
        own = partial(call, create_app([webhooks.blueprint(), page.blueprint(), actions.blueprint()]))
        waiting = self._outbox.status.unwritable
        reload = self.reload if self._start.lifecycle else None
        return Management("vendorwatch-bridge", own, partial(exposition.page, self._metrics.registry), waiting, reload)

    def _password_hash(self, user: str) -> str | None:
        hashed = self._start.web_config.config.basic_auth_users.get(user)
        return hashed.read() if hashed else None

    def _queue_stats(self) -> Mapping[str, Numbers]:
        """Return the database's numbers for a scrape, by family."""
        counts, confirmation = self._outbox.status.counts(time.time()), self._current.confirmation
        return {
            "outbox_events": {"waiting": counts.waiting, "held": counts.held},
            "outbox_oldest_event_timestamp_seconds": counts.oldest,
            "dead_letters": counts.dead,
            "dead_letter_resolutions": counts.dead_resolutions,
            "quarantined_bodies": counts.quarantined,
            "open_alerts": counts.open_alerts,
            "incidents": self._outbox.incidents.counts(),
            "share_quota_available": self._outbox.incidents.share_quotas(self._current.config.by_source),
            "unconfirmed_events": confirmation.status.unconfirmed if confirmation else None,
        }

    def _prune(self) -> float:
        """Note whether the database takes writes, and delete old history in small batches; return the pause."""
        self._metrics.database_up.set(not self._outbox.status.unwritable())
        deleted = self._outbox.retention.prune(time.time() - self._current.config.retention, _PRUNE_ROWS)
        return _PRUNE_PAUSE if deleted >= _PRUNE_ROWS else _PRUNE_INTERVAL


def left_behind(before: Config, after: Config) -> Iterator[str]:
    """Yield what nobody ends any more with another configuration."""
    removed = before.by_source.keys() - after.by_source.keys()
    if alone := sorted({source for receiver, source in removed if receiver != "bigpanda"}):
        named = ", ".join(alone)
        yield f"Open alerts of {named} stay open until closed manually: their receiver is no longer configured"
    unreconciled = {one.source for one in after.alertmanagers if one.reconcile is None}
    for one in before.alertmanagers:
        if one.silenced == "acknowledge" and one.source in unreconciled:
            yield f"Silenced alerts of {one.source} stay acknowledged until their next webhook: reconcile was removed"
    for source, alertmanager in sorted(before.silencing - after.silencing):
        yield f"Silences for snoozes of {source} stay in {origin(alertmanager)} until they end: no longer configured"
