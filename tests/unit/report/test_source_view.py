"""What doctor shows of a source fits the terminal, and says what is known and what is not."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from daycast.features.profile import Coverage, DailyCycle, Gap, Profile, Rain
from daycast.report.source_view import SourceView, render_source, zone_of
from daycast.report.terminal import cells
from daycast.variables import BUILT_IN

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)
COVERAGE = Coverage(("A", "B"), NOON, NOON + timedelta(hours=9), timedelta(minutes=10), 20, 17, Gap("B", NOON, 3))
RAIN = Rain(((date(2025, 6, 1), 12.3456),), 4.0, NOON, "A")
PROFILE = Profile(
    rows=120,
    coverage=COVERAGE,
    values=2000,
    repeated=1,
    missing={"air_temperature_c": 0.0, "precipitation_mm": 0.0625},
    cycle=DailyCycle(240, 3.21, 12.25, 14.25),
    clock_suspects=(),
    rain=RAIN,
)
SAMPLE = pl.DataFrame(
    {
        "station_id": ["A", "a station with a long name"],
        "observed_at": [NOON, NOON + timedelta(seconds=5)],
        "air_temperature_c": [21.456789, None],
        "precipitation_mm": [0.0, 1013.25],
    }
)


def view(zone: str | None = "UTC", longitudes: dict[str, float] | None = None, **others) -> SourceView:
    names = ["air_temperature_c", "precipitation_mm"]
    given = {"read": "x.csv: 120 rows", "sample": SAMPLE, "profile": PROFILE} | others
    return SourceView(names=names, zone=zone, longitudes=longitudes or {}, **given)


def lines_of(shown: SourceView) -> list[str]:
    return [" ".join(line.split()) for line in render_source(shown, BUILT_IN)]


def test_all_of_it_is_told_in_lines_that_fit() -> None:
    lines = render_source(view("Europe/Berlin"), BUILT_IN)
    assert max(map(cells, lines)) <= 80
    assert all(line.startswith("  ") for line in lines)
    assert "\n".join(lines) == (
        "  read       x.csv: 120 rows\n"
        "  stations   2: A, B; no position is known: set station_list\n"
        "  station                       A  a station…\n"
        "  UTC                  2025-07-01  2025-07-01\n"
        "                         12:00:00    12:00:05\n"
        "  local, Berlin        2025-07-01  2025-07-01\n"
        "                         14:00:00    14:00:05\n"
        "  air temperature, °C       21.46        none\n"
        "  precipitation, mm             0     1013.25\n"
        "  hours      2025-07-01 12:00 to 2025-07-01 21:00 UTC, rows mostly 10 min apart\n"
        "  gaps       3 (15 %) of 20 hours have no reading, the longest gap is 3 h after\n"
        "             2025-07-01 12:00 UTC at B\n"
        "  repeated   1 (under 0.1 %) of 2,000 values repeat station, time and variable\n"
        "  missing    precipitation_mm 6.25 % of the hours with readings; of the others\n"
        "             none\n"
        "  day        warmest about 14:15 by the sun (usual is 14:30; 12:15 UTC), 3.2 °C\n"
        "             above the mean of the day\n"
        "  rain       2025-06 12.35 mm; the highest hour is 4 mm at A, 2025-07-01 12:00\n"
        "             UTC"
    )


@pytest.mark.parametrize("variables", [list(BUILT_IN), list(BUILT_IN)[:1]], ids=["all", "one"])
def test_five_readings_of_any_number_of_variables_fit(variables: list[str]) -> None:
    sample = pl.DataFrame({"station_id": ["a station with a name"] * 5, "observed_at": [NOON] * 5})
    sample = sample.with_columns(pl.lit(-1013.256).alias(name) for name in variables)
    shown = SourceView("x.csv", sample, None, variables, "America/Argentina/Buenos_Aires", {})
    lines = render_source(shown, BUILT_IN)
    assert max(map(cells, lines)) <= 80
    assert sum("-1013.26" in line for line in lines) == len(variables)
    assert sum("…" in line for line in lines) == 1  # the names of the stations


def test_where_there_is_no_zone_the_time_by_the_sun_is_shown_of_stations_with_a_position() -> None:
    lines = lines_of(view(longitudes={"A": 45.0}))
    at = lines.index("by the sun 2025-07-01 unknown")
    assert lines[at + 1] == "15:00"
    assert "stations 2: A, B; 1 without a known position" in lines
    assert not any("by the sun" in line for line in lines_of(view())[:8])


@pytest.mark.parametrize(("zone", "hour"), [("Europe/Berlin", 14), ("+05:30", 17), ("-03:00", 9)])
def test_a_zone_is_a_name_or_a_fixed_offset(zone: str, hour: int) -> None:
    assert NOON.astimezone(zone_of(zone)).hour == hour


def test_forecasts_show_when_they_were_issued_and_what_they_are_about() -> None:
    sample = pl.DataFrame({"station_id": ["A"], "issued_at": [NOON], "valid_at": [NOON + timedelta(hours=6)]})
    sample = sample.with_columns(air_temperature_c=20.0, precipitation_mm=0.0)
    lines = lines_of(view(sample=sample, profile=None))
    assert lines[2:6] == ["issued, UTC 2025-07-01", "12:00", "valid, UTC 2025-07-01", "18:00"]


def test_what_is_unknown_is_said() -> None:
    cycle = DailyCycle(240, 3.21, 12.25, None)
    (line,) = (line for line in lines_of(view(profile=profile(cycle=cycle))) if line.startswith("day"))
    assert line == "day warmest about 12:15 UTC, 3.2 °C above the mean of the day; by the"
    (line,) = (line for line in lines_of(view(profile=profile(cycle=None))) if line.startswith("day"))
    assert line.startswith("day unknown: it takes three days")
    assert not any(line.startswith("rain") for line in lines_of(view(profile=profile(rain=None))))


@pytest.mark.parametrize(
    ("missing", "said"),
    [({"a": 0.0, "b": 0.0}, "none"), ({"a": 0.5, "b": 1.0}, "a 50 %, b 100 % of the hours with readings")],
)
def test_only_what_is_missing_is_told(missing: dict[str, float], said: str) -> None:
    assert f"missing {said}" in lines_of(view(profile=profile(missing=missing)))


def profile(**changes) -> Profile:
    return Profile(**({name: getattr(PROFILE, name) for name in PROFILE.__dataclass_fields__} | changes))


def test_of_many_months_the_newest_are_shown() -> None:
    months = tuple((date(2024, month, 1), float(month)) for month in range(1, 13))
    shown = " ".join(lines_of(view(profile=profile(rain=Rain(months, 4.0, NOON, "A")))))
    assert "rain 2024-07 7 mm, 2024-08 8 mm" in shown
    assert "2024-12 12 mm (and 6 months before); the highest" in shown


def test_lines_of_toml_stay_whole() -> None:
    line = 'wind_gust_m_s = { column = "a long name of a column that says very much about wind gusts", unit = "km/h" }'
    assert render_source(view(columns=[line]), BUILT_IN)[-1] == "    " + line


def test_a_source_that_delivered_no_reading_shows_what_was_read() -> None:
    empty = profile(coverage=None, values=0, missing={}, rain=None, cycle=None)
    assert lines_of(view(sample=SAMPLE.clear(), profile=empty)) == ["read x.csv: 120 rows"]
