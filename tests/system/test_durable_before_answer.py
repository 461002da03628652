"""A webhook answered 200 is on disk before: the system calls of the real process, recorded by the kernel."""

import re
import shutil
import subprocess

import pytest

from tests.system.bridging import SOURCE, alert, post, webhook
from tests.system.running import python, until

pytestmark = pytest.mark.system

CALLS = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync"
MARK = "marker-of-the-witness"
LINE = re.compile(r"^(?P<pid>\d+) +(?:<\.\.\. )?(?P<call>\w+)(?P<rest>.*)$")
UNFINISHED = "<unfinished ...>"


@pytest.fixture
def strace(tmp_path):
    """Give a command before which one puts the trace of a program."""
    trace = tmp_path / "trace"
    command = ["strace", "-D", "-f", "-y", "-s", "5000", "-e", f"trace={CALLS}", "-o", str(trace)]
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not permitted here")
    return command, trace


def read_text(trace):
    return trace.read_text(encoding="utf-8", errors="replace")


def whole(lines):
    """Yield each call and its text when it ended, where strace had to write it in two parts too."""
    begun = {}
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        pid, call, rest = found["pid"], found["call"], found["rest"]
        if rest.endswith(UNFINISHED):
            begun[pid] = rest.removesuffix(UNFINISHED)
        elif " resumed>" in rest:
            yield call, begun.pop(pid, "") + rest.partition(" resumed>")[2]
        else:
            yield call, rest


def first(calls, after, names, *words):
    """Return the place of the first call after a place that is one of `names` and holds all `words`."""
    for place in range(after + 1, len(calls)):
        call, text = calls[place]
        if call in names and all(word in text for word in words):
            return place
    raise AssertionError(f"no {'/'.join(names)} with {words} after call {after} of {len(calls)}")


def test_webhook_is_synced_before_the_response(station, started, strace):
    """The alert is written to a database file and synced between reading the request and writing the 200."""
    command, trace = strace
    station.configure()
    station.sandbox.faults.set("bigpanda", "status", code=503)
    bridge = started(station.bridge(command=[*command, *python("bridge")]))
    pid = bridge.pid
    assert post(bridge.url, webhook([alert(MARK, "critical")])).status == 200
    bridge.stop()
    until("the trace is written", lambda: re.search(rf"(?m)^{pid} +\+\+\+ exited", read_text(trace)))
    calls = list(whole(read_text(trace).splitlines()))

    read = first(calls, -1, ("read", "recvfrom", "recvmsg"), MARK)
    written = first(calls, read, ("write", "pwrite64"), f"{SOURCE}:{MARK}", "bridge.db")
    [file] = re.findall(r"bridge\.db[-a-z]*>", calls[written][1])[:1]
    synced = first(calls, written, ("fsync", "fdatasync"), file, "= 0")
    journal = first(calls, read, ("fsync", "fdatasync"), "bridge.db", "= 0")
    answered = first(calls, read, ("write", "writev", "sendto", "sendmsg"), "HTTP/1.1 200", "vendorwatch")
    assert read < written < synced < answered
    assert journal < answered
