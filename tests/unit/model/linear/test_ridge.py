"""Ridge in closed form: exact where the world is linear, and scikit-learn's ridge where it is not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.model.linear.ridge import (
    Features,
    add_moments,
    linear_forecast,
    path_features,
    ridge_features,
    sum_moments,
)
from daycast.model.windows import Batch

P = 168 + 24 * 5 + 1  # one channel's history, the calendar of the horizon, a constant


def fit(batch: Batch, penalty: float, features: Features = ridge_features, targets: int = 1) -> torch.Tensor:
    """The weights of one batch."""
    return sum_moments([batch], targets, features).solve([penalty] * targets)


def with_truth(batch: Batch, departure: np.ndarray) -> Batch:
    """The windows, with the last value and a departure (B, H, 1) as the truth."""
    return replace(batch, truth=batch.last[:, None] + torch.tensor(departure, dtype=torch.float32))


def with_half_weights(truth: torch.Tensor) -> torch.Tensor:
    """Weights of 1 and, in a third of the places, of 0.5."""
    doubted = torch.rand(truth.shape, generator=torch.Generator().manual_seed(7)) < 1 / 3
    return torch.where(doubted, 0.5, 1.0)


def test_it_reads_the_whole_history_the_calendar_to_come_and_a_constant(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(3, channels=1)
    features = ridge_features(batch)
    assert features.shape == (3, P)
    assert torch.equal(features[:, :168], batch.filled[..., 0])
    assert torch.equal(features[:, 168:-1].unflatten(1, (24, 5)), batch.calendar[:, 168:])
    assert (features[:, -1] == 1).all()


def test_without_weights_it_is_persistence(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(3)
    forecast = linear_forecast(torch.zeros(2 * 168 + 121, 24 * 2), batch, 2, ridge_features)
    assert torch.equal(forecast, batch.last[:, None].expand(-1, 24, -1))


def test_it_recovers_a_linear_relation(make_batch: Callable[..., Batch]) -> None:
    """Half the change since an hour before, times the lead, and a constant: three weights of 289, for every lead."""
    batch = make_batch(900, channels=1)
    change = (batch.filled[:, 167] - batch.filled[:, 166]).numpy()  # (B, 1)
    lead = np.arange(1, 25)
    batch = with_truth(batch, (0.5 * change * lead + 0.25)[..., None])
    weights = fit(batch, 1e-8)
    expected = torch.zeros(P, 24)
    expected[167], expected[166], expected[-1] = 0.5 * torch.tensor(lead), -0.5 * torch.tensor(lead), 0.25
    torch.testing.assert_close(weights, expected, atol=2e-3, rtol=0)
    fresh = make_batch(5, channels=1, seed=8)
    change = (fresh.filled[:, 167] - fresh.filled[:, 166]).numpy()
    expected_forecast = fresh.last[:, None] + torch.tensor((0.5 * change * lead + 0.25)[..., None])
    torch.testing.assert_close(
        linear_forecast(weights, fresh, 1, ridge_features), expected_forecast.float(), atol=0.05, rtol=0
    )


@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_on_complete_data_it_is_ridge_with_an_unpenalised_constant(
    make_batch: Callable[..., Batch], penalty: float
) -> None:
    """Its penalty is relative to the number of windows: scikit-learn's alpha is penalty × windows."""
    rng = np.random.default_rng(4)
    batch = with_truth(make_batch(200, channels=1), 3.0 + rng.normal(size=(200, 24, 1)))
    weights = fit(batch, penalty)
    x = ridge_features(batch)[:, :-1].double().numpy()
    y = (batch.truth - batch.last[:, None])[..., 0].double().numpy()
    from sklearn.linear_model import Ridge  # here, for it takes two seconds of every process that collects tests

    reference = Ridge(alpha=penalty * 200).fit(x, y)
    np.testing.assert_allclose(weights[:-1].numpy(), reference.coef_.T, atol=1e-3)
    np.testing.assert_allclose(weights[-1].numpy(), reference.intercept_, atol=1e-3)


def test_the_windows_may_come_in_any_pieces(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(120, channels=1, truth_missing=0.2)
    batch = replace(batch, weight=with_half_weights(batch.truth))

    def piece(start: int, end: int) -> Batch:
        parts = {name: getattr(batch, name) for name in Batch.__dataclass_fields__}
        return Batch(**{name: part[start:end] for name, part in parts.items() if part is not None})

    pieces = [piece(0, 7), piece(7, 100), piece(100, 120)]
    parts = [sum_moments([part], 1, ridge_features) for part in pieces]
    for sums in (
        sum_moments(pieces, 1, ridge_features),
        add_moments(parts),
        add_moments([*parts, parts[1]]) - parts[1],
    ):
        assert sums.windows == 120
        torch.testing.assert_close(sums.solve([0.1]), fit(batch, 0.1), atol=1e-3, rtol=1e-3)


def test_each_target_has_its_own_penalty(make_batch: Callable[..., Batch]) -> None:
    moments = sum_moments([make_batch(80, channels=2)], 2, ridge_features)
    weights = moments.solve([0.1, 3.0]).unflatten(1, (24, 2))
    for target, penalty in enumerate((0.1, 3.0)):
        alike = moments.solve([penalty, penalty]).unflatten(1, (24, 2))
        torch.testing.assert_close(weights[..., target], alike[..., target])


def test_the_path_also_reads_the_neighbours_and_the_newest_day_by_the_hour(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(3, channels=1)
    features = path_features(batch)
    assert torch.equal(features[:, :72], batch.around[..., 0])
    cosine, sine = batch.calendar[:, 167, 1:2], batch.calendar[:, 167, 2:3]
    assert torch.equal(features[:, 72:96], batch.filled[:, 144:, 0] * cosine)
    assert torch.equal(features[:, 96:120], batch.filled[:, 144:, 0] * sine)
    assert torch.equal(features[:, 120:], ridge_features(batch))


def test_a_lead_without_any_truth_keeps_the_last_value(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(50, channels=1)
    batch.truth[:, 5] = torch.nan
    weights = fit(batch, 0.1)
    assert (weights[:, 5] == 0).all()
    assert (weights[:, 4] != 0).any()


def test_the_moments_of_missing_truth_are_scaled_by_its_count(make_batch: Callable[..., Batch]) -> None:
    """A constant departure of 2 in the windows that have a truth is a constant of 2, not of 2 × the fraction that has one."""
    batch = make_batch(400, channels=1)
    batch = with_truth(replace(batch, filled=torch.zeros_like(batch.filled)), np.full((400, 24, 1), 2.0))
    batch.truth[::2] = torch.nan
    weights = fit(batch, 10.0)
    assert linear_forecast(weights, batch, 1, ridge_features).mean().item() == pytest.approx(2.0, abs=0.02)


def test_a_suspect_truth_weighs_half(make_batch: Callable[..., Batch]) -> None:
    """A departure of 2 in half of the windows and a suspect one of 8 in the others: (2 + 0.5 × 8) / 1.5 = 4 on average."""
    departure = np.where(np.arange(400) % 2, 8.0, 2.0)[:, None, None].repeat(24, axis=1)
    batch = make_batch(400, channels=1)
    batch = with_truth(replace(batch, filled=torch.zeros_like(batch.filled)), departure)
    batch = replace(batch, weight=torch.where(batch.truth == 8, 0.5, 1.0))
    weights = fit(batch, 1000.0)
    torch.testing.assert_close(weights[-1], torch.full((24,), 4.0), atol=0.02, rtol=0)


def test_the_weighted_fit_is_that_of_weighted_moments(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(60, channels=1, truth_missing=0.2)
    batch = replace(batch, weight=with_half_weights(batch.truth))
    batch.truth[1:, 5] = torch.nan
    batch.weight[0, 5] = 0.5  # the only truth of its lead
    weights = fit(batch, 0.5)
    x = ridge_features(batch).double().numpy()
    gram = x.T @ x / 60 + np.diag([0.5] * (P - 1) + [1e-9])
    for lead in range(24):
        pairs = [
            (batch.weight[b, lead, 0].item(), x[b] * (batch.truth[b, lead, 0] - batch.last[b, 0]).item())
            for b in range(60)
            if not batch.truth[b, lead, 0].isnan()
        ]
        moment = sum(w * xy for w, xy in pairs) / sum(w for w, _ in pairs)
        np.testing.assert_allclose(weights[:, lead].numpy(), np.linalg.solve(gram, moment), atol=1e-4)


def test_equal_weights_give_the_fit_without_bit_for_bit(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(80, channels=1, truth_missing=0.2)
    weighed = replace(batch, weight=torch.ones_like(batch.truth))
    plain, equal = (fit(one, 0.1) for one in (batch, weighed))
    assert torch.equal(equal, plain)
