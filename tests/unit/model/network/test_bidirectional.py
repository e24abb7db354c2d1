"""The bidirectional encoder: both directions of each layer reach the decoder, and nothing of the horizon does."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from daycast.model.network.cells import Bridge
from daycast.model.network.seq2seq import Seq2Seq, read_history
from daycast.model.windows import Batch


def test_the_bridge_adds_up_both_directions_of_one_layer() -> None:
    """With one unit a direction and weights 10 and 1: layer 0 holds 1 and 2, layer 1 holds 3 and 4."""
    bridge = Bridge(1, parts=2)
    for part, bias in zip(bridge.maps, (0.0, 100.0), strict=True):
        torch.nn.init.constant_(part.bias, bias)
        part.weight.data = torch.tensor([[10.0, 1.0]])
    state = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    hidden_size, cell = bridge((state, state))
    assert hidden_size.flatten().tolist() == [12.0, 34.0]
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
