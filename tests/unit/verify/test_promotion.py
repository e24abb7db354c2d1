"""Promotion: who serves, by every way the numbers can fall."""

import polars as pl
import pytest

from daycast.verify.promotion import CHAMPION, Decision, decide

BASELINES = ("persistence", "ridge")


def decided(challenger: str = "gru", **crps: float | tuple[float, float]) -> Decision:
    """The decision over forecasters with one CRPS, or one for each of two variables."""
    rows = [
        (name, variable, lead, value)
        for name, values in crps.items()
        for variable, value in zip(("warmth", "rain"), values if isinstance(values, tuple) else (values,), strict=False)
        for lead in (1, 2)
    ]
    schema = {"forecaster": pl.String, "variable": pl.String, "lead_hours": pl.UInt8, "crps": pl.Float64}
    return decide(pl.DataFrame(rows, schema=schema, orient="row"), challenger, BASELINES)


@pytest.mark.parametrize(
    ("crps", "winner", "promoted"),
    [
        ({"gru": 1.0, "persistence": 2.0, "ridge": 1.5}, "gru", True),  # the first champion
        ({"gru": 2.0, "persistence": 3.0, "ridge": 1.5}, "ridge", True),  # a baseline is the first champion
        ({"gru": 2.0, "persistence": 1.0, "ridge": 1.5}, "persistence", True),  # the best of two better baselines
        ({"gru": 1.0, "champion": 1.2, "persistence": 2.0, "ridge": 1.5}, "gru", True),
        ({"gru": 1.2, "champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),
        ({"gru": 1.0, "champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),  # a tie
        ({"gru": 1.3, "champion": 1.2, "persistence": 2.0, "ridge": 1.0}, "ridge", True),  # a baseline dethrones
        (
            {"gru": 1.1, "champion": 1.2, "persistence": 2.0, "ridge": 1.0},
            "ridge",
            True,
        ),  # both beat it; the better one
        ({"gru": 1.1, "champion": 1.2, "persistence": 2.0, "ridge": 1.1}, "gru", True),  # both beat it by as much
        ({"gru": 1.5, "champion": 1.2, "persistence": 2.0, "ridge": 1.2}, CHAMPION, False),  # a baseline's tie
        ({"gru": 1.0, "persistence": 1.0}, "persistence", True),  # no better than the plain one: the plain one
    ],
)
def test_the_lowest_crps_serves_and_ties_leave_the_champion(
    crps: dict[str, float], winner: str, promoted: bool
) -> None:
    outcome = decided(**crps)
    assert (outcome.winner, outcome.promoted) == (winner, promoted)


@pytest.mark.parametrize(
    ("crps", "winner", "promoted"),
    [
        ({"persistence": 2.0, "ridge": 1.5}, "ridge", True),
        ({"champion": 1.0, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),
        ({"champion": 1.5, "persistence": 2.0, "ridge": 1.5}, CHAMPION, False),
        ({"champion": 1.6, "persistence": 2.0, "ridge": 1.5}, "ridge", True),
    ],
)
def test_without_a_challenger_the_best_of_what_is_there_serves(crps: dict, winner: str, promoted: bool) -> None:
    outcome = decided("", **crps)
    assert (outcome.winner, outcome.promoted) == (winner, promoted)


def test_variables_count_alike_whatever_their_unit() -> None:
    """Half the error in one variable outweighs 1.5 times the error in the other: √(0.5 · 1.5) = 0.866."""
    for unit in (1.0, 1000.0):
        outcome = decided(gru=(0.5, 1.5 * unit), champion=(1.0, 1.0 * unit))
        assert outcome.winner == "gru"
        assert outcome.crps_ratio == pytest.approx({CHAMPION: 0.75**0.5}, rel=1e-4)


def test_a_variable_that_nobody_misses_counts_as_a_tie() -> None:
    outcome = decided(gru=(0.5, 0.0), champion=(1.0, 0.0))
    assert outcome.crps_ratio == pytest.approx({CHAMPION: 0.5**0.5}, rel=1e-4)


def test_forecasters_that_are_no_rivals_are_not_compared() -> None:
    assert decided(gru=1.0, ridge=2.0, lstm=0.1).winner == "gru"


def test_the_reason_names_who_won_over_whom_by_how_much() -> None:
    assert decided(gru=1.0, ridge=2.0).reason == "gru is better than ridge (CRPS ×0.500)"
    assert "ridge is better than the champion" in decided(gru=1.3, champion=1.2, ridge=1.0).reason
    assert decided(gru=1.2, champion=1.0, ridge=2.0).reason.endswith("the champion stays")
