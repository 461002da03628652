"""Blocks that are compressed each by itself, put together as one gzip stream (RFC 1952). Pure.

Not as one gzip member after the other: browsers, curl, wget and urllib3 2.8 read the first alone. A block is deflate
that ends on a byte and refers to nothing before it. The stream's checksum follows from the blocks' own, so that no
scrape reads megabytes for it: CRC-32 is linear, and a block multiplies the checksum of what stands before it by a
factor that depends on the block's length only.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import accumulate, groupby

LARGE = 1_000_000
"""Bytes from which a piece is sent alone instead of copied, so that 50 slow readers share one copy of a large page."""
SMALL = 4096
"""Bytes of a block that is read for the checksum sooner than a shift is computed."""
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, no system
_END = b"\x03\0"  # a last block of deflate, with nothing in it
_POLYNOMIAL, _ONE = 0xEDB88320, 1 << 31
"""Of CRC-32, the lowest power in the highest bit; and 1 in that notation."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes, the same as deflate, their CRC-32, and the factor by which they shift the checksum before them."""

    plain: bytes
    packed: bytes
    checksum: int
    shift: int


def block(plain: bytes) -> Block:
    """Compress some bytes. zlib releases the interpreter lock meanwhile."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH)
    shift = _ONE
    if len(plain) >= SMALL:
        bits = 8 * len(plain)
        shift = reduce(_product, (_POWERS[n] for n in range(bits.bit_length()) if bits >> n & 1))
    return Block(plain, packed, zlib.crc32(plain), shift)


def stream(blocks: Iterable[Block]) -> list[bytes]:
    """Return blocks as one gzip stream, in pieces."""
    checksum = size = 0
    pieces = [_HEADER]
    for each in blocks:
        if len(each.plain) < SMALL:
            checksum = zlib.crc32(each.plain, checksum)
        else:
            checksum = _product(each.shift, checksum) ^ each.checksum
        size += len(each.plain)
        pieces.append(each.packed)
    return joined([*pieces, _END, checksum.to_bytes(4, "little"), (size % 2**32).to_bytes(4, "little")])


def joined(blobs: Sequence[bytes]) -> list[bytes]:
    """Join small blobs with their neighbours, so that each piece is worth a write; leave large ones uncopied."""
    pieces: list[bytes] = []
    for are_large, run in groupby(blobs, lambda blob: len(blob) >= LARGE):
        some = list(run)
        pieces.extend(some if are_large else [b"".join(some)])
    return pieces


@lru_cache(maxsize=1024)
def _product(one: int, other: int) -> int:
    """Multiply polynomials over GF(2), modulo that of CRC-32."""
    product = 0
    while other:
        if other & _ONE:
            product ^= one
        other = other << 1 & 0xFFFFFFFF  # each power in turn, the lowest first
        one = one >> 1 ^ (_POLYNOMIAL if one & 1 else 0)
    return product


_POWERS = list(accumulate(range(40), lambda power, _: _product(power, power), initial=_ONE >> 1))
"""x to the power of 1, 2, 4, 8, …, 2^40: of more bits than any page has."""
