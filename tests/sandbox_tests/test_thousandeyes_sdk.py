import json
from datetime import UTC, datetime

import pytest


def speaking_to(sandbox, token="te-sandbox-token"):
    """Give the vendor's SDK with nothing changed but its host and token."""
    from thousandeyes_sdk.core import ApiClient, Configuration

    return ApiClient(Configuration(host=sandbox.base_url("thousandeyes"), access_token=token))


@pytest.fixture
def sdk(sandbox):
    sandbox.world.populate(tests=24, alerts=12)
    client = speaking_to(sandbox)
    yield client
    client.close()


def test_alerts_over_all_pages(sandbox, sdk):
    """The SDK follows the cursor over every page and finds each active alert once."""
    from thousandeyes_sdk.alerts.api.alerts_api import AlertsApi

    sandbox.settings.thousandeyes.page_size = 3
    paged = AlertsApi(sdk).get_alerts_paginated(aid="1234")
    ids = [alert.id for alert in paged]
    active = {alert.id for alert in sandbox.world.thousandeyes.alerts.values() if alert.cleared is None}
    assert len(ids) == len(set(ids))
    assert set(ids) == active
    assert sandbox.traffic.described()["thousandeyes"]["paths"] == {"/v7/alerts": 4}


def test_cleared_alerts(sdk, clock):
    """The SDK's own times are understood, and what it reads back is typed."""
    from thousandeyes_sdk.alerts.api.alerts_api import AlertsApi
    from thousandeyes_sdk.alerts.models.state import State

    since = datetime.fromtimestamp(clock.now - 86400, UTC)
    cleared = AlertsApi(sdk).get_alerts(state=State.CLEAR, start_date=since).alerts
    assert cleared
    assert all(alert.alert_state is State.CLEAR and alert.end_date >= since for alert in cleared)


def test_the_detail_of_an_alert(sandbox, sdk):
    """The SDK reads an alert's detail with its agents."""
    from thousandeyes_sdk.alerts.api.alerts_api import AlertsApi

    number = next(iter(sandbox.world.thousandeyes.alerts))
    detail = AlertsApi(sdk).get_alert(number)
    assert (detail.id, detail.details[0].name) == (number, "Bucharest, Romania")


def test_rules_and_tests(sdk):
    """The SDK reads rules, one rule with its tests, and every test."""
    from thousandeyes_sdk.alerts.api.alert_rules_api import AlertRulesApi
    from thousandeyes_sdk.tests.api.tests_api import TestsApi

    rules = AlertRulesApi(sdk).get_alerts_rules().alert_rules
    detail = AlertRulesApi(sdk).get_alert_rule(rules[0].rule_id)
    tests = TestsApi(sdk).get_tests().tests
    assert [rule.severity.value for rule in rules] == ["critical", "major", "major", "minor", "info"]
    assert detail.test_ids == [test.test_id for test in tests if test.type.value == "http-server"]
    assert len(tests) == 24


def test_refusals_become_the_sdks_errors(sandbox, sdk):
    """A bad token and an unknown alert raise what the SDK documents for them."""
    from thousandeyes_sdk.alerts.api.alerts_api import AlertsApi
    from thousandeyes_sdk.core.exceptions import NotFoundException, UnauthorizedException

    stranger = speaking_to(sandbox, "wrong")
    with pytest.raises(UnauthorizedException, match="invalid_token"):
        AlertsApi(stranger).get_alerts()
    stranger.close()
    with pytest.raises(NotFoundException, match="No such alert"):
        AlertsApi(sdk).get_alert("unknown")


def test_agents_and_their_local_problems(sandbox, sdk, clock):
    """The SDK reads enterprise agents with their state, and which cloud agent has a problem of its own."""
    from thousandeyes_sdk.agents.api.cloud_and_enterprise_agents_api import CloudAndEnterpriseAgentsApi
    from thousandeyes_sdk.agents.api.local_problems_api import LocalProblemsApi
    from thousandeyes_sdk.agents.models.cloud_enterprise_agent_type import CloudEnterpriseAgentType
    from thousandeyes_sdk.agents.models.enterprise_agent import EnterpriseAgent

    state = sandbox.world.thousandeyes
    state.agents.clear()
    agent = state.add_agent("Prague", state="offline", silent_for=3600, problems=1, errors=1)
    state.add_agent("Oslo")
    cloud = state.add_agent("Dallas", type="cloud", problems=1)
    kinds = [CloudEnterpriseAgentType.ENTERPRISE, CloudEnterpriseAgentType.ENTERPRISE_MINUS_CLUSTER]
    api = CloudAndEnterpriseAgentsApi(sdk)
    assert [each.actual_instance.agent_name for each in api.get_agents(agent_types=kinds).agents] == ["Prague", "Oslo"]
    # Of its two models for a listed agent the SDK takes the first that fits, the cloud's.
    raw = json.loads(api.get_agents_without_preload_content(agent_types=kinds).data)["agents"][0]
    first = EnterpriseAgent.from_dict(raw)
    assert (first.agent_id, first.agent_state.value, len(first.error_details)) == (agent, "offline", 1)
    assert clock.now - first.last_seen.timestamp() == pytest.approx(3600, abs=1)
    (problem,) = LocalProblemsApi(sdk).get_agents_local_problems().local_problems
    assert (problem.agent.agent_id, problem.active) == (cloud, True)


def test_members_of_a_cluster_have_a_state(sandbox, sdk):
    """The cluster has none, and its members are listed only if asked for."""
    from thousandeyes_sdk.agents.api.cloud_and_enterprise_agents_api import CloudAndEnterpriseAgentsApi
    from thousandeyes_sdk.agents.models.agent_list_expand import AgentListExpand
    from thousandeyes_sdk.agents.models.cloud_enterprise_agent_type import CloudEnterpriseAgentType
    from thousandeyes_sdk.agents.models.enterprise_agent import EnterpriseAgent

    sandbox.world.thousandeyes.agents.clear()
    sandbox.world.thousandeyes.add_agent("Oslo", type="enterprise-cluster", members=["online", "offline"])
    listed = {"agent_types": [CloudEnterpriseAgentType.ENTERPRISE_MINUS_CLUSTER]}
    asked = listed | {"expand": [AgentListExpand.CLUSTER_MINUS_MEMBER]}
    bare, full = (
        EnterpriseAgent.from_dict(
            json.loads(CloudAndEnterpriseAgentsApi(sdk).get_agents_without_preload_content(**given).data)["agents"][0]
        )
        for given in (listed, asked)
    )
    assert (bare.agent_state, bare.cluster_members, full.agent_state) == (None, None, None)
    assert [member.agent_state.value for member in full.cluster_members] == ["online", "offline"]


def test_results_of_every_kind_we_read(sandbox, sdk):
    """The SDK reads network, BGP and DNS results as it does those of http-server tests."""
    from thousandeyes_sdk.test_results.api.dns_server_test_results_api import DNSServerTestResultsApi
    from thousandeyes_sdk.test_results.api.network_bgp_test_results_api import NetworkBGPTestResultsApi
    from thousandeyes_sdk.test_results.api.network_test_results_api import NetworkTestResultsApi

    test = sandbox.world.thousandeyes.add_test("resolver", type="dns-server", failing_agents=1, loss=25.0)
    network = NetworkTestResultsApi(sdk).get_test_network_results(test).results
    dns = DNSServerTestResultsApi(sdk).get_test_dns_servers_results(test).results
    bgp = NetworkBGPTestResultsApi(sdk).get_test_bgp_results(test).results
    assert [result.loss for result in network] == [25.0] * 3
    assert [result.error_details for result in dns] == ["Query timed out", None, None]
    assert [result.reachability for result in bgp] == [99.8]


def test_usage_and_outages(sandbox, sdk):
    """The SDK reads the units of the plan, and the outages that its filter finds."""
    from thousandeyes_sdk.internet_insights.api.internet_insights_outages_api import InternetInsightsOutagesApi
    from thousandeyes_sdk.internet_insights.models.api_outage_filter import ApiOutageFilter
    from thousandeyes_sdk.usage.api.usage_api import UsageApi

    sandbox.world.thousandeyes.add_outage(type="net")
    usage = UsageApi(sdk).get_usage().usage
    assert (usage.cloud_units_used, usage.quota.cloud_units_included) == (61_000, 100_000)
    found = InternetInsightsOutagesApi(sdk).filter_outages(ApiOutageFilter(window="1h"))
    assert [(outage.type, outage.end_date) for outage in found.outages] == [("net", None)]
