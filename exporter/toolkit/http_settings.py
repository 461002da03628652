"""Settings of outgoing HTTP requests: URLs, proxy, certificate authorities, the size of responses."""

import re
import ssl
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import requests
from pydantic import AfterValidator, ByteSize, Field, ValidationInfo

from exporter.toolkit.config_types import Secret, Section, located

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?|")
_HTTP: Final = re.compile(r"https?://[^\s\x00-\x20\x7f]+", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Return whether `text` is an http or https URL with a host and, if given, a valid port, that requests can use."""
    try:
        requests.Request("GET", text).prepare()
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


def base_url(value: str) -> str:
    """Return the URL, without a slash at its end, if paths can be appended to it. Raises ValueError with the reason."""
    if {"?", "#"} & set(http_url(value)):
        raise ValueError("must not contain ? or #: a path is appended to it")
    return value.rstrip("/")


def _proxy(secret: Secret) -> Secret:
    if not is_url(secret.read()):
        raise ValueError("not a proxy: write it like http://proxy.example.com:3128 or https://user:password@proxy:3128")
    if urlsplit(secret.read()).path not in ("", "/") or urlsplit(secret.read()).query:
        raise ValueError("a proxy URL must have no path: write it like http://proxy.example.com:3128")
    return secret


def _header_value(secret: Secret) -> Secret:
    if not HEADER_VALUE.fullmatch(secret.read()):
        raise ValueError("cannot be sent in a header: printable ASCII only")
    return secret


def _authorities(file: str, info: ValidationInfo) -> str:
    path = located(file, info)
    load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    return str(path)


def load_authorities(context: ssl.SSLContext, file: Path) -> None:
    """Trust the certificates of a file. Raises ValueError with the reason if it cannot be used."""
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        raise ValueError("no certificate authority in PEM form") from None
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    # As in curl and Prometheus: an intermediate authority may be named without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def load_key_pair(cert_file: Path, key_file: Path, context: ssl.SSLContext | None = None) -> None:
    """Load a certificate and its key, or only check them. Raises ValueError with the reason if they cannot be used."""
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for file in (cert_file, key_file):
            file.open("rb").close()  # raises an error that names the file, unlike those of ssl
        context.load_cert_chain(cert_file, key_file, password="")  # without one OpenSSL would prompt on the terminal
    except ssl.SSLError:
        raise ValueError("not a certificate and its unencrypted key in PEM form") from None
    except OSError as error:
        raise ValueError(f"cannot read {error.filename}: {error.strerror}") from None


HttpUrl = Annotated[str, AfterValidator(http_url)]
"""An http or https URL without user name and password, which requests would send in place of the token."""
ProxyUrl = Annotated[Secret, AfterValidator(_proxy)]
"""An http or https proxy. It may contain a user name and password, so all of it is secret."""
BaseUrl = Annotated[str, AfterValidator(base_url)]
"""An HttpUrl to which paths are appended: not one from a browser, such as http://am:9093/#/alerts."""
HeaderSecret = Annotated[Secret, AfterValidator(_header_value)]
CaFile = Annotated[str, AfterValidator(_authorities)]


class HttpClientSettings(Section):
    """The keys that go with a URL. Without `ca_file` the system's roots are trusted."""

    ca_file: CaFile | None = None
    proxy_url: ProxyUrl | None = None
    max_response: ByteSize = Field(ByteSize(8_000_000), gt=0)
    """Largest response accepted, in bytes after decompression."""
