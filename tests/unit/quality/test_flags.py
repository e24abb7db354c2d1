"""Quality flags: 9 is missing, 1 passed, and a model reads no failed value."""

import polars as pl
from polars.testing import assert_frame_equal

from daycast.quality.flags import FAIL, GOOD, MISSING, NOT_EVALUATED, SUSPECT, keep_usable

A, B = "air_temperature_c", "dew_point_c"


def test_the_flags_are_those_of_qartod() -> None:
    assert (GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING) == (1, 2, 3, 4, 9)


def test_failed_values_are_missing_to_a_model_and_all_others_stand() -> None:
    frame = pl.DataFrame({A: [1.0, 2.0, 3.0, 4.0, None], f"{A}_flag": [1, 2, 3, 4, 9], "station_id": list("vwxyz")})
    expected = pl.DataFrame(
        {A: [1.0, 2.0, 3.0, None, None], "station_id": list("vwxyz"), f"{A}_truth_weight": [1.0, 1.0, 0.5, 1.0, 1.0]},
        schema_overrides={f"{A}_truth_weight": pl.Float32},
    )
    assert_frame_equal(keep_usable(frame, [A]), expected)


def test_where_nothing_is_suspect_there_is_no_weight_and_no_mark_is_left() -> None:
    frame = pl.DataFrame({A: [1.0, 4.0, None], f"{A}_flag": [1, 4, 9], f"{A}_check": [None, "spike", None]})
    assert_frame_equal(keep_usable(frame, [A]), pl.DataFrame({A: [1.0, None, None]}))


def test_each_variable_is_judged_by_its_own_flag() -> None:
    frame = pl.DataFrame({A: [1.0], B: [2.0], f"{A}_flag": [FAIL], f"{B}_flag": [GOOD]})
    assert keep_usable(frame, [A, B]).to_dicts() == [{A: None, B: 2.0}]
