"""The benchmark runs: little of everything, so that it is not found broken on the day it is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import figures, freshness
from tests.bench.account import SERIES, families, settings
from tests.bench.figures import Promise, Table
from tests.bench.soak import grown

ROOT = Path(__file__).parents[1]


@pytest.mark.system
def test_a_quick_run_measures_every_part_and_writes_what_it_found(tmp_path):
    """Markdown and JSON with every table, and a plot for each."""
    subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--out", tmp_path], cwd=ROOT, check=True, timeout=600,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    tables = {table["name"] for table in json.loads((tmp_path / "RESULTS.json").read_text())["tables"]}
    assert tables == {"scrapes", "memory", "rendering", "held", "polls", "webhooks", "waits", "freshness"}
    assert {plot.stem for plot in (tmp_path / "plots").glob("*.svg")} == tables
    assert all(f"plots/{table}.svg" in (tmp_path / "RESULTS.md").read_text() for table in tables)


def test_an_account_has_as_many_series_as_it_is_said_to_have():
    """So a figure for 100,000 series is of 100,000 series."""
    assert sum(len(family.samples) for family in families(50, 1e9)) == 50 * SERIES


def test_with_a_larger_share_each_status_is_asked_as_often_as_the_budget_allows():
    """500 monitors, 55 requests a minute: a round of 25 pages in at most 25/55 min and 5 s, still no 429."""
    chosen = settings(rate=55.0, poll_interval="30s", status_share=0.9)
    found = freshness.hour(chosen, 500, 0.25)
    assert found.asked_every <= 25 * 60 / 55 + 5
    assert found.refused == 0


@pytest.mark.parametrize(
    ("after", "wrong"),
    [((80.0, 70, 12), []), ((95.0, 70, 12), ["memory"]), ((80.0, 100, 40), ["threads", "descriptors"])],
)
def test_a_soak_finds_what_grows(after, wrong):
    """What the first third fills up does not count; noise does not either."""
    seen = [(50.0, 10, 5)] * 10 + [(80.0, 70, 12)] * 10 + [after] * 10
    assert [line.split()[0] for line in grown(seen)] == wrong


def test_a_promise_tells_whether_it_holds():
    """At most, or at least."""
    assert Promise("", 1.0, 1.0).holds
    assert not Promise("", 1.0, 2.0, least=True).holds


def test_a_table_is_drawn_and_written_with_what_is_missing_left_out():
    """A server that is not installed leaves an empty cell, not a zero."""
    table = Table("t", "Title", "ms", {"row <1>": {"a": 1.0}, "row 2": {"a": 2.0, "b": 1234.5}})
    page = figures.markdown([table], {"cores": "2"}, 1.0)
    assert "| row <1> | 1.00 |  |" in page
    assert "| row 2 | 2.00 | 1,234 |" in page
    assert figures.plot(table).count("<rect") == 1 + 2 + 3
