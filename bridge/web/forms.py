"""The forms of the operator's page: authorization, input, and the message afterwards."""

import hmac
import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from flask import abort, request

from bridge.web.application import plain
from bridge.web.formatting import OUTCOMES

PasswordHash = Callable[[str], str | None]
"""The hash of a web user's password; None for an unknown user."""
_log = logging.getLogger(__name__)


class Forbidden(Exception):
    """This user may not do that; the message says why."""


def user() -> str | None:
    """Return the authenticated user of the web config; None without one."""
    found = request.environ.get("REMOTE_USER")
    return str(found) if found else None


def token(password_hash: PasswordHash, user: str) -> str | None:
    """Return the form token of this user: the same in every replica, different once the password changes."""
    secret = password_hash(user)
    return hmac.new(secret.encode(), f"console\0{user}".encode(), "sha256").hexdigest() if secret else None


def authorize(password_hash: PasswordHash) -> None:
    """Check that a user of the web config sent the form, from our own page. Raises Forbidden."""
    who = user()
    expected = token(password_hash, who) if who else None
    if who is None or expected is None:
        raise Forbidden("changes need a user of basic_auth_users in --web.config.file")
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    same_origin = origin is None or origin.partition("://")[2] == request.host
    # Browsers state whether this site sent the form, older ones only its origin; other clients send neither.
    if not (same_origin if site is None else site in {"same-origin", "none"}):
        raise Forbidden("the form was submitted from another site, or a proxy does not pass on the Host header")
    if not hmac.compare_digest(request.form.get("token", "").encode("utf-8", "replace"), expected.encode()):
        raise Forbidden("the form has expired: reload the page")
    if any("\0" in words for words in request.form.values()):
        # As in a query: PostgreSQL cannot look for it.
        abort(plain(400, "the form contains a NUL character"))


def ids() -> list[int]:
    """Return the ids in the form."""
    return [int(one) for one in request.form.getlist("id") if _is_id(one)]


def up_to() -> int:
    """Return the id up to which all are selected; 0: only those in the form."""
    last = request.form.get("all", "")
    return int(last) if _is_id(last) else 0


def done(counts: Mapping[str, int], about: str = "") -> str:
    """Log the change and its user, and return it as the query string that `results` reads."""
    found = {name: count for name, count in counts.items() if count} or dict(list(counts.items())[:1])
    result = ", ".join(f"{count} {name}" for name, count in found.items())
    _log.info("%s by %s: %s%s", request.path, user(), result, f" ({about})" if about else "")
    return urlencode(found)


def results() -> list[str]:
    """Return the result of a form, from the query string: numbers and our own words only."""
    found = {name: request.args.get(name, "") for name in OUTCOMES}
    return [f"{found[name]} {words}" for name, words in OUTCOMES.items() if _is_id(found[name])]


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 19  # noqa: PLR2004  what a column holds
