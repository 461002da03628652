"""The page for people: each target, its state, age, last error, next poll, budget. Pure; no script."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from exporter.polling.poller import Health

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f8fa; --card: #fff; --ink: #1f2328; --soft: #57606a; --line: #d0d7de; --link: #0757b8;
  --good: #116329; --bad: #b3121d; --wait: #7d4e00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --card: #161b22; --ink: #e6edf3; --soft: #9fa9b4; --line: #353c45; --link: #6cb0ff;
    --good: #56d364; --bad: #ff8d85; --wait: #e3b341;
  }
}
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: var(--page); color: var(--ink) }
a { color: var(--link) }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1rem }
header { padding-top: 1rem } header p { margin: 0; font-weight: 600 }
header ul { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0 0; padding: 0 0 .7rem; list-style: none;
  border-bottom: 1px solid var(--line) }
footer { color: var(--soft); padding: 1rem 1rem 2rem }
h1 { font-size: 1.6rem; margin: 1.2rem 0 .6rem }
table, .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem }
.card { padding: .8rem 1rem }
table { border-collapse: separate; border-spacing: 0; width: 100%; margin: .6rem 0 }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem }
th, td { text-align: left; vertical-align: top; padding: .5rem .8rem; border-top: 1px solid var(--line) }
thead th { border: 0; color: var(--soft) } thead th, td { white-space: nowrap }
tbody th { min-width: 12rem } tbody th, td:last-child { white-space: normal; overflow-wrap: anywhere }
small { color: var(--soft); font-size: .875rem }
.state { border: 1px solid; border-radius: 1rem; padding: .05rem .6rem; font-size: .875rem; font-weight: 600;
  white-space: nowrap }
.good { color: var(--good) } .bad { color: var(--bad) } .wait { color: var(--wait) }
@media (max-width: 46rem) {
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
  table, tbody, caption { display: block } caption { padding: .5rem .8rem }
  tr { display: block; padding: .6rem .8rem; border-top: 1px solid var(--line) }
  tr > * { display: flex; gap: .8rem; border: 0; padding: .1rem 0; white-space: normal }
  tr > * > div { flex: 1; min-width: 0; overflow-wrap: anywhere }
  tr > ::before { content: attr(data-name); flex: 0 0 6.5rem; color: var(--soft); font-weight: normal }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""What a browser may do with the page: show it, in this style."""
_COLUMNS = ("Target", "State", "Age", "Next poll", "Series", "Budget used", "Last error")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def page(healths: Sequence[Health], now: float, roles: Sequence[str] = ()) -> str:
    """Return the page as of `now`, epoch seconds; `roles` say what this exporter is among others.

    The roles of ARIA are written out: a table laid out as blocks loses its own.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Targets · vendorwatch exporter</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<p>vendorwatch exporter</p>
<nav aria-label="Pages"><ul><li><a href="metrics">Metrics</a></li><li><a href="-/healthy">Health</a></li>
<li><a href="-/ready">Readiness</a></li></ul></nav>
</header>
<main>
<h1>Targets</h1>
{_among_others(roles)}{_table(healths, now, alone=not roles)}
</main>
<footer>As of {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%SZ}.</footer>
</body>
</html>
"""


def _among_others(roles: Sequence[str]) -> str:
    return f"<p>This exporter: {escape(', '.join(roles))}.</p>\n" if roles else ""


def _table(healths: Sequence[Health], now: float, *, alone: bool) -> str:
    if not healths:
        return f'<p class="card">No target is {"configured" if alone else "for this exporter: others have them"}.</p>'
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in _COLUMNS)
    rows = "\n".join(_row(health, now) for health in healths)
    return f"""<table role="table">
<caption>{len(healths)} polled in the background; a scrape never waits for a vendor.</caption>
<thead role="rowgroup"><tr role="row">{head}</tr></thead>
<tbody role="rowgroup">
{rows}
</tbody>
</table>"""


def _row(health: Health, now: float) -> str:
    name, *cells = _COLUMNS
    told = f"<div>{escape(health.collector)} {escape(health.account)}</div>"
    target = f'<th role="rowheader" scope="row" data-name="{name}">{told}</th>'
    values = (
        _state(health, now),
        _ago(health.last_success, now),
        _ahead(health.next_poll, now),
        f"{health.series}{' <small>(cut)</small>' if health.truncated else ''}",
        f"{health.budget_used_ratio:.0%}",
        _error(health, now),
    )
    return f'<tr role="row">{target}{"".join(_cells(cells, values))}</tr>'


def _cells(names: Iterable[str], values: Iterable[str]) -> Iterable[str]:
    for name, value in zip(names, values, strict=True):
        yield f'<td role="cell" data-name="{name}"><div>{value}</div></td>'


def _state(health: Health, now: float) -> str:
    if health.paused_until is not None and health.paused_until > now:
        return f'<span class="state wait">paused</span> <small>{escape(health.paused_reason)}</small>'
    if health.success is None:
        return '<span class="state wait">not yet polled</span>'
    return '<span class="state good">up to date</span>' if health.success else '<span class="state bad">failing</span>'


def _error(health: Health, now: float) -> str:
    if not health.last_error:
        return "none"
    return f"{escape(health.last_error)} <small>{_ago(health.last_error_at, now)} ago</small>"


def _ago(at: float | None, now: float) -> str:
    return "unknown" if at is None else span(now - at)


def _ahead(at: float | None, now: float) -> str:
    return "unknown" if at is None else f"in {span(at - now)}"


def span(seconds: float) -> str:
    """Return a time span in its two largest units: `3d 4h`, `2m 5s`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR}h"
