"""Every architecture survives its checkpoint: what was configured is rebuilt, to the bit."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daycast.model.checkpoint import load_checkpoint, save_checkpoint
from daycast.model.forecaster import Ensemble
from daycast.model.network.cells import CELLS
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.windows import AROUND_HOURS, KNOWN_FUTURE, Batch
from integration.conftest import Trained

pytestmark = pytest.mark.slow


def make_batch(size: int, channels: int) -> Batch:
    """Windows of independent standard normal values."""
    history = torch.randn(3, size, 168, channels)
    around, truth = torch.randn(size, AROUND_HOURS, channels), torch.randn(size, 24, channels)
    calendar = torch.randn(size, 192, KNOWN_FUTURE)
    return Batch(history[0], history[1] > 0, history[2].abs(), around, calendar, truth, elevation=torch.randn(size))


@pytest.mark.parametrize(
    ("cell", "decoder", "attention", "bidirectional", "layer_norm"),
    list(itertools.product(CELLS, ("direct", "autoregressive"), *[(False, True)] * 3)),
)
def test_a_reloaded_network_of_any_kind_forecasts_bit_for_bit_the_same(
    cell: str,
    decoder: str,
    attention: bool,
    bidirectional: bool,
    layer_norm: bool,
    trained_once: Trained,
    tmp_path: Path,
) -> None:
    forecaster = load_checkpoint(next(trained_once.settings.checkpoints.glob("*.safetensors")), "cpu")
    config = replace(
        forecaster.header.config,
        layers=2,
        decoder=decoder,
        attention=attention,
        bidirectional=bidirectional,
        layer_norm=layer_norm,
        station_summary=True,
    )
    C, V = len(forecaster.header.channels), len(forecaster.header.targets)
    torch.manual_seed(4)
    members = [Seq2Seq(cell, C, V, config) for _ in range(2)]
    for net in members:
        torch.nn.init.normal_(net.head.weight)
    forecaster.fitted = replace(forecaster.fitted, network=Ensemble(members[:1]))
    forecaster.refreshed = forecaster.weights = replace(forecaster.refreshed, network=Ensemble(members[1:]).eval())
    forecaster.header = replace(forecaster.header, config=config, members=(cell,))
    save_checkpoint(forecaster, tmp_path / "copy.safetensors")
    again = load_checkpoint(tmp_path / "copy.safetensors", "cpu")
    batch, linear = make_batch(3, C), torch.randn(3, 24, V)
    quantiles = again.network(batch, linear)
    assert torch.equal(quantiles, forecaster.network(batch, linear))
    assert quantiles.std() > 0.1
