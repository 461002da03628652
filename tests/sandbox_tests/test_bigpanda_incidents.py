import pytest


@pytest.fixture
def panda(client):
    return client("/bigpanda/resources/v2.0", "bp-sandbox-user-key")


@pytest.fixture
def state(sandbox):
    sandbox.settings.bigpanda.resources_per_second = 0
    return sandbox.world.bigpanda


def incidents(state, count):
    for place in range(count):
        state.send_event(host=f"h{place}", status=("critical", "warning")[place % 2], team=("net", "web")[place % 2])
    return list(state.incidents)


def test_folders_and_totals(sandbox, state, panda):
    """`total` counts the whole folder however small the page."""
    sandbox.world.populate(incidents=18)
    totals = {
        folder: panda.get(f"/environments/all/incidents?folder={folder}&page_size=1").json()["total"]
        for folder in ("active", "unhandled", "shared", "snoozed", "maintenance", "resolved")
    }
    assert totals == {"active": 14, "unhandled": 10, "shared": 2, "snoozed": 2, "maintenance": 2, "resolved": 2}
    assert panda.get("/environments/all/incidents").json()["total"] == 18


def test_pages_and_order(state, panda, clock):
    """Ten per page unless asked otherwise, the last changed first."""
    for _ in range(12):
        incidents(state, 1)
        state.send_event(host=f"x{clock.now}", status="critical")
        clock.now += 10
    first = panda.get("/environments/all/incidents").json()
    second = panda.get("/environments/all/incidents?page=2").json()
    by_start = panda.get("/environments/all/incidents?sort_by=start&page_size=100").json()["items"]
    assert (len(first["items"]), len(second["items"]), first["total"]) == (10, 3, 13)
    assert [i["start"] for i in by_start] == sorted((i["start"] for i in by_start), reverse=True)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("expand=alerts&page_size=10", 200),
        ("expand=alerts&page_size=11", 400),
        ("sort_by=age", 400),
        ("folder=ACTIVE", 400),
        ("page=0", 400),
        ("query=" + "x" * 2001, 400),
    ],
)
def test_search_parameters_are_checked(state, panda, query, status):
    """Expanded alerts come ten incidents at a time; unknown values are errors."""
    assert panda.get(f"/environments/all/incidents?{query}").status_code == status


def test_search_ends_at_the_ten_thousandth_incident(state, panda):
    """The total continues, the items end."""
    incidents(state, 10_020)
    last = panda.get("/environments/all/incidents?page=100&page_size=100").json()
    beyond = panda.get("/environments/all/incidents?page=101&page_size=100").json()
    assert (len(last["items"]), len(beyond["items"]), beyond["total"]) == (100, 0, 10_020)


def test_environments_are_views(state, panda):
    """An incident is in every environment of its alerts."""
    state.add_environment("Network", id="net", tag="team", value="net")
    made = incidents(state, 4)
    assert [of["id"] for of in panda.get("/environments").json()] == ["all", "net"]
    assert panda.get("/environments/net/incidents").json()["total"] == 2
    assert panda.get(f"/environments/net/incidents/{made[1]}").status_code == 404
    assert panda.get("/environments/nowhere/incidents").status_code == 404


def test_status_is_now_and_severity_the_worst_ever(state, panda, clock):
    """A critical alert that became a warning keeps its severity."""
    state.send_event(host="h", status="critical", fingerprint="f1")
    clock.now += 1
    state.send_event(host="h", status="warning", fingerprint="f1")
    item = panda.get("/environments/all/incidents?expand=alerts").json()["items"][0]
    tags = {tag["name"]: tag["value"] for tag in item["alerts"][0]["tags"]}
    assert (item["status"], item["severity"], item["active"], item["end"]) == ("warning", "critical", True, None)
    assert tags == {"host": "h", "fingerprint": "f1"}


def test_capitalised_statuses_if_configured(sandbox, state, panda):
    """As in the vendor's examples."""
    sandbox.settings.bigpanda.capitalised = True
    incidents(state, 1)
    assert panda.get("/environments/all/incidents").json()["items"][0]["status"] == "Critical"


def test_correlation(sandbox, state, panda):
    """Alerts with the same value of a tag share an incident, which ends with the last of them."""
    sandbox.settings.bigpanda.correlate_by = "alertname"
    for host in ("a", "b"):
        state.send_event(host=host, status="critical", alertname="Down")
    state.send_event(host="a", status="ok", alertname="Down", timestamp=1_795_176_001)
    item = panda.get("/environments/all/incidents").json()["items"]
    assert [(len(i["alerts"]), i["active"]) for i in item] == [(2, True)]
    state.send_event(host="b", status="ok", alertname="Down", timestamp=1_795_176_001)
    assert panda.get("/environments/all/incidents?folder=resolved").json()["total"] == 1


def test_snooze_and_its_end(state, panda, clock):
    """A snooze needs an end; it ends by itself or by DELETE."""
    (one,) = incidents(state, 1)
    path = f"/environments/all/incidents/{one}"
    assert panda.put(f"{path}/snooze", json={"comment": "later"}).status_code == 400
    assert panda.put(f"{path}/snooze", json={"end_time": int(clock.now) + 60}).status_code == 204
    assert panda.get(path).json()["snooze"]["snoozed"] is True
    clock.now += 60
    assert panda.get(path).json()["folders"] == ["active", "unhandled"]
    panda.put(f"{path}/snooze", json={"end_time": int(clock.now) + 60})
    assert panda.delete(f"{path}/snooze").status_code == 204
    assert panda.get(path).json()["snooze"]["snoozed"] is False


def test_resolve(state, panda, clock):
    """202 the first time, 409 the second; a new event opens the incident again, an identical one does not."""
    (one,) = incidents(state, 1)
    path = f"/environments/all/incidents/{one}"
    assert panda.post(f"{path}/resolve", json={}).status_code == 400
    statuses = [panda.post(f"{path}/resolve", json={"comments": "done"}).status_code for _ in range(2)]
    assert statuses == [202, 409]
    incidents(state, 1)
    assert panda.get(path).json()["active"] is False
    clock.now += 1
    incidents(state, 1)
    assert panda.get(path).json()["active"] is True


def test_assignment_comments_tags_and_activities(state, panda):
    """The actions on an incident are listed, the newest first."""
    (one,) = incidents(state, 1)
    path = f"/environments/all/incidents/{one}"
    assert panda.delete(f"{path}/assignment").status_code == 400
    assert panda.put(f"{path}/assignment", json={"assignee": "u1"}).status_code == 204
    assert panda.post(f"{path}/comments", json={"comment": "seen"}).status_code == 204
    assert panda.post(f"{path}/tags", json=[{"tag_id": "t", "tag_value": "v"}]).status_code == 204
    assert panda.get(f"{path}/tags").json() == [{"tag_id": "t", "tag_value": "v"}]
    entries = panda.get(f"/incidents/{one}/activities").json()
    assert [entry["type"] for entry in entries] == ["incident_commented", "incident_created"]
    assert len(panda.get(f"/incidents/{one}/activities?types=incident_created").json()) == 1


def test_merge(state, panda):
    """The alerts move and the source is gone."""
    one, other = incidents(state, 2)
    merged = panda.post(f"/environments/all/incidents/{one}/merge", json={"source_incidents": [other]})
    assert merged.status_code == 202
    assert [len(i["alerts"]) for i in panda.get("/environments/all/incidents").json()["items"]] == [2]


def test_batch_resolve(sandbox, state, panda):
    """Known alerts become ok, unknown ids are ignored, and there is one call a second."""
    incidents(state, 2)
    ids = [alert.id for alert in state.intake.alerts.values()]
    statuses = [
        panda.post("/environments/all/batch-resolve/alerts", json={"ids": [*ids, "unknown"]}).status_code
        for _ in range(2)
    ]
    assert statuses == [202, 429]
    assert panda.get("/environments/all/incidents?folder=active").json()["total"] == 0


def test_maintenance_plans_come_in_pages(state, panda):
    """Of a hundred unless asked for fewer, the newest first, in a list without a total."""
    made = [state.add_plan(f"plan {number}") for number in range(101)]
    pages = [panda.get(f"/ordered-maintenance-plans?status=running&page={page}").json() for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [100, 1, 0]
    assert (pages[0][0]["id"], pages[1][0]["id"]) == (made[-1], made[0])


def test_five_requests_a_second_per_endpoint(sandbox, panda):
    """The sixth in a second is refused; another endpoint is not."""
    assert [panda.get("/environments").status_code for _ in range(6)] == [200] * 5 + [429]
    assert panda.get("/environments/all/incidents").status_code == 200


def test_resources_need_a_users_key(client):
    """The organization's token is rejected."""
    assert client("/bigpanda/resources/v2.0", "bp-sandbox-org-token").get("/environments").status_code == 401
