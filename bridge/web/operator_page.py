"""The operator's page: what is open, waits, is dead or done, BigPanda's incidents, receivers.

Reading needs no script. Changing needs one of the web config's users and a token that only a page made for that user
holds, so that no other site can make a browser press a button. What others wrote is shown escaped, and cut.
"""

import base64
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, render_template, request
from markupsafe import Markup

from bridge.config import Config
from bridge.domain.event import EventMapping
from bridge.errors import Unavailable
from bridge.metrics import Metrics, release
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.dead_letters import DeadLetters
from bridge.outbox.event_log import EventLog
from bridge.outbox.incidents import Incidents
from bridge.outbox.pages import PageRequest
from bridge.outbox.quarantine import Quarantine
from bridge.outbox.status import Circuit, OutboxStatus
from bridge.web import formatting as glance
from bridge.web import forms
from bridge.web.queue_history import Trend
from bridge.web.receiver_status import senders

_FEW: Final = PageRequest(10)
_FEWER: Final = PageRequest(5)
"""What the first page shows of each kind; of what takes much room, fewer."""
_MANY: Final = 100
_LAST_PAGE: Final = 1000
_REFRESH: Final = 15
"""Seconds after which a page that was asked to follow loads itself again."""
_STYLE: Final = Path(__file__).with_name("templates").joinpath("console.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """What the page is told from. `config` and the like are asked at each request: a reload changes them.

    `secret_of(user)`: what the tokens in the pages of a user are made with, None for somebody who is none.
    `destination`: the name under which the outbox keeps how BigPanda stands.
    """

    database: Database
    metrics: Metrics
    trend: Trend
    config: Callable[[], Config]
    destination: Callable[[], str]
    mapping_of: Callable[[str, str], EventMapping | None]
    heard: Callable[[], Mapping[tuple[str, str], float]]
    secret_of: Callable[[str], str | None]
    wake: Callable[[], object]
    clock: Callable[[], float] = time.time


def blueprint(insight: Insight) -> Blueprint:
    """Return the routes."""
    console = Blueprint("console", __name__, template_folder="templates")
    _reading(console, insight)
    _changing(console, insight)

    @console.errorhandler(Unavailable)
    def unavailable(error: Unavailable) -> Response:
        return _answer("refusal.html", 503, title="The database cannot be used now", told=str(error))

    @console.errorhandler(forms.Refused)
    def refused(error: forms.Refused) -> Response:
        _log.warning("A change was refused: %s", error)
        return _answer("refusal.html", 403, title="Nothing was changed", told=str(error))

    return console


def _reading(console: Blueprint, insight: Insight) -> None:
    @console.get("/")
    def overview() -> Response:
        now, database = insight.clock(), insight.database
        return _page(
            insight,
            "overview",
            now,
            line=glance.line(insight.trend.samples),
            senders=senders(insight.config(), insight.metrics, OutboxStatus(database).heartbeats(), insight.heard()),
            alerts=Alerts(database).page(_words(), _FEW),
            **_incidents(database, _FEW),
            waiting=EventLog(database).queued(_FEW, now),
            letters=DeadLetters(database).page(_FEWER),
            unread=Quarantine(database).page(_FEWER),
            over=EventLog(database).closed(_FEW, now),
        )

    @console.get("/alerts")
    def alerts() -> Response:
        return _page(insight, "alerts", rows=Alerts(insight.database).page(_words(), _request()))

    @console.get("/incidents")
    def incidents() -> Response:
        return _page(insight, "incidents", **_incidents(insight.database, _request()))

    @console.get("/waiting")
    def waiting() -> Response:
        now = insight.clock()
        return _page(insight, "waiting", now, rows=EventLog(insight.database).queued(_request(), now))

    @console.get("/dead-letters")
    def dead_letters() -> Response:
        return _page(insight, "dead-letters", rows=DeadLetters(insight.database).page(_request()))

    @console.get("/quarantine")
    def quarantine() -> Response:
        return _page(insight, "quarantine", rows=Quarantine(insight.database).page(_request()))

    @console.get("/deliveries")
    def deliveries() -> Response:
        now = insight.clock()
        return _page(insight, "deliveries", now, rows=EventLog(insight.database).closed(_request(), now))

    @console.get("/alert")
    def alert() -> Response:
        now, key = insight.clock(), request.args.get("key", "")
        state, events = Alerts(insight.database).state(key), EventLog(insight.database).of_alert(key, now)
        if state is None and not events.rows:
            return _answer("refusal.html", 404, title="No such alert", told=f"Nothing is known of {key or 'no key'}.")
        return _page(insight, "alert", now, key=key, state=state, events=events)


def _changing(console: Blueprint, insight: Insight) -> None:
    @console.post("/dead-letters/requeue")
    def requeue() -> Response:
        user, ids, everything = forms.wanted(insight.secret_of)
        done = DeadLetters(insight.database).requeue(None if everything else ids, insight.mapping_of, insight.clock())
        insight.wake()
        counts = {name: len(getattr(done, name)) for name in ("queued", "superseded", "unknown")}
        return _back("../dead-letters", user, counts)

    @console.post("/dead-letters/discard")
    def discard() -> Response:
        user, ids, last = forms.wanted(insight.secret_of)
        letters, now = DeadLetters(insight.database), insight.clock()
        count = letters.discard_until(last, now) if last else letters.discard(ids, now)
        return _back("../dead-letters", user, {"discarded": count})

    @console.post("/quarantine/discard")
    def delete() -> Response:
        user, ids, last = forms.wanted(insight.secret_of)
        quarantine = Quarantine(insight.database)
        count = quarantine.discard_until(last) if last else quarantine.discard(ids)
        return _back("../quarantine", user, {"deleted": count})


def _page(insight: Insight, name: str, now: float | None = None, **what: Any) -> Response:
    """Render a page with what every page shows: how much there is of each kind, and who looks."""
    now = insight.clock() if now is None else now
    user = forms.user()
    token = forms.token(insight.secret_of, user) if user else None
    number = _number()
    following = request.args.get("follow") == "1"
    asked = {key: value for key, value in request.args.items() if key in {"q", "page", "key"}}
    answer = _answer(
        f"{name}.html",
        200,
        here=name,
        now=now,
        counts=OutboxStatus(insight.database).counts(now),
        circuit=_circuit(insight),
        down_since=insight.trend.down_since,
        user=user,
        token=token,
        number=number,
        many=_MANY,
        q=request.args.get("q", ""),
        asked=asked,
        following=following,
        refresh=_REFRESH,
        done=forms.told(),
        version=release(),
        **what,
    )
    if following:
        answer.headers["Refresh"] = str(_REFRESH)
    return answer


def _answer(template: str, status: int, **what: Any) -> Response:
    style = Markup(_STYLE)  # noqa: S704  our own file
    answer = Response(render_template(template, style=style, glance=glance, **what), status, mimetype="text/html")
    answer.headers.update(_HEADERS)
    return answer


def _incidents(database: Database, wanted: PageRequest) -> dict[str, Any]:
    """Return incidents, and which alerts of those resolved by hand fire to this day."""
    found = Incidents(database).page(wanted)
    states = Alerts(database).states(sorted({key for one in found.rows for key in one.closed_manually}))
    return {"incidents": found, "firing": {key for key, state in states.items() if state.open}}


def _circuit(insight: Insight) -> Circuit:
    return OutboxStatus(insight.database).circuit(insight.destination())


def _words() -> Sequence[str]:
    return request.args.get("q", "")[:200].split()


def _number() -> int:
    number = request.args.get("page", "1")
    return min(max(int(number), 1), _LAST_PAGE) if number.isascii() and number.isdecimal() else 1


def _request() -> PageRequest:
    return PageRequest(_MANY, (_number() - 1) * _MANY)


def _back(where: str, user: str, counts: Mapping[str, int]) -> Response:
    """Lead back to the list, which tells what was done."""
    return Response(status=303, headers={"Location": f"{where}?{forms.done(user, counts)}", **_HEADERS})
