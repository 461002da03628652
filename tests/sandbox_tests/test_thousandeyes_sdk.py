from datetime import UTC, datetime

import pytest
from thousandeyes_sdk.alerts.api.alert_rules_api import AlertRulesApi
from thousandeyes_sdk.alerts.api.alerts_api import AlertsApi
from thousandeyes_sdk.alerts.models.state import State
from thousandeyes_sdk.core import ApiClient, Configuration
from thousandeyes_sdk.core.exceptions import NotFoundException, UnauthorizedException
from thousandeyes_sdk.tests.api.tests_api import TestsApi as AllTestsApi


def speaking_to(sandbox, token="te-sandbox-token"):
    """Give the vendor's SDK with nothing changed but its host and token."""
    return ApiClient(Configuration(host=sandbox.base_url("thousandeyes"), access_token=token))


@pytest.fixture
def sdk(sandbox):
    sandbox.world.populate(tests=24, alerts=12)
    client = speaking_to(sandbox)
    yield client
    client.close()


def test_alerts_over_all_pages(sandbox, sdk):
    """The SDK follows the cursor over every page and finds each active alert once."""
    sandbox.settings.thousandeyes.page_size = 3
    paged = AlertsApi(sdk).get_alerts_paginated(aid="1234")
    ids = [alert.id for alert in paged]
    active = {alert.id for alert in sandbox.world.thousandeyes.alerts.values() if alert.cleared is None}
    assert len(ids) == len(set(ids))
    assert set(ids) == active
    assert sandbox.traffic.described()["thousandeyes"]["paths"] == {"/v7/alerts": 4}


def test_cleared_alerts(sdk, clock):
    """The SDK's own times are understood, and what it reads back is typed."""
    since = datetime.fromtimestamp(clock.now - 86400, UTC)
    cleared = AlertsApi(sdk).get_alerts(state=State.CLEAR, start_date=since).alerts
    assert cleared
    assert all(alert.alert_state is State.CLEAR and alert.end_date >= since for alert in cleared)


def test_the_detail_of_an_alert(sandbox, sdk):
    """The SDK reads an alert's detail with its agents."""
    number = next(iter(sandbox.world.thousandeyes.alerts))
    detail = AlertsApi(sdk).get_alert(number)
    assert (detail.id, detail.details[0].name) == (number, "Bucharest, Romania")


def test_rules_and_tests(sdk):
    """The SDK reads rules, one rule with its tests, and every test."""
    rules = AlertRulesApi(sdk).get_alerts_rules().alert_rules
    detail = AlertRulesApi(sdk).get_alert_rule(rules[0].rule_id)
    tests = AllTestsApi(sdk).get_tests().tests
    assert [rule.severity.value for rule in rules] == ["critical", "major", "major", "minor", "info"]
    assert detail.test_ids == [test.test_id for test in tests if test.type.value == "http-server"]
    assert len(tests) == 24


def test_refusals_become_the_sdks_errors(sandbox, sdk):
    """A bad token and an unknown alert raise what the SDK documents for them."""
    stranger = speaking_to(sandbox, "wrong")
    with pytest.raises(UnauthorizedException, match="invalid_token"):
        AlertsApi(stranger).get_alerts()
    stranger.close()
    with pytest.raises(NotFoundException, match="No such alert"):
        AlertsApi(sdk).get_alert("unknown")
