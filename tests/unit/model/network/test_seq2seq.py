"""The network: quantiles in order, the linear path at the start, memory of the first hour, every combination of options."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.model.config import ModelConfig
from daycast.model.external_forecasts import ExternalForecast
from daycast.model.forecaster import Ensemble
from daycast.model.network.cells import CELLS
from daycast.model.network.seq2seq import (
    Seq2Seq,
    count_parameters,
    quantiles_from_steps,
    summarise_station,
    summary_width,
)
from daycast.model.training.trainer import pinball_loss
from daycast.model.windows import Batch, Windows

BOTH = pytest.mark.parametrize("cell", ["gru", "lstm"])


def network(cell: str, *, noise: float = 0.0) -> Seq2Seq:
    """A small network for 2 channels and 1 target; `noise` moves the head from the zeros it starts with."""
    torch.manual_seed(5)
    net = Seq2Seq(cell, channels=2, targets=1, config=ModelConfig(hidden_size=8)).eval()
    with torch.no_grad():
        for parameter in (net.head.weight, net.head.bias, net.quantile_steps):
            parameter.add_(noise * torch.randn_like(parameter))
    return net


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 1e4))
def test_quantiles_never_cross_whatever_goes_in(seed: int, size: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    median, raw = (torch.randn(shape, generator=rng) * size for shape in ((5, 24, 2), (5, 24, 2, 7)))
    quantiles = quantiles_from_steps(median, torch.nn.functional.softplus(raw))
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert torch.equal(quantiles[..., 3], median)


def test_quantiles_are_steps_outwards_from_the_median() -> None:
    steps = torch.tensor([1.0, 2.0, 3.0, 99.0, 4.0, 5.0, 6.0])
    assert quantiles_from_steps(torch.tensor(10.0), steps).tolist() == [4.0, 5.0, 7.0, 10.0, 14.0, 19.0, 25.0]


@BOTH
def test_a_network_far_from_its_start_still_gives_quantiles_in_order(
    cell: str, make_batch: Callable[..., Batch]
) -> None:
    quantiles = network(cell, noise=20.0)(make_batch(6), torch.zeros(6, 24, 1))
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert quantiles.std() > 1


@BOTH
def test_it_starts_as_the_linear_path_with_the_quantile_steps_it_was_given(
    cell: str, make_batch: Callable[..., Batch]
) -> None:
    net, linear = network(cell), torch.randn(4, 24, 1, generator=torch.Generator().manual_seed(2))
    steps = torch.linspace(0.1, 0.7, 7).expand(24, 1, 7)
    net.start_from(steps)
    quantiles = net(make_batch(4), linear)
    assert quantiles.shape == (4, 24, 1, 7)
    away = torch.tensor([-0.6, -0.5, -0.3, 0.0, 0.5, 1.1, 1.8])  # sums of 0.1 0.2 0.3 | 0.5 0.6 0.7
    torch.testing.assert_close(quantiles, linear[..., None] + away, atol=1e-5, rtol=0)


@BOTH
@pytest.mark.parametrize("hour", [0, 167])
def test_the_gradient_reaches_every_hour_of_the_history(cell: str, hour: int, make_batch: Callable[..., Batch]) -> None:
    net, batch = network(cell, noise=1.0).double(), make_batch(3)
    filled = batch.filled.double().requires_grad_()
    batch = replace(
        batch,
        filled=filled,
        **{name: getattr(batch, name).double() for name in ("staleness", "around", "calendar", "each_neighbour")},
    )
    first_lead = net(batch, batch.last[:, None, :1].detach().expand(-1, 24, -1))[:, 0]
    first_lead.sum().backward()
    assert (filled.grad[:, hour].abs().sum(dim=-1) > 0).all()


@BOTH
def test_the_newest_hour_moves_the_first_lead_more_than_a_week_old_one(
    cell: str, make_batch: Callable[..., Batch]
) -> None:
    net, batch, linear = network(cell, noise=1.0), make_batch(8), torch.zeros(8, 24, 1)

    def moved(hour: int) -> torch.Tensor:
        mask = batch.mask.clone()
        mask[:, hour] = ~mask[:, hour]  # read by the encoder alone
        return (net(replace(batch, mask=mask), linear) - net(batch, linear))[:, 0].abs().max()

    assert moved(167) > 1e-3
    assert moved(167) > 10 * moved(0)


@BOTH
@pytest.mark.parametrize("part", ["filled", "mask", "staleness", "around", "calendar"])
def test_every_input_matters(cell: str, part: str, make_batch: Callable[..., Batch]) -> None:
    net, batch, linear = network(cell, noise=1.0), make_batch(2), torch.zeros(2, 24, 1)
    other = replace(batch, **{part: getattr(make_batch(2, seed=9), part)})
    assert not torch.allclose(net(batch, linear), net(other, linear), atol=1e-3)


@BOTH
def test_the_day_of_the_year_is_not_read(cell: str, make_batch: Callable[..., Batch]) -> None:
    net, batch, linear = network(cell, noise=1.0), make_batch(2), torch.zeros(2, 24, 1)
    calendar = batch.calendar.clone()
    calendar[..., 3:] += 1
    assert torch.equal(net(replace(batch, calendar=calendar), linear), net(batch, linear))


def test_an_ensemble_is_the_mean_of_its_members(make_batch: Callable[..., Batch]) -> None:
    members = [network("gru", noise=1.0), network("lstm", noise=0.5), network("gru")]
    batch, linear = make_batch(3), torch.zeros(3, 24, 1)
    mean = sum(member(batch, linear) for member in members) / 3
    torch.testing.assert_close(Ensemble(members)(batch, linear), mean)


@pytest.mark.parametrize("decoder", ["direct", "autoregressive"])
@BOTH
def test_the_decoder_reads_external_forecasts(cell: str, decoder: str, make_batch: Callable[..., Batch]) -> None:
    torch.manual_seed(5)
    config = ModelConfig(hidden_size=8, decoder=decoder)  # type: ignore[arg-type]
    net = Seq2Seq(cell, channels=2, targets=1, config=config, external_forecasts=1).eval()
    torch.nn.init.normal_(net.head.weight)
    external_forecast = ExternalForecast(torch.randn(4, 24, 1), torch.full((4,), 3.0), torch.tensor([1]))
    batch, linear = make_batch(4), torch.zeros(4, 24, 1)
    blind = external_forecast.masked(torch.tensor([True, False, False, False]))
    older = replace(external_forecast, age=torch.tensor([3.0, 9.0, 3.0, 3.0]))
    first, second, third = (
        net(replace(batch, external_forecasts=part), linear) for part in (external_forecast, blind, older)
    )
    assert (first != second).flatten(1).any(dim=1).tolist() == [True, False, False, False]
    assert (first != third).flatten(1).any(dim=1).tolist() == [False, True, False, False]


@BOTH
def test_leads_without_external_forecast_start_with_quantile_steps_of_their_own(
    cell: str, make_batch: Callable[..., Batch]
) -> None:
    net = Seq2Seq(cell, channels=2, targets=1, config=ModelConfig(hidden_size=8), external_forecasts=1).eval()
    narrow, wide = torch.full((24, 1, 7), 0.5), torch.full((24, 1, 7), 2.0)
    net.start_from(narrow, wide)
    values = torch.randn(1, 24, 1)
    values[0, 9:] = torch.nan  # an issue that ends after nine hours
    external_forecast = ExternalForecast(values, torch.zeros(1), torch.tensor([1]))
    quantiles = net(replace(make_batch(1), external_forecasts=external_forecast), torch.zeros(1, 24, 1))[0, :, 0]
    torch.testing.assert_close(quantiles[:9], torch.tensor([-1.5, -1, -0.5, 0, 0.5, 1, 1.5]).expand(9, -1))
    torch.testing.assert_close(quantiles[9:], torch.tensor([-6.0, -4, -2, 0, 2, 4, 6]).expand(15, -1))


def test_mean_and_deviation_are_those_of_what_was_known(make_batch: Callable[..., Batch]) -> None:
    """The first channel was known at three hours, 1, 2 and 6: mean 3, deviation root of (4 + 1 + 9) / 3; the second never."""
    batch = make_batch(1)
    mask, filled = torch.zeros_like(batch.mask), torch.full_like(batch.filled, 77.0)
    mask[0, [3, 50, 167], 0] = True
    filled[0, [3, 50, 167], 0] = torch.tensor([1.0, 2.0, 6.0])
    summary = summarise_station(replace(batch, mask=mask, filled=filled, elevation=torch.tensor([0.44])))
    assert summary.shape == (1, summary_width(2))
    assert summary[0].tolist() == pytest.approx([3.0, 0.0, (14 / 3) ** 0.5, 0.0, 0.44, 1.0])


@pytest.mark.parametrize("elevation", [None, torch.tensor([torch.nan, 0.0])])
def test_an_unknown_elevation_is_not_taken_for_the_sea(
    elevation: torch.Tensor | None, make_batch: Callable[..., Batch]
) -> None:
    summary = summarise_station(replace(make_batch(2), elevation=elevation))
    assert summary[:, -2:].tolist() == [[0.0, 0.0], [0.0, 0.0 if elevation is None else 1.0]]


def test_windows_tell_the_elevation_in_kilometres(make_plain_panel: Callable[[np.ndarray], Panel]) -> None:
    panel = make_plain_panel(np.zeros((3, 200, 1)))
    stations = panel.stations.with_columns(elevation_m=pl.Series([1500.0, None, -20.0]))
    scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    windows = Windows(replace(panel, stations=stations), scale, torch.device("cpu"))
    elevation = windows.gather(torch.tensor([2, 1, 0]), torch.tensor([170, 170, 170])).elevation
    np.testing.assert_allclose(elevation, [-0.02, np.nan, 1.5], rtol=1e-6)


@pytest.mark.parametrize("told", [True, False])
def test_the_decoder_reads_the_elevation_only_if_it_is_told(
    told: bool, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    net, batch, linear = make_net(station_summary=told), make_exact_batch(2), torch.zeros(2, 24, 1, dtype=torch.float64)
    higher = replace(batch, elevation=batch.elevation + 1.0)
    assert torch.equal(net(batch, linear), net(higher, linear)) != told


def test_neighbours_matter_whatever_their_order_and_only_where_something_is_known(
    make_batch: Callable[..., Batch],
) -> None:
    torch.manual_seed(5)
    net, batch, linear = Seq2Seq("gru", 2, 2, ModelConfig(hidden_size=8)).eval(), make_batch(2), torch.zeros(2, 24, 2)
    for parameter in (net.head.weight, net.neighbours.merge.weight):
        torch.nn.init.normal_(parameter)
    plain = net(batch, linear)
    assert not torch.allclose(net(replace(batch, each_neighbour=batch.each_neighbour + 1), linear), plain)
    torch.testing.assert_close(net(replace(batch, each_neighbour=batch.each_neighbour.flip(1)), linear), plain)
    silent = replace(batch, neighbour_known=torch.tensor([[True, True, False]] * 2))
    louder = silent.each_neighbour.clone()
    louder[:, 2] += 5
    torch.testing.assert_close(net(replace(silent, each_neighbour=louder), linear), net(silent, linear))
    nobody = replace(batch, each_neighbour=batch.each_neighbour[:, :0], neighbour_known=batch.neighbour_known[:, :0])
    unheard = replace(batch, neighbour_known=torch.zeros(2, 3, dtype=torch.bool))
    torch.testing.assert_close(net(nobody, linear), net(unheard, linear))


SWITCHES = ("attention", "bidirectional", "layer_norm")
CHOICES = [
    (cell, {"decoder": decoder, **dict(zip(SWITCHES, on, strict=True))})
    for cell, decoder, *on in itertools.product(CELLS, ("direct", "autoregressive"), *[(False, True)] * 3)
]


def name_of(choice: object) -> str:
    """For the test's name: the cell, or what of the options is on."""
    if isinstance(choice, dict):
        return "-".join([choice["decoder"], *(name for name in SWITCHES if choice[name])])
    return str(choice)


EVERY = pytest.mark.parametrize(("cell", "options"), CHOICES, ids=name_of)
CONFIG = ModelConfig(hidden_size=8, layers=2, dropout=0.0)


def make(cell: str, options: dict[str, object], **more: object) -> Seq2Seq:
    torch.manual_seed(5)
    return Seq2Seq(cell, channels=2, targets=2, config=replace(CONFIG, **options, **more))


@EVERY
def test_every_combination_starts_as_the_linear_path_with_the_quantile_steps_it_was_given(
    cell: str, options: dict[str, object], make_batch: Callable[..., Batch]
) -> None:
    net, linear = make(cell, options), torch.randn(3, 24, 2)
    net.start_from(torch.linspace(0.1, 0.7, 7).expand(24, 2, 7))
    away = torch.tensor([-0.6, -0.5, -0.3, 0.0, 0.5, 1.1, 1.8])  # sums of 0.1 0.2 0.3 | 0.5 0.6 0.7
    for mode in (True, False):
        quantiles = net.train(mode)(make_batch(3), linear)
        torch.testing.assert_close(quantiles, linear[..., None] + away, atol=1e-5, rtol=0)


@EVERY
def test_quantiles_are_in_order_and_every_weight_is_learnt(
    cell: str, options: dict[str, object], make_batch: Callable[..., Batch]
) -> None:
    net = make(cell, options)
    for parameter in (net.head.weight, net.head.bias):
        torch.nn.init.normal_(parameter, std=20.0)
    torch.nn.init.normal_(net.neighbours.merge.weight)
    quantiles = net(make_batch(3), torch.zeros(3, 24, 2))
    assert quantiles.shape == (3, 24, 2, 7)
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert quantiles.std() > 1
    quantiles.square().mean().backward()
    still = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


# An LSTM is by far the quickest on a CPU and stands for all where the switches are concerned, each alone and all together;
# tests of training have the GRU.
LEARNT = [
    (cell, options)
    for cell, options in CHOICES
    if sum(options[name] for name in SWITCHES) in ((0,) if cell == "rnn" else (0, 1, len(SWITCHES)))
    and cell in ("lstm", "rnn")
]


@pytest.mark.parametrize(("cell", "options"), LEARNT, ids=name_of)
def test_four_windows_are_learnt_to_nearly_nothing(
    cell: str, options: dict[str, object], make_batch: Callable[..., Batch]
) -> None:
    steps = 100
    net = make(cell, options, hidden_size=32, layers=1, epochs=1, steps_per_epoch=steps // 2)
    net.start_from(torch.full((24, 2, 7), 0.3))
    batch, linear = make_batch(4, truth_missing=0.1), torch.zeros(4, 24, 2)

    def loss() -> torch.Tensor:
        return pinball_loss(net(batch, linear), *batch.truth_of(2))

    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps)
    before = loss().item()
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    net.eval()
    assert loss().item() < 0.3 * before


def test_layer_norm_gives_the_head_numbers_of_mean_0_and_deviation_1(make_batch: Callable[..., Batch]) -> None:
    for normed in (True, False):
        net, read = make("gru", {"layer_norm": normed}, hidden_size=32), []
        net.head.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
        net(make_batch(3), torch.zeros(3, 24, 2))
        deviation = read[0].std(dim=2, correction=0)
        assert torch.allclose(deviation, torch.ones_like(deviation), atol=0.01) == normed


def test_parameters_are_counted_as_the_formulas_say() -> None:
    """A cell of g gates with I inputs and D units: g · (D · I + D · D + 2 · D) weights; 11 and 4 inputs, 8 units, 1 target."""
    sizes = {"rnn": 1, "gru": 3, "lstm": 4}
    for cell, gates in sizes.items():
        config = ModelConfig(hidden_size=8, neighbour_attention=False)
        net = Seq2Seq(cell, channels=2, targets=1, config=config)
        cells = gates * ((8 * 11 + 64 + 16) + (8 * 4 + 64 + 16))
        assert count_parameters(net) == cells + 7 * 8 + 7 + 24 * 7
