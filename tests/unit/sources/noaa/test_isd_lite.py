"""Bodies written by hand in NOAA's format, in folders and through a real server on the loopback interface."""

import gzip
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch
from daycast.sources.noaa.isd_lite import ARCHIVE, IsdLiteSource
from daycast.variables import BUILT_IN
from unit.sources.http_server import Answer, Request, Served, serve

pytestmark = pytest.mark.usefixtures("short_backoff")
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
MIDNIGHT = "2024 01 01 00    79    61 10032   229   134 -9999     9    50"
ONE = "2024 01 01 01   -11   -42 10243     0     0 -9999    -1    -1"
TWO = "2024 01 01 02 -9999 -9999 -9999 -9999 -9999 -9999 -9999 -9999"
NAME = "010010-99999-2024"
FAST = {"retries": 2, "requests_per_second": 100_000, "timeout": "60s"}
LIST = (
    '"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"\n'
    '"010010","99999","JAN MAYEN","NO","","ENJA","+70.933","-008.667","+0009.0","19310101","20240301"\n'
    '"010020","99999","NOWHERE","NO","","","+00.000","+000.000","-0999.9","19310101","20240301"\n'
    '"010030","99999","OF OTHERS","NO","","","+10.000","+010.000","+0001.0","19310101","20240301"\n'
)


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def put(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def folder_source(folder: Path, **settings: object) -> IsdLiteSource:
    return IsdLiteSource.model_validate({"name": "isd", "folder": str(folder)} | settings)


def read(source: IsdLiteSource, since=None, until=FOREVER, seen=()) -> list[SourceBatch]:
    return [batch for batch in source.fetch(since, until, BUILT_IN, seen) if not is_note(batch)]


def is_note(batch: SourceBatch) -> bool:
    """Whether all that a delivery says is that the archive was asked."""
    return batch.readings.is_empty() and any(f" {what}@" in batch.fingerprint for what in ("absent", "unchanged"))


def read_one(folder: Path, *lines: str) -> SourceBatch:
    [batch] = read(folder_source(put(folder, **{NAME: text(*lines)})))
    return batch


def test_every_field_is_scaled_and_the_six_hour_total_is_not_used(tmp_path):
    batch = read_one(tmp_path, MIDNIGHT)
    assert batch.readings.row(0, named=True) == {
        "station_id": "010010-99999",
        "observed_at": datetime(2024, 1, 1, 0, tzinfo=UTC),
        "received_at": datetime(2024, 1, 1, 1, tzinfo=UTC),
        "air_temperature_c": 7.9,
        "dew_point_c": 6.1,
        "relative_humidity_pct": None,
        "sea_level_pressure_hpa": 1003.2,
        "station_pressure_hpa": None,
        "wind_speed_m_s": 13.4,
        "wind_gust_m_s": None,
        "wind_from_deg": 229.0,
        "precipitation_mm": 0.9,
    }
    assert (batch.complete, batch.receipt, batch.raw.to_dicts()) == (True, "assumed", [{"line": MIDNIGHT}])


def test_calm_air_has_no_direction_a_trace_is_no_rain_and_missing_is_missing(tmp_path):
    readings = read_one(tmp_path, ONE, TWO).readings
    assert readings.select("wind_speed_m_s", "wind_from_deg", "precipitation_mm").rows() == [
        (0.0, None, 0.0),
        (None, None, None),
    ]


def test_wind_from_the_north_is_360(tmp_path):
    assert read_one(tmp_path, MIDNIGHT.replace("  229", "  360")).readings["wind_from_deg"].to_list() == [360.0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (MIDNIGHT[:-3], "no line of ISD-Lite"),
        (MIDNIGHT + " 1", "no line of ISD-Lite"),
        (MIDNIGHT.replace("    79", "   7.9"), "no line of ISD-Lite"),
        (MIDNIGHT.replace("    79    61", "   79     61"), "no line of ISD-Lite"),  # a field moved out of its columns
        ("<html>service unavailable</html>", "no line of ISD-Lite"),
        (MIDNIGHT.replace("01 01 00", "02 30 00"), "no such time"),
        (MIDNIGHT.replace("01 01 00", "01 01 24"), "no such time"),
        (MIDNIGHT.replace("2024", "2023"), "not of 2024, which the file is named after"),
    ],
)
def test_a_bad_line_is_refused_as_it_came_and_the_others_are_read(tmp_path, line, reason):
    batch = read_one(tmp_path, ONE, line, TWO)
    [problem] = batch.problems.to_dicts()
    assert problem["row_number"] == 1
    assert problem["reason"].startswith(reason)
    assert batch.raw["line"].to_list() == [ONE, line, TWO]
    assert batch.readings["air_temperature_c"].to_list()[::2] == [-1.1, None]


def test_lines_may_end_as_on_windows_and_blank_ones_are_none(tmp_path):
    put(tmp_path, **{NAME: f"{MIDNIGHT}\r\n\r\n{ONE}\r\n".encode()})
    [batch] = read(folder_source(tmp_path))
    assert batch.readings["air_temperature_c"].to_list() == [7.9, -1.1]
    assert batch.raw["line"].to_list() == [MIDNIGHT, ONE]
    assert batch.problems.is_empty()


def test_tenths_are_the_numbers_that_another_source_would_write(tmp_path):
    lines = [
        MIDNIGHT.replace("01 01 00    79", f"01 {day:02} 00  {tenths:4}") for day, tenths in enumerate(range(60, 90), 1)
    ]
    assert read_one(tmp_path, *lines).readings["air_temperature_c"].to_list() == [
        float(f"{tenths // 10}.{tenths % 10}") for tenths in range(60, 90)
    ]


def test_a_problem_keeps_its_row_where_rows_before_it_are_held_back(tmp_path):
    put(tmp_path, **{NAME: text(ONE, TWO, "garbage", MIDNIGHT)})
    [batch] = read(folder_source(tmp_path), until=datetime(2024, 1, 1, 1, tzinfo=UTC))
    assert batch.raw["line"].to_list() == ["garbage", MIDNIGHT]  # the others were received at 02:00 and 03:00
    assert batch.problems["row_number"].to_list() == [0]
    assert not batch.complete


def test_what_was_received_before_since_or_observed_before_start_is_left_out(tmp_path):
    put(tmp_path, **{NAME: text(MIDNIGHT, ONE, TWO)})
    [since] = read(folder_source(tmp_path), since=datetime(2024, 1, 1, 2, tzinfo=UTC))
    assert (since.raw["line"].to_list(), since.complete) == ([TWO], False)
    [start] = read(folder_source(tmp_path, start="2024-01-01T01:00:00Z"))
    assert (start.raw["line"].to_list(), start.complete) == ([ONE, TWO], True)


def test_the_reporting_delay_decides_when_a_report_was_received(tmp_path):
    put(tmp_path, **{NAME: text(MIDNIGHT)})
    [batch] = read(folder_source(tmp_path, reporting_delay="3h"))
    assert batch.readings["received_at"].to_list() == [datetime(2024, 1, 1, 3, tzinfo=UTC)]


def test_only_the_stations_and_years_asked_for_are_read_wherever_they_lie(tmp_path):
    deep = tmp_path / "2024"
    deep.mkdir()
    put(deep, **{f"{NAME}.gz": gzip.compress(text(MIDNIGHT)), "010020-99999-2024.gz": gzip.compress(text(MIDNIGHT))})
    old = MIDNIGHT.replace("2024", "2020")
    put(tmp_path, **{"010010-99999-2020": text(old), "readme.txt": b"no station-year"})
    source = folder_source(tmp_path, stations="010010-99999")
    assert [station_year.origin for station_year in read(source)] == ["010010-99999-2020", f"2024/{NAME}.gz"]
    assert [station_year.origin for station_year in read(source, since=datetime(2022, 5, 1, tzinfo=UTC))] == [
        f"2024/{NAME}.gz"
    ]
    assert [station_year.origin for station_year in read(source, until=datetime(2022, 5, 1, tzinfo=UTC))] == [
        "010010-99999-2020"
    ]


def test_a_known_file_is_not_delivered_again_until_it_or_its_reading_changes(tmp_path):
    put(tmp_path, **{NAME: text(MIDNIGHT)})
    seen = {batch.fingerprint for batch in read(folder_source(tmp_path))}
    assert read(folder_source(tmp_path), seen=seen) == []
    assert len(read(folder_source(tmp_path, reporting_delay="2h"), seen=seen)) == 1
    put(tmp_path, **{NAME: text(MIDNIGHT, ONE)})
    assert len(read(folder_source(tmp_path), seen=seen)) == 1


def test_two_stations_with_the_same_bytes_are_two_batches(tmp_path):
    put(tmp_path, **{NAME: text(MIDNIGHT), "010020-99999-2024": text(MIDNIGHT)})
    first, second = read(folder_source(tmp_path))
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(text(*[MIDNIGHT] * 50))[:-9], "010010-99999-2024 is a damaged or incomplete gzip file"),
        (b"", "010010-99999-2024 is empty"),
        (b"\x00\x01\x02\x03", "010010-99999-2024 is not text"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_after_all_others(tmp_path, content, message):
    put(tmp_path, **{NAME: content, "010020-99999-2024": text(ONE)})
    batches = folder_source(tmp_path).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).origin == "010020-99999-2024"
    with pytest.raises(SourceError, match=message):
        next(batches)


def test_a_folder_without_station_years_and_a_station_without_files_are_errors(tmp_path):
    with pytest.raises(SourceError, match="no station-year is in"):
        read(folder_source(tmp_path))
    put(tmp_path, **{NAME: text(MIDNIGHT)})
    batches = folder_source(tmp_path, stations=["010010-99999", "010020-99999"]).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).origin == NAME
    with pytest.raises(SourceError, match="belongs to 010020-99999"):
        next(batches)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give the stations"),
        ({"stations": "010010-99999"}, "give start"),
        ({"stations": "../../etc", "start": "2024-01-01"}, "'../../etc' is not a station"),
        ({"folder": "a", "archive": "https://host"}, "not both"),
        ({"folder": "a", "years": 3}, "years"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_way_out(settings, message):
    with pytest.raises(ValidationError, match=message):
        IsdLiteSource.model_validate({"name": "isd"} | settings)


def test_positions_come_from_the_list_in_the_folder_for_the_stations_read(tmp_path):
    put(tmp_path, **{NAME: text(ONE), "010020-99999-2024": text(ONE), "isd-history.csv": LIST.encode()})
    assert folder_source(tmp_path).stations().rows() == [
        ("010010-99999", "JAN MAYEN", 70.933, -8.667, 9.0),
        ("010020-99999", "NOWHERE", None, None, None),
    ]
    (tmp_path / "isd-history.csv").unlink()
    assert folder_source(tmp_path).stations().is_empty()


def test_of_a_station_listed_twice_the_entry_in_use_last_counts(tmp_path):
    again = '"010010","99999","OLD PLACE","NO","","","+01.000","+001.000","+0001.0","19010101","19301231"\n'
    put(tmp_path, **{NAME: text(ONE), "list.csv": (LIST + again).encode()})
    stations = folder_source(tmp_path, station_list=str(tmp_path / "list.csv")).stations()
    assert stations["name"].to_list() == ["JAN MAYEN"]


def archive_source(host: str, **settings: object) -> IsdLiteSource:
    table = {
        "name": "isd",
        "archive": f"{host}/isd-lite",
        "stations": "010010-99999",
        "start": "2023-06-01",
        "http": FAST,
    }
    return IsdLiteSource.model_validate(table | settings)


IN_2024 = datetime(2024, 6, 1, tzinfo=UTC)
FILE = gzip.compress(text(MIDNIGHT, ONE))


def test_a_year_that_never_was_costs_its_line_and_no_other(tmp_path):
    put(tmp_path, **{NAME: text(MIDNIGHT, MIDNIGHT.replace("2024", "0001"), ONE)})
    [batch] = read(folder_source(tmp_path))
    assert batch.readings["observed_at"].is_null().to_list() == [False, True, False]
    assert [(row, reason) for row, _, _, reason in batch.problems.rows()] == [(1, "no such time")]


def test_a_file_that_unpacks_to_one_endless_line_is_refused_and_the_others_are_read(tmp_path):
    put(tmp_path, **{NAME: text(MIDNIGHT), "010010-99999-2023.gz": gzip.compress(b"1" * 3_000_000)})
    batches = folder_source(tmp_path).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).origin == NAME
    with pytest.raises(SourceError, match=r"010010-99999-2023\.gz has a line of more than 1,048,576 bytes"):
        next(batches)


def only_2024(answer: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    return lambda request: answer(request) if request.path == f"/isd-lite/2024/{NAME}.gz" else Answer(status=404)


def test_the_address_in_the_archive_is_noaas():
    source = IsdLiteSource(name="isd", stations=["010010-99999"], start="2024-01-01")
    assert source.address("010010-99999", 2024) == f"{ARCHIVE}/2024/{NAME}.gz"


def test_years_from_start_to_until_are_asked_for_and_a_missing_one_is_skipped():
    with serve(only_2024(lambda _: Answer(body=FILE))) as server:
        [batch] = read(archive_source(server.url), until=IN_2024)
        assert [request.path for request in server.requests] == [
            "/isd-lite/2024/010010-99999-2024.gz",  # the newest year tells whether the archive goes on
            "/isd-lite/2023/010010-99999-2023.gz",
        ]
    assert batch.origin == f"{server.url}/isd-lite/2024/{NAME}.gz"
    assert batch.readings["air_temperature_c"].to_list() == [7.9, -1.1]


def test_years_that_ended_before_since_are_not_asked_for():
    with serve(only_2024(lambda _: Answer(body=FILE))) as server:
        read(archive_source(server.url), since=datetime(2024, 1, 1, 0, 30, tzinfo=UTC), until=IN_2024)
        # half an hour into the year, the last report of the year before has just come in: an hour late
        assert [request.path[10:14] for request in server.requests] == ["2024", "2023"]
        read(archive_source(server.url), since=datetime(2024, 1, 1, 1, tzinfo=UTC), until=IN_2024)
        assert [request.path[10:14] for request in server.requests[2:]] == ["2024"]


@pytest.mark.parametrize(
    ("name", "value", "condition"),
    [("ETag", '"v1"', "If-None-Match"), ("Last-Modified", "Mon, 04 Mar 2024 10:00:00 GMT", "If-Modified-Since")],
)
def test_a_known_version_is_asked_for_by_its_name_and_304_brings_nothing(name, value, condition):
    def answer(request: Request) -> Answer:
        known = request.headers.get(condition) == value
        return Answer(status=304) if known else Answer(body=FILE, headers={name: value})

    with serve(only_2024(answer)) as server:
        [batch] = read(archive_source(server.url), until=IN_2024)
        assert read(archive_source(server.url), until=IN_2024, seen={batch.fingerprint}) == []
        assert server.requests[2].headers[condition] == value


def test_the_newest_of_many_known_versions_is_asked_for():
    versions = iter(range(12))

    def answer(request: Request) -> Answer:
        return Answer(body=FILE, headers={"ETag": f'"{(7 * next(versions)) % 12}"'})  # names tell no order

    with serve(only_2024(answer)) as server:
        seen: set[str] = set()
        for _ in range(12):
            [batch] = read(archive_source(server.url, start="2024-01-01"), until=IN_2024, seen=seen)
            seen.add(batch.fingerprint)
        asked = [request.headers.get("If-None-Match") for request in server.requests]
        assert asked == [None, *(f'"{(7 * version) % 12}"' for version in range(11))]


def asked_of(server: Served, source: IsdLiteSource, until: datetime, seen: set[str], since=None) -> list[str]:
    """The years that are asked for, and in `seen` what was learned."""
    before = len(server.requests)
    seen |= {batch.fingerprint for batch in source.fetch(since, until, BUILT_IN, seen) if batch.complete}
    return [request.path[10:14] for request in server.requests[before:]]


def test_years_that_were_closed_when_they_were_read_are_not_asked_for_again():
    def answer(request: Request) -> Answer:
        year = request.path[10:14]
        line = MIDNIGHT.replace("2024", year)
        return Answer(body=text(line), headers={"ETag": f'"{year}"'})

    with serve(answer) as server:
        source, seen = archive_source(server.url, start="2021-01-01"), set()
        assert asked_of(server, source, datetime(2024, 1, 20, tzinfo=UTC), seen) == ["2024", "2023", "2022", "2021"]
        late = asked_of(server, source, datetime(2024, 1, 21, tzinfo=UTC), seen)
        assert late == ["2024", "2023"]  # late reports may come
        assert asked_of(server, source, datetime(2024, 3, 1, tzinfo=UTC), seen) == ["2024", "2023"]
        assert asked_of(server, source, datetime(2024, 3, 2, tzinfo=UTC), seen) == ["2024"]
        again = asked_of(server, source, datetime(2024, 3, 2, tzinfo=UTC), seen, since=datetime(2022, 6, 1, tzinfo=UTC))
        assert again == ["2024", "2023", "2022"]  # as `daycast ingest --since` wants it


def test_what_a_run_with_a_clock_that_was_years_ahead_learned_of_a_year_does_not_close_it():
    with serve(only_2024(lambda _: Answer(body=FILE, headers={"ETag": '"v1"'}))) as server:
        source, seen = archive_source(server.url, start="2024-01-01"), set()
        asked_of(server, source, datetime(2034, 6, 1, tzinfo=UTC), seen)
        assert asked_of(server, source, IN_2024, seen) == ["2024"]


def test_a_past_year_that_is_not_there_is_asked_for_again_after_a_week():
    there = []

    def answer(request: Request) -> Answer:
        return there[0] if there and "/2022/" in request.path else Answer(status=404)

    with serve(answer) as server:
        source, seen = archive_source(server.url, start="2022-01-01"), set()

        def ask(day: int) -> list[str]:
            before = len(server.requests)
            with suppress(SourceError):  # nothing was ever there of the station
                asked_of(server, source, datetime(2024, 6, day, tzinfo=UTC), seen)
            return [request.path[10:14] for request in server.requests[before:]]

        notes = pieces_until_error(source, datetime(2024, 6, 1, tzinfo=UTC))
        seen |= {note.fingerprint for note in notes}
        assert [note.readings.height for note in notes] == [0, 0]  # of 2022 and 2023; this year may begin any day
        assert ask(7) == ["2024"]
        there.append(Answer(body=text(MIDNIGHT.replace("2024", "2022"))))
        assert ask(8) == ["2024", "2023", "2022"]
        assert ask(9) == ["2024"]


def pieces_until_error(source: IsdLiteSource, until: datetime) -> list[SourceBatch]:
    batches = []
    with pytest.raises(SourceError):
        batches.extend(station_year for station_year in source.fetch(None, until, BUILT_IN, ()))
    return batches


def test_a_change_of_settings_asks_for_everything_again():
    with serve(only_2024(lambda _: Answer(body=FILE, headers={"ETag": '"v1"'}))) as server:
        [batch] = read(archive_source(server.url), until=IN_2024)
        again = read(archive_source(server.url, reporting_delay="2h"), until=IN_2024, seen={batch.fingerprint})
        assert len(again) == 1
        assert "If-None-Match" not in server.requests[-1].headers


def test_a_server_that_names_no_version_is_compared_by_content():
    bodies = iter([FILE, FILE, gzip.compress(text(MIDNIGHT))])
    with serve(only_2024(lambda _: Answer(body=next(bodies)))) as server:
        [batch] = read(archive_source(server.url), until=IN_2024)
        seen = {batch.fingerprint}
        assert read(archive_source(server.url), until=IN_2024, seen=seen) == []
        assert len(read(archive_source(server.url), until=IN_2024, seen=seen)) == 1


def test_passing_trouble_and_a_body_cut_off_are_tried_again():
    troubles = [Answer(status=500), Answer(body=FILE, truncate_to=40)]
    with serve(only_2024(lambda _: troubles.pop(0) if troubles else Answer(body=FILE))) as server:
        [batch] = read(archive_source(server.url), until=IN_2024)
    assert batch.readings["air_temperature_c"].to_list() == [7.9, -1.1]


def test_a_file_damaged_at_the_archive_is_an_error_after_all_others():
    def answer(request: Request) -> Answer:
        if "010020" in request.path:
            return Answer(body=FILE)
        return Answer(body=FILE[:-9]) if "2024" in request.path else Answer(status=404)

    with serve(answer) as server:
        source = archive_source(server.url, stations=["010010-99999", "010020-99999"], start="2024-01-01")
        batches = source.fetch(None, IN_2024, BUILT_IN, ())
        assert "010020-99999-2024" in next(batches).origin
        with pytest.raises(SourceError, match=f"{NAME}.gz is a damaged or incomplete gzip file"):
            next(batches)


def test_a_station_of_which_the_archive_never_had_anything_is_named():
    with serve(only_2024(lambda _: Answer(body=FILE))) as server:
        source = archive_source(server.url, stations=["010010-99999", "999999-99999"])
        batches = (
            station_year for station_year in source.fetch(None, IN_2024, BUILT_IN, ()) if not is_note(station_year)
        )
        [batch] = [next(batches)]
        with pytest.raises(SourceError, match="no file of 999999-99999"):
            next(batches)
        gone = {batch.fingerprint}
    with serve(lambda _: Answer(status=404)) as server:
        moved = {text.replace(text.split("/isd-lite")[0], server.url) for text in gone}
        assert read(archive_source(server.url), until=IN_2024, seen=moved) == []  # it had something once


def only_before(year: int) -> Callable[[Request], Answer]:
    """An archive that has every station's files up to the year before, and then nothing."""

    def answer(request: Request) -> Answer:
        of = request.path[10:14]
        if int(of) >= year:
            return Answer(status=404)
        return Answer(body=text(MIDNIGHT.replace("2024", of)), headers={"ETag": f'"{of}"'})

    return answer


def doubts_of(source: IsdLiteSource, until: datetime, seen: set[str]) -> list[str]:
    """The doubts of a run, and in `seen` what was learned."""
    batches = list(source.fetch(None, until, BUILT_IN, seen))
    seen |= {batch.fingerprint for batch in batches if batch.complete}
    return [doubt for batch in batches for doubt in batch.doubts]


def test_an_archive_that_has_stopped_is_pointed_at_in_every_run_with_the_first_rows_already():
    with serve(only_before(2024)) as server:
        source, seen = archive_source(server.url, start="2022-01-01"), set()
        first = next(iter(source.fetch(None, IN_2024, BUILT_IN, ())))
        [doubt] = first.doubts
        assert first.readings.height == 1
        assert f"nothing of 010010-99999 for 2024 ({server.url}/isd-lite/2024/{NAME}.gz, 404)" in doubt
        assert "has its 2023" in doubt
        assert 'kind = "ghcnh" takes its place' in doubt
        for day in (1, 2, 9):
            assert doubts_of(source, datetime(2024, 6, day, tzinfo=UTC), seen) == [doubt]


def test_stations_that_have_stopped_share_a_line_after_the_first():
    names = ["010010-99999", "010020-99999", "010030-99999"]
    with serve(only_before(2024)) as server:
        doubts = doubts_of(archive_source(server.url, stations=names, start="2023-01-01"), IN_2024, set())
    assert ["010010-99999 for 2024" in doubts[0], "010020-99999 for 2024" in doubts[1]] == [True, True]
    assert "likewise 010030-99999: " in doubts[1]
    assert len(doubts) == 2


def test_of_years_that_cannot_be_there_yet_and_of_stations_that_go_on_nothing_is_said():
    with serve(only_before(2024)) as server:
        source = archive_source(server.url, start="2023-01-01")
        assert doubts_of(source, datetime(2024, 1, 10, tzinfo=UTC), set()) == []
        assert doubts_of(source, datetime(2023, 12, 31, tzinfo=UTC), set()) == []
        assert len(doubts_of(source, datetime(2024, 1, 20, tzinfo=UTC), set())) == 1


def test_a_dead_archive_is_not_asked_for_every_station_year():
    with serve(lambda _: Answer(status=503)) as server:
        source = archive_source(server.url, start="1990-01-01", http=FAST | {"retries": 0})
        with pytest.raises(SourceError, match=r"503.*and 2 more"):
            read(source, until=IN_2024)
        assert len(server.requests) == 3


def test_positions_come_from_the_list_beside_the_archive_or_the_one_named():
    with serve(lambda _: Answer(body=LIST.encode(), content_type="text/csv")) as server:
        assert archive_source(server.url).stations()["name"].to_list() == ["JAN MAYEN"]
        archive_source(server.url, station_list=f"{server.url}/mine.csv").stations()
        assert [request.path for request in server.requests] == ["/isd-history.csv", "/mine.csv"]
