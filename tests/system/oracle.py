"""A record of acknowledged webhooks, and a check of BigPanda's events against it. It opens no socket.

One sender sends each identifier and repeats a state until it gets a 200, before it sends the next state. So
the order of the ledger is the order of the truth, and nothing may be missing, overtaken or of an older time.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any


class Ledger:
    """The states that were answered 200, per identifier, in order: `critical`, `warning` or `ok`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, list[str]] = defaultdict(list)

    def note(self, identifier: str, status: str) -> None:
        """Write down a state that was answered 200."""
        with self._lock:
            self._sent[identifier].append(status)

    @property
    def sent(self) -> Mapping[str, Sequence[str]]:
        """The recorded states so far."""
        with self._lock:
            return {identifier: tuple(statuses) for identifier, statuses in self._sent.items()}

    def problems(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return what the events, in the order of their arrival, lack or have too much of; nothing when all is well.

        Every opening and every resolution has arrived, in order; the last status is the last one sent; the
        times of an identifier grow. A change of severity while firing may have given way to a newer one.
        """
        arrived: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for event in events:
            arrived[event["incident_identifier"]].append(event)
        sent = self.sent
        strangers = [f"{identifier}: arrived, but was never sent" for identifier in arrived.keys() - sent.keys()]
        return strangers + [line for key in sorted(sent) for line in _compared(key, sent[key], arrived[key])]


def _compared(identifier: str, sent: Sequence[str], events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    arrived = [event["status"] for event in events]
    if episodes(arrived) != episodes(sent):
        yield f"{identifier}: sent {' '.join(sent)}, arrived {' '.join(arrived) or 'nothing'}"
    elif arrived[-1:] != list(sent[-1:]):
        yield f"{identifier}: ends as {arrived[-1]}, not as {sent[-1]}"
    times = [event["timestamp"] for event in events]
    if not all(earlier < later for earlier, later in pairwise(times)):
        yield f"{identifier}: its times do not grow: {times}"


def episodes(statuses: Iterable[str]) -> list[str]:
    """Return `open` and `ok` in turn: repeats and changes of severity left out."""
    return [state for state, _ in groupby("ok" if status == "ok" else "open" for status in statuses)]
