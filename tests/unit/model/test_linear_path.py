"""The linear path: exact where the world is linear, and scikit-learn's ridge where it is not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from daycast.model.linear_path import fit_linear_path, linear_error, linear_features, linear_forecast
from daycast.model.windows import Batch

P = 168 + 24 * 5 + 1  # one channel's history, the calendar of the horizon, a constant


def with_truth(batch: Batch, departure: np.ndarray) -> Batch:
    """The windows, with the last value and a departure (B, H, 1) as what came."""
    return replace(batch, truth=batch.last[:, None] + torch.tensor(departure, dtype=torch.float32))


def with_half_weights(truth: torch.Tensor) -> torch.Tensor:
    """Weights of 1 and, in a third of the places, of 0.5."""
    doubted = torch.rand(truth.shape, generator=torch.Generator().manual_seed(7)) < 1 / 3
    return torch.where(doubted, 0.5, 1.0)


def test_it_reads_the_whole_history_the_calendar_to_come_and_a_constant(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(3, channels=1)
    features = linear_features(batch)
    assert features.shape == (3, P)
    assert torch.equal(features[:, :168], batch.filled[..., 0])
    assert torch.equal(features[:, 168:-1].unflatten(1, (24, 5)), batch.calendar[:, 168:])
    assert (features[:, -1] == 1).all()


def test_without_weights_it_is_persistence(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(3)
    forecast = linear_forecast(torch.zeros(2 * 168 + 121, 24 * 2), batch, 2)
    assert torch.equal(forecast, batch.last[:, None].expand(-1, 24, -1))


def test_it_recovers_a_linear_relation(make_batch: Callable[..., Batch]) -> None:
    """Half the change since an hour before, times the lead, and a constant: three weights of 289, for every lead."""
    batch = make_batch(900, channels=1)
    change = (batch.filled[:, 167] - batch.filled[:, 166]).numpy()  # (B, 1)
    lead = np.arange(1, 25)
    batch = with_truth(batch, (0.5 * change * lead + 0.25)[..., None])
    (weights,) = fit_linear_path([batch], 1, penalties=(1e-8,))
    expected = torch.zeros(P, 24)
    expected[167], expected[166], expected[-1] = 0.5 * torch.tensor(lead), -0.5 * torch.tensor(lead), 0.25
    torch.testing.assert_close(weights, expected, atol=2e-3, rtol=0)
    fresh = make_batch(5, channels=1, seed=8)
    change = (fresh.filled[:, 167] - fresh.filled[:, 166]).numpy()
    expected_forecast = fresh.last[:, None] + torch.tensor((0.5 * change * lead + 0.25)[..., None])
    torch.testing.assert_close(linear_forecast(weights, fresh, 1), expected_forecast.float(), atol=0.05, rtol=0)


@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_on_complete_data_it_is_ridge_with_an_unpenalised_constant(
    make_batch: Callable[..., Batch], penalty: float
) -> None:
    """Its penalty is relative to the number of windows: scikit-learn's alpha is penalty × windows."""
    rng = np.random.default_rng(4)
    batch = with_truth(make_batch(200, channels=1), 3.0 + rng.normal(size=(200, 24, 1)))
    (weights,) = fit_linear_path([batch], 1, penalties=(penalty,))
    x = linear_features(batch)[:, :-1].double().numpy()
    y = (batch.truth - batch.last[:, None])[..., 0].double().numpy()
    reference = Ridge(alpha=penalty * 200).fit(x, y)
    np.testing.assert_allclose(weights[:-1].numpy(), reference.coef_.T, atol=1e-3)
    np.testing.assert_allclose(weights[-1].numpy(), reference.intercept_, atol=1e-3)


def test_the_windows_may_come_in_any_pieces(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(120, channels=1, truth_missing=0.2)
    batch = replace(batch, weight=with_half_weights(batch.truth))

    def piece(start: int, end: int) -> Batch:
        return Batch(*(getattr(batch, part)[start:end] for part in Batch.__dataclass_fields__))

    several = (0.1, 1.0)
    whole = fit_linear_path([batch], 1, several)
    pieces = fit_linear_path([piece(0, 7), piece(7, 100), piece(100, 120)], 1, several)
    assert len(whole) == len(pieces) == 2
    for one, other in zip(whole, pieces, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_a_lead_without_any_truth_keeps_the_last_value(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(50, channels=1)
    batch.truth[:, 5] = torch.nan
    (weights,) = fit_linear_path([batch], 1, penalties=(0.1,))
    assert (weights[:, 5] == 0).all()
    assert (weights[:, 4] != 0).any()


def test_missing_truth_weighs_by_what_is_there(make_batch: Callable[..., Batch]) -> None:
    """A constant departure of 2 in the windows that have a truth is a constant of 2, not of 2 × the share that has one."""
    batch = make_batch(400, channels=1)
    batch = with_truth(replace(batch, filled=torch.zeros_like(batch.filled)), np.full((400, 24, 1), 2.0))
    batch.truth[::2] = torch.nan
    (weights,) = fit_linear_path([batch], 1, penalties=(10.0,))
    assert linear_forecast(weights, batch, 1).mean().item() == pytest.approx(2.0, abs=0.02)


def test_a_suspect_truth_weighs_half(make_batch: Callable[..., Batch]) -> None:
    """A departure of 2 in half of the windows and a suspect one of 8 in the others: (2 + 0.5 × 8) / 1.5 = 4 on average."""
    departure = np.where(np.arange(400) % 2, 8.0, 2.0)[:, None, None].repeat(24, axis=1)
    batch = make_batch(400, channels=1)
    batch = with_truth(replace(batch, filled=torch.zeros_like(batch.filled)), departure)
    batch = replace(batch, weight=torch.where(batch.truth == 8, 0.5, 1.0))
    (weights,) = fit_linear_path([batch], 1, penalties=(1000.0,))
    torch.testing.assert_close(weights[-1], torch.full((24,), 4.0), atol=0.02, rtol=0)


def test_the_weighted_fit_is_that_of_weighted_moments(make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(60, channels=1, truth_missing=0.2)
    batch = replace(batch, weight=with_half_weights(batch.truth))
    batch.truth[1:, 5] = torch.nan
    batch.weight[0, 5] = 0.5  # the only truth of its lead
    (weights,) = fit_linear_path([batch], 1, penalties=(0.5,))
    x = linear_features(batch).double().numpy()
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
    (plain,), (equal,) = (fit_linear_path([one], 1, penalties=(0.1,)) for one in (batch, weighed))
    assert torch.equal(equal, plain)


def test_the_error_of_the_linear_path_counts_each_truth_by_its_weight(make_batch: Callable[..., Batch]) -> None:
    departure = np.array([1.0, 5.0, np.nan] * 8)[None, :, None]
    batch = with_truth(make_batch(1, channels=1), departure)
    persistence = torch.zeros(P, 24)
    assert linear_error(persistence, batch, 1) == pytest.approx(3.0, rel=1e-5)
    weight = torch.tensor([1.0, 0.5, 0.5] * 8)[None, :, None]
    assert linear_error(persistence, replace(batch, weight=weight), 1) == pytest.approx((1 + 2.5) / 1.5, rel=1e-5)
