"""Settings of outgoing HTTP requests: URLs, proxy, certificate authorities, the size of responses."""

import re
import ssl
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

from exporter.toolkit.config_types import Secret, Section, Size, located

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HTTP: Final = re.compile(r"https?://[^\s\x00-\x20\x7f]+", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Return whether `text` is an http or https URL with a host and, if given, a valid port."""
    try:
        return bool(_HTTP.fullmatch(text) and urlsplit(text).hostname and urlsplit(text).port != 0)
    except ValueError:
        return False


def http_url(value: str) -> str:
    """Return the URL if it is an http or https URL without credentials. Raises ValueError with the reason."""
    if not is_url(value):
        raise ValueError("not a URL: must begin with http:// or https:// and a host")
    if "@" in urlsplit(value).netloc:
        raise ValueError("must not contain credentials: they have keys of their own")
    return value


def _proxy(secret: Secret) -> Secret:
    if not is_url(secret.read()):
        raise ValueError("not a proxy: write it like http://proxy.example.com:3128 or https://user:password@proxy:3128")
    if urlsplit(secret.read()).path not in ("", "/") or urlsplit(secret.read()).query:
        raise ValueError("a proxy URL must have no path: write it like http://proxy.example.com:3128")
    return secret


def _header_value(secret: Secret) -> Secret:
    if not (secret.read().isascii() and secret.read().isprintable()):
        raise ValueError("cannot be sent in a header: printable ASCII only")
    return secret


def _authorities(file: str, info: ValidationInfo) -> str:
    path = located(file, info)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise ValueError(f"cannot use {path}: no certificates in PEM form") from error
    except OSError as error:
        raise ValueError(f"cannot use {path}: {error.strerror}") from error
    return str(path)


HttpUrl = Annotated[str, AfterValidator(http_url)]
"""An http or https URL without user name and password, which requests would send in place of the token."""
ProxyUrl = Annotated[Secret, AfterValidator(_proxy)]
"""An http or https proxy. It may contain a user name and password, so all of it is secret."""
HeaderSecret = Annotated[Secret, AfterValidator(_header_value)]
"""A secret sent in a header."""
CaFile = Annotated[str, AfterValidator(_authorities)]
"""A file of the certificates to trust, in PEM form."""


class HttpClientSettings(Section):
    """The keys that go with a URL. Without `ca_file` the system's roots are trusted.

    `max_response`: largest response accepted, in bytes after decompression.
    """

    ca_file: CaFile | None = None
    proxy_url: ProxyUrl | None = None
    max_response: Size = Field(8_000_000, gt=0)
