"""Where a baseline serves in a model's place: where it is proven better, and nowhere else."""

import numpy as np
import pytest

from daycast.evaluation.fallbacks import choose_fallbacks, holm, score_as_served
from daycast.evaluation.promotion import CHAMPION, decide_on_holdout
from daycast.evaluation.serving import DailyCrps, Fallback

VARIABLES, STATIONS = ["warmth", "rain"], ["a", "b", "c", "d"]
BASELINES = ("persistence", "ridge")
S, D, V = len(STATIONS), 58, len(VARIABLES)


def daily(seed: int = 3, noise: float = 0.1, **levels: object) -> dict[str, DailyCrps]:
    """Forecasters of these mean CRPS, broadcast to (S, 1, V), whose days differ at random, each in its own way."""
    rng = np.random.default_rng(seed)
    return {
        name: DailyCrps(np.asarray(level, float) * rng.normal(1, noise, (S, D, V)), np.ones((S, D, V), np.int32))
        for name, level in levels.items()
    }


def chosen(scores: dict[str, DailyCrps], model: str = "gru", significance: float = 0.05) -> list[tuple]:
    found = choose_fallbacks(scores, model, BASELINES, VARIABLES, STATIONS, significance)
    return [(one.variable, one.station_id, one.forecaster) for one in found]


def test_the_best_of_the_baselines_that_beat_the_model_serves_that_variable() -> None:
    scores = daily(gru=[1.0, 1.0], persistence=[2.0, 0.8], ridge=[1.5, 0.6])
    assert chosen(scores) == [("rain", None, "ridge")]
    (one,) = choose_fallbacks(scores, "gru", BASELINES, VARIABLES, STATIONS, 0.05)
    assert one.crps_ratio == pytest.approx(0.6, rel=0.03)
    assert one.p_value < 0.001
    assert one.days == D


def test_a_baseline_serves_by_chance_as_rarely_as_the_level_says() -> None:
    """Two variables at 5 %: 4 of 40 networks with equal forecasters are to be expected."""
    found = [chosen(daily(seed, gru=1.0, persistence=2.0, ridge=1.0)) for seed in range(40)]
    assert 1 <= sum(bool(one) for one in found) <= 8


def test_a_baseline_has_fallbacks_among_the_other_baselines() -> None:
    scores = daily(gru=[1.0, 1.0], persistence=[2.0, 0.8], ridge=[1.5, 1.5])
    assert chosen(scores, "ridge") == [("rain", None, "persistence")]


def at_one_station(level: float) -> np.ndarray:
    """1 everywhere, and this level of the first variable at the second station."""
    levels = np.ones((S, 1, V))
    levels[1, 0, 0] = level
    return levels


def test_at_a_single_station_a_baseline_serves_where_it_is_proven_there() -> None:
    scores = daily(gru=1.0, persistence=2.0, ridge=1.3 * at_one_station(0.3))
    assert chosen(scores) == [("warmth", "b", "ridge")]


def test_at_a_single_station_another_serves_than_elsewhere_where_that_is_better_there() -> None:
    scores = daily(gru=1.0, persistence=2.0 * at_one_station(0.1), ridge=0.7)
    assert chosen(scores) == [("warmth", None, "ridge"), ("rain", None, "ridge"), ("warmth", "b", "persistence")]


def test_a_level_that_one_station_would_pass_alone_is_not_enough_among_many() -> None:
    """Of 40 networks with equal forecasters a few find a fallback for some station, not most of them."""
    networks = [chosen(daily(seed, gru=1.0, persistence=1.0, ridge=1.0)) for seed in range(40)]
    assert sum(any(station for _, station, _ in found) for found in networks) <= 6


def test_holms_correction_is_that_of_the_worked_example() -> None:
    """Of 0.01, 0.04, 0.03, 0.005 at 5 %: 0.005 < 0.05/4, 0.01 < 0.05/3, 0.03 > 0.05/2 and there it ends."""
    assert holm(np.array([[0.01, 0.04], [0.03, 0.005]]), 0.05).tolist() == [[True, False], [False, True]]
    assert holm(np.array([0.01, np.nan, 0.03, np.nan]), 0.05).tolist() == [True, False, True, False]  # 0.01 < 0.05/2
    assert holm(np.array([0.04, 0.9]), 0.05).tolist() == [False, False]
    assert holm(np.array([np.nan]), 0.05).tolist() == [False]


def test_a_model_is_scored_with_the_fallbacks_that_the_other_half_of_the_days_chose() -> None:
    scores = daily(gru=[1.0, 1.0], persistence=[2.0, 9.0], ridge=[1.5, 0.6])
    served = score_as_served(scores, "gru", BASELINES, VARIABLES, STATIONS, 0.05)
    np.testing.assert_array_equal(served.total[..., 0], scores["gru"].total[..., 0])
    np.testing.assert_array_equal(served.total[..., 1], scores["ridge"].total[..., 1])


def test_a_baseline_that_is_better_in_one_half_only_is_scored_in_the_other() -> None:
    scores = daily(gru=1.0, persistence=9.0, ridge=1.0)
    scores["ridge"].total[:, : D // 2] *= 0.5  # chosen by the first half: serves the second
    scores["ridge"].total[:, D // 2 :] *= 1.5
    served = score_as_served(scores, "gru", BASELINES, VARIABLES, STATIONS, 0.05)
    np.testing.assert_array_equal(served.total[:, D // 2 :], scores["ridge"].total[:, D // 2 :])
    np.testing.assert_array_equal(served.total[:, : D // 2], scores["gru"].total[:, : D // 2])


def decision_of(**levels: object) -> tuple:
    return decide_on_holdout(daily(**levels), "gru", BASELINES, VARIABLES, STATIONS, 0.05)


def test_a_challenger_that_loses_one_variable_is_promoted_with_a_fallback_for_it() -> None:
    """By itself √(0.8 · 1.3) = 1.02 times ridge's CRPS; with ridge's rain √0.8 = 0.89."""
    decision = decision_of(gru=[0.8, 1.3], persistence=2.0, ridge=1.0)
    assert decision.winner == "gru"
    assert decision.rivals["ridge"].crps_ratio == pytest.approx(0.8**0.5, rel=0.02)
    assert [(one.variable, one.forecaster) for one in decision.fallbacks["gru"]] == [("rain", "ridge")]
    assert decision.by_variable["rain"]["ridge"].crps_ratio == pytest.approx(1.3, rel=0.02)
    assert decision.by_variable["warmth"]["ridge"].p_value < 0.001


def test_a_challenger_whose_place_is_taken_everywhere_is_no_better_than_its_fallback() -> None:
    decision = decision_of(gru=1.5, persistence=[3.0, 0.5], ridge=1.0)
    assert (decision.winner, decision.promoted) == ("ridge", True)
    assert decision.rivals["ridge"].crps_ratio == pytest.approx(1.0)
    assert [(one.variable, one.forecaster) for one in decision.fallbacks["ridge"]] == [("rain", "persistence")]


def test_fallbacks_are_chosen_for_whoever_may_be_registered() -> None:
    assert set(decision_of(gru=1.5, persistence=2.0, ridge=1.0).fallbacks) == {"gru", "ridge"}
    kept = decision_of(gru=1.0, champion=0.5, persistence=2.0, ridge=1.5)
    assert kept.winner == CHAMPION
    assert set(kept.fallbacks) == {"gru"}
    assert all(isinstance(one, Fallback) for found in kept.fallbacks.values() for one in found)
