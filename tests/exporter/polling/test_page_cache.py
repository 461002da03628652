"""The page of all targets: what is on it, since when, and until when."""

import gzip
import threading
import time
from itertools import count
from types import SimpleNamespace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from exporter.metrics.exporter_metrics import Running
from exporter.metrics.families import Family, Metric
from exporter.metrics.health import Health
from exporter.polling.page_cache import PageCache
from tests.waiting import eventually

UP = Metric("demo_up", "gauge", "Whether it is up.", ("host",))
SEEN = Metric("demo_seen_total", "counter", "Seen.", ())
NEVER = Health(
    collector="demo",
    account="prod",
    counting_since=800.0,
    success=None,
    last_success=None,
    duration=None,
    truncated=False,
    series=0,
    requests={},
    rate_limit_remaining=None,
    budget_used_ratio=0.0,
    oldest_value=None,
    first_poll_ended=False,
    last_error="",
    last_error_at=None,
    next_poll=None,
    paused_until=None,
    paused_reason="",
)


class FakePoller:
    """A poller whose families the test sets."""

    def __init__(self, account="prod", collector="demo"):
        self.identity = (collector, account)
        self.families = []
        self.until = None
        self.asked = 0

    def rendered(self, now, form):
        self.asked += 1
        return form(self.families if self.shows(now) else [])

    def shows(self, now):
        return self.until is None or now < self.until

    def health(self):
        return NEVER

    def figures(self):
        return []


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def page_cache(now):
    made = PageCache(lambda: now[0], Running("1.2.3"))
    made.start()
    yield made
    made.stop(30)


def text(page_cache, *, openmetrics=False):
    return gzip.decompress(b"".join(page_cache.page(openmetrics=openmetrics, packed=True))).decode()


def publish(page_cache, poller, *families):
    poller.families = list(families)
    page_cache.changed(poller)


def test_targets_families_are_on_the_page_in_both_formats(page_cache):
    """Rendered in the background, and readable by both parsers beside the exporter's own families."""
    poller = FakePoller()
    page_cache.serve([poller])
    publish(page_cache, poller, Family(UP, [(("a",), 1.0)]), Family(SEEN, [((), 2.0)]))
    eventually(lambda: 'demo_up{account="prod",host="a"} 1.0\n' in text(page_cache))
    names = {family.name for family in text_families(text(page_cache))}
    assert {"demo_up", "demo_seen", "vendorwatch_target_series", "process_cpu_seconds", "python_info"} <= names
    assert names == {family.name for family in openmetrics_families(text(page_cache, openmetrics=True))}
    assert b'demo_up{account="prod",host="a"} 1.0\n' in b"".join(page_cache.page(openmetrics=False, packed=False))


def test_a_target_is_rendered_once_per_change(page_cache):
    """Scrapes only join the rendered parts."""
    poller, unchanged = FakePoller(), FakePoller("unchanged")
    page_cache.serve([poller, unchanged])
    publish(page_cache, poller, Family(UP, [((f"{i:05}" * 20,), 1.0) for i in range(5000)]))
    eventually(lambda: "demo_up{" in text(page_cache))
    asked = poller.asked
    assert [text(page_cache).count("demo_up{") for _ in range(5)] == [5000] * 5
    assert (poller.asked, unchanged.asked) == (asked, 1)


def test_own_metrics_are_those_of_the_scrape(page_cache):
    """Also a moment after the last one: an alert on a failed reload must not wait."""
    reloaded = "vendorwatch_config_last_reload_successful"
    assert f"{reloaded} 0.0\n" in text(page_cache)
    page_cache._running.succeeded(1000.0)
    assert f"{reloaded} 1.0\n" in text(page_cache)


def test_process_metrics_are_those_of_the_last_second(page_cache, monkeypatch):
    """Many scrapes at once read them once."""
    clock, reads = SimpleNamespace(now=1000.0), count()
    monkeypatch.setattr("exporter.polling.page_cache.time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr("exporter.polling.page_cache.python_lines", lambda **_form: f"read {next(reads)}\n".encode())
    found = []
    for later in (0.0, 0.9, 1.1):
        clock.now = 1000.0 + later
        found.append(text(page_cache).splitlines()[-1])
    assert found == ["read 0", "read 0", "read 1"]


def test_stored_data_is_on_the_first_page(page_cache):
    """Data from a snapshot, or from before a reload, is rendered before a page is served."""
    before, after = FakePoller(), FakePoller()
    before.families = after.families = [Family(UP, [(("a",), 1.0)])]
    page_cache.serve([before])
    assert "demo_up{" in text(page_cache)
    page_cache.serve([after])
    assert "demo_up{" in text(page_cache)


def test_expired_series_disappear_exactly_at_their_time(page_cache, now):
    """Even if the target's thread hangs. Other targets of its group stay."""
    old, young = FakePoller("old"), FakePoller("young")
    old.until, young.until = 2000.0, 3000.0
    page_cache.serve([old, young])
    for poller in (old, young):
        publish(page_cache, poller, Family(UP, [(("a",), 1.0)]))
    eventually(lambda: text(page_cache).count("demo_up{") == 2)
    now[0] = 1999.9
    assert text(page_cache).count("demo_up{") == 2
    now[0] = 2000.0
    assert 'demo_up{account="young",host="a"}' in text(page_cache)
    assert 'account="old",host' not in text(page_cache)
    old.until = 4000.0
    publish(page_cache, old, Family(UP, [(("b",), 1.0)]))
    eventually(lambda: 'demo_up{account="old",host="b"}' in text(page_cache))


def test_parts_of_a_target_disappear_at_their_time_without_a_change(page_cache, now, monkeypatch):
    """An environment or account group that fails is withdrawn before the others, although no response arrives."""
    monkeypatch.setattr("exporter.polling.page_cache.AGAIN", 0.01)
    poller = FakePoller()
    parts = {"old": 2000.0, "young": 3000.0}
    poller.rendered = lambda time, form: form([Family(UP, [((part,), 1.0) for part in parts if time < parts[part]])])
    page_cache.serve([poller])
    assert text(page_cache).count("demo_up{") == 2
    now[0] = 2000.0
    eventually(lambda: 'host="old"' not in text(page_cache))
    assert 'host="young"' in text(page_cache)


def test_a_target_without_changes_is_rendered_every_ten_seconds(now, monkeypatch):
    """So that no part stays much longer than it may, and days count down."""
    waits, wait = [], threading.Condition.wait
    monkeypatch.setattr(
        threading.Condition, "wait", lambda self, timeout=None: waits.append(timeout) or wait(self, timeout)
    )
    page_cache = PageCache(lambda: now[0], Running("1.2.3"))
    page_cache.serve([FakePoller()])
    page_cache.start()
    assert 9 < eventually(lambda: [timeout for timeout in waits if timeout])[0] <= 11
    page_cache.stop(30)


def test_equal_families_of_two_collectors_share_one_help(page_cache):
    """Two copies of a folder give one valid page: each family once, its samples together."""
    first, second = FakePoller(collector="demo"), FakePoller("corp", collector="copy")
    page_cache.serve([first, second])
    for poller in (first, second):
        publish(page_cache, poller, Family(UP, [(("a",), 1.0)]), Family(SEEN, [((), 1.0)]))
    eventually(lambda: text(page_cache).count("demo_up{") == 2)
    assert text(page_cache).count("# TYPE demo_up ") == 1
    assert len({family.name for family in openmetrics_families(text(page_cache, openmetrics=True))}) > 2


def test_removed_target_does_not_affect_the_others(page_cache):
    """The rendered parts of remaining targets are kept; those of a removed one are gone at once."""
    stays, goes, comes = FakePoller("stays"), FakePoller("goes"), FakePoller("comes")
    page_cache.serve([stays, goes])
    for poller in (stays, goes):
        publish(page_cache, poller, Family(UP, [(("a",), 1.0)]))
    eventually(lambda: text(page_cache).count("demo_up{") == 2)
    asked = stays.asked
    page_cache.serve([comes, stays])
    assert page_cache.pollers() == [comes, stays]
    assert 'account="stays",host="a"' in text(page_cache)
    assert 'account="goes",host' not in text(page_cache)
    assert stays.asked == asked


@pytest.mark.slow
def test_renders_of_a_large_page_are_limited(page_cache):
    """Changes between two renders are rendered together: rendering takes a tenth of a core at most."""
    poller = FakePoller()
    slow = threading.Event()

    def stated(_now, form):
        poller.asked += 1
        slow.wait(0.2)
        return form([Family(UP, [((str(poller.asked),), 1.0)])])

    poller.rendered = stated
    page_cache.serve([poller])
    began = time.monotonic()
    while poller.asked < 2:
        page_cache.changed(poller)
        time.sleep(0.01)
        assert time.monotonic() < began + 60
    assert time.monotonic() - began >= 2.0
    slow.set()
