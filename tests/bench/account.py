"""A Vigilmon account as large as wanted: what its API answers, and what the exporter knows once it has asked."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

from exporter.collectors.certificate_observations import observe
from exporter.collectors.contract import Certificate, Probe, Request, Response
from exporter.collectors.vigilmon.answers import History, read_monitors
from exporter.collectors.vigilmon.collector import Collector
from exporter.collectors.vigilmon.config import Settings
from exporter.collectors.vigilmon.knowledge import Known, Uptime, with_page
from exporter.metrics.families import Family
from exporter.polling.rate_budget import Budget
from exporter.polling.snapshot_files import Directory
from exporter.polling.snapshots import Snapshot
from exporter.polling.target_state import Target

PAGE = 20
SERIES = 13
"""Series of one https monitor of which everything is known."""
_WORDS = ("shop", "billing", "search", "mail", "login", "status", "assets", "docs", "partners", "reports", "intranet")


def settings(account: str = "a", rate: float = 50.0, url: str = "http://127.0.0.1:1", **more: object) -> Settings:
    """Return a target's settings, as exporter.yml would give them."""
    given = {"collector": "vigilmon", "account": account, "base_url": url, "token": "t", "requests_per_minute": rate}
    return Settings.model_validate(given | more)


def monitor(number: int, *, up: bool = True) -> dict[str, object]:
    """Return a monitor as a listing shows it: no two are alike, or gzip would have an easy time."""
    chance = Random(number)
    word, place = chance.choice(_WORDS), f"{chance.randrange(1 << 28):07x}"
    return {
        "id": number,
        "name": f"{word.title()} {place} of customer {chance.randrange(10_000)}",
        "url": f"https://{word}-{place}.example.com/{chance.randrange(1 << 20):x}/health",
        "method": "GET",
        "is_active": True,
        "current_status": "up" if up else "down",
        "last_checked_at": f"2026-11-20T12:{chance.randrange(60):02}:{chance.randrange(60):02}+00:00",
    }


def uptime(number: int) -> dict[str, float]:
    """Return a monitor's uptime in percent, by window."""
    chance = Random(-number)
    return {window: round(100 - chance.expovariate(2.0) % 100, 3) for window in ("24h", "7d", "30d")}


class Account:
    """Answers what the exporter asks about `count` monitors; those in `down` are down."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.down: set[int] = set()

    def body(self, path: str, page: int) -> bytes:
        """Return the JSON that Vigilmon answers to a GET of `path`."""
        if path == "/monitors":
            return json.dumps(self._listing(page)).encode()
        if path.endswith("/incidents"):
            number = int(path.split("/")[2])
            ongoing = [{"status": "ongoing"}] if number in self.down else []
            return json.dumps({"data": ongoing, "meta": {"total": 3 + len(ongoing)}}).encode()
        number = int(path.rpartition("/")[2])
        return json.dumps({"data": {**self._monitor(number), "uptime": uptime(number)}}).encode()

    def __call__(self, request: Request, now: float) -> Response | Certificate:
        """Response a Request of the simulation."""
        if isinstance(request, Probe):
            return Certificate(now, now + 5e6, valid=True)
        return Response(now, 200, self.body(request.path, int(dict(request.params).get("page", "1"))))

    def _monitor(self, number: int) -> dict[str, object]:
        return monitor(number, up=number not in self.down)

    def _listing(self, page: int) -> dict[str, object]:
        pages = max(1, -(-self.count // PAGE))
        numbers = range((page - 1) * PAGE + 1, min(page * PAGE, self.count) + 1)
        meta = {"current_page": page, "last_page": pages, "per_page": PAGE, "total": self.count}
        return {"data": [self._monitor(number) for number in numbers], "meta": meta}


class Checked(Account):
    """An account whose monitors were all checked just now: the status shown says itself how old it is."""

    now = 0.0

    def __call__(self, request: Request, now: float) -> Response | Certificate:
        self.now = now
        return super().__call__(request, now)

    def _monitor(self, number: int) -> dict[str, object]:
        checked = datetime.fromtimestamp(self.now, UTC).isoformat()
        status = "down" if number in self.down else "up"
        return {**_remembered(number), "current_status": status, "last_checked_at": checked}


_remembered = cache(monitor)


def knowledge(count: int, now: float) -> Known:
    """Return all that can be known of an account, as of `now`."""
    account = Account(count)
    known = Known()
    for page in range(1, -(-count // PAGE) + 1):
        known = with_page(known, page, now, read_monitors(account.body("/monitors", page)), 1_000_000)
    for identity, one in known.monitors.items():
        moment = now - 300 * int(identity) / count
        known.uptimes[identity] = Uptime(moment, uptime(int(identity)))
        known.incidents[identity] = History(moment, ongoing=0, recorded=3)
        ends = now + Random(identity).randrange(86_400, 90 * 86_400)
        known.observations[one.place] = observe(None, Certificate(moment, ends, valid=True))
    return known


def families(count: int, now: float, account: str = "a") -> list[Family]:
    """Return the exporter's knowledge of an account: `count` times `SERIES` series."""
    return list(Collector(settings(account)).families(knowledge(count, now), now))


def remember(folder: Path, chosen: Iterable[tuple[Settings, int]]) -> None:
    """Write what `--storage.path` brings back: targets of which everything is known."""
    now = time.time()
    directory = Directory(folder)
    for chosen_settings, count in chosen:
        budget = Budget.start(chosen_settings.requests_per_minute, now)
        target = Target(knowledge=knowledge(count, now), budget=budget, success=True)
        Snapshot(directory, chosen_settings, Collector(chosen_settings)).write(target, now)
