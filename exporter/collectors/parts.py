"""Parts of a target with rounds of their own: the account groups of ThousandEyes, the environments of BigPanda.

A part that the others are several rounds ahead of is failing: it is left behind, so that the age of the target is that
of the parts that do answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

ROUNDS_BEHIND: Final = 2
"""A part this many rounds behind must be failing, because the longest overdue one is read first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part. `rounds`: the number of its complete rounds."""

    rounds: int = 0


P = TypeVar("P", bound=Part)


def furthest(parts: Mapping[str, Part]) -> int:
    """Return the number of rounds of the part that is furthest ahead."""
    return max((part.rounds for part in parts.values()), default=0)


def keeping_up(parts: Mapping[str, P]) -> dict[str, P]:
    """Return the parts without those that the others went on without, which happens only while they fail."""
    ahead = furthest(parts)
    return {key: part for key, part in parts.items() if ahead - part.rounds < ROUNDS_BEHIND}


def any_behind(parts: Mapping[str, Part]) -> bool:
    """Return whether the others went on without a part."""
    return len(keeping_up(parts)) < len(parts)
