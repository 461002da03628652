"""What to correct: (two polls of the Alertmanagers, what was open here as each began) → corrections. Pure.

Closing what is not listed is believed only of Alertmanagers that can know: all of them answered, twice running, none
so young that its alerts may not all be back, no cluster still settling, the list not suddenly empty. Opening needs
less: what one of them shows as active in two polls running fires.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.domain.alert import Alert
from bridge.reconcile.alertmanager_client import Peer


class Action(StrEnum):
    """What a correction does; the metric's label."""

    CLOSED = "closed"
    OPENED = "opened"


class Blocker(StrEnum):
    """Why what a poll does not list may fire all the same."""

    FIRST = "it was asked only once"
    UNANSWERED = "not every Alertmanager answered"
    YOUNG = "an Alertmanager has started too recently"
    SETTLING = "a cluster is settling"
    EMPTIED = "the list is suddenly empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One round of questions, at `at` (epoch seconds).

    `held`: when each key that was open here before the round was last updated. `known`: the same of the keys
    in `active` that it did not hold. `started`: when the youngest Alertmanager did. `whole`: all of them answered.
    `listed`: every key that any of them knows, suppressed or not. `unsuppressed`: what fires and none suppresses;
    `active`: that of it which is routed to us. `since`: since when each of these is active, as far as is known.
    `emptied`: nothing is listed, though the last whole poll listed something. `mutes_lag`: seconds for which an
    Alertmanager may not show that it mutes.
    """

    at: float
    whole: bool = True
    started: float = 0.0
    settling: bool = False
    emptied: bool = False
    mutes_lag: float = 0.0
    listed: Collection[str] = frozenset()
    unsuppressed: Collection[str] = frozenset()
    active: Mapping[str, Alert] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    known: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Correction:
    """One key to close or to open. It counts only while the key was last updated at `updated_at`; None: unknown."""

    action: Action
    key: str
    updated_at: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """What follows from a poll. `blocker`: why what is open and not listed stays open."""

    corrections: tuple[Correction, ...] = ()
    blocker: Blocker | None = None


def diff(before: Poll | None, latest: Poll, *, min_uptime: float) -> Result:
    """Compare two polls running with the alert states. `before` None: there was none."""
    missing = [key for key in latest.held if key not in latest.listed]
    blocker = blocked(before, latest, min_uptime) if missing else None
    if before is None:
        return Result(blocker=blocker)
    corrections = []
    # Opened first: what is closed may go on firing under the same identity by what is opened.
    for key in latest.active:
        # A time interval may mute it, and an older Alertmanager shows that only once the group was flushed again.
        unseen = latest.at - latest.since.get(key, latest.at) < latest.mutes_lag
        missed = key in before.active and key not in before.held and key not in latest.held
        if missed and not unseen and before.known.get(key) == latest.known.get(key):
            corrections.append(Correction(Action.OPENED, key, latest.known.get(key)))
    corrections += [
        Correction(Action.CLOSED, key, latest.held[key])
        for key in (missing if blocker is None else ())
        # Open and unknown to all in the poll before too, and nobody has reported anything of it since.
        if key not in before.listed and before.held.get(key) == latest.held[key]
    ]
    return Result(tuple(corrections), blocker)


def blocked(before: Poll | None, latest: Poll, min_uptime: float) -> Blocker | None:
    """Return why nothing may be closed by what these polls do not list, None when it may."""
    if found := _blocked(latest, min_uptime):
        return found
    return Blocker.FIRST if before is None else _blocked(before, min_uptime)


def _blocked(poll: Poll, min_uptime: float) -> Blocker | None:
    if not poll.whole:
        return Blocker.UNANSWERED
    if poll.at - poll.started < min_uptime:
        return Blocker.YOUNG
    if poll.settling:
        return Blocker.SETTLING
    return Blocker.EMPTIED if poll.emptied else None


def read_poll(
    at: float,
    peers: Sequence[Peer],
    asked: int,
    ours: Callable[[Alert, frozenset[str]], bool],
    since: Mapping[str, float],
) -> Poll:
    """Return what those that answered, of so many `asked`, say together. What one suppresses is not active.

    `since`: since when what was active in the poll before is.
    """
    listed = [found for peer in peers for found in peer.listed]
    suppressed = {found.alert.key for found in listed if found.suppressed}
    unsuppressed = [found for found in listed if found.active and found.alert.key not in suppressed]
    active = {found.alert.key: found.alert for found in unsuppressed if ours(found.alert, found.receivers)}
    return Poll(
        at=at,
        whole=len(peers) == asked,
        started=max((peer.started for peer in peers), default=at),
        settling=any(peer.settling for peer in peers),
        mutes_lag=max((peer.mutes_lag for peer in peers), default=0.0),
        listed=frozenset(found.alert.key for found in listed),
        unsuppressed=frozenset(found.alert.key for found in unsuppressed),
        active=active,
        # A time ahead of us is of a clock that was set back since.
        since={key: min(since.get(key, at), at) for key in active},
    )
