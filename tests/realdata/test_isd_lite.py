"""The expected values were read off the lines by eye; the counts and sums were taken with awk."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from daycast.sources.batch import SourceBatch
from daycast.sources.noaa.isd_lite import IsdLiteSource
from daycast.variables import BUILT_IN

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not (DATA / "isd_lite").is_dir(), reason=f"the folder of real sensor data is not at {DATA / 'isd_lite'}"
    ),
]
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
COLUMNS = [
    "air_temperature_c",
    "dew_point_c",
    "sea_level_pressure_hpa",
    "wind_from_deg",
    "wind_speed_m_s",
    "precipitation_mm",
]
VEGA = {  # Norway, 2015
    "2015-01-01T00": (7.9, 6.1, 1003.2, 229.0, 13.4, 0.9),
    "2015-01-01T03": (8.0, 6.1, 1001.7, 230.0, 11.0, 0.0),
    "2015-01-01T12": (7.3, 3.7, 994.1, 200.0, 12.0, None),
    "2015-01-01T18": (4.9, 2.3, 989.7, 220.0, 8.0, None),
    "2015-01-02T03": (4.9, -0.3, 977.7, 210.0, 5.0, 0.4),
    "2015-01-03T09": (1.7, -2.2, 988.9, 302.0, 11.7, None),
    "2015-02-22T19": (-0.3, -2.1, 988.7, None, None, 0.0),
    "2015-03-15T18": (5.2, -3.6, 1041.7, 360.0, 1.0, None),
    "2015-06-20T08": (10.0, 3.3, 1017.6, 360.0, 5.0, 0.0),
    "2015-12-31T23": (4.4, -5.1, 1009.2, 155.0, 13.8, None),
}
HILL = {  # Utah, 2014
    "2014-01-01T01": (-1.1, -4.2, 1024.3, 210.0, 2.6, None),
    "2014-01-01T06": (-0.4, -3.9, 1024.2, 260.0, 2.1, 0.0),  # a trace
    "2014-01-01T11": (-1.5, -5.0, 1026.3, None, 0.0, None),  # calm
    "2014-01-01T15": (-3.1, -6.0, 1029.2, 360.0, 1.5, None),
    "2014-01-02T09": (-2.9, -7.2, None, 110.0, 5.7, None),
    "2014-01-04T07": (-2.0, -5.0, 1014.5, 360.0, 5.1, 0.3),
    "2014-01-05T15": (-9.2, -14.4, 1031.7, None, 0.5, None),
    "2014-01-08T18": (-1.8, -3.1, 1022.7, None, 0.0, 0.5),
    "2014-02-28T00": (3.4, 1.3, 1004.7, 160.0, 3.6, 5.3),
    "2014-08-05T22": (19.0, 13.0, 1014.5, 250.0, 3.6, 15.5),
}


@pytest.fixture(scope="module")
def deliveries() -> dict[str, SourceBatch]:
    source = IsdLiteSource.model_validate({"name": "isd", "folder": "isd_lite"}, context={"folder": DATA})
    return {delivery.origin: delivery for delivery in source.fetch(None, FOREVER, BUILT_IN, ())}


def test_three_station_years_come_whole_and_without_a_problem(deliveries):
    rows = {origin: (delivery.readings.height, delivery.complete) for origin, delivery in deliveries.items()}
    assert rows == {
        "011080-99999-2015.gz": (8608, True),
        "642820-99999-2014.gz": (1, True),
        "725755-24101-2014.gz": (8706, True),
    }
    assert sum(delivery.problems.height for delivery in deliveries.values()) == 0


@pytest.mark.parametrize(("origin", "expected"), [("011080-99999-2015.gz", VEGA), ("725755-24101-2014.gz", HILL)])
def test_ten_rows_are_what_the_lines_say(deliveries, origin, expected):
    readings = deliveries[origin].readings.with_columns(hour=pl.col("observed_at").dt.strftime("%Y-%m-%dT%H"))
    chosen = readings.filter(pl.col("hour").is_in(list(expected))).sort("hour")
    assert dict(zip(chosen["hour"], chosen.select(COLUMNS).iter_rows(), strict=True)) == expected
    assert chosen["station_id"].unique().to_list() == [origin[:12]]


def test_the_only_report_of_a_year_is_read(deliveries):
    readings = deliveries["642820-99999-2014.gz"].readings
    assert readings.select("station_id", "observed_at", "received_at", *COLUMNS).row(0) == (
        "642820-99999",
        datetime(2014, 12, 15, 18, tzinfo=UTC),
        datetime(2014, 12, 15, 19, tzinfo=UTC),
        *(1.0, 1.0, None, None, None, None),
    )


def test_sums_and_counts_over_the_year_agree_with_awk(deliveries):
    hill, vega = (deliveries[name].readings for name in ("725755-24101-2014.gz", "011080-99999-2015.gz"))
    assert hill["precipitation_mm"].sum() == pytest.approx(415.9)
    assert vega["precipitation_mm"].sum() == pytest.approx(1648.5)
    assert hill["wind_from_deg"].null_count() == 144 + 517  # calm, missing
    assert vega["wind_from_deg"].null_count() == 12


def test_noaas_station_list_places_all_three():
    source = IsdLiteSource.model_validate({"name": "isd", "folder": "isd_lite"}, context={"folder": DATA})
    assert source.stations().rows() == [
        ("011080-99999", "VEGA-VALLSJO", 65.7, 11.85, 9.1),
        ("642820-99999", "MANONO", -7.283, 27.433, 633.0),
        ("725755-24101", "HILL AFB AIRPORT", 41.117, -111.967, 1459.7),
    ]
