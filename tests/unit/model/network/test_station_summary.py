"""What the decoder is told of a station: by hand, and from the window alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.model.network.seq2seq import Seq2Seq, summarise_station, summary_width
from daycast.model.windows import Batch, Windows


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


def test_windows_tell_the_elevation_in_kilometres(make_plain_network: Callable[[np.ndarray], Panel]) -> None:
    network = make_plain_network(np.zeros((3, 200, 1)))
    stations = network.stations.with_columns(elevation_m=pl.Series([1500.0, None, -20.0]))
    scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    windows = Windows(replace(network, stations=stations), scale, torch.device("cpu"))
    elevation = windows.gather(torch.tensor([2, 1, 0]), torch.tensor([170, 170, 170])).elevation
    np.testing.assert_allclose(elevation, [-0.02, np.nan, 1.5], rtol=1e-6)


@pytest.mark.parametrize("told", [True, False])
def test_the_decoder_reads_the_elevation_only_if_it_is_told(
    told: bool, make_net: Callable[..., Seq2Seq], make_exact_batch: Callable[..., Batch]
) -> None:
    net, batch, linear = make_net(station_summary=told), make_exact_batch(2), torch.zeros(2, 24, 1, dtype=torch.float64)
    higher = replace(batch, elevation=batch.elevation + 1.0)
    assert torch.equal(net(batch, linear), net(higher, linear)) != told
