"""The baselines, on cases small enough to check by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.model.baselines import (
    calendar_cells,
    fit_climatology,
    mean_departures,
    persistence,
    residual_quantiles,
    same_hour_yesterday,
)
from daycast.model.windows import Batch, Windows

LEVELS = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
nan = np.nan
ONE = Scale(np.zeros(2, np.float32), np.ones(2, np.float32))


def window(make_plain_panel: Callable[[np.ndarray], Panel], values: np.ndarray, t0: int) -> Batch:
    """The unscaled window of one series (T,)."""
    scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    panel = make_plain_panel(values[None, :, None])
    return Windows(panel, scale, torch.device("cpu")).gather(torch.tensor([0]), torch.tensor([t0]))


def test_persistence_is_the_last_known_value_at_every_lead(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    series = np.arange(240.0)
    series[199:201] = nan
    forecast = persistence(window(make_plain_panel, series, 200), 1)
    assert forecast[0, :, 0].tolist() == [198.0] * 24


def test_the_same_hour_yesterday_is_24_hours_before_each_lead(
    make_plain_panel: Callable[[np.ndarray], Panel],
) -> None:
    series = np.arange(240.0)
    series[180] = nan  # 24 hours before lead 4: the hour before stands in
    forecast = same_hour_yesterday(window(make_plain_panel, series, 200), 1)
    expected = [200.0 + lead - 24 for lead in range(1, 25)]
    expected[3] = 179.0
    assert forecast[0, :, 0].tolist() == expected


def test_before_any_value_both_are_the_training_mean(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    batch = window(make_plain_panel, np.full(240, nan), 200)
    assert (persistence(batch, 1) == 0).all()
    assert (same_hour_yesterday(batch, 1) == 0).all()


def test_the_cells_of_the_calendar_are_month_and_utc_hour(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    month, hour = calendar_cells(make_plain_panel(np.zeros((1, 300, 1))), 300)  # from 20 December, 5 o'clock
    assert (month[0], hour[0]) == (11, 5)
    assert (month[19], hour[19]) == (11, 0)
    assert (month[282], hour[282]) == (11, 23)
    assert (month[283], hour[283]) == (0, 0)  # 11 days and 19 hours later: 1 January


def test_climatology_is_the_mean_of_station_month_and_hour() -> None:
    scaled = np.array([[[1.0], [3.0], [nan], [8.0]], [[5.0], [nan], [2.0], [6.0]]])  # (2, 4, 1)
    month, hour = np.array([0, 0, 0, 1]), np.array([7, 7, 9, 7])
    table = fit_climatology(scaled, ONE, month, hour)[..., 0]
    assert table.shape == (3, 12, 24)
    assert table.dtype == np.float32
    assert (table[0, 0, 7], table[1, 0, 7]) == (2.0, 5.0)
    assert (table[0, 1, 7], table[1, 1, 7]) == (8.0, 6.0)
    assert table[2, 0, 7] == 3.0  # the network's: (1 + 3 + 5) / 3


def test_climatology_is_in_the_scale_that_is_given() -> None:
    values = np.array([[[10.0], [30.0]]])  # (1, 2, 1)
    scale = Scale(np.array([5.0, 100.0], np.float32), np.array([10.0, 1.0], np.float32))
    table = fit_climatology(values, scale, np.zeros(2, int), np.array([7, 7]))[..., 0]
    assert table[0, 0, 7] == 1.5  # ((10 − 5) / 10 + (30 − 5) / 10) / 2
    assert table[0, 0, 9] == 0.0  # nothing there: the training mean


def test_climatology_falls_back_from_the_month_to_the_hour_to_the_network_to_the_mean() -> None:
    scaled = np.array([[[1.0], [3.0], [nan], [8.0]], [[5.0], [nan], [2.0], [6.0]]])
    month, hour = np.array([0, 0, 0, 1]), np.array([7, 7, 9, 7])
    table = fit_climatology(scaled, ONE, month, hour)[..., 0]
    assert table[0, 5, 7] == 4.0  # its own mean at 7 o'clock: (1 + 3 + 8) / 3
    assert table[0, 0, 9] == 2.0  # the network's in that month and hour
    assert table[0, 5, 9] == 2.0  # the network's at that hour
    assert table[0, 0, 12] == 0.0  # nobody has anything at noon
    assert table[2, 5, 7] == pytest.approx(23 / 5)  # (1 + 3 + 8 + 5 + 6) / 5


def test_departures_are_the_mean_absolute_ones_from_the_climatology_in_units() -> None:
    """10 and 30 lie 10 from their mean, 7 on it; a target without a value has none."""
    values = np.array([[[10.0, nan], [30.0, nan]], [[7.0, nan], [nan, nan]]])  # (2, 2, 2)
    scale = Scale(np.array([5.0, 100.0], np.float32), np.array([10.0, 1.0], np.float32))
    month, hour = np.zeros(2, int), np.array([7, 7])
    climatology = fit_climatology(values, scale, month, hour)
    assert mean_departures(values, scale, climatology, month, hour) == pytest.approx((20 / 3, 0.0), abs=1e-5)


def test_a_suspect_value_counts_by_its_weight_in_climatology() -> None:
    scaled = np.array([[[1.0], [4.0], [nan]], [[10.0], [nan], [nan]]])  # (2, 3, 1)
    weight = np.array([[[1.0], [0.5], [0.5]], [[0.5], [1.0], [1.0]]], np.float16)
    table = fit_climatology(scaled, ONE, np.zeros(3, int), np.full(3, 7), weight)[:, 0, 7, 0]
    assert table.tolist() == pytest.approx([(1 + 2) / 1.5, 10.0, (1 + 2 + 5) / 2])


def test_a_climatology_of_equal_weights_is_the_one_without_bit_for_bit() -> None:
    rng = np.random.default_rng(5)
    scaled = np.where(rng.random((3, 900, 2)) < 0.3, nan, rng.normal(size=(3, 900, 2))).astype(np.float32)
    month, hour = rng.integers(0, 12, 900), rng.integers(0, 24, 900)
    plain, weighed = (fit_climatology(scaled, ONE, month, hour, w) for w in (None, np.ones(scaled.shape, np.float16)))
    np.testing.assert_array_equal(weighed, plain)


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 120), st.integers(0, 10_000), st.floats(-5, 5))
def test_of_a_baseline_and_its_residuals_the_share_of_the_truth_below_is_the_level(
    size: int, seed: int, bias: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randn(size, 2, 1, generator=rng)
    truth[torch.rand(truth.shape, generator=rng) < 0.2] = torch.nan
    point = truth.nan_to_num(0.0) + bias + torch.randn(size, 2, 1, generator=rng)
    quantiles = point[..., None] + residual_quantiles(truth - point)
    for lead in range(2):
        valid = ~truth[:, lead, 0].isnan()
        for q, level in enumerate(LEVELS):
            coverage = (truth[valid, lead, 0] < quantiles[valid, lead, 0, q]).double().mean().item()
            assert coverage == pytest.approx(level, abs=1.01 / valid.sum().item())


def test_without_truth_there_are_no_residuals() -> None:
    residuals = residual_quantiles(torch.full((5, 2, 1), torch.nan))
    assert residuals.shape == (2, 1, 7)
    assert (residuals == 0).all()
