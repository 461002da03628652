"""The page for people: each target, its state, age, last error, next poll, budget. Pure; no script."""

from collections.abc import Iterable, Sequence
from html import escape

from exporter.poller import Health

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #57606a; --good: #1a7f37; --bad: #cf222e; --wait: #9a6700 }
@media (prefers-color-scheme: dark) {
  :root { --line: #30363d; --soft: #9198a1; --good: #3fb950; --bad: #f85149; --wait: #d29922 }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line) }
td { overflow-wrap: anywhere }
small { color: var(--soft) }
.good { color: var(--good) } .bad { color: var(--bad) } .wait { color: var(--wait) }
@media (max-width: 44rem) {
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
  tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line) }
  tr > * { display: flex; gap: 1rem; border: 0; padding: .1rem 0 }
  tr > ::before { content: attr(data-name); flex: 0 0 7rem; color: var(--soft); font-weight: normal }
}
"""
_COLUMNS = ("Target", "State", "Age", "Next poll", "Series", "Budget used", "Last error")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def page(healths: Sequence[Health], now: float) -> str:
    """Return the page as of `now`, epoch seconds."""
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "\n".join(_row(health, now) for health in healths)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vendorwatch exporter</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>vendorwatch exporter</h1>
<nav><a href="metrics">Metrics</a> · <a href="-/healthy">Health</a> · <a href="-/ready">Readiness</a></nav>
<h2>Targets</h2>
<table>
<caption>{len(healths)} polled in the background; a scrape never waits for a vendor.</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</body>
</html>
"""


def _row(health: Health, now: float) -> str:
    name, *cells = _COLUMNS
    target = f'<th scope="row" data-name="{name}">{escape(health.collector)} {escape(health.account)}</th>'
    values = (
        _state(health, now),
        _ago(health.last_success, now),
        _ahead(health.next_poll, now),
        f"{health.series}{' <small>(cut)</small>' if health.truncated else ''}",
        f"{health.budget_used_ratio:.0%}",
        _error(health, now),
    )
    return f"<tr>{target}{''.join(_cells(cells, values))}</tr>"


def _cells(names: Iterable[str], values: Iterable[str]) -> Iterable[str]:
    return (f'<td data-name="{name}">{value}</td>' for name, value in zip(names, values, strict=True))


def _state(health: Health, now: float) -> str:
    if health.paused_until is not None and health.paused_until > now:
        return f'<span class="wait">paused</span> <small>{escape(health.paused_reason)}</small>'
    if health.success is None:
        return '<span class="wait">not yet polled</span>'
    return '<span class="good">up to date</span>' if health.success else '<span class="bad">failing</span>'


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
