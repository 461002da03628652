"""The sub-commands: what an operator asks of the bridge at a terminal. Each returns its exit status."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from bridge.config import Config
from bridge.delivery.bigpanda_client import BigPanda
from bridge.domain.alert import Alert
from bridge.domain.event import EventMapping, Status, draft, status_of
from bridge.errors import DeliveryError, Rejected, Stopped
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetter, DeadLetters
from bridge.outbox.status import OutboxStatus
from bridge.receivers.settings import ReceiverSettings

_MOST: Final = 1_000_000
_REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a command works with: the configuration, and where it writes; `clock` in epoch seconds.

    `err` takes what is wrong with the numbers that were given, so that `out` stays JSON when that is asked for.
    """

    config: Config
    out: TextIO
    err: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = field(default=time.time)
    sleep: Callable[[float], None] = field(default=time.sleep)

    def say(self, text: str) -> None:
        """Write a line, without what would steer a terminal."""
        print("".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text),
              file=self.out)  # fmt: skip

    def client(self) -> BigPanda:
        """Return the client of the configured destination."""
        found = self.config.bigpanda
        return BigPanda(found.url, found.token, found.timeout, found)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Open the configured database. ConfigError, Unavailable."""
        with closing(Database(self.config.database.read())) as opened:
            yield opened

    def mapping_of(self, receiver: str, source: str) -> EventMapping | None:
        """Return how the alerts of a receiver become events now; None when it is not configured any more."""
        found = (one for one in self.config.receivers if (one.receiver, one.source) == (receiver, source))
        return next((one.mapping for one in found), None)


def send_test(desk: Desk, source: str | None) -> int:
    """Send a test alert and its resolution the way a real one goes, and report what BigPanda answered."""
    settings = next((one for one in desk.config.receivers if source in (None, one.source)), None)
    if settings is None:
        desk.say(f"send-test: no receiver has the source {source}")
        return 1
    mapping = settings.mapping
    began = math.floor(desk.clock())
    client = desk.client()
    try:
        for firing, at in ((True, began), (False, began + 1)):
            desk.sleep(max(0.0, at - desk.clock()))
            _send(desk, client, _test_alert(settings, began, firing=firing), mapping, at)
    except DeliveryError as error:
        desk.say(f"send-test: not accepted: {error}")
        return 1
    finally:
        client.close()
    return 0


def _send(desk: Desk, client: BigPanda, alert: Alert, mapping: EventMapping, timestamp: int) -> None:
    status = status_of(alert, mapping)[0] or Status.WARNING
    answer = client.send([draft(alert, status, mapping).freeze(timestamp)], mapping.app_key)
    desk.say(f"{alert.key} {status.value}: {answer.value} by BigPanda")


def _test_alert(settings: ReceiverSettings, began: int, *, firing: bool) -> Alert:
    return Alert(
        receiver=settings.receiver,
        source=settings.source,
        key=f"{settings.source}:vendorwatch-test-{began}",
        name="VendorwatchTest",
        firing=firing,
        severity="warning",
        labels={"alertname": "VendorwatchTest", "severity": "warning"},
        annotations={"description": "A test of the way from vendorwatch to BigPanda; it resolves itself."},
        starts_at=began,
        ends_at=None if firing else began + 1,
    )


def check(desk: Desk) -> int:
    """Check the database and whether BigPanda accepts the credentials, without sending an event."""
    desk.say(f"configuration: ok, {len(desk.config.receivers)} receivers")
    return max(_check_database(desk), _check_bigpanda(desk))


def _check_database(desk: Desk) -> int:
    with desk.database() as database:
        status = OutboxStatus(database)
        writable, counts = status.writable(), status.counts(desk.clock())
    waits = f"{counts.waiting} events wait, {counts.dead} dead letters, {counts.quarantined} in quarantine"
    desk.say(f"database: ok, {waits}" if writable else "database: cannot be written")
    return 0 if writable else 1


def _check_bigpanda(desk: Desk) -> int:
    """Send a batch of no events: credentials are looked at before what a batch holds, and nothing can become of it.

    What BigPanda says to it is told, for it may be about the app key.
    """
    client = desk.client()
    said = ""
    try:
        client.send([], desk.config.bigpanda.app_key)
    except Rejected as error:
        said = f"; {error}"
    except Stopped as error:
        whose = "the credentials are refused" if error.status in _REFUSED else "this is not the Alerts API: see the URL"
        desk.say(f"bigpanda: {whose}: {error}")
        return 1
    except DeliveryError as error:
        desk.say(f"bigpanda: no answer to rely on: {error}")
        return 1
    finally:
        client.close()
    desk.say(f"bigpanda: ok, the credentials are accepted (asked with a batch of no events{said})")
    return 0


def list_dead_letters(desk: Desk, form: str) -> int:
    """List the dead letters, the oldest first."""
    letters = _letters(desk)
    if form == "json":
        return _json(desk, [_record(letter) for letter in letters])
    if not letters:
        desk.say("no dead letters")
    for letter in letters:
        since = _time(letter.closed_at)
        desk.say(f"{letter.id}  {since}  {letter.status:<8}  {letter.key}  {_line(letter.reason)}")
    return 0


def show_dead_letter(desk: Desk, ids: Sequence[int], form: str) -> int:
    """Show dead letters whole: the event that was refused, and why."""
    found = [letter for letter in _letters(desk) if letter.id in ids]
    missing = _missing(desk, ids, [letter.id for letter in found])
    if form == "json":
        records = [_record(letter) for letter in found]
        _json(desk, records[0] if len(records) == len(ids) == 1 else records)
        return missing
    for letter in found:
        for name, value in (
            ("id", letter.id),
            ("key", letter.key),
            ("receiver", f"{letter.receiver}/{letter.source}"),
            ("kind", f"{letter.kind}, {letter.status}"),
            ("reason", _line(letter.reason)),
            ("attempts", letter.attempts),
            ("accepted", _time(letter.accepted_at)),
            ("set aside", _time(letter.closed_at)),
        ):
            desk.say(f"{name + ':':<11}{value}")
        desk.say(json.dumps(json.loads(letter.body), indent=2, ensure_ascii=False))
    return missing


def requeue(desk: Desk, ids: Sequence[int] | None, form: str) -> int:
    """Send dead letters again (None: all), mapped anew, so that a mended mapping helps."""
    with desk.database() as database:
        done = DeadLetters(database).requeue(ids, desk.mapping_of, desk.clock())
    if form == "json":
        _json(desk, asdict(done))
    else:
        for told, which in (
            ("queued again", done.queued),
            ("superseded by a newer event of the same alert", done.superseded),
            ("kept, its receiver is not configured any more", done.unknown),
        ):
            for one in which:
                desk.say(f"{one}: {told}")
    handled = {*done.queued, *done.superseded, *done.unknown}
    return max(_missing(desk, ids or (), handled), 1 if done.unknown else 0)


def discard(desk: Desk, ids: Sequence[int], form: str) -> int:
    """Give dead letters up."""
    there = [letter.id for letter in _letters(desk) if letter.id in ids]
    with desk.database() as database:
        DeadLetters(database).discard(there, desk.clock())
    if form == "json":
        _json(desk, {"discarded": there})
    else:
        for one in there:
            desk.say(f"{one}: discarded")
    return _missing(desk, ids, there)


def _letters(desk: Desk) -> list[DeadLetter]:
    with desk.database() as database:
        return DeadLetters(database).oldest(_MOST)


def _missing(desk: Desk, wanted: Iterable[int], found: Iterable[int]) -> int:
    missing = sorted(set(wanted) - set(found))
    for one in missing:
        desk.err.write(f"{one}: no such dead letter\n")
    return 1 if missing else 0


def _record(letter: DeadLetter) -> dict[str, Any]:
    return asdict(letter) | {"body": json.loads(letter.body)}


def _json(desk: Desk, content: Any) -> int:
    json.dump(content, desk.out, indent=2)
    desk.out.write("\n")
    return 0


def _line(text: str) -> str:
    return " ".join(text.split())


def _time(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
