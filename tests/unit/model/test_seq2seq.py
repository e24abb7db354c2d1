"""The network: quantiles in order, the linear path at the start, and memory that reaches the first hour."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.model.config import ModelConfig
from daycast.model.external_forecasts import ExternalForecast
from daycast.model.forecaster import Ensemble
from daycast.model.network.seq2seq import Seq2Seq, quantiles_from_steps
from daycast.model.windows import Batch

BOTH = pytest.mark.parametrize("cell", ["gru", "lstm"])


def network(cell: str, *, disturbed: float = 0.0) -> Seq2Seq:
    """A small network for 2 channels and 1 target; `disturbed` moves the head from the zeros it starts with."""
    torch.manual_seed(5)
    net = Seq2Seq(cell, channels=2, targets=1, config=ModelConfig(hidden_size=8)).eval()
    with torch.no_grad():
        for parameter in (net.head.weight, net.head.bias, net.quantile_steps):
            parameter.add_(disturbed * torch.randn_like(parameter))
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
    quantiles = network(cell, disturbed=20.0)(make_batch(6), torch.zeros(6, 24, 1))
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert quantiles.std() > 1


@BOTH
def test_it_starts_as_the_linear_path_with_the_spread_it_was_given(cell: str, make_batch: Callable[..., Batch]) -> None:
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
    net, batch = network(cell, disturbed=1.0).double(), make_batch(3)
    filled = batch.filled.double().requires_grad_()
    batch = replace(
        batch, filled=filled, **{name: getattr(batch, name).double() for name in ("staleness", "around", "calendar")}
    )
    first_lead = net(batch, batch.last[:, None, :1].detach().expand(-1, 24, -1))[:, 0]
    first_lead.sum().backward()
    assert (filled.grad[:, hour].abs().sum(dim=-1) > 0).all()


@BOTH
def test_the_newest_hour_moves_the_first_lead_more_than_a_week_old_one(
    cell: str, make_batch: Callable[..., Batch]
) -> None:
    net, batch, linear = network(cell, disturbed=1.0), make_batch(8), torch.zeros(8, 24, 1)

    def moved(hour: int) -> torch.Tensor:
        mask = batch.mask.clone()
        mask[:, hour] = ~mask[:, hour]  # read by the encoder alone
        return (net(replace(batch, mask=mask), linear) - net(batch, linear))[:, 0].abs().max()

    assert moved(167) > 1e-3
    assert moved(167) > 10 * moved(0)


@BOTH
@pytest.mark.parametrize("part", ["filled", "mask", "staleness", "around", "calendar"])
def test_every_input_matters(cell: str, part: str, make_batch: Callable[..., Batch]) -> None:
    net, batch, linear = network(cell, disturbed=1.0), make_batch(2), torch.zeros(2, 24, 1)
    other = replace(batch, **{part: getattr(make_batch(2, seed=9), part)})
    assert not torch.allclose(net(batch, linear), net(other, linear), atol=1e-3)


@BOTH
def test_the_day_of_the_year_is_not_read(cell: str, make_batch: Callable[..., Batch]) -> None:
    net, batch, linear = network(cell, disturbed=1.0), make_batch(2), torch.zeros(2, 24, 1)
    calendar = batch.calendar.clone()
    calendar[..., 3:] += 1
    assert torch.equal(net(replace(batch, calendar=calendar), linear), net(batch, linear))


def test_an_ensemble_is_the_mean_of_its_members(make_batch: Callable[..., Batch]) -> None:
    members = [network("gru", disturbed=1.0), network("lstm", disturbed=0.5), network("gru")]
    batch, linear = make_batch(3), torch.zeros(3, 24, 1)
    mean = sum(member(batch, linear) for member in members) / 3
    torch.testing.assert_close(Ensemble(members)(batch, linear), mean)


@pytest.mark.parametrize("decoder", ["direct", "autoregressive"])
@BOTH
def test_the_decoder_reads_the_forecasts_of_others(cell: str, decoder: str, make_batch: Callable[..., Batch]) -> None:
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
def test_hours_that_nobody_else_forecast_start_with_a_spread_of_their_own(
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
