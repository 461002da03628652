import json

import pytest


@pytest.fixture
def state(sandbox, receiver):
    state = sandbox.world.bigpanda
    state.outbound.configure(receiver.url, {"x-api-key": "hidden"})
    state.send_event(host="h", status="critical", vendorwatch_key="prod:f1")
    return state


@pytest.fixture
def one(state):
    return next(iter(state.incidents))


@pytest.fixture
def callback(client):
    return client("/bigpanda/resources/v2.1/outbound/callback", "bp-sandbox-user-key")


def test_sharing_posts_the_bare_incident(state, one, receiver):
    """Nothing is sent before an incident is shared; then it is, with its alerts and the admin's headers."""
    assert receiver.got == []
    state.share(one)
    receiver.wait_for(1)
    headers, body = receiver.got[0][0], json.loads(receiver.got[0][1])
    assert headers["x-api-key"] == "hidden"
    assert (body["id"], body["status"], body["snooze"]["snoozed"]) == (one, "critical", False)
    assert {"name": "vendorwatch_key", "value": "prod:f1"} in body["alerts"][0]["tags"]
    assert {"startedOn", "changedOn", "updatedOn", "endedOn"} <= set(body)


def test_every_later_change_is_posted(state, one, receiver):
    """A snooze, its end and a resolve each reach the receiver; a form of our own names what happened."""
    state.outbound.configure(receiver.url, form="v2")
    state.share(one)
    state.snooze(one, 60)
    state.unsnooze(one)
    state.resolve(one)
    receiver.wait_for(4)
    bodies = [json.loads(body) for _, body in receiver.got]
    assert [body["event"] for body in bodies] == [
        "incident#new",
        "incident#snoozed",
        "incident#updated",
        "incident#closed",
    ]
    assert [body["incident"]["snooze"]["snoozed"] for body in bodies] == [False, True, False, False]
    assert bodies[3]["incident"]["active"] is False


def test_locked_until_the_callback(state, one, receiver, callback):
    """After the first share updates wait until the receiver calls back."""
    state.outbound.configure(receiver.url, expects_callbacks=True)
    state.share(one)
    state.snooze(one, 60)
    receiver.wait_for(1)
    assert state.outbound.described()["locked"] == {one: 1}
    call = {"event_type": "incident#new", "incident_id": one, "app_key": "outbound-app-key"}
    assert callback.post("", json=call).json() == {"status": 200}
    receiver.wait_for(2)
    assert state.outbound.callbacks[0]["incident_id"] == one


def test_lock_ends_after_five_minutes(state, one, receiver, clock):
    """Pending updates are sent with the next change."""
    state.outbound.configure(receiver.url, expects_callbacks=True)
    state.share(one)
    state.snooze(one, 60)
    clock.now += 300
    state.unsnooze(one)
    receiver.wait_for(3)


@pytest.mark.parametrize("missing", ["event_type", "incident_id", "app_key"])
def test_a_callback_needs_all_three(state, one, callback, missing):
    """Each of its members is required, and the incident must exist."""
    call = {"event_type": "incident#new", "incident_id": one, "app_key": "outbound-app-key"}
    assert callback.post("", json={name: call[name] for name in call if name != missing}).status_code == 400
    assert callback.post("", json={**call, "incident_id": "unknown"}).status_code == 404


def test_autoshare(sandbox, state, receiver):
    """A new incident is POSTed at once, and again when its alert ends."""
    sandbox.settings.bigpanda.share_automatically = True
    state.outbound.configure(receiver.url, form="v2")
    state.send_event(host="h2", status="critical")
    state.send_event(host="h2", status="ok")
    receiver.wait_for(2)
    assert [json.loads(body)["event"] for _, body in receiver.got] == ["incident#new", "incident#closed"]


def test_no_header_value_is_shown(state, one, control):
    """The configuration can be read without its secrets."""
    state.share(one)
    assert control.get("/bigpanda/webhook").json()["headers"] == ["x-api-key"]
    assert "hidden" not in control.get("/deliveries").text
