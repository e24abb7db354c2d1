"""Cross-fitting: each training window is forecast by weights that did not see it; one pass serves both linear models."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.linear.fit import FOLDS, cross_fit, fit_linear, fit_nested, fold_of_hours
from daycast.model.linear.ridge import linear_forecast, path_features, ridge_features, sum_moments
from daycast.model.windows import Batch, Windows


def folds(make_batch: Callable[..., Batch], departures: tuple[float, ...]) -> list[Batch]:
    """A fold of 60 windows for each of the departures: that is what comes, and nothing else tells."""
    batches = [make_batch(60, channels=1, seed=number) for number in range(len(departures))]
    return [
        replace(batch, truth=batch.last[:, None, :1] + torch.full((60, 24, 1), departure))
        for batch, departure in zip(batches, departures, strict=True)
    ]


def test_pieces_of_ten_days_take_turns_or_shorter_ones_where_there_is_little() -> None:
    fold = fold_of_hours(Block(5, 5 + 24 * 730), 24 * 800)
    assert (fold[:5] == 0).all()
    assert fold[5 : 5 + 24 * 110].reshape(11, 240).tolist() == [[k % FOLDS] * 240 for k in range(11)]
    short = fold_of_hours(Block(0, 24 * 35), 24 * 35)
    assert set(short) == set(range(FOLDS))
    assert (np.bincount(short) == 84).all()  # four pieces of 21 hours each


def test_a_window_is_forecast_by_the_weights_of_the_other_folds(make_batch: Callable[..., Batch]) -> None:
    """With departures of 0, 3 and 9 the others of each say 6, 4.5 and 1.5 on average, and all together 4."""
    parts = folds(make_batch, (0.0, 3.0, 9.0))
    moments = [sum_moments([part], 1, ridge_features) for part in parts]
    fit = cross_fit(moments, [[part] for part in parts], torch.tensor([0, 1, 2, 2]), 1, ridge_features)
    for fold, expected in enumerate((6.0, 4.5, 1.5)):
        departure = fit.forecast(parts[fold], torch.full((60,), fold)) - parts[fold].last[:, None, :1]
        assert departure.mean().item() == pytest.approx(expected, abs=0.4)
    everything = linear_forecast(fit.weights, parts[0], 1, ridge_features) - parts[0].last[:, None, :1]
    mixed = fit.forecast(parts[0], torch.arange(60) % 4)
    apart = torch.stack([fit.forecast(parts[0], torch.full((60,), k))[b] for b, k in enumerate(torch.arange(60) % 4)])
    torch.testing.assert_close(mixed, apart)
    assert everything.mean().item() != pytest.approx(6.0, abs=0.5)


def test_the_penalty_is_the_one_under_which_the_folds_left_out_err_least(make_batch: Callable[..., Batch]) -> None:
    """What is pure noise is best shrunk most; what follows the last hours without noise least."""
    noise = [make_batch(80, channels=1, seed=k) for k in range(3)]
    plain = [
        replace(b, truth=b.last[:, None, :1] + (b.filled[:, 167] - b.filled[:, 166])[:, None].expand(-1, 24, -1))
        for b in (make_batch(400, channels=1, seed=k) for k in range(3))
    ]
    for batches, expected in ((noise, 0.1), (plain, 0.001)):
        moments = [sum_moments([batch], 1, ridge_features) for batch in batches]
        fit = cross_fit(moments, [[batch] for batch in batches], torch.zeros(1, dtype=torch.int64), 1, ridge_features)
        assert fit.penalties == (expected,)


def test_one_fold_alone_is_forecast_by_itself(make_batch: Callable[..., Batch]) -> None:
    (part,) = folds(make_batch, (2.0,))
    fit = cross_fit(
        [sum_moments([part], 1, ridge_features)], [[part]], torch.zeros(1, dtype=torch.int64), 1, ridge_features
    )
    assert torch.equal(fit.without[0], fit.weights)


TRAIN = Block(0, 960)


def test_features_nested_in_others_are_fitted_as_by_themselves(
    make_plain_panel: Callable[[np.ndarray], Panel],
) -> None:
    values = np.random.default_rng(3).normal(size=(2, 1440, 1)).cumsum(axis=1) * 0.1
    scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    windows = Windows(make_plain_panel(values), scale, torch.device("cpu"))
    both = fit_nested(windows, TRAIN, 1, path_features, ridge_features, seed=1)
    for fit, features in zip(both, (path_features, ridge_features), strict=True):
        single = fit_linear(windows, TRAIN, 1, features, seed=1)
        assert fit.path.penalties == single.path.penalties
        for own, other in ((fit.path.weights, single.path.weights), (fit.refreshed, single.refreshed)):
            torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(fit.held_out[0][1], single.held_out[0][1], atol=1e-3, rtol=0)
