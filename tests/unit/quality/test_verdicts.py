"""Flags worsen, never heal, within a version; what is found later begins a new one."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from daycast.quality.flag_table import FlagTable
from daycast.quality.flags import FAIL, GOOD, MISSING, SUSPECT
from daycast.times import HOUR, UTC_TIME

T0 = datetime(2026, 2, 1, tzinfo=UTC)
WARMTH, RAIN = "air_temperature_c", "precipitation_mm"
SCHEMA = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "known_from": UTC_TIME,
    "known_until": UTC_TIME,
    WARMTH: pl.Float64,
    RAIN: pl.Float64,
}


def flag_table(*rows: tuple[int, int, int | None, float | None]) -> FlagTable:
    """About versions of (hour, known from, known until, warmth), in hours after T0; rain is 0."""
    frame = pl.DataFrame(
        [("a", T0 + h * HOUR, T0 + k * HOUR, None if u is None else T0 + u * HOUR, w, 0.0) for h, k, u, w in rows],
        schema=SCHEMA,
        orient="row",
    )
    return FlagTable(frame, [WARMTH, RAIN])


def at(*hours: int) -> np.ndarray:
    return np.array([int((T0 + hour * HOUR).timestamp() * 1e6) for hour in hours])


def told(found: FlagTable, name: str = WARMTH) -> list[tuple]:
    """(hour, known from, known until, flag, check) of each version."""
    hours = [(pl.col(c) - T0).dt.total_hours() for c in ("observed_at", "known_from", "known_until")]
    return found.flagged_versions().select(*hours, f"{name}_flag", f"{name}_check").rows()


def test_a_value_is_good_or_missing_until_a_check_finds_fault() -> None:
    assert told(flag_table((1, 1, None, 5.0), (2, 2, None, None))) == [
        (1, 1, None, GOOD, None),
        (2, 2, None, MISSING, None),
    ]


def test_the_worst_finding_decides_and_of_equal_ones_the_first() -> None:
    found = flag_table((1, 1, None, 5.0), (2, 2, None, 6.0), (3, 3, None, None))
    every = np.arange(3)
    found.mark(WARMTH, every, "rate_of_change", SUSPECT)
    found.mark(WARMTH, every, "flat_line", SUSPECT)
    found.mark(WARMTH, every[:1], "gross_range", FAIL)
    found.mark(WARMTH, every, "spike", SUSPECT)
    assert [row[3:] for row in told(found)] == [(FAIL, "gross_range"), (SUSPECT, "rate_of_change"), (MISSING, None)]
    assert found.doubts(WARMTH).tolist() == [True, True, False]
    assert [row[3:] for row in told(found, RAIN)] == [(GOOD, None)] * 3


def test_what_is_found_later_begins_a_new_version() -> None:
    found = flag_table((1, 1, None, 5.0), (2, 2, None, 6.0))
    found.mark_later(WARMTH, np.array([0]), at(4), "spike", FAIL)
    found.mark_later(WARMTH, np.array([0]), at(3), "flat_line", SUSPECT)
    assert told(found) == [
        (1, 1, 3, GOOD, None),
        (1, 3, 4, SUSPECT, "flat_line"),
        (1, 4, None, FAIL, "spike"),
        (2, 2, None, GOOD, None),
    ]


def test_what_is_found_later_and_no_worse_changes_nothing() -> None:
    found = flag_table((1, 1, None, 5.0))
    found.mark(WARMTH, np.array([0]), "rate_of_change", SUSPECT)
    found.mark_later(WARMTH, np.array([0]), at(3), "flat_line", SUSPECT)
    assert told(found) == [(1, 1, None, SUSPECT, "rate_of_change")]


def test_a_finding_after_a_version_ended_does_not_concern_it() -> None:
    found = flag_table((1, 1, 3, 5.0), (1, 3, None, 6.0))
    found.mark_later(WARMTH, np.array([0, 0]), at(3, 2), "spike", FAIL)
    assert told(found) == [(1, 1, 2, GOOD, None), (1, 2, 3, FAIL, "spike"), (1, 3, None, GOOD, None)]


def test_a_finding_at_once_needs_no_new_version() -> None:
    found = flag_table((1, 2, None, 5.0))
    found.mark_later(WARMTH, np.array([0]), at(2), "spike", FAIL)
    assert told(found) == [(1, 2, None, FAIL, "spike")]


def test_each_variable_keeps_its_own_flag_where_another_one_splits_the_version() -> None:
    found = flag_table((1, 1, None, 5.0))
    found.mark(RAIN, np.array([0]), "rate_of_change", SUSPECT)
    found.mark_later(WARMTH, np.array([0]), at(3), "flat_line", SUSPECT)
    found.mark_later(RAIN, np.array([0]), at(5), "spike", FAIL)
    assert told(found) == [
        (1, 1, 3, GOOD, None),
        (1, 3, 5, SUSPECT, "flat_line"),
        (1, 5, None, SUSPECT, "flat_line"),
    ]
    assert [row[3:] for row in told(found, RAIN)] == [
        (SUSPECT, "rate_of_change"),
        (SUSPECT, "rate_of_change"),
        (FAIL, "spike"),
    ]
