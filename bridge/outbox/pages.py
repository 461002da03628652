"""Pages of rows for the operator's page, all of whose queries are bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHOWN: Final = 20_000
"""Most characters of a body on a page."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The rows requested: `limit` of them, after `offset` others."""

    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and their total number; a lower bound if counting would cost too much.

    `partial`: the search ended before it had covered everything.
    """

    rows: Sequence[T]
    total: int
    partial: bool = False
