"""The source against bodies in Open-Meteo's form, worked out by hand, and a small server that answers for any span."""

import json
import re
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import READING_KEYS, SourceBatch
from daycast.sources.open_meteo.request import Days, split_days
from daycast.sources.open_meteo.source import OpenMeteoSource
from daycast.stations import STATION_SCHEMA
from daycast.variables import BUILT_IN, Variable
from unit.sources.http_server import Answer, Request, Served, serve

pytestmark = pytest.mark.usefixtures("short_backoff")
ZURICH = {"id": "zurich", "latitude": 47.37, "longitude": 8.55, "elevation_m": 408, "name": "Zürich"}
SYDNEY = {"id": "sydney", "latitude": -33.87, "longitude": 151.21, "elevation_m": 40}
TWO = {"air_temperature_c": "temperature_2m", "wind_speed_m_s": "wind_speed_10m"}
FAST = {"timeout": timedelta(minutes=1), "retries": 0, "requests_per_second": 1e6}
UNITS = {"time": "unixtime", "temperature_2m": "°C", "wind_speed_10m": "m/s"}
MIDNIGHT = 1_711_843_200  # 2024-03-31T00:00:00Z, the night in which Zürich's clocks went from 02:00 to 03:00
HOUR_S = 3600


def location(hourly: dict, units: dict = UNITS, **more: object) -> dict:
    """The body for one place in the form of the documented example."""
    return {
        "latitude": 47.375,
        "longitude": 8.5625,
        "generationtime_ms": 0.0871,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 408.0,
        "hourly_units": units,
        "hourly": hourly,
    } | more


def hours(temperatures: list, winds: list, first: int = MIDNIGHT) -> dict:
    times = [first + HOUR_S * hour for hour in range(len(temperatures))]
    return {"time": times, "temperature_2m": temperatures, "wind_speed_10m": winds}


def source(url: str, **given: object) -> OpenMeteoSource:
    settings = {"name": "om", "url": f"{url}/v1/archive", "stations": [ZURICH], "columns": TWO, "http": FAST}
    return OpenMeteoSource.model_validate(settings | given)


def fetch(
    of: OpenMeteoSource,
    until: datetime,
    since: datetime | None = None,
    seen: tuple[str, ...] = (),
    variables: dict[str, Variable] = BUILT_IN,
) -> list[SourceBatch]:
    return list(of.fetch(since, until, variables, seen))


def body(content: object) -> Answer:
    return Answer(body=json.dumps(content).encode())


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def values(batch: SourceBatch) -> list[tuple]:
    columns = ["station_id", "observed_at", "received_at", "air_temperature_c", "wind_speed_m_s"]
    return batch.readings.select(columns).rows()


REFUSED = {"error": True, "reason": "Something went\n wrong."}


@pytest.mark.parametrize(
    ("answer", "stations", "reason"),
    [
        (REFUSED, [ZURICH], "Something went wrong."),
        (REFUSED, [ZURICH, SYDNEY], "Something went wrong."),
        ([location(hours([1.0], [1.0])), REFUSED | {"location_id": 1}], [ZURICH, SYDNEY], "Something went wrong."),
        ({"error": "limit reached"}, [ZURICH], "limit reached"),
        ({"error": True}, [ZURICH], "it gives no reason"),
    ],
)
def test_an_error_that_comes_with_status_200_is_told_with_its_reason(answer, stations, reason):
    with serve(lambda _: body(answer)) as server, pytest.raises(SourceError, match="answers with an error: ") as error:
        fetch(source(server.url, stations=stations, start=date(2024, 3, 31), reporting_delay="0s"), utc(2024, 3, 31, 3))
    assert str(error.value).endswith(reason)


# one answer, by hand


def test_one_place_is_an_object_and_unix_times_are_utc_whatever_the_clocks_did():
    answer = location(hours([3.5, None, None, -0.25], [1.0, 2, None, 4.5]))
    with serve(lambda _: body(answer)) as server:
        [batch] = fetch(source(server.url, start=date(2024, 3, 31), reporting_delay="0s"), utc(2024, 3, 31, 3))
    assert values(batch) == [
        ("zurich", utc(2024, 3, 31, 0), utc(2024, 3, 31, 0), 3.5, 1.0),
        ("zurich", utc(2024, 3, 31, 1), utc(2024, 3, 31, 1), None, 2.0),
        ("zurich", utc(2024, 3, 31, 3), utc(2024, 3, 31, 3), -0.25, 4.5),  # 02:00 has no value at all: no reading
    ]
    assert batch.raw.rows() == [
        ("zurich", MIDNIGHT, 3.5, 1.0),
        ("zurich", MIDNIGHT + HOUR_S, None, 2.0),
        ("zurich", MIDNIGHT + 3 * HOUR_S, -0.25, 4.5),
    ]
    assert batch.raw.columns == ["station_id", "time", "temperature_2m", "wind_speed_10m"]
    assert batch.readings.columns == [*READING_KEYS, *BUILT_IN]
    assert batch.readings.schema == {**READING_KEYS, **dict.fromkeys(BUILT_IN, pl.Float64())}
    assert batch.readings["dew_point_c"].null_count() == 3
    assert (batch.complete, batch.receipt, batch.problems.height) == (True, "assumed", 0)
    assert batch.origin == "om 2024-03-31..2024-03-31 zurich"


def test_several_places_are_a_list_in_the_order_asked_for():
    answer = [location(hours([1], [2])), location(hours([3], [4]), location_id=1)]
    with serve(lambda _: body(answer)) as server:
        given = source(server.url, stations=[ZURICH, SYDNEY], start="2024-03-31", reporting_delay="0s")
        [batch] = fetch(given, utc(2024, 3, 31, 23))
    midnight = utc(2024, 3, 31)
    assert values(batch) == [("zurich", midnight, midnight, 1.0, 2.0), ("sydney", midnight, midnight, 3.0, 4.0)]
    assert batch.origin == "om 2024-03-31..2024-03-31 zurich..sydney"


def test_everything_that_decides_the_answer_is_asked_for_in_so_many_words():
    with serve(lambda _: body([location(hours([1], [2]))] * 2)) as server:
        given = source(server.url, stations=[ZURICH, SYDNEY], start="2024-03-31", reporting_delay="0s", model="era5")
        fetch(given, utc(2024, 4, 1, 12))
    [request] = server.requests
    assert request.path == "/v1/archive"
    assert request.query == {
        "latitude": "47.370000,-33.870000",
        "longitude": "8.550000,151.210000",
        "elevation": "408.0,40.0",
        "start_date": "2024-03-31",
        "end_date": "2024-04-01",
        "hourly": "temperature_2m,wind_speed_10m",
        "timezone": "GMT",
        "timeformat": "unixtime",
        "temperature_unit": "celsius",
        "wind_speed_unit": "ms",
        "precipitation_unit": "mm",
        "models": "era5",
    }


def test_places_without_elevation_are_asked_for_by_themselves():
    flat = {key: value for key, value in SYDNEY.items() if key != "elevation_m"}
    with serve(lambda _: body(location(hours([1], [2])))) as server:
        given = source(server.url, stations=[flat, ZURICH], start="2024-03-31", reporting_delay="0s")
        found = fetch(given, utc(2024, 3, 31))
    asked = [(request.query["latitude"], request.query.get("elevation")) for request in server.requests]
    assert asked == [("47.370000", "408.0"), ("-33.870000", None)]
    assert [batch.readings["station_id"].to_list() for batch in found] == [["zurich"], ["sydney"]]


def test_units_are_those_that_the_answer_names():
    units = UNITS | {"temperature_2m": "°F", "wind_speed_10m": "km/h"}
    with serve(lambda _: body(location(hours([212], [36]), units))) as server:
        [batch] = fetch(source(server.url, start="2024-03-31", reporting_delay="0s"), utc(2024, 3, 31))
    assert values(batch)[0][3:] == pytest.approx((100.0, 10.0))
    assert batch.raw.row(0)[2:] == (212, 36)


def test_a_declared_variable_is_taken_in_its_own_unit_and_no_other():
    radiation = Variable("radiation_w_m2", "radiation", "W/m²", 0, 1500)
    columns = {"radiation_w_m2": "shortwave_radiation"}
    for unit in ("W/m²", "MJ/m²"):
        hourly = {"time": [MIDNIGHT], "shortwave_radiation": [312.5]}
        answer = location(hourly, {"time": "unixtime", "shortwave_radiation": unit})
        with serve(lambda _, answer=answer: body(answer)) as server:
            given = source(server.url, columns=columns, start="2024-03-31", reporting_delay="0s")
            if unit == "W/m²":
                [batch] = fetch(given, utc(2024, 3, 31), variables=BUILT_IN | {"radiation_w_m2": radiation})
                assert batch.readings["radiation_w_m2"].to_list() == [312.5]
            else:
                with pytest.raises(
                    SourceError, match=r"gives unit 'MJ/m²' of radiation_w_m2: possible are W/m², kW/m²"
                ):
                    fetch(given, utc(2024, 3, 31), variables=BUILT_IN | {"radiation_w_m2": radiation})


def test_the_usual_columns_are_those_of_the_variables_there_are():
    usual = {
        "air_temperature_c": ("temperature_2m", "°C"),
        "dew_point_c": ("dew_point_2m", "°C"),
        "relative_humidity_pct": ("relative_humidity_2m", "%"),
        "sea_level_pressure_hpa": ("pressure_msl", "hPa"),
        "station_pressure_hpa": ("surface_pressure", "hPa"),
        "wind_speed_m_s": ("wind_speed_10m", "m/s"),
        "wind_from_deg": ("wind_direction_10m", "°"),
        "precipitation_mm": ("precipitation", "mm"),
    }
    hourly = {"time": [MIDNIGHT]} | {column: [number] for number, (column, _) in enumerate(usual.values())}
    units = {"time": "unixtime"} | dict(usual.values())
    variables = {name: BUILT_IN[name] for name in usual}
    with serve(lambda _: body(location(hourly, units))) as server:
        given = source(server.url, columns=None, start="2024-03-31", reporting_delay="0s")
        [batch] = fetch(given, utc(2024, 3, 31), variables=variables)
    assert server.requests[0].query["hourly"].split(",") == [column for column, _ in usual.values()]
    assert batch.readings.row(0)[3:] == tuple(float(number) for number in range(8))


# what is known when


def test_what_was_received_later_is_held_back():
    answer = location(hours(list(range(24)), list(range(24))))
    with serve(lambda _: body(answer)) as server:
        given = source(server.url, start="2024-03-31", reporting_delay="5d")
        [batch] = fetch(given, utc(2024, 4, 5, 2, 30))
    assert batch.readings["air_temperature_c"].to_list() == [0, 1, 2]
    assert batch.raw["temperature_2m"].to_list() == [0, 1, 2]
    assert batch.readings["received_at"].to_list() == [utc(2024, 4, 5, hour) for hour in range(3)]
    assert not batch.complete


def test_the_archive_is_asked_for_nothing_newer_than_its_usual_delay():
    with serve(lambda _: body(location(hours([1], [2])))) as server:
        fetch(source(server.url, start="2024-03-31"), utc(2024, 4, 5, 23, 59))
    assert [request.query["end_date"] for request in server.requests] == ["2024-03-31"]


def test_the_forecast_interface_never_gives_the_future():
    answer = location(hours(list(range(24)), list(range(24))))
    with serve(lambda _: body(answer)) as server:
        given = source(server.url, interface="forecast", start="2024-03-31")
        [batch] = fetch(given, utc(2024, 3, 31, 13, 59))
    assert batch.readings["observed_at"].max() == utc(2024, 3, 31, 13)
    assert batch.readings["received_at"].max() == utc(2024, 3, 31, 13)
    assert batch.raw["time"].max() == MIDNIGHT + 13 * HOUR_S
    assert not batch.complete


def test_days_of_which_nothing_is_known_yet_give_no_batch():
    for answer in (
        location(hours([None], [None])),
        location(hours([], [])),
        location(hours([1], [1], MIDNIGHT + HOUR_S)),
    ):
        with serve(lambda _, answer=answer: body(answer)) as server:
            assert fetch(source(server.url, start="2024-03-31", reporting_delay="0s"), utc(2024, 3, 31)) == []


# spans


def anything(request: Request) -> Answer:
    """An answer for whatever days and places are asked for: the temperature is the hour since 1970, the wind the place."""
    first, last = (datetime.fromisoformat(request.query[key]) for key in ("start_date", "end_date"))
    begin = int(first.replace(tzinfo=UTC).timestamp())
    count = 24 * ((last - first).days + 1)
    numbers = [begin // HOUR_S + hour for hour in range(count)]
    latitudes = [float(text) for text in request.query["latitude"].split(",")]
    locations = [location(hours(numbers, [abs(latitude)] * count, begin)) for latitude in latitudes]
    return body(locations if len(locations) > 1 else locations[0])


def test_the_batches_of_many_places_and_days_bring_every_hour_of_every_place_once():
    places = [{"id": f"p{number}", "latitude": number, "longitude": 0, "elevation_m": 1} for number in range(1, 6)]
    with serve(anything) as server:
        given = source(
            server.url, stations=places, start="2024-01-10", reporting_delay="0s", piece_days=7, piece_stations=2
        )
        found = fetch(given, utc(2024, 2, 20, 5))
    hours_there = 41 * 24 + 6  # 10 January 00:00 to 20 February 05:00
    rows = pl.concat(batch.readings for batch in found)
    assert rows.select("station_id", "observed_at").is_unique().all()
    assert rows.height == 5 * hours_there
    assert (rows["observed_at"].min(), rows["observed_at"].max()) == (utc(2024, 1, 10), utc(2024, 2, 20, 5))
    assert (rows["observed_at"].dt.epoch("s") == rows["air_temperature_c"] * HOUR_S).all()
    assert (
        rows["station_id"] == pl.select("p" + rows["wind_speed_m_s"].cast(pl.Int64).cast(pl.String)).to_series()
    ).all()
    assert max(len(request.query["latitude"].split(",")) for request in server.requests) == 2
    assert max(batch.readings.height for batch in found) == 2 * 7 * 24
    assert [batch.complete for batch in found] == [True] * (len(found) - 3) + [False] * 3


@pytest.mark.parametrize("length", [1, 2, 7, 30, 366])
@pytest.mark.parametrize(("first", "last"), [("2023-12-28", "2024-03-01"), ("2024-02-29", "2024-02-29")])
def test_batches_cover_the_days_without_gap_or_overlap_and_are_cut_alike_wherever_they_begin(length, first, last):
    days = Days(date.fromisoformat(first), date.fromisoformat(last))
    requests = list(split_days(days, length))
    assert (requests[0].first, requests[-1].last) == (days.first, days.last)
    for one, following in pairwise(requests):
        assert following.first == one.last + timedelta(days=1)
        assert following.begin == one.end
    assert all(1 <= (request.last - request.first).days + 1 <= length for request in requests)
    wider = Days(days.first - timedelta(days=100), days.last + timedelta(days=100))
    assert set(requests[1:-1]) <= set(split_days(wider, length))


def asked_days(server: Served) -> tuple[str, str]:
    return server.requests[0].query["start_date"], server.requests[-1].query["end_date"]


@pytest.mark.parametrize(
    ("given", "since", "first", "last"),
    [
        ({}, None, "2022-06-11", "2024-06-05"),  # 730 days before
        ({"start": "2024-06-01"}, None, "2024-06-01", "2024-06-05"),
        ({}, utc(2024, 6, 10, 11), "2024-05-31", "2024-06-05"),  # five days of delay, five to look back
        ({"look_back": "1d"}, utc(2024, 6, 10, 11), "2024-06-04", "2024-06-05"),
        ({"look_back": "0s", "reporting_delay": "0s"}, utc(2024, 6, 10, 11), "2024-06-10", "2024-06-10"),
        ({"start": "2024-06-03"}, utc(2024, 6, 10, 11), "2024-06-03", "2024-06-05"),
        ({"interface": "forecast"}, None, "2024-03-12", "2024-06-10"),  # 90 days before
        ({"interface": "forecast", "start": "2020-01-01"}, None, "2024-03-12", "2024-06-10"),
        ({"interface": "forecast"}, utc(2024, 6, 10, 11), "2024-06-05", "2024-06-10"),
    ],
)
def test_the_days_asked_for_follow_from_what_was_ingested_before(given, since, first, last):
    with serve(anything) as server:
        fetch(source(server.url, piece_days=366, **given), utc(2024, 6, 10, 12), since)
    assert asked_days(server) == (first, last)


def test_a_start_in_the_future_asks_for_nothing():
    with serve(anything) as server:
        assert fetch(source(server.url, start="2030-01-01"), utc(2024, 6, 10)) == []
    assert server.requests == []


# fingerprints


def prints(found: list[SourceBatch]) -> list[str]:
    return [batch.fingerprint for batch in found]


def test_an_equal_answer_that_is_read_alike_brings_nothing_new_and_any_other_does():
    until = utc(2024, 3, 31, 12)
    alike = [location(hours([1], [2])), location(hours([1], [2]), generationtime_ms=9.9)]
    others = [location(hours([1], [3])), location(hours([1], [2]), UNITS | {"wind_speed_10m": "km/h"})]
    with serve(lambda request: body([*alike, *others][request.number])) as server:
        given = source(server.url, start="2024-03-31", reporting_delay="0s")
        [first] = prints(fetch(given, until))
        assert fetch(given, until, seen=(first,)) == []
        assert [len(fetch(given, until, seen=(first,))) for _ in others] == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"reporting_delay": "1h"},
        {"columns": {"dew_point_c": "temperature_2m", "wind_speed_m_s": "wind_speed_10m"}},
        {"stations": [ZURICH | {"elevation_m": 409}]},
        {"stations": [ZURICH | {"id": "other"}]},
        {"model": "era5"},
    ],
)
def test_another_configuration_has_another_fingerprint(change):
    with serve(lambda _: body(location(hours([1], [2])))) as server:
        given = {"start": "2024-03-31", "reporting_delay": "0s"}
        before, after = (
            prints(fetch(source(server.url, **each), utc(2024, 3, 31, 12))) for each in (given, given | change)
        )
        renamed = source(server.url, stations=[ZURICH | {"name": "new"}], **given)
        assert prints(fetch(renamed, utc(2024, 3, 31, 12))) == before
    assert before != after


def test_a_first_load_that_broke_off_goes_on_where_answers_are_final():
    until = utc(2024, 3, 31, 12)
    given = {"start": "2024-01-01", "reporting_delay": "0s", "look_back": "5d", "piece_days": 2}
    with serve(anything) as server:
        first = fetch(source(server.url, **given), until)
        asked = len(server.requests)
        again = fetch(source(server.url, **given), until + timedelta(days=1), seen=tuple(prints(first)))
        starts = [request.query["start_date"] for request in server.requests[asked:]]
        settled = [batch for batch in first if batch.readings["observed_at"].max() <= until - timedelta(days=5)]
        assert len(starts) == asked - len(settled)
        assert min(starts) > f"{settled[-1].readings['observed_at'].max():%Y-%m-%d}"
        last_days = [f"{batch.readings['observed_at'].max():%m-%d}" for batch in again]
        assert last_days == ["03-26", "04-01"]  # what has become final meanwhile, and what is new
        fetch(source(server.url, **given), until, utc(2024, 1, 20), seen=tuple(prints(first)))
        assert server.requests[-1].query["end_date"] == "2024-03-31"
        assert (
            server.requests[asked + len(starts)].query["start_date"] == "2024-01-15"
        )  # since is asked for whatever is known


# answers that cannot be


def broken(change: Callable[[dict], object]) -> dict:
    answer = location(hours([1, 2], [3, 4]))
    change(answer)
    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([location(hours([1], [2]))] * 2, "answers for 2 locations instead of 1"),
        ([], "answers for 0 locations instead of 1"),
        ({"error": False}, "has no 'hourly' for station 'zurich'"),
        ("hello", "has no 'hourly' for station 'zurich'"),
        (None, "has no 'hourly' for station 'zurich'"),
        (location(hours([1], [2]), location_id=3), "answers for location 3 where 0 was expected"),
        (location(hours([1], [2]), utc_offset_seconds=3600, timezone="Europe/Zurich"), "time zone 'Europe/Zurich'"),
        (location(hours([1], [2]), UNITS | {"time": "iso8601"}), "writes times as 'iso8601'"),
        (location(hours([1], [2]), UNITS | {"wind_speed_10m": "Bft"}), "gives unit 'Bft' of wind_speed_m_s"),
        (location(hours([1], [2]), UNITS | {"wind_speed_10m": None}), "says None for the unit of wind_speed_10m"),
        (location(hours([1], [2]), {"time": "unixtime"}), "says None for the unit of temperature_2m"),
        (broken(lambda answer: answer.pop("hourly_units")), "says None for the unit of time"),
        (broken(lambda answer: answer["hourly"].pop("wind_speed_10m")), "sends no wind_speed_10m for station 'zurich'"),
        (broken(lambda answer: answer["hourly"].pop("time")), "sends no time for station 'zurich'"),
        (location(hours([1, 2], [3])), "sends 1 values of wind_speed_10m for 2 hours of station 'zurich'"),
        (
            location(hours([1, 2], [3, "4"])),
            "sends '4' in wind_speed_10m of station 'zurich', which is not a 64-bit number",
        ),
        (
            location(hours([1, 2], [3, [4]])),
            "sends \\[4\\] in wind_speed_10m of station 'zurich', which is not a 64-bit number",
        ),
        (location({**hours([1], [2]), "time": ["2024-03-31T00:00"]}), "sends '2024-03-31T00:00' in time"),
        (location({**hours([1], [2]), "time": [10**30]}), "in time of station 'zurich', which is not a 64-bit number"),
        (location({**hours([1], [2]), "time": [None]}), "missing, repeated or out of order"),
        (location({**hours([1, 2], [3, 4]), "time": [MIDNIGHT] * 2}), "missing, repeated or out of order"),
        (location(hours([1], [2], MIDNIGHT + 1800)), f"sends time {MIDNIGHT + 1800} for station 'zurich'"),
        (location(hours([1], [2], MIDNIGHT - HOUR_S)), "not a full hour of 2024-03-31..2024-03-31"),
        (location(hours([1], [2], MIDNIGHT + 24 * HOUR_S)), "not a full hour of 2024-03-31..2024-03-31"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(answer, words):
    with serve(lambda _: body(answer)) as server:
        given = source(server.url, start="2024-03-31", reporting_delay="0s")
        with pytest.raises(SourceError, match=words) as caught:
            fetch(given, utc(2024, 3, 31, 12))
    assert str(caught.value).startswith(f"source om 2024-03-31..2024-03-31 zurich: {server.url}/v1/archive ")
    assert "\n" not in str(caught.value)


def test_a_place_that_has_other_units_than_the_first_is_refused():
    answers = [location(hours([1], [2])), location(hours([1], [2]), UNITS | {"temperature_2m": "°F"})]
    with serve(lambda _: body(answers)) as server:
        given = source(server.url, stations=[ZURICH, SYDNEY], start="2024-03-31", reporting_delay="0s")
        with pytest.raises(SourceError, match="says '°F' for the unit of temperature_2m"):
            fetch(given, utc(2024, 3, 31))


def test_a_variable_that_open_meteo_does_not_know_is_named_by_its_own_reason():
    reason = "Data corrupted at path ''. Cannot initialize from invalid String value temperature_3m."
    refused = Answer(status=400, body=json.dumps({"error": True, "reason": reason}).encode())
    with serve(lambda _: refused) as server:
        given = source(server.url, columns={"air_temperature_c": "temperature_3m"}, start="2024-03-31")
        with pytest.raises(SourceError, match=re.escape(f"answers 400 Bad Request: {reason}")):
            fetch(given, utc(2024, 4, 6))


# trouble on the way


@pytest.mark.parametrize(
    "bad",
    [
        Answer(status=500),
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(body=b'{"latitude": 47', truncate_to=9),
        Answer(body=b"<html>502 Bad Gateway</html>", content_type="text/html"),
    ],
    ids=["500", "429", "truncated", "HTML"],
)
def test_after_a_misbehaviour_the_readings_are_exactly_the_right_ones(bad):
    good = body(location(hours([3.5], [1.0])))
    with serve(lambda request: good if request.number == 2 else bad) as server:
        http = FAST | {"retries": 2}
        [batch] = fetch(source(server.url, start="2024-03-31", reporting_delay="0s", http=http), utc(2024, 3, 31))
    assert values(batch) == [("zurich", utc(2024, 3, 31), utc(2024, 3, 31), 3.5, 1.0)]
    assert len(server.requests) == 3


def test_a_bad_batch_keeps_no_good_one_back():
    def answer(request: Request) -> Answer:
        return Answer(status=400) if request.number in {1, 3} else anything(request)

    found = []
    with serve(answer) as server:
        given = source(server.url, start="2024-03-01", reporting_delay="0s", piece_days=10)
        with pytest.raises(SourceError, match="400 Bad Request"):
            found.extend(given.fetch(None, utc(2024, 4, 4, 23), BUILT_IN, ()))  # extend keeps what came before
    assert len(server.requests) == 5  # one bad piece after a good one is no service that is down
    assert [batch.origin for batch in found] == [
        "om 2024-03-01..2024-03-04 zurich",
        "om 2024-03-15..2024-03-24 zurich",
        "om 2024-04-04..2024-04-04 zurich",
    ]
    assert [batch.readings.height for batch in found] == [4 * 24, 10 * 24, 24]


def test_a_service_that_is_down_is_not_asked_for_every_batch():
    with serve(lambda _: Answer(status=400)) as server:
        given = source(server.url, start="2024-01-01", piece_days=1)
        with pytest.raises(SourceError, match=r"and 1 more, the last: om 2024-01-02\.\.2024-01-02 zurich"):
            fetch(given, utc(2024, 3, 31))
    assert len(server.requests) == 2


def test_the_customers_key_comes_from_the_environment_as_a_parameter():
    table = {
        "name": "om",
        "stations": [ZURICH],
        "columns": TWO,
        "start": "2024-03-31",
        "http": FAST | {"credential": {"env": "OPEN_METEO_KEY", "parameter": "apikey"}},
    }
    with serve(lambda _: body(location(hours([1], [2])))) as server:
        for environment in ({"OPEN_METEO_KEY": "s3cret"}, {}):
            given = OpenMeteoSource.model_validate(table | {"url": server.url}, context={"environment": environment})
            if environment:
                assert len(fetch(given, utc(2024, 4, 6))) == 1
                assert "s3cret" not in given.model_dump_json()
            else:
                with pytest.raises(ConfigError, match="OPEN_METEO_KEY is not set"):
                    fetch(given, utc(2024, 4, 6))
    assert server.requests[0].query["apikey"] == "s3cret"


# configuration


def test_a_table_of_few_lines_is_enough():
    table = tomllib.loads("""
        kind = "open_meteo"
        name = "grid"
        stations = [{ id = 7, latitude = 47.4, longitude = 8.5 }]
        start = 2024-01-01
    """)
    given = OpenMeteoSource.model_validate(table)
    assert (given.start, given.look_back) == (date(2024, 1, 1), timedelta(days=5))
    assert given.stations().rows() == [("7", None, 47.4, 8.5, None)]


def test_stations_are_those_of_the_table_or_of_a_file_beside_it(tmp_path):
    (tmp_path / "list.csv").write_text(
        "station_id,name,latitude,longitude,elevation_m\na,Alpha,47.5,8.25,410\nb,,-1,2,\n"
    )
    context = {"folder": tmp_path}
    given = OpenMeteoSource.model_validate({"name": "om", "station_list": {"file": "list.csv"}}, context=context)
    assert given.stations().schema == STATION_SCHEMA
    assert given.stations().rows() == [("a", "Alpha", 47.5, 8.25, 410.0), ("b", None, -1.0, 2.0, None)]
    assert source("http://x", stations=[ZURICH]).stations().schema == STATION_SCHEMA
    (tmp_path / "list.csv").write_text("station_id,latitude,longitude\na,47.5,\n")
    with pytest.raises(SourceError, match=r"list\.csv: station 'a' has no position"):
        given.stations()


def test_an_unknown_variable_is_named_before_anything_is_asked():
    with serve(anything) as server:
        given = source(server.url, columns={"air_temprature_c": "temperature_2m"})
        with pytest.raises(ConfigError, match=r"source 'om': 'air_temprature_c' .*did you mean 'air_temperature_c'"):
            given.fetch(None, utc(2024, 6, 10), BUILT_IN, ())
    assert server.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"stations": []},
        {"stations": [ZURICH], "station_list": {"file": "x.csv"}},
        {"stations": [ZURICH, ZURICH]},
        {"stations": [ZURICH | {"latitude": 91}]},
        {"stations": [ZURICH | {"longitude": 181}]},
        {"stations": [ZURICH | {"id": ""}]},
        {"stations": [ZURICH | {"height": 2}]},
        {"url": "api.open-meteo.com"},
        {"url": "https://user:pw@host/v1/archive"},
        {"url": "https://host/v1/archive?apikey=x"},
        {"columns": {}},
        {"interface": "climate"},
        {"piece_days": 0},
        {"piece_stations": 201},
        {"look_back": "soon"},
        {"start": "yesterday"},
        {"unknown": 1},
    ],
)
def test_a_table_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        OpenMeteoSource.model_validate({"name": "om", "stations": [ZURICH]} | wrong)


def test_the_public_addresses_are_the_documented_ones():
    asked = {}
    for interface in ("archive", "forecast"):
        given = OpenMeteoSource(name="om", places=(ZURICH,), interface=interface)
        asked[interface] = next(given._requests(given._template(BUILT_IN), None, utc(2024, 6, 10))).template.url
    assert asked == {
        "archive": "https://archive-api.open-meteo.com/v1/archive",
        "forecast": "https://api.open-meteo.com/v1/forecast",
    }
