"""The pinball loss, one number at a time."""

import math
from collections.abc import Callable

import pytest
import torch

from daycast.model.config import QUANTILES
from daycast.model.training.trainer import pinball_loss
from daycast.model.windows import Batch


def test_the_levels_are_those_of_every_forecast() -> None:
    assert QUANTILES == (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@pytest.mark.parametrize("truth_missing", [0.0, 0.4])
def test_the_loss_is_the_mean_over_what_is_there(make_batch: Callable[..., Batch], truth_missing: float) -> None:
    truth = make_batch(3, truth_missing=truth_missing).truth
    quantiles = torch.randn(*truth.shape, 7, generator=torch.Generator().manual_seed(1))
    losses = []
    for index in torch.cartesian_prod(*(torch.arange(n) for n in truth.shape)).tolist():
        y = truth[tuple(index)].item()
        if math.isnan(y):
            continue
        for level, q in zip((0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95), quantiles[tuple(index)].tolist(), strict=True):
            losses.append(level * (y - q) if y >= q else (1 - level) * (q - y))
    assert pinball_loss(quantiles, truth).item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_a_perfect_forecast_costs_nothing() -> None:
    truth = torch.tensor([[[1.5], [-2.0]]])
    assert pinball_loss(truth[..., None].expand(-1, -1, -1, 7), truth).item() == 0.0


def test_a_suspect_truth_counts_by_its_weight() -> None:
    """Seven quantiles at 0 cost half the distance: 1 for a truth of 2, and 4 for one of 8 that counts half."""
    truth = torch.tensor([[[2.0], [8.0], [math.nan]]])
    weight = torch.tensor([[[1.0], [0.5], [0.5]]])
    quantiles = torch.zeros(1, 3, 1, 7, requires_grad=True)
    assert pinball_loss(quantiles, truth).item() == pytest.approx((1 + 4) / 2)
    loss = pinball_loss(quantiles, truth, weight)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 0.5 * 4) / (1 + 0.5))
    median = quantiles.grad[0, :, 0, 3]  # raising it by 1 saves half of that on one level of seven
    assert median.tolist() == pytest.approx([-0.5 / 7 / 1.5, -0.25 / 7 / 1.5, 0.0])


def test_a_suspect_truth_alone_costs_what_it_would_unsuspected() -> None:
    truth = torch.tensor([[[8.0], [math.nan]]])
    assert pinball_loss(torch.zeros(1, 2, 1, 7), truth, torch.full((1, 2, 1), 0.5)).item() == pytest.approx(4.0)


def test_equal_weights_are_none_bit_for_bit(make_batch: Callable[..., Batch]) -> None:
    truth = make_batch(5, truth_missing=0.3).truth
    quantiles = torch.randn(*truth.shape, 7, generator=torch.Generator().manual_seed(1))
    assert torch.equal(pinball_loss(quantiles, truth, torch.ones_like(truth)), pinball_loss(quantiles, truth))


@pytest.mark.parametrize("weight", [None, 0.5])
def test_where_every_truth_is_missing_there_is_no_loss_and_no_gradient(weight: float | None) -> None:
    quantiles = torch.ones(1, 2, 1, 7, requires_grad=True)
    weights = None if weight is None else torch.full((1, 2, 1), weight)
    loss = pinball_loss(quantiles, torch.full((1, 2, 1), math.nan), weights)
    loss.backward()
    assert loss.item() == 0.0
    assert (quantiles.grad == 0).all()
