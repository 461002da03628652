"""`send`: sends one event through an `alerts_api` receiver, from any machine; exits with 0 once it is durable."""

import threading
import time
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from bridge.commands import output
from bridge.delivery.http_api import HttpApi
from bridge.errors import DeliveryError, Transient
from exporter.toolkit.config_types import Secret, problems
from exporter.toolkit.http_settings import BaseUrl, HeaderSecret, HttpClientSettings

_PATH: Final = "/data/v2/alerts"
_CREATED, _DUPLICATE = 201, 204
_PAUSE: Final = 1.0


class Target(HttpClientSettings):
    """Where to send, by the names of the flags."""

    url: BaseUrl
    token_file: HeaderSecret


def send(arguments: Namespace) -> int:
    """Send one event, retrying with the same content for as long as --timeout allows: a duplicate does no harm."""
    if not 0 < arguments.timeout < threading.TIMEOUT_MAX - 1:
        output.problem(f"send: --timeout: {arguments.timeout:g}: not a number of seconds that a clock can measure")
        return 1
    token = Secret(file=Path(arguments.token_file))
    try:
        target = Target.model_validate({"url": arguments.url, "token_file": token, "ca_file": arguments.ca_file})
    except ValidationError as error:
        for problem in problems(error):
            output.problem(f"send: --{problem.replace('_', '-', 1)}")
        return 1
    url = target.url.removesuffix(_PATH) + _PATH
    content, pause = event(arguments, time.time()), _PAUSE
    deadline = time.monotonic() + arguments.timeout
    while True:
        left = max(deadline - time.monotonic(), 0.1)
        try:
            with closing(HttpApi(target, left, target.token_file, "the bridge")) as api:
                answer = api.request("POST", url, content, repeatable=True)
            reason = "" if answer.status in {_CREATED, _DUPLICATE} else f"the bridge answered {answer.status}"
            again = False
        except DeliveryError as error:
            reason, again = str(error), isinstance(error, Transient)
        if not reason:
            return 0
        if not again or time.monotonic() + pause >= deadline:
            output.problem(f"send: not accepted: {reason}")
            return 1
        time.sleep(pause)
        pause *= 2


def event(arguments: Namespace, now: float) -> dict[str, Any]:
    """Return the event for BigPanda's Alerts API. A tag with the name of a member gets the prefix `label_`."""
    members = {
        "app_key": "vendorwatch",
        "status": arguments.status,
        "host": arguments.host,
        "check": arguments.check,
        "primary_property": "host",
        "secondary_property": "check",
        "timestamp": int(now),
    }
    described = {"description": arguments.description} if arguments.description else {}
    taken = members | described
    return {f"label_{name}" if name in taken else name: value for name, value in arguments.tags} | taken
