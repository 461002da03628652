"""The meaning of an HTTP response: accepted, or a DeliveryError with whose fault it is. Pure.

A 2xx alone does not mean acceptance: a proxy's login page, an error in the body or a 207 comes with one too. A response
may echo our request, so secrets are masked in the words that are kept.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bridge.errors import DeliveryError, Rejected, Stopped, Transient
from exporter.toolkit.http_connection import HttpResponse
from exporter.toolkit.lenient import reports_failure, retry_after

MASK: Final = "<secret>"
_SHORTEST: Final = 4
_MOST_WORDS: Final = 500
_MOST_TITLE: Final = 100
_REJECTED: Final = frozenset({400, 409, 413, 422})
_LATER: Final = frozenset({408, 425, 429})
_MULTI_STATUS: Final = 207
_MESSAGES: Final = ("errors", "error", "message", "details")
_INSIDE: Final = ("response", "responses", "result", "results")
"""Members that hold a response of their own. Not `alerts`, which only echoes our request."""
_BEARER: Final = re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;<>]+", re.IGNORECASE)
_TOKEN_QUERY: Final = re.compile(r"\b((?:access_)?token|api_?key)=[^\s&\"'<>]+", re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def judge(response: HttpResponse, now: float, *, who: str = "BigPanda", secrets: Iterable[str] = ()) -> None:
    """Raise the DeliveryError in a response of an HttpApi that is not an acceptance, with `secrets` masked."""
    status, text = response.status, response.body.decode()
    if accepted := 200 <= status < 300:  # noqa: PLR2004  2xx
        # An unreadable body counts as an acceptance.
        failed = (words(json.dumps(one)) or json.dumps(one) for one in _refusals(parsed(text)))
        reason = _page(text) or next(failed, words(text) if status == _MULTI_STATUS else None)
        if reason is None:
            return
    else:
        reason = words(text) or _page(text) or " ".join(text.split())
    # A status unknown to the API stops delivery, so that nothing is lost.
    kind: type[DeliveryError] = Rejected if status in _REJECTED else Stopped
    if status in _LATER or status >= 500:  # noqa: PLR2004  5xx
        kind = Transient
    what = f"{who} answered {status}".lstrip()
    message = f"{what}{', but did not accept' if accepted else ''}{f': {reason}' if reason else ''}"
    raise kind(masked(message, secrets), status=status, retry_after=retry_after(response.headers, now))


def _page(text: str) -> str:
    """Return the title of an HTML page, "" for anything else: BigPanda's API answers with JSON."""
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return ""
    title = _TITLE.search(text)
    return f"a web page ({' '.join(title[1].split())[:_MOST_TITLE]})" if title else "a web page"


def _refusals(answer: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the responses in this one that report a failure, itself included."""
    for one in answer if isinstance(answer, list) else [answer]:
        if isinstance(one, dict):
            if reports_failure(one):
                yield one
            for name in _INSIDE:
                yield from _refusals(one.get(name))


def words(text: str) -> str:
    """Return the error message in a JSON body."""
    answer = parsed(text)
    if isinstance(answer, dict) and isinstance(answer.get("response"), dict):  # BigPanda's own form
        answer = answer["response"]
    if isinstance(answer, str):  # Alertmanager's own form
        return answer
    if not isinstance(answer, dict):
        return ""
    found = next(filter(None, map(answer.get, _MESSAGES)), "")
    parts = found if isinstance(found, list) else [found]
    return "; ".join(part if isinstance(part, str) else json.dumps(part) for part in parts if part)


def parsed(text: str | bytes) -> Any:
    """Return the JSON in a response; None if it has none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def masked(text: str, secrets: Iterable[str]) -> str:
    """Mask secrets in the text, then cut it to the length of a log line: half a secret would not be found."""
    # A header of a few characters, such as a tenant's number, is no secret, and would mask parts of other words.
    for secret in sorted((one for one in secrets if len(one) >= _SHORTEST), key=len, reverse=True):
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, MASK)
    text = _TOKEN_QUERY.sub(rf"\1={MASK}", _BEARER.sub(rf"\1 {MASK}", text))
    return text if len(text) <= _MOST_WORDS else text[: _MOST_WORDS - 1] + "…"
