"""A request and its reply as values, and the table that leads from one to the other."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `path` below the vendor's prefix, header names in lower case.

    Of a repeated query name the last counts.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = "127.0.0.1"

    @property
    def bearer(self) -> str | None:
        """The token of the Authorization header."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None

    def json(self) -> Any:
        """Give the body as JSON; an empty body is an empty object. Raises ValueError."""
        return json.loads(self.body) if self.body.strip() else {}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def adding(self, headers: Mapping[str, str]) -> "Reply":
        """Give the same reply with more headers."""
        return Reply(self.status, self.body, {**self.headers, **headers})


def answer(status: int, content: Any, *, content_type: str = "application/json", **headers: str) -> Reply:
    """Give a JSON reply; `retry_after="5"` becomes the header Retry-After."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Reply(status, json.dumps(content).encode(), {"Content-Type": content_type, **named})


Answerer = Callable[..., Reply]


class Api(Protocol):
    """A vendor's API."""

    @property
    def base_path(self) -> str:
        """The part of a client's base URL after the host."""

    def template(self, path: str) -> str:
        """Give the path with its ids left out."""

    def unauthorized(self) -> Reply:
        """Refuse credentials in the vendor's words."""

    def answer(self, request: Request) -> Reply:
        """Answer as the vendor does."""


class Routes:
    """Method and path template, such as `/monitors/{id}`, to the function that answers.

    The function gets the request and the values in braces as text.
    """

    def __init__(self) -> None:
        self._routes: list[tuple[str, str, re.Pattern[str], Answerer]] = []

    def add(self, method: str, template: str, answerer: Answerer) -> None:
        """Earlier routes win."""
        pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)) + "/?")
        self._routes.append((method, template, pattern, answerer))

    def template(self, path: str) -> str:
        """Give the template that the path fits, or "(unknown)"."""
        return next((template for _, template, pattern, _ in self._routes if pattern.fullmatch(path)), "(unknown)")

    def find(self, request: Request) -> Callable[[], Reply] | int:
        """Tell what answers the request, else 404 or 405."""
        missing = 404
        for method, _, pattern, answerer in self._routes:
            if match := pattern.fullmatch(request.path):
                if method == request.method or (method == "GET" and request.method == "HEAD"):
                    return lambda: answerer(request, **match.groupdict())
                missing = 405
        return missing
