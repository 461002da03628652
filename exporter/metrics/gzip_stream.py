"""Blocks that are compressed each by itself, put together as one gzip stream (RFC 1952). Pure.

Not as one gzip member after the other: browsers, curl, wget and urllib3 2.8 read the first alone. A block is deflate
that ends on a byte and refers to nothing before it.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

LARGE = 1_000_000
"""Bytes from which a piece is sent alone instead of copied, so that 50 slow readers share one copy of a large page."""
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, no system
_END = b"\x03\0"  # a last block of deflate, with nothing in it


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some bytes, and the same as deflate. Compared by identity, so that no comparison reads megabytes."""

    plain: bytes
    packed: bytes


def block(plain: bytes) -> Block:
    """Compress some bytes. zlib releases the interpreter lock meanwhile."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Block(plain, deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH))


def checksum(blocks: Iterable[Block], before: int = 0) -> int:
    """Return the CRC-32 of blocks that follow bytes whose CRC-32 is `before`."""
    for each in blocks:
        before = zlib.crc32(each.plain, before)
    return before


def stream(blocks: Sequence[Block], earlier: Sequence[Block] = (), earlier_checksum: int = 0) -> list[bytes]:
    """Return blocks, after earlier ones that are not read again, as one gzip stream, in pieces."""
    crc = checksum(blocks, earlier_checksum)
    size = sum(len(each.plain) for each in (*earlier, *blocks)) % 2**32
    packed = [each.packed for each in (*earlier, *blocks)]
    return joined([_HEADER, *packed, _END, crc.to_bytes(4, "little"), size.to_bytes(4, "little")])


def joined(blobs: Sequence[bytes]) -> list[bytes]:
    """Join small blobs with their neighbours, so that each piece is worth a write; leave large ones uncopied."""
    pieces: list[bytes] = []
    for are_large, run in groupby(blobs, lambda blob: len(blob) >= LARGE):
        some = list(run)
        pieces.extend(some if are_large else [b"".join(some)])
    return pieces
