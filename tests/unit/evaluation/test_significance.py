"""The paired test over days, against a slow oracle, Student's t by integration, and its own promise on simulated forecasters."""

import cmath
import math

import numpy as np
import pytest

from daycast.evaluation.significance import LEAST_DAYS, paired_test, student_t_below


def density(t: float, freedom: int) -> float:
    scale = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    return scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2)


def below(t: float, freedom: int) -> float:
    """Student's distribution by Simpson's rule from 0."""
    steps = 2000
    at = [density(t * i / steps, freedom) for i in range(steps + 1)]
    return 0.5 + t / steps / 3 * (at[0] + at[-1] + 4 * sum(at[1:-1:2]) + 2 * sum(at[2:-1:2]))


def oracle(ours: list[list[float]], theirs: list[list[float]]) -> dict[str, float]:
    """The test of two lists of days, each a list of variables, one number at a time."""
    n, V = len(ours), len(ours[0])
    our_mean = [sum(day[v] for day in ours) / n for v in range(V)]
    their_mean = [sum(day[v] for day in theirs) / n for v in range(V)]
    scale = [(a + b) / 2 for a, b in zip(our_mean, their_mean, strict=True)]
    daily = [sum((a[v] - b[v]) / scale[v] for v in range(V)) / V for a, b in zip(ours, theirs, strict=True)]
    mean = sum(daily) / n
    m = max(k for k in range(1, n) if k**3 <= n)
    variance = 0.0
    for j in range(1, m + 1):
        wave = sum((d - mean) * cmath.exp(-2j * math.pi * j * t / n) for t, d in enumerate(daily))
        variance += abs(wave) ** 2 / n / m
    error = math.sqrt(variance / n)
    ratio = math.exp(sum(math.log(a / b) for a, b in zip(our_mean, their_mean, strict=True)) / V)
    return {"ratio": ratio, "mean": mean, "error": error, "p": below(mean / error, 2 * m), "n": n}


@pytest.mark.parametrize("freedom", [2, 4, 6, 10])
@pytest.mark.parametrize("t", [-4.0, -1.0, 0.0, 0.3, 2.5])
def test_students_t_is_the_integral_of_its_density(t: float, freedom: int) -> None:
    assert float(student_t_below(np.array(t), freedom // 2)) == pytest.approx(below(t, freedom), abs=1e-9)


def test_students_t_has_the_percentage_points_of_the_tables() -> None:
    """Two-sided 10 % points: 2.920 for 2 degrees of freedom, 2.132 for 4, 1.943 for 6."""
    for freedom, point in ((2, 2.920), (4, 2.132), (6, 1.943)):
        assert float(student_t_below(np.array(-point), freedom // 2)) == pytest.approx(0.05, abs=5e-5)


@pytest.mark.parametrize(("days", "variables"), [(8, 1), (26, 2), (27, 3), (60, 1)])
def test_the_test_is_what_its_definition_gives(days: int, variables: int) -> None:
    rng = np.random.default_rng(days)
    theirs = rng.gamma(4, 2, (days, variables)) * [1.0, 100.0, 0.01][:variables]
    ours = theirs * rng.normal(0.97, 0.1, (days, variables))
    expected, got = oracle(ours.tolist(), theirs.tolist()), paired_test(ours, theirs)
    assert float(got.crps_ratio) == pytest.approx(expected["ratio"], rel=1e-3)
    assert float(got.difference) == pytest.approx(expected["mean"], rel=1e-3)
    assert float(got.standard_error) == pytest.approx(expected["error"], rel=1e-3)
    assert float(got.p_value) == pytest.approx(expected["p"], rel=5e-3)
    assert got.days == days


def test_many_comparisons_at_once_are_each_what_it_is_alone() -> None:
    rng = np.random.default_rng(5)
    ours, theirs = rng.gamma(4, 2, (2, 3, 5, 30, 2))  # two of (3, 5, D, V)
    ours[rng.random(ours.shape) < 0.3] = np.nan
    ours[0, 0, 6:] = np.nan  # too few days there, and elsewhere other numbers of them
    together = paired_test(ours, theirs)
    for i, j in np.ndindex(3, 5):
        alone = paired_test(ours[i, j], theirs[i, j])
        for name in ("crps_ratio", "difference", "standard_error", "p_value", "days"):
            np.testing.assert_allclose(getattr(together, name)[i, j], getattr(alone, name), rtol=1e-9)


def simulated(rng: np.random.Generator, trials: int, days: int, memory: float) -> tuple[np.ndarray, np.ndarray]:
    """Two equal forecasters' scores (trials, D, 2): what the days have in common, and errors of their own that last."""
    noise = rng.normal(0, 1, (2, trials, days + 30, 2))
    for day in range(1, days + 30):
        noise[:, :, day] = memory * noise[:, :, day - 1] + math.sqrt(1 - memory**2) * noise[:, :, day]
    weather = rng.gamma(4, 1, (trials, days, 2))
    ours, theirs = (weather + 10 + noise[:, :, 30:]) * [1.0, 50.0]
    return ours, theirs


@pytest.mark.parametrize(("days", "memory"), [(10, 0.0), (27, 0.0), (58, 0.0), (27, 0.3), (58, 0.3), (58, 0.5)])
def test_equal_forecasters_are_found_different_as_rarely_as_the_level_says(days: int, memory: float) -> None:
    """4,000 trials: the standard error of the share is 0.35 %."""
    ours, theirs = simulated(np.random.default_rng(11), 4000, days, memory)
    wrong = (paired_test(ours, theirs).p_value < 0.05).mean()
    assert wrong == pytest.approx(0.05, abs=0.012 + 0.03 * memory)


def test_days_that_follow_one_another_would_deceive_a_test_that_takes_them_for_independent() -> None:
    ours, theirs = simulated(np.random.default_rng(12), 2000, 58, 0.5)
    daily = ((ours - theirs) / 14 / [1.0, 50.0]).mean(axis=-1)
    naive = daily.mean(axis=1) / (daily.std(axis=1, ddof=1) / math.sqrt(58)) < -1.672  # t with 57 degrees of freedom
    assert naive.mean() > 0.1
    assert (paired_test(ours, theirs).p_value < 0.05).mean() < 0.07


def test_a_small_steady_advantage_is_found() -> None:
    ours, theirs = simulated(np.random.default_rng(13), 1000, 58, 0.2)
    assert (paired_test(ours * 0.95, theirs).p_value < 0.05).mean() > 0.9
    assert (paired_test(ours * 1.05, theirs).p_value < 0.05).mean() == 0


def test_a_day_that_one_of_them_has_no_score_of_counts_for_neither() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = rng.gamma(4, 2, (2, 20, 1))
    ours[4], theirs[9] = np.nan, np.nan
    tampered = theirs.copy()
    tampered[4] = 1e9
    first, second = paired_test(ours, theirs), paired_test(ours, tampered)
    assert first.days == 18
    assert (first.p_value, first.crps_ratio) == (second.p_value, second.crps_ratio)


def test_units_do_not_matter_and_each_variable_counts_alike() -> None:
    rng = np.random.default_rng(4)
    ours, theirs = rng.gamma(4, 2, (2, 30, 2))
    unit = np.array([1.0, 1000.0])
    assert float(paired_test(ours * unit, theirs * unit).p_value) == pytest.approx(
        float(paired_test(ours, theirs).p_value), rel=1e-4
    )
    half_and_double = paired_test(theirs * [0.5, 1.5], theirs)
    assert float(half_and_double.crps_ratio) == pytest.approx(0.75**0.5, rel=1e-4)


def test_equal_forecasters_are_a_tie_whatever_rounding_leaves() -> None:
    scores = np.random.default_rng(6).gamma(4, 2, (30, 2))
    scores[:, 1] = 0  # not a drop of rain
    assert float(paired_test(scores, scores).p_value) == pytest.approx(0.5)
    assert float(paired_test(scores * (1 - 1e-8), scores).p_value) > 0.4


@pytest.mark.parametrize(("days", "proven"), [(LEAST_DAYS - 1, False), (LEAST_DAYS, True)])
def test_too_few_days_prove_nothing(days: int, proven: bool) -> None:
    got = paired_test(np.ones((days, 1)), np.full((days, 1), 2.0))
    assert float(got.crps_ratio) == pytest.approx(0.5, rel=1e-5)
    assert np.isnan(got.p_value) != proven
    assert not proven or got.p_value < 1e-6


def test_what_was_never_scored_together_has_no_numbers() -> None:
    got = paired_test(np.full((20, 1), np.nan), np.ones((20, 1)))
    assert np.isnan([got.crps_ratio, got.difference, got.standard_error, got.p_value]).all()
    assert got.days == 0
