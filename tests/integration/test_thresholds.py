"""New thresholds of checks: applied to what is there, as of now, without rewriting what was believed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.settings import Settings
from daycast.steps.ingest import ingest_source
from daycast.steps.maintain import maintain
from daycast.times import DAY, HOUR
from integration.by_hand import ByHand, by_hand
from integration.test_ingest import SCHEMA

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + 40 * DAY
JUMP = START + 5 * DAY  # an hour that is 7 °C warmer than those beside it


def settings_of(folder: Path, **quality: object) -> Settings:
    return Settings.model_validate({"quality": {"air_temperature_c": quality}}, context={"folder": folder})


def source() -> ByHand:
    hours = [START + number * HOUR for number in range(1, 40 * 24)]
    rows = [
        ("a", hour, hour + timedelta(minutes=1), 17.0 if hour == JUMP else 10 + hour.hour / 10 + hour.day / 100, None)
        for hour in hours
    ]
    return ByHand((by_hand(pl.DataFrame(rows, schema=SCHEMA, orient="row"), receipt="assumed"),))


def flags(settings: Settings, as_of: datetime | None = None) -> list[tuple[int, str | None]]:
    """The flag of the hour that jumps, and the check that decided it."""
    columns = "air_temperature_c_flag, air_temperature_c_check"
    table = "observations" if as_of is None else f"observations_as_of('{as_of.isoformat()}'::timestamptz)"
    with settings.warehouse.write(NOW) as con:
        return con.execute(f"select {columns} from {table} where observed_at = '{JUMP.isoformat()}'").fetchall()


def test_new_thresholds_hold_from_now_on_also_for_the_hours_that_are_there(tmp_path: Path) -> None:
    loose, strict = settings_of(tmp_path, spike_suspect=10), settings_of(tmp_path, spike_suspect=3)
    ingest_source(loose, source(), NOW)
    assert flags(loose) == [(1, None)]
    later = NOW + DAY
    ingest_source(strict, source(), later)  # which checks only the last days again
    assert flags(strict) == [(1, None)]
    upkeep = maintain(strict, later + HOUR)
    assert upkeep.rechecked == 1
    assert flags(strict) == [(3, "spike")]
    assert flags(strict, later - HOUR) == [(1, None)]  # as it was believed
    assert maintain(strict, later + 2 * HOUR).rechecked is None  # there is nothing more to do


def test_thresholds_that_go_back_are_a_change_like_any_other(tmp_path: Path) -> None:
    limits = [10, 3, 10]
    for number, limit in enumerate(limits):
        settings = settings_of(tmp_path, spike_suspect=limit)
        ingest_source(settings, source(), NOW + number * DAY)
        maintain(settings, NOW + number * DAY + HOUR)
    assert [flags(settings, NOW + number * DAY + 2 * HOUR) for number in range(3)] == [
        [(1, None)],
        [(3, "spike")],
        [(1, None)],
    ]
    assert flags(settings) == [(1, None)]


def test_a_late_reading_does_not_rewrite_what_was_believed_under_other_thresholds(tmp_path: Path) -> None:
    loose, strict = settings_of(tmp_path, spike_suspect=10), settings_of(tmp_path, spike_suspect=3)
    ingest_source(loose, source(), NOW)
    later = NOW + DAY
    rows = [("a", JUMP + 2 * HOUR, later, 10.0, None)]
    late = by_hand(pl.DataFrame(rows, schema=SCHEMA, orient="row"), origin="late")
    ingest_source(strict, ByHand((late,), name="late"), later)
    assert flags(strict, later - HOUR) == [(1, None)]
    assert flags(strict) == [(3, "spike")]


def test_a_recheck_that_was_killed_is_completed_by_the_next_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose, strict = settings_of(tmp_path, spike_suspect=10), settings_of(tmp_path, spike_suspect=3)
    ingest_source(loose, source(), NOW)
    with monkeypatch.context() as patch:
        patch.setattr("daycast.steps.observe.make_observations", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            maintain(strict, NOW + HOUR)
    assert flags(strict) == [(1, None)]
    ingest_source(strict, source(), NOW + 2 * HOUR)
    assert flags(strict) == [(3, "spike")]


def test_a_bound_of_a_declared_variable_is_a_threshold_too(tmp_path: Path) -> None:
    def declared(most: float) -> Settings:
        soil = {"unit": "%", "valid_min": 0, "valid_max": most}
        return Settings.model_validate({"variables": {"soil_moisture_pct": soil}}, context={"folder": tmp_path})

    hour = START + 12 * HOUR
    frame = pl.DataFrame(
        {"station_id": ["a"], "observed_at": [hour], "received_at": [hour], "soil_moisture_pct": [80.0]}
    ).cast({"observed_at": pl.Datetime("us", "UTC"), "received_at": pl.Datetime("us", "UTC")})
    later = START + DAY
    ingest_source(declared(100), ByHand((by_hand(frame),)), later)
    maintain(declared(60), later + HOUR, recheck=True)
    with declared(60).warehouse.write(NOW) as con:
        query = "select known_from, soil_moisture_pct_flag from observation_versions order by known_from"
        assert con.execute(query).fetchall() == [(hour, 1), (later + HOUR, 4)]
