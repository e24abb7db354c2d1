"""What a real server is told to tell: which failures, how often, and nothing in quiet hours."""

from datetime import UTC, datetime

import pytest

from daycast.service.alerts import Alerts
from daycast.service.deploy import create_server_objects
from daycast.service.server import Server
from daycast.settings import LiveSettings

pytestmark = pytest.mark.slow
TOLD = {"a run failed", "an ingest is late", "a forecast is late", "publishing is late", "a retraining is late"}


@pytest.fixture
def server(environment):
    server = Server(environment["PREFECT_API_URL"], environment["PREFECT_API_AUTH_STRING"])
    yield server
    create_server_objects(server, None)  # as it was: nobody is told


def automations(server: Server) -> dict[str, dict]:
    """The automations that tell somebody, by name."""
    ours = server.call("/automations/filter", {})
    return {one["name"].removeprefix("daycast: "): one for one in ours if one["actions"][0]["type"] == "call-webhook"}


def test_failures_are_told_as_often_as_configured_and_a_change_of_that_takes_effect(server):
    for text, seconds in (("90min", 5400), ("2d", 172_800)):
        create_server_objects(server, LiveSettings(alert_url="http://127.0.0.1:9/x", alert_again_after=text))
        told = automations(server)
        assert set(told) == TOLD
        assert told["a run failed"]["trigger"]["within"] == seconds
        assert told["a forecast is late"]["trigger"]["within"] == 10_800
    create_server_objects(server, LiveSettings())
    assert automations(server) == {}


def test_quiet_hours_switch_them_off_and_on_again(server):
    create_server_objects(server, LiveSettings(alert_url="http://127.0.0.1:9/x"))
    alerts = Alerts(server, "22:00-07:00 Europe/Berlin")
    for hour, enabled in ((20, True), (21, False), (5, False), (6, True)):  # UTC, in winter
        alerts.update(datetime(2026, 2, 5, hour, tzinfo=UTC))
        assert {name: one["enabled"] for name, one in automations(server).items()} == dict.fromkeys(TOLD, enabled), hour
    everything = server.call("/automations/filter", {})
    assert all(one["enabled"] for one in everything if one["actions"][0]["type"] != "call-webhook")
