"""A good forecast of this hour is a sign of life, to a file and to a web address; one of a past hour is none."""

import json
from datetime import UTC, datetime

from daycast.live.heartbeat import beat
from daycast.settings import Settings
from daycast.times import HOUR
from integration.listener import listening

NOW = datetime(2026, 2, 5, 10, 5, tzinfo=UTC)


def settings_with(folder, url: str) -> Settings:
    (folder / "data").mkdir()
    return Settings.model_validate({"live": {"heartbeat_url": url}}, context={"folder": folder})


def test_a_forecast_of_this_hour_beats(tmp_path):
    with listening() as listener:
        settings = settings_with(tmp_path, f"{listener.url}/ping")
        assert beat(settings, NOW.replace(minute=0), 192, NOW)
    assert listener.heard == [("GET", "/ping", "")]
    told = {"issued_at": "2026-02-05T10:00:00+00:00", "forecasts": 192, "at": "2026-02-05T10:05:00+00:00"}
    assert json.loads((tmp_path / "data" / "heartbeat.json").read_text()) == told


def test_a_forecast_of_a_past_hour_does_not(tmp_path):
    with listening() as listener:
        settings = settings_with(tmp_path, listener.url)
        assert not beat(settings, NOW - 3 * HOUR, 192, NOW)
    assert listener.heard == []
    assert not settings.heartbeat.exists()


def test_an_address_that_does_not_answer_is_a_warning_without_the_address(tmp_path, caplog):
    with listening() as listener:
        pass
    with caplog.at_level("WARNING", logger="daycast"):
        assert beat(settings_with(tmp_path, f"{listener.url}/s3cret"), NOW, 1, NOW)
    assert "does not answer: URLError" in caplog.text
    assert "s3cret" not in caplog.text
