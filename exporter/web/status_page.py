"""The landing page: each target's state, vendor summary, age, next poll and problems. Pure; no script."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader

from exporter.metrics.health import Figure, Health
from exporter.toolkit.page_style import styled
from exporter.toolkit.text import span

_SHOWN_PROBLEMS: Final = 5
_COLUMNS: Final = ("Target", "State", "Vendor says", "Age", "Next poll", "Series", "Budget used", "Problems")
_TEMPLATES = Environment(loader=PackageLoader(__package__), autoescape=True, trim_blocks=True, auto_reload=False)
_TEMPLATES.filters["span"] = span
_STYLE, CONTENT_POLICY = styled(Path(__file__).with_name("templates") / "style.css")


def page(targets: Sequence[tuple[Health, Sequence[Figure]]], now: float, roles: Sequence[str] = ()) -> str:
    """Return the page as of `now`, in epoch seconds; `roles` describes this exporter's shard and leadership."""
    return _TEMPLATES.get_template("status.html").render(
        targets=targets,
        roles=roles,
        now=now,
        as_of=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%SZ}",
        style=_STYLE,
        columns=_COLUMNS,
        shown_problems=_SHOWN_PROBLEMS,
    )
