"""The cost of polling and rendering: processor time for a request and for a series, against prometheus_client."""

import gc
import gzip
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import requests
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.metrics.gzip_stream import Block
from exporter.metrics.text_format import Rendered, compose, lines, render
from tests.bench import servers
from tests.bench.account import SERIES, families
from tests.bench.client import Load, get, quantile, run
from tests.bench.figures import Promise, Table
from tests.bench.machine import cpu_seconds
from tests.bench.stock import registry
from tests.system.running import Program, free_port, python, until

OURS, STOCK = "vendorwatch", "prometheus_client"


def rendering(sizes: Sequence[int]) -> Table:
    """Render the same families with both, the best of some times."""
    rows: dict[str, dict[str, float]] = {}
    for size in sizes:
        found = families(-(-size // SERIES), time.time())
        page = compose([render(found, "a")], openmetrics=False)
        stock = registry(b"".join(block.plain for block in page).decode())
        text: Callable[[], object] = lambda of=found: [b"".join(lines(one.metric, one.samples, "a")) for one in of]  # noqa: E731
        whole: Callable[[], object] = lambda found=found: _ours(render(found, "a"))  # noqa: E731
        rows[f"{size:,} series, text"] = {OURS: best(text), STOCK: best(lambda stock=stock: generate_latest(stock))}
        rows[f"{size:,} series, both formats, plain and gzip"] = {
            OURS: best(whole),
            STOCK: best(lambda stock=stock: _everything(stock), 1),
        }
    row, every = rows[f"{size:,} series, text"], rows[f"{size:,} series, both formats, plain and gzip"]
    promises = [
        Promise(f"rendering {size:,} series as text times prometheus_client", row[OURS] / row[STOCK], 0.2),
        Promise(f"rendering {size:,} series in all forms times prometheus_client", every[OURS] / every[STOCK], 0.2),
    ]
    notes = ["gzip as each has it: prometheus_client at level 9 for each scrape, we at 6 once per change."]
    return Table("rendering", "Rendering", "ms", rows, notes, promises)


def _ours(rendered: Rendered) -> list[list[Block]]:
    return [compose([rendered], openmetrics=openmetrics) for openmetrics in (False, True)]


def _everything(stock) -> list[bytes]:
    forms = [generate_latest(stock), openmetrics.generate_latest(stock)]
    return forms + [gzip.compress(form) for form in forms]


def best(do: Callable[[], object], times: int = 3) -> float:
    """Return the milliseconds of the fastest of some runs. What is there already is no garbage, for either."""
    found = []
    gc.collect()
    gc.freeze()
    for _ in range(times):
        began = time.perf_counter()
        do()
        found.append(1000 * (time.perf_counter() - began))
    return min(found)


def vendor(folder: Path, monitors: int) -> Program:
    """Make a vendor with so many monitors and no limit."""
    port = free_port()
    command = python("tests.bench.vendor", str(port), str(monitors))
    return Program("vendor", command, folder / "vendor.log", f"http://127.0.0.1:{port}", "/ready")


def cost(monitors: int, seconds: float) -> Table:
    """Poll as fast as it goes, and count processor time and requests."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with vendor(folder, monitors) as api:
            target = servers.quiet(base_url=api.url, certificates=False, requests_per_minute=600_000,
                                   poll_interval="1s", uptime_interval="1s")  # fmt: skip
            with servers.exporter(folder, [(target, 0)]) as ours:
                before, cpu, began = _requests(ours), cpu_seconds(ours.pid), time.monotonic()
                time.sleep(seconds)
                sent, used = _requests(ours) - before, cpu_seconds(ours.pid) - cpu
                took = time.monotonic() - began
    each = used / sent
    hourly = 55 * 60 * each
    rows = {
        "a request, with what it changes on the page": {"milliseconds": 1000 * each},
        "a monitor and hour, of 500 at 55 requests a minute": {"milliseconds": 1000 * hourly / 500},
        "an account at 55 requests a minute, of one core": {"percent": 100 * hourly / 3600},
        "requests a second, as fast as it goes": {"a second": sent / took},
    }
    return Table("polls", "What polling costs", "processor time", rows, [f"{monitors} monitors, over HTTP."])


def _requests(program: Program) -> float:
    page = requests.get(f"{program.url}/metrics", timeout=30).text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines()
               if line.startswith("vendorwatch_api_requests_total{"))  # fmt: skip


def held(size: int, seconds: float) -> Table:
    """Change a large target all the time, and time what is asked meanwhile of another one's page and of health."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        monitors = -(-size // SERIES)
        with vendor(folder, monitors) as api:
            busy = servers.quiet("large", base_url=api.url, requests_per_minute=600, uptime_interval="1s",
                                 certificates=True)  # fmt: skip
            with (
                servers.exporter(folder, [(busy, monitors)]) as ours,
                servers.exporter(folder, [(servers.quiet("still"), monitors)], "still") as still,
            ):
                rows = {name: dict(_held(program, seconds)) for name, program in
                        ((f"{size:,} series rendered again and again", ours), ("nothing rendered", still))}  # fmt: skip
    busiest = rows[f"{size:,} series rendered again and again"]
    promise = Promise(
        f"the longest that health is held while {size:,} series are rendered", busiest["health, longest"], 25, "ms"
    )
    whole = Promise(
        f"the longest that a whole page is held while {size:,} series are rendered", busiest["page, longest"], 25, "ms"
    )
    return Table(
        "held",
        "Held by a render",
        "ms",
        rows,
        ["A request every 10 ms; one page carries every target."],
        [promise, whole],
    )


def _held(program: Program, seconds: float) -> Iterator[tuple[str, float]]:
    until("rendered", lambda: b"vigilmon_" in requests.get(f"{program.url}/metrics", timeout=60).content)
    for name, path in (("health", "/-/healthy"), ("page", "/metrics")):
        times: list[float] = []
        end = time.monotonic() + seconds / 2
        while time.monotonic() < end:
            load = Load(
                servers.port_of(program), [get(path, packed=True, close=True)], 0.0, most=1, new_connections=True
            )
            times += run(load).times
            threading.Event().wait(0.01)
        yield f"{name}, median", 1000 * quantile(times, 0.5)
        yield f"{name}, p99", 1000 * quantile(times, 0.99)
        yield f"{name}, longest", 1000 * max(times)
