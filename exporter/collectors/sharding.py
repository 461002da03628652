"""Sharding of the targets among several exporters (`--shard=K/N`). Pure.

Every key belongs to exactly one of the N: the one whose number, hashed with the key, gives the highest value
(rendezvous hashing). So all agree without coordination, across restarts and Python releases, and an additional
exporter takes only its own share from each of the others.
"""

import argparse
import hashlib
import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Exporter `number`, counted from 1, of `count`. A single one owns everything."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def owns(self, *key: str) -> bool:
        """Return whether `key`, such as a collector and an account, belongs to this exporter."""
        texts = ("\0".join((str(number), *key)) for number in range(1, self.count + 1))
        weights = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts]
        return weights.index(max(weights)) + 1 == self.number


ALONE = Shard()


def shard(text: str) -> Shard:
    """Parse `K/N`, such as `1/3`. Raises ArgumentTypeError with an example."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text}: write it like 1/3: this exporter's number, and their count")
    number, count = int(match[1]), int(match[2])
    if not 1 <= number <= count:
        raise argparse.ArgumentTypeError(f"{text}: the first number must be between 1 and the second")
    return Shard(number, count)
