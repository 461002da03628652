"""The settings of a `collector: certificates` target in exporter.yml."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from exporter.collectors.contract import StartTls
from exporter.collectors.settings import TargetSettings, check_key_pair
from exporter.toolkit.config_types import Duration, FilePath, Secret

from .endpoints import Endpoint, EndpointsFile, endpoint


class Settings(TargetSettings):
    """One list of endpoints.

    A probe costs its host one handshake. With the default interval, a renewed or wrongly replaced certificate is
    noticed within five minutes. `max_age` bridges several failed probes.
    """

    shortest_max_age: ClassVar[float] = 1800.0

    endpoints: tuple[Annotated[Endpoint, BeforeValidator(endpoint)], ...] = ()
    endpoints_file: EndpointsFile | None = Field(None, validate_default=True)
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
    def _are_distinct(cls, value: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        twice = sorted(set(_repeated(value)))
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}")
        return value

    @field_validator("endpoints_file")
    @classmethod
    def _adds_to_the_list(cls, value: EndpointsFile | None, info: ValidationInfo) -> EndpointsFile | None:
        if "endpoints" not in info.data:  # already reported as invalid
            return value
        found = (*info.data["endpoints"], *(value.read().endpoints if value else ()))
        if not found:
            raise ValueError("give endpoints or endpoints_file, with at least one endpoint")
        twice = sorted(set(_repeated(found)))
        if twice:
            raise ValueError(f"in endpoints already: {', '.join(twice)}")
        return value

    @field_validator("client_key_file")
    @classmethod
    def _fits_the_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        certificate: Path | None = info.data.get("client_cert_file")
        if value and not certificate:
            raise ValueError("give client_cert_file too")
        if certificate:
            check_key_pair(str(certificate), str(value or certificate))
        return value

    @property
    def client_certificate(self) -> tuple[str, str] | None:
        """Return the files of the client certificate and its key, which may be the same."""
        if self.client_cert_file is None:
            return None
        return str(self.client_cert_file), str(self.client_key_file or self.client_cert_file)

    def listed(self) -> dict[tuple[str, str, int], Endpoint]:
        """Return the current endpoints by place, including those of `endpoints_file` as it is now."""
        found = self.endpoints_file.read().endpoints if self.endpoints_file else ()
        return {one.place: one for one in (*self.endpoints, *found)}


def _repeated(endpoints: Iterable[Endpoint]) -> Iterable[str]:
    seen = set()
    for one in endpoints:
        if one.place in seen:
            yield one.written
        seen.add(one.place)
