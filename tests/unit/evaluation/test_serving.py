"""Who makes which forecast, and the daily scores that decide it, against sums made one window at a time."""

import numpy as np
import pytest

from daycast.evaluation.serving import DailyCrps, DailyTally, Fallback, assign, pick, pick_daily

STATIONS, VARIABLES = ["a", "b", "c"], ["warmth", "rain"]


def fallback(variable: str, station: str | None, forecaster: str) -> Fallback:
    return Fallback(variable, station, forecaster, 0.9, 0.01, 50)


def test_the_model_serves_wherever_nobody_is_named() -> None:
    assert (assign("gru", (), STATIONS, VARIABLES) == "gru").all()


def test_a_fallback_serves_its_variable_everywhere_except_where_another_is_named() -> None:
    chosen = [fallback("rain", "b", "persistence"), fallback("rain", None, "climatology")]
    who = assign("gru", chosen, STATIONS, VARIABLES)
    assert who.tolist() == [["gru", "climatology"], ["gru", "persistence"], ["gru", "climatology"]]


def test_a_fallback_for_a_station_or_variable_that_is_not_asked_for_changes_nothing() -> None:
    chosen = [fallback("fog", None, "ridge"), fallback("rain", "z", "ridge")]
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


def test_daily_scores_are_means_over_the_windows_of_a_station_and_day() -> None:
    rng = np.random.default_rng(2)
    N, H, V, S, D = 60, 5, 2, 3, 4
    crps = rng.random((N, H, V)).astype(np.float32)
    crps[rng.random(crps.shape) < 0.3] = np.nan
    station, day = rng.integers(0, S, N), rng.integers(0, D - 1, N)  # the last day has none
    tally = DailyTally(S, D, V)
    for start, end in ((0, 7), (7, 8), (8, N)):
        tally.add(crps[start:end], station[start:end], day[start:end])
    daily = tally.result()
    for d in range(D - 1):
        for v in range(V):
            network = [x for n in range(N) if day[n] == d for x in crps[n, :, v] if not np.isnan(x)]
            assert daily.of_network[d, v] == pytest.approx(np.mean(network), rel=1e-5)
            for s in range(S):
                here = [x for n in range(N) if (station[n], day[n]) == (s, d) for x in crps[n, :, v] if not np.isnan(x)]
                assert daily.of_stations[s, d, v] == pytest.approx(
                    np.mean(here) if here else np.nan, rel=1e-5, nan_ok=True
                )
    assert np.isnan(daily.of_network[-1]).all()
    assert daily.count.sum() == (~np.isnan(crps)).sum()


def filled(level: float) -> DailyCrps:
    total = level * np.arange(1, 25, dtype=float).reshape(2, 4, 3)  # two stations, four days, three variables
    return DailyCrps(total, np.ones((2, 4, 3), np.int32))


def test_variables_are_put_in_another_order_and_what_is_not_there_has_no_score() -> None:
    other = filled(1).variables(["a", "b", "c"], ["c", "x", "a"])
    np.testing.assert_array_equal(other.of_stations[..., 0], filled(1).of_stations[..., 2])
    np.testing.assert_array_equal(other.of_stations[..., 2], filled(1).of_stations[..., 0])
    assert np.isnan(other.of_stations[..., 1]).all()


def test_the_scores_of_whoever_serves_are_picked() -> None:
    who = np.array([["x", "x", "y"], ["y", "x", "x"]])
    picked = pick_daily({"x": filled(1), "y": filled(10)}, who)
    assert picked.total[0, 0].tolist() == [1, 2, 30]
    assert picked.total[1, 0].tolist() == [130, 14, 15]
