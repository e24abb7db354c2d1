"""Random panels and windows, for comparison with slow oracles, and something tiny to train on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.channels import Channel, Scale
from daycast.features.panel import Panel, Revisions
from daycast.model.training.state import TrainingData
from daycast.model.windows import AROUND_HOURS, KNOWN_FUTURE, Batch, Windows, neighbour_width
from daycast.times import HISTORY_HOURS, HORIZON_HOURS
from unit.model.training_data import BLOCK, make_training_data

START = datetime(2025, 12, 20, 5, tzinfo=UTC)


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Windows of independent standard normal values, each hour of each channel missing with the given probability."""

    def make(size: int, channels: int = 2, missing: float = 0.2, seed: int = 0, truth_missing: float = 0.0) -> Batch:
        rng = np.random.default_rng(seed)
        mask = rng.random((size, HISTORY_HOURS, channels)) >= missing
        truth = rng.normal(size=(size, HORIZON_HOURS, channels))
        truth[rng.random(truth.shape) < truth_missing] = np.nan
        normal = [
            rng.normal(size=shape)
            for shape in (
                (size, HISTORY_HOURS, channels),
                (size, HISTORY_HOURS + HORIZON_HOURS, KNOWN_FUTURE),
                (size, AROUND_HOURS, channels),
            )
        ]
        staleness = rng.integers(0, HISTORY_HOURS + 1, mask.shape)
        filled, calendar, around, stale, target = (
            torch.tensor(part, dtype=torch.float32) for part in (*normal, staleness, truth)
        )
        elevation = torch.tensor(rng.uniform(0, 3, size), dtype=torch.float32)
        each = torch.tensor(rng.normal(size=(size, 3, neighbour_width(channels))), dtype=torch.float32)
        more = {
            "elevation": elevation,
            "each_neighbour": each,
            "neighbour_known": torch.ones(size, 3, dtype=torch.bool),
        }
        return Batch(filled, torch.from_numpy(mask), stale, around, calendar, target, **more)

    return make


@pytest.fixture
def make_plain_panel() -> Callable[[np.ndarray], Panel]:
    """A panel of values (S, T, C), NaN where missing, each known at its hour and never revised."""

    def make(values: np.ndarray) -> Panel:
        S, T, C = values.shape
        stations = pl.DataFrame(
            {
                "station_id": [f"s{s}" for s in range(S)],
                "latitude": [47.0 + s for s in range(S)],
                "longitude": [8.0 - s for s in range(S)],
                "elevation_m": [400.0] * S,
            }
        )
        none = np.empty(0, np.int32)
        known_from = np.tile(np.arange(T, dtype=np.int32), (S, 1))
        channels = tuple(Channel(f"v{c}") for c in range(C))
        revisions = Revisions(none, none, none, none, np.empty((0, C), np.float32))
        return Panel(stations, START, channels, values.astype(np.float32), known_from, revisions)

    return make


@pytest.fixture
def training_data(make_plain_panel: Callable[[np.ndarray], Panel]) -> TrainingData:
    """The four windows of one station of noise, to train and validate on."""
    panel = make_plain_panel(np.random.default_rng(6).normal(size=(1, BLOCK.end, 1)))
    windows = Windows(panel, Scale(np.zeros(1, np.float32), np.ones(1, np.float32)), torch.device("cpu"))
    return make_training_data(
        windows, BLOCK, [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
    )


@pytest.fixture
def torch_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Torch has so many threads during the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)
