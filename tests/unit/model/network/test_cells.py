"""The fused cells compute their formulas hour by hour; the bridge of a bidirectional encoder; chrono initialisation."""

import math
import re
import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.errors import ConfigError
from daycast.model.config import MEDIAN
from daycast.model.network.cells import CELLS, Bridge, init_chrono, make_cell
from daycast.model.network.seq2seq import Seq2Seq, read_history
from daycast.model.windows import Batch
from unit.model.network import slow_cells

EACH = pytest.mark.parametrize("cell", CELLS)


@EACH
def test_the_fused_forward_is_the_one_cell_by_cell(
    cell: str, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    """Encoder and direct decoder, two layers each; the spread is left out, which has its own tests."""
    net, batch = make_net(cell, layers=2), make_exact_batch(3)
    linear = torch.randn(3, 24, 1, dtype=torch.float64)
    outputs, state = slow_cells.run(cell, net.encoder, read_history(batch).numpy())
    np.testing.assert_allclose(net.encode(read_history(batch)).outputs.detach(), outputs, atol=1e-12)
    departure = (linear - batch.filled[:, -1:, :1]).numpy()
    known = np.concatenate([batch.calendar[:, 168:, :3].numpy(), departure], axis=2)
    decoded, _ = slow_cells.run(cell, net.decoder, known, state)
    head = slow_cells.weights_of(net.head)
    median = linear[..., 0].numpy() + decoded @ head["weight"][MEDIAN] + head["bias"][MEDIAN]
    np.testing.assert_allclose(net(batch, linear)[:, :, 0, MEDIAN].detach(), median, atol=1e-12)


@EACH
def test_dropout_stands_between_stacked_layers_alone(cell: str) -> None:
    x = torch.ones(1, 5, 3)
    once, twice = (make_cell(cell, 3, 4, layers, dropout=0.9).train() for layers in (1, 2))
    assert torch.equal(once(x)[0], once(x)[0])
    assert not torch.equal(twice(x)[0], twice(x)[0])


def test_an_unknown_cell_is_refused_by_name_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=re.escape("model.cell is 'transformer'")) as refusal:
        make_cell("transformer", 3, 4)
    assert "choose gru, lstm, rnn or auto" in str(refusal.value)


def test_the_bridge_adds_up_both_directions_of_one_layer() -> None:
    """With one unit a direction and weights 10 and 1: layer 0 holds 1 and 2, layer 1 holds 3 and 4."""
    bridge = Bridge(1, parts=2)
    for part, bias in zip(bridge.maps, (0.0, 100.0), strict=True):
        torch.nn.init.constant_(part.bias, bias)
        part.weight.data = torch.tensor([[10.0, 1.0]])
    state = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    hidden, cell = bridge((state, state))
    assert hidden.flatten().tolist() == [12.0, 34.0]
    assert cell.flatten().tolist() == [112.0, 134.0]


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_the_first_hour_is_the_newest_thing_that_the_backward_direction_has_read(
    cell: str, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    read = read_history(make_exact_batch(2))
    other = read.clone()
    other[:, 0] += 1.0
    for both in (True, False):
        net = make_net(cell, bidirectional=both)
        first, second = (
            state.state[0] if cell == "lstm" else state.state for state in (net.encode(read), net.encode(other))
        )
        assert ((first - second).abs().max() > 1e-2) == both


def test_nothing_of_the_horizon_is_encoded(
    make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    net, batch = make_net(bidirectional=True), make_exact_batch(2)
    calendar = batch.calendar.clone()
    calendar[:, 168:] += 1.0
    later = replace(batch, calendar=calendar, truth=batch.truth + 1.0)
    assert torch.equal(net.encode(read_history(later)).outputs, net.encode(read_history(batch)).outputs)


GATED = pytest.mark.parametrize("cell", ["gru", "lstm"])


def first_hour_against_last(net: Seq2Seq, batch: Batch) -> float:
    """How much of the gradient of the first lead's median at hour 168 is there at hour 1."""
    read = read_history(batch).requires_grad_()
    quantiles = net.decode(net.encode(read), batch, torch.zeros_like(batch.truth[..., :1]))
    quantiles[:, 0, 0, 3].sum().backward()
    strength = read.grad.norm(dim=(0, 2))
    return (strength[0] / strength[167]).item()


@GATED
def test_with_chrono_initialisation_the_first_of_168_hours_is_learned_from(
    cell: str, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    assert first_hour_against_last(make_net(cell, hidden_size=32, chrono_init=True), make_exact_batch(4)) > 1e-3


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_without_gates_or_with_gates_half_open_the_gradient_vanishes(
    cell: str, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    assert first_hour_against_last(make_net(cell, hidden_size=32), make_exact_batch(4)) < 1e-12


@GATED
def test_even_half_open_gates_carry_thousands_of_times_more_of_it_than_none(
    cell: str, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    """As torch initialises them; the middle one of seven networks, for these strengths lie many orders of magnitude apart."""

    def usual(name: str) -> float:
        batch = make_exact_batch(4)
        return statistics.median(
            first_hour_against_last(make_net(name, seed, hidden_size=64), batch) for seed in range(7)
        )

    assert usual(cell) > 1e3 * usual("rnn")


@GATED
def test_the_units_of_each_layer_remember_from_an_hour_to_the_whole_history(cell: str) -> None:
    """Nothing goes in but the gates' own biases: a unit of span n keeps n / (n + 1) of what it holds each hour."""
    module = make_cell(cell, 2, 5, layers=2)
    init_chrono(module, 168)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.startswith("weight"):
                weight.zero_()
    held = torch.full((2, 1, 5), 0.01)
    state = (torch.zeros_like(held), held) if cell == "lstm" else held
    _, after = module(torch.zeros(1, 1, 2), state)
    kept = (after[1] if cell == "lstm" else after) - _fresh(module, cell)
    spans = torch.tensor([1.0, 42.5, 84.0, 125.5, 167.0])
    torch.testing.assert_close(kept / held, (spans / (spans + 1)).expand(2, 1, 5), rtol=1e-4, atol=0)


def _fresh(module: torch.nn.Module, cell: str) -> torch.Tensor:
    """What enters in an hour when nothing is held."""
    _, after = module(torch.zeros(1, 1, 2))
    return after[1] if cell == "lstm" else after


def test_what_an_lstm_unit_takes_in_is_what_it_lets_go() -> None:
    module = make_cell("lstm", 2, 5)
    init_chrono(module, 168)
    enter, forget, _, _ = (module.bias_ih_l0 + module.bias_hh_l0).chunk(4)
    torch.testing.assert_close(enter.sigmoid() + forget.sigmoid(), torch.ones(5))
    assert forget[-1].item() == pytest.approx(math.log(167))


def test_a_plain_rnn_has_no_gates_to_open(make_net: Callable[..., Seq2Seq]) -> None:
    with pytest.raises(ConfigError, match="chrono_init sets gates, and cell 'rnn' has none: choose gru or lstm"):
        make_net("rnn", chrono_init=True)
