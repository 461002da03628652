"""Who may come in, and how: Prometheus's `--web.config.file`, with TLS and basic auth.

The file and the certificates it names are read again when they change; while they cannot be read, what was read last
stays in force. The two programs share no code, so each has this file; a test holds them equal.
"""

import base64
import binascii
import hashlib
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import bcrypt
from pydantic import AfterValidator, Field, ValidationError, model_validator

from exporter.toolkit.config_types import ConfigError, Secret, Section, problems
from exporter.toolkit.yaml_file import load_yaml

Stamps = tuple[tuple[int, int, int] | None, ...]
"""When each file was changed, which file it is, and its size."""

_LOOK_AGAIN = 1.0
_REMEMBERED = 256
_BCRYPT_READS = 72
_BCRYPT = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")
_log = logging.getLogger(__name__)


def _hash(value: Secret) -> Secret:
    if not _BCRYPT.fullmatch(value.read()):
        raise ValueError("not a bcrypt hash: make one with htpasswd -nBC 10 NAME")
    return value


class TlsServer(Section):
    """`tls_server_config`. Paths are relative to the file that names them."""

    cert_file: Path
    key_file: Path
    client_auth_type: Literal[
        "NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
    ] = "NoClientCert"
    client_ca_file: Path | None = None
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS13"
    prefer_server_cipher_suites: bool = True

    @model_validator(mode="after")
    def _authorities_are_used(self) -> "TlsServer":
        if self.client_ca_file and not self.client_auth_type.endswith(("IfGiven", "AndVerifyClientCert")):
            raise ValueError("client_ca_file has no effect without a client_auth_type that verifies")
        return self

    def files(self, folder: Path) -> list[Path]:
        """Return the files that it names."""
        return [folder / path for path in (self.cert_file, self.key_file, self.client_ca_file) if path]

    def context(self, folder: Path) -> ssl.SSLContext:
        """Return what connections are wrapped with. OSError (ssl.SSLError is one) when a file cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _version(self.min_version)
        context.maximum_version = _version(self.max_version)
        context.load_cert_chain(folder / self.cert_file, folder / self.key_file, password=_no_password)
        if self.client_ca_file:
            context.load_verify_locations(folder / self.client_ca_file)
        elif self.client_auth_type in _VERIFY:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = _VERIFY.get(self.client_auth_type, ssl.CERT_NONE)
        return context


_VERIFY = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[f"TLSv1_{name[-1]}" if name != "TLS10" else "TLSv1"]


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted")


class HttpServer(Section):
    """`http_server_config`: `http2` is accepted and without effect, the headers go onto every answer."""

    http2: bool = True
    headers: dict[str, str] = Field(default_factory=dict)


class WebConfig(Section):
    """What `--web.config.file` says."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = Field(default_factory=HttpServer)
    basic_auth_users: dict[str, Annotated[Secret, AfterValidator(_hash)]] = Field(default_factory=dict)


class Access:
    """Who may come in, and how: the web config as it is now."""

    def __init__(self, file: Path | None) -> None:
        """Read the file. ConfigError with one line for each problem."""
        self._file = file
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._seen: Stamps = ()
        self.config, self.tls = WebConfig(), None
        if file:
            self.config, self.tls = _read(file)
            self._seen = _stamps(file, self.config)

    def refresh(self) -> None:
        """Look, at most once a second, whether a file has changed, and read again what has."""
        now = time.monotonic()
        if self._file is None or now - self._looked < _LOOK_AGAIN or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked = now
            self._follow(self._file)
        finally:
            self._lock.release()

    def _follow(self, file: Path) -> None:
        seen = _stamps(file, self.config)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            config, tls = _read(file)
        except ConfigError as error:
            _log.error("web config stays as it was: %s", error)
            return
        if (tls is None) != (self.tls is None):
            _log.error("web config stays as it was: TLS is switched on or off by a restart only")
            return
        self.config, self.tls = config, tls
        self._seen = _stamps(file, config)


def _read(file: Path) -> tuple[WebConfig, ssl.SSLContext | None]:
    try:
        config = WebConfig.model_validate(load_yaml(file) or {})
        return config, config.tls_server_config.context(file.parent) if config.tls_server_config else None
    except ValidationError as error:
        raise ConfigError(problems(error)) from error
    except OSError as error:
        raise ConfigError([f"tls_server_config: {error.strerror or error}"]) from error
    except ValueError as error:
        raise ConfigError([str(error)]) from error


def _stamps(file: Path, config: WebConfig) -> Stamps:
    tls = config.tls_server_config
    return tuple(_stamp(path) for path in (file, *(tls.files(file.parent) if tls else ())))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


class Gate:
    """Lets a request through to the application when its basic auth is right, or when none is asked for.

    A pair that was right is remembered by a hash of it; a name that nobody has costs what a wrong password costs.
    The application finds the name as `REMOTE_USER`. `excepted` tells which paths ask for credentials of their own: a
    request carries one `Authorization` only, so it cannot have both.
    """

    def __init__(self, application: WSGIApplication, access: Access, excepted: Callable[[str], bool]) -> None:
        self._application = application
        self._access = access
        self._excepted = excepted
        self._right: set[bytes] = set()
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        self._access.refresh()
        config = self._access.config
        more = list(config.http_server_config.headers.items())
        if not self._enters(environ, config.basic_auth_users):
            start_response(
                "401 Unauthorized",
                [("WWW-Authenticate", "Basic"), ("Content-Type", "text/plain"), ("Content-Length", "13"), *more],
            )
            return [b"Unauthorized\n"]
        if not more:
            return self._application(environ, start_response)
        return self._application(
            environ, lambda status, headers, exc_info=None: start_response(status, [*headers, *more], exc_info)
        )

    def _enters(self, environ: WSGIEnvironment, users: dict[str, Secret]) -> bool:
        environ.pop("REMOTE_USER", None)
        if not users or self._excepted(environ["PATH_INFO"]):
            return True
        header = environ.get("HTTP_AUTHORIZATION", "")
        if not self._passes(header, users):
            return False
        environ["REMOTE_USER"] = _credentials(header)[0]
        return True

    def _passes(self, header: str, users: dict[str, Secret]) -> bool:
        name, password = _credentials(header)
        if password is None:
            return False
        hashed = (users.get(name) or next(iter(users.values()))).read().encode()
        parts = (name.encode(), hashed, password)
        pair = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
        if pair in self._right:
            return True
        with self._one_at_a_time:
            right = bcrypt.checkpw(password[:_BCRYPT_READS], hashed) and name in users
        if right:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add(pair)
        return right


def _credentials(header: str) -> tuple[str, bytes | None]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return "", None
    return name.decode("utf-8", "replace"), password if colon and b"\0" not in password else None
