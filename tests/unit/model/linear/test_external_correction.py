"""External forecasts correct the linear path, as learned from out-of-fold forecasts, and only where there are any."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.external_forecasts import ExternalForecast
from daycast.model.linear.external_correction import add_external, fit_external_correction
from daycast.model.linear.fit import LinearFit, fit_linear, fold_of_hours
from daycast.model.linear.ridge import correct, linear_forecast, ridge_features
from daycast.model.training.sampling import eligible_origins
from daycast.model.windows import Batch, Windows
from daycast.times import HOUR

T, EVERY = 1440, 12  # hours of the panel; hours between external issues
TRAIN = Block(0, 960)  # the pieces of its folds are days, so that an issue and who reads it first are of one fold
UNIT = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))


@pytest.fixture
def make_windows(make_plain_panel: Callable[[np.ndarray], Panel]) -> Callable[..., Windows]:
    """A station of white noise, with external forecasts that are right except for a bias that depends on the hour of issue."""

    def make(bias: Callable[[int], float], delay: int = 0) -> Windows:
        truth = np.random.default_rng(3).normal(size=(1, T + 48, 1))
        panel = make_plain_panel(truth[:, :T])
        rows = [
            ("s0", panel.time_of(i), panel.time_of(i + h), panel.time_of(i + delay), truth[0, i + h, 0] + bias(i))
            for i in range(0, T, EVERY)
            for h in range(1, 37)
        ]
        names = ["station_id", "issued_at", "valid_at", "received_at", "v0"]
        others = pl.DataFrame(rows, schema=names, orient="row")
        return Windows(add_external(panel, others, panel.time_of(3 * T)), UNIT, torch.device("cpu"))

    return make


def fit(windows: Windows) -> LinearFit:
    return fit_external_correction(fit_linear(windows, TRAIN, 1, ridge_features, seed=1), windows, TRAIN, 1)


def windows_of(windows: Windows, origins: range) -> tuple[Batch, torch.Tensor]:
    t0 = torch.tensor([t for t in origins if eligible_origins(windows.panel, Block(0, T), 1)[0, t]])
    return windows.gather(torch.zeros_like(t0), t0), t0


def test_a_bias_of_external_forecasts_is_removed_and_without_them_the_path_is_unchanged(make_windows) -> None:
    windows = make_windows(lambda _: 3.0)
    plain, corrected = fit_linear(windows, TRAIN, 1, ridge_features, seed=1), fit(windows)
    batch, _ = windows_of(windows, range(200, 1000, 7))
    for weights in (corrected.path.weights, corrected.refreshed, corrected.path.without[4]):
        torch.testing.assert_close(linear_forecast(weights, batch, 1, ridge_features), batch.truth, atol=0.2, rtol=0)
    absent = replace(
        batch, external_forecasts=batch.external_forecasts.masked(torch.ones(len(batch.last), dtype=torch.bool))
    )
    for before, after in ((plain.path.weights, corrected.path.weights), (plain.refreshed, corrected.refreshed)):
        expected = linear_forecast(before, batch, 1, ridge_features)
        assert torch.equal(linear_forecast(after, absent, 1, ridge_features), expected)


def test_a_window_is_corrected_by_the_rows_of_the_other_folds(make_windows) -> None:
    """In the hours of one fold others are 9 too high, and right in all others, which therefore believe them."""
    fold = fold_of_hours(TRAIN, T)
    windows = make_windows(lambda issued: 9.0 if fold[issued] == 3 else 0.0)
    batch, t0 = windows_of(windows, range(200, 900))
    path = fit(windows).path
    too_high = torch.from_numpy(fold)[t0] == 3
    unseen, seen = path.forecast(batch, t0), linear_forecast(path.weights, batch, 1, ridge_features)
    assert (unseen - batch.truth)[too_high].mean().item() == pytest.approx(9.0, abs=1.0)
    assert (seen - batch.truth)[too_high].mean().item() < 8.0


def test_what_is_judged_knows_nothing_of_later_hours_and_what_is_served_does(make_windows) -> None:
    honest, turning = make_windows(lambda _: 0.0), make_windows(lambda issued: 5.0 if issued > TRAIN.end else 0.0)
    one, other = fit(honest), fit(turning)
    assert torch.equal(one.path.weights, other.path.weights)
    assert torch.equal(one.path.without, other.path.without)
    assert not torch.equal(one.refreshed, other.refreshed)


def test_external_forecasts_that_arrived_after_training_correct_nothing(make_windows) -> None:
    late = make_windows(lambda _: 0.0, delay=T)
    plain = fit_linear(late, TRAIN, 1, ridge_features, seed=1)
    assert fit_external_correction(plain, late, TRAIN, 1) is plain


def test_only_variables_received_by_then_become_external_forecasts(
    make_plain_panel: Callable[[np.ndarray], Panel],
) -> None:
    panel = make_plain_panel(np.zeros((1, 50, 2)))
    row = {"station_id": ["s0"], "issued_at": [panel.start], "valid_at": [panel.time_of(5)], "v1": [1.0]}
    rows = pl.DataFrame({**row, "received_at": [panel.time_of(3)]})
    assert add_external(panel, rows, panel.time_of(3)).external_forecasts is None
    read = add_external(panel, rows, panel.time_of(3) + HOUR).external_forecasts
    assert [channel.variable for channel in read.channels] == ["v1"]


def test_a_correction_is_the_product_of_departures_and_rows(make_batch: Callable[..., Batch]) -> None:
    """Of the second lead's departure a half is added to the first lead, and 0.25 everywhere where others forecast."""
    values = torch.full((2, 24, 1), torch.nan)
    values[0, 1] = 7.0
    batch = replace(
        make_batch(2, channels=1), external_forecasts=ExternalForecast(values, torch.zeros(2), torch.tensor([0]))
    )
    rows = torch.zeros(25, 24)
    rows[1, 0], rows[24] = 0.5, 0.25  # the last row is whether there are any
    corrected = correct(torch.ones(2, 24, 1), batch, rows)
    assert corrected[0, :3, 0].tolist() == [1.0 + 0.5 * 6.0 + 0.25, 1.25, 1.25]
    assert (corrected[1] == 1.0).all()
