"""Networks that go on learning from all hours, while those that are scored stay as they were."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.model.forecaster import Ensemble
from daycast.model.training.parallel import ALONE
from daycast.model.training.refresh import refresh, refresh_steps
from daycast.model.training.state import TrainingData, TrainState
from daycast.model.training.trainer import Member
from daycast.model.windows import Windows
from unit.model.training_data import BLOCK, TINY, make_training_data, train_alone

LATER = 60  # hours after the training block
CONFIG = replace(TINY, dropout=0.3, learning_rate=0.05, steps_per_epoch=12)


@pytest.fixture
def make_data(make_plain_panel: Callable[[np.ndarray], Panel]) -> Callable[[float], TrainingData]:
    """One station of noise, to train on in a block that is followed by hours of this level."""

    def make(level: float) -> TrainingData:
        values = np.random.default_rng(6).normal(size=(1, BLOCK.end + LATER, 1))
        values[:, BLOCK.end :] += level
        scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
        windows = Windows(make_plain_panel(values), scale, torch.device("cpu"))
        validation = [windows.gather(torch.zeros(4, dtype=torch.int64), torch.arange(167, 171))]
        data = make_training_data(windows, BLOCK, validation)
        fold = torch.zeros(BLOCK.end + LATER, dtype=torch.int64)
        return replace(data, linear=replace(data.linear, fold=fold))

    return make


@pytest.fixture
def trained(make_data: Callable[[float], TrainingData]) -> Ensemble:
    return Ensemble([train_alone(Member(cell, 1), make_data(0.0), CONFIG).net for cell in ("gru", "lstm")])


def weights(ensemble: Ensemble) -> torch.Tensor:
    return torch.cat([one.flatten() for one in ensemble.state_dict().values()])


def test_refreshed_networks_are_copies_and_the_same_each_time_however_many_at_once(
    make_data: Callable[[float], TrainingData], trained: Ensemble
) -> None:
    before = copy.deepcopy(weights(trained))
    data = make_data(0.0)
    refreshed = [weights(refresh(trained, data, CONFIG, at_once, ALONE)) for at_once in (1, 2)]
    assert torch.equal(weights(trained), before)
    assert torch.equal(*refreshed)
    assert not torch.equal(refreshed[0], before)
    assert torch.isfinite(refreshed[0]).all()


def test_they_learn_from_the_hours_that_training_kept(
    make_data: Callable[[float], TrainingData], trained: Ensemble
) -> None:
    same, other = (weights(refresh(trained, make_data(level), CONFIG, 1, ALONE)) for level in (0.0, 3.0))
    assert not torch.equal(same, other)


def test_later_hours_are_forecast_by_the_linear_weights_of_the_whole_block(
    make_data: Callable[[float], TrainingData],
) -> None:
    data = make_data(0.0)
    weights, without = torch.ones_like(data.linear.weights), torch.zeros_like(data.linear.without)
    linear = replace(data.linear, weights=weights, without=without).beyond(BLOCK)
    origins = torch.tensor([BLOCK.last_origin, BLOCK.last_origin + 1, BLOCK.end])
    batch = data.windows.gather(torch.zeros(3, dtype=torch.int64), origins)
    departure = linear.forecast(batch, origins) - batch.last[:, None, :1]
    assert (departure[0] == 0).all()
    assert (departure[1:] != 0).all()
    assert data.linear.fold.max() == 0


def test_an_interruption_ends_the_threads_with_their_step(
    make_data: Callable[[float], TrainingData], trained: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []

    def interrupted(state: TrainState, *_: object) -> float:
        states.append(state)
        raise KeyboardInterrupt

    monkeypatch.setattr("daycast.model.training.refresh.take_steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        refresh(trained, make_data(0.0), CONFIG, 1, ALONE)
    assert states
    assert all(state.halted for state in states)


def test_a_third_of_the_steps_of_training_is_taken() -> None:
    assert refresh_steps(replace(CONFIG, epochs=5, steps_per_epoch=120)) == 200
    assert refresh_steps(replace(CONFIG, epochs=1, steps_per_epoch=1)) == 1
