"""Poison-event isolation: how to batch events when requests fail without blaming a particular event.

A 5xx or a broken connection may be an outage, or one event that makes BigPanda fail; a 403 or a web page may be about
our credentials, or a firewall that rejects one event's text. Batches are halved while they fail and doubled while they
pass. An event that twice failed alone while others passed is sent by itself from then on and holds up no others. It is
retried for ever, unless BigPanda rejects it.

A 400 blames an event, unless every event is rejected with the same message: then the destination is at fault.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

_PROOF: Final = 2
_MOST_ALIKE: Final = 10
"""Events rejected with the same message, none accepted in between, after which the destination is blamed."""
_MOST_BAD: Final = 100
"""The same if that message was seen for bad events before: one rule may produce many of them."""
_PARTICULARS: Final = re.compile(r"""[\w-]*\d[\w-]*|"[^"]*"|'[^']*'""")
"""Quoted parts, and words with a digit: numbers, ids of requests."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """The result of the last requests: `width` events may go together, and these events failed alone.

    `failed_alone`: since BigPanda last accepted anything. `failures`: how often each event failed alone while others
    passed.
    """

    most: int
    width: int
    failed_alone: frozenset[int] = frozenset()
    failures: Mapping[int, int] = field(default_factory=dict)

    def failed(self, ids: Sequence[int], *, blamed: bool = True) -> "Isolation":
        """Record a failed request. Not `blamed`: it looks like an outage, which says nothing about an event."""
        failed_alone = self.failed_alone | set(ids) if blamed and len(ids) == 1 else self.failed_alone
        return replace(self, width=max(1, len(ids) // 2), failed_alone=failed_alone)

    def passed(self, ids: Sequence[int]) -> "Isolation":
        """Record a request that BigPanda accepted, or rejected with a reason."""
        counted = {*self.failures, *self.failed_alone}
        failures = {one: self.failures.get(one, 0) + (one in self.failed_alone) for one in counted}
        for one in ids:
            failures.pop(one, None)
        return Isolation(self.most, min(self.most, 2 * max(self.width, len(ids))), failures=failures)

    def is_poison(self, one: int) -> bool:
        """Return whether this event fails by itself while others pass."""
        return self.failures.get(one, 0) >= _PROOF


@dataclass(frozen=True, slots=True)
class Refusals:
    """The rejections (400) since BigPanda last accepted something. `refused_alone`: the key of each event, by id.

    `cause`: the message without its particulars. `refused_together`: events of batches rejected as a whole. `guilty`:
    events rejected while BigPanda accepted others, so that only the event itself can be at fault. `event_causes`: the
    messages of those.
    """

    cause: str = ""
    refused_alone: Mapping[int, str] = field(default_factory=dict)
    refused_together: frozenset[int] = frozenset()
    guilty: frozenset[int] = frozenset()
    event_causes: frozenset[str] = frozenset()

    def split(self, ids: Iterable[int]) -> "Refusals":
        """Record the rejection of several events at once."""
        return replace(self, refused_together=self.refused_together | set(ids))

    def refused(self, one: int, key: str, words: str) -> "Refusals":
        """Record the rejection of a single event. A guilty one says nothing about the destination."""
        if one in self.guilty:
            return self
        cause = _PARTICULARS.sub("", words)
        before = self.refused_alone if cause == self.cause else {}
        return replace(self, cause=cause, refused_alone={**before, one: key})

    def accepted(self, ids: Iterable[int]) -> "Refusals":
        """Record an acceptance: events rejected before it are themselves at fault."""
        accepted = set(ids)
        # An event rejected before and accepted now was not at fault: its message was about the destination.
        causes = frozenset() if accepted & self.guilty else self.event_causes | ({self.cause} - {""})
        guilty = (self.guilty | self.refused_together | self.refused_alone.keys()) - accepted
        return Refusals(guilty=guilty, event_causes=causes)

    def settled(self, ids: Iterable[int]) -> "Refusals":
        """Forget the guilt of events that have left the queue, or were just queued."""
        return replace(self, guilty=self.guilty.difference(ids))

    def blame_destination(self, one: int, *, others: bool) -> bool:
        """Return whether the rejection of this event, the last recorded, is the destination's fault.

        `others`: there are untried events, any of which may be accepted.
        """
        if one in self.guilty or not self.alike:
            return False
        if self.cause in self.event_causes:
            return len(self.refused_alone) >= _MOST_BAD
        return len(self.refused_alone) >= _MOST_ALIKE or not others

    @property
    def alike(self) -> bool:
        """Whether several alerts were rejected with the same message; a single one says nothing about the others."""
        return len(set(self.refused_alone.values())) > 1
