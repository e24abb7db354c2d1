"""The base network: what it reads depends on nothing but the window, in physical units."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.features.channels import Channel, Scale
from daycast.features.panel import Panel
from daycast.model.base.network import CHANNELS, IN_UNITS, TARGETS, BaseNetwork, base_quantiles, read_window
from daycast.model.checkpoint import load_base
from daycast.model.windows import Batch, Windows
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

T = 260
WARMTH = TARGETS.index("air_temperature_c")
CPU = torch.device("cpu")


@pytest.fixture
def panel(make_plain_panel: Callable[[np.ndarray], Panel]) -> Panel:
    """Two neighbours, with daily courses and holes, and no station pressure."""
    rng = np.random.default_rng(1)
    hours = np.arange(T)
    middle = np.array([10.0, 6.0, 70.0, 1015.0, np.nan, 4.0, 0.0, 0.0, 0.0])
    swing = np.array([5.0, 1.0, 15.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    values = middle + swing * np.sin(2 * np.pi * hours[:, None] / 24) + rng.normal(0, 0.3, (2, T, len(CHANNELS)))
    values[rng.random(values.shape) < 0.05] = np.nan
    values[..., TARGETS.index("precipitation_mm")] = rng.exponential(0.2, (2, T))
    panel = make_plain_panel(values)
    return replace(panel, channels=CHANNELS, stations=panel.stations.with_columns(latitude=47.0, longitude=8.0))


def batch_of(panel: Panel, scale: Scale = IN_UNITS) -> Batch:
    stations, origins = torch.tensor([0, 1, 0]), torch.tensor([200, 200, 30])
    return Windows(panel, scale, CPU).gather(stations, origins)


@torch.inference_mode()
def forecast(batch: Batch) -> torch.Tensor:
    return load_base().eval()(batch)


def test_quantiles_never_cross_and_an_untrained_network_says_what_was_at_this_hour_yesterday(panel: Panel) -> None:
    batch = batch_of(panel)
    for network in (load_base(), BaseNetwork(8)):
        with torch.inference_mode():
            quantiles = network.eval()(batch)
        assert quantiles.shape == (3, HORIZON_HOURS, len(TARGETS), 7)
        assert (quantiles.diff(dim=-1) >= 0).all()
    medians = quantiles[..., 3]
    assert torch.allclose(medians[..., WARMTH], batch.filled[:, -HORIZON_HOURS:, WARMTH], atol=1e-4)


def test_it_reads_nothing_after_the_hour_of_issue(panel: Panel) -> None:
    later = panel.values.copy()
    later[:, 201:] = 99.0
    changed = forecast(batch_of(replace(panel, values=later)))
    assert torch.equal(changed[:2], forecast(batch_of(panel))[:2])


def test_only_departures_and_levels_are_read_so_that_a_warmer_place_is_a_shift_of_inputs_by_a_level_alone(
    panel: Panel,
) -> None:
    warmer = panel.values.copy()
    warmer[..., WARMTH] += 10
    one, other = read_window(batch_of(panel)), read_window(batch_of(replace(panel, values=warmer)))
    assert torch.allclose(one.history, other.history, atol=1e-4)
    assert torch.allclose(one.leads, other.leads, atol=1e-4)
    assert torch.allclose(other.anchor[..., WARMTH] - one.anchor[..., WARMTH], torch.tensor(10.0), atol=1e-4)


@pytest.mark.parametrize("keep", [["air_temperature_c"], ["wind_speed_m_s", "air_temperature_c", "dew_point_c"]])
def test_a_fit_with_other_variables_in_its_own_scale_and_order_gets_the_same_forecast(panel: Panel, keep) -> None:
    columns = [TARGETS.index(name) for name in keep]
    less = panel.values.copy()
    less[..., [c for c in range(len(CHANNELS)) if c not in columns]] = np.nan
    with torch.inference_mode():
        expected, _ = base_quantiles(
            load_base().eval(), batch_of(replace(panel, values=less)), CHANNELS, TARGETS, IN_UNITS
        )
    channels = (*(Channel(name) for name in keep), Channel("soil_moisture"))
    own = np.concatenate([panel.values[..., columns], np.ones((2, T, 1), np.float32)], axis=2)
    scale = Scale(np.arange(len(channels), dtype=np.float32) - 1, np.arange(len(channels), dtype=np.float32) + 2)
    revisions = replace(panel.revisions, values=np.empty((0, len(channels)), np.float32))
    batch = batch_of(replace(panel, values=own, channels=channels, revisions=revisions), scale)
    targets = [channel.variable for channel in channels]
    with torch.inference_mode():
        quantiles, known = base_quantiles(load_base().eval(), batch, channels, targets, scale)
    in_units = quantiles * torch.from_numpy(scale.deviation)[:, None] + torch.from_numpy(scale.mean)[:, None]
    assert torch.allclose(in_units[:, :, : len(keep)], expected[:, :, columns], atol=2e-3)
    assert known.tolist() == [[True] * len(keep) + [False]] * 3  # nobody told it of soils


def test_a_variable_that_the_window_has_no_value_of_is_not_known(panel: Panel) -> None:
    batch = batch_of(panel)
    _, known = base_quantiles(load_base().eval(), batch, CHANNELS, TARGETS, IN_UNITS)
    assert not known[:, TARGETS.index("station_pressure_hpa")].any()
    assert known[:, WARMTH].all()
    assert forecast(batch).isfinite().all()
    assert (
        forecast(replace(batch, mask=torch.zeros_like(batch.mask), staleness=torch.full_like(batch.staleness, 168.0)))
        .isfinite()
        .all()
    )
    assert batch.staleness.max() <= HISTORY_HOURS
