"""The assignment of keys to shards."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collectors.sharding import ALONE, Shard, shard

KEYS = st.lists(st.text(), min_size=1, max_size=3)
IDS = [str(number) for number in range(3000)]


def owners(count, *key):
    return [number for number in range(1, count + 1) if Shard(number, count).owns(*key)]


@given(key=KEYS, count=st.integers(1, 40))
def test_every_key_has_exactly_one_owner(key, count):
    """For any key; nothing is polled twice or left out."""
    assert len(owners(count, *key)) == 1


@given(key=KEYS, count=st.integers(1, 40))
def test_additional_shard_moves_keys_only_to_itself(key, count):
    """All other keys stay on their shard."""
    (before,), (after,) = owners(count, *key), owners(count + 1, *key)
    assert after in {before, count + 1}


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shards_are_about_equal(count):
    """Each has its share of 3,000 ids, within a sixth."""
    parts = [sum(Shard(number, count).owns("vigilmon", "prod", one) for one in IDS) for number in range(1, count + 1)]
    assert sum(parts) == len(IDS)
    assert all(5 / 6 < part * count / len(IDS) < 7 / 6 for part in parts)


def test_key_parts_are_not_confused():
    """Neighbouring parts cannot be read as others, and each account has its own order."""
    several = [owners(8, "vigilmon", account, "7") for account in map(str, range(40))]
    assert len({tuple(one) for one in several}) > 4
    assert any(owners(8, "a", word) != owners(8, f"a{word}") for word in IDS[:10])


def test_owners_are_the_same_in_another_process():
    """They survive a restart and another hash seed; this test fixes them for good."""
    code = (
        "from exporter.collectors.sharding import Shard; "
        "print(*[n for n in range(20) if Shard(2, 3).owns('v', 'a', str(n))])"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[3],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] == "3 4 5 8 17\n"


@pytest.mark.parametrize(("text", "read"), [("1/1", ALONE), ("1/3", Shard(1, 3)), ("12/12", Shard(12, 12))])
def test_shard_is_parsed(text, read):
    """K/N."""
    assert (shard(text), str(read)) == (read, text)


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1/0", "0/0", "a/b", "1", "1/", "/3", "1/3/5", "-1/3", "1/3 ", "¹/3", ""]
)
def test_invalid_shard_is_one_line_with_the_format(text):
    """The line repeats the value."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{text}: "):
        shard(text)
