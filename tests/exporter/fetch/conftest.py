import time

import pytest

from tests.sandbox.certificates import Certificates


@pytest.fixture(scope="module")
def sandbox():
    """Give the sandbox's TLS endpoints."""
    made = Certificates(time.time)
    yield made
    made.close()
