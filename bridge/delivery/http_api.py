"""The HTTP APIs that the bridge calls. A request returns the response or raises a DeliveryError."""

import json
import time
from dataclasses import replace
from typing import Any

from bridge.delivery.answers import judge
from bridge.errors import Transient
from bridge.receivers.settings import HttpCredentials
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_connection import HttpResponse
from exporter.toolkit.http_errors import HttpError
from exporter.toolkit.http_settings import HttpClientSettings
from exporter.toolkit.text import valid_json


class HttpApi:
    """One API, for one thread at a time. `auth`: its credentials, or its bearer token; `who`: its name in errors."""

    def __init__(
        self, http: HttpClientSettings, timeout: float, auth: HttpCredentials | Secret, who: str = "BigPanda"
    ) -> None:
        """`http`: proxy and roots. `timeout`: seconds for one request."""
        self._client, self._who = HttpClient(http, timeout), who
        self._auth = HttpCredentials.model_construct(bearer_token=auth) if isinstance(auth, Secret) else auth
        self._sent: list[str] = []

    def request(self, method: str, url: str, content: Any = None, *, repeatable: bool = False) -> HttpResponse:
        """Return an acceptance of `content`: bytes, or anything else as JSON."""
        answer = self.fetch(method, url, content, repeatable=repeatable)
        judge(answer, time.time(), who=self._who, secrets=self._sent)
        return answer

    def fetch(self, method: str, url: str, content: Any = None, *, repeatable: bool = False) -> HttpResponse:
        """Return the response, whatever its status, in UTF-8 and as `valid` text. `repeatable`: see HttpClient."""
        headers = dict(self._auth.credentials())
        self._sent = [value.partition(" ")[2] or value for value in headers.values()]
        self._sent += [self._auth.password.read()] if self._auth.password else []
        headers["Accept"], body = "application/json", content
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            answer = self._client.request(method, url, headers=headers, body=body, repeatable=repeatable)
        except HttpError as error:
            raise Transient(str(error)) from None
        # Here, for everyone who stores it: no database takes a lone surrogate, and PostgreSQL no NUL. U+FFFD instead.
        return replace(answer, body=valid_json(answer.body).replace(b"\0", "\ufffd".encode()))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
