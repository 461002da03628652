"""Group commit: every sender gets the outcome of its own webhook, after it is durable."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bridge.domain.event import EventMapping
from bridge.domain.notification import Notification, Outcome
from bridge.errors import Unavailable
from bridge.outbox.group_commit import GroupCommit
from tests.bridge.alerts import alert_at

MAPPING = EventMapping(app_key="app", statuses={}, primary_property=())


def notification(source="prod"):
    return Notification(receiver="alertmanager", source=source, alerts=(), mapping=MAPPING)


class Store:
    """A fake outbox: records its batches, blocks until `open` is set, and fails on request."""

    def __init__(self, error=None):
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.batches = []
        self.error = error

    def accept(self, batch, now):
        self.entered.set()
        assert self.open.wait(30)
        self.batches.append([one.source for one in batch])
        if self.error and (isinstance(self.error, Unavailable) or "poison" in self.batches[-1]):
            raise self.error
        return [Outcome(queued=1, acknowledged=[(one.source, 0.0)]) for one in batch]


@pytest.fixture
def running():
    """Start commits on a store, and stop them."""
    started = []

    def start(store):
        commits = GroupCommit(store.accept)
        commits.start()
        started.append((store, commits))
        return commits

    yield start
    for store, commits in started:
        store.open.set()
        commits.stop(30.0)


def accepted(commits, incoming):
    """Wait until it is durable; return the outcome."""
    return commits.submit(incoming, 0.0).result()


def waiting_for(commits, count):
    """Poll until so many wait."""
    pause = threading.Event()
    return any(len(commits._waiting) >= count or pause.wait(0.01) for _ in range(3000))


def test_waiting_webhooks_share_a_transaction(running):
    """One flush for all, each with its own outcome."""
    store = Store()
    commits = running(store)
    store.open.clear()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(accepted, commits, notification("first"))
        assert store.entered.wait(30)
        rest = {name: pool.submit(accepted, commits, notification(name)) for name in "abcde"}
        assert waiting_for(commits, 5)
        assert not first.done()
        store.open.set()
        assert first.result(30).queued == 1
        assert {name: futures.result(30).acknowledged for name, futures in rest.items()} == {
            name: [(name, 0.0)] for name in rest
        }
    assert [sorted(batch) for batch in store.batches] == [["first"], list("abcde")]


def test_webhooks_of_one_transaction_have_the_time_of_the_last(running):
    """None of them is stored as if it came before one that is stored already."""
    store, times = Store(), []
    store.accept = lambda batch, now: times.append(now) or [Outcome() for _ in batch]
    commits = GroupCommit(store.accept)
    waiting = [commits.submit(notification(), now) for now in (5.0, 7.0, 6.0)]
    commits.start()
    assert [one.result(30) for one in waiting] == [Outcome()] * 3
    commits.stop(30.0)
    assert times == [7.0]


def test_busy_senders_go_on_sharing_transactions(running):
    """One whose webhook is durable is answered at once, not behind the transactions of those who came later."""
    transactions = []

    def slow(batch, now):
        transactions.append(len(batch))
        threading.Event().wait(0.005)
        return [Outcome(queued=1) for _ in batch]

    store = Store()
    store.accept = slow
    commits = running(store)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: [accepted(commits, notification()) for _ in range(25)], range(32)))
    assert sum(transactions) == 32 * 25
    assert len(transactions) < 200


def test_unavailable_database_fails_the_whole_group(running):
    """With Unavailable, for a 503; the next group is tried."""
    store = Store(Unavailable("database: busy"))
    commits = running(store)
    with pytest.raises(Unavailable, match=r"^database: busy$"):
        accepted(commits, notification())
    store.error = None
    assert accepted(commits, notification()).queued == 1


def test_unwritable_webhook_fails_alone(running):
    """The others are written one by one; its sender may retry."""
    store = Store(ValueError("a bug"))
    commits = running(store)
    store.open.clear()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(accepted, commits, notification("first"))
        assert store.entered.wait(30)
        rest = [pool.submit(accepted, commits, notification(name)) for name in ("a", "poison", "b")]
        assert waiting_for(commits, 3)
        store.open.set()
        assert first.result(30).queued == 1
        assert rest[0].result(30).queued == rest[2].result(30).queued == 1
        with pytest.raises(Unavailable, match="cannot be stored"):
            rest[1].result(30)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_unexpected_error_does_not_block_senders(running, error):
    """They get an error, and the next webhook is written."""
    store = Store(error)
    commits = running(store)
    with pytest.raises(Unavailable, match="cannot be stored"):
        accepted(commits, notification("poison"))
    assert accepted(commits, notification("prod")).queued == 1


def test_sender_that_is_gone_does_not_harm_the_others(running):
    """At the program's end the server cancels what it still waits for; the webhook is stored all the same."""
    store = Store()
    commits = running(store)
    store.open.clear()
    first = commits.submit(notification("first"), 0.0)
    assert store.entered.wait(30)
    gone, second = (commits.submit(notification(name), 0.0) for name in ("gone", "second"))
    gone.cancel()
    store.open.set()
    assert [one.result(30).queued for one in (first, gone, second)] == [1, 1, 1]


@pytest.mark.parametrize(("most", "batches"), [(0, [1, 1, 1]), (3, [2, 1])])
def test_batch_size_is_bounded(most, batches, monkeypatch):
    """No webhook waits for an endless transaction, however many alerts those before it have."""
    monkeypatch.setattr("bridge.outbox.group_commit.MOST_ALERTS", most)
    store = Store()
    commits = GroupCommit(store.accept)
    waiting = [commits.submit(replace(notification(), alerts=(alert_at(0.0),) * 2), 0.0) for _ in range(3)]
    commits.start()
    assert [one.result(30).queued for one in waiting] == [1, 1, 1]
    commits.stop(30.0)
    assert [len(batch) for batch in store.batches] == batches


def test_stop_writes_waiting_webhooks(running):
    """It accepts no more of them."""
    store = Store()
    commits = running(store)
    store.open.clear()
    first = commits.submit(notification("first"), 0.0)
    assert store.entered.wait(30)
    second = commits.submit(notification("second"), 0.0)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(commits.stop, 30.0)
        store.open.set()
        stopping.result(30)
    assert first.result(30).queued == second.result(30).queued == 1
    with pytest.raises(Unavailable, match="shutting down"):
        accepted(commits, notification())


def test_webhook_that_came_as_the_loop_ended_is_written():
    """Its sender was not told to retry."""
    commits = GroupCommit(Store().accept)
    late = commits.submit(notification(), 0.0)
    commits.stop()
    commits.run()
    assert late.result(0).queued == 1


def test_stop_is_bounded(running):
    """A hanging database does not prevent the program's end; stopping twice, or unused, is harmless."""
    store = Store()
    commits = running(store)
    store.open.clear()
    future = commits.submit(notification(), 0.0)
    assert store.entered.wait(30)
    commits.stop(0.01)
    commits.stop(0.01)
    assert not future.done()
    store.open.set()
    assert future.result(30).queued == 1
    GroupCommit(store.accept).stop(0.0)
