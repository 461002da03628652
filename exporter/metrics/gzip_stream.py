"""Blocks that are compressed each by itself, put together as one gzip stream (RFC 1952). Pure.

Not as one gzip member after the other: browsers, curl, wget and urllib3 2.8 read the first alone. A block is deflate
that ends on a byte and refers to nothing before it.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby, repeat

LARGE = 50_000
"""Bytes from which a piece is sent alone instead of copied, so that 50 slow readers share one copy of a large page."""
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, no system
_END = b"\x03\0"  # a last block of deflate, with nothing in it


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some bytes, and the same as deflate. Compared by identity, so that no comparison reads megabytes."""

    plain: bytes
    packed: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """A gzip stream without its end, in pieces, and the CRC-32 and the size of what it holds."""

    packed: Sequence[bytes]
    crc: int
    size: int


def block(plain: bytes, earlier: Block | None = None) -> Block:
    """Compress some bytes, unless `earlier` has the same. zlib releases the interpreter lock meanwhile."""
    if earlier and earlier.plain == plain:
        return earlier
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Block(plain, deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH))


def blocks(pieces: Iterable[bytes], earlier: Iterable[Block] = ()) -> list[Block]:
    """Compress pieces one at a time: all of a large family, plain and packed, would be in memory twice."""
    return list(map(block, pieces, chain(earlier, repeat(None))))


def begin(blocks: Iterable[Block]) -> Beginning:
    """Return blocks as the beginning of a gzip stream."""
    packed, crc, size = [_HEADER], 0, 0
    for each in blocks:
        packed.append(each.packed)
        crc, size = zlib.crc32(each.plain, crc), size + len(each.plain)
    return Beginning(packed, crc, size)


@lru_cache(maxsize=1)
def end(beginning: Beginning, last: Block) -> bytes:
    """Return a gzip stream that ends with the block `last`. The latest one is kept, for scrapes at the same time."""
    crc, size = zlib.crc32(last.plain, beginning.crc), (beginning.size + len(last.plain)) % 2**32
    return b"".join([*beginning.packed, last.packed, _END, crc.to_bytes(4, "little"), size.to_bytes(4, "little")])


def joined(blobs: Sequence[bytes]) -> list[bytes]:
    """Join small blobs with their neighbours, so that each piece is worth a write; leave large ones uncopied."""
    pieces: list[bytes] = []
    for are_large, run in groupby(blobs, lambda blob: len(blob) >= LARGE):
        some = list(run)
        pieces.extend(some if are_large else [b"".join(some)])
    return pieces
