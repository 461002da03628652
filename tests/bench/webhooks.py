"""Webhooks: answers per second and how long the slowest waits, against the raw disk and against no storage at all."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
import yaml

from bridge.outbox.sqlite_engine import journal_mode, sqlite3
from tests.bench import cluster, durable
from tests.bench.client import Clients, Heard, Load, post, quantile
from tests.bench.figures import Promise, Table
from tests.system.running import Program, free_port, python

SENDERS = 8
DELAY = 0.2
"""Seconds that the synchronous relay's destination takes."""
TOKEN = b"@@@@@@@@"
_UNSTORED, _HEALTHY, _HANGING = "no storage", "SQLite", "SQLite, BigPanda hangs"
_POSTGRESQL, _RELAY, _RELAY_1 = "PostgreSQL", "synchronous relay, 8 threads", "synchronous relay, 1 worker"
_QUICK, _RAW_QUICK = "SQLite, no flush to wait for", "raw loop, no flush to wait for"
_SHM = Path("/dev/shm")  # noqa: S108  a file system in memory: what is left is what the programs take
_RAW, _RAW_PG = "raw loop, SQLite", "raw loop, PostgreSQL"


def tables(clients: Clients, seconds: float, *, quick: bool = False) -> list[Table]:
    """Measure everything with 1 and, unless `quick`, with 100 alerts a webhook, `seconds` each."""
    rates: dict[str, dict[str, float]] = {}
    waits: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        memory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=_SHM if _SHM.is_dir() else None))
        )
        database = stack.enter_context(cluster.postgresql()) if cluster.THERE else ""
        for alerts in (1,) if quick else (1, 100):
            rate, wait = _measured((folder, memory), clients, alerts, seconds, database)
            rates[f"{alerts} alert{'s' * (alerts > 1)} a webhook"] = rate
            waits[f"{alerts} alert{'s' * (alerts > 1)} a webhook"] = wait
    notes = [f"Alerts per second. {SENDERS} senders, each on its own connection; no alert is ever sent twice."]
    if not cluster.THERE:
        notes.append("Not measured, for it is not installed: PostgreSQL.")
    return [
        Table("webhooks", "Webhooks made durable", "alerts/s", rates, notes, [] if quick else promised(rates, waits)),
        Table(
            "waits",
            "How long a sender waits",
            "ms, p99",
            waits,
            ["From the request's first byte to the answer's last."],
        ),
    ]


def promised(rates: Mapping[str, Mapping[str, float]], waits: Mapping[str, Mapping[str, float]]) -> list[Promise]:
    """Return what is promised of the rates in alerts/s and the waits in ms, each by the size of a webhook."""
    one, many = rates["1 alert a webhook"], rates["100 alerts a webhook"]
    slow = waits["1 alert a webhook"]
    promises = [
        Promise(
            "8 senders, 1 alert: answers/s times those without storage",
            one[_HEALTHY] / one[_UNSTORED],
            0.55,
            least=True,
        ),
        Promise("8 senders, 1 alert, no flush to wait for: the same", one[_QUICK] / one[_UNSTORED], 0.55, least=True),
        Promise(
            "8 senders, 100 alerts: alerts/s times the raw durable loop", many[_HEALTHY] / many[_RAW], 0.4, least=True
        ),
        Promise(
            "8 senders, 100 alerts, no flush to wait for: the same", many[_QUICK] / many[_RAW_QUICK], 0.4, least=True
        ),
        Promise("p99 with BigPanda hanging times that with it healthy", slow[_HANGING] / slow[_HEALTHY], 1.2),
        Promise(
            "answers/s times a synchronous relay with one worker, destination 200 ms",
            one[_HEALTHY] / one[_RELAY_1],
            100,
            least=True,
        ),
        Promise(
            "answers/s times a synchronous relay with 8 threads, destination 200 ms",
            one[_HEALTHY] / one[_RELAY],
            30,
            least=True,
        ),
    ]
    if cluster.THERE:
        promises.append(
            Promise(
                "8 senders, 100 alerts, PostgreSQL: alerts/s times the raw durable loop",
                many[_POSTGRESQL] / many[_RAW_PG],
                0.4,
                least=True,
            )
        )
    return promises


def _measured(
    folders: tuple[Path, Path], clients: Clients, alerts: int, seconds: float, database: str
) -> tuple[dict[str, float], dict[str, float]]:
    rates, waits = {}, {}
    folder, memory = folders
    mode = journal_mode(sqlite3.sqlite_version_info)
    rates[_RAW] = durable.sqlite_alerts(folder, alerts, seconds / 2, mode)
    rates[_RAW_QUICK] = durable.sqlite_alerts(memory, alerts, seconds / 2, mode)
    if database:
        rates[_RAW_PG] = durable.postgresql_alerts(fresh(database, f"raw{alerts}"), alerts, seconds / 2)
    for name, server in _servers(folder, memory, alerts, database):
        with server as program:
            results = clients.together([sender(program, alerts, number, seconds) for number in range(SENDERS)])
        if not all(len(each.times) == each.ok for each in results):
            raise RuntimeError(f"{name} did not answer every webhook with 200")
        rates[name] = per_second(results) * alerts
        waits[name] = 1000 * quantile([each for one in results for each in one.times], 0.99)
    return rates, waits


def per_second(results: Sequence[Heard]) -> float:
    """Return the answers of all senders per second."""
    return sum(len(one.times) / one.took for one in results)


def _servers(folder: Path, memory: Path, alerts: int, database: str) -> Iterator[tuple[str, object]]:
    yield _UNSTORED, standin(folder, "unstored")
    yield _HEALTHY, bridge(folder, f"sqlite:///{folder}/healthy{alerts}.db", 0.01)
    yield _QUICK, bridge(folder, f"sqlite:///{memory}/healthy{alerts}.db", 0.01)
    yield _HANGING, bridge(folder, f"sqlite:///{folder}/hanging{alerts}.db", 3600.0)
    if database:
        yield _POSTGRESQL, bridge(folder, fresh(database, f"bridge{alerts}"), 0.01)
    if alerts == 1:
        yield _RELAY, relay(folder, "8")
        yield _RELAY_1, relay(folder, "1")


def standin(folder: Path, kind: str, *more: str) -> Program:
    """Make one of `standins`."""
    port = free_port()
    command = python("tests.bench.standins", kind, str(port), *more)
    ready = "/-/ready" if kind == "unstored" else "/"
    return _Answering(kind, command, folder / f"{kind}.log", f"http://127.0.0.1:{port}", ready)


class _Answering(Program):
    """A program that is ready once it answers at all."""

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} ended:\n{self.tail()}")
        return requests.get(self.url + self.ready, timeout=5).status_code < 500


@contextmanager
def relay(folder: Path, threads: str) -> Iterator[Program]:
    """Run a synchronous relay before a destination that takes its time."""
    with standin(folder, "destination", str(DELAY)) as panda, standin(folder, "relay", panda.url, threads) as running:
        yield running


@contextmanager
def bridge(folder: Path, database: str, delay: float, per_minute: int = 6000) -> Iterator[Program]:
    """Run the bridge before a BigPanda that answers after `delay` seconds."""
    with standin(folder, "destination", str(delay)) as panda:
        port = free_port()
        config = {
            "database": database,
            "bigpanda": {"url": f"{panda.url}/data/v2/alerts", "app_key": "app", "token": "t",
                         "events_per_minute": per_minute, "timeout": "10s"},
            "receivers": [{"receiver": "alertmanager", "source": "prod"}],
        }  # fmt: skip
        file = folder / "bridge.yml"
        file.write_text(yaml.safe_dump(config))
        flags = (f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error")
        with Program("bridge", python("bridge", *flags), folder / "bridge.log", f"http://127.0.0.1:{port}") as running:
            yield running
            running.kill()


def fresh(database: str, name: str) -> str:
    """Create a database; return its URL."""
    import psycopg  # noqa: PLC0415  only where PostgreSQL is

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{database.rpartition('/')[0]}/{name}"


def sender(program: Program, alerts: int, number: int, seconds: float) -> Load:
    """Return what one Alertmanager sends: webhooks of `alerts` alerts, none of which is ever sent twice."""
    request = post("/webhooks/alertmanager/prod", webhook(alerts, number))
    return Load(int(program.url.rpartition(":")[2]), [request], seconds, token=TOKEN)


def webhook(alerts: int, number: int) -> bytes:
    """Return a webhook's body; `TOKEN` in it is replaced for each request."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    token = TOKEN.decode()
    listed = [
        {
            "status": "firing",
            "labels": {"alertname": "InstanceDown", "severity": "critical", "instance": f"web-{token}-{place}:9100",
                       "job": "node", "team": "shop", "region": "eu-west"},
            "annotations": {"summary": f"Instance web-{place} is down", "description": "It was not scraped for 5 min.",
                            "runbook_url": "https://runbooks.example.com/InstanceDown"},
            "startsAt": moment,
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "fingerprint": f"{number:02x}{token}{place:06x}",
        }
        for place in range(alerts)
    ]  # fmt: skip
    body = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "bigpanda",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.com", "alerts": listed}  # fmt: skip
    return json.dumps(body).encode()
