"""TLS and authentication: Prometheus's `--web.config.file`, as exporter-toolkit documents it.

The file and the certificates it names are re-read when they change; while they cannot be read, the last version stays
in force.
"""

import contextlib
import ipaddress
import logging
import os
import re
import ssl
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from exporter.toolkit.config_types import ConfigError, Duration, FilePath, Secret, Section, Stamp, problems, stamp
from exporter.toolkit.http_settings import HEADER_NAME, load_authorities, load_key_pair
from exporter.toolkit.wsgi import Headers
from exporter.toolkit.yaml_file import load_yaml

_LOOK_AGAIN = 1.0
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = frozenset({"connection", "content-encoding", "content-length", "content-type", "date", "transfer-encoding"})
_SAFE = {b"x-content-type-options": b"nosniff", b"cache-control": b"no-store"}
"""Headers of every response: it is neither stored nor taken for something else than its content type says."""
_LIMITED = {"x-frame-options": ("deny", "sameorigin"), "x-content-type-options": ("nosniff",)}
_CIPHER = re.compile(r"TLS_(ECDHE_(RSA|ECDSA)|RSA)_WITH_(AES_(128|256)_(GCM_SHA(256|384)|CBC_SHA)|CHACHA20_.*)")
_TLS13 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_NAMES = frozenset({"DNS", "email", "IP Address", "URI"})
_VERIFY = {"VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
ClientAuth = Literal["NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Curve = Literal["CurveP256", "CurveP384", "CurveP521", "X25519"]
Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
_log = logging.getLogger(__name__)


def _hash(value: Secret) -> Secret:
    if not _BCRYPT.fullmatch(value.read()):
        raise ValueError("not a bcrypt hash: make one with htpasswd -nBC 10 NAME")
    return value


def _cipher(name: str) -> str:
    """Return OpenSSL's name for Go's; empty for those of TLS 1.3, which are always on."""
    if name in _TLS13:
        return ""
    openssl = name.removeprefix("TLS_").replace("_WITH_", "_").replace("_CBC_SHA", "_SHA").replace("AES_", "AES")
    openssl = openssl.removeprefix("RSA_").replace("_POLY1305_SHA256", "_POLY1305").replace("_", "-")
    try:
        if _CIPHER.fullmatch(name):
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(openssl)
            return openssl
    except ssl.SSLError:
        pass
    raise ValueError(f"no such cipher suite: {name}")


def _one(names: tuple[Curve, ...]) -> tuple[Curve, ...]:
    if len(names) > 1:
        raise ValueError("only one curve is supported: give one, or none to allow all")
    return names


def _san(name: Any) -> Any:
    """Return an IP address in its shortest form, as Go writes it and Python does not; any other name unchanged."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


class TlsServer(Section):
    """`tls_server_config`. As in Go, `prefer_server_cipher_suites` has no effect."""

    cert: str | None = None
    cert_file: FilePath | None = None
    key: str | None = Field(None, repr=False)
    key_file: FilePath | None = None
    client_ca: str | None = None
    client_ca_file: FilePath | None = None
    client_auth_type: ClientAuth = "NoClientCert"
    client_allowed_sans: tuple[Annotated[str, AfterValidator(_san)], ...] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[tuple[Curve, ...], AfterValidator(_one)] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("cert", "key", "client_ca"):
            inline, file = getattr(self, name), getattr(self, f"{name}_file")
            if inline is not None and file is not None:
                raise ValueError(f"give {name} or {name}_file, not both")
            if inline is None and file is None and name != "client_ca":
                raise ValueError(f"missing: give {name} or {name}_file")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        if (self.client_ca or self.client_ca_file) and self.client_auth_type not in _VERIFY:
            raise ValueError("client_ca_file has no effect without a client_auth_type that verifies")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
        return self

    def admits(self, connection: ssl.SSLObject) -> bool:
        """Return whether the client's certificate has an allowed name, if one is required. An empty list has none."""
        allowed = self.client_allowed_sans
        if allowed is None or self.client_auth_type != "RequireAndVerifyClientCert":
            return True
        found: Any = (connection.getpeercert() or {}).get("subjectAltName", ())
        names = {_san(value) for kind, value in found if kind in _NAMES}
        return not names.isdisjoint(allowed)

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for connections. Raises OSError or ValueError if a file cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = _VERSIONS[self.min_version], _VERSIONS[self.max_version]
        with _pem(self.cert, self.cert_file) as cert, _pem(self.key, self.key_file) as key:
            load_key_pair(cert, key, context)
        if self.client_ca or self.client_ca_file:
            with _pem(self.client_ca, self.client_ca_file) as authorities:
                load_authorities(context, authorities)
        elif self.client_auth_type in _VERIFY:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = _VERIFY.get(self.client_auth_type, ssl.CERT_NONE)
        ciphers = list(filter(None, self.cipher_suites))
        if self.min_version < "TLS12":  # OpenSSL has them at this level only, and Python no ciphers for them
            ciphers = [*(ciphers or ["DEFAULT"]), "@SECLEVEL=0"]
        if ciphers:
            context.set_ciphers(":".join(ciphers))
        for curve in self.curve_preferences:
            context.set_ecdh_curve(_CURVES[curve])
        return context


@contextlib.contextmanager
def _pem(inline: str | None, file: Path | None) -> Iterator[Path]:
    """Write an inline value to a temporary file: ssl reads certificates and keys only from files."""
    if file is not None:
        yield file
        return
    descriptor = os.memfd_create("pem")
    with os.fdopen(descriptor, "w") as memory:
        memory.write(inline or "")
        memory.flush()
        yield Path(f"/proc/self/fd/{descriptor}")


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} cannot be set")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{name}: printable ASCII only")
        if value and value.lower() not in (allowed := _LIMITED.get(name.lower(), (value.lower(),))):
            raise ValueError(f"{name}: must be {' or '.join(allowed)}")
    return {name: value for name, value in headers.items() if value}


class HttpServer(Section):
    """`http_server_config`: `http2` is accepted but has no effect."""

    http2: bool = True
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)

    @cached_property
    def always(self) -> Headers:
        """The headers of every response that does not set them itself."""
        configured = {name.lower().encode(): value.encode() for name, value in self.headers.items()}
        return tuple((_SAFE | configured).items())


class RateLimit(Section):
    """`rate_limit`: a bucket of `burst` requests, refilled by one every `interval`; 0s: no limit."""

    interval: Duration = Field(0.0, ge=0)
    burst: int = Field(0, ge=0)


class WebConfig(Section):
    """The content of `--web.config.file`."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = Field(default_factory=HttpServer)
    basic_auth_users: dict[str, Annotated[Secret, AfterValidator(_hash)]] = Field(default_factory=dict)
    rate_limit: RateLimit = Field(default_factory=RateLimit)


class WebConfigFile:
    """The current web config: `config`, and the TLS `context` of new connections, None without TLS."""

    def __init__(self, file: Path | None) -> None:
        """Read the file. Raises ConfigError with one line for each problem."""
        self.file = file
        self._looked = time.monotonic()
        self._latest = self.config = WebConfig()
        """The latest that could be read, and the one in force; they differ while a certificate cannot be used."""
        self._seen: list[Stamp | None] = []
        self.context: ssl.SSLContext | None = None
        if file:
            self.config, self.context = self._read(file)

    def check(self) -> None:
        """Raise ConfigError if a file cannot be used now: `refresh` only logs that."""
        WebConfigFile(self.file)

    def refresh(self) -> None:
        """Check, at most once a second, whether a file has changed, and re-read those that have. For one thread."""
        now = time.monotonic()
        if self.file is None or now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        seen = _stamps(self.file, self._latest)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            config, context = self._read(self.file)
        except ConfigError as error:
            _log.error("Reload of the web config failed, keeping the current one: %s", error)
            return
        if (context is None) != (self.context is None):
            _log.error("Keeping the current web config: enabling or disabling TLS needs a restart")
            return
        self.config, self.context = config, context

    def _read(self, file: Path) -> tuple[WebConfig, ssl.SSLContext | None]:
        """Read the file, and those it names. Each one's stamp is from before: a change meanwhile is then read next."""
        seen = _stamps(file, WebConfig())
        try:
            content = load_yaml(file)
            if content is None and self._seen:  # a shell empties a file before a command writes to it
                raise ConfigError(["the file is empty; write {} for neither TLS nor users"])
            config = WebConfig.model_validate({} if content is None else content, context={"folder": file.parent})
            self._latest, self._seen = config, seen + _stamps(file, config)[1:]
            tls = config.tls_server_config
            return config, tls.context() if tls else None
        except ValidationError as error:
            raise ConfigError(problems(error)) from error
        except (OSError, ValueError) as error:
            raise ConfigError([f"tls_server_config: {error}"]) from error


def _stamps(file: Path, config: WebConfig) -> list[Stamp | None]:
    """Return the stamp of each file."""
    tls = config.tls_server_config
    named = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
    return [stamp(path) for path in (file, *named) if path]
