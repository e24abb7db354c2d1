"""Calibrations learned from hindcasts whose right correction is known beforehand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.model.calibration.calibration import INPUTS, Calibration
from daycast.model.calibration.conformal import calibrate, weighted_quantiles
from daycast.model.calibration.hindcasts import LOOK_BACK_DAYS, Hindcasts
from unit.model.calibration.normal_quantiles import NORMAL, NOW, H, apply


def hindcasts(days: int = LOOK_BACK_DAYS, spread: float = 1.0, bias: float = 0.0, seed: int = 0) -> Hindcasts:
    """Two windows an hour of truth that is bias + spread * standard normal, forecast as standard normal."""
    issued = torch.arange(NOW - 24 * days, NOW - H).repeat(2)
    truth = bias + spread * torch.randn(len(issued), H, 1, generator=torch.Generator().manual_seed(seed))
    return Hindcasts(
        quantiles={"gru": NORMAL.expand(len(issued), H, 1, 7).clone()},
        truth=truth,
        known_from=issued[:, None] + torch.arange(1, H + 1),
        issued=issued,
        hour=issued % 24,
        inputs=torch.zeros(len(issued), dtype=torch.long),
        masked=torch.zeros(len(issued), dtype=torch.bool),
        superseded=torch.zeros(len(issued), dtype=torch.bool),
    )


def test_the_weighted_quantile_is_the_smallest_value_that_its_share_of_the_weight_does_not_exceed() -> None:
    values = np.array([[3.0, 1.0, 2.0, np.nan], [np.nan] * 4], dtype=np.float32)
    weights = np.array([1.0, 2.0, 1.0, 5.0])  # in order: 1 weighs 2, 2 weighs 1, 3 weighs 1
    for level, expected in ((0.4, 1.0), (0.5, 1.0), (0.6, 2.0), (0.75, 2.0), (0.8, 3.0), (1.0, 3.0)):
        found = weighted_quantiles(values, weights[None], np.array([[level]]))
        np.testing.assert_array_equal(found, [[[expected], [np.nan]]])


def test_weighted_quantiles_of_many_values_are_those_of_a_plain_sort() -> None:
    rng = np.random.default_rng(0)
    values = rng.choice(
        np.array([-np.inf, -2.5, -1e-30, -0.0, 0.0, 1e-30, 0.5, 7.0, np.inf, np.nan, -np.nan], np.float32), (40, 90)
    )
    weights, levels = rng.integers(0, 4, (3, 90)), rng.random((40, 2))
    found = weighted_quantiles(values, weights, levels)
    for weight, quantiles in zip(weights, found, strict=True):
        for row, shares, own in zip(values, levels, quantiles, strict=True):
            repeated = np.repeat(row, weight)
            repeated = np.sort(repeated[~np.isnan(repeated)])
            np.testing.assert_array_equal(own, repeated[np.ceil(shares * len(repeated)).astype(int) - 1])


def test_fixed_distances_from_the_median_are_only_a_faster_way_to_the_same_calibration() -> None:
    plain = hindcasts(bias=0.5, spread=1.4)
    varied = plain.quantiles["gru"] * torch.linspace(0.999, 1.001, len(plain.issued))[:, None, None, None]
    assert_close(calibrate(plain, NOW)["gru"], calibrate(replace(plain, quantiles={"gru": varied}), NOW)["gru"])


@pytest.mark.parametrize("spread", [0.6, 1.0, 1.8])
def test_intervals_of_the_wrong_width_are_set_right(spread: float) -> None:
    learned = calibrate(hindcasts(spread=spread), NOW)["gru"]
    calibrated = apply(learned).mean(dim=0)
    grown = np.log((calibrated[6] - calibrated[0]).item() / (2 * 1.6449))
    assert grown == pytest.approx(0.9 * np.log(spread), abs=0.06)  # most of it is believed, not all


@pytest.mark.parametrize(("spread", "least", "most"), [(0.01, 0.25, 0.35), (100.0, 4.5, 6.0)])
def test_widths_change_within_limits(spread: float, least: float, most: float) -> None:
    stretch = calibrate(hindcasts(spread=spread), NOW)["gru"].stretch[..., [0, 1, 2, 4, 5, 6]]
    assert least <= stretch.min().item()
    assert stretch.max().item() <= most


def test_a_bias_is_taken_out_of_all_levels_alike() -> None:
    calibrated = apply(calibrate(hindcasts(bias=-2.0), NOW)["gru"]).mean(dim=0)
    assert calibrated[3].item() == pytest.approx(-2.0 * 0.75 * 0.9, abs=0.15)
    assert (calibrated[5] - calibrated[1]).item() == pytest.approx(2 * 1.2816, rel=0.25)


def test_what_was_not_known_by_then_changes_nothing() -> None:
    plain = hindcasts()
    late = plain.known_from > NOW - 100
    wrong = plain.truth.where(~late[..., None], 50.0)
    altered = replace(plain, truth=wrong, known_from=plain.known_from.where(~late, NOW + 1))
    missing = replace(plain, truth=plain.truth.where(~late[..., None], torch.nan))
    assert_equal(calibrate(altered, NOW)["gru"], calibrate(missing, NOW)["gru"])


def test_what_was_issued_later_changes_nothing() -> None:
    plain, then = hindcasts(), NOW - 500
    assert_equal(calibrate(plain, then)["gru"], calibrate(plain.select(plain.issued < then), then)["gru"])


def assert_equal(one: Calibration, other: Calibration) -> None:
    for mine, theirs in zip(vars(one).values(), vars(other).values(), strict=True):
        assert torch.equal(mine, theirs)


def assert_close(one: Calibration, other: Calibration) -> None:
    for mine, theirs in zip(vars(one).values(), vars(other).values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.01, atol=0.01)


def test_every_hour_of_issue_learns_from_similar_hours() -> None:
    plain = hindcasts()
    at_night = plain.hour < 6
    learned = (
        calibrate(replace(plain, truth=plain.truth + 3.0 * at_night[:, None, None]), NOW)["gru"]
        .shift[0]
        .mean(dim=(1, 2))
    )
    assert learned[3] > 1.8
    assert learned[3] > learned[4] > learned[5] > learned[6] > learned[7]  # the fewer of its like are of the night
    assert learned[12].abs() < 0.1


def test_the_newest_weeks_count_most() -> None:
    plain = hindcasts()
    old = plain.issued < NOW - 45 * 24
    learned = calibrate(replace(plain, truth=plain.truth + 3.0 * old[:, None, None]), NOW)["gru"].shift.mean()
    assert learned.item() < 1.0  # the newer half of the days outweighs the older
    everything = calibrate(replace(plain, truth=plain.truth + 3.0), NOW)["gru"].shift.mean()
    assert everything.item() > 1.8


def test_hindcasts_of_superseded_weights_count_little_beside_current_ones() -> None:
    plain = hindcasts()
    superseded = plain.issued < NOW - 20 * 24  # nearly half of what counts
    biased = replace(plain, truth=plain.truth + 3.0 * superseded[:, None, None])
    learned = [
        calibrate(replace(biased, superseded=own), NOW)["gru"].shift.mean() for own in (biased.superseded, superseded)
    ]
    assert learned[0].item() > 0.8
    assert learned[1].item() < 0.3
    only = calibrate(replace(plain, truth=plain.truth + 3.0, superseded=plain.issued < NOW), NOW)["gru"].shift.mean()
    assert 0.5 < only.item() < 2.0  # nothing better is known, so it is believed in part


def test_the_width_allows_for_a_median_error_that_holds_for_its_own_weeks_only() -> None:
    plain = hindcasts()
    apart = 1.5 * (-1.0) ** ((NOW - plain.issued) // (7 * 24))  # one week too high, one week too low
    by_week = calibrate(replace(plain, truth=plain.truth + apart[:, None, None]), NOW)["gru"]
    shuffled = apart[torch.randperm(len(apart), generator=torch.Generator().manual_seed(1))]
    by_window = calibrate(replace(plain, truth=plain.truth + shuffled[:, None, None]), NOW)["gru"]
    assert (by_week.stretch[..., [1, 5]] / by_window.stretch[..., [1, 5]]).mean().item() > 1.1


def test_a_few_days_move_little() -> None:
    shifts = [calibrate(hindcasts(days, bias=1.0), NOW)["gru"].shift.mean().item() for days in (3, 10, 90)]
    assert 0.1 < shifts[0] < shifts[1] < shifts[2] < 0.75
    assert shifts[0] < 0.5 * shifts[2]


def test_poorer_inputs_are_widened_by_what_they_cost() -> None:
    plain = hindcasts()
    stale = plain.issued % 3 == 0
    inputs = torch.where(stale, INPUTS.index("stale"), 0)
    truth = plain.truth * torch.where(stale, 2.0, 1.0)[:, None, None]
    learned = calibrate(replace(plain, truth=truth, inputs=inputs, masked=stale), NOW)["gru"]
    widening = learned.widening[0].mean(dim=(1, 2)).log() / np.log(2)
    assert widening[INPUTS.index("stale"), [0, 1, 5, 6]] == pytest.approx(0.9, abs=0.12)
    assert (learned.widening[0, [0, 1, 3, 4]] == 1).all()
    assert learned.stretch.log().mean().abs() < 0.02  # of the usual inputs


def test_without_truth_nothing_changes() -> None:
    plain = hindcasts()
    learned = calibrate(replace(plain, truth=torch.full_like(plain.truth, torch.nan)), NOW)["gru"]
    torch.testing.assert_close(apply(learned), NORMAL.expand(H, 7))
