"""What operators and analysts are shown of quality: counts by flag, days, clocks, and warnings said once."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.settings import Settings
from daycast.sources.batch import READING_KEYS
from daycast.stations import STATION_SCHEMA
from daycast.steps.ingest import ingest_source
from daycast.steps.record_run import recorded
from daycast.steps.station_warnings import find_warnings
from daycast.times import HOUR
from integration.by_hand import ByHand, by_hand

pytestmark = pytest.mark.slow

START = datetime(2026, 2, 1, tzinfo=UTC)
WARMTH, RAIN = "air_temperature_c", "precipitation_mm"
SCHEMA = {**READING_KEYS, WARMTH: pl.Float64(), RAIN: pl.Float64()}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    of_this_name = {"kind": "simulated", "name": ByHand.name}  # or its stations were retired
    return Settings.model_validate({"sources": [of_this_name]}, context={"folder": tmp_path})


def ingest(settings: Settings, rows: list[tuple], now: datetime, places: dict[str, float] | None = None) -> None:
    """Rows of (station, hour after START, warmth, rain), each known at once; places: longitudes."""
    readings = pl.DataFrame(
        [(s, START + h * HOUR, START + h * HOUR, w, r) for s, h, w, r in rows], schema=SCHEMA, orient="row"
    )
    listed = [(name, name, 40.0, longitude, 0.0) for name, longitude in (places or {}).items()]

    class Source(ByHand):
        def stations(self) -> pl.DataFrame:
            return pl.DataFrame(listed, schema=STATION_SCHEMA, orient="row")

    ingest_source(settings, Source((by_hand(readings, origin=f"until {now}"),)), now)


def rows_of(settings: Settings, query: str) -> list[tuple]:
    with settings.warehouse.write(START) as con:
        return con.sql(query).pl().rows()


def test_flags_are_counted_by_variable_and_check_and_days_by_hour(settings: Settings) -> None:
    warmth = [5.0, 5.5, -999.9, 6.0, 17.5, 6.5, None]  # 17.5 is a spike of 11
    rows = [("a", 20 + h, w, 0.0) for h, w in enumerate(warmth)] + [("a", 30, 7.0, 0.0)]
    ingest(settings, rows, START + 40 * HOUR)
    counts = f'select flag, "check", hours from flag_counts where variable = \'{WARMTH}\' order by flag, "check"'
    assert rows_of(settings, counts) == [(1, None, 5), (3, "spike", 1), (4, "gross_range", 1), (9, None, 1)]
    days = (
        f"select day, good, suspect, failed, missing from data_quality_daily where variable = '{WARMTH}' order by day"
    )
    assert rows_of(settings, days) == [
        (
            date(2026, 2, 1),
            3,
            0,
            1,
            0,
        ),  # 20 to 23 o'clock: the days begin and end with the station's first and last hour
        (date(2026, 2, 2), 2, 1, 0, 4),  # 0 to 6 o'clock: one came without a value, three never came
    ]


def daily_cycle(warmest_utc: float, days: int = 20) -> list[float]:
    return [10 + 6 * math.cos(2 * math.pi * (h - warmest_utc) / 24) for h in range(24 * days)]


def test_a_station_that_reports_in_local_time_shows_by_the_sun(settings: Settings) -> None:
    # at 120° east the sun is 8 hours ahead: warmest at 14.5 by the sun is 6.5 UTC; local time taken for UTC shows 14.5
    series = {"right": daily_cycle(6.5), "wrong": daily_cycle(14.5), "unplaced": daily_cycle(14.5)}
    rows = [(name, h, value, None) for name, values in series.items() for h, value in enumerate(values)]
    now = START + 20 * 24 * HOUR
    ingest(settings, rows, now, {"right": 120.0, "wrong": 120.0})
    clocks = rows_of(settings, "select station_id, round(offset_h, 3), suspect from station_clock")
    assert clocks == [("right", 0.0, False), ("unplaced", None, None), ("wrong", 8.0, True)]
    warnings = [str(warning) for warning in find_warnings(settings, now)]
    assert len(warnings) == 1
    assert "station wrong seems not to report in UTC: its days are warmest 8 h late" in warnings[0]


def test_a_station_that_falls_silent_is_a_warning_once(settings: Settings) -> None:
    hours = {"silent": 10, "lively": 60}
    rows = [(name, h, 5.0 + h / 10, 0.0) for name, last in hours.items() for h in range(last + 1)]

    def warned(hour: float) -> list[str]:
        now = START + hour * HOUR
        ingest(settings, [row for row in rows if row[1] <= hour], now)
        with recorded(settings, "ingest", now, lambda: now):
            return [warning.station_id for warning in find_warnings(settings, now)]

    assert [warned(hour) for hour in (30, 34, 34.5, 35, 36, 60)] == [[], [], ["silent"], [], [], []]


def test_a_warning_carries_what_an_automation_needs(settings: Settings) -> None:
    ingest(settings, [("a", 0, 5.0, 0.0)], START)
    (warning,) = find_warnings(settings, START + timedelta(days=3))
    assert warning.event == "daycast.station.silent"
    assert warning.payload() == {
        "event": "daycast.station.silent",
        "station_id": "a",
        "message": "is silent: last heard of 2026-02-01 00:00 UTC",
    }
