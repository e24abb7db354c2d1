"""Twelve real sites through `daycast ingest` and the contracts; training on them takes minutes and is a benchmark."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from daycast.settings import load_settings
from daycast.steps.ingest import ingest_source

CONFIG = Path(__file__).with_name("beijing.toml")
DATA = Path(__file__).parents[3] / "shared" / "data" / "beijing"
UNTIL = datetime(2016, 2, 1, tzinfo=UTC)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the folder of real sensor data is not at {DATA}"),
]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAYCAST_DATA", str(tmp_path_factory.mktemp("beijing")))
        settings = load_settings(str(CONFIG))
    intake = ingest_source(settings, settings.sources[0], UNTIL)
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        yield intake, con


def test_every_row_up_to_the_moment_is_kept_or_refused(warehouse):
    intake, _ = warehouse
    # 2013-03-01 00:00 to 2016-02-01 08:00 local time, both included, at twelve sites: 1,067 days and 9 hours
    assert intake.delivered == 12 * (1067 * 24 + 9)
    assert intake.delivered == intake.kept + intake.refused
    assert intake.refused == 0


def test_every_hour_of_every_site_is_an_observation_in_utc(warehouse):
    _, con = warehouse
    rows = con.execute(
        "select station_id, count(*), min(observed_at)::varchar, max(observed_at)::varchar from observations group by 1"
    )
    sites = rows.fetchall()
    assert len(sites) == 12
    assert {row[1:] for row in sites} == {(25617, "2013-02-28 16:00:00+00", "2016-02-01 00:00:00+00")}


def test_missing_values_stay_missing_and_wind_comes_in_degrees(warehouse):
    _, con = warehouse
    with gzip.open(DATA / "PRSA_Data_Changping_20130301-20160229.csv.gz", "rt") as file:
        lines = [line.split(",") for line in file.read().splitlines()[1 : 25617 + 1]]
    missing = sum(line[11] == "NA" for line in lines)
    counts = "count(*) - count(air_temperature_c), count(*) filter (air_temperature_c_flag = 9)"
    query = f"select {counts} from observations where station_id = 'Changping'"
    assert con.execute(query).fetchall() == [(missing, missing)]
    columns = "air_temperature_c, dew_point_c, wind_from_deg"
    first = f"select {columns} from observations where station_id = 'Changping' order by observed_at limit 2"
    assert con.execute(first).fetchall() == [(-2.3, -19.7, 90.0), (-2.5, -19.0, 67.5)]
