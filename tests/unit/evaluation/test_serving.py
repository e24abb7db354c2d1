"""Who makes which forecast."""

import numpy as np

from daycast.evaluation.serving import Fallback, assign, pick

STATIONS, VARIABLES = ["a", "b", "c"], ["warmth", "rain"]


def substitute(variable: str, station: str | None, forecaster: str) -> Fallback:
    return Fallback(variable, station, forecaster, 0.9, 0.01, 50)


def test_the_model_serves_wherever_nobody_is_named() -> None:
    assert (assign("gru", (), STATIONS, VARIABLES) == "gru").all()


def test_a_substitute_serves_its_variable_everywhere_but_where_another_is_named() -> None:
    chosen = [substitute("rain", "b", "persistence"), substitute("rain", None, "climatology")]
    who = assign("gru", chosen, STATIONS, VARIABLES)
    assert who.tolist() == [["gru", "climatology"], ["gru", "persistence"], ["gru", "climatology"]]


def test_a_substitute_for_a_station_or_variable_that_is_not_asked_for_changes_nothing() -> None:
    chosen = [substitute("fog", None, "ridge"), substitute("rain", "z", "ridge")]
    assert (assign("gru", chosen, STATIONS, VARIABLES) == "gru").all()


def test_each_value_is_that_of_whoever_is_named() -> None:
    who = np.array([["gru", "ridge"], ["ridge", "ridge"], ["climatology", "gru"]])
    levels = {"gru": 1.0, "ridge": 2.0, "climatology": 3.0}
    rng = np.random.default_rng(1)
    for shape in ((3, 4, 2), (3, 4, 2, 7)):  # (S, D, V) and (N, H, V, Q)
        base = rng.random(shape)
        values = {name: base + level for name, level in levels.items()}
        before = {name: value.copy() for name, value in values.items()}
        picked = pick(values, who)
        for n, v in np.ndindex(3, 2):
            np.testing.assert_array_equal(picked[n, :, v], base[n, :, v] + levels[who[n, v]])
        for name, value in values.items():
            np.testing.assert_array_equal(value, before[name])
