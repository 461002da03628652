"""The wiring of the exporter: storage, leadership, page cache, poll loops, server, and configuration reload."""

import argparse
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.collectors.sharding import Shard
from exporter.config import Config, load
from exporter.metrics.exporter_metrics import Running
from exporter.polling.page_cache import PageCache
from exporter.polling.snapshot_files import Directory
from exporter.polling.targets import PATIENCE, Targets
from exporter.toolkit import flags, program
from exporter.toolkit.config_types import ConfigError, Secret
from exporter.toolkit.front import Front
from exporter.toolkit.server import HttpServer
from exporter.toolkit.text import counted
from exporter.toolkit.web_config import WebConfigFile
from exporter.web.pages import application, route

if TYPE_CHECKING:
    from exporter.polling.leadership import Leadership

DEFAULT = ("127.0.0.1", 9788)
_log = logging.getLogger(__name__)


class App:
    """The exporter. It neither polls nor serves before `start`."""

    def __init__(self, options: argparse.Namespace, config: Config, web_config: WebConfigFile) -> None:
        """Open the storage and the sockets. Raises ConfigError if one of them cannot be used."""
        self._file: Path = options.config_file
        self._shard: Shard = options.shard
        self._config, self._web_config = config, web_config
        self._one_at_a_time = threading.Lock()
        self._leadership = leadership(options.storage_url, self._shard) if options.storage_url else None
        shard, role = (self._shard.number, self._shard.count), self._leadership.role if self._leadership else None
        self._running = Running(flags.release(), shard, role)
        self._page_cache = PageCache(time.time, self._running)
        if self._leadership:
            self._targets = Targets(self._page_cache, self._leadership.database, self._leadership.leads)
        else:
            self._targets = Targets(self._page_cache, _directory(options) if options.storage else None)
        web = application(self._page_cache, self.reload if options.lifecycle else None, roles=self._running.roles)
        front = Front(web, web_config, route, self._running.refused)
        self._server = HttpServer(front, flags.addresses(options.listen, DEFAULT))
        try:
            self._server.open()
        except OSError as error:
            raise ConfigError([str(error)]) from error

    def start(self) -> None:
        """Start polling, rendering and serving; returns at once. The first page has the stored data."""
        if self._leadership:
            self._leadership.start(self._targets.wake)
        self._follow(self._config)
        self._page_cache.start()
        self._server.start()

    def reload(self) -> None:
        """Reload the configuration. Raises ConfigError with all its problems and keeps the current one."""
        with self._one_at_a_time:
            with program.reloading(self._web_config.file, self._running.failed):
                self._web_config.check()
            with program.reloading(self._file, self._running.failed):
                self._follow(load(self._file))

    def _follow(self, config: Config) -> None:
        for warning in config.warnings():
            _log.warning("%s: %s", self._file, warning)
        self._targets.follow(config.part(self._shard))
        self._running.succeeded(time.time())
        _log.info("%s: %s", self._file, summary(config, self._shard))

    def stop(self) -> None:
        """Stop serving, polling and rendering within a few seconds, whatever hangs."""
        polling = threading.Thread(target=self._targets.stop, daemon=True)
        polling.start()
        self._server.stop()
        polling.join(PATIENCE)
        self._page_cache.stop(0.5)
        if self._leadership:
            self._leadership.stop()


def summary(config: Config, shard: Shard) -> str:
    """Return the number of targets, and how many of them this exporter polls."""
    targets = counted(len(config.targets), "target")
    return targets if shard.count == 1 else f"{targets}, {len(config.part(shard))} of them on shard {shard}"


def _directory(options: argparse.Namespace) -> Directory:
    """Lock the directory of `--storage.path`. Raises ConfigError if it is unusable or another exporter uses it."""
    shard: Shard = options.shard
    # Shards may share a path, but not their files.
    place = options.storage if shard.count == 1 else options.storage / f"shard-{shard.number}-of-{shard.count}"
    directory = Directory(place)
    directory.claim()
    return directory


def leadership(url: Secret, shard: Shard) -> "Leadership":
    """Return the leadership of `--storage.url`, not yet connected. Raises ConfigError if the URL is invalid."""
    try:
        from exporter.polling.leadership import Leadership  # noqa: PLC0415  the driver is an extra
    except ImportError:
        raise ConfigError(["--storage.url needs the extra: pip install 'vendorwatch[postgresql]'"]) from None
    return Leadership(url, str(shard))
