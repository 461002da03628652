"""The bridge until it dies at a named point, as by SIGKILL: `python -m tests.system.crashing POINT FLAGS`.

The product knows nothing of this: the function at the point is replaced before the program starts.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge import app as program
from bridge.__main__ import main
from bridge.delivery import bigpanda_client as bigpanda
from bridge.outbox import ingest, queue, retention


@dataclass(frozen=True, slots=True)
class Point:
    """After which call of which function to die, when the function has done its work (or just before it).

    `visit` counts the calls that gave something.
    """

    owner: Any
    name: str
    before: bool = False
    visit: int = 1


POINTS: Mapping[str, Point] = {
    "before-commit": Point(ingest.Batch, "accept", visit=5),
    "after-commit": Point(ingest.Ingest, "accept", visit=5),
    "claimed": Point(queue.Queue, "claim", visit=2),
    "before-send": Point(bigpanda.BigPanda, "send", before=True, visit=3),
    "sent": Point(bigpanda.BigPanda, "send", visit=3),
    "recorded": Point(queue.Queue, "record", visit=2),
    "pruning": Point(retention, "prune_rows"),
    "pruned": Point(retention.Retention, "prune"),
}


def arm(point: Point) -> None:
    """Replace the function of a point by one that kills this process."""
    original: Callable[..., Any] = getattr(point.owner, point.name)
    left = [point.visit]

    def fatal(*arguments: Any, **named: Any) -> Any:
        if point.before and left[0] == 1:
            _die()
        found = original(*arguments, **named)
        left[0] -= bool(found)
        if not left[0]:
            _die()
        return found

    setattr(point.owner, point.name, fatal)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    program._PRUNE_INTERVAL = 0.5  # type: ignore[misc]
    program._PRUNE_ROWS = 3  # type: ignore[misc]
    arm(POINTS[sys.argv.pop(1)])
    sys.exit(main())
