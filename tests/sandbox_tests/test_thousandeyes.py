import json

import pytest

DAY = 86400


@pytest.fixture
def thousandeyes(client):
    return client("/thousandeyes/v7", "te-sandbox-token")


@pytest.fixture
def world(sandbox):
    state = sandbox.world.thousandeyes
    state.add_rule("HTTP response code", id="1", severity="critical")
    state.add_test("checkout-http", id="7", certificate_days=14.5)
    state.trigger("1", "7", age=600, id="young")
    state.trigger("1", "7", age=10 * DAY, id="old")
    state.trigger("1", age=100 * DAY, id="ancient")
    state.trigger("1", "7", age=3 * DAY, id="gone")
    state.clear("gone", age=DAY)
    state.trigger("1", "7", age=30 * DAY, id="long gone")
    state.clear("long gone", age=20 * DAY)
    return state


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", {"young", "old"}),
        ("state=trigger", {"young", "old"}),
        ("state=trigger&window=1d", {"young"}),
        ("state=trigger&startDate=2026-01-01T00:00:00Z", {"young", "old", "ancient"}),
        ("state=clear&window=5d", {"gone"}),
        ("window=5d", {"gone", "young", "old", "ancient"}),
        ("state=clear&startDate=2026-10-25T00:00:00Z&endDate=2026-11-10T00:00:00Z", {"long gone"}),
    ],
)
def test_state_and_time_filters(world, thousandeyes, query, ids):
    """A time filter without a state mixes cleared and active alerts; with state=trigger it omits lasting ones."""
    assert {alert["id"] for alert in thousandeyes.get(f"/alerts?{query}").json()["alerts"]} == ids


def test_deprecated_members_stand_beside_the_new(world, thousandeyes):
    """The list says a state twice, in two alphabets; only a cleared alert has an end."""
    alerts = {alert["id"]: alert for alert in thousandeyes.get("/alerts?window=5d").json()["alerts"]}
    young, gone, ancient = alerts["young"], alerts["gone"], alerts["ancient"]
    assert (young["state"], young["alertState"]) == ("ACTIVE", "trigger")
    assert (young["severity"], young["alertSeverity"]) == ("CRITICAL", "critical")
    assert (young["ruleId"], young["alertRuleId"]) == (1, "1")
    assert (gone["state"], gone["alertState"]) == ("CLEARED", "clear")
    assert "endDate" in gone
    assert "endDate" not in young
    assert "test" not in ancient["_links"]


def test_the_detail_is_lower_case_and_names_agents(world, thousandeyes):
    """In the detail `state` and `severity` are lower-case, unlike the list."""
    detail = thousandeyes.get("/alerts/young").json()
    assert (detail["state"], detail["severity"]) == ("trigger", "critical")
    assert detail["details"][0]["name"] == "Bucharest, Romania"
    assert "alertId" not in detail


def test_the_next_page_is_named_by_a_link_to_the_vendor(sandbox, world, thousandeyes):
    """The link points to the vendor's own host whatever host was asked; its cursor leads on."""
    sandbox.settings.thousandeyes.page_size = 1
    first = thousandeyes.get("/alerts?aid=1234").json()
    following = first["_links"]["next"]["href"]
    assert following.startswith("https://api.thousandeyes.com/v7/alerts?aid=1234&cursor=")
    second = thousandeyes.get("/alerts?" + following.partition("?")[2]).json()
    assert [alert["id"] for alert in (*first["alerts"], *second["alerts"])] == ["young", "old"]
    assert "next" not in second["_links"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/alerts?window=5x", 400),
        ("/alerts?window=5d&startDate=2026-11-01T00:00:00Z", 400),
        ("/alerts?state=ACTIVE", 400),
        ("/alerts?cursor=mine", 400),
        ("/alerts?max=0", 400),
        ("/alerts?aid=99", 403),
        ("/alerts/unknown", 404),
        ("/test-results/99/http-server", 404),
        ("/nothing", 404),
    ],
)
def test_errors_are_problem_documents(thousandeyes, path, status):
    """RFC 9457."""
    answer = thousandeyes.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert ("errors" in answer.json()) == (status == 400)


def test_a_bad_token(client, clock):
    """401 has OAuth's body; after a hundred of them in a minute the address has to wait, with the right token too."""
    wrong = client("/thousandeyes/v7", "wrong")
    refusals = [wrong.get("/alerts") for _ in range(101)]
    assert refusals[0].json() == {"error": "invalid_token", "error_description": "Invalid access token"}
    assert [refusals[place].status_code for place in (0, 99, 100)] == [401, 401, 429]
    right = client("/thousandeyes/v7", "te-sandbox-token")
    assert right.get("/alerts").status_code == 429
    clock.now += 60
    assert right.get("/alerts").status_code == 200


def test_the_organization_has_240_a_minute(thousandeyes, clock):
    """Every answer says what is left and when the window rolls over, counted from its first request."""
    first = thousandeyes.get("/tests")
    clock.now += 30
    last = [thousandeyes.get("/tests") for _ in range(240)][-1]
    prefix = "X-Organization-Rate-Limit-"
    assert [first.headers[prefix + name] for name in ("Limit", "Remaining", "Reset")] == ["240", "239", "1795176060"]
    assert (last.status_code, last.json()["title"], "Retry-After" in last.headers) == (429, "Too Many Requests", False)
    clock.now += 30
    assert thousandeyes.get("/tests").headers[prefix + "Remaining"] == "239"


def test_certificates_only_when_expanded(world, thousandeyes):
    """`validBefore` is the expiry; a failing agent has an error and no timings."""
    world.change_test("7", failing_agents=1)
    plain = thousandeyes.get("/test-results/7/http-server").json()["results"]
    expanded = thousandeyes.get("/test-results/7/http-server?expand=certificate").json()["results"]
    assert [result["errorType"] for result in plain] == ["Connect", "None", "None"]
    assert not any("sslCertificates" in result for result in plain)
    certificate = expanded[1]["sslCertificates"][0]
    assert certificate["daysUntilExpiry"] == 14
    assert certificate["validAfter"] < certificate["validBefore"]


def test_account_groups(world, thousandeyes):
    """The default group comes first; alerts belong to one group."""
    groups = thousandeyes.get("/account-groups").json()["accountGroups"]
    assert [(group["aid"], group["isDefaultAccountGroup"]) for group in groups] == [("1234", True), ("5678", False)]
    assert thousandeyes.get("/alerts?aid=5678").json()["alerts"] == []


@pytest.mark.parametrize(("version", "status"), [("v6", 410), ("v8", 301)])
def test_other_versions(client, version, status):
    """A retired version is an error, one that never was leads to the vendor's host."""
    assert client(f"/thousandeyes/{version}", "te-sandbox-token").get("/alerts").status_code == status


def test_classic_webhooks_want_exactly_200(sandbox, receiver):
    """A 204 does not acknowledge; the clear repeats the alert's id, with display names and integers for the rest."""
    sandbox.settings.backoff_scale = 0.0001
    receiver.statuses = [204, 500]
    sandbox.world.send_webhooks("thousandeyes", receiver.url, username="te", password="secret")
    state = sandbox.world.thousandeyes
    state.add_rule("HTTP response code", id="1", severity="critical")
    state.add_test("checkout-http", id="7")
    alert = state.trigger("1", "7")
    receiver.wait_for(3)
    state.clear(alert)
    receiver.wait_for(4)
    headers, triggered = receiver.got[0][0], json.loads(receiver.got[0][1])
    cleared = json.loads(receiver.got[3][1])
    assert headers["Authorization"].startswith("Basic ")
    assert triggered["eventType"] == "ALERT_NOTIFICATION_TRIGGER"
    assert (triggered["alert"]["severity"], triggered["alert"]["type"]) == ("Critical", "HTTP Server")
    assert (triggered["alert"]["ruleId"], triggered["alert"]["testId"]) == (1, 7)
    assert (cleared["alert"]["alertId"], cleared["alert"]["active"]) == (alert, 0)
    assert cleared["eventId"] != triggered["eventId"]


def test_a_removed_test_clears_as_disabled(sandbox, world, receiver):
    """`active` is 2 when the test was removed under an active alert."""
    sandbox.world.send_webhooks("thousandeyes", receiver.url)
    world.remove_test("7")
    alerts = [delivery["body"]["alert"] for delivery in sandbox.world.deliveries()]
    assert {(alert["alertId"], alert["active"]) for alert in alerts} == {("young", 2), ("old", 2)}
