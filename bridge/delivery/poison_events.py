"""Poison-event isolation: which events go together when requests fail without a word about one event.

A 5xx or a broken connection may be an outage, or one event that BigPanda stumbles over. Requests are halved while
they fail and doubled while they pass; an event that failed alone while others passed, twice, is sent by itself from
then on and holds up nobody. It is still tried for ever: only its kind of error could end that.

A 400 blames an event, unless every event is refused in the same words: then it is the destination.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

_PROOF: Final = 2
_MOST_ALIKE: Final = 10
"""Events refused in the same words, and nothing accepted in between, after which others need not be asked."""
_MOST_BAD: Final = 100
"""The same where these words have been for bad events before: one rule may make many of them."""
_PARTICULARS: Final = re.compile(r"""\d+|"[^"]*"|'[^']*'""")


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the last requests taught: `width` events may go together, and these events failed alone.

    `failed_alone`: by themselves since BigPanda last took something. `failures` counts how often each event has done
    so while others passed.
    """

    most: int
    width: int
    failed_alone: frozenset[int] = frozenset()
    failures: Mapping[int, int] = field(default_factory=dict)

    def failed(self, ids: Sequence[int], *, blamed: bool = True) -> "Isolation":
        """Learn from a request that failed. Not `blamed`: it looks like an outage, which says nothing of an event."""
        failed_alone = self.failed_alone | set(ids) if blamed and len(ids) == 1 else self.failed_alone
        return replace(self, width=max(1, len(ids) // 2), failed_alone=failed_alone)

    def passed(self, ids: Sequence[int]) -> "Isolation":
        """Learn from a request that BigPanda took, or refused with a reason."""
        counted = {*self.failures, *self.failed_alone}
        failures = {one: self.failures.get(one, 0) + (one in self.failed_alone) for one in counted}
        for one in ids:
            failures.pop(one, None)
        return Isolation(self.most, min(self.most, 2 * max(self.width, len(ids))), failures=failures)

    def wanted(self, allowance: int, *, probe: bool = False) -> int:
        """Return how many events to claim when `allowance` may go: more while some of them are to be passed over."""
        return self.most if probe else min(self.most, min(self.width, allowance) + len(self.failed_alone))

    def is_poison(self, one: int) -> bool:
        """Tell whether this event fails by itself whatever becomes of the others."""
        return self.failures.get(one, 0) >= _PROOF

    def arrange(self, ids: Sequence[int], allowance: int, *, probe: bool = False) -> tuple[list[list[int]], list[int]]:
        """Return the requests to make of the claimed `ids`, in order, and those to leave for now.

        `probe`: only one, of an event that is as unlike as can be those that were refused before it in the queue.
        """
        healthy = [one for one in ids if not self.is_poison(one)]
        # What has failed alone since anything passed is left, unless there is nothing else to try.
        fresh = [one for one in healthy if one not in self.failed_alone] or healthy
        if probe and fresh:
            return [fresh[-1:]], [one for one in ids if one != fresh[-1]]
        together = fresh[: min(self.width, allowance)]
        requests = [together] if together else []
        requests += [[one] for one in ids if self.is_poison(one)]
        chosen = {one for request in requests for one in request}
        return requests, [one for one in ids if one not in chosen]


@dataclass(frozen=True, slots=True)
class Refusals:
    """What BigPanda refused with a 400 since it last accepted something. `alone`: the key of each event, by its id.

    `cause`: its words without their particulars. `together`: events of requests that were refused as a whole.
    `guilty`: refused while BigPanda accepted others, so that nothing but the event itself can be wrong.
    `event_causes`: the words in which those were refused.
    """

    cause: str = ""
    alone: Mapping[int, str] = field(default_factory=dict)
    together: frozenset[int] = frozenset()
    guilty: frozenset[int] = frozenset()
    event_causes: frozenset[str] = frozenset()

    @classmethod
    def remembered(cls, refused: Iterable[tuple[int, str, str]]) -> "Refusals":
        """Return what an earlier run was taught: id, key and words of what it set aside since the last acceptance."""
        found = cls()
        for one, key, words in refused:
            found = found.refused(one, key, words)
        return found

    def split(self, ids: Iterable[int]) -> "Refusals":
        """Learn from the refusal of several events at once."""
        return replace(self, together=self.together | set(ids))

    def refused(self, one: int, key: str, words: str) -> "Refusals":
        """Learn from the refusal of one event by itself. One that is guilty says nothing of the destination."""
        if one in self.guilty:
            return self
        cause = _PARTICULARS.sub("", words)
        before = self.alone if cause == self.cause else {}
        return replace(self, cause=cause, alone={**before, one: key})

    def accepted(self, ids: Iterable[int]) -> "Refusals":
        """Learn that BigPanda accepted these: what it refused before that is to blame itself."""
        accepted = set(ids)
        # What it refused once and accepts now was not to blame: its words were the destination's.
        causes = frozenset() if accepted & self.guilty else self.event_causes | ({self.cause} - {""})
        guilty = (self.guilty | self.together | self.alone.keys()) - accepted
        return Refusals(guilty=guilty, event_causes=causes)

    def settled(self, one: int) -> "Refusals":
        """Forget the guilt of an event that is out of the queue."""
        return replace(self, guilty=self.guilty - {one})

    def blame_destination(self, one: int, *, others: bool) -> bool:
        """Tell whether the refusal of this event, the last one learned, is the destination's fault.

        `others`: there are events that were not tried yet, any of which may be accepted.
        """
        if one in self.guilty or not self.alike:
            return False
        if self.cause in self.event_causes:
            return len(self.alone) >= _MOST_BAD
        return len(self.alone) >= _MOST_ALIKE or not others

    @property
    def alike(self) -> bool:
        """Whether several alerts were refused in the same words; one alone says nothing about the others."""
        return len(set(self.alone.values())) > 1
