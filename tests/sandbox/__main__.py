"""`python -m tests.sandbox --listen 127.0.0.1:9700`: the sandbox as a program, for the demo and the benchmarks."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from tests.sandbox.server import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the first line of output is the URL."""
    flags = _flags().parse_args(arguments)
    host, _, port = flags.listen.rpartition(":")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox(listen=(host, int(port))) as sandbox:
        endpoints = [sandbox.certificates.open(kind).url for kind in flags.endpoints]
        if not flags.empty:
            sandbox.world.populate(monitors=flags.monitors, endpoints=endpoints)
        print(sandbox.url, flush=True)
        stop.wait()
    return 0


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0: a free one")
    parser.add_argument("--monitors", type=int, default=45, help="how many Vigilmon monitors there are at first")
    parser.add_argument("--empty", action="store_true", help="begin with an empty world")
    parser.add_argument(
        "--endpoints", nargs="*", default=[], metavar="KIND", help="open TLS endpoints; the first monitors watch them"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
