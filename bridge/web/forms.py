"""The forms of the operator's page: who may send one, what it asks for, and what is told of it afterwards."""

import hmac
import logging
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import request

_LONGEST: Final = 100_000
"""Bytes of a form."""
_DONE: Final = {
    "queued": "queued again",
    "superseded": "pointless by now: a newer event of the alert exists, or its severity is not sent any more",
    "unknown": "kept: the receiver is not configured any more",
    "discarded": "discarded",
    "deleted": "deleted",
}
_log = logging.getLogger(__name__)


class Refused(Exception):
    """A button is not for whoever pressed it; the message says why."""


def user() -> str | None:
    """Return which of the web config's users asks; None: nobody who has shown credentials."""
    found = request.environ.get("REMOTE_USER")
    return str(found) if found else None


def token(secret_of: Callable[[str], str | None], user: str) -> str | None:
    """Return what a form of this user must hold. The same in every replica, and another once the password changes."""
    secret = secret_of(user)
    return hmac.new(secret.encode(), f"console\0{user}".encode(), "sha256").hexdigest() if secret else None


def wanted(secret_of: Callable[[str], str | None]) -> tuple[str, list[int], int]:
    """Return who wants a change, of which ids, or of all up to which. Raises Refused."""
    who = user()
    due = token(secret_of, who) if who else None
    if who is None or due is None:
        raise Refused("changing something here needs a user of basic_auth_users in --web.config.file")
    if not _from_here():
        raise Refused("the form was sent from another site")
    request.max_content_length = _LONGEST
    if not hmac.compare_digest(request.form.get("token", "").encode(), due.encode()):
        raise Refused("the form is older than the password, or not of this page: load the page again")
    last = request.form.get("all", "")
    ids = [int(one) for one in request.form.getlist("id") if _is_id(one)]
    return who, ids, int(last) if _is_id(last) else 0


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 19  # noqa: PLR2004  what a column holds


def _from_here() -> bool:
    """Tell whether a browser says that a page of this site sent the form; what is no browser says nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def done(user: str, counts: Mapping[str, int]) -> str:
    """Log who changed what, and return it as the query of the address that `told` reads."""
    found = {name: count for name, count in counts.items() if count} or dict(list(counts.items())[:1])
    _log.info("%s by %s: %s", request.path, user, ", ".join(f"{count} {name}" for name, count in found.items()))
    return "&".join(f"{name}={count}" for name, count in found.items())


def told() -> list[str]:
    """Return what a button did, from the address that it led to: numbers and our own words only."""
    found = {name: request.args.get(name, "") for name in _DONE}
    return [f"{found[name]} {words}" for name, words in _DONE.items() if _is_id(found[name])]
