"""A world of a plausible size, the same every time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sandbox.world import World

_SITES = ("www", "shop", "checkout", "api", "login", "cdn", "mail", "docs", "status", "portal", "vpn", "dns", "billing")
_REGIONS = ("eu", "us", "za", "ap")
_TESTS = ("checkout-http", "shop-http", "api-http", "login-http", "portal-page", "vpn-path", "dns-main", "mail-smtp")
_RULES = (
    ("HTTP response code", "http-server", "critical", "((responseCode >= 500))"),
    ("Packet loss", "end-to-end-server", "major", "((loss >= 10%))"),
    ("BGP reachability", "bgp", "major", "((reachability < 100%))"),
    ("Internet outage", "network-outage", "minor", "((networkOutage = true))"),
    ("Certificate age", "http-server", "info", "((certificateDays < 21))"),
)
_NOTICES = (
    ("visibility", 4, "The prefix 203.0.113.0/24 is no longer visible from at least 40 peers.", 32 * 3600),
    ("roa-expire", 2, "A ROA covering 192.0.2.0/24 expires in 2 hours.", 38 * 3600),
    ("newprefix", 1, "AS64500 announces the new prefix 198.51.100.128/25.", 50 * 3600),
    ("rpki-invalid", 3, "The route 198.51.100.0/24 announced by AS64500 is RPKI invalid.", 75 * 3600),
)


_AGENTS = ("Prague", "Oslo", "Lisbon")


def populate(  # noqa: PLR0913  a keyword for each kind of record
    world: "World",
    *,
    monitors: int = 45,
    tests: int = 24,
    alerts: int = 6,
    notifications: int = 8,
    incidents: int = 9,
    endpoints: Sequence[str] = (),
) -> None:
    """Add so many of each. The first monitors watch the `endpoints`, URLs of TLS servers that really exist."""
    _vigilmon(world, monitors, endpoints)
    _thousandeyes(world, tests, alerts)
    for place in range(notifications):
        kind, severity, summary, age = _NOTICES[place % len(_NOTICES)]
        world.packetvis.notify(kind, severity, summary, age + place * 7200)
    _bigpanda(world, incidents)


def _vigilmon(world: "World", count: int, endpoints: Sequence[str]) -> None:
    for place in range(count):
        site, region = _SITES[place % len(_SITES)], _REGIONS[place // len(_SITES) % len(_REGIONS)]
        name = f"{site}-{region}" + (f"-{place}" if place >= len(_SITES) * len(_REGIONS) else "")
        url = endpoints[place] if place < len(endpoints) else f"https://{name}.example.com/health"
        number = world.vigilmon.add(name, url)
        if place % 9 == 4:
            world.vigilmon.down(number, "HTTP 503 Service Unavailable")
            if place % 18 == 4:
                world.vigilmon.up(number)
        elif place % 15 == 7:
            world.vigilmon.pause(number)
        elif place % 40 == 38:
            world.vigilmon.change(number, current_status=None)


def _thousandeyes(world: "World", tests: int, alerts: int) -> None:
    rules = [
        world.thousandeyes.add_rule(name, alert_type=kind, severity=severity, expression=expression)
        for name, kind, severity, expression in _RULES
    ]
    ids = []
    for place in range(tests):
        name = _TESTS[place % len(_TESTS)] + ("" if place < len(_TESTS) else f"-{place}")
        kind = {5: "bgp", 4: "dns-server"}.get(place % 6, "http-server")
        days = 14.5 + 10 * place if kind == "http-server" else None
        target = {"bgp": "192.0.2.0/24", "dns-server": f"{name}.example.com"}.get(kind, f"https://{name}.example.com")
        ids.append(world.thousandeyes.add_test(name, type=kind, target=target, certificate_days=days))
    for place, site in enumerate(_AGENTS if tests else ()):
        state = "offline" if place == 1 else "online"
        world.thousandeyes.add_agent(site, state=state, utilization=20 + 37 * place)
    if tests:
        world.thousandeyes.add_agent("Dallas, TX", type="cloud", location="Texas, US", problems=1)
    for place in range(alerts):
        test = ids[place % len(ids)] if ids and place % 5 != 3 else None
        alert = world.thousandeyes.trigger(rules[place % len(rules)], test, age=1800 * (place + 1))
        if place % 6 == 3:
            world.thousandeyes.suppress(alert)
        if place % 6 == 5:
            world.thousandeyes.clear(alert, age=600)


def _bigpanda(world: "World", count: int) -> None:
    world.bigpanda.add_environment("Network", id="network", tag="team", value="network")
    for place in range(count):
        tags = {"host": f"host{place}.example.com", "check": "reachable", "team": ("network", "web")[place % 2]}
        world.bigpanda.send_event("prometheus", status=("critical", "warning", "unknown")[place % 3], **tags)
    made = list(world.bigpanda.incidents)
    for place, incident in enumerate(made):
        if place % 9 == 4:
            world.bigpanda.snooze(incident, 6 * 3600)
        if place % 9 == 6:
            world.bigpanda.share(incident)
        if place % 9 == 7:
            world.bigpanda.change(incident, maintenance="active")
        if place % 9 == 8:
            world.bigpanda.resolve(incident, "false alarm")
