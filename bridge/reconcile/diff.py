"""What to correct: (two polls of the Alertmanagers, what the ledger held open as each began) → corrections. Pure.

Closing by silence is believed only of Alertmanagers that can know: all of them answered, twice running, none so young
that its alerts may not all be back, no cluster still settling, the list not suddenly empty. Opening needs less: what
one of them shows as active in two polls running fires.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.domain.alert import Alert
from bridge.reconcile.alertmanager_client import Peer


class Action(StrEnum):
    """What a correction does; the metric's label."""

    CLOSED = "closed"
    OPENED = "opened"


class Doubt(StrEnum):
    """Why what a poll does not list may fire all the same."""

    FIRST = "it was asked only once"
    UNANSWERED = "not every Alertmanager answered"
    YOUNG = "an Alertmanager has started too recently"
    SETTLING = "a cluster is settling"
    EMPTIED = "the list is suddenly empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One round of questions, at `at` (epoch seconds).

    `held`: when each key that the ledger held open before the round was last touched. `touched`: the same of the keys
    in `active` that it did not hold. `started`: when the youngest Alertmanager did. `whole`: all of them answered.
    `listed`: every key that any of them knows, suppressed or not. `active`: what fires, is suppressed by none, and is
    routed to us. `emptied`: it lists nothing, though the last whole poll listed something.
    """

    at: float
    whole: bool = True
    started: float = 0.0
    settling: bool = False
    emptied: bool = False
    listed: Collection[str] = frozenset()
    active: Mapping[str, Alert] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    touched: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Correction:
    """One key to close or to open. It counts only while the key was last touched `touched`; None: it is not known."""

    action: Action
    key: str
    touched: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a poll. `doubt`: why what is open and not listed stays open."""

    corrections: tuple[Correction, ...] = ()
    doubt: Doubt | None = None


def correct(before: Poll | None, latest: Poll, *, min_uptime: float) -> Verdict:
    """Compare two polls running with the ledger. `before` None: there was none."""
    opened = tuple(_opened(before, latest)) if before else ()
    missing = [key for key in latest.held if key not in latest.listed]
    if not missing:
        return Verdict(opened)
    if (doubt := doubted(before, latest, min_uptime)) or before is None:
        return Verdict(opened, doubt)
    closed = (Correction(Action.CLOSED, key, latest.held[key]) for key in missing if _absent(before, latest, key))
    return Verdict((*closed, *opened))


def doubted(before: Poll | None, latest: Poll, min_uptime: float) -> Doubt | None:
    """Return why nothing may be closed by what these polls do not list, None when it may."""
    if found := _doubt(latest, min_uptime):
        return found
    return Doubt.FIRST if before is None else _doubt(before, min_uptime)


def _doubt(poll: Poll, min_uptime: float) -> Doubt | None:
    if not poll.whole:
        return Doubt.UNANSWERED
    if poll.at - poll.started < min_uptime:
        return Doubt.YOUNG
    if poll.settling:
        return Doubt.SETTLING
    return Doubt.EMPTIED if poll.emptied else None


def _absent(before: Poll, latest: Poll, key: str) -> bool:
    """Tell whether a key was open and unknown to all in the poll before too, and nobody has told of it since."""
    return key not in before.listed and before.held.get(key) == latest.held[key]


def _opened(before: Poll, latest: Poll) -> Iterator[Correction]:
    for key in latest.active:
        missed = key in before.active and key not in before.held and key not in latest.held
        if missed and before.touched.get(key) == latest.touched.get(key):
            yield Correction(Action.OPENED, key, latest.touched.get(key))


def read_poll(at: float, peers: Sequence[Peer], asked: int, ours: Callable[[Alert, frozenset[str]], bool]) -> Poll:
    """Return what those that answered, of so many `asked`, say together. What one suppresses is not active."""
    listed = [found for peer in peers for found in peer.listed]
    suppressed = {found.alert.key for found in listed if found.suppressed}
    return Poll(
        at=at,
        whole=len(peers) == asked,
        started=max((peer.started for peer in peers), default=at),
        settling=any(peer.settling for peer in peers),
        listed=frozenset(found.alert.key for found in listed),
        active={
            found.alert.key: found.alert
            for found in listed
            if found.active and found.alert.key not in suppressed and ours(found.alert, found.receivers)
        },
    )
