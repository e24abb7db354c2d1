"""The Things of a SensorThings service: pages, addresses, positions and names."""

import pytest

from daycast.errors import SourceError
from daycast.sources.sensorthings.things import Point, Thing, entity_url, read_collection, read_point


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
    assert len(list(read_collection(Pages(5), "https://sensors.example/v1.1/Things", max_pages=5))) == 5
    with pytest.raises(SourceError, match="has more than 5 pages"):
        list(read_collection(Pages(6), "https://sensors.example/v1.1/Things", max_pages=5))


@pytest.mark.parametrize(
    "link",
    [
        "http://sensors.example/v1.1/Datastreams?a=secret",
        "//evil.example/Things",
        "https://sensors.example:8443/",
        "http://localhost:8080/FROST-Server/v1.1/Things(1)/Things?$skip=1",
        "http://localhost:8080/FROST-Server/v1.0/Things?$skip=1",
    ],
)
def test_another_collection_or_path_below_another_scheme_host_or_port_is_not_followed(link):
    astray = Pages(2, lambda _: link)
    with pytest.raises(SourceError, match="on another host") as caught:
        list(read_collection(astray, "https://sensors.example/v1.1/Things"))
    assert len(astray.asked) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://sensors.example/v1.1/Things", "http://localhost:8080/FROST-Server/v1.1/Things?$skip=1"),
        ("https://sensors.example/v1.1/Things", "http://sensors.example/v1.1/Things?$skip=1"),
        (
            "https://sensors.example/a/v1.1/Datastreams('b%2Fc')/Observations",
            "//10.0.0.7:8080/v1.1/Datastreams(%27b%2Fc%27)/Observations?$skip=1",
        ),
    ],
)
def test_the_same_collection_below_another_root_is_asked_for_at_ours(url, link):
    pages = Pages(2, lambda _: link)
    assert len(list(read_collection(pages, url, {"$top": "1"}))) == 2
    assert pages.asked == [(url, {"$top": "1"}), (f"{url}?$skip=1", None)]


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
