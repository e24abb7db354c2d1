"""Neighbours: the nearest others, neither too far away nor too high above."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daycast.features.neighbours import nearest_stations, surrounding_stations
from daycast.stations import STATION_SCHEMA

KM_PER_DEGREE = 111.195  # of latitude, on a sphere of 6371 km


def stations(*places: tuple[float | None, float | None, float | None]) -> pl.DataFrame:
    """Stations at (latitude, longitude, elevation)."""
    rows = [(str(number), None, *place) for number, place in enumerate(places)]
    return pl.DataFrame(rows, schema=STATION_SCHEMA, orient="row")


def test_the_nearest_come_first_and_nobody_fills_the_rest() -> None:
    line = stations((50.0, 8.0, 0.0), (50.3, 8.0, 0.0), (50.1, 8.0, 0.0))
    found = nearest_stations(line, most=3)
    assert found.tolist() == [[2, 1, -1], [2, 0, -1], [0, 1, -1]]
    assert found.dtype == np.int32


def test_only_as_many_as_asked_for_are_named() -> None:
    line = stations(*((50.0 + 0.1 * number, 8.0, 0.0) for number in range(6)))
    assert nearest_stations(line, most=2)[0].tolist() == [1, 2]


def test_a_station_too_far_away_is_no_neighbour() -> None:
    at_99, at_101 = 99 / KM_PER_DEGREE, 101 / KM_PER_DEGREE
    assert nearest_stations(stations((0.0, 0.0, 0.0), (at_99, 0.0, 0.0)), most=1).tolist() == [[1], [0]]
    assert nearest_stations(stations((0.0, 0.0, 0.0), (at_101, 0.0, 0.0)), most=1).tolist() == [[-1], [-1]]


def test_a_degree_of_longitude_is_shorter_towards_the_pole() -> None:
    at_the_equator, at_sixty = stations((0.0, 0.0, 0.0), (0.0, 1.5, 0.0)), stations((60.0, 0.0, 0.0), (60.0, 1.5, 0.0))
    assert nearest_stations(at_the_equator, most=1).tolist() == [[-1], [-1]]  # 167 km
    assert nearest_stations(at_sixty, most=1).tolist() == [[1], [0]]  # 83 km


def test_the_date_line_is_no_distance() -> None:
    assert nearest_stations(stations((10.0, 179.9, 0.0), (10.0, -179.9, 0.0)), most=1).tolist() == [[1], [0]]


def test_a_summit_and_its_valley_are_not_compared() -> None:
    slope = stations((50.0, 8.0, 200.0), (50.01, 8.0, 701.0), (50.2, 8.0, 700.0))
    assert nearest_stations(slope, most=2).tolist() == [[2, -1], [2, -1], [1, 0]]


def test_a_summit_looks_beyond_any_number_of_stations_in_its_valley() -> None:
    valley = [(50.0 + 0.001 * number, 8.0, 200.0) for number in range(40)]
    assert nearest_stations(stations((50.0, 8.0, 2000.0), *valley, (50.5, 8.0, 1900.0)), most=1)[0].tolist() == [41]


def test_an_unknown_elevation_counts_as_the_same() -> None:
    assert nearest_stations(stations((50.0, 8.0, 2000.0), (50.1, 8.0, None)), most=1).tolist() == [[1], [0]]


def test_a_station_without_position_has_no_neighbour_and_is_none() -> None:
    found = nearest_stations(stations((50.0, 8.0, 0.0), (None, 8.0, 0.0), (50.1, 8.0, 0.0), (50.1, None, 0.0)), most=2)
    assert found.tolist() == [[2, -1], [-1, -1], [0, -1], [-1, -1]]


def test_twins_at_one_place_are_neighbours_and_never_of_themselves() -> None:
    twins = stations(*[(50.0, 8.0, 0.0)] * 4)
    found = nearest_stations(twins, most=3)
    assert [sorted(row) for row in found.tolist()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_is_alone_with_itself(count: int) -> None:
    assert nearest_stations(stations(*[(50.0, 8.0, 0.0)] * count)).tolist() == [[-1] * 5] * count


PLACE = st.tuples(st.floats(46, 48), st.floats(7, 9), st.floats(0, 1500))


@given(st.lists(PLACE, min_size=2, max_size=12))
def test_a_slow_search_finds_the_same_distances(places: list[tuple[float, float, float]]) -> None:
    found = nearest_stations(stations(*places), most=3)
    for number, here in enumerate(places):
        near = sorted(
            kilometres(here, other)
            for index, other in enumerate(places)
            if index != number and kilometres(here, other) <= 100 and abs(here[2] - other[2]) <= 500
        )
        named = [kilometres(here, places[index]) for index in found[number] if index >= 0]
        assert named == pytest.approx(near[:3], abs=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(0, 500).map(lambda n: 46 + n / 100), st.integers(0, 600).map(lambda n: 5 + n / 100)),
        min_size=1,
        max_size=15,
        unique=True,
    )
)
def test_a_slow_search_finds_the_nearest_in_each_direction_near_and_far(places: list[tuple[float, float]]) -> None:
    for coordinate in zip(*places, strict=True):
        assume(len(set(coordinate)) == len(places))  # on the border of two directions either is right
    found = surrounding_stations(stations(*((*place, None) for place in places)))
    for number, (latitude, longitude) in enumerate(places):
        nearest: dict[tuple[bool, int], tuple[float, int]] = {}
        for other, (theirs, along) in enumerate(places):
            north, east = (
                111.195 * (theirs - latitude),
                111.195 * (along - longitude) * math.cos(math.radians(latitude)),
            )
            away, eighth = math.hypot(north, east), int(math.degrees(math.atan2(east, north)) % 360 // 45)
            if other != number and away <= 300:
                key = (away > 70, eighth)
                nearest[key] = min(nearest.get(key, (math.inf, -1)), (away, other))
        expected = sorted(away for away, _ in nearest.values())
        named = [index for index in found[number] if index >= 0]
        got = sorted(
            math.hypot(
                111.195 * (places[index][0] - latitude),
                111.195 * (places[index][1] - longitude) * math.cos(math.radians(latitude)),
            )
            for index in named
        )
        assert got == pytest.approx(expected, rel=1e-4)


def test_surrounding_stations_have_positions_and_are_never_oneself() -> None:
    found = surrounding_stations(stations((50.0, 8.0, 0.0), (None, 8.0, 0.0), (50.1, 8.0, 9000.0), (50.0, 8.0, 0.0)))
    assert [sorted(set(row) - {-1}) for row in found.tolist()] == [[2, 3], [], [0], [0, 2]]


def test_the_date_line_is_no_distance_in_any_direction() -> None:
    found = surrounding_stations(stations((10.0, 179.9, 0.0), (10.0, -179.9, 0.0)))
    assert [set(row) - {-1} for row in found.tolist()] == [{1}, {0}]


def kilometres(here: tuple[float, float, float], there: tuple[float, float, float]) -> float:
    """By the chord through the sphere."""
    one, other = (
        (math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude))
        for latitude, longitude in ((math.radians(place[0]), math.radians(place[1])) for place in (here, there))
    )
    return 2 * 6371.0088 * math.asin(min(1.0, math.dist(one, other) / 2))


@pytest.mark.parametrize("highest_m", [0, 1000, 20_000])
def test_many_stations_have_the_neighbours_that_a_look_at_all_pairs_finds(highest_m: int) -> None:
    """More than are looked at first, of which few are at a similar height."""
    places = np.random.default_rng(0).random((400, 3)) * [3, 4, highest_m] + [45, 8, 0]
    found = nearest_stations(stations(*places.tolist()), most=4)
    for row, here in enumerate(places.tolist()):
        distances = [
            (kilometres(here, there), other)
            for other, there in enumerate(places.tolist())
            if other != row and abs(there[2] - here[2]) <= 500
        ]
        expected = [other for distance, other in sorted(distances) if distance <= 100][:4]
        assert found[row].tolist() == expected + [-1] * (4 - len(expected))
