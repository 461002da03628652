"""`check`: checks the configuration, the database and every URL in bridge.yml, without sending an event."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Final

from bridge.commands import output
from bridge.config import Config, load
from bridge.delivery.bigpanda_client import BigPanda
from bridge.delivery.integration_api import IntegrationApi
from bridge.errors import DeliveryError, Rejected, Stopped, Unanswered, Unavailable
from bridge.incidents.callback import CallbackService
from bridge.incidents.incidents_client import IncidentsClient
from bridge.incidents.silence_client import SilenceApi
from bridge.outbox.database import Database
from bridge.outbox.outbox import Outbox
from bridge.receivers.alertmanager import Settings as AlertmanagerSettings
from bridge.receivers.bigpanda import Settings as BigPandaSettings
from bridge.receivers.settings import ReceiverSettings
from bridge.reconcile.alertmanager_client import AlertmanagerApi, origin
from bridge.reconcile.reconciler import names_of
from exporter.toolkit.config_types import ConfigError
from exporter.toolkit.text import counted

Result = tuple[str, bool, str]
"""The name of a check, whether it passed, and its finding."""
_RECENT: Final = 300.0
"""Seconds."""
_REFUSED: Final = frozenset({401, 403})
_UNKNOWN_INCIDENT: Final = frozenset({400, 404, 409, 422})


def check(arguments: Namespace) -> int:
    """Check everything that is configured; return 1 if a check fails."""
    config = load(arguments.config_file)
    output.line(f"configuration: ok, {counted(len(config.receivers), 'receiver')}")
    failed = False
    for name, well, found in _checks(config):
        output.line(f"{name}: {'ok, ' if well else ''}{found}")
        failed |= not well
    return 1 if failed else 0


def _checks(config: Config) -> Iterator[Result]:
    names: dict[str, set[str]] = {}

    def stored() -> str:
        """Write to the database, and count what is in it."""
        with closing(Database(config.database.read())) as database:
            outbox = Outbox(database)
            if problem := outbox.status.unwritable():
                raise Unavailable(problem)
            counts = outbox.status.counts(time.time())
            names.update((one.source, names_of(outbox, one)) for one in config.alertmanagers)
        queued, dead = counted(counts.waiting, "event"), counted(counts.dead, "dead letter")
        return f"{queued} queued, {dead}, {counts.quarantined} in quarantine"

    yield _attempted("database", stored)
    with closing(BigPanda(config.bigpanda)) as bigpanda:
        empty = partial(bigpanda.send, [], config.bigpanda.app_key)
        # What it rejects is the batch, or the app key.
        yield _credentials("bigpanda", empty, "an empty batch", lambda error: isinstance(error, Rejected))
    if config.bigpanda.confirm is not None:
        with closing(IntegrationApi(config.bigpanda, config.bigpanda.confirm)) as api:

            def confirmed() -> str:
                """Send the confirmation's requests for every integration, about the last minutes."""
                since, app_keys = time.time() - _RECENT, {one.mapping.app_key for one in config.receivers}
                for app_key in sorted(app_keys):
                    next(api.alerts(app_key, since))
                next(api.diagnostics(since))
                return f"BigPanda lists the alerts of {counted(len(app_keys), 'integration')}"

            yield _attempted("bigpanda.confirm", confirmed)
    if config.incidents is not None:
        with closing(IncidentsClient(config.incidents)) as client:
            yield _attempted("incidents", lambda: f"{counted(len(client.environments()), 'environment')} visible")
    for one in config.receivers:
        yield from _receiver_checks(one, names.get(one.source, set()))


def _receiver_checks(one: ReceiverSettings, names: set[str]) -> Iterator[Result]:
    """Check what a receiver asks. `names`: Alertmanager's for it, if known."""
    if isinstance(one, AlertmanagerSettings) and one.reconcile is not None:
        with closing(AlertmanagerApi(one)) as alertmanagers:
            for url, answer in zip(one.reconcile.urls, alertmanagers.ask(time.time(), names), strict=True):
                name = f"reconcile {one.source} {origin(url)}"
                if isinstance(answer, Unanswered):
                    yield name, False, str(answer)
                else:
                    yield name, True, f"{counted(len(answer.listed), 'alert')} listed"
    if isinstance(one, BigPandaSettings) and one.silences is not None:
        with closing(SilenceApi(one.silences, "check")) as silences:
            yield _attempted(f"silences {one.source}", lambda: f"{len(silences.ours())} of ours")
    if isinstance(one, BigPandaSettings) and one.callback is not None:
        with closing(CallbackService(one.callback)) as service:
            unknown = partial(service.confirm, "vendorwatch-check")
            harmless = lambda error: error.status in _UNKNOWN_INCIDENT  # noqa: E731
            yield _credentials(f"callback {one.source}", unknown, "an unknown incident", harmless)


def _credentials(name: str, ask: Callable[[], object], about: str, harmless: Callable[[DeliveryError], bool]) -> Result:
    """Send a request of which nothing can come: BigPanda checks the credentials before the content."""
    detail = ""
    try:
        ask()
    except DeliveryError as error:
        if error.status in _REFUSED:
            return name, False, f"credentials rejected: {error}"
        if not harmless(error):
            wrong = "not this API: check the URL" if isinstance(error, Stopped) else "no conclusive response"
            return name, False, f"{wrong}: {error}"
        detail = f"; {error}"
    return name, True, f"credentials accepted (checked with {about}{detail})"


def _attempted(name: str, ask: Callable[[], str]) -> Result:
    try:
        return name, True, ask()
    except (DeliveryError, Unavailable, ConfigError) as error:
        return name, False, str(error).removeprefix(f"{name}: ")
