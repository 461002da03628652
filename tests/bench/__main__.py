"""`python -m tests.bench`: measures, and writes RESULTS.md, RESULTS.json and plots/ beside itself.

`--quick` measures little of everything in less than a minute and writes nothing unless `--out` is given.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import crowds, figures, fleet, freshness, machine, polls, scrapes, webhooks
from tests.bench.client import Clients
from tests.bench.figures import Table

HERE = Path(__file__).parent
PARTS = ("scrapes", "rendering", "held", "polls", "webhooks", "crowds", "freshness")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for."""
    options = _parser().parse_args(arguments)
    began, described = time.monotonic(), machine.described()
    tables: list[Table] = []
    with Clients(8) as clients:
        for part, measure in _parts(clients, quick=options.quick).items():
            if part in options.only:
                print(f"{time.monotonic() - began:4.0f} s  {part}", file=sys.stderr, flush=True)
                tables += measure()
    took = time.monotonic() - began
    print(figures.markdown(tables, described, took))
    out = options.out or (None if options.quick or len(options.only) < len(PARTS) else HERE)
    if out:
        figures.write(out, tables, described, took)
    return 0


def _parts(clients: Clients, *, quick: bool) -> dict[str, Callable[[], list[Table]]]:
    sizes = (1_000,) if quick else (1_000, 10_000, 100_000)
    large, seconds = (1_000, 0.2) if quick else (100_000, 3.0)
    return {
        "scrapes": lambda: scrapes.tables(clients, sizes, 0.1 if quick else 0.75),
        "rendering": lambda: [polls.rendering(sizes)],
        "held": lambda: [polls.held(large, 2 * seconds)],
        "polls": lambda: [polls.cost(500, 4 * seconds)],
        "webhooks": lambda: webhooks.tables(clients, seconds, quick=quick),
        "crowds": lambda: [crowds.table(quick=quick)],
        "freshness": lambda: [freshness.table(quick=quick), fleet.table(quick=quick)],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of six, to see that everything runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the results are written")
    return parser


if __name__ == "__main__":
    sys.exit(main())
