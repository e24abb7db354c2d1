"""The fused cells do what their formulas say, hour by hour, and what is no cell is refused."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from daycast.errors import ConfigError
from daycast.model.config import MEDIAN
from daycast.model.network.cells import CELLS, make_cell
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


def test_an_unknown_cell_is_refused_by_name_with_the_choices_there_are() -> None:
    with pytest.raises(ConfigError, match=re.escape("model.cell is 'transformer'")) as refusal:
        make_cell("transformer", 3, 4)
    assert "choose gru, lstm, rnn or auto" in str(refusal.value)
