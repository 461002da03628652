import json

import pytest

from tests.sandbox.settings import Settings


@pytest.fixture
def vigilmon(client):
    return client("/vigilmon/api/v1", "vtk_sandbox")


def test_monitors_come_in_pages_of_twenty(sandbox, vigilmon):
    """The list has 20 per page and says the page and the total, no more."""
    sandbox.world.populate(monitors=45)
    pages = [vigilmon.get(f"/monitors?page={page}").json() for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [20, 20, 5, 0]
    assert pages[1]["meta"] == {"current_page": 2, "total": 45}
    assert sorted(pages[0]["data"][0]) == sorted(
        ["id", "name", "url", "method", "check_interval_seconds", "is_active", "current_status", "last_checked_at"]
    )


def test_uptime_is_in_the_detail_only(sandbox, vigilmon):
    """The detail has uptime and leaves out other members of the list."""
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    assert vigilmon.get(f"/monitors/{number}").json()["data"] == {
        "id": number,
        "name": "svc1",
        "url": "https://svc1.example.com",
        "current_status": "up",
        "uptime": {"24h": 100.0, "7d": 99.98, "30d": 99.95},
    }


@pytest.mark.parametrize(
    ("change", "status", "active", "checked"),
    [
        ({}, "up", True, True),
        ({"current_status": None}, None, True, False),
        ({"current_status": "pending"}, "pending", True, False),
        ({"current_status": "paused", "is_active": False}, "paused", False, True),
    ],
)
def test_statuses(sandbox, vigilmon, change, status, active, checked):  # noqa: PLR0913, PLR0917  a row of the table
    """A monitor that was never checked has no status or "pending", and no time of a check."""
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    sandbox.world.vigilmon.change(number, **change)
    shown = vigilmon.get("/monitors").json()["data"][0]
    assert (shown["current_status"], shown["is_active"]) == (status, active)
    assert (shown["last_checked_at"] is not None) == checked


def test_paused_monitor_is_not_checked(sandbox, vigilmon, clock):
    """Its last check stays that before the pause, until it is resumed."""
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    sandbox.world.vigilmon.pause(number)
    before = vigilmon.get("/monitors").json()["data"][0]["last_checked_at"]
    clock.now += 3600
    assert vigilmon.get("/monitors").json()["data"][0]["last_checked_at"] == before
    sandbox.world.vigilmon.up(number)
    assert vigilmon.get("/monitors").json()["data"][0]["last_checked_at"] > before


def test_incidents_are_newest_first_in_pages_of_thirty(sandbox, vigilmon, clock):
    """An ongoing incident has neither end nor duration; a resolved one has both."""
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    for _ in range(31):
        sandbox.world.vigilmon.down(number)
        clock.now += 60
        sandbox.world.vigilmon.up(number)
    sandbox.world.vigilmon.down(number, "HTTP 503", ["za-vps"])
    first = vigilmon.get(f"/monitors/{number}/incidents").json()
    assert len(first["data"]) == 30
    assert first["meta"] == {"current_page": 1, "total": 32}
    newest, before = first["data"][:2]
    assert (newest["status"], newest["resolved_at"], newest["duration_seconds"]) == ("ongoing", None, None)
    assert (before["status"], before["duration_seconds"]) == ("resolved", 60)
    assert len(vigilmon.get(f"/monitors/{number}/incidents?page=2").json()["data"]) == 2


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/monitors", "vtk_wrong", 401),
        ("/monitors", "", 401),
        ("/monitors/2", "vtk_sandbox", 403),
        ("/monitors/99", "vtk_sandbox", 404),
        ("/monitors?page=x", "vtk_sandbox", 422),
        ("/nothing", "vtk_sandbox", 404),
    ],
)
def test_refusals(sandbox, client, path, token, status):
    """A bad token, another's monitor, an unknown one and a bad parameter have different errors."""
    sandbox.world.vigilmon.add("mine", "https://mine.example.com")
    sandbox.world.vigilmon.add("theirs", "https://theirs.example.com", theirs=True)
    answer = client("/vigilmon/api/v1", token).get(path)
    assert answer.status_code == status
    assert ("errors" in answer.json()) == (status == 422)


@pytest.mark.parametrize("window", ["sliding", "fixed"])
def test_sixty_a_minute(sandbox, vigilmon, clock, window):
    """The 61st request within a minute is refused, without Retry-After, and counted; later ones are not."""
    sandbox.settings.change({"vigilmon": {"window": window}})
    assert {vigilmon.get("/monitors").status_code for _ in range(60)} == {200}
    refused = vigilmon.get("/monitors")
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, False)
    clock.now += 60
    assert vigilmon.get("/monitors").status_code == 200
    assert sandbox.traffic.described()["vigilmon"]["rate_limited"] == 1


def test_retry_after_when_wanted(sandbox, vigilmon):
    """The header is not documented; it can be had."""
    sandbox.settings.change({"vigilmon": {"per_minute": 1, "send_retry_after": True}})
    vigilmon.get("/monitors")
    assert vigilmon.get("/monitors").headers["Retry-After"] == "60"


def test_webhooks_carry_the_secret_and_are_tried_three_times(sandbox, receiver):
    """Any 2xx acknowledges; after the third failure the vendor gives up."""
    sandbox.settings.backoff_scale = 0.001
    receiver.statuses = [500, 302, 404]
    sandbox.world.send_webhooks("vigilmon", receiver.url, secret="s3cret")
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    sandbox.world.vigilmon.down(number, "Connection timed out")
    receiver.wait_for(3)
    sandbox.world.vigilmon.up(number)
    receiver.wait_for(4)
    down, up = json.loads(receiver.got[0][1]), json.loads(receiver.got[3][1])
    assert receiver.got[0][0]["X-Vigilmon-Secret"] == "s3cret"
    assert receiver.got[0][0]["User-Agent"] == "Vigilmon/1.0"
    assert (down["event"], down["status"], down["region"]) == ("monitor_down", "down", "za-vps,eu-west")
    assert (up["event"], up["error"], up["response_time_ms"]) == ("monitor_up", None, 212)
    assert "s3cret" not in json.dumps(sandbox.world.deliveries())


def test_the_throttle_loses_the_end_of_a_short_outage(sandbox, clock, receiver):
    """With the vendor's throttle a fast down and up pair is one message."""
    sandbox.settings.change({"vigilmon": {"webhook_throttle_seconds": 300}})
    sandbox.world.send_webhooks("vigilmon", receiver.url)
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    sandbox.world.vigilmon.down(number)
    clock.now += 60
    sandbox.world.vigilmon.up(number)
    assert [delivery["body"]["event"] for delivery in sandbox.world.deliveries()] == ["monitor_down"]


def test_certificate_and_escalation_webhooks(sandbox, receiver):
    """`ssl.expiring` has no monitor, no id and no status; an escalation says since when it is down."""
    sandbox.world.send_webhooks("vigilmon", receiver.url)
    number = sandbox.world.vigilmon.add("svc1", "https://svc1.example.com")
    sandbox.world.vigilmon.certificate_expires("https://svc1.example.com", 14)
    sandbox.world.vigilmon.down(number)
    sandbox.world.vigilmon.escalate(number, 30)
    said = {delivery["body"]["event"]: delivery["body"] for delivery in sandbox.world.deliveries()}
    assert set(said["ssl.expiring"]) == {"event", "monitor_url", "days_remaining", "threshold", "expires_at"}
    assert said["monitor_escalation"]["down_minutes"] == 30
    assert "checked_at" not in said["monitor_escalation"]


def test_an_unknown_setting_is_refused():
    """A misspelt name must not pass for a setting."""
    with pytest.raises(ValueError, match=r"vigilmon\.per_hour"):
        Settings().change({"vigilmon": {"per_hour": 1}})
