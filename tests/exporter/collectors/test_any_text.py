"""Any text of a vendor: the page can be parsed, and is the same after a restart and on a follower."""

import gzip
import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.collectors.contract import Response
from exporter.metrics.gzip_stream import begin, block, end
from exporter.metrics.text_format import compose, render
from exporter.polling.poller import Poller
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_files import Directory
from exporter.polling.snapshots import Snapshot
from exporter.polling.target_state import Target
from exporter.toolkit.http_errors import Malformed
from exporter.toolkit.text import LABEL_BYTES, valid_json
from tests.exporter.collectors.test_contract import CASES, Case, named, places_in, replaced

NASTY = [
    "",
    "\0",
    "\ud83d",
    "\udc00\ud800",
    "\u202e\u2066x",
    "\r\n",
    '"\\',
    "\u2028",
    "%s",
    "\ufeff",
    "\U0010ffff",
    "NaN",
]
TEXT = (
    st.text(st.characters(exclude_categories=()), max_size=40)
    | st.lists(st.sampled_from(NASTY), max_size=5).map("".join)
    | st.builds(lambda one, times: (one * times)[:100_000], st.sampled_from(NASTY[1:]), st.just(100_000))
)


def member(document, place):
    for name in place:
        document = document[name]
    return document


def pages(families, account):
    """Return the page in each form, as it is served, read by the parsers that users have."""
    rendered = render(families, account)
    found = []
    for openmetrics, parse in ((False, text_families), (True, openmetrics_families)):
        text = gzip.decompress(end(begin(compose([rendered], openmetrics=openmetrics)), block(b""))).decode()
        found.append([each.samples for each in parse(text + ("# EOF\n" if openmetrics else ""))])
    return found


@cache
def played(folder):
    """Return a case, and its steps with a response that can be read."""
    case = Case(folder)
    return case, [turn for turn in case.turns() if isinstance(turn.response, Response) and "malformed" not in turn.step]


@pytest.mark.slow
@pytest.mark.parametrize("folder", [case for case in CASES if case.parent.parent.name != "certificates"], ids=named)
@hypothesis(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_page_restart_and_follower_are_equal(folder, data):
    """Any text in any member of any response: lone surrogates, NUL, bidi, 100 kB."""
    case, turns = played(folder)
    turn = data.draw(st.sampled_from(turns))
    document = json.loads(turn.response.body)
    texts = [place for place in places_in(document) if isinstance(member(document, place), str)]
    if not texts:
        return
    hostile = replaced(document, data.draw(st.sampled_from(texts)), data.draw(TEXT))
    escapes = data.draw(st.booleans())
    body = valid_json(json.dumps(hostile, ensure_ascii=escapes).encode("utf-8", "surrogatepass"))
    now = turn.response.at
    try:
        known = case.collector.update(turn.before, turn.request, replace(turn.response, body=body))
    except Malformed:
        return
    expected = pages(case.collector.families(known, now), case.settings.account)
    labels = [value for samples in expected[1] for each in samples for value in each.labels.values()]
    assert all(len(value.encode()) <= LABEL_BYTES for value in labels)
    with tempfile.TemporaryDirectory() as path:
        storage = Directory(Path(path))
        target = Target(knowledge=known, budget=Budget.start(60.0, now), success=True)
        Snapshot(storage, case.settings, case.collector).write(target, now)
        assert Snapshot(storage, case.settings, case.collector).read(now).knowledge == known
        follower = Poller(
            case.settings, case.collector, None, lambda: now, lambda _poller: None, storage, leads=lambda: False
        )
        if follower.health().last_success is not None:
            shown = follower.rendered(now, lambda families: pages(families, case.settings.account))
            assert shown == expected
        assert follower.target.knowledge == known
        assert [figure.text for figure in follower.figures()] == [
            figure.text for figure in case.collector.figures(known, now) if follower.health().last_success is not None
        ]
