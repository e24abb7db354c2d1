"""Where a baseline serves in a model's place: where it is expected to be better, and nowhere else."""

import numpy as np
import pytest

from daycast.evaluation.promotion import CHAMPION, MARGIN, choose_fallbacks, decide_on_holdout
from daycast.evaluation.serving import DailyCrps, Fallback

VARIABLES, STATIONS = ["warmth", "rain"], ["a", "b", "c", "d"]
BASELINES = ("persistence", "ridge")
USUAL = np.zeros(2)
S, D, V = len(STATIONS), 58, len(VARIABLES)


def daily(seed: int = 3, noise: float = 0.1, **levels: object) -> dict[str, DailyCrps]:
    """Forecasters of these mean CRPS, broadcast to (S, 1, V), whose days differ at random, each in its own way."""
    rng = np.random.default_rng(seed)
    return {
        name: DailyCrps(np.asarray(level, float) * rng.normal(1, noise, (S, D, V)), np.ones((S, D, V), np.int32))
        for name, level in levels.items()
    }


def chosen(scores: dict[str, DailyCrps], model: str = "gru") -> list[tuple]:
    found = choose_fallbacks(scores, model, BASELINES, VARIABLES, STATIONS, USUAL)
    return [(one.variable, one.station_id, one.forecaster) for one in found]


def test_the_best_of_the_baselines_that_beat_the_model_serves_that_variable() -> None:
    scores = daily(gru=[1.0, 1.0], persistence=[2.0, 0.8], ridge=[1.5, 0.6])
    assert chosen(scores) == [("rain", None, "ridge")]
    (one,) = choose_fallbacks(scores, "gru", BASELINES, VARIABLES, STATIONS, USUAL)
    assert one.crps_ratio == pytest.approx(0.6, rel=0.03)
    assert one.chance > 0.99
    assert one.days == D


def test_an_equal_baseline_seldom_takes_the_place() -> None:
    found = [chosen(daily(seed, gru=1.0, persistence=2.0, ridge=1.0)) for seed in range(40)]
    assert sum(bool(one) for one in found) <= 8


def test_a_baseline_that_is_better_by_less_than_the_margin_does_not() -> None:
    assert chosen(daily(noise=1e-3, gru=1.0, persistence=2.0, ridge=1 - MARGIN / 2)) == []
    assert chosen(daily(noise=1e-3, gru=1.0, persistence=2.0, ridge=1 - 3 * MARGIN)) != []


def test_a_baseline_has_fallbacks_among_the_other_baselines() -> None:
    scores = daily(gru=[1.0, 1.0], persistence=[2.0, 0.8], ridge=[1.5, 1.5])
    assert chosen(scores, "ridge") == [("rain", None, "persistence")]


def at_one_station(level: float) -> np.ndarray:
    """1 everywhere, and this level of the first variable at the second station."""
    levels = np.ones((S, 1, V))
    levels[1, 0, 0] = level
    return levels


def test_at_a_single_station_a_baseline_serves_where_it_is_better_there() -> None:
    scores = daily(gru=1.0, persistence=2.0, ridge=1.3 * at_one_station(0.3))
    assert chosen(scores) == [("warmth", "b", "ridge")]


def test_at_a_single_station_another_serves_than_elsewhere_where_that_is_better_there() -> None:
    scores = daily(gru=1.0, persistence=2.0 * at_one_station(0.1), ridge=0.7)
    assert chosen(scores) == [("warmth", None, "ridge"), ("rain", None, "ridge"), ("warmth", "b", "persistence")]


def test_of_single_stations_with_equal_forecasters_few_get_a_fallback() -> None:
    """Of 40 networks of 4 stations and 2 variables, 320 places with two baselines each."""
    networks = [chosen(daily(seed, gru=1.0, persistence=1.0, ridge=1.0)) for seed in range(40)]
    assert sum(len([station for _, station, _ in found if station]) for found in networks) <= 40


def test_a_station_is_believed_to_be_like_the_network_unless_its_own_days_say_otherwise() -> None:
    """At a station with a single day, which speaks for ridge, the model goes on serving; with all days ridge does."""
    scores = daily(gru=1.0, persistence=2.0, ridge=1.3 * at_one_station(0.3))
    for one in scores.values():
        one.total[1, 1:], one.count[1, 1:] = 0.0, 0
    assert chosen(scores) == []


def test_a_station_without_a_score_has_no_fallback_of_its_own() -> None:
    scores = daily(gru=1.0, persistence=2.0, ridge=0.7)
    for one in scores.values():
        one.total[1], one.count[1] = 0.0, 0
    assert chosen(scores) == [("warmth", None, "ridge"), ("rain", None, "ridge")]


def decision_of(**levels: object) -> tuple:
    return decide_on_holdout(daily(**levels), "gru", BASELINES, VARIABLES, STATIONS, USUAL)


def test_a_challenger_that_loses_one_variable_is_promoted_with_a_fallback_for_it() -> None:
    """By itself √(0.8 · 1.3) = 1.02 times ridge's CRPS; with ridge's rain √0.8 = 0.89."""
    decision = decision_of(gru=[0.8, 1.3], persistence=2.0, ridge=1.0)
    assert decision.winner == "gru"
    assert decision.rivals["ridge"].crps_ratio == pytest.approx(0.8**0.5, rel=0.02)
    assert [(one.variable, one.forecaster) for one in decision.fallbacks["gru"]] == [("rain", "ridge")]
    assert decision.by_variable["rain"]["ridge"].crps_ratio == pytest.approx(1.3, rel=0.02)
    assert decision.by_variable["warmth"]["ridge"].chance > 0.99


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
