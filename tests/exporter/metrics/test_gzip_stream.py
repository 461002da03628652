"""One gzip stream of blocks that were compressed each by itself."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzip_stream import LARGE, begin, block, end, joined

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
    packed = end(begin([block(each) for each in blobs[:-1]]), block(b"".join(blobs[-1:])))
    assert unpacked_as_browsers_do(packed) == (b"".join(blobs), b"")
    assert gzip.decompress(packed) == b"".join(blobs)


def test_block_can_be_at_any_position():
    """It has no references to data before it."""
    one, other = block(blob(1, 50_000)), block(blob(2, 5_000))
    for *first, last in ([one, other], [other, one, other], [one, one]):
        assert gzip.decompress(end(begin(first), last)) == b"".join(each.plain for each in (*first, last))


def test_stream_is_shared_by_scrapes_at_the_same_time():
    """And a new one is made when its end or its beginning has changed."""
    one, other = block(blob(1, 50_000)), block(blob(2, 100))
    beginning = begin([one])
    shared = end(beginning, other)
    assert end(beginning, other) is shared
    assert gzip.decompress(end(beginning, one)) == one.plain * 2
    assert gzip.decompress(end(begin([other]), other)) == other.plain * 2


def test_block_that_stays_the_same_is_not_compressed_again():
    """It is kept; one that has changed is not."""
    known = block(blob(1, 5_000))
    assert block(blob(1, 5_000), known) is known
    assert block(blob(2, 5_000), known).plain == blob(2, 5_000)


def test_large_blob_is_not_copied():
    """The small ones around it are joined."""
    large = bytes(LARGE)
    pieces = joined([b"a", large, b"b", b"c"])
    assert pieces == [b"a", large, b"bc"]
    assert pieces[1] is large


def test_wrong_checksum_is_detected():
    """So the tests above cannot pass by accident."""
    packed = bytearray(end(begin([]), block(b"x" * 9000)))
    packed[-8] ^= 1
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(packed)
