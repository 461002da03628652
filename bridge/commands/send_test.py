"""`send-test`: sends a test alert and its resolution along the real path, and prints BigPanda's answers."""

import math
import time
from argparse import Namespace
from contextlib import closing
from dataclasses import replace

from bridge.commands import output
from bridge.config import load
from bridge.delivery.bigpanda_client import BigPanda
from bridge.domain.event import Status, draft, status_of
from bridge.errors import DeliveryError


def send_test(arguments: Namespace) -> int:
    """Send a test alert and, a second later, its resolution; report BigPanda's answers."""
    config = load(arguments.config_file)
    settings = next((one for one in config.receivers if arguments.source in (None, one.source)), None)
    if settings is None:
        output.line(f"send-test: no receiver has the source {arguments.source}")
        return 1
    began = math.floor(time.time())
    test = settings.alert(
        f"vendorwatch-test-{began}",
        name="VendorwatchTest",
        firing=True,
        severity="warning",
        labels={"alertname": "VendorwatchTest", "severity": "warning"},
        annotations={"description": "A test of the path from vendorwatch to BigPanda; it resolves itself."},
        starts_at=began,
    )
    with closing(BigPanda(config.bigpanda)) as client:
        try:
            for at, alert in ((began, test), (began + 1, replace(test, firing=False, ends_at=began + 1))):
                # BigPanda may drop a second event within the same second, even with another status.
                time.sleep(max(0.0, at - time.time()))
                status = status_of(alert, settings.mapping)[0] or Status.WARNING
                event = draft(alert, status, settings.mapping).freeze(at)
                answer = client.send([event], settings.mapping.app_key)
                output.line(f"{alert.key} {status.value}: {answer} by BigPanda")
        except DeliveryError as error:
            output.line(f"send-test: not accepted: {error}")
            return 1
    return 0
