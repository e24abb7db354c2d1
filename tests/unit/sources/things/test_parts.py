"""The parts of the source that need no server."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.sources.sensorthings.datastreams import Channel, DatastreamColumn, choose_channels
from daycast.sources.sensorthings.observations import Timing, as_table, join_wide, list_faults, read_observations
from daycast.sources.sensorthings.things import Datastream, Point, Thing, entity_url, read_collection, read_point
from daycast.sources.tables.units import Unit
from daycast.sources.tables.values import ValueReader
from daycast.variables import BUILT_IN, Variable

AT_ONCE = Timing(timedelta(0), result_time_is_receipt=False, longest_interval=timedelta(hours=1))
STATED = Timing(timedelta(minutes=5), result_time_is_receipt=True, longest_interval=timedelta(hours=1))


def channel(variable: str, number: int = 1) -> Channel:
    stream = Datastream.model_validate({"@iot.id": number})
    reader = ValueReader(variable, "result", Unit("as it is"), compass=False, missing=(), decimal=".")
    return Channel(stream, reader, "°C")


def read(variable: str, *observations: tuple, timing: Timing = AT_ONCE) -> tuple[Channel, pl.DataFrame]:
    fields = [dict(zip(("phenomenonTime", "result", "resultTime"), each, strict=False)) for each in observations]
    return channel(variable), read_observations(as_table(fields), channel(variable), timing)


class Pages:
    """A client that answers with `count` pages, each with a link to the next."""

    def __init__(self, count, link="https://sensors.example/v1.1/Things?$skip={}".format):
        self.count, self.link, self.asked = count, link, []

    def get_json(self, url, params=None):
        self.asked.append((url, params))
        number = len(self.asked)
        more = {"@iot.nextLink": self.link(number)} if number < self.count else {}
        return {"value": [{"@iot.id": number}]} | more


def test_numbers_stand_bare_in_an_address_and_text_is_quoted():
    root = "https://sensors.example/v1.1"
    assert entity_url(root, "Things", 7, "Datastreams") == f"{root}/Things(7)/Datastreams"
    assert entity_url(root, "Datastreams", "7", "Observations") == f"{root}/Datastreams('7')/Observations"
    assert entity_url(root, "Things", "o'b/é ?", "Datastreams") == f"{root}/Things('o''b%2F%C3%A9%20%3F')/Datastreams"


def test_only_the_first_page_is_asked_for_with_parameters_as_the_next_link_holds_them():
    pages = Pages(3)
    read_pages = list(read_collection(pages, "https://sensors.example/v1.1/Things", {"$top": "1"}))
    assert [page[0]["@iot.id"] for page in read_pages] == [1, 2, 3]
    assert pages.asked == [
        ("https://sensors.example/v1.1/Things", {"$top": "1"}),
        ("https://sensors.example/v1.1/Things?$skip=1", None),
        ("https://sensors.example/v1.1/Things?$skip=2", None),
    ]


def test_a_collection_without_end_is_given_up():
    assert len(list(read_collection(Pages(5), "https://sensors.example/v1.1/Things", most_pages=5))) == 5
    with pytest.raises(SourceError, match="has more than 5 pages"):
        list(read_collection(Pages(6), "https://sensors.example/v1.1/Things", most_pages=5))


@pytest.mark.parametrize(
    "link", ["http://sensors.example/v1.1/Things?a=secret", "//evil.example/Things", "https://sensors.example:8443/"]
)
def test_another_scheme_host_or_port_is_not_followed(link):
    astray = Pages(2, lambda _: link)
    with pytest.raises(SourceError, match="not on our host") as caught:
        list(read_collection(astray, "https://sensors.example/v1.1/Things"))
    assert len(astray.asked) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "point"),
    [
        ({"type": "Point", "coordinates": [8, 47]}, Point(8.0, 47.0, None)),
        ({"type": "Point", "coordinates": [8.5, -47.5, 300, 1]}, Point(8.5, -47.5, 300.0)),
        ({"type": "Point", "coordinates": [8.5, 47.5, None]}, Point(8.5, 47.5, None)),
        ({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}, Point(1.0, 2.0, None)),
        ({"type": "Feature", "geometry": None}, None),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [0, 0]]]}, None),
        ({"type": "Point", "coordinates": [47.5, 98.5]}, None),
        ({"type": "Point", "coordinates": ["8", "47"]}, None),
        ({"type": "Point", "coordinates": [8]}, None),
        ({"type": "Point"}, None),
        ("8.5 47.5", None),
        (None, None),
    ],
)
def test_only_a_point_on_earth_is_a_position(location, point):
    assert read_point(location) == point


@pytest.mark.parametrize(
    ("path", "station"),
    [
        ("name", "mast"),
        ("@iot.id", "5"),
        ("properties/code", "A7"),
        ("properties/place/number", "12"),
        ("properties/place", None),
        ("properties/active", None),
        ("properties/empty", None),
        ("properties/none/such", None),
    ],
)
def test_a_station_is_named_by_what_the_thing_has_there(path, station):
    properties = {"code": "A7", "place": {"number": 12}, "active": True, "empty": ""}
    assert Thing.model_validate({"@iot.id": 5, "name": "mast", "properties": properties}).station_id(path) == station


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ({"datastream": "temp [2 m]"}, ["temp [2 m]"]),  # the very name, though it reads as a glob
        ({"datastream": "temp*"}, ["temp [2 m]", "temp [10 m]"]),
        ({"datastream": "TEMP*"}, []),
        ({"observed_property": "temp*"}, []),
        ({"observed_property": "air"}, ["temp [2 m]", "temp [10 m]"]),
        ({"observed_property": "air", "datastream": "*10 m*"}, ["temp [10 m]"]),
        ({"observed_property": "soil", "datastream": "temp*"}, []),
    ],
)
def test_a_datastream_is_found_by_its_property_its_name_or_both(column, found):
    names = ["temp [2 m]", "temp [10 m]"]
    streams = [
        Datastream.model_validate({"@iot.id": 1, "name": name, "ObservedProperty": {"name": "air"}}) for name in names
    ]
    chosen = DatastreamColumn.model_validate(column)
    assert [stream.name for stream in streams if chosen.finds(stream)] == found


def test_a_declared_variable_keeps_the_unit_it_was_declared_in():
    dust = Variable("dust_ug_m3", "dust", "µg/m³", 0.0, 1000.0)
    stream = {"@iot.id": 1, "name": "dust", "unitOfMeasurement": {"symbol": "µg/m³"}}
    mast = Thing.model_validate({"@iot.id": 5, "Datastreams": [stream]})
    column = DatastreamColumn(datastream="dust")
    [chosen] = choose_channels(mast, {"dust_ug_m3": column}, BUILT_IN | {"dust_ug_m3": dust}, ())
    assert chosen.unit == "µg/m³"
    other = Thing.model_validate({"@iot.id": 5, "Datastreams": [stream | {"unitOfMeasurement": {"symbol": "mg/m³"}}]})
    with pytest.raises(SourceError, match="declared variables are not converted"):
        choose_channels(other, {"dust_ug_m3": column}, BUILT_IN | {"dust_ug_m3": dust}, ())


def test_results_of_one_time_are_all_kept_the_last_made_last():
    noon = "2024-07-01T12:00:00Z"
    temperature = read(
        "air_temperature_c", (noon, 3, "2024-07-02T00:00:00Z"), (noon, 2, "2024-07-01T13:00:00Z"), (noon, 1)
    )
    wide = join_wide([temperature, read("relative_humidity_pct", (noon, 50))])
    assert wide.select("air_temperature_c", "relative_humidity_pct").rows() == [(1.0, 50.0), (2.0, None), (3.0, None)]


def test_rows_are_in_order_of_time_whichever_datastream_they_come_from():
    early, late = "2024-07-01T10:00:00Z", "2024-07-01T12:00:00Z"
    wide = join_wide([read("air_temperature_c", (late, 2)), read("relative_humidity_pct", (early, 50))])
    assert wide["observed_at"].dt.hour().to_list() == [10, 12]


@pytest.mark.parametrize(
    ("time", "result", "column", "reason"),
    [
        (None, 1, "phenomenonTime", "no time"),
        ("noon", 1, "phenomenonTime", "no time in ISO 8601 with its offset from UTC"),
        ("2024-07-01T10:00:00Z/..", 1, "phenomenonTime", "no time in ISO 8601 with its offset from UTC"),
        ("2024-07-01T10:00:00Z/2024-07-01T09:00:00Z", 1, "phenomenonTime", "an interval that ends before it begins"),
        (
            "2024-07-01T10:00:00Z/2024-07-01T11:00:01Z",
            1,
            "phenomenonTime",
            "stands for more than longest_interval = 1:00:00",
        ),
        ("2024-07-01T10:00:00Z", "1,5", "result", "no finite number"),
        ("2024-07-01T10:00:00Z", float("nan"), "result", "no finite number"),
        (None, "broken", "phenomenonTime", "no time"),
    ],
)
def test_the_first_fault_of_an_observation_is_told_with_the_value_at_fault(time, result, column, reason):
    faults = list_faults(join_wide([read("air_temperature_c", (time, result))]))
    value = time if column == "phenomenonTime" else result if isinstance(result, str) else "NaN"
    assert faults.rows() == [(0, f"Datastreams(1)/{column}", value, reason)]


def test_a_result_time_that_cannot_be_read_is_a_fault_only_where_it_is_the_receipt():
    given = ("2024-07-01T10:00:00Z", 1, "soon")
    assert list_faults(join_wide([read("air_temperature_c", given)])).is_empty()
    faults = list_faults(join_wide([read("air_temperature_c", given, timing=STATED)]))
    assert faults.rows() == [(0, "Datastreams(1)/resultTime", "soon", "no time in ISO 8601 with its offset from UTC")]


def test_numbers_are_read_to_the_last_digit():
    _, rows = read("air_temperature_c", ("2024-07-01T10:00:00Z", 0.1 + 0.2), ("2024-07-01T11:00:00Z", 1e-7))
    assert rows["value"].to_list() == [0.1 + 0.2, 1e-7]


def test_times_keep_their_fractions_of_a_second():
    _, rows = read("air_temperature_c", ("2024-07-01T10:00:00.125+05:30", 1))
    assert rows["observed_at"].to_list() == [datetime(2024, 7, 1, 4, 30, 0, 125000, tzinfo=UTC)]
