"""`send`: sends one event through an `alerts_api` receiver, from any machine; exits with 0 once it is durable."""

import json
import threading
import time
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from bridge.commands import output
from exporter.toolkit.config_types import Secret, problems
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import ClientError, HttpError
from exporter.toolkit.http_settings import HttpClientSettings, is_url

_PATH: Final = "/data/v2/alerts"
_CREATED, _DUPLICATE = 201, 204
_WORTH_RETRYING: Final = frozenset({408, 429, 500, 502, 503, 504})
_PAUSE: Final = 1.0


def send(arguments: Namespace) -> int:
    """Send one event, retrying with the same bytes for as long as --timeout allows: a duplicate does no harm."""
    if not is_url(arguments.url):
        output.problem("send: --url: not a URL: must begin with http:// or https:// and a host")
        return 1
    if not 0 < arguments.timeout < threading.TIMEOUT_MAX - 1:
        output.problem(f"send: --timeout: {arguments.timeout:g}: not a number of seconds that a clock can measure")
        return 1
    try:
        token = Secret(file=Path(arguments.token_file)).read()
        settings = HttpClientSettings.model_validate({"ca_file": arguments.ca_file})
    except ValidationError as error:
        output.problem(f"send: --ca-file: {problems(error)[0].removeprefix('ca_file: ')}")
        return 1
    except ValueError as error:
        output.problem(f"send: --token-file: {error}")
        return 1
    url = arguments.url.rstrip("/").removesuffix(_PATH) + _PATH
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body, pause = json.dumps(event(arguments, time.time())).encode(), _PAUSE
    deadline = time.monotonic() + arguments.timeout
    while True:
        reason, again = _attempt(settings, url, headers, body, deadline - time.monotonic())
        if not reason:
            return 0
        if not again or time.monotonic() + pause >= deadline:
            output.problem(f"send: not accepted: {reason}")
            return 1
        time.sleep(pause)
        pause *= 2


def event(arguments: Namespace, now: float) -> dict[str, Any]:
    """Return the event for BigPanda's Alerts API. A tag cannot replace a member of the event."""
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
    return dict(arguments.tags) | members | described


def _attempt(
    settings: HttpClientSettings, url: str, headers: dict[str, str], body: bytes, patience: float
) -> tuple[str, bool]:
    """Return why it was not accepted ("" once it is durable), and whether a retry may help."""
    with closing(HttpClient(settings, max(patience, 0.1))) as client:
        try:
            answer = client.request("POST", url, headers=headers, body=body, repeatable=True)
        except ClientError as error:
            return str(error), False
        except HttpError as error:
            return str(error), True
    if answer.status in {_CREATED, _DUPLICATE}:
        return "", False
    text = " ".join(answer.body.decode("utf-8", "replace").split())[:500]
    return f"the bridge answered {answer.status}: {text}", answer.status in _WORTH_RETRYING
