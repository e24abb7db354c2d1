"""Drift: proven over days, in every window, or not at all."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from daycast.evaluation.drift import Drift, DriftLimits, find_drifts

UNTIL = date(2026, 3, 31)
LIMITS = DriftLimits(days=14, lasting=3, loss=0.25, coverage=0.7, significance=0.01)
SPAN = 16  # days that three windows of 14 cover
WARMTH, PERSISTENCE = "air_temperature_c", "persistence"
HOLDOUT = {(WARMTH, "gru"): 0.6, (WARMTH, "ridge"): 0.7, (WARMTH, PERSISTENCE): 1.0, (WARMTH, "climatology"): 2.0}
WEATHER = 1 + 0.5 * np.sin(np.arange(SPAN))  # hard days and easy ones, the same for all


def series(name: str, crps: np.ndarray, coverage: np.ndarray | float = 0.8, n: np.ndarray | int = 100) -> pl.DataFrame:
    """A forecaster's daily scores on the last days up to UNTIL; a day of NaN is left out."""
    days = [UNTIL - timedelta(days=len(crps) - 1 - k) for k in range(len(crps))]
    one = {"variable": WARMTH, "forecaster": name, "valid_on": days, "n": n, "crps": crps, "coverage_80": coverage}
    return pl.DataFrame(one).filter(~pl.col("crps").is_nan())


def noise(seed: int, days: int = SPAN) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 0.05, days)


def found(*tables: pl.DataFrame, holdout=HOLDOUT, limits=LIMITS, fallbacks=None) -> list[Drift]:
    return find_drifts(pl.concat(tables), "gru", holdout, fallbacks or {}, limits, UNTIL)


def test_forecasts_as_good_as_at_promotion_have_not_drifted() -> None:
    assert found(series("gru", 0.6 * WEATHER * noise(1)), series("ridge", 0.7 * WEATHER * noise(2))) == []


def test_a_ratio_beyond_that_of_the_holdout_and_its_allowance_is_a_drift_with_its_numbers() -> None:
    """Judged 0.6 against 0.8 of persistence: 0.75, so that 0.75 × 1.2 = 0.9 is the bound; now it is 0.99 on every day."""
    holdout = {(WARMTH, "gru"): 0.6, (WARMTH, PERSISTENCE): 0.8}
    limits = DriftLimits(**{**vars(LIMITS), "loss": 0.2})
    ours, theirs = 0.99 * WEATHER, WEATHER
    (drift,) = found(series("gru", ours), series(PERSISTENCE, theirs), holdout=holdout, limits=limits)
    assert (drift.variable, drift.measure, drift.rival, drift.days) == (WARMTH, "skill", PERSISTENCE, 14)
    assert (drift.observed, drift.bound) == (pytest.approx(0.99), pytest.approx(0.9))
    assert (drift.since, drift.until) == (date(2026, 3, 18), UNTIL)
    assert drift.tell("air temperature").startswith("air temperature: CRPS ×0.99 that of persistence, bound ×0.90 (p")


@pytest.mark.parametrize(("ratio", "drifted"), [(0.96, False), (1.04, True)])
def test_without_holdout_scores_and_with_a_generous_loss_the_bound_is_the_baseline_itself(
    ratio: float, drifted: bool
) -> None:
    tables = series("gru", ratio * WEATHER), series("ridge", WEATHER)
    assert bool(found(*tables, holdout={})) is drifted
    assert bool(found(*tables, limits=DriftLimits(**{**vars(LIMITS), "loss": 9}))) is drifted


def test_the_rival_is_the_best_baseline_of_these_days_and_not_of_the_holdout() -> None:
    tables = series("gru", WEATHER), series("ridge", 1.5 * WEATHER), series(PERSISTENCE, 0.5 * WEATHER)
    (drift,) = found(*tables)
    assert drift.rival == PERSISTENCE
    assert drift.observed == pytest.approx(2)


def test_what_was_worse_than_a_baseline_on_the_holdout_may_stay_as_bad() -> None:
    holdout = {(WARMTH, "gru"): 1.2, (WARMTH, "ridge"): 1.0}
    assert found(series("gru", 1.15 * WEATHER), series("ridge", WEATHER), holdout=holdout) == []
    assert found(series("gru", 1.25 * WEATHER), series("ridge", WEATHER), holdout=holdout)


def test_a_variable_that_a_baseline_serves_is_held_to_the_holdout_scores_of_the_baseline() -> None:
    """The holdout ratio of ridge to itself is 1: served by it, the scores are its own, and nothing drifts."""
    tables = series("gru", WEATHER), series("ridge", WEATHER)
    holdout = {(WARMTH, "gru"): 0.5, (WARMTH, "ridge"): 1.0}
    assert found(*tables, holdout=holdout, fallbacks={WARMTH: "ridge"}) == []
    assert found(*tables, holdout=holdout)


def test_a_few_terrible_days_prove_nothing() -> None:
    ours = 0.6 * WEATHER * noise(3)
    ours[-3:] *= 20  # on the mean of the window the ratio is far above 1
    assert found(series("gru", ours), series("ridge", WEATHER * noise(4))) == []


def test_drift_has_to_last_for_as_many_days_in_a_row() -> None:
    """Bad from the 5th of 18 days on: the window that ends two days before the last still holds good days."""
    ours = np.where(np.arange(18) < 4, 0.3, 1.3) * noise(5, 18)
    tables = series("gru", ours), series("ridge", noise(6, 18))
    assert found(*tables, limits=DriftLimits(**{**vars(LIMITS), "lasting": 1}))
    assert found(*tables, limits=DriftLimits(**{**vars(LIMITS), "lasting": 5})) == []


def test_intervals_that_stop_covering_are_a_drift() -> None:
    level = 0.6 + 0.02 * np.cos(np.arange(SPAN))
    (drift,) = found(series("gru", 0.6 * WEATHER, level), series("ridge", 0.7 * WEATHER))
    assert (drift.measure, drift.rival, drift.bound, drift.days) == ("coverage", None, 0.7, 14)
    assert drift.observed == pytest.approx(level[2:].mean())
    assert "60 % of observations lay" in drift.tell("x")


@pytest.mark.parametrize("coverage", [0.72, 1.0])
def test_coverage_above_its_bound_is_no_drift(coverage: float) -> None:
    assert found(series("gru", 0.6 * WEATHER, coverage * noise(7) / noise(7)), series("ridge", 0.7 * WEATHER)) == []


def test_the_first_weeks_prove_nothing() -> None:
    days = 12  # the earliest of three windows of 14 days then holds 10, fewer than three quarters
    assert found(series("gru", 3 * WEATHER[-days:], 0.1), series("ridge", WEATHER[-days:])) == []
    days = 13
    assert found(series("gru", 3 * WEATHER[-days:], 0.1), series("ridge", WEATHER[-days:]))


def test_days_on_which_most_stations_were_silent_do_not_count() -> None:
    n = np.where(np.arange(SPAN) % 3 == 0, 100, 40)
    assert found(series("gru", 3 * WEATHER, 0.1, n), series("ridge", WEATHER, n=n)) == []
    assert found(series("gru", 3 * WEATHER, 0.1, n + 20), series("ridge", WEATHER, n=n + 20))


def test_noise_alone_hardly_ever_is_a_drift() -> None:
    """Equal to the baseline but for noise of 10 % a day, tested at its bound of 1: at most 1 in 50 of 300 networks."""
    rng = np.random.default_rng(9)
    drifts = 0
    for _ in range(300):
        ours, theirs = rng.normal(1, 0.1, (2, SPAN))
        drifts += len(found(series("gru", ours), series("ridge", theirs), holdout={}))
    assert drifts <= 6
