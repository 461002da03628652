"""Which events go together when requests fail for no reason that BigPanda tells.

A 5xx or a broken connection may be an outage, or one event that BigPanda stumbles over. Requests are halved while
they fail and doubled while they pass; an event that failed alone while others passed, twice, is sent by itself from
then on and holds up nobody. It is still tried for ever: only its kind of error could end that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

_PROOF: Final = 2


@dataclass(frozen=True, slots=True)
class Suspects:
    """What the last requests taught: `width` events may go together, and these events failed alone.

    `alone` failed by themselves since BigPanda last took something; `strikes` counts how often each event has done so
    while others passed.
    """

    most: int
    width: int
    alone: frozenset[int] = frozenset()
    strikes: Mapping[int, int] = field(default_factory=dict)

    def failed(self, ids: Sequence[int], *, blamed: bool = True) -> "Suspects":
        """Learn from a request that failed. Not `blamed`: it looks like an outage, which says nothing of an event."""
        alone = self.alone | set(ids) if blamed and len(ids) == 1 else self.alone
        return replace(self, width=max(1, len(ids) // 2), alone=alone)

    def passed(self, ids: Sequence[int]) -> "Suspects":
        """Learn from a request that BigPanda took, or refused with a reason."""
        strikes = {one: self.strikes.get(one, 0) + (one in self.alone) for one in {*self.strikes, *self.alone}}
        for one in ids:
            strikes.pop(one, None)
        return Suspects(self.most, min(self.most, 2 * max(self.width, len(ids))), strikes=strikes)

    def wanted(self, allowance: int) -> int:
        """Return how many events to claim when `allowance` may go: more while some of them are to be passed over."""
        return min(self.most, min(self.width, allowance) + len(self.alone))

    def proven(self, one: int) -> bool:
        """Tell whether this event fails by itself whatever becomes of the others."""
        return self.strikes.get(one, 0) >= _PROOF

    def arrange(self, ids: Sequence[int], allowance: int) -> tuple[list[list[int]], list[int]]:
        """Return the requests to make of the claimed `ids`, in order, and those to leave for now.

        What has failed alone since anything passed is left, unless there is nothing else to try.
        """
        fresh = [one for one in ids if one not in self.alone and not self.proven(one)] or [
            one for one in ids if not self.proven(one)
        ]
        together = fresh[: min(self.width, allowance)]
        requests = [together] if together else []
        requests += [[one] for one in ids if self.proven(one)]
        chosen = {one for request in requests for one in request}
        return requests, [one for one in ids if one not in chosen]
