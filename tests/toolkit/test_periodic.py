"""The loop that everything uses that runs every so often."""

import threading

from exporter.toolkit import periodic
from exporter.toolkit.periodic import Paused, PeriodicThread, stop_all


def failing(*errors):
    left = list(errors)

    def act():
        if left:
            raise left.pop(0)
        return 7.0

    return act


def test_loop_survives_unexpected_errors(caplog):
    """An unavailable database is logged once; an unexpected error with its traceback."""
    loop = PeriodicThread("looking", "Looking", lambda: None, retry=2.0)
    act = failing(Paused("busy"), Paused("busy"), RuntimeError("odd"))

    assert [loop.guarded(act) for _ in range(4)] == [2.0, 2.0, 2.0, 7.0]
    assert [record.message for record in caplog.records] == ["Looking paused: busy", "Looking failed unexpectedly"]

    loop.guarded(failing(Paused("busy")))
    assert caplog.records[-1].message == "Looking paused: busy"


def test_errors_while_stopping_are_not_logged(caplog):
    """The database may be closed before the last tick ends."""
    loop = PeriodicThread("looking", "Looking", lambda: None)
    loop.stop(0)
    loop.guarded(failing(Paused("closed")))
    loop.guarded(failing(RuntimeError("closed")))

    assert caplog.records == []


def test_wake_ends_the_pause():
    """Also an endless one; a stopped loop cleans up once."""
    ticked, ended = threading.Semaphore(0), []

    def tick():
        ticked.release()

    loop = PeriodicThread("looking", "Looking", tick, at_end=lambda: ended.append(1))
    loop.start()
    assert ticked.acquire(timeout=30)
    loop.wake()
    assert ticked.acquire(timeout=30)
    loop.stop(30)
    assert ended == [1]
    assert not ticked.acquire(blocking=False)


def test_zero_pause_ticks_at_once():
    """A wake during a tick shortens the pause after it."""
    rests, ticks, done = iter([0.0, 0.0, 3600.0]), [], threading.Event()

    def tick():
        ticks.append(1)
        if len(ticks) == 3:
            loop.wake()
        if len(ticks) == 4:
            done.set()
        return next(rests, 3600.0)

    loop = PeriodicThread("looking", "Looking", tick)
    loop.start()
    assert done.wait(30)
    loop.stop(30)
    assert len(ticks) == 4


def test_stop_does_not_wait_for_a_hanging_tick():
    """`stop` returns after its timeout."""
    begun, let_go = threading.Event(), threading.Event()

    def tick():
        begun.set()
        let_go.wait(60)

    loop = PeriodicThread("looking", "Looking", tick)
    loop.start()
    assert begun.wait(30)
    loop.stop(0.01)
    assert loop.stopping
    let_go.set()
    loop.stop(30)


def test_hanging_ticks_are_waited_for_together(monkeypatch):
    """Ten unavailable Alertmanagers delay a reload no longer than one, and SIGTERM after SIGHUP no longer than it."""
    now, given = [100.0], []
    monkeypatch.setattr(periodic.time, "monotonic", lambda: now[0])

    class Hanging(PeriodicThread):
        def stop(self, patience=1.0):
            given.append((self, patience))
            now[0] += patience

    loops = [Hanging("looking", "Looking", lambda: None) for _ in range(10)]
    stop_all(iter(loops), 1.5)
    assert given[:10] == [(loop, 0.0) for loop in loops]
    assert [loop for loop, _ in given[10:]] == loops
    assert now[0] == 101.5
