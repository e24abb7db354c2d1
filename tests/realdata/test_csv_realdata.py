"""The expected values were read off the files by eye; the counts of NA were taken with awk."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch
from daycast.sources.files.csv import CsvSource
from daycast.variables import BUILT_IN

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the folder of real sensor data is not at {DATA}"),
]
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


def beijing(files: str = "beijing/PRSA_*.csv.gz") -> CsvSource:
    return CsvSource.model_validate(
        {
            "kind": "csv",
            "name": "beijing",
            "files": files,
            "missing": "NA",
            "timezone": "Asia/Shanghai",
            "station": {"column": "station"},
            "time": {"year": "year", "month": "month", "day": "day", "hour": "hour"},
            "station_list": {"file": "beijing/stations.csv", "station": "station"},
            "columns": {
                "air_temperature_c": {"column": "TEMP", "unit": "°C"},
                "station_pressure_hpa": "PRES",
                "dew_point_c": "DEWP",
                "precipitation_mm": "RAIN",
                "wind_from_deg": {"column": "wd", "unit": "compass"},
                "wind_speed_m_s": "WSPM",
            },
        },
        context={"folder": DATA},
    )


@pytest.fixture(scope="module")
def deliveries() -> list[SourceBatch]:
    return list(beijing().fetch(None, FOREVER, BUILT_IN, ()))


def reading(deliveries: list[SourceBatch], station: str, time: datetime) -> dict[str, float]:
    readings = pl.concat(delivery.readings for delivery in deliveries)
    rows = readings.filter(pl.col("station_id") == station, pl.col("observed_at") == time)
    return rows.row(0, named=True) if rows.height == 1 else {}


def test_twelve_files_give_twelve_stations_of_26304_rows_without_a_problem(deliveries):
    assert [delivery.readings.height for delivery in deliveries] == [26304] * 12
    assert [delivery.raw.shape for delivery in deliveries] == [(26304, 18)] * 12
    assert sum(delivery.problems.height for delivery in deliveries) == 0
    assert len({delivery.readings["station_id"].unique().item() for delivery in deliveries}) == 12
    assert beijing().stations().height == 12


def test_local_midnight_in_beijing_is_the_afternoon_before_in_utc(deliveries):
    # Huairou row 1: 2013,3,1,0 … TEMP -2.3, PRES 1020.3, DEWP -20.7, RAIN 0, wd WNW, WSPM 3.1
    first = reading(deliveries, "Huairou", datetime(2013, 2, 28, 16, tzinfo=UTC))
    assert (first["air_temperature_c"], first["station_pressure_hpa"], first["dew_point_c"]) == (-2.3, 1020.3, -20.7)
    assert (first["precipitation_mm"], first["wind_from_deg"], first["wind_speed_m_s"]) == (0.0, 292.5, 3.1)


def test_a_summer_hour_is_eight_hours_earlier_too(deliveries):
    # Tiantan row 11696: 2014,7,1,8 … 28.9,1002.2,17.4,0,ESE,2.4
    summer = reading(deliveries, "Tiantan", datetime(2014, 7, 1, 0, tzinfo=UTC))
    assert (summer["air_temperature_c"], summer["wind_from_deg"], summer["wind_speed_m_s"]) == (28.9, 112.5, 2.4)


def test_the_last_hour_is_there(deliveries):
    # Huairou row 26304: 2016,2,29,23 … -2,1019.7,-13.5,0,WNW,1
    last = reading(deliveries, "Huairou", datetime(2016, 2, 29, 15, tzinfo=UTC))
    assert (last["air_temperature_c"], last["station_pressure_hpa"], last["wind_speed_m_s"]) == (-2.0, 1019.7, 1.0)


def test_what_was_marked_missing_is_missing_and_nothing_else(deliveries):
    readings = pl.concat(delivery.readings for delivery in deliveries)
    assert readings["air_temperature_c"].null_count() == 179
    assert readings["wind_from_deg"].null_count() == 675


@pytest.mark.parametrize("files", ["isd_lite/*.gz", "beijing/stations.csv", "README.md"])
def test_a_file_of_another_kind_is_refused_in_one_line(files):
    with pytest.raises(SourceError, match="has no column") as caught:
        next(beijing(files).fetch(None, FOREVER, BUILT_IN, ()))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
