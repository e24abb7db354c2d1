"""Flags: `FlagTable` keeps the worst finding of each version, `flag_versions` runs every check as of the time."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from daycast.quality.flag_table import CheckContext, FlagTable, flag_versions
from daycast.quality.flags import FAIL, GOOD, MISSING, SUSPECT
from daycast.quality.limits import Limits
from daycast.times import HOUR, UTC_TIME
from daycast.variables import BUILT_IN

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


def flags_of(found: FlagTable, name: str = WARMTH) -> list[tuple]:
    """(hour, known from, known until, flag, check) of each version."""
    hours = [(pl.col(c) - T0).dt.total_hours() for c in ("observed_at", "known_from", "known_until")]
    return found.flagged_versions().select(*hours, f"{name}_flag", f"{name}_check").rows()


def test_a_value_is_good_or_missing_until_a_check_finds_fault() -> None:
    assert flags_of(flag_table((1, 1, None, 5.0), (2, 2, None, None))) == [
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
    assert [row[3:] for row in flags_of(found)] == [(FAIL, "gross_range"), (SUSPECT, "rate_of_change"), (MISSING, None)]
    assert found.has_finding(WARMTH).tolist() == [True, True, False]
    assert [row[3:] for row in flags_of(found, RAIN)] == [(GOOD, None)] * 3


def test_what_is_found_later_begins_a_new_version() -> None:
    found = flag_table((1, 1, None, 5.0), (2, 2, None, 6.0))
    found.mark_later(WARMTH, np.array([0]), at(4), "spike", FAIL)
    found.mark_later(WARMTH, np.array([0]), at(3), "flat_line", SUSPECT)
    assert flags_of(found) == [
        (1, 1, 3, GOOD, None),
        (1, 3, 4, SUSPECT, "flat_line"),
        (1, 4, None, FAIL, "spike"),
        (2, 2, None, GOOD, None),
    ]


def test_what_is_found_later_and_no_worse_changes_nothing() -> None:
    found = flag_table((1, 1, None, 5.0))
    found.mark(WARMTH, np.array([0]), "rate_of_change", SUSPECT)
    found.mark_later(WARMTH, np.array([0]), at(3), "flat_line", SUSPECT)
    assert flags_of(found) == [(1, 1, None, SUSPECT, "rate_of_change")]


def test_a_finding_after_a_version_ended_does_not_concern_it() -> None:
    found = flag_table((1, 1, 3, 5.0), (1, 3, None, 6.0))
    found.mark_later(WARMTH, np.array([0, 0]), at(3, 2), "spike", FAIL)
    assert flags_of(found) == [(1, 1, 2, GOOD, None), (1, 2, 3, FAIL, "spike"), (1, 3, None, GOOD, None)]


def test_a_finding_at_once_needs_no_new_version() -> None:
    found = flag_table((1, 2, None, 5.0))
    found.mark_later(WARMTH, np.array([0]), at(2), "spike", FAIL)
    assert flags_of(found) == [(1, 2, None, FAIL, "spike")]


def test_each_variable_keeps_its_own_flag_where_another_one_splits_the_version() -> None:
    found = flag_table((1, 1, None, 5.0))
    found.mark(RAIN, np.array([0]), "rate_of_change", SUSPECT)
    found.mark_later(WARMTH, np.array([0]), at(3), "flat_line", SUSPECT)
    found.mark_later(RAIN, np.array([0]), at(5), "spike", FAIL)
    assert flags_of(found) == [
        (1, 1, 3, GOOD, None),
        (1, 3, 5, SUSPECT, "flat_line"),
        (1, 5, None, SUSPECT, "flat_line"),
    ]
    assert [row[3:] for row in flags_of(found, RAIN)] == [
        (SUSPECT, "rate_of_change"),
        (SUSPECT, "rate_of_change"),
        (FAIL, "spike"),
    ]


# flag_versions: all checks together

NOW = T0 + 100 * HOUR
WARMTH = "air_temperature_c"
LIMITS = {
    WARMTH: Limits(
        rate_of_change=8, spike_fail=6, flat_hours_suspect=3, climatology_deviations=4, neighbour_difference=5
    ),
}
NOTHING = {"station_id": pl.String, "month": pl.Date, "variable": pl.String, "n": pl.Int64, "mean": pl.Float64}
VersionRow = tuple[str, float, float, float | None]  # station, hour, known from (hours after T0), value


def flagged(
    *rows: VersionRow, neighbours: list[list[int]] | None = None, usual: tuple | None = None, now: datetime = NOW
) -> dict:
    """(flag, check) by (station, hour, known from)."""
    frame = pl.DataFrame(
        [(s, T0 + h * HOUR, T0 + k * HOUR, None, v) for s, h, k, v in rows],
        schema={
            "station_id": pl.String,
            "observed_at": UTC_TIME,
            "known_from": UTC_TIME,
            "known_until": UTC_TIME,
            WARMTH: pl.Float64,
        },
        orient="row",
    ).sort("station_id", "observed_at", "known_from")
    next_one = pl.col("known_from").shift(-1).over("station_id", "observed_at")
    ids = frame["station_id"].unique().sort()
    context = CheckContext(
        pl.DataFrame({"station_id": ids, "elevation_m": [0.0] * len(ids)}),
        np.array(neighbours or [[-1]] * len(ids), np.int32),
        pl.DataFrame([usual] if usual else [], schema={**NOTHING, "deviation": pl.Float64}, orient="row"),
        LIMITS,
    )
    found = flag_versions(frame.with_columns(next_one.alias("known_until")), [BUILT_IN[WARMTH]], context, now)
    hours = [(pl.col(c) - T0).dt.total_minutes() / 60 for c in ("observed_at", "known_from")]
    return {
        (s, h, k): (flag, check)
        for s, h, k, flag, check in found.select("station_id", *hours, f"{WARMTH}_flag", f"{WARMTH}_check").iter_rows()
    }


def series(*values: float | None, station: str = "a", delay: float = 0.0) -> list[VersionRow]:
    """One value an hour, known `delay` hours after it."""
    return [(station, hour, hour + delay, value) for hour, value in enumerate(values)]


def test_a_spike_is_failed_from_when_the_next_hour_came() -> None:
    found = flagged(*series(1.0, 2.0, 9.0, 2.5, 3.5))
    assert found == {
        ("a", 0, 0): (1, None),
        ("a", 1, 1): (1, None),
        ("a", 2, 2): (1, None),  # 7 from the hour before: no step of 8
        ("a", 2, 3): (4, "spike"),
        ("a", 3, 3): (1, None),
        ("a", 4, 4): (1, None),
    }


def test_a_flat_line_is_suspected_back_to_its_beginning_from_when_it_was_long_enough() -> None:
    found = flagged(*series(5.0, 5.0, 5.0, 5.0, 6.0))
    suspect = {key for key, (flag, _) in found.items() if flag == 3}
    assert suspect == {("a", 0, 2), ("a", 1, 2), ("a", 2, 2), ("a", 3, 3)}


def test_an_impossible_value_is_failed_and_compared_with_nothing() -> None:
    found = flagged(*series(1.0, 2.0, -999.9, 2.5))
    assert [flag for flag in found.values() if flag != (1, None)] == [(4, "gross_range")]


def test_a_late_value_is_judged_by_what_was_known_when_it_came_and_not_held_against_those_before() -> None:
    rows = series(1.0, None, 20.0, 20.5, 21.0)
    rows[1] = ("a", 1, 10, 19.0)  # fills the gap after all: then 20 was no step, but who could know
    found = flagged(*rows)
    assert found["a", 2, 2] == (3, "rate_of_change")
    assert found["a", 1, 10] == (3, "rate_of_change")  # 18 above the only hour before it


def test_a_correction_is_judged_anew_and_the_value_it_replaced_keeps_its_flag() -> None:
    found = flagged(*series(1.0, 2.0, 30.0, 2.5), ("a", 2, 9, 2.2))
    assert found["a", 2, 2] == (3, "rate_of_change")
    assert found["a", 2, 3] == (4, "spike")
    assert found["a", 2, 9] == (1, None)


def test_the_months_before_say_what_is_unusual() -> None:
    usual = ("a", T0.date(), WARMTH, 700, 5.0, 2.0)
    assert flagged(*series(12.9, 13.1), usual=usual) == {("a", 0, 0): (1, None), ("a", 1, 1): (3, "climatology")}
    few = ("a", T0.date(), WARMTH, 400, 5.0, 2.0)
    assert flagged(*series(12.9, 13.1), usual=few)["a", 1, 1] == (1, None)


FOUR = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_neighbours_are_asked_an_hour_after_the_hour() -> None:
    rows = [("a", 0, 0.2, 20.0), ("b", 0, 0.1, 5.0), ("c", 0, 0.9, 6.0), ("d", 0, 1.0, 7.0)]
    found = flagged(*rows, neighbours=FOUR)
    assert found == {
        ("a", 0, 0.2): (1, None),
        ("a", 0, 1.0): (3, "neighbours"),
        ("b", 0, 0.1): (1, None),
        ("c", 0, 0.9): (1, None),
        ("d", 0, 1.0): (1, None),
    }
    assert ("a", 0, 1.0) not in flagged(*rows, neighbours=FOUR, now=T0 + 0.95 * HOUR)  # not due yet


def test_a_neighbour_that_reports_later_is_not_waited_for() -> None:
    rows = [("a", 0, 0.2, 20.0), ("b", 0, 0.1, 5.0), ("c", 0, 0.9, 6.0), ("d", 0, 1.1, 7.0)]
    assert flagged(*rows, neighbours=FOUR)["a", 0, 0.2] == (1, None)  # of two, one could be wrong
    late = [("a", 0, 3.0, 20.0), *rows[1:]]
    assert flagged(*late, neighbours=FOUR)["a", 0, 3.0] == (3, "neighbours")  # it came when all had reported
