"""One gzip stream of blocks that were compressed each by itself."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzip_stream import LARGE, block, checksum, stream

SIZES = st.sampled_from([0, 1, 100, 4095, 4096, 4097, 70_000])


def blob(seed, size):
    """Return bytes that are compressed a little."""
    return bytes((seed + place * place) % 251 for place in range(min(size, 997))) * (size // 997 + 1)


def unpacked_as_browsers_do(packed):
    """Return the first member, and what stands behind it."""
    first = zlib.decompressobj(16 + zlib.MAX_WBITS)
    return first.decompress(packed) + first.flush(), first.unused_data


@given(st.lists(st.tuples(st.integers(0, 250), SIZES), max_size=6))
def test_blocks_are_one_gzip_member(drawn):
    """With the checksum and size of the whole content, whatever the blocks' sizes, and nothing after it."""
    blobs = [blob(seed, size) for seed, size in drawn]
    packed = b"".join(stream([block(each) for each in blobs]))
    assert unpacked_as_browsers_do(packed) == (b"".join(blobs), b"")
    assert gzip.decompress(packed) == b"".join(blobs)


def test_block_can_be_at_any_position():
    """It has no references to data before it."""
    one, other = block(blob(1, 50_000)), block(blob(2, 5_000))
    for blocks in ([one, other], [other, one, other], [one, one]):
        assert gzip.decompress(b"".join(stream(blocks))) == b"".join(each.plain for each in blocks)


def test_earlier_blocks_are_not_read_again():
    """Their checksum is enough."""
    one, other, last = block(blob(1, 50_000)), block(blob(2, 100)), block(blob(3, 5_000))
    assert stream([last], [one, other], checksum([one, other])) == stream([one, other, last])


def test_large_block_is_not_copied():
    """The small ones around it are joined."""
    noise = b"".join(zlib.crc32(place.to_bytes(4, "big")).to_bytes(4, "big") for place in range(300_000))
    large = block(noise)
    assert len(large.packed) >= LARGE
    pieces = stream([block(b"a"), large, block(b"b"), block(b"c")])
    assert len(pieces) == 3
    assert pieces[1] is large.packed


def test_wrong_checksum_is_detected():
    """So the tests above cannot pass by accident."""
    packed = bytearray(b"".join(stream([block(b"x" * 9000)])))
    packed[-8] ^= 1
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(packed)
