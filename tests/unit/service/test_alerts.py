"""Where alerts go is not shown, and an address that the server does not take keeps nothing else from starting."""

import pytest

from daycast.errors import ConfigError
from daycast.service.alerts import write_webhook
from daycast.service.server import RefusedError, Server


@pytest.mark.parametrize("error", [RefusedError(422, "url: https://s3cret is none"), ConfigError("no answer: s3cret")])
def test_an_alert_address_that_the_server_does_not_take_is_a_warning_without_it(monkeypatch, caplog, error):
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Server, "call", refuse)
    assert write_webhook(Server("http://server/api"), "https://s3cret") is None
    assert "did not take alert_url" in caplog.text
    assert "s3cret" not in caplog.text
