"""The wiring: flags, configuration, poll loops, server, signals."""

import argparse
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from exporter.collectors.sharding import ALONE, Shard, shard
from exporter.config import Config, load
from exporter.metrics.exporter_metrics import Running
from exporter.metrics.page_cache import PageCache
from exporter.polling.leader_lock import LeaderLock, claimed, shared
from exporter.polling.snapshot_store import ALONE_EVERY, SHARED_EVERY, SnapshotStore
from exporter.polling.targets import PATIENCE, Targets
from exporter.toolkit import flags, logs
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.front import Front
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.web.pages import Web, route

PROGRAM = "vendorwatch-exporter"
DEFAULT = ("127.0.0.1", 9788)
SWITCH = 0.001
"""Seconds after which a thread that renders or learns lets one that answers a scrape go on."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Blocked in every thread and waited for in the main one: a handler could be run late, by a main thread that sleeps."""
_log = logging.getLogger("exporter")


class Reload:
    """Reads the configuration again when it is called; a bad one changes nothing."""

    def __init__(self, file: Path, shard: Shard, targets: Targets, running: Running) -> None:
        self._file, self._shard, self._targets, self._running = file, shard, targets, running
        self._one_at_a_time = threading.Lock()

    def __call__(self) -> None:
        """Read and follow the file. ConfigError with every problem of it."""
        with self._one_at_a_time:
            try:
                config = load(self._file)
            except ConfigError as error:
                self._running.failed()
                for problem in error.problems:
                    _log.error("%s: %s", self._file, problem)
                raise
            self.follow(config)

    def follow(self, config: Config) -> None:
        """Follow a configuration that was read already."""
        for warning in config.warnings():
            _log.warning("%s: %s", self._file, warning)
        self._targets.follow(config.part(self._shard))
        self._running.succeeded(time.time())
        _log.info("%s: %s", self._file, _counted(config, self._shard))


def _counted(config: Config, shard: Shard) -> str:
    told = f"{len(config.targets)} targets"
    return told if shard.count == 1 else f"{told}, {len(config.part(shard))} of them on shard {shard}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter; return the exit status. Bad flags end the process with status 2."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.share and options.storage is None and not options.config_check:
        parser.error("argument --storage.share: needs --storage.path")
    read = _read(options)
    if read is None:
        return 1
    config, web_config = read
    if options.config_check:
        for warning in config.warnings():
            _tell(f"{options.config_file}: warning: {warning}")
        sys.stdout.write(f"{options.config_file}: ok, {_counted(config, options.shard)}\n")
        return 0
    logs.start("exporter", options.log_level, options.log_format)
    _wait_for_nobody()
    return _run(options, config, web_config)


def _wait_for_nobody() -> None:
    """Keep scrapes short while much is rendered: threads take turns often, and garbage is looked for seldom.

    A render makes hundreds of thousands of tuples that are no garbage; going through them all takes 10 ms and more.
    """
    sys.setswitchinterval(SWITCH)
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _parser() -> flags.Parser:
    parser = flags.Parser(
        prog=PROGRAM, description="Prometheus exporter for PacketVis, ThousandEyes, Vigilmon, BigPanda"
    )
    flags.declare(parser, DEFAULT, "exporter.yml")
    parser.add_argument("--storage.path", dest="storage", type=Path, metavar="DIR", help="keep answers over restarts")
    parser.add_argument(
        "--storage.share",
        dest="share",
        action="store_true",
        help="share the path with another exporter: one polls, the other serves what it stores, and takes over",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="K/N",
        default=ALONE,
        help="be one of several exporters that divide the same configuration, such as 1/3",
    )
    return parser


def _shard(text: str) -> Shard:
    try:
        return shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _read(options: argparse.Namespace) -> tuple[Config, WebConfigFile] | None:
    """Read both files; None, when every problem of both has been told."""
    config: Config | None = None
    web_config: WebConfigFile | None = None
    try:
        config = load(options.config_file)
    except ConfigError as error:
        _complain(options.config_file, error)
    try:
        web_config = WebConfigFile(options.web_config)
    except ConfigError as error:
        _complain(options.web_config, error)
    return (config, web_config) if config and web_config else None


def _complain(file: Path, error: ConfigError) -> None:
    for problem in error.problems:
        _tell(f"{file}: {problem}")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(options: argparse.Namespace, config: Config, web_config: WebConfigFile) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        storage, leadership = _stored(options)
    except ConfigError as error:
        _tell(f"{PROGRAM}: {error}")
        return 1
    try:
        return _serve(options, config, web_config, storage, leadership)
    finally:
        leadership.stop()


def _serve(
    options: argparse.Namespace,
    config: Config,
    web_config: WebConfigFile,
    storage: SnapshotStore | None,
    leadership: LeaderLock,
) -> int:
    running = Running(flags.release(), options.shard, leadership.leads if options.share else None)
    page_cache = PageCache(time.time, running)
    targets = Targets(page_cache, storage, leadership.leads)
    reload = Reload(options.config_file, options.shard, targets, running)
    web = Web(page_cache, reload if options.lifecycle else None, roles=running.roles)
    front = Front(web, web_config, route, running.refused)
    server = HttpServer(front, flags.addresses(options.listen, DEFAULT), web_config)
    try:
        server.open()
    except OSError as error:
        _tell(f"{PROGRAM}: cannot listen: {error}")
        return 1
    leadership.start()
    reload.follow(config)
    page_cache.start()
    server.start()
    for host, port in server.addresses:
        _log.info("listening on %s port %d", host, port)
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        with contextlib.suppress(ConfigError):  # its problems are in the log, and the old configuration stays
            reload()
    _log.info("stopping")
    _end(server, targets, page_cache)
    return 0


def _stored(options: argparse.Namespace) -> tuple[SnapshotStore | None, LeaderLock]:
    """Open the storage, and find this exporter's part in it. ConfigError when it cannot be used."""
    if options.storage is None:
        return None, LeaderLock()
    directory = _directory(options.storage, options.shard)
    try:
        storage = SnapshotStore(directory, SHARED_EVERY if options.share else ALONE_EVERY)
    except OSError as error:
        raise ConfigError([f"cannot use --storage.path {options.storage}: {error.strerror}"]) from error
    return storage, shared(directory) if options.share else claimed(directory)


def _directory(path: Path, shard: Shard) -> Path:
    """Return where to store: shards may share a path, and what others stored is not theirs."""
    return path if shard.count == 1 else path / f"shard-{shard.number}-of-{shard.count}"


def _end(server: HttpServer, targets: Targets, page_cache: PageCache) -> None:
    polling = threading.Thread(target=targets.stop, daemon=True)
    polling.start()
    server.stop()
    polling.join(PATIENCE)
    page_cache.stop(0.5)
    if any(thread is not threading.current_thread() and not thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
