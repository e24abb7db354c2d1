"""Whatever is chosen together forecasts, starts as the linear path and can learn four windows by heart."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from daycast.model.config import ModelConfig
from daycast.model.network.cells import CELLS
from daycast.model.network.seq2seq import Seq2Seq, count_parameters
from daycast.model.training.trainer import pinball_loss
from daycast.model.windows import Batch

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
def test_it_starts_as_the_linear_path_with_the_spread_it_was_given(
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
    quantiles = net(make_batch(3), torch.zeros(3, 24, 2))
    assert quantiles.shape == (3, 24, 2, 7)
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert quantiles.std() > 1
    quantiles.square().mean().backward()
    still = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


# An LSTM is by far the quickest on a CPU and stands for all where the switches are concerned; tests of training have the GRU.
LEARNT = [
    (cell, options)
    for cell, options in CHOICES
    if cell == "lstm" or (cell == "rnn" and not any(options[name] for name in SWITCHES))
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
    assert loss().item() < 0.15 * before


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
        net = Seq2Seq(cell, channels=2, targets=1, config=ModelConfig(hidden_size=8))
        cells = gates * ((8 * 11 + 64 + 16) + (8 * 4 + 64 + 16))
        assert count_parameters(net) == cells + 7 * 8 + 7 + 24 * 7
