"""The textbook's claim: gates carry the gradient over a week, and a plain RNN loses it.

Hochreiter (1991); Bengio, Simard & Frasconi (1994), doi:10.1109/72.279181.
"""

import math
import statistics
from collections.abc import Callable

import pytest
import torch

from daycast.errors import ConfigError
from daycast.model.network.cells import init_chrono, make_cell
from daycast.model.network.seq2seq import Seq2Seq, read_history
from daycast.model.windows import Batch

GATED = pytest.mark.parametrize("cell", ["gru", "lstm"])


def first_hour_against_last(net: Seq2Seq, batch: Batch) -> float:
    """How much of the gradient of the first lead's median at hour 168 is there at hour 1."""
    read = read_history(batch).requires_grad_()
    quantiles = net.decode(net.encode(read), batch, torch.zeros_like(batch.truth[..., :1]))
    quantiles[:, 0, 0, 3].sum().backward()
    strength = read.grad.norm(dim=(0, 2))
    return (strength[0] / strength[167]).item()


@GATED
def test_with_open_gates_the_first_of_168_hours_is_learnt_from(
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
