"""The number of epochs is planned from timed training steps, and a plan once made is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from daycast.model.config import EPOCHS, ModelConfig
from daycast.model.training.ensemble import plan_ensemble, train_ensemble
from daycast.model.training.parallel import ALONE
from daycast.model.training.plan import Pace, load_plan, measure_pace, plan_training
from daycast.model.training.state import TrainContext, TrainingData
from daycast.model.training.trainer import Member
from unit.model.training_data import TINY

UNPLANNED = replace(TINY, cell="auto", ensemble_size=4, dropout=0.3, epochs=None, max_minutes=3.0, steps_per_epoch=10)
MEMBERS = [Member("gru", 1, 1), Member("lstm", 2, 2), Member("gru", 3, 3)]


@pytest.fixture
def slow_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes a second, a validation two."""
    monkeypatch.setattr("daycast.model.training.plan.measure_pace", lambda *_: Pace(step=1.0, validation=2.0))


@pytest.mark.parametrize(
    ("seconds_left", "epochs"), [(1000.0, 5), (188.0, 5), (186.0, 3), (118.0, 2), (85.0, 1), (1.0, 1), (-60.0, 1)]
)
def test_the_longest_training_that_fits_is_chosen_and_the_shortest_where_none_does(
    training_data: TrainingData, slow_steps: None, seconds_left: float, epochs: int
) -> None:
    """Two at once make two groups of the three: each takes 2 s before, 12 s an epoch, a third of its steps to
    refresh, and 3 validations of 2 s after it; a tenth more must fit."""
    plan = plan_training(MEMBERS, 2, training_data, UNPLANNED, seconds_left, ALONE)
    assert plan.config == replace(UNPLANNED, epochs=epochs)
    assert plan.seconds == 2 * (2 + 12 * epochs + round(10 * epochs / 3) + 6)


def test_a_plan_says_how_many_networks_for_how_long(training_data: TrainingData, slow_steps: None) -> None:
    plan = plan_training(MEMBERS, 2, training_data, UNPLANNED, 86.0, ALONE)
    assert str(plan) == "training 4 networks for about 1:18: 2 of at most 5 epochs each, 3 minutes are allowed"


def test_the_pace_is_that_of_real_steps(training_data: TrainingData) -> None:
    pace = measure_pace(MEMBERS[:2], training_data, UNPLANNED, ALONE)
    assert 0 < pace.step < 60
    assert 0 < pace.validation < 60


def test_a_configured_number_of_epochs_is_no_matter_of_planning(training_data: TrainingData) -> None:
    config = replace(UNPLANNED, epochs=7)
    assert plan_ensemble(training_data, config, TrainContext(), 0.0) is config


def test_what_is_left_of_the_minutes_counts(training_data: TrainingData, slow_steps: None) -> None:
    config = replace(UNPLANNED, max_minutes=10.0)
    assert plan_ensemble(training_data, config, TrainContext(), 0.0).epochs == 5
    assert plan_ensemble(training_data, config, TrainContext(), 299.0).epochs == 1  # as much is kept for the holdout


def test_an_interrupted_training_goes_on_with_its_plan_however_fast_the_machine_is_now(
    training_data: TrainingData, slow_steps: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = TrainContext(tmp_path / "fit")
    slow = replace(UNPLANNED, max_minutes=1.0)
    planned = plan_ensemble(training_data, slow, context, 0.0)
    assert planned.epochs == 1
    monkeypatch.setattr("daycast.model.training.plan.measure_pace", lambda *_: Pace(step=0.0, validation=0.0))
    assert plan_ensemble(training_data, slow, context, 0.0) == planned
    context.state_of("plan").write_text("{")
    assert plan_ensemble(training_data, slow, context, 0.0).epochs == EPOCHS[-1]


def test_a_missing_plan_is_none(tmp_path: Path) -> None:
    assert load_plan(UNPLANNED, None) is None
    assert load_plan(UNPLANNED, tmp_path / "gone") is None


def test_a_planned_training_is_that_of_its_configuration_to_the_bit(training_data: TrainingData) -> None:
    quick = replace(UNPLANNED, ensemble_size=2, steps_per_epoch=2)
    planned = plan_ensemble(training_data, quick, TrainContext(), 0.0)
    first = train_ensemble(training_data, planned, lambda _: None)
    again = train_ensemble(training_data, ModelConfig.from_json(vars(planned)), lambda _: None)
    assert first.losses == again.losses
    for one, other in zip(first.ensemble.parameters(), again.ensemble.parameters(), strict=True):
        assert torch.equal(one, other)
