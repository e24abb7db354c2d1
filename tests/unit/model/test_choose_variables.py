"""What is forecast, what is read, and what is wrong with the choice."""

import polars as pl
import pytest

from daycast.errors import ConfigError, NotEnoughDataError
from daycast.model.config import ModelConfig
from daycast.model.fit import choose_variables
from daycast.variables import BUILT_IN

ROWS = pl.DataFrame(
    {
        "air_temperature_c": [1.0, None],
        "dew_point_c": [None, 0.5],
        "wind_from_deg": [90.0, 180.0],
        "wind_speed_m_s": pl.Series([None, None], dtype=pl.Float64),
    }
)


def names(**config: tuple[str, ...]) -> tuple[list[str], list[str]]:
    targets, others = choose_variables(ROWS, BUILT_IN, ModelConfig(**config))
    return [variable.name for variable in targets], [variable.name for variable in others]


def test_every_target_with_a_value_is_forecast_and_everything_with_a_value_is_read():
    assert names() == (["air_temperature_c", "dew_point_c"], ["wind_from_deg"])


def test_targets_that_are_named_are_forecast_and_the_others_still_read():
    assert names(targets=("dew_point_c",)) == (["dew_point_c"], ["air_temperature_c", "wind_from_deg"])


def test_of_inputs_that_are_named_only_these_are_read_besides_the_targets():
    assert names(targets=("dew_point_c",), inputs=("wind_from_deg",)) == (["dew_point_c"], ["wind_from_deg"])
    assert names(targets=("dew_point_c",), inputs=("dew_point_c",)) == (["dew_point_c"], [])


@pytest.mark.parametrize("key", ["targets", "inputs"])
def test_what_is_named_and_has_no_value_is_an_error(key: str):
    with pytest.raises(ConfigError, match=f"model.{key} names 'wind_speed_m_s', which no training row has a value of"):
        names(**{key: ("wind_speed_m_s",)})


def test_without_a_target_there_is_nothing_to_forecast():
    with pytest.raises(NotEnoughDataError, match="no target variable has a value yet"):
        choose_variables(ROWS.select("wind_from_deg"), BUILT_IN, ModelConfig())
