"""Promotion: who serves, by every way the numbers can fall."""

import numpy as np
import pytest

from daycast.evaluation.promotion import CHAMPION, Comparison, Decision, decide, tell_p
from daycast.evaluation.significance import LEAST_DAYS

BASELINES = ("persistence", "ridge")
DAYS = 30


def decided(challenger: str = "gru", days: int = DAYS, significance: float = 0.05, **crps: float) -> Decision:
    """The decision over forecasters of this mean CRPS, whose days differ by 10 % at random, each in its own way."""
    rng = np.random.default_rng(8)
    noise = {name: rng.normal(1, 0.1, (days, 2)) for name in ("gru", CHAMPION, *BASELINES)}
    daily = {name: level * noise[name] / noise[name].mean(axis=0) for name, level in crps.items()}
    return decide(daily, challenger, BASELINES, significance)


@pytest.mark.parametrize(
    ("crps", "winner", "promoted"),
    [
        ({"gru": 1.0, "persistence": 2.0, "ridge": 1.5}, "gru", True),  # the first champion
        ({"gru": 2.0, "persistence": 3.0, "ridge": 1.5}, "ridge", True),  # a baseline is the first champion
        ({"gru": 2.0, "persistence": 1.0, "ridge": 1.5}, "persistence", True),  # the best of two better baselines
        ({"gru": 0.995, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # within noise: the simple one serves
        ({"gru": 1.0, "champion": 1.2, "persistence": 2.0, "ridge": 1.5}, "gru", True),
        ({"gru": 1.2, "champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),
        ({"gru": 0.995, "champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),  # within noise
        ({"gru": 1.3, "champion": 1.2, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # a baseline dethrones
        ({"gru": 1.3, "champion": 1.2, "persistence": 0.9, "ridge": 1.0}, "persistence", True),  # the better of two
        ({"gru": 1.0, "champion": 1.2, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # as good, and simpler
        ({"gru": 1.5, "champion": 1.005, "persistence": 2.0, "ridge": 1.0}, CHAMPION, False),  # no proof against it
    ],
)
def test_what_is_proven_better_serves_and_else_the_champion_or_the_best_baseline(
    crps: dict[str, float], winner: str, promoted: bool
) -> None:
    outcome = decided(**crps)
    assert (outcome.winner, outcome.promoted) == (winner, promoted)


def test_a_challenger_better_than_the_champion_alone_does_not_serve() -> None:
    day = np.ones((DAYS, 1))
    fickle = (
        0.98 * day + np.sin(np.arange(DAYS) * 2 * np.pi / DAYS)[:, None]
    )  # its advantage could be noise, and its loss too
    outcome = decide({"gru": 0.95 * day, CHAMPION: day, "ridge": fickle}, "gru", BASELINES, 0.05)
    assert outcome.rivals[CHAMPION].proves(0.05)
    assert outcome.winner == CHAMPION
    assert outcome.reason.startswith("gru is not proven better than ridge (CRPS ×0.969, p 0.4")


@pytest.mark.parametrize(
    ("crps", "winner", "judged"),
    [
        ({"persistence": 2.0, "ridge": 1.5}, "ridge", "ridge"),
        ({"champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, "ridge"),
        ({"champion": 1.505, "persistence": 2.0, "ridge": 1.5}, CHAMPION, "ridge"),
        ({"champion": 1.8, "persistence": 2.0, "ridge": 1.5}, "ridge", "ridge"),
        ({"champion": 1.8, "persistence": 1.5}, "persistence", "persistence"),
    ],
)
def test_without_a_challenger_the_best_baseline_has_to_beat_the_champion(crps: dict, winner: str, judged: str) -> None:
    outcome = decided("", **crps)
    assert (outcome.winner, outcome.judged, outcome.promoted) == (winner, judged, winner != CHAMPION)


def test_the_level_is_that_which_is_asked_for() -> None:
    """The same advantage is proof at 40 % and none at 0.01 %."""
    crps = {"gru": 0.97, "ridge": 1.0}
    assert 0.0001 < decided(**crps).rivals["ridge"].p_value < 0.4
    assert decided(significance=0.4, **crps).winner == "gru"
    assert decided(significance=0.0001, **crps).winner == "ridge"


def test_with_a_few_days_nothing_is_proven_and_the_reason_says_so() -> None:
    outcome = decided(days=LEAST_DAYS - 1, gru=0.5, persistence=2.0, ridge=1.0)
    assert (outcome.winner, outcome.promoted) == ("ridge", True)
    assert "7 days of issue are too few for a test, which needs 8" in outcome.reason
    assert outcome.rivals["ridge"].p_value is None
    assert outcome.rivals["ridge"].crps_ratio == pytest.approx(0.5, rel=1e-3)
    assert decided(days=LEAST_DAYS - 1, gru=0.5, champion=1.0, ridge=0.6).winner == CHAMPION
    assert decided(days=LEAST_DAYS, gru=0.5, persistence=2.0, ridge=1.0).winner == "gru"


def test_variables_count_alike_whatever_their_unit() -> None:
    """Half the error in one variable outweighs 1.5 times the error in the other: √(0.5 · 1.5) = 0.866."""
    day = np.ones((DAYS, 1))
    for unit in (1.0, 1000.0):
        daily = {"gru": np.hstack([0.5 * day, 1.5 * unit * day]), "ridge": np.hstack([day, unit * day])}
        outcome = decide(daily, "gru", BASELINES, 0.05)
        assert outcome.winner == "gru"
        assert outcome.rivals["ridge"].crps_ratio == pytest.approx(0.75**0.5, rel=1e-4)


def test_a_variable_that_the_champion_does_not_forecast_counts_for_the_baselines_alone() -> None:
    day = np.ones((DAYS, 1))
    daily = {"gru": np.hstack([day, 3 * day]), "champion": np.hstack([2 * day, np.nan * day])}
    outcome = decide({**daily, "ridge": np.hstack([2 * day, day])}, "gru", BASELINES, 0.05)
    assert outcome.rivals[CHAMPION].crps_ratio == pytest.approx(0.5, rel=1e-4)
    assert outcome.rivals["ridge"].crps_ratio == pytest.approx(1.5**0.5, rel=1e-4)
    assert outcome.winner == CHAMPION


def test_forecasters_that_are_no_rivals_are_not_compared() -> None:
    daily = {name: np.full((DAYS, 1), level) for name, level in (("gru", 1.0), ("ridge", 2.0), ("lstm", 0.1))}
    outcome = decide(daily, "gru", BASELINES, 0.05)
    assert outcome.winner == "gru"
    assert set(outcome.rivals) == {"ridge"}


def told(challenger: str = "gru", **crps: float) -> str:
    daily = {name: np.full((DAYS, 1), level) for name, level in crps.items()}
    return decide(daily, challenger, BASELINES, 0.05).reason


def test_the_reason_says_who_won_over_whom_by_how_much_and_how_surely() -> None:
    span = " (over 30 days of issue, at the 5% level)"
    assert told(gru=1.0, ridge=2.0) == f"gru is better than ridge (CRPS ×0.500, p < 0.001){span}"
    assert told(gru=3.0, ridge=2.0, champion=2.5) == (
        "gru is not proven better than ridge (CRPS ×1.500, p 1.00), the champion (CRPS ×1.200, p 1.00); "
        f"ridge is better than the champion (CRPS ×0.800, p < 0.001) and serves{span}"
    )
    assert told(gru=1.2, champion=1.0, ridge=2.0) == (
        f"gru is not proven better than the champion (CRPS ×1.200, p 1.00); the champion stays{span}"
    )
    assert told(gru=1.0, persistence=3.0, ridge=1.0) == (
        f"gru is not proven better than ridge (CRPS ×1.000, p 0.50); ridge serves, the baseline with the lowest CRPS{span}"
    )


def test_without_a_challenger_the_reason_is_about_the_champion_alone() -> None:
    equal = {"persistence": 1.0, "ridge": 1.0}
    stays = "persistence is not proven better than the champion (CRPS ×2.000, p 1.00); the champion stays"
    assert told("", champion=0.5, **equal).startswith(stays)
    assert told("", champion=2.0, **equal).startswith(
        "persistence is better than the champion (CRPS ×0.500, p < 0.001)"
    )
    assert told("", **equal).startswith("persistence serves, the baseline with the lowest CRPS (over 30 days")


def test_a_p_value_is_told_with_as_many_digits_as_matter() -> None:
    assert [tell_p(p) for p in (0.0004, 0.0312, 0.27)] == ["p < 0.001", "p 0.031", "p 0.27"]


@pytest.mark.parametrize(("p_value", "proves"), [(0.049, True), (0.05, False), (None, False)])
def test_a_comparison_proves_below_the_level_only(p_value: float | None, proves: bool) -> None:
    assert Comparison(0.9, -0.1, 0.01, p_value, 20).proves(0.05) is proves
