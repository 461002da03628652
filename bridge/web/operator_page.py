"""The operator's page: open alerts, incidents, the queue, dead letters, the quarantine, receivers, noise.

The page needs no script. A change needs one of the web config's users and a token that only that user's page contains,
so that no other site can make a browser press a button. Text from outside is escaped and cut.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, render_template, request

from bridge.domain.incident import IncidentRecord
from bridge.errors import Unavailable
from bridge.outbox.outbox import Outbox
from bridge.outbox.repository import Page, PageRequest
from bridge.web import formatting, forms
from bridge.web.attention import attention
from bridge.web.current import Current
from exporter.toolkit.flags import release
from exporter.toolkit.page_style import styled
from exporter.toolkit.periodic import CLOCK, Clock
from exporter.toolkit.text import span

_FEW: Final = PageRequest(10)
_FEWER: Final = PageRequest(5)
"""Rows of each kind on the overview; fewer for those that take much space."""
_NOISIEST: Final = 10
_DAY: Final = 86400.0
_MANY: Final = 100
_LAST_PAGE: Final = 1000
_REFRESH: Final = 15
"""Seconds between reloads of a page that follows."""
_PAGES: Final = {
    "overview": "Overview",
    "alerts": "Open alerts",
    "incidents": "Incidents",
    "waiting": "Queue",
    "dead-letters": "Dead letters",
    "quarantine": "Quarantine",
    "deliveries": "Deliveries",
}
_STYLE, _POLICY = styled(Path(__file__).with_name("templates") / "console.css")
HEADERS: Final = {
    "Content-Security-Policy": f"{_POLICY}; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
_log = logging.getLogger(__name__)


class OperatorPage:
    """The read-only views. Anything a reload may change is read at each request."""

    def __init__(
        self, outbox: Outbox, current: Callable[[], Current], password_hash: forms.PasswordHash, *, clock: Clock = CLOCK
    ) -> None:
        self._outbox, self._current, self._password_hash, self._clock = outbox, current, password_hash, clock

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        page = Blueprint("operator_page", __name__, template_folder="templates")
        outbox, clock = self._outbox, self._clock
        for path, view in (("/", self.overview), ("/alert", self.alert), ("/incident", self.incident)):
            page.add_url_rule(path, path, view)
        for name, rows in (
            ("alerts", lambda request: outbox.alerts.page(_words(), request)),
            ("incidents", outbox.incidents.page),
            ("waiting", lambda request: outbox.events.queued(request, clock.wall())),
            ("dead-letters", outbox.dead_letters.page),
            ("quarantine", outbox.quarantine.page),
            ("deliveries", lambda request: outbox.events.closed(request, clock.wall())),
        ):
            page.add_url_rule(f"/{name}", name, partial(self.listing, name, rows))
        unavailable = partial(respond, "error.html", 503, title="Database unavailable")
        page.register_error_handler(Unavailable, lambda error: unavailable(text=str(error)))
        return page

    def overview(self) -> Response:
        """Show the notices and the beginning of every list."""
        now, current = self._clock.wall(), self._current()
        receivers = current.receivers(self._outbox)
        confirmation = current.confirmation.status if current.confirmation else None
        quotas = self._outbox.incidents.share_quotas((one.receiver, one.source) for one in receivers)
        notices = partial(
            attention,
            receivers=receivers,
            unwritable=self._outbox.status.unwritable(),
            unconfirmed=confirmation.unconfirmed if confirmation else 0,
            refused_silences=current.refused_silences,
            exhausted_quotas=[source for source, left in quotas.items() if left <= 0],
            now=now,
        )
        return self._page(
            "overview",
            notices=notices,
            receivers=receivers,
            alerts=self._outbox.alerts.page(_words(), _FEW),
            incidents=self._outbox.incidents.page(_FEW),
            queue=self._outbox.events.queued(_FEW, now),
            dead_letters=self._outbox.dead_letters.page(_FEWER),
            quarantine=self._outbox.quarantine.page(_FEWER),
            confirmation=confirmation,
            unconfirmed=self._outbox.events.unconfirmed(_FEW.limit, now) if confirmation else [],
            noisiest=self._outbox.events.noisiest(now - _DAY, _NOISIEST),
            deliveries=self._outbox.events.closed(_FEW, now),
        )

    def alert(self) -> Response:
        """Show one alert and its events."""
        key = request.args.get("key", "")
        state = self._outbox.alerts.states([key]).get(key)
        events = self._outbox.events.of_alert(key, self._clock.wall())
        if state is None and not events.rows:
            return respond("error.html", 404, title="No such alert", text=f"Unknown alert: {key or 'no key'}.")
        return self._page("alert", key=key, state=state, events=events)

    def listing(self, name: str, rows: Callable[[PageRequest], Page[Any]]) -> Response:
        """Show a page of a list."""
        number = min(max(request.args.get("page", 1, type=int), 1), _LAST_PAGE)
        found = rows(PageRequest(_MANY, (number - 1) * _MANY))
        return self._page(name, "listing", rows=found, number=number, many=_MANY)

    def incident(self) -> Response:
        """Show one incident in full."""
        source, number = request.args.get("source", ""), request.args.get("id", "")
        found = self._outbox.incidents.record(source, number)
        if found is None:
            text = f"Unknown incident: {number or 'no id'}."
            return respond("error.html", 404, title="No such incident", text=text)
        states, manageable = self._outbox.alerts.states(list(found.keys)), self._current().config.incidents is not None
        return self._page("incident", one=found, states=states, manageable=manageable)

    def _still_firing(self, incidents: Sequence[IncidentRecord]) -> set[str]:
        """Return the alerts that still fire of those that did when one of these incidents was closed manually."""
        keys = sorted({key for one in incidents for key in one.closed_manually})
        return {key for key, state in self._outbox.alerts.states(keys).items() if state.open}

    def _page(self, name: str, template: str = "", **content: Any) -> Response:
        """Render a page with the content common to all: the counts of each kind, and the user."""
        now, current = self._clock.wall(), self._current()
        user, following = forms.user(), request.args.get("follow") == "1"
        answer = respond(
            f"{template or name}.html",
            200,
            here=name,
            pages=_PAGES,
            now=now,
            counts=self._outbox.status.counts(now),
            circuit=self._outbox.status.circuit(current.config.destination),
            silences=current.silences,
            refused_silences=current.refused_silences,
            still_firing=self._still_firing,
            user=user,
            token=forms.token(self._password_hash, user) if user else None,
            q=request.args.get("q", ""),
            query={key: value for key, value in request.args.items() if key in {"q", "page", "key", "source", "id"}},
            following=following,
            refresh=_REFRESH,
            done=forms.results(),
            version=release(),
            **content,
        )
        if following:
            answer.headers["Refresh"] = str(_REFRESH)
        return answer


def respond(template: str, status: int, **content: Any) -> Response:
    """Render a template with the headers of every page."""
    html = render_template(template, style=_STYLE, fmt=formatting, span=span, **content)
    return Response(html, status, mimetype="text/html", headers=HEADERS)


def _words() -> Sequence[str]:
    return request.args.get("q", "")[:200].split()
