"""`check`: the configuration, the database, and every URL that bridge.yml names, without sending an event."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from bridge.commands import output
from bridge.config import Config, load
from bridge.delivery.bigpanda_client import BigPanda
from bridge.delivery.integration_api import integration_api
from bridge.errors import DeliveryError, Rejected, Stopped, Unanswered
from bridge.incidents.callback import CallbackService
from bridge.incidents.incidents_client import IncidentsClient
from bridge.incidents.silence_client import SilenceApi
from bridge.outbox.database import Database
from bridge.outbox.status import OutboxStatus
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Callback
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.reconcile.alertmanager_client import AlertmanagerApi, origin

Result = tuple[str, bool, str]
"""What was checked, whether it is well, and what was found."""
_RECENT: Final = 300.0
"""Seconds."""
_REFUSED: Final = frozenset({401, 403})
_UNKNOWN_INCIDENT: Final = frozenset({400, 404, 409, 422})


def check(arguments: Namespace) -> int:
    """Check everything that is configured; exit 1 when one thing is not well."""
    config = load(arguments.config_file)
    output.line(f"configuration: ok, {len(config.receivers)} receivers")
    failed = False
    for name, well, found in _checks(config):
        output.line(f"{name}: {'ok, ' if well else ''}{found}")
        failed |= not well
    return 1 if failed else 0


def _checks(config: Config) -> Iterator[Result]:
    with closing(Database(config.database.read())) as database:
        status = OutboxStatus(database)
        writable, counts = status.writable(), status.counts(time.time())
    found = f"{counts.waiting} events queued, {counts.dead} dead letters, {counts.quarantined} in quarantine"
    yield "database", writable, found if writable else "cannot be written"
    yield _alerts_api(config)
    if config.bigpanda.confirm is not None:
        with closing(integration_api(config.bigpanda, config.bigpanda.confirm)) as api:

            def confirmed() -> str:
                """Ask what the confirmation would ask, of every integration, about the last minutes."""
                since, app_keys = time.time() - _RECENT, {one.mapping.app_key for one in config.receivers}
                for app_key in sorted(app_keys):
                    next(api.alerts(app_key, since))
                next(api.diagnostics(since))
                return f"BigPanda says what {len(app_keys)} integrations took in"

            yield _asked("bigpanda.confirm", confirmed)
    if config.incidents is not None:
        with closing(IncidentsClient(config.incidents)) as client:
            yield _asked("incidents", lambda: f"{len(client.environments())} environments visible")
    for one in config.receivers:
        if isinstance(one, AlertmanagerSettings) and one.reconcile is not None:
            with closing(AlertmanagerApi(one)) as alertmanagers:
                for url, answer in zip(one.reconcile.urls, alertmanagers.ask(time.time()), strict=True):
                    well = not isinstance(answer, Unanswered)
                    found = str(answer) if isinstance(answer, Unanswered) else f"{len(answer.listed)} alerts listed"
                    yield f"reconcile {one.source} {origin(url)}", well, found
        if isinstance(one, BigPandaSettings) and one.silences is not None:
            with closing(SilenceApi(one.silences, "check")) as silences:
                yield _asked(f"silences {one.source}", lambda: f"{len(silences.ours())} of ours")
        if isinstance(one, BigPandaSettings) and one.callback is not None:
            yield _callback(one.source, one.callback)


def _alerts_api(config: Config) -> Result:
    """Send a batch of no events: credentials are looked at before what a batch holds, and nothing can become of it."""
    said = ""
    found = config.bigpanda
    with closing(BigPanda(found.url, found.token, found.timeout, found)) as client:
        try:
            client.send([], found.app_key)
        except Rejected as error:
            said = f"; {error}"  # about the batch, or about the app key
        except Stopped as error:
            whose = (
                "the credentials are refused" if error.status in _REFUSED else "this is not the Alerts API: see the URL"
            )
            return "bigpanda", False, f"{whose}: {error}"
        except DeliveryError as error:
            return "bigpanda", False, f"no answer to rely on: {error}"
    return "bigpanda", True, f"the credentials are accepted (asked with a batch of no events{said})"


def _callback(source: str, callback: Callback) -> Result:
    """Confirm the share of an incident that does not exist: credentials come first, and nothing is unlocked."""
    name, said = f"callback {source}", ""
    with closing(CallbackService(callback)) as client:
        try:
            client.confirm("vendorwatch-check")
        except DeliveryError as error:
            if error.status in _REFUSED:
                return name, False, f"the credentials are refused: {error}"
            if error.status not in _UNKNOWN_INCIDENT:
                return name, False, f"no answer to rely on: {error}"
            said = f"; {error}"
    return name, True, f"the credentials are accepted (asked about no incident{said})"


def _asked(name: str, ask: Callable[[], str]) -> Result:
    try:
        return name, True, ask()
    except DeliveryError as error:
        return name, False, str(error)
