"""The style sheets of the programs' pages: what they share, and each page's own."""

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup


def styled(own: Path) -> tuple[Markup, str]:
    """Return a page's style sheet, and the Content-Security-Policy that allows nothing else."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8") + own.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
    return Markup(style), policy  # noqa: S704  our own files
