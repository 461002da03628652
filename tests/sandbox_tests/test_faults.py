import threading
import time

import pytest
import requests

from tests.waiting import eventually


@pytest.fixture
def vigilmon(client):
    return client("/vigilmon/api/v1", "vtk_sandbox")


@pytest.fixture
def inbound(client):
    return client("/bigpanda/data/v2/alerts", "bp-sandbox-org-token")


ALERT = {"app_key": "k", "status": "critical", "timestamp": 1_795_176_000, "host": "web1"}


def test_a_status_for_so_many_requests(sandbox, vigilmon):
    """A count runs out; Retry-After is sent as given."""
    sandbox.faults.set("vigilmon", "status", code=429, retry_after=7, count=2)
    answers = [vigilmon.get("/monitors") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert sandbox.traffic.described()["vigilmon"]["rate_limited"] == 2


def test_a_fault_for_a_time_on_a_path(sandbox, vigilmon, clock):
    """It strikes below its path prefix, for its method, until its time is over."""
    sandbox.faults.set("vigilmon", "status", path="/api/v1/monitors/", method="GET", duration=60)
    assert [vigilmon.get(path).status_code for path in ("/monitors", "/monitors/9")] == [200, 503]
    clock.now += 60
    assert vigilmon.get("/monitors/9").status_code == 404


def test_lost_answer_acts_and_reset_does_not(sandbox, inbound):
    """Both look the same to the client; only after the second the event exists."""
    sandbox.faults.set("bigpanda", "reset", count=1)
    sandbox.faults.set("bigpanda", "lose_answer", count=1)
    counts = []
    for _ in range(2):
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            inbound.post("", json=ALERT)
        counts.append(len(sandbox.world.bigpanda.intake.events))
    assert counts == [0, 1]
    assert inbound.post("", json=ALERT).status_code == 204


def test_fault_applies_to_requests_with_its_text(sandbox, inbound):
    """One event is rejected wherever it is, and others pass meanwhile."""
    sandbox.faults.set("bigpanda", "status", code=400, containing='"bad"')
    answers = [inbound.post("", json=ALERT | {"host": host}) for host in ("good", "bad", "good")]
    assert [answer.status_code for answer in answers] == [201, 400, 204]


def test_garbage_and_half_a_body(sandbox, vigilmon):
    """200 with something that is not JSON; a body that ends before its Content-Length."""
    sandbox.faults.set("vigilmon", "garbage", count=1)
    sandbox.faults.set("vigilmon", "truncate", count=1)
    garbage = vigilmon.get("/monitors")
    assert (garbage.status_code, garbage.text[:6]) == (200, "<html>")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        vigilmon.get("/monitors")


def test_a_redirect_and_refused_credentials(sandbox, vigilmon):
    """A redirect goes to `to`; a rejection has the vendor's own body."""
    sandbox.faults.set("vigilmon", "redirect", to="https://elsewhere.example.com/x", count=1)
    sandbox.faults.set("*", "refuse_credentials", count=1)
    assert vigilmon.get("/monitors").headers["Location"] == "https://elsewhere.example.com/x"
    refused = vigilmon.get("/monitors")
    assert (refused.status_code, refused.json()) == (401, {"message": "Unauthenticated."})


def test_hanging_connection_does_not_block_others(sandbox, vigilmon, client):
    """While fifty requests hang others are answered; clearing the fault releases them."""
    number = sandbox.faults.set("thousandeyes", "hang")
    hanging = [client("/thousandeyes/v7", "te-sandbox-token") for _ in range(50)]
    ended = []

    def ask(one):
        with pytest.raises(requests.ConnectionError):
            one.get("/alerts")
        ended.append(one)

    threads = [threading.Thread(target=ask, args=(one,)) for one in hanging]
    for thread in threads:
        thread.start()
    eventually(lambda: sandbox.traffic.described().get("thousandeyes", {}).get("open_now") == 50)
    assert vigilmon.get("/monitors").status_code == 200
    assert ended == []
    sandbox.faults.clear(number=number)
    for thread in threads:
        thread.join(30)
    assert len(ended) == 50


def test_client_timeout_ends_the_hang(sandbox, vigilmon):
    """The connection is closed."""
    sandbox.faults.set("vigilmon", "hang")
    with pytest.raises(requests.ReadTimeout):
        vigilmon.get("/monitors", timeout=0.3)
    eventually(lambda: sandbox.traffic.described()["vigilmon"]["open_now"] == 0)


def test_a_hang_of_some_seconds_ends_with_the_answer(sandbox, vigilmon):
    """Late, but as usual."""
    sandbox.faults.set("vigilmon", "hang", seconds=0.3, count=1)
    began = time.monotonic()
    assert vigilmon.get("/monitors").status_code == 200
    assert time.monotonic() - began >= 0.3


def test_a_slow_body_is_whole_in_the_end(sandbox, vigilmon):
    """Each read is quick, the whole is not: a client's read timeout never strikes."""
    sandbox.world.populate(monitors=20)
    sandbox.faults.set("vigilmon", "slow", seconds=0.5, count=1)
    began = time.monotonic()
    assert len(vigilmon.get("/monitors").json()["data"]) == 20
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize(
    "wrong", [{"vendor": "vigilmon", "kind": "explode"}, {"vendor": "vigilmon"}, {"kind": "hang", "often": 1}]
)
def test_unknown_fault_is_an_error(control, wrong):
    """A misspelt fault must not be accepted silently."""
    assert control.post("/faults", json=wrong).status_code == 400


def test_faults_over_http(sandbox, control, vigilmon):
    """They are set, listed and cleared."""
    number = control.post("/faults", json={"vendor": "vigilmon", "kind": "status", "code": 502}).json()["result"]
    assert [fault["id"] for fault in control.get("/faults").json()] == [number]
    assert vigilmon.get("/monitors").status_code == 502
    assert control.delete("/faults?vendor=vigilmon").json() == {"cleared": 1}
    assert vigilmon.get("/monitors").status_code == 200
