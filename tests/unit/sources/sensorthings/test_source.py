"""The source against a small SensorThings server that filters, orders and pages as FROST does."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import PROBLEM_SCHEMA, READING_KEYS, SourceBatch
from daycast.sources.sensorthings import observations
from daycast.sources.sensorthings.source import SensorThingsSource
from daycast.stations import STATION_SCHEMA
from daycast.variables import BUILT_IN
from unit.sources.http_server import Answer, Request, Served, serve

pytestmark = pytest.mark.usefixtures("short_backoff")
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
CELSIUS = {"name": "degree Celsius", "symbol": "°C", "definition": "ucum:Cel"}
PERCENT = {"name": "percent", "symbol": "%", "definition": "ucum:%"}
FAST = {"retries": 2, "requests_per_second": 100_000, "timeout": "60s"}


def observation(time: str, result: object, result_time: str | None = None) -> dict:
    return {"phenomenonTime": time, "result": result, "resultTime": result_time}


def datastream(number: int | str, observed: str, unit: dict = CELSIUS, name: str = "") -> dict:
    return {
        "@iot.selfLink": f"http://elsewhere.example/v1.1/Datastreams({number})",
        "@iot.id": number,
        "name": name or observed,
        "description": "",
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "unitOfMeasurement": unit,
        "ObservedProperty": {"@iot.id": 1, "name": observed, "definition": "", "description": ""},
        "Observations@iot.navigationLink": f"http://elsewhere.example/v1.1/Datastreams({number})/Observations",
    }


def thing(number: int | str, name: str, *datastreams: dict, **more: object) -> dict:
    return {
        "@iot.selfLink": f"http://elsewhere.example/v1.1/Things({number})",
        "@iot.id": number,
        "name": name,
        "description": "a mast",
        "Locations": [
            {
                "@iot.id": 9,
                "name": "place",
                "encodingType": "application/geo+json",
                "location": {"type": "Point", "coordinates": [8.25, 47.5, 412.0]},
            }
        ],
        "Datastreams": list(datastreams),
        "Datastreams@iot.count": len(datastreams),
    } | more


ROOF = thing(1, "roof", datastream(11, "air_temperature"), datastream(12, "relative_humidity", PERCENT))


def hours(first: str, count: int) -> list[dict]:
    """One Observation an hour from `first` on, whose result is its number."""
    start = datetime.fromisoformat(first)
    return [observation(f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}", hour) for hour in range(count)]


class Service:
    """A server with `things`, and the `observations` of each Datastream; at most `most` entities a page."""

    def __init__(self, things: list[dict], observations: dict[str, list[dict]], most: int = 1000) -> None:
        self.things, self.observations, self.most, self.url = things, observations, most, ""

    def answer(self, request: Request) -> Answer:
        path = request.path.removeprefix("/frost/v1.1/")
        if path == "Things":
            return self.page(request, self.things)
        found = re.fullmatch(r"Datastreams\((.+)\)/Observations", path)
        return self.page(request, self.chosen(request, found[1])) if found else Answer(status=404)

    def chosen(self, request: Request, key: str) -> list[dict]:
        bounds = dict(re.findall(r"phenomenonTime (gt|le) (\S+)", request.query["$filter"]))
        after = datetime.fromisoformat(bounds["gt"]) if "gt" in bounds else None
        end = datetime.fromisoformat(bounds["le"])
        kept = []
        for item in self.observations[key]:
            times = [datetime.fromisoformat(text) for text in item["phenomenonTime"].split("/")]
            start, stop = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in (times * 2)[:2])
            if (after is None or start > after) and stop <= end:
                kept.append((start, item))
        return [item for _, item in sorted(kept, key=lambda pair: pair[0])]

    def page(self, request: Request, entities: list[dict]) -> Answer:
        skip = int(request.query.get("$skip", 0))
        top = min(int(request.query.get("$top", self.most)), self.most)
        body = {"@iot.count": len(entities), "value": entities[skip : skip + top]}
        if skip + top < len(entities):
            rest = {name: value for name, value in request.query.items() if name != "$skip"}
            query = "&".join(f"{name}={value}" for name, value in (rest | {"$skip": skip + top}).items())
            body["@iot.nextLink"] = f"{self.url}{request.path}?{query.replace(' ', '%20')}"
        return Answer(body=json.dumps(body).encode())


@contextmanager
def running(service: Service, answers: Callable[[Request], Answer] | None = None) -> Iterator[Served]:
    with serve(answers or service.answer) as served:
        service.url = served.url
        yield served


def source(host: str, **settings: object) -> SensorThingsSource:
    table = {
        "name": "masts",
        "url": f"{host}/frost/v1.1",
        "columns": {"air_temperature_c": "air_temperature", "relative_humidity_pct": "relative_humidity"},
        "http": FAST,
    }
    return SensorThingsSource.model_validate(table | settings)


def deliver(service: Service, since=None, until=NOON, seen=(), **settings: object) -> list[SourceBatch]:
    with running(service) as served:
        return list(source(served.url, **settings).fetch(since, until, BUILT_IN, seen))


def rows(*batches: SourceBatch) -> list[tuple]:
    columns = ["station_id", "observed_at", "air_temperature_c", "relative_humidity_pct"]
    frame = pl.concat([batch.readings for batch in batches]).select(columns)
    return frame.with_columns(pl.col("observed_at").dt.strftime("%d %H:%M")).rows()


def until_error(source: SensorThingsSource, until: datetime = NOON) -> tuple[list[SourceBatch], str]:
    taken = []
    with pytest.raises(SourceError) as caught:
        taken.extend(source.fetch(None, until, BUILT_IN, ()))  # extend keeps what came before the error
    return taken, str(caught.value)


ONE_MORNING = Service(
    [ROOF],
    {
        "11": [
            observation("2024-07-01T10:00:00.000Z", 21.5, "2024-07-01T10:00:20Z"),
            observation("2024-07-01T13:00:00+02:00", "22.25", "2024-07-01T11:03:00Z"),
        ],
        "12": [
            observation("2024-07-01T11:00:00Z", 55, "2024-07-01T11:07:00Z"),
            observation("2024-07-01T11:30:00Z", None),
        ],
    },
)


def test_a_configuration_as_a_user_writes_it_brings_the_variables_of_a_thing_side_by_side():
    table = tomllib.loads("""
        kind = "sensorthings"
        name = "masts"
        url = "https://sensors.example/frost/v1.1/"
        things_filter = "properties/network eq 'masts'"
        reporting_delay = "10min"
        start = 2024-06-01
        [columns]
        air_temperature_c = "air_temperature"
        relative_humidity_pct = { datastream = "relative_*", unit = "%" }
    """)
    with running(ONE_MORNING) as served:
        table |= {"url": f"{served.url}/frost/v1.1/", "http": FAST}
        [batch] = SensorThingsSource.model_validate(table).fetch(None, NOON, BUILT_IN, ())
    assert served.requests[0].query["$filter"] == "properties/network eq 'masts'"
    assert batch.readings.schema == READING_KEYS | dict.fromkeys(BUILT_IN, pl.Float64())
    assert rows(batch) == [
        ("roof", "01 10:00", 21.5, None),
        ("roof", "01 11:00", 22.25, 55.0),
        ("roof", "01 11:30", None, None),
    ]
    assert batch.readings["received_at"].dt.strftime("%H:%M").to_list() == ["10:10", "11:10", "11:40"]
    assert batch.problems.schema == PROBLEM_SCHEMA
    assert batch.problems.is_empty()
    assert (batch.complete, batch.receipt) == (True, "assumed")
    assert batch.raw.row(1, named=True) == {
        "air_temperature_c": observation("2024-07-01T13:00:00+02:00", "22.25", "2024-07-01T11:03:00Z"),
        "relative_humidity_pct": observation("2024-07-01T11:00:00Z", "55", "2024-07-01T11:07:00Z"),
    }


def test_the_result_time_is_the_receipt_where_that_is_configured_and_given():
    [batch] = deliver(ONE_MORNING, receipt="result_time", reporting_delay="1h", until=NOON + timedelta(hours=1))
    assert batch.receipt == "stated"
    columns = ["observed_at", "received_at", "air_temperature_c", "relative_humidity_pct"]
    times = [pl.col("observed_at", "received_at").dt.strftime("%H:%M:%S")]
    assert batch.readings.select(columns).with_columns(times).rows() == [
        ("10:00:00", "10:00:20", 21.5, None),
        ("11:00:00", "11:03:00", 22.25, None),  # each value was there when its own resultTime says
        ("11:00:00", "11:07:00", None, 55.0),
        ("11:30:00", "12:30:00", None, None),  # no resultTime: the usual delay
    ]


def test_values_received_after_until_are_held_back():
    [batch] = deliver(ONE_MORNING, reporting_delay="30min", until=datetime(2024, 7, 1, 11, 45, tzinfo=UTC))
    assert [row[1] for row in rows(batch)] == ["01 10:00", "01 11:00"]  # 11:30 is known at 12:00
    assert len(batch.raw) == 2
    assert not batch.complete


def test_a_result_time_before_the_time_it_is_of_does_not_make_it_known_earlier():
    early = Service([ROOF], {"11": [observation("2024-07-01T10:00:00Z", 1, "2024-07-01T04:00:00Z")], "12": []})
    [batch] = deliver(early, receipt="result_time")
    assert batch.readings["received_at"].to_list() == [datetime(2024, 7, 1, 10, tzinfo=UTC)]


def test_an_interval_counts_at_its_end():
    rain = {"precipitation_mm": "rain"}
    mast = thing(1, "roof", datastream(11, "rain", {"symbol": "mm"}))
    service = Service([mast], {"11": [observation("2024-07-01T09:00:00Z/2024-07-01T10:00:00Z", 1.5)]})
    [batch] = deliver(service, columns=rain)
    assert batch.readings["observed_at"].to_list() == [datetime(2024, 7, 1, 10, tzinfo=UTC)]
    assert batch.readings["precipitation_mm"].to_list() == [1.5]


def test_batches_meet_without_gap_or_overlap_even_where_an_interval_lies_across():
    mast = thing(1, "roof", datastream(11, "air_temperature"))
    start = datetime(2024, 6, 27, 0, 30, tzinfo=UTC)
    texts = [f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(108)]
    series = [observation(f"{a}/{b}", number) for number, (a, b) in enumerate(pairwise(texts))]
    batches = deliver(
        Service([mast], {"11": series}, most=10), piece="1d", columns={"air_temperature_c": "air_temperature"}
    )
    assert len(batches) == 5
    values = pl.concat([batch.readings["air_temperature_c"] for batch in batches])
    assert values.to_list() == list(range(107))


def test_stretches_without_observations_are_leapt_over():
    series = [observation("1970-01-03T00:00:00Z", 1), *hours("2024-07-01T00:00:00Z", 3)]
    mast = thing(1, "roof", datastream(11, "air_temperature"))
    with running(Service([mast], {"11": series})) as served:
        asked = source(served.url, piece="1d", columns={"air_temperature_c": "air_temperature"})
        batches = list(asked.fetch(None, NOON, BUILT_IN, ()))
    assert [row[2] for row in rows(*batches)] == [1.0, 0.0, 1.0, 2.0]
    assert len(served.requests) < 10  # there are 19,900 days between


def test_an_interval_across_the_end_of_an_empty_batch_is_found():
    series = [observation("2024-06-29T00:00:00Z", 1), observation("2024-06-30T23:30:00Z/2024-07-01T00:30:00Z", 2)]
    mast = thing(1, "roof", datastream(11, "air_temperature"))
    with running(Service([mast], {"11": series})) as served:
        fetched = source(served.url, piece="1d", columns={"air_temperature_c": "air_temperature"})
        batches = [
            next(batches := fetched.fetch(None, NOON, BUILT_IN, ())),
            next(batches),
        ]  # never more: no endless loop
    assert [row[1:3] for row in rows(*batches)] == [("29 00:00", 1.0), ("01 00:30", 2.0)]
    assert len(served.requests) < 10


def test_a_fetch_goes_on_where_the_last_one_ended_and_looks_back():
    series = Service([ROOF], {"11": hours("2024-06-20T00:00:00Z", 300), "12": []})
    since = NOON - timedelta(hours=2)
    [batch] = deliver(series, since=since, look_back="3h", reporting_delay="1h")
    assert [row[1] for row in rows(batch)] == [
        f"01 {hour:02}:00" for hour in (7, 8, 9, 10, 11)
    ]  # 12:00 is known at 13:00
    assert not batch.complete
    [later] = deliver(series, since=NOON, until=NOON + timedelta(hours=1), look_back="0s", reporting_delay="1h")
    assert [row[1] for row in rows(later)] == ["01 12:00"]  # what was held back comes next time without any look back


def test_nothing_before_start_is_asked_for():
    series = Service([ROOF], {"11": hours("2024-06-20T00:00:00Z", 300), "12": []})
    [first] = deliver(series, start="2024-07-01T10:00:00+00:00")
    [resumed] = deliver(series, since=NOON, start="2024-07-01T10:00:00Z")
    assert [row[1] for row in rows(first)] == [row[1] for row in rows(resumed)] == ["01 11:00", "01 12:00"]
    assert SensorThingsSource.resumes


def test_what_was_seen_complete_is_not_delivered_again_and_another_reading_of_it_is():
    service = Service([ROOF], dict(ONE_MORNING.observations))
    with running(service) as served:

        def count(**settings: object) -> int:
            return len(list(source(served.url, **settings).fetch(None, NOON, BUILT_IN, {batch.fingerprint})))

        [batch] = source(served.url).fetch(None, NOON, BUILT_IN, ())
        assert count() == 0
        assert count(page_size=1, look_back="5d", start="2024-06-30", http=FAST | {"retries": 0}) == 0
        assert count(reporting_delay="1min") == 1
        assert count(missing="55") == 1
        assert count(station="@iot.id") == 1
        assert count(columns={"air_temperature_c": "air_temperature"}) == 1
        service.observations["12"] = [observation("2024-07-01T11:00:00Z", 56)]
        assert count() == 1


def test_a_first_fetch_that_was_cut_off_does_not_ask_again_for_what_it_took_in_for_good():
    service, asked = Service([ROOF], {"11": hours("2024-06-01T00:00:00Z", 732), "12": []}), list[str]()

    def answer(request: Request) -> Answer:
        asked.append(request.query.get("$filter", ""))
        return service.answer(request)

    with running(service, answer) as served:
        masts = source(served.url, piece="10d", look_back="5d")
        whole = list(masts.fetch(None, NOON, BUILT_IN, ()))
        assert [" " in one.fingerprint for one in whole] == [True, True, True, False]  # the last may still be corrected
        asked.clear()
        rest = list(masts.fetch(None, NOON, BUILT_IN, {one.fingerprint for one in whole[:2]}))
        assert rows(*rest) == rows(*whole[2:])
        assert not [text for text in asked if "le 2024-06-06" in text or "le 2024-06-16" in text]
        asked.clear()
        resumed = list(masts.fetch(NOON - timedelta(days=30), NOON, BUILT_IN, {whole[0].fingerprint}))
        assert len(resumed) == 3  # what is asked for explicitly is
        assert [text for text in asked if "le 2024-06-06" in text]


def test_an_observation_that_cannot_be_read_is_a_problem_of_its_own_and_spoils_no_other():
    times = ["2024-07-01T10:00:00Z", "2024-07-01T11:00:00Z", "2024-07-01T11:10:00", "2024-07-01T11:20:00Z"]
    results = [" 7.5 ", "broken", 3, {"low": 1}]
    mixed = {
        "11": [observation(time, result) for time, result in zip(times, results, strict=True)],
        "12": [
            observation("2024-07-01T11:00:00Z", 50),
            observation("2024-07-01T01:00:00Z/2024-07-01T11:20:00Z", 51),
            observation("2024-07-01T11:30:00Z", True),
            observation("2024-07-01T11:40:00Z", "n/a"),
        ],
    }
    with running(Service([ROOF], mixed)) as served:
        served_by = source(served.url, start="2024-07-01", missing=["n/a"], longest_interval="12h")
        [batch] = served_by.fetch(None, NOON, BUILT_IN, ())
        [strict] = source(served.url, start="2024-07-01", missing=["n/a"]).fetch(None, NOON, BUILT_IN, ())
    assert rows(batch) == [
        ("roof", "01 10:00", 7.5, None),
        ("roof", "01 11:00", None, 50.0),
        ("roof", "01 11:00", None, None),
        ("roof", "01 11:20", None, 51.0),
        ("roof", "01 11:20", None, None),
        ("roof", "01 11:30", None, None),
        ("roof", "01 11:40", None, None),
        ("roof", None, None, None),
    ]
    assert batch.problems.rows() == [
        (2, "Datastreams(11)/result", "broken", "no finite number"),
        (4, "Datastreams(11)/result", '{"low": 1}', "no finite number"),
        (5, "Datastreams(12)/result", "true", "no finite number"),
        (7, "Datastreams(11)/phenomenonTime", "2024-07-01T11:10:00", "no time in ISO 8601 with its offset from UTC"),
    ]
    assert batch.raw["air_temperature_c"][2] == observation("2024-07-01T11:00:00Z", "broken")
    too_long = strict.problems.filter(pl.col("reason") == "stands for more than longest_interval = 1:00:00")
    assert too_long["value"].to_list() == ["2024-07-01T01:00:00Z/2024-07-01T11:20:00Z"]


def test_an_observation_of_a_year_that_never_was_is_a_problem_and_the_history_begins_at_the_first_sound_one():
    empty = observation("0001-01-01T00:00:00Z", 5)
    service = Service(
        [ROOF], {"11": [empty, *hours("2024-07-01T09:00", 3)], "12": [empty, *hours("2024-07-01T09:00", 1)]}
    )
    batches = deliver(service)
    assert [row for row in rows(*batches) if row[1] is not None] == [
        ("roof", "01 09:00", 0.0, 0.0),
        ("roof", "01 10:00", 1.0, None),
        ("roof", "01 11:00", 2.0, None),
    ]
    problems = pl.concat([batch.problems for batch in batches]).select("column", "value", "reason").rows()
    assert problems == [
        (f"Datastreams({number})/phenomenonTime", "0001-01-01T00:00:00Z", "no time between the years 1000 and 9000")
        for number in (11, 12)
    ]


def test_more_observations_than_fit_into_memory_are_an_error_that_says_what_to_set(monkeypatch):
    monkeypatch.setattr(observations, "MAX_BYTES", 1000)
    service = Service([ROOF], {"11": hours("2024-06-01T00:00", 200), "12": []}, most=10)
    with pytest.raises(
        SourceError, match=r"Datastreams\(11\)/Observations: more than 1,000 bytes .*; set a shorter piece"
    ):
        deliver(service)


@pytest.mark.parametrize("since", [datetime(1, 1, 1, tzinfo=UTC), datetime(1000, 1, 2, tzinfo=UTC)])
def test_any_since_may_be_asked_for(since):
    service = Service([ROOF], {"11": hours("2024-07-01T09:00", 3), "12": []})
    assert len(rows(*deliver(service, since=since, piece="10000w", look_back="1000w"))) == 3


def test_a_thing_without_observations_or_without_such_datastreams_brings_nothing():
    silent = thing(2, "cellar", datastream(21, "air_temperature"), datastream(22, "relative_humidity", PERCENT))
    lamp = thing(3, "", datastream(31, "brightness", {"symbol": "lx"}))  # a Thing we do not read needs no station_id
    service = Service([silent, lamp, ROOF], ONE_MORNING.observations | {"21": [], "22": []})
    assert {row[0] for row in rows(*deliver(service))} == {"roof"}


def test_ids_that_are_text_are_quoted():
    name = "it's/a mast"
    mast = thing("m 1", "roof", datastream(name, "air_temperature"))
    service = Service([mast], {"'it''s/a mast'": hours("2024-07-01T10:00:00Z", 2)})
    with running(
        service,
        lambda request: service.answer(
            replace(request, path=request.path.replace("%20", " ").replace("%2F", "/").replace("%27", "'"))
        ),
    ) as served:
        asked = source(served.url, columns={"air_temperature_c": "air_temperature"}, station="@iot.id")
        [batch] = asked.fetch(None, NOON, BUILT_IN, ())
    assert batch.readings["station_id"].to_list() == ["m 1", "m 1"]


def test_the_station_list_says_where_the_things_are():
    feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-71.5, -33.25]}}
    far = thing(2, "coast", datastream(21, "air_temperature"), Locations=[{"location": feature}])
    lost = thing(3, "lost", datastream(31, "air_temperature"), Locations=[], properties={"code": 7})
    lamp = thing(4, "lamp", datastream(41, "brightness"))
    with running(Service([ROOF, far, lost, lamp], {}, most=1)) as served:
        listed = source(served.url).stations()
        by_code = source(served.url, station="properties/code").stations()
    assert listed.schema == STATION_SCHEMA
    assert listed.rows() == [
        ("roof", "roof", 47.5, 8.25, 412.0),
        ("coast", "coast", -33.25, -71.5, None),
        ("lost", "lost", None, None, None),
    ]
    assert by_code.rows() == [("7", "lost", None, None, None)]
    assert {request.path for request in served.requests} == {"/frost/v1.1/Things"}


def test_things_that_share_a_station_or_have_none_are_named_after_the_others_were_delivered():
    twin = [thing(number, "twin", datastream(number * 10, "air_temperature")) for number in (2, 3)]
    nameless = thing(4, "", datastream(40, "air_temperature"))
    with running(Service([*twin, nameless, ROOF], ONE_MORNING.observations)) as served:
        taken, error = until_error(source(served.url))
    assert len(taken) == 1
    assert "Thing 4 '' has no name to be its station_id" in error
    assert "Things 2 and 3 are both station 'twin'" in error


def test_two_datastreams_for_one_variable_are_both_named_and_the_other_things_delivered():
    double = [datastream(21, "air_temperature", name="at 2 m"), datastream(22, "air_temperature", name="at 10 m")]
    service = Service(
        [thing(2, "tower", *double), ROOF], ONE_MORNING.observations | {"21": hours("2024-07-01T10:00:00Z", 1)}
    )
    with running(service) as served:
        taken, error = until_error(source(served.url))
        both = {"observed_property": "air_temperature", "datastream": "at 2 *"}
        [tower] = source(served.url, columns={"air_temperature_c": both}).fetch(None, NOON, BUILT_IN, ())
    assert {row[0] for row in rows(*taken)} == {"roof"}
    assert (
        "Thing 2 'tower' has two Datastreams for air_temperature_c, Datastream 21 'at 2 m' and Datastream 22 'at 10 m'"
        in error
    )
    assert rows(tower) == [("tower", "01 10:00", 0.0, None)]


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ({"symbol": "furlong"}, "unit 'furlong' of air_temperature_c: possible are °C"),
        ({"symbol": "hPa"}, "unit 'hPa' of air_temperature_c"),
        ({"symbol": None}, "declares no unit for air_temperature_c"),
    ],
)
def test_a_unit_that_cannot_be_converted_is_an_error_that_says_what_to_set(unit, message):
    cellar = thing(2, "cellar", datastream(21, "air_temperature", unit))
    service = Service([cellar, ROOF], ONE_MORNING.observations | {"21": hours("2024-07-01T10:00:00Z", 1)})
    with running(service) as served:
        taken, error = until_error(source(served.url))
        override = {"air_temperature_c": {"observed_property": "air_temperature", "unit": "K"}}
        [first, _] = source(served.url, columns=override).fetch(None, NOON, BUILT_IN, ())
    assert {row[0] for row in rows(*taken)} == {"roof"}
    assert "Thing 2 'cellar': Datastream 21" in error
    assert message in error
    assert error.endswith("set columns.air_temperature_c.unit")
    assert first.readings["air_temperature_c"].to_list() == [-273.15]


def test_the_unit_a_datastream_declares_is_converted():
    mast = thing(1, "roof", datastream(11, "air_temperature", {"symbol": "[degF]"}))
    service = Service([mast], {"11": [observation("2024-07-01T10:00:00Z", 77)]})
    [batch] = deliver(service, columns={"air_temperature_c": "air_temperature"})
    assert batch.readings["air_temperature_c"].to_list() == [pytest.approx(25.0)]


def test_a_column_that_no_thing_has_is_named_with_what_there_is():
    with running(ONE_MORNING) as served:
        taken, error = until_error(
            source(served.url, columns={"air_temperature_c": "air_temperatur", "dew_point_c": {"datastream": "dew*"}})
        )
        [batch], second = until_error(
            source(served.url, columns={"air_temperature_c": "air_temperature", "dew_point_c": "dew"})
        )
    assert taken == []
    assert (
        "no Datastream for air_temperature_c (observed_property = 'air_temperatur') (did you mean 'air_temperature'?)"
        in error
    )
    assert "there are: air_temperature, relative_humidity" in error
    assert "no Datastream for dew_point_c (datastream = 'dew*')" in error
    assert len(batch.readings) == 2
    assert "no Datastream for dew_point_c" in second


def test_the_credential_comes_from_the_environment_when_it_is_needed():
    secret = {
        "name": "masts",
        "columns": {"air_temperature_c": "air_temperature"},
        "http": FAST | {"credential": {"env": "KEY"}},
    }
    with running(ONE_MORNING) as served:
        table = secret | {"url": f"{served.url}/frost/v1.1"}
        given = SensorThingsSource.model_validate(table, context={"environment": {"KEY": "open-sesame"}})
        list(given.fetch(None, NOON, BUILT_IN, ()))
        missing = SensorThingsSource.model_validate(table)
        with pytest.raises(ConfigError, match="KEY is not set"):
            list(missing.fetch(None, NOON, BUILT_IN, ()))
    assert {request.headers["Authorization"] for request in served.requests} == {"Bearer open-sesame"}
    assert "open-sesame" not in given.model_dump_json()


def test_a_filter_that_nothing_passes_is_an_error():
    with (
        running(Service([], {})) as served,
        pytest.raises(SourceError, match="no Thing passes things_filter = 'false'"),
    ):
        list(source(served.url, things_filter="false").fetch(None, NOON, BUILT_IN, ()))


def test_variables_and_units_that_do_not_exist_are_refused_before_anything_is_asked():
    with running(ONE_MORNING) as served:
        with pytest.raises(ConfigError, match=r"source 'masts': 'air_temp' is not a variable \(did you mean"):
            source(served.url, columns={"air_temp": "x"}).fetch(None, NOON, BUILT_IN, ())
        with pytest.raises(ConfigError, match="source 'masts': unit 'hPa' of air_temperature_c"):
            source(served.url, columns={"air_temperature_c": {"datastream": "x", "unit": "hPa"}}).fetch(
                None, NOON, BUILT_IN, ()
            )
    assert served.requests == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "sensors.example/v1.1"}, "is not a service root"),
        ({"url": "https://sensors.example/frost"}, "is not a service root"),
        ({"url": "https://me:secret@sensors.example/v1.1"}, "is not a service root"),
        ({"url": "https://sensors.example/v1.1?token=1"}, "is not a service root"),
        ({"station": "title"}, "is not a property of a Thing"),
        ({"columns": {}}, "at least 1 item"),
        ({"columns": {"air_temperature_c": {"unit": "K"}}}, "give observed_property or datastream, or both"),
        ({"look_back": "soon"}, "is no duration"),
        ({"start": "soon"}, "is no time"),
        ({"longest_interval": "2d"}, "less than or equal to .*days=1"),
        ({"piece": "1h"}, "greater than or equal to .*days=1"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        source("http://127.0.0.1", **change)


class Flaky:
    """Answers as `service` does, but the Observations of Datastream 11 from the second page on as `second` says."""

    def __init__(self, service: Service, *second: Answer) -> None:
        self.service, self.second = service, list(second)

    def __call__(self, request: Request) -> Answer:
        if "Datastreams(11)" in request.path and "$skip" in request.query and self.second:
            return self.second.pop(0)
        return self.service.answer(request)


def next_link(link: str) -> Answer:
    return Answer(body=json.dumps({"value": hours("2024-07-01T01:00:00Z", 1), "@iot.nextLink": link}).encode())


def tower_and_roof() -> Service:
    tower = thing(2, "tower", datastream(21, "air_temperature"))
    return Service(
        [ROOF, tower],
        {"11": hours("2024-07-01T00:00:00Z", 9), "12": [], "21": hours("2024-07-01T00:00:00Z", 2)},
        most=4,
    )


@pytest.mark.parametrize(
    "trouble",
    [
        [Answer(status=500), Answer(status=500)],
        [Answer(body=b'{"value": [{"phenomenonTime": "2024-07-01T04:00:00Z", "result": 4}', truncate_to=30)],
        [Answer(body=b'{"value": [')],
    ],
    ids=["500 twice", "truncated", "half a page"],
)
def test_a_page_that_fails_is_asked_for_again_until_all_is_there(trouble):
    service = tower_and_roof()
    with running(service, Flaky(service, *trouble)) as served:
        batches = list(source(served.url, start="2024-06-30").fetch(None, NOON, BUILT_IN, ()))
    assert [row[2] for row in rows(batches[0])] == [float(hour) for hour in range(9)]
    assert [row[2] for row in rows(batches[1])] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: next_link("http://sensors.example/frost/v1.1/Observations?$skip=8&token=secret"), "on another host"),
        (lambda: next_link("http://[::1"), "its next page has an invalid address"),
        (lambda: Answer(body=b'{"message": "ok"}'), "without a list called 'value'"),
        (lambda: Answer(body=b'{"value": [3]}'), "without a list called 'value'"),
    ],
    ids=["another host", "no address", "no list", "no entities"],
)
def test_pages_that_lead_astray_are_an_error_once_the_other_things_were_delivered(second, message):
    service = tower_and_roof()
    flaky = Flaky(service, *(second() for _ in range(3)))
    with running(service, flaky) as served:
        taken, error = until_error(source(served.url, start="2024-06-30"))
    assert {row[0] for row in rows(*taken)} == {"tower"}
    assert message in error
    assert "secret" not in error


def test_next_links_that_lead_in_a_circle_are_found_out():
    service = tower_and_roof()

    def answers(request: Request) -> Answer:
        if "Datastreams(11)" not in request.path:
            return service.answer(request)
        turn = request.query.get("$skip", "0")
        ways = {
            "0": "/frost/v1.1/Datastreams(11)/Observations?$skip=1",
            "1": "Observations?$skip=2",
            "2": "Observations?$skip=1",
        }
        page = {"value": [observation(f"2024-07-01T0{turn}:00:00Z", 1)], "@iot.nextLink": ways[turn]}
        return Answer(body=json.dumps(page).encode())

    with running(service, answers) as served:
        taken, error = until_error(source(served.url, start="2024-06-30"))
    assert {row[0] for row in rows(*taken)} == {"tower"}
    assert "lead in a circle" in error
    assert len([request for request in served.requests if "(11)" in request.path]) == 3


def test_a_server_that_sends_the_same_page_under_ever_new_links_is_found_out():
    service = tower_and_roof()

    def answers(request: Request) -> Answer:
        if "Datastreams(11)" not in request.path:
            return service.answer(request)
        return next_link(f"{request.path.rsplit('/')[-1]}?$skip={int(request.query.get('$skip', 0)) + 1}")

    with running(service, answers) as served:
        _, error = until_error(source(served.url, start="2024-06-30"))
    assert "the same page over and over" in error
    assert len(served.requests) < 10


def test_a_service_that_is_down_is_given_up_before_every_thing_was_tried():
    things = [thing(number, f"mast {number}", datastream(number, "air_temperature")) for number in range(20)]
    service = Service(things, {})

    def answers(request: Request) -> Answer:
        return service.answer(request) if request.path.endswith("/Things") else Answer(status=403)

    with running(service, answers) as served:
        _, error = until_error(source(served.url, columns={"air_temperature_c": "air_temperature"}))
    assert len({request.path for request in served.requests}) == 6
    assert "5 more, the last: stopped at 5 Things in a row" in error


def test_things_that_fail_now_and_then_do_not_end_the_fetch():
    things = [thing(number, f"mast {number}", datastream(number, "air_temperature")) for number in range(12)]
    service = Service(things, {str(number): hours("2024-07-01T10:00:00Z", 1) for number in range(12)})

    def answers(request: Request) -> Answer:
        broken = re.search(r"Datastreams\(\d*[13579]\)", request.path)
        return Answer(status=403) if broken else service.answer(request)

    with running(service, answers) as served:
        taken, error = until_error(source(served.url, columns={"air_temperature_c": "air_temperature"}))
    assert [batch.readings["station_id"][0] for batch in taken] == [f"mast {number}" for number in range(0, 12, 2)]
    assert "5 more" in error


def test_batches_before_the_page_that_failed_stay():
    service = Service([ROOF], {"11": hours("2024-06-29T00:00:00Z", 60), "12": []})

    def answers(request: Request) -> Answer:
        fails = "gt 2024-06-29T23" in request.query.get("$filter", "")
        return Answer(status=403) if fails else service.answer(request)

    with running(service, answers) as served:
        taken, _ = until_error(source(served.url, piece="1d"))
    assert [row[1] for row in rows(*taken)] == ["29 00:00", *(f"29 {hour:02}:00" for hour in range(1, 24)), "30 00:00"]


def test_datastreams_that_the_list_of_things_cuts_off_are_asked_for():
    [temperature, humidity] = ROOF["Datastreams"]
    cut = ROOF | {"Datastreams": [temperature], "Datastreams@iot.nextLink": "Things(1)/Datastreams?$skip=1"}
    service = Service([cut], ONE_MORNING.observations)

    def answers(request: Request) -> Answer:
        if request.path.endswith("Things(1)/Datastreams"):
            return service.page(request, [temperature, humidity])
        return service.answer(request)

    with running(service, answers) as served:
        [batch] = source(served.url).fetch(None, NOON, BUILT_IN, ())
    assert rows(batch)[1] == ("roof", "01 11:00", 22.25, 55.0)
