"""What was known of an hour at a moment: worked out by hand, and against a loop over every version."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daycast.quality.as_of import ABSENT, AsOfGrid, take_rows

FOREVER = np.iinfo(np.int64).max
LOOK_BACK = 2


def as_of_grid(*versions: tuple[int, int, int], stations: int = 1, hours: int = 4) -> AsOfGrid:
    """From (station, hour, known_from) of each version, in order."""
    station, hour, known = (np.array(part, np.int64) for part in zip(*versions, strict=True))
    same = np.append((station[1:] == station[:-1]) & (hour[1:] == hour[:-1]), False)
    until = np.where(same, np.append(known[1:], 0), FOREVER)
    return AsOfGrid(station, hour, known, until, stations, hours, LOOK_BACK)


def row_at(known: AsOfGrid, station: int, hour: int, moment: int) -> int:
    return int(known.row_at(np.array([station]), np.array([hour]), np.array([moment]))[0])


def test_the_version_that_was_believed_at_a_moment_is_found() -> None:
    known = as_of_grid((0, 1, 10), (0, 1, 20), (0, 1, 30), (0, 2, 25))
    assert [row_at(known, 0, 1, moment) for moment in (9, 10, 19, 20, 30, 99)] == [ABSENT, 0, 0, 1, 2, 2]
    assert [row_at(known, 0, 2, moment) for moment in (24, 25)] == [ABSENT, 3]
    assert row_at(known, 0, 3, 99) == row_at(known, 0, -2, 99) == ABSENT


def test_the_hours_before_a_version_are_those_known_when_it_was() -> None:
    known = as_of_grid((0, 0, 1), (0, 0, 9), (0, 1, 2), (0, 2, 3), (0, 2, 10))
    assert known.before(np.array([3, 4])).tolist() == [[0, 2, 3], [1, 2, 4]]


def test_the_grid_suffices_where_nothing_in_sight_became_known_later() -> None:
    late = as_of_grid((0, 0, 8), (0, 1, 2), (0, 2, 3), (0, 3, 4))  # the first hour came last
    assert late.grid_suffices.tolist() == [True, False, False, True]
    revised = as_of_grid((0, 0, 1), (0, 0, 5), (0, 1, 6))
    assert revised.grid_suffices.tolist() == [False, True, True]


def test_values_stand_on_the_grid_by_their_last_version() -> None:
    known = as_of_grid((0, 1, 10), (0, 1, 20), (1, 0, 5), stations=2, hours=2)
    grid = known.on_grid(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(grid, [[np.nan, np.nan, np.nan, 2.0], [np.nan, np.nan, 3.0, np.nan]])


def test_nobody_has_no_value() -> None:
    np.testing.assert_array_equal(take_rows(np.array([7.0]), np.array([0, ABSENT])), [7.0, np.nan])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=25, unique=True)
)
def test_every_question_is_answered_as_by_looking_at_all_versions(versions: list[tuple[int, int, int]]) -> None:
    versions = sorted(versions)
    known = as_of_grid(*versions, stations=2)

    def oracle(station: int, hour: int, moment: int) -> int:
        seen = [row for row, (s, h, k) in enumerate(versions) if (s, h) == (station, hour) and k <= moment]
        return max(seen, default=ABSENT)

    for station in (0, 1):
        for hour in range(-LOOK_BACK, 4):
            for moment in (-1, 3, 5, 10):
                assert row_at(known, station, hour, moment) == oracle(station, hour, moment)
    last = {(s, h): row for row, (s, h, _) in enumerate(versions)}
    for row, (station, hour, moment) in enumerate(versions):
        window = [oracle(station, hour - back, moment) for back in range(LOOK_BACK, -1, -1)]
        assert known.before(np.array([row]))[0].tolist() == window
        if known.grid_suffices[row]:
            assert window == [last.get((station, hour - back), ABSENT) for back in range(LOOK_BACK, -1, -1)]
