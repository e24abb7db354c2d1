"""A warm start begins where the champion ended, and says why where it cannot."""

import logging
from dataclasses import replace

import pytest
import torch

from daycast.model.training.state import TrainingData, next_beginning
from daycast.model.training.trainer import Member
from unit.model.training_data import TINY, train_alone


def test_before_its_first_epoch_a_network_is_as_good_as_the_one_it_begins_with(training_data: TrainingData) -> None:
    champion = train_alone(Member("gru", 1), training_data, replace(TINY, learning_rate=0.05, epochs=3, patience=3))
    cold = train_alone(Member("gru", 2), training_data, replace(TINY, epochs=0))
    warm = train_alone(Member("gru", 2, beginning=champion.net.state_dict()), training_data, replace(TINY, epochs=0))
    assert warm.loss == champion.loss
    assert warm.loss < cold.loss


@pytest.mark.parametrize("other", [{"hidden_size": 13}, {"layers": 2}])
def test_a_network_that_is_built_otherwise_begins_from_scratch_and_says_why(
    other: dict, training_data: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("daycast").propagate = True
    weights = train_alone(Member("gru", 1), training_data, TINY).net.state_dict()
    config = replace(TINY, epochs=0, **other)
    cold = train_alone(Member("gru", 2), training_data, config)
    warm = train_alone(Member("gru", 2, beginning=weights), training_data, config)
    assert all(torch.equal(a, b) for a, b in zip(cold.net.parameters(), warm.net.parameters(), strict=True))
    assert "cannot begin with the champion's networks" in caplog.text


def test_networks_take_turns_with_the_champions_of_their_cell(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("daycast").propagate = True
    first, second = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    assert [next_beginning({"gru": [first, second]}, "gru", n) for n in range(3)] == [first, second, first]
    assert next_beginning({}, "gru", 0) is None
    assert not caplog.text
    assert next_beginning({"gru": [first]}, "lstm", 0) is None
    assert "it is gru, and now it is lstm" in caplog.text
