"""Where alerts go is not shown, an address that the server does not take keeps nothing else from starting; and quiet hours."""

from datetime import UTC, datetime, timedelta

import pytest

from daycast.errors import ConfigError
from daycast.service.alerts import Alerts, write_webhook
from daycast.service.server import RefusedError, Server


@pytest.mark.parametrize("error", [RefusedError(422, "url: https://s3cret is none"), ConfigError("no answer: s3cret")])
def test_an_alert_address_that_the_server_does_not_take_is_a_warning_without_it(monkeypatch, caplog, error):
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Server, "call", refuse)
    assert write_webhook(Server("http://server/api"), "https://s3cret") is None
    assert "did not take alert_url" in caplog.text
    assert "s3cret" not in caplog.text


def automation(name: str, action: str) -> dict:
    return {"id": name, "name": name, "enabled": True, "actions": [{"type": action}]}


class Automations(Server):
    """A server that has some automations, and for a while refuses to change them."""

    def __init__(self) -> None:
        super().__init__("http://server/api")
        self.failing = False
        kinds = (("daycast: a run failed", "call-webhook"), ("daycast: late", "call-webhook"))
        others = (("daycast: crashed", "change-flow-run-state"), ("mine", "call-webhook"))
        self.there = {name: automation(name, action) for name, action in (*kinds, *others)}

    def call(self, path: str, body: object = None, method: str | None = None):
        if self.failing:
            raise RefusedError(500, "locked")
        if method == "PATCH":
            self.there[path.removeprefix("/automations/")] |= body
        return list(self.there.values())

    @property
    def off(self) -> set[str]:
        return {name for name, one in self.there.items() if not one["enabled"]}


EVENING = datetime(2026, 2, 5, 21, 59, tzinfo=UTC)
OURS = {"daycast: a run failed", "daycast: late"}


def test_in_quiet_hours_our_alerts_are_off_and_afterwards_on_again():
    server = Automations()
    alerts = Alerts(server, "22:00-07:00")
    for later, off in ((0, set()), (1, OURS), (9 * 60, OURS), (9 * 60 + 1, set())):
        alerts.update(EVENING + timedelta(minutes=later))
        assert server.off == off, later


def test_a_server_that_is_busy_is_asked_again_half_a_minute_later(caplog):
    server = Automations()
    alerts = Alerts(server, "21:00-07:00")
    server.failing = True
    alerts.update(EVENING)
    server.failing = False
    alerts.update(EVENING + timedelta(seconds=29))
    assert server.off == set()
    with caplog.at_level("INFO", "daycast"):
        alerts.update(EVENING + timedelta(seconds=31))
    assert server.off == OURS
    assert caplog.messages == ["quiet hours have begun: nobody is told of failures"]


def test_alerts_that_quiet_hours_of_an_earlier_run_left_off_are_on_again(caplog):
    server = Automations()
    server.there["daycast: late"]["enabled"] = False
    with caplog.at_level("INFO", "daycast"):
        Alerts(server, None).update(EVENING)
    assert server.off == set()
    assert caplog.messages == []
