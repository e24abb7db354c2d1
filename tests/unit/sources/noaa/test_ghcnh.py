"""Station files written by hand in NOAA's format, of both versions, in folders and through a server on the loopback interface."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import SourceError
from daycast.features.hourly import make_hourly_versions
from daycast.sources.batch import SourceBatch
from daycast.sources.noaa.ghcnh import ARCHIVE, GhcnhSource
from daycast.variables import BUILT_IN
from unit.sources.http_server import Answer, Request, serve

pytestmark = pytest.mark.usefixtures("short_backoff")
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
STATION = "USW00094846"
QUANTITIES = (
    "temperature",
    "dew_point_temperature",
    "station_level_pressure",
    "sea_level_pressure",
    "wind_direction",
    "wind_speed",
    "wind_gust",
    "precipitation",
    "relative_humidity",
    "precipitation_3_hour",
)
CODES = ("Measurement_Code", "Quality_Code", "Report_Type", "Source_Code", "Source_Station_ID")
PARTS = ("Year", "Month", "Day", "Hour", "Minute")
NEW = ("STATION", "Station_name", "DATE", *PARTS, "LATITUDE", "LONGITUDE", "ELEVATION")  # format 1.1
OLD_YEAR = ("Station_ID", "Station_name", "DATE", "Latitude", "Longitude", "Elevation")  # format 1.0
OLD_ALL_YEARS = ("Station_ID", "Station_name", *PARTS, "Latitude", "Longitude", "Elevation")


def header(names: tuple[str, ...] = NEW) -> str:
    each = (name for quantity in QUANTITIES for name in (quantity, *(f"{quantity}_{code}" for code in CODES)))
    return "|".join([*names, *each, "REM"])


def report(time: str, names: tuple[str, ...] = NEW, station: str = STATION, **values: str) -> str:
    """A row; a value is its text, and behind slashes its measurement code, quality code, report type and source."""
    when = datetime.fromisoformat(time)
    known = dict(zip(PARTS, (str(part) for part in when.timetuple()[:5]), strict=True)) | {
        "DATE": time,
        "LATITUDE": "41.96",
        "LONGITUDE": "-87.93",
        "ELEVATION": "204.8",
        "STATION": station,
        "STATION_ID": station,
        "STATION_NAME": "CHICAGO OHARE",
    }
    cells = [known.get(name) or known[name.upper()] for name in names]
    for quantity in QUANTITIES:
        given = values.get(quantity, "").split("/")
        cells += [*given, *[""] * (6 - len(given))]
    return "|".join([*cells, '"METAR KORD'])


def put(folder: Path, *rows: str, name: str = f"GHCNh_{STATION}_2024.psv", head: str | None = None) -> Path:
    (folder / name).write_text("".join(f"{line}\n" for line in (header() if head is None else head, *rows)))
    return folder


def source(folder: Path, **settings: object) -> GhcnhSource:
    return GhcnhSource.model_validate({"name": "hourly", "folder": str(folder)} | settings)


def read(source: GhcnhSource, until: datetime = FOREVER, seen: set[str] | None = None) -> list[SourceBatch]:
    return list(source.fetch(None, until, BUILT_IN, seen or set()))


def read_one(folder: Path, *rows: str, **settings: object) -> SourceBatch:
    [batch] = read(source(put(folder, *rows), **settings))
    return batch


NOON = "2024-07-01T11:51:00"


def test_a_report_is_a_reading_at_its_own_minute_in_daycasts_units(tmp_path):
    full = report(
        NOON,
        temperature="25.6//5/FM15/343",
        dew_point_temperature="17.2",
        station_level_pressure="990.1",
        sea_level_pressure="1013.4",
        wind_direction="360/N",
        wind_speed="4.1",
        wind_gust="9.9",
        precipitation="0.8//1/FM15/343",
        relative_humidity="60",
        precipitation_3_hour="7.7",
    )
    batch = read_one(tmp_path, full)
    assert batch.readings.row(0, named=True) == {
        "station_id": STATION,
        "observed_at": datetime(2024, 7, 1, 11, 51, tzinfo=UTC),
        "received_at": datetime(2024, 7, 1, 12, 51, tzinfo=UTC),
        "air_temperature_c": 25.6,
        "dew_point_c": 17.2,
        "relative_humidity_pct": 60.0,
        "sea_level_pressure_hpa": 1013.4,
        "station_pressure_hpa": 990.1,
        "wind_speed_m_s": 4.1,
        "wind_gust_m_s": 9.9,
        "wind_from_deg": 360.0,
        "precipitation_mm": 0.8,
    }
    assert batch.problems.is_empty()
    assert (batch.complete, batch.receipt, batch.raw["line"].to_list()) == (True, "assumed", [full])


@pytest.mark.parametrize(
    ("names", "file", "time"),
    [
        (NEW, f"GHCNh_{STATION}_2024.psv", NOON),
        (OLD_YEAR, f"GHCNh_{STATION}_2024.psv", NOON),
        (OLD_YEAR, f"GHCNh_{STATION}_2024.psv", f"{NOON}Z"),
        (OLD_ALL_YEARS, f"GHCNh_{STATION}_por.psv", NOON),
    ],
)
def test_every_spelling_of_the_header_gives_the_same_reading(tmp_path, names, file, time):
    put(tmp_path, report(time, names, temperature="25.6"), name=file, head=header(names))
    [batch] = read(source(tmp_path))
    assert batch.problems.is_empty()
    assert batch.readings.select("station_id", "observed_at", "air_temperature_c").row(0) == (
        STATION,
        datetime(2024, 7, 1, 11, 51, tzinfo=UTC),
        25.6,
    )
    assert source(tmp_path).stations().rows() == [(STATION, "CHICAGO OHARE", 41.96, -87.93, 204.8)]


def test_the_parts_of_a_time_may_have_one_digit_each(tmp_path):
    row = report("2024-02-03T04:05:00", OLD_ALL_YEARS, temperature="1.0")
    assert "|2024|2|3|4|5|" in row
    put(tmp_path, row, name=f"GHCNh_{STATION}_por.psv", head=header(OLD_ALL_YEARS))
    [batch] = read(source(tmp_path))
    assert batch.readings["observed_at"].to_list() == [datetime(2024, 2, 3, 4, 5, tzinfo=UTC)]


def test_columns_are_found_by_name_in_any_order_and_absent_ones_are_missing(tmp_path):
    head = "wind_speed|DATE|STATION|temperature_Quality_Code|temperature"
    put(tmp_path, f"3.1|{NOON}|{STATION}|7|99.9", f"3.2|2024-07-01T12:51:00|{STATION}||20.1", head=head)
    [batch] = read(source(tmp_path))
    assert batch.readings.select("air_temperature_c", "wind_speed_m_s", "dew_point_c").rows() == [
        (None, 3.1, None),
        (20.1, 3.2, None),
    ]


@pytest.mark.parametrize(
    ("quality", "source_code", "kept"),
    [
        ("", "343", True),
        ("1", "343", True),
        ("4", "343", True),
        ("5", "343", True),  # passed everything …
        ("5", "223", False),  # … but removed, in the codes of another source
        ("0", "223", True),
        ("A", "343", True),
        ("2", "343", False),
        ("3", "223", False),
        ("6", "343", False),
        ("7", "343", False),
        ("7-Erroneous", "343", False),
        ("1-Passed all checks", "343", True),  # the words are no codes
        ("s", "413", False),
        ("K", "343", False),
        ("3", "", False),
    ],
)
def test_a_value_found_wrong_is_missing_and_its_row_is_kept(tmp_path, quality, source_code, kept):
    batch = read_one(tmp_path, report(NOON, temperature=f"25.6//{quality}/FM15/{source_code}", wind_speed="4.1"))
    assert batch.readings.select("air_temperature_c", "wind_speed_m_s").row(0) == (25.6 if kept else None, 4.1)
    assert batch.problems.is_empty()


def test_which_codes_are_bad_can_be_configured(tmp_path):
    row = report(NOON, temperature="25.6//7//343", dew_point_temperature="9.9//A//343", wind_speed="4.1//A//223")
    readings = read_one(tmp_path, row, bad_quality_codes={"343": "A"}).readings
    assert readings.select("air_temperature_c", "dew_point_c", "wind_speed_m_s").row(0) == (25.6, None, 4.1)
    assert read_one(tmp_path, row, bad_quality_codes={}).readings["dew_point_c"].to_list() == [9.9]


@pytest.mark.parametrize("codes", [{"any": "bad"}, {"everywhere": "7"}, {"any": "]"}])
def test_codes_that_are_none_are_refused(tmp_path, codes):
    with pytest.raises(ValidationError):
        source(tmp_path, bad_quality_codes=codes)


@pytest.mark.parametrize("wind", ["000", "000/C", "999/V", "999", "VRB", "120/V", "/C"])
def test_calm_and_variable_wind_have_no_direction(tmp_path, wind):
    batch = read_one(tmp_path, report(NOON, wind_direction=wind, wind_speed="0.5"))
    assert batch.readings.select("wind_from_deg", "wind_speed_m_s").row(0) == (None, 0.5)
    assert batch.problems.is_empty()


@pytest.mark.parametrize("marker", ["-9999", "-999.9", "9999", "99999", ""])
def test_markers_of_nothing_are_missing(tmp_path, marker):
    batch = read_one(tmp_path, report(NOON, temperature=marker, wind_speed="4.1"))
    assert batch.readings["air_temperature_c"].to_list() == [None]
    assert batch.problems.is_empty()


@pytest.mark.parametrize(
    ("precipitation", "expected"),
    [
        ("2.0//1/FM15/343", 2.0),
        ("0.0/T/5/FM15/343", 0.0),
        ("0.1/2-Trace/5/FM15/343", 0.0),
        ("2.0/3//FM12/335", 2.0),
        ("2.0/4//FM12/335", None),  # the end of an accumulation
        ("2.0/06-hr-accum//FM12/335", None),
        ("2.0/g//HPD/382", None),
        ("2.0//A/HPD/382", None),  # a total of several hours
        ("2.0//A/FM15/343", 2.0),  # doubted, then accepted
        ("2.0//7/FM15/343", None),
        ("2.0//1/FM16/343", None),  # a special report: rain so far
        ("2.0//1/FM-16/343", None),
        ("", None),
    ],
)
def test_only_the_precipitation_of_an_hour_is_used(tmp_path, precipitation, expected):
    batch = read_one(tmp_path, report(NOON, precipitation=precipitation, temperature="25.6"))
    assert batch.readings["precipitation_mm"].to_list() == [expected]


def test_rain_told_by_several_reports_of_an_hour_counts_once(tmp_path):
    rows = [
        report("2024-07-01T11:51:00", precipitation="2.0//1/FM15/343"),
        report("2024-07-01T11:10:00", precipitation="0.5//1/FM16/343"),  # so far, since 10:51
        report("2024-07-01T11:20:00", precipitation="1.2//1/AUTO/343", temperature="21.0"),
        report("2024-07-01T12:00:00", temperature="22.0"),
        report("2024-07-01T12:51:00", precipitation="0.4//1/FM15/343"),
    ]
    readings = read_one(tmp_path, *rows).readings
    hours = make_hourly_versions(readings.with_row_index("row_number"), BUILT_IN.values())
    newest = hours.filter(pl.col("known_until").is_null()).select(
        "observed_at", "precipitation_mm", "air_temperature_c"
    )
    assert newest.rows() == [
        (datetime(2024, 7, 1, 12, tzinfo=UTC), 2.0, 22.0),
        (datetime(2024, 7, 1, 13, tzinfo=UTC), 0.4, None),
    ]


def test_rows_without_any_of_our_quantities_are_left_out(tmp_path):
    batch = read_one(
        tmp_path, report(NOON, precipitation_3_hour="9.9"), report("2024-07-01T11:55:00", temperature="1.0")
    )
    assert batch.readings["air_temperature_c"].to_list() == [1.0]
    assert batch.raw.height == 1


GOOD = report("2024-07-01T12:51:00", temperature="20.0")


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (report(NOON, temperature="warm"), "temperature", "warm", "no finite number"),
        (report(NOON, wind_direction="NNW", temperature="1"), "wind_direction", "NNW", "no finite number"),
        (
            report(NOON, temperature="1").replace(NOON, "2024-02-30T11:51:00"),
            "DATE",
            "2024-02-30T11:51:00",
            "no such time",
        ),
        (report("2023-12-31T23:51:00", temperature="1"), "DATE", "2023-12-31T23:51:00", "not of 2024"),
        (report(NOON, station="USW00000001", temperature="1"), "STATION", "USW00000001", f"not {STATION}"),
    ],
)
def test_a_fault_is_told_as_it_came_and_costs_a_value_or_its_row(tmp_path, row, column, value, reason):
    if column == "DATE":  # its parts would say it again
        row = row.replace("|2024|7|1|11|51|", "||||||").replace("|2023|12|31|23|51|", "||||||")
    batch = read_one(tmp_path, row, GOOD)
    [problem] = (batch.problems if column.isupper() else batch.bad_values).to_dicts()
    assert len(batch.problems) + len(batch.bad_values) == 1
    assert (problem["row_number"], problem["column"], problem["value"]) == (0, column, value)
    assert problem["reason"].startswith(reason)
    assert batch.raw["line"].to_list() == [row, GOOD]
    assert batch.readings["air_temperature_c"].to_list()[1] == 20.0


@pytest.mark.parametrize("row", [f"{STATION}|cut off", report(NOON, temperature="1.0") + "|more", "garbage"])
def test_a_row_of_another_width_is_refused_and_nothing_of_it_is_used(tmp_path, row):
    batch = read_one(tmp_path, GOOD, row, report("2024-07-01T13:51:00", temperature="21.0"))
    [problem] = batch.problems.to_dicts()
    assert (problem["row_number"], problem["value"]) == (1, row)
    assert problem["reason"] == "has not as many fields as the header"
    assert batch.readings["air_temperature_c"].to_list() == [20.0, None, 21.0]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("<html>down for maintenance</html>", "is not a GHCNh file: it has no column 'station'"),
        ("STATION|Station_ID|DATE|temperature", "more than one column 'station'"),
    ],
)
def test_a_file_of_another_kind_is_an_error_after_all_others(tmp_path, head, message):
    put(tmp_path, head=head)
    put(tmp_path, GOOD.replace(STATION, "XXM00000001"), name="GHCNh_XXM00000001_2024.psv")
    batches = source(tmp_path).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).origin == "GHCNh_XXM00000001_2024.psv"
    with pytest.raises(SourceError, match=message):
        next(batches)


def test_a_header_alone_is_a_batch_without_rows(tmp_path):
    batch = read_one(tmp_path)
    assert (batch.readings.height, batch.raw.height, batch.complete) == (0, 0, True)
    assert source(tmp_path).stations().is_empty()


def test_gzip_is_read_and_a_known_file_is_not_delivered_again(tmp_path):
    body = f"{header()}\n{GOOD}\n".encode()
    (tmp_path / f"GHCNh_{STATION}_2024.psv.gz").write_bytes(gzip.compress(body))
    [batch] = read(source(tmp_path))
    assert batch.readings["air_temperature_c"].to_list() == [20.0]
    assert read(source(tmp_path), seen={batch.fingerprint}) == []
    assert len(read(source(tmp_path, bad_quality_codes={}), seen={batch.fingerprint})) == 1
    assert source(tmp_path).stations()["latitude"].to_list() == [41.96]


def test_reports_received_after_the_moment_are_held_back(tmp_path):
    put(tmp_path, report(NOON, temperature="19.0"), GOOD)
    [batch] = read(source(tmp_path), until=datetime(2024, 7, 1, 13, 50, tzinfo=UTC))
    assert (batch.readings["air_temperature_c"].to_list(), batch.complete) == ([19.0], False)


LIST = (
    "GHCN_ID,LATITUDE,LONGITUDE,ELEVATION,STATE,NAME,GSN,(US)HCN_(US)CRN,WMO_ID,ICAO,ISO_CODE\n"
    "USW00094846,41.995,-87.9336,201.8,IL,CHICAGO OHARE INTL AP,,,72530,KORD,US\n"
    "XXM00000001,0.0,0.0,-999.9,,NOWHERE,,,,,XX\n"
)


def test_a_list_in_the_folder_places_the_stations(tmp_path):
    (put(tmp_path, GOOD) / "ghcnh-station-list.csv").write_text(LIST)
    put(tmp_path, name="GHCNh_XXM00000001_2024.psv")
    assert source(tmp_path).stations().rows() == [
        (STATION, "CHICAGO OHARE INTL AP", 41.995, -87.9336, 201.8),
        ("XXM00000001", "NOWHERE", None, None, None),
    ]


def test_the_address_in_the_archive_is_noaas():
    named = GhcnhSource.model_validate({"name": "hourly", "stations": STATION, "start": "2024-01-01"})
    assert named.address(STATION, 2024) == f"{ARCHIVE}/access/by-year/2024/psv/GHCNh_{STATION}_2024.psv"


def test_the_archive_is_read_by_year_and_asked_only_for_what_changed():
    body = f"{header()}\n{GOOD}\n".encode()
    troubles = [Answer(status=500), Answer(body=body, truncate_to=100)]

    def answer(request: Request) -> Answer:
        if request.path == "/hourly/doc/ghcnh-station-list.csv":
            return Answer(body=LIST.encode(), content_type="text/csv")
        if request.path != f"/hourly/access/by-year/2024/psv/GHCNh_{STATION}_2024.psv":
            return Answer(status=404)
        if troubles:
            return troubles.pop(0)
        return (
            Answer(status=304) if request.headers.get("If-None-Match") else Answer(body=body, headers={"ETag": '"v1"'})
        )

    with serve(answer) as server:
        fast = {"retries": 3, "requests_per_second": 100_000, "timeout": "60s"}
        archive = {"name": "hourly", "archive": f"{server.url}/hourly", "stations": STATION, "start": "2023-01-01"}
        hourly = GhcnhSource.model_validate(archive | {"http": fast})
        until = datetime(2024, 12, 1, tzinfo=UTC)
        [batch] = [
            station_year for station_year in read(hourly, until=until) if not station_year.readings.is_empty()
        ]  # nothing of 2023
        assert batch.readings["air_temperature_c"].to_list() == [20.0]
        assert [
            station_year.readings.height for station_year in read(hourly, until=until, seen={batch.fingerprint})
        ] == [0]
        assert server.requests[-2].headers["If-None-Match"] == '"v1"'  # the last was for 2023
        assert hourly.stations()["name"].to_list() == ["CHICAGO OHARE INTL AP"]
