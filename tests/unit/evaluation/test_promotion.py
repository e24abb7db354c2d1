"""Promotion: who serves, by every way the numbers can fall."""

import numpy as np
import pytest

from daycast.evaluation.promotion import CHAMPION, Comparison, Decision, decide_on_holdout, tell_chance
from daycast.evaluation.serving import DailyCrps

BASELINES, VARIABLES = ("persistence", "ridge"), ["warmth", "rain"]
DAYS = 30


def decide(daily: dict[str, np.ndarray], challenger: str = "gru", more_history: float = 0.0) -> Decision:
    """The decision over daily scores (D, V) at one station, NaN where there is none."""
    scores = {
        name: DailyCrps(np.nan_to_num(crps)[None], (~np.isnan(crps))[None].astype(int)) for name, crps in daily.items()
    }
    variables = VARIABLES[: next(iter(daily.values())).shape[1]]
    return decide_on_holdout(scores, challenger, BASELINES, variables, ["a"], np.zeros(len(variables)), more_history)


def decided(challenger: str = "gru", days: int = DAYS, more_history: float = 0.0, **crps: float) -> Decision:
    """The decision over forecasters of this mean CRPS, whose days differ by 10 % at random, each in its own way."""
    rng = np.random.default_rng(8)
    noise = {name: rng.normal(1, 0.1, (days, 2)) for name in ("gru", CHAMPION, *BASELINES)}
    return decide(
        {name: level * noise[name] / noise[name].mean(axis=0) for name, level in crps.items()}, challenger, more_history
    )


@pytest.mark.parametrize(
    ("crps", "winner", "promoted"),
    [
        ({"gru": 1.0, "persistence": 2.0, "ridge": 1.5}, "gru", True),  # the first champion
        ({"gru": 2.0, "persistence": 3.0, "ridge": 1.5}, "ridge", True),  # a baseline is the first champion
        ({"gru": 2.0, "persistence": 1.0, "ridge": 1.5}, "persistence", True),  # the best of two better baselines
        ({"gru": 0.97, "persistence": 2.0, "ridge": 1.0}, "gru", True),  # no proof, and still what to expect
        ({"gru": 1.0, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # as good: the simple one
        ({"gru": 1.0, "champion": 1.2, "persistence": 2.0, "ridge": 1.5}, "gru", True),
        ({"gru": 1.2, "champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),
        ({"gru": 1.0, "champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),  # as good: no change
        ({"gru": 1.3, "champion": 1.2, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # a baseline dethrones
        ({"gru": 1.3, "champion": 1.2, "persistence": 0.9, "ridge": 1.0}, "persistence", True),  # the better of two
        ({"gru": 1.0, "champion": 1.2, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # as good, and simpler
    ],
)
def test_whoever_is_expected_to_be_best_serves(crps: dict[str, float], winner: str, promoted: bool) -> None:
    outcome = decided(**crps)
    assert (outcome.winner, outcome.promoted) == (winner, promoted)


@pytest.mark.parametrize(
    ("crps", "winner", "judged"),
    [
        ({"persistence": 2.0, "ridge": 1.5}, "ridge", "ridge"),
        ({"champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, "ridge"),
        ({"champion": 1.8, "persistence": 2.0, "ridge": 1.5}, "ridge", "ridge"),
        ({"champion": 1.8, "persistence": 1.5}, "persistence", "persistence"),
    ],
)
def test_without_a_challenger_the_best_baseline_is_compared_with_the_champion(
    crps: dict, winner: str, judged: str
) -> None:
    outcome = decided("", **crps)
    assert (outcome.winner, outcome.judged, outcome.promoted) == (winner, judged, winner != CHAMPION)


def test_what_learned_from_more_history_is_expected_to_be_better_unless_its_scores_say_otherwise() -> None:
    equal, worse = {"gru": 1.0, "champion": 1.0, "ridge": 2.0}, {"gru": 1.1, "champion": 1.0, "ridge": 2.0}
    assert [decided(more_history=more, **equal).winner for more in (0.0, 0.1)] == [CHAMPION, "gru"]
    assert [decided(more_history=more, **worse).winner for more in (0.0, 0.1)] == [CHAMPION, CHAMPION]


def test_a_few_days_decide_with_what_they_say() -> None:
    outcome = decided(days=3, gru=0.5, persistence=2.0, ridge=1.0)
    assert outcome.winner == "gru"
    assert outcome.reason.endswith("(over 3 days of issue)")
    assert outcome.rivals["ridge"].crps_ratio == pytest.approx(0.5, rel=1e-3)
    assert 0 < outcome.rivals["ridge"].expected_gain < decided(gru=0.5, ridge=1.0).rivals["ridge"].expected_gain


def test_variables_count_alike_whatever_their_unit() -> None:
    """With its fallback for the second variable, the challenger has half the error in the first and ridge's in the other."""
    day = np.ones((DAYS, 1))
    for unit in (1.0, 1000.0):
        daily = {"gru": np.hstack([0.5 * day, 1.5 * unit * day]), "ridge": np.hstack([day, unit * day])}
        outcome = decide(daily)
        assert outcome.winner == "gru"
        assert outcome.rivals["ridge"].crps_ratio == pytest.approx(0.5**0.5, rel=1e-4)


def test_a_variable_that_the_champion_does_not_forecast_decides_nothing_against_it() -> None:
    day = np.ones((DAYS, 1))
    daily = {"gru": np.hstack([day, 3 * day]), "champion": np.hstack([2 * day, np.nan * day])}
    outcome = decide({**daily, "ridge": np.hstack([4 * day, 4 * day])})
    assert outcome.rivals[CHAMPION].crps_ratio == pytest.approx(0.5, rel=1e-4)
    assert outcome.by_variable["rain"][CHAMPION] == Comparison(None, 0.0, 0.5, 0)
    assert outcome.winner == "gru"


def test_forecasters_that_are_no_rivals_are_not_compared() -> None:
    daily = {name: np.full((DAYS, 1), level) for name, level in (("gru", 1.0), ("ridge", 2.0), ("lstm", 0.1))}
    outcome = decide(daily)
    assert outcome.winner == "gru"
    assert set(outcome.rivals) == {"ridge"}


def told(challenger: str = "gru", **crps: float) -> str:
    return decide({name: np.full((DAYS, 1), level) for name, level in crps.items()}, challenger).reason


def test_the_reason_says_who_serves_over_whom_by_how_much_and_how_surely() -> None:
    span = " (over 30 days of issue)"
    assert told(gru=1.0, ridge=2.0) == f"gru is expected to be better than ridge (CRPS ×0.500, chance > 99 %){span}"
    assert told(gru=3.0, ridge=3.0, champion=2.5) == (
        "gru is not expected to be better than the champion (CRPS ×1.200, chance < 1 %), ridge (CRPS ×1.000, chance 50 %); "
        f"the champion stays{span}"
    )
    assert told(gru=1.0, persistence=3.0, ridge=1.0) == (
        f"gru is not expected to be better than ridge (CRPS ×1.000, chance 50 %); ridge serves{span}"
    )
    assert told("", persistence=2.0, ridge=1.0) == (
        f"ridge is expected to be better than persistence (CRPS ×0.500, chance > 99 %){span}"
    )
    assert told("", ridge=1.0) == "ridge serves (over 0 days of issue)"


@pytest.mark.parametrize(
    ("chance", "text"), [(1.0, "> 99 %"), (0.972, "97 %"), (0.5, "50 %"), (0.02, "2 %"), (0.0, "< 1 %")]
)
def test_a_chance_is_told_as_exactly_as_it_is_worth(chance: float, text: str) -> None:
    assert tell_chance(chance) == text
