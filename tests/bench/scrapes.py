"""Whole GETs of the page: against nginx with the same bytes, prometheus_client's own server and pushgateway."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import requests

from tests.bench import servers
from tests.bench.account import SERIES
from tests.bench.client import Clients, Load, get
from tests.bench.figures import Promise, Table
from tests.bench.machine import resident
from tests.system.running import Program

NGINX, STOCK, GATEWAY, OURS = "nginx", "prometheus_client", "pushgateway", "vendorwatch"
TURNS = 5
SLOW = frozenset({STOCK, GATEWAY})
Forms = Sequence[tuple[bool, int, bool]]
ALL: Forms = [(packed, clients, new) for packed in (True, False) for clients in (1, 4) for new in (False, True)]


def tables(clients: Clients, sizes: Sequence[int], seconds: float) -> list[Table]:
    """Measure every size; `seconds` for each measurement of a fast server."""
    rows: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    promises: list[Promise] = []
    memory: dict[str, dict[str, float]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found, held = _size(Path(folder), clients, size, seconds)
        rows |= {f"{size:,} series, {form}": values for form, values in found.items()}
        memory[f"{size:,} series"] = held
    if size == 100_000:
        promises += _promised(found)
        allowed = 3 * held["plain page"] + 60
        promises.append(
            Promise("memory of the exporter, 100,000 series: 3 times the page + 60 MB", held["resident"], allowed, "MB")
        )
    missing = [name for name, there in ((NGINX, servers.NGINX), (GATEWAY, servers.PUSHGATEWAY)) if not there]
    if missing:
        notes.append(f"Not measured, for it is not installed: {', '.join(missing)}.")
    notes.append("Median of whole answers, the best of five turns, from the request's first byte to the answer's last.")
    return [
        Table("scrapes", "One scrape", "ms", rows, notes, promises),
        Table("memory", "Memory of the exporter", "MB", memory, ["After the scrapes above, by every form."]),
    ]


def _promised(found: Mapping[str, Mapping[str, float]]) -> Iterator[Promise]:
    one, new, four = (found[f"gzip, {form}"] for form in ("1 client", "1 client, new connections", "4 clients"))
    ours = "a scrape of 100,000 series, gzip"
    if NGINX in one:
        yield Promise(f"{ours}: times nginx's static file", one[OURS] / one[NGINX], 1.5)
        yield Promise(f"{ours}, on a new connection: times nginx's static file", new[OURS] / new[NGINX], 1.3)
        yield Promise(f"{ours}, four at once: times nginx's static file", four[OURS] / four[NGINX], 1.5)
    yield Promise(f"{ours}: times faster than prometheus_client's server", one[STOCK] / one[OURS], 1000, least=True)
    if GATEWAY in one:
        yield Promise(f"{ours}: times faster than pushgateway", one[GATEWAY] / one[OURS], 300, least=True)


def _size(
    folder: Path, clients: Clients, size: int, seconds: float
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    with ExitStack() as stack:
        ours = stack.enter_context(servers.exporter(folder, [(servers.quiet(), -(-size // SERIES))]))
        page, packed = settled(ours, size)
        rest = list(_others(folder, page, packed))
        for program in rest:
            stack.enter_context(program)
            if program.name == GATEWAY:
                servers.push(program, vendors_only(page))
        programs = {OURS: ours} | {program.name: program for program in rest}
        found = {described(form): _form(programs, clients, form, seconds) for form in ALL}
        held = {"plain page": len(page) / 1e6, "gzip page": len(packed) / 1e6, "resident": resident(ours.pid) / 1e6}
    return found, held


def _others(folder: Path, page: bytes, packed: bytes) -> Iterator[Program]:
    if servers.NGINX:
        yield servers.nginx(folder, page, packed)
    yield servers.stock(folder, page)
    if servers.PUSHGATEWAY:
        yield servers.pushgateway(folder, page)


def described(form: tuple[bool, int, bool]) -> str:
    """Return a form's name."""
    packed, count, new = form
    return f"{'gzip' if packed else 'plain'}, {count} client{'s' * (count > 1)}{', new connections' * new}"


def _form(
    programs: Mapping[str, Program], clients: Clients, form: tuple[bool, int, bool], seconds: float
) -> dict[str, float]:
    """Measure each program in turn, some times, and keep each one's best median: what else runs here only adds."""
    packed, count, new = form
    found: dict[str, list[float]] = {}
    for turn in range(TURNS):
        for name, program in programs.items():
            if name in SLOW and (new or turn):
                continue
            load = Load(servers.port_of(program), [get("/metrics", packed=packed, close=new)], seconds / TURNS,
                        least=2 if name in SLOW else 5, new_connections=new)  # fmt: skip
            results = clients.together([load] * count)
            if not all(len(one.times) == one.ok for one in results):
                raise RuntimeError(f"{name} did not answer every GET with 200")
            found.setdefault(name, []).append(1000 * median([each for one in results for each in one.times]))
    return {name: min(each) for name, each in found.items()}


def settled(program: Program, series: int) -> tuple[bytes, bytes]:
    """Wait until the page has so many series, and return it plain and packed."""
    end = time.monotonic() + 60
    while True:
        page = requests.get(f"{program.url}/metrics", headers={"Accept-Encoding": "identity"}, timeout=60).content
        if vendors_only(page).count(b"\nvigilmon_") >= series * 0.95:
            break
        if time.monotonic() > end:
            raise RuntimeError(f"{program.name} does not show {series} series:\n{program.tail()}")
        time.sleep(0.2)
    with requests.get(f"{program.url}/metrics", headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60) as reply:
        return page, reply.raw.read()


def vendors_only(page: bytes) -> bytes:
    """Return a page without the exporter's own families: pushgateway has some of the same names."""
    return b"".join(line for line in page.splitlines(keepends=True) if b"vigilmon_" in line[:30])
