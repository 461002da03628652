"""The reconcile diff: (two polls of the Alertmanagers, the alerts open here as each began) → corrections. Pure.

An unlisted alert is closed only if the Alertmanagers must know it: all of them answered in two consecutive polls, none
has started so recently that alerts may be missing, no cluster is settling, the watchdog that arrives is listed, and the
list is not suddenly empty. Opening needs less: an alert that one of them shows as active in two consecutive polls is
firing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.reconcile.alertmanager_client import Peer, Silence


class Blocker(StrEnum):
    """Why an alert that a poll does not list may still be firing."""

    UNANSWERED = "not every Alertmanager answered"
    YOUNG = "an Alertmanager started too recently"
    SETTLING = "a cluster is settling"
    UNRELATED = "no Alertmanager lists the watchdog that arrives"
    EMPTIED = "the list is suddenly empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One poll of all Alertmanagers, at `at` (epoch seconds).

    `held`: when each key that was open here before the poll was last updated. `known`: the same for the keys in
    `active` that were not held. `started`: the latest start of an Alertmanager. `whole`: all of them answered.
    `listed`: every key known to any of them, suppressed or not. `silenced`: keys, each with the id of a silence.
    `unsuppressed`: alerts that fire and that none suppresses; `active`: those of them routed to us. `since`: when each
    of these became active, as far as known.
    `unrelated`: the watchdog arrives here, and none lists it. `emptied`: nothing is listed although the last complete
    poll listed something. `mutes_lag`: seconds until an Alertmanager shows its mutes; inf: never, so nothing is opened.
    """

    at: float
    whole: bool = True
    started: float = 0.0
    settling: bool = False
    unrelated: bool = False
    emptied: bool = False
    mutes_lag: float = 0.0
    listed: Collection[str] = frozenset()
    silenced: Sequence[tuple[str, str]] = ()
    unsuppressed: Collection[str] = frozenset()
    active: Mapping[str, Alert] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    known: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The keys to open and to close, each only if it was last updated at the time given here; None: unknown key.

    `blocker`: why open, unlisted alerts stay open.
    """

    opened: Mapping[str, float | None] = field(default_factory=dict)
    closed: Mapping[str, float | None] = field(default_factory=dict)
    blocker: Blocker | None = None


def diff(before: Poll | None, latest: Poll, *, min_uptime: float) -> Result:
    """Compare two consecutive polls with the alert states. `before` None: there was none, so nothing is corrected."""
    missing = [key for key in latest.held if key not in latest.listed]
    blocker = None
    if missing:
        blocker = _blocked(latest, min_uptime) or (_blocked(before, min_uptime) if before else None)
    if before is None:
        return Result(blocker=blocker)
    opened = {
        key: latest.known.get(key)
        for key in latest.active
        if key in before.active and key not in before.held and key not in latest.held
        # A time interval may mute it, and an older Alertmanager shows that only after the group's next flush.
        if latest.at - latest.since.get(key, latest.at) >= latest.mutes_lag
        if before.known.get(key) == latest.known.get(key)
    }
    closed = {
        key: latest.held[key]
        for key in (missing if blocker is None else ())
        # Open and unlisted in the previous poll too, and not reported by any webhook since.
        if key not in before.listed and before.held.get(key) == latest.held[key]
    }
    return Result(opened=opened, closed=closed, blocker=blocker)


def _blocked(poll: Poll, min_uptime: float) -> Blocker | None:
    """Return why alerts that a poll does not list must not be closed; None if they may."""
    if not poll.whole:
        return Blocker.UNANSWERED
    if poll.at - poll.started < min_uptime:
        return Blocker.YOUNG
    if poll.settling:
        return Blocker.SETTLING
    if poll.unrelated:
        return Blocker.UNRELATED
    return Blocker.EMPTIED if poll.emptied else None


def read_poll(
    at: float,
    peers: Sequence[Peer],
    queried: int,
    ours: Callable[[Alert, frozenset[str]], bool],
    since: Mapping[str, float],
) -> Poll:
    """Combine the responses of the Alertmanagers, `queried` of them in all. An alert suppressed by one is not active.

    `since`: when the alerts active in the previous poll became active, as far as known.
    """
    listed = [found for peer in peers for found in peer.listed]
    suppressed = {found.alert.key for found in listed if found.suppressed}
    unsuppressed = [found for found in listed if found.active and found.alert.key not in suppressed]
    active = {found.alert.key: found.alert for found in unsuppressed if ours(found.alert, found.receivers)}
    return Poll(
        at=at,
        whole=len(peers) == queried,
        started=max((peer.started for peer in peers), default=at),
        settling=any(peer.settling for peer in peers),
        mutes_lag=max((peer.mutes_lag for peer in peers), default=0.0),
        listed=frozenset(found.alert.key for found in listed),
        silenced=[(found.alert.key, name) for found in listed for name in found.silenced_by],
        unsuppressed=frozenset(found.alert.key for found in unsuppressed),
        active=active,
        # A time in the future means that the clock was set back since.
        since={key: min(since.get(key, at), at) for key in active},
    )


def silence_changes(
    held: Mapping[str, AlertState], active: Iterable[str], found: Mapping[str, Silence], *, whole: bool
) -> Iterator[tuple[Alert, float]]:
    """Yield each open alert whose silence has changed, as it is to be reported, and when it was last updated.

    `active`: alerts that no Alertmanager suppresses. Not `whole`: one that did not answer may still silence them.
    """
    unsuppressed = frozenset(active) if whole else frozenset()
    for key, state in held.items():
        silence = found.get(key)
        # Neither silenced nor active: inhibited, not evaluated yet, or ended. That says nothing about a silence.
        tags = silence.tags if silence else ({} if key in unsuppressed else state.alert.silence)
        if tags != state.alert.silence:
            yield replace(state.alert, silence=tags), state.updated_at
