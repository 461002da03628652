"""Waiting for what other threads or processes do."""

import time


def eventually(condition, patience=60.0):
    """Wait until a condition holds, at most `patience` seconds, and return its result."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found
