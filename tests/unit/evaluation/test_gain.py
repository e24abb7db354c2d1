"""What to expect of a forecaster in another's place: what many steady days show, less of what few and unsteady ones do."""

import numpy as np
import pytest

from daycast.evaluation.gain import average, estimate_gain

D = 60


def days(level: float, noise: float = 0.0, seed: int = 1, count: int = D) -> np.ndarray:
    """Daily scores whose mean is exactly this level."""
    rng = np.random.default_rng(seed)
    scores = 1 + noise * rng.standard_normal(count)
    return level * scores / scores.mean()


def test_a_better_candidate_has_a_gain_below_what_was_measured_and_a_worse_one_a_loss() -> None:
    better, worse = (estimate_gain(days(level, 0.1, 2), days(1.0, 0.1)) for level in (0.9, 1 / 0.9))
    assert better.crps_ratio == pytest.approx(0.9, rel=1e-5)
    assert 0.5 * -np.log(0.9) < better.expected < -np.log(0.9)
    assert worse.expected == pytest.approx(-better.expected, rel=0.05)
    assert better.chance > 0.95
    assert worse.chance < 0.05


def test_equal_ones_gain_nothing_and_are_better_as_likely_as_not() -> None:
    dry = np.zeros(D)
    for scores in (days(1.0, 0.1), dry):
        gain = estimate_gain(scores, scores)
        assert (gain.crps_ratio, gain.expected, gain.chance) == (1.0, 0.0, 0.5)


def test_unsteady_or_few_days_say_less() -> None:
    steady = estimate_gain(days(0.9, 0.05, 2), days(1.0, 0.05))
    unsteady = estimate_gain(days(0.9, 1.5, 2), days(1.0, 1.5))
    few = estimate_gain(days(0.9, 0.05, 2, 5), days(1.0, 0.05, 1, 5))
    assert steady.expected > 1.5 * unsteady.expected > 0
    assert steady.expected > 1.5 * few.expected > 0
    assert steady.error < few.error
    assert (steady.days, few.days) == (D, 5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_day_or_two_are_no_reason_to_fail(count: int) -> None:
    gain = estimate_gain(days(0.5, 0.1, 2, count), days(1.0, 0.1, 1, count))
    assert 0 < gain.expected < 0.3 * np.log(2)


def test_without_a_day_in_common_the_prior_is_all_there_is() -> None:
    gain = estimate_gain(np.full(D, np.nan), days(1.0), prior=0.02)
    assert np.isnan(gain.crps_ratio)
    assert (gain.expected, gain.chance, gain.days) == (0.02, 0.5, 0)


def test_the_prior_counts_the_more_the_less_the_days_say() -> None:
    sure, unsure = (
        [estimate_gain(days(1.0, noise, 2), days(1.0, noise), prior=prior).expected for prior in (0.0, 0.05)]
        for noise in (0.01, 1.5)
    )
    assert 0 < sure[1] - sure[0] < unsure[1] - unsure[0] < 0.05


def test_only_days_with_both_scores_count() -> None:
    candidate, rival = days(0.8, 0.1, 2), days(1.0, 0.1)
    whole = estimate_gain(candidate[:40], rival[:40])
    rival = np.concatenate([rival[:40], np.full(20, np.nan)])
    holed = estimate_gain(candidate, rival)
    assert holed.days == 40
    assert holed.crps_ratio == pytest.approx(whole.crps_ratio)


def test_a_variable_whose_weeks_say_nothing_does_not_drown_the_others() -> None:
    """Four variables are 6 % better on steady days; two showers make the fifth look twice as bad."""
    rng = np.random.default_rng(5)
    rival = 1 + 0.1 * rng.standard_normal((5, D))
    candidate = 0.94 * (1 + 0.1 * rng.standard_normal((5, D)))
    rival[4], candidate[4] = 1e-3, 1e-3
    rival[4, [10, 40]], candidate[4, [10, 40]] = [1.0, 0.5], [0.1, 3.0]
    of_each = estimate_gain(candidate, rival)
    gain = average(of_each)
    assert np.log(of_each.crps_ratio).mean() > 0.05  # each alike, the candidate is worse
    assert gain.crps_ratio < 0.96  # what is told agrees with what is expected
    assert gain.expected > 0.01
    assert gain.chance > 0.65


def test_differences_in_weeks_that_are_far_below_the_usual_count_little() -> None:
    """A hundredth of a millimetre where rain is usually missed by a tenth: half the CRPS, a twentieth of the usual one."""
    dry = days(0.005, 0.1, 2), days(0.01, 0.1)
    believed, known = estimate_gain(*dry), estimate_gain(*dry, usual=0.1)
    assert known.crps_ratio == believed.crps_ratio == pytest.approx(0.5, rel=1e-3)
    assert believed.expected > 0.3
    assert 0 < known.expected < 0.06
    assert estimate_gain(*dry, usual=0.001).expected == believed.expected


def test_the_average_leaves_out_the_ratio_of_what_was_not_compared() -> None:
    compared = estimate_gain(np.stack([days(0.5), np.full(D, np.nan)]), np.stack([days(1.0)] * 2), prior=0.1)
    gain = average(compared)
    assert (gain.crps_ratio, gain.days) == (pytest.approx(0.5, rel=1e-4), D)
    assert gain.expected == pytest.approx((compared.expected[0] + 0.1) / 2)
    assert np.isnan(average(estimate_gain(np.full((1, D), np.nan), np.ones((1, D)))).crps_ratio)
