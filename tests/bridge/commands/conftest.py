"""A configured bridge at rest: a BigPanda, a store, and the commands run as a shell runs them."""

from types import SimpleNamespace

import pytest

from bridge.__main__ import main
from bridge.config import load
from tests.bridge.alerts import alert_at
from tests.store import Store

NOW = 1_700_000_000.0


@pytest.fixture
def config(tmp_path, panda):
    """Write a configuration; return its path."""
    file = tmp_path / "bridge.yml"
    file.write_text(
        f"database: sqlite:///{tmp_path}/bridge.db\n"
        f"bigpanda: {{url: '{panda.url}', app_key: app, token: bp-token, timeout: 5s}}\n"
        "receivers:\n"
        "  - {receiver: alertmanager, source: prod, bearer_token: am-token}\n"
        "  - {receiver: alertmanager, source: lab, bearer_token: am-token, app_key: lab-key}\n"
    )
    return file


@pytest.fixture
def run(config, capsys):
    """Run a command; return its exit status, what it printed, and what it complained of."""

    def one(*arguments):
        try:
            status = main([*arguments, f"--config.file={config}"])
        except SystemExit as ended:
            status = ended.code
        printed = capsys.readouterr()
        return SimpleNamespace(status=status, out=printed.out, err=printed.err)

    return one


class Filled:
    """The store of a configuration, with ways to put things into it."""

    def __init__(self, config):
        self.config = load(config)
        self.store = Store(self.config.database.read())

    def ingest(self, *names, source="prod", now=NOW, **more):
        """Ingest alerts that fire."""
        settings = next(one for one in self.config.receivers if one.source == source)
        alerts = [alert_at(now, name, source=source, **more) for name in names]
        return self.store.ingest.accept([settings.notification(alerts=alerts)], now)

    def bury(self, *names, reason="BigPanda answered 400: no\nhost \x1b[31m"):
        """Make dead letters; return their ids."""
        self.ingest(*names)
        claimed = self.store.queue.claim(len(names), NOW, 60)
        for one in claimed:
            self.store.queue.bury(one, reason, NOW + 5)
        return [one.id for one in claimed]

    def statuses(self):
        return {state.key: str(state.status) for state in self.store.alerts.open_alerts("prod")}

    def queued(self):
        return self.store.status.counts(NOW + 100).waiting

    def dead(self):
        return [letter.id for letter in self.store.dead_letters.oldest()]


@pytest.fixture
def filled(config):
    made = Filled(config)
    yield made
    made.store.close()
