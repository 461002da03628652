"""The running targets: poll loops start, stop and change with the configuration."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from exporter.collectors.settings import TargetSettings
from exporter.config import collector
from exporter.fetch.session import Session
from exporter.polling.page_cache import PageCache
from exporter.polling.poller import Poller
from exporter.polling.snapshots import Place, fingerprint

Identity = tuple[str, str]
"""A target's collector and account: unique, and the same across reloads."""
PATIENCE = 2.0
"""Timeout in seconds for poll loops to end."""


class Targets:
    """Runs the poll loops of the targets on the page."""

    def __init__(self, page_cache: PageCache, storage: Place, leads: Callable[[], bool] = lambda: True) -> None:
        """`leads` returns whether to poll, or to serve the snapshots of another exporter."""
        self._page_cache = page_cache
        self._storage = storage
        self._leads = leads

    def follow(self, targets: Sequence[TargetSettings]) -> None:
        """Run exactly these targets. Unchanged ones are not disturbed.

        A target whose settings changed keeps its state as long as its account and place are the same, so that no
        series ends because of an unrelated change. A renamed one keeps its budget: the vendor counts by token.
        """
        wanted = {(settings.collector, settings.account): settings for settings in targets}
        running = {poller.identity: poller for poller in self._page_cache.pollers()}
        kept = {name: poller for name, poller in running.items() if wanted.get(name) == poller.settings}
        made = {name: collector(settings) for name, settings in wanted.items() if name not in kept}
        gone = {name: poller for name, poller in running.items() if name not in kept}
        self.stop(gone.values())
        spent = {(name[0], poller.settings.credentials()): poller.target.budget for name, poller in gone.items()}
        come: dict[Identity, Poller] = {}
        for name, its_collector in made.items():
            settings = wanted[name]
            is_same = name in gone and fingerprint(gone[name].settings) == fingerprint(settings)
            come[name] = Poller(
                settings,
                its_collector,
                Session(settings, time.time),
                time.time,
                self._page_cache.changed,
                self._storage,
                earlier=gone[name].target if is_same else None,
                leads=self._leads,
            )
            budget = spent.get((settings.collector, settings.credentials()))
            if budget and not is_same:
                inherited = replace(budget.at_rate(settings.requests_per_minute), settled=False)
                come[name].target = replace(come[name].target, budget=inherited)
        self._page_cache.serve([kept.get(name) or come[name] for name in wanted])
        for poller in come.values():
            poller.start()

    def wake(self) -> None:
        """Let all poll loops check now whether to poll."""
        for poller in self._page_cache.pollers():
            poller.wake()

    def stop(self, only: Iterable[Poller] | None = None) -> None:
        """Stop all poll loops, or only some, all at the same time."""
        pollers = self._page_cache.pollers() if only is None else only
        stopping = [threading.Thread(target=poller.stop, args=(PATIENCE,), daemon=True) for poller in pollers]
        for thread in stopping:
            thread.start()
        deadline = time.monotonic() + PATIENCE
        for thread in stopping:
            thread.join(max(0.0, deadline - time.monotonic()))
