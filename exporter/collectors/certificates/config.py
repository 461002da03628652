"""The settings of a `collector: certificates` target in exporter.yml."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, field_validator

from exporter.collectors.contract import StartTls, TlsEndpoint
from exporter.collectors.settings import TargetSettings
from exporter.toolkit.config_types import Duration, FilePath, Secret
from exporter.toolkit.http_settings import load_key_pair

from .endpoints import EndpointsFile, endpoint, opened, place


class Settings(TargetSettings):
    """One list of endpoints.

    A probe costs its host one handshake. With the default interval, a renewed or wrongly replaced certificate is
    noticed within five minutes. `max_age` bridges several failed probes.
    """

    shortest_max_age: ClassVar[float] = 1800.0

    endpoints: tuple[Annotated[TlsEndpoint, BeforeValidator(endpoint)], ...] = ()
    endpoints_file: Annotated[EndpointsFile, PlainValidator(opened)] | None = Field(None, validate_default=True)
    starttls: StartTls | None = None
    client_cert_file: FilePath | None = None
    client_key_file: FilePath | None = Field(None, validate_default=True)
    poll_interval: Duration = Field(300.0, gt=0)
    retry_interval: Duration = Field(60.0, gt=0)

    @field_validator("proxy_url")
    @classmethod
    def _is_not_for_probes(cls, value: Secret | None) -> Secret | None:
        if value is not None:
            raise ValueError("probes connect directly: remove it")
        return value

    @field_validator("endpoints")
    @classmethod
    def _are_distinct(cls, value: tuple[TlsEndpoint, ...]) -> tuple[TlsEndpoint, ...]:
        if twice := _repeated(value):
            raise ValueError(f"listed more than once: {twice}")
        return value

    @field_validator("endpoints_file")
    @classmethod
    def _adds_to_the_list(cls, value: EndpointsFile | None, info: ValidationInfo) -> EndpointsFile | None:
        if "endpoints" not in info.data:  # already reported as invalid
            return value
        found = (*info.data["endpoints"], *(value.read() if value else ()))
        if not found:
            raise ValueError("give endpoints or endpoints_file, with at least one endpoint")
        if twice := _repeated(found):
            raise ValueError(f"in endpoints already: {twice}")
        return value

    @field_validator("client_key_file")
    @classmethod
    def _fits_the_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate: Path | None = info.data.get("client_cert_file")
        if value and not certificate:
            raise ValueError("give client_cert_file too")
        if certificate:
            load_key_pair(certificate, value or certificate)
        return value

    @property
    def client_certificate(self) -> tuple[str, str] | None:
        """Return the files of the client certificate and its key, which may be the same."""
        certificate = self.client_cert_file
        return (str(certificate), str(self.client_key_file or certificate)) if certificate else None

    def listed(self) -> tuple[TlsEndpoint, ...]:
        """Return the current endpoints, each place once, including those of `endpoints_file` as it is now."""
        found = (*self.endpoints, *(self.endpoints_file.read() if self.endpoints_file else ()))
        if self.starttls:
            found = tuple(one if one.starttls else replace(one, starttls=self.starttls) for one in found)
        return tuple({place(one): one for one in found}.values())


def _repeated(endpoints: Iterable[TlsEndpoint]) -> str:
    first: dict[tuple[str, str, int], TlsEndpoint] = {}
    return ", ".join(sorted({one.written for one in endpoints if first.setdefault(place(one), one) is not one}))
