"""Pages of rows, as the operator's page asks for them: every query of it is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHOWN: Final = 20_000
"""Characters of a body that a page shows."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which rows: `limit` of them, after `offset` others."""

    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and how many there are in all; where that would cost too much to count, as far as is known.

    `partial`: the search was ended before everything was looked at.
    """

    rows: Sequence[T]
    total: int
    partial: bool = False
