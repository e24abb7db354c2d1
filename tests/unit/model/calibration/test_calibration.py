"""A calibration applied to standard normal quantiles, and the inputs it tells apart."""

import pytest
import torch

from daycast.model.calibration.calibration import INPUTS, inputs_of, join
from unit.model.calibration.normal_quantiles import NORMAL, apply, unchanged


def test_a_quantile_is_moved_with_the_median_and_away_from_it() -> None:
    one = unchanged()
    one.shift[0, 12] = 0.5
    one.stretch[0, 12, :, :, 5] = 2.0  # of q90, at noon
    one.widening[0, INPUTS.index("stale"), :, :, 5] = 1.5
    expected = 0.5 + torch.tensor([-1.6449, -1.2816, -0.6745, 0.0, 0.6745, 1.6449, 2 * 1.2816])  # sorted
    torch.testing.assert_close(apply(one)[7], expected)
    assert apply(one, inputs="stale")[0].max().item() == pytest.approx(0.5 + 1.2816 * 3)
    torch.testing.assert_close(apply(one, hour=13)[0], NORMAL)


def test_what_was_learned_holds_for_the_hours_of_issue_from_then_until_the_next() -> None:
    early, late = unchanged(100), unchanged(200)
    early.shift[:] = 1.0
    late.shift[:] = 2.0
    both = join([early, late])
    moved = [apply(both, issued)[0, 3].item() for issued in (99, 100, 199, 200, 10_000)]
    assert moved == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_a_stale_station_whose_neighbours_are_silent_too_is_alone(make_batch) -> None:
    batch = make_batch(4, missing=0.0)
    batch.mask[1:, -3:] = False
    batch.around[2:, -3:] = 0.0
    batch.mask[3, :-10] = False
    assert [INPUTS[i] for i in inputs_of(batch)] == ["full", "stale", "alone", "cold_start"]
