"""A good forecast of this hour is a sign of life, to a file and to a web address; one of a past hour is none."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from daycast.service import alerts as heartbeat
from daycast.service.alerts import send_heartbeat
from daycast.settings import Settings
from daycast.times import HOUR
from integration.listener import listening
from unit.sources.http_server import Answer, serve

pytestmark = pytest.mark.slow

NOW = datetime(2026, 2, 5, 10, 5, tzinfo=UTC)


def settings_with(folder, url: str) -> Settings:
    (folder / "data").mkdir(exist_ok=True)
    return Settings.model_validate({"data": "data", "live": {"heartbeat_url": url}}, context={"folder": folder})


def test_a_forecast_of_this_hour_beats(tmp_path):
    with listening() as listener:
        settings = settings_with(tmp_path, f"{listener.url}/ping")
        assert send_heartbeat(settings, NOW.replace(minute=0), 192, NOW)
    assert listener.heard == [("GET", "/ping", "")]
    told = {"issued_at": "2026-02-05T10:00:00+00:00", "forecasts": 192, "at": "2026-02-05T10:05:00+00:00"}
    assert json.loads((tmp_path / "data" / "heartbeat.json").read_text()) == told


def test_a_forecast_of_a_past_hour_does_not(tmp_path):
    with listening() as listener:
        settings = settings_with(tmp_path, listener.url)
        assert not send_heartbeat(settings, NOW - 3 * HOUR, 192, NOW)
    assert listener.heard == []
    assert not settings.heartbeat.exists()


def test_an_address_that_does_not_answer_is_a_warning_without_the_address(tmp_path, caplog):
    with listening() as listener:
        pass
    with caplog.at_level("WARNING", logger="daycast"):
        assert send_heartbeat(settings_with(tmp_path, f"{listener.url}/s3cret"), NOW, 1, NOW)
    assert "the heartbeat URL does not answer: it failed" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_address_that_drips_is_given_up_in_time_and_not_shown(tmp_path, caplog, monkeypatch):
    """The test's own patience is an hour: the server would drip for days."""
    monkeypatch.setattr(heartbeat, "_TIMEOUT", timedelta(seconds=1))
    for answer in (Answer(drip_head_s=0.2), Answer(body=b"x" * 10**6, drip_s=0.2)):
        with serve(lambda _, answer=answer: answer) as server, caplog.at_level("DEBUG"):
            assert send_heartbeat(settings_with(tmp_path, f"{server.url}/s3cret"), NOW, 1, NOW)
            assert server.requests
    assert caplog.text.count("the heartbeat URL does not answer: it was not finished after 1 s") == 2
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/s3cret ping", "http://[s3cret/", "http://s3cret:x@h/", "ftp://s3cret"]
)
def test_what_is_no_address_that_can_be_asked_is_a_warning_without_it(tmp_path, caplog, address):
    settings = settings_with(tmp_path, "http://there")
    live = settings.live.model_copy(update={"heartbeat_url": SecretStr(address)})
    with caplog.at_level("INFO"):
        assert send_heartbeat(settings.model_copy(update={"live": live}), NOW, 1, NOW)
    assert "the heartbeat URL does not answer" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_refusal_is_a_warning(tmp_path, caplog):
    with serve(lambda _: Answer(status=404)) as server:
        assert send_heartbeat(settings_with(tmp_path, server.url), NOW, 1, NOW)
    assert "the heartbeat URL answers 404" in caplog.text


def test_a_heartbeat_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    settings = Settings.model_validate({"data": "file"}, context={"folder": tmp_path})
    (tmp_path / "file").write_text("where the folder should be")
    assert send_heartbeat(settings, NOW, 1, NOW)
    assert "no heartbeat in" in caplog.text
