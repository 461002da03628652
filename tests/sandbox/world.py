"""The scripted world: the vendors' data, and the webhooks about its changes."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from tests.sandbox.bigpanda.state import BigPandaState
from tests.sandbox.courier import Courier
from tests.sandbox.packetvis import PacketVisState
from tests.sandbox.populate import populate
from tests.sandbox.settings import Settings
from tests.sandbox.thousandeyes.state import ThousandEyesState
from tests.sandbox.vigilmon.state import VigilmonState

_VIGILMON_WAITS = (10, 30)
_THOUSANDEYES_WAITS = (300,) * 12


class World:
    """`vigilmon`, `thousandeyes`, `packetvis` and `bigpanda` hold the records and the methods that change them."""

    def __init__(self, clock: Callable[[], float], settings: Settings) -> None:
        def scale() -> float:
            return settings.backoff_scale

        self.couriers = {
            "vigilmon": Courier("vigilmon", _VIGILMON_WAITS, lambda status: 200 <= status < 300, scale),
            "thousandeyes": Courier("thousandeyes", _THOUSANDEYES_WAITS, lambda status: status == 200, scale),
            "bigpanda": Courier("bigpanda", (), lambda status: 200 <= status < 300, scale),
        }
        self._webhooks: dict[str, tuple[str, dict[str, str]]] = {}
        self.vigilmon = VigilmonState(clock, settings.vigilmon, lambda body: self._announce("vigilmon", body))
        self.thousandeyes = ThousandEyesState(clock, lambda body: self._announce("thousandeyes", body))
        self.packetvis = PacketVisState(clock)
        self.bigpanda = BigPandaState(clock, settings.bigpanda, self.couriers["bigpanda"].post)

    def populate(self, monitors: int = 45, **how: Any) -> None:
        """Fill it with a few dozen plausible monitors, tests, rules, notifications and incidents; see `populate`."""
        populate(self, monitors=monitors, **how)

    def send_webhooks(  # noqa: PLR0913  a keyword for each kind of credentials
        self, vendor: str, url: str, *, secret: str = "", username: str = "", password: str = "", bearer: str = ""
    ) -> None:
        """Set the URL of Vigilmon's (`secret`) or ThousandEyes' (Basic or bearer) webhooks; "" stops them."""
        if vendor not in ("vigilmon", "thousandeyes"):
            raise ValueError("BigPanda's webhook has a call of its own, PacketVis has none")
        headers = {"X-Vigilmon-Secret": secret} if secret else {}
        if vendor == "vigilmon":
            headers["User-Agent"] = "Vigilmon/1.0"
        if username or bearer:
            headers["Authorization"] = f"Bearer {bearer}" if bearer else _basic(username, password)
        self._webhooks[vendor] = (url, headers)

    def send_webhook(self, vendor: str, body: Mapping[str, Any]) -> None:
        """Send a body as it is, such as an agent's alert or one with an old id, to where the vendor's webhooks go."""
        if not self._webhooks.get(vendor, ("", {}))[0]:
            raise LookupError(f"{vendor} has no webhook")
        self._announce(vendor, body)

    def deliveries(self) -> list[dict[str, Any]]:
        """Every outbound webhook and how its tries went."""
        return [delivery.described() for courier in self.couriers.values() for delivery in list(courier.record)]

    def clear(self) -> None:
        """Remove all data, without webhooks."""
        self.vigilmon.clear()
        self.thousandeyes.clear_all()
        self.packetvis.clear()
        self.bigpanda.clear()
        self._webhooks.clear()
        for courier in self.couriers.values():
            courier.clear()

    def close(self) -> None:
        """Stop the couriers."""
        for courier in self.couriers.values():
            courier.close()

    def _announce(self, vendor: str, body: Mapping[str, Any]) -> None:
        url, headers = self._webhooks.get(vendor, ("", {}))
        if url:
            self.couriers[vendor].post(url, body, headers=headers)


def _basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()
