"""What the programs' pages share: the style sheets, each page's own beside it, and how text from outside is shown."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from markupsafe import Markup

from exporter.toolkit.text import visible


def styled(own: Path) -> tuple[Markup, str]:
    """Return a page's style sheet, and the Content-Security-Policy that allows nothing else."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8") + own.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
    return Markup(style), policy  # noqa: S704  our own files


def finalize(value: Any) -> Any:
    """Prepare a value for a template: text from outside is made visible, our own markup is left alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
