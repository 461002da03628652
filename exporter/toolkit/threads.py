"""Calls that cannot be interrupted, each in a thread that is abandoned when nobody waits any longer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(name: str, act: Callable[[], T]) -> Future[T]:
    """Return the outcome of `act`, begun in a thread. Raises RuntimeError if the system allows no more threads."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(act())
        except BaseException as error:  # noqa: BLE001  whatever it is, the one who waits gets it
            outcome.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome
