"""Scaling: population mean and deviation of what is there, each channel alone."""

import numpy as np
import pytest

from daycast.features.channels import fit_scale


def test_the_scale_is_the_mean_and_the_population_deviation() -> None:
    values = np.array([[[1.0, 10.0], [3.0, 10.0]], [[5.0, 40.0], [7.0, 40.0]]], np.float32)  # (2, 2, 2)
    scale = fit_scale(values)
    assert scale.mean == pytest.approx([4.0, 25.0])
    assert scale.deviation == pytest.approx([5**0.5, 15.0])  # ((9 + 1 + 1 + 9) / 4) ** ½


def test_missing_values_are_left_out() -> None:
    values = np.array([[[1.0], [np.nan], [3.0], [np.nan]]], np.float32)
    scale = fit_scale(values)
    assert (scale.mean.item(), scale.deviation.item()) == (2.0, 1.0)


def test_a_channel_that_never_varies_has_deviation_one() -> None:
    scale = fit_scale(np.full((2, 50, 1), 3.5, np.float32))
    assert (scale.mean.item(), scale.deviation.item()) == (3.5, 1.0)


def test_hours_beyond_one_chunk_count_as_much_as_the_first() -> None:
    values = np.zeros((1, 10_000, 1), np.float32)
    values[:, 5_000:] = 2.0
    scale = fit_scale(values)
    assert (scale.mean.item(), scale.deviation.item()) == pytest.approx((1.0, 1.0))


def test_unscaling_scaled_values_gives_them_back() -> None:
    values = np.random.default_rng(1).normal([1013.0, -3.0], [9.0, 0.02], (3, 400, 2)).astype(np.float32)
    scale = fit_scale(values)
    scaled = (values - scale.mean) / scale.deviation
    np.testing.assert_allclose(scaled * scale.deviation + scale.mean, values, rtol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1.0, rtol=1e-3)
