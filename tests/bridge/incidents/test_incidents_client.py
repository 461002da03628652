"""BigPanda's Incidents API, against the sandbox: done, or an error that says whose fault it is."""

from contextlib import closing, nullcontext

import pytest
import responses

from bridge.config import Incidents
from bridge.domain.incident import IncidentDetails, IncidentRecord
from bridge.errors import DeliveryError, Rejected, Stopped, Transient
from bridge.incidents.incidents_client import IncidentsClient
from tests.sandbox.server import Sandbox

KEY = "bp-sandbox-user-key"


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        running.settings.bigpanda.resources_per_second = 0
        running.world.bigpanda.send_event(host="web-1", status="critical")
        yield running


@pytest.fixture
def client(sandbox):
    """Make a client for the sandbox; `more` changes its settings."""
    made = []

    def make(**more):
        settings = {"url": f"{sandbox.url}/bigpanda", "api_key": KEY} | more
        made.append(IncidentsClient(Incidents.model_validate(settings)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def incident(sandbox):
    """Give the sandbox's incident, as a webhook without `addMetadata` leaves it."""
    (number,) = sandbox.world.bigpanda.incidents
    return IncidentRecord(source="panda", id=number, first_heard_at=0.0, heard_at=0.0)


def test_incident_is_resolved_in_its_environment(sandbox, client, incident):
    """Without a named environment, each that the key sees is tried; the comment names the user."""
    client().resolve(incident, "done (ann)")
    found = sandbox.world.bigpanda.incidents[incident.id]
    assert not found.active


def test_resolved_incident_is_an_error_with_bigpandas_message(client, incident):
    """409."""
    client().resolve(incident, "once")
    with pytest.raises(Rejected, match=r"409.*already resolved"):
        client().resolve(incident, "twice")


def test_an_incident_is_commented(sandbox, client, incident):
    """In the environment that a webhook named, without a listing."""
    known = IncidentRecord(
        source="panda", id=incident.id, first_heard_at=0.0, heard_at=0.0, details=IncidentDetails(environment_id="all")
    )
    client().comment(known, "looking")
    activities = sandbox.world.bigpanda.incidents[incident.id].activities
    assert [one["params"] for one in activities if "looking" in str(one)]


def test_unknown_incident_is_an_error(client):
    """404 in every environment is a 404."""
    nobody = IncidentRecord(source="panda", id="nobody", first_heard_at=0.0, heard_at=0.0)
    with pytest.raises(Stopped, match="404"):
        client().resolve(nobody, "x")


@pytest.mark.parametrize(
    ("statuses", "tried", "error"),
    [
        ([404] * 49 + [202] + [404] * 10, 50, None),
        ([404] * 50 + [202] * 10, 50, "404"),
        ([404, 403, 202], 2, "403"),
    ],
)
@responses.activate
def test_environments_are_tried_until_one_has_the_incident(statuses, tried, error):
    """Fifty of them; rejected credentials end the search."""
    base = "https://bigpanda.test/resources/v2.0/environments"
    responses.get(base, json=[{"id": str(number)} for number in range(len(statuses))])
    for number, status in enumerate(statuses):
        responses.post(f"{base}/{number}/incidents/i/resolve", status=status)
    client = IncidentsClient(Incidents.model_validate({"url": "https://bigpanda.test", "api_key": KEY}))
    with pytest.raises(Stopped, match=error) if error else nullcontext():
        client.resolve(IncidentRecord(source="panda", id="i", first_heard_at=0.0, heard_at=0.0), "x")
    client.close()
    assert len(responses.calls) == 1 + tried


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"api_key": "another-key"}, Stopped),
        ({"url": "http://127.0.0.1:1"}, Transient),
        ({"url": "{sandbox}/nowhere"}, Stopped),
    ],
)
def test_errors_contain_no_secret(sandbox, client, incident, changes, kind):
    """Rejected credentials, no connection, a redirect."""
    changes = {name: value.format(sandbox=sandbox.url) for name, value in changes.items()}
    with pytest.raises(kind) as raised:
        client(**changes).resolve(incident, "x")
    assert isinstance(raised.value, DeliveryError)
    assert not [secret for secret in (KEY, "another-key") if secret in str(raised.value)]


def test_environments_are_listed(client):
    """For `check`: it needs the credentials and changes nothing."""
    assert "all" in [one["id"] for one in client().environments()]


@pytest.mark.parametrize(("name", "order"), [("Edge", ["2", "1"]), ("", ["1", "2"])])
@responses.activate
def test_the_named_environment_comes_first(name, order):
    """An incident is in several; the one in webhooks is the likeliest."""
    listed = [{"id": "1", "name": "All"}, {"_id": "2", "name": "Edge"}, {"name": "no id"}]
    responses.get("https://bigpanda.test/resources/v2.0/environments", json=listed)
    incident = IncidentRecord(source="panda", id="i", environment=name, first_heard_at=0.0, heard_at=0.0)
    with closing(IncidentsClient(Incidents.model_validate({"url": "https://bigpanda.test", "api_key": KEY}))) as client:
        assert list(client._candidates(incident)) == order


def test_an_overload_is_transient(sandbox, client, incident):
    """429 and 5xx."""
    sandbox.settings.bigpanda.resources_per_second = 1
    patient = client()
    errors = []
    for _ in range(20):
        try:
            patient.comment(incident, "again")
        except DeliveryError as error:
            errors.append(error)
    assert errors
    assert {type(error) for error in errors} == {Transient}
