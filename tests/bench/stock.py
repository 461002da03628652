"""`python -m tests.bench.stock PORT PAGE`: prometheus_client's own server, with the families that a page holds.

It does on each scrape what an exporter built on it does: a collector yields its families, they are rendered, packed.
"""

import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families


class Held:
    """Yields families that are there."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        return self._families


def registry(page: str) -> CollectorRegistry:
    """Return a registry that holds what a page in the text format says."""
    made = CollectorRegistry()
    made.register(Held(text_string_to_metric_families(page)))
    return made


def main() -> None:
    """Serve until the process is ended."""
    start_http_server(int(sys.argv[1]), "127.0.0.1", registry(Path(sys.argv[2]).read_text(encoding="utf-8")))
    threading.Event().wait()


if __name__ == "__main__":
    main()
