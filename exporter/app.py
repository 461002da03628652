"""The exporter put together: storage, leader lock, page, poll loops, server; and the reload of its configuration."""

import argparse
import logging
import threading
import time
from pathlib import Path

from exporter.collectors.sharding import Shard
from exporter.config import Config, load
from exporter.metrics.exporter_metrics import Running
from exporter.metrics.page_cache import PageCache
from exporter.polling.leader_lock import LeaderLock, claimed, shared
from exporter.polling.snapshot_store import ALONE_EVERY, SHARED_EVERY, SnapshotStore
from exporter.polling.targets import PATIENCE, Targets
from exporter.toolkit import flags
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.front import Front
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.web.pages import Web, route

DEFAULT = ("127.0.0.1", 9788)
_log = logging.getLogger(__name__)


class App:
    """One exporter. Nothing is polled and nothing served before `start`."""

    def __init__(self, options: argparse.Namespace, config: Config, web_config: WebConfigFile) -> None:
        """Open the storage and the sockets. ConfigError when one of them cannot be used."""
        self._file: Path = options.config_file
        self._shard: Shard = options.shard
        self._config = config
        self._one_at_a_time = threading.Lock()
        storage, self._leader_lock = _stored(options)
        leads = self._leader_lock.leads
        shard = (self._shard.number, self._shard.count)
        self._running = Running(flags.release(), shard, leads if options.share else None)
        self._page_cache = PageCache(time.time, self._running)
        self._targets = Targets(self._page_cache, storage, leads)
        web = Web(self._page_cache, self.reload if options.lifecycle else None, roles=self._running.roles)
        front = Front(web, web_config, route, self._running.refused)
        self._server = HttpServer(front, flags.addresses(options.listen, DEFAULT), web_config)
        try:
            self._server.open()
        except OSError as error:
            self._leader_lock.stop()
            raise ConfigError([f"cannot listen: {error}"]) from error

    def start(self) -> None:
        """Poll, render and serve; returns at once. The first page has what is stored."""
        self._leader_lock.start()
        self._follow(self._config)
        self._page_cache.start()
        self._server.start()
        for host, port in self._server.addresses:
            _log.info("listening on %s port %d", host, port)

    def reload(self) -> None:
        """Read the configuration again. ConfigError with every problem of it: then nothing changes."""
        with self._one_at_a_time:
            try:
                config = load(self._file)
            except ConfigError as error:
                self._running.failed()
                for problem in error.problems:
                    _log.error("Reload failed, keeping the current configuration: %s: %s", self._file, problem)
                raise
            self._follow(config)

    def _follow(self, config: Config) -> None:
        for warning in config.warnings():
            _log.warning("%s: %s", self._file, warning)
        self._targets.follow(config.part(self._shard))
        self._running.succeeded(time.time())
        _log.info("%s: %s", self._file, summary(config, self._shard))

    def stop(self) -> None:
        """End serving, polling and rendering, in a few seconds whatever hangs."""
        polling = threading.Thread(target=self._targets.stop, daemon=True)
        polling.start()
        self._server.stop()
        polling.join(PATIENCE)
        self._page_cache.stop(0.5)
        self._leader_lock.stop()


def summary(config: Config, shard: Shard) -> str:
    """Return how many targets there are, and how many of them this exporter has."""
    targets = f"{len(config.targets)} targets"
    return targets if shard.count == 1 else f"{targets}, {len(config.part(shard))} of them on shard {shard}"


def _stored(options: argparse.Namespace) -> tuple[SnapshotStore | None, LeaderLock]:
    """Open the storage, and find this exporter's part in it. ConfigError when it cannot be used."""
    if options.storage is None:
        return None, LeaderLock()
    directory: Path = options.storage
    if options.shard.count > 1:  # shards may share a path, and what others stored is not theirs
        directory /= f"shard-{options.shard.number}-of-{options.shard.count}"
    try:
        storage = SnapshotStore(directory, SHARED_EVERY if options.share else ALONE_EVERY)
    except OSError as error:
        raise ConfigError([f"cannot use --storage.path {options.storage}: {error.strerror}"]) from error
    return storage, shared(directory) if options.share else claimed(directory)
