import pytest


@pytest.fixture
def packetvis(sandbox, client):
    one = client("/packetvis/v1/notifications")
    one.params = {"key": "pv-sandbox-key", "org": "sandbox"}
    return one


@pytest.fixture
def state(sandbox):
    sandbox.world.packetvis.notify("hijack", 4, age=120)
    sandbox.world.packetvis.notify("rpki-invalid", 3, age=540)
    sandbox.world.packetvis.notify("visibility", 2, age=86400)
    return sandbox.world.packetvis


@pytest.mark.parametrize(
    ("query", "types", "warning"),
    [
        ({}, ["hijack", "rpki-invalid", "visibility"], True),
        ({"warning": "1"}, ["hijack", "rpki-invalid", "visibility"], False),
        ({"severity": "4"}, ["hijack"], True),
        ({"types": "rpki-invalid,visibility"}, ["rpki-invalid", "visibility"], True),
        ({"types": "visibility"}, ["visibility"], False),
        ({"severity": "3", "types": "visibility"}, [], False),
    ],
)
def test_filters_govern_the_warning_and_not_the_age_of_the_list(state, packetvis, query, types, warning):
    """The warning reflects only what matches; old notifications stay listed whatever the window."""
    answer = packetvis.get("", params=query)
    listed = answer.json()["data"]
    assert [notification["type"] for notification in listed["notifications"]] == types
    assert (answer.status_code, listed["warning"]) == (200, warning)


def test_418_has_the_same_body(state, packetvis):
    """With status=true a warning is 418; the body differs only in that."""
    plain, teapot = packetvis.get(""), packetvis.get("", params={"status": "true"})
    assert (plain.status_code, teapot.status_code) == (200, 418)
    assert plain.json()["data"] == teapot.json()["data"]
    assert teapot.json()["metadata"] == {"useStatusCode": True, "warningMinutes": 10}


def test_a_warning_ends_by_itself(state, packetvis, clock):
    """The window moves on while the list stays."""
    clock.now += 600
    answer = packetvis.get("", params={"status": "true"})
    assert (answer.status_code, answer.json()["data"]["warning"]) == (200, False)
    assert len(answer.json()["data"]["notifications"]) == 3


def test_members_of_a_notification(state, packetvis):
    """Times are UTC with milliseconds; the id is the last part but one of its links."""
    said = packetvis.get("").json()["data"]["notifications"][0]
    assert said["createdAt"] == "2026-11-20T11:58:00.000Z"
    assert said["id"] in said["url"]
    assert said["data"].endswith(said["id"])
    assert (said["service"], said["severity"], said["dispatched"]) == ("bgp", 4, True)


@pytest.mark.parametrize(
    ("query", "status"), [({"key": "x"}, 401), ({"org": "x"}, 401), ({"severity": "5"}, 400), ({"warning": "0"}, 400)]
)
def test_rejected_requests(packetvis, query, status):
    """A wrong key, an unknown organization and bad parameters."""
    assert packetvis.get("", params=query).status_code == status


def test_the_whole_url_is_the_credential(sandbox, client):
    """The URL alone is enough for a client, and the key is recorded only as a hash."""
    assert client("").get(sandbox.base_url("packetvis").removeprefix(sandbox.url)).status_code == 200
    assert "pv-sandbox-key" not in str(sandbox.traffic.described())
