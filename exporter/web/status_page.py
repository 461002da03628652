"""The landing page: each target's state, vendor summary, age, next poll and problems. Pure; no script."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from exporter.metrics.health import Figure, Health
from exporter.toolkit.text import span

_SHOWN_PROBLEMS: Final = 5
_COLUMNS: Final = ("Target", "State", "Vendor says", "Age", "Next poll", "Series", "Budget used", "Problems")
_TEMPLATES = Environment(loader=PackageLoader(__package__), autoescape=True, trim_blocks=True, auto_reload=False)
_TEMPLATES.filters["span"] = span
_STYLE = Markup(_TEMPLATES.get_template("style.css").render())  # noqa: S704  our own file
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy: nothing but its own style sheet."""


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
