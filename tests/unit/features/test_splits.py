"""Blocks of time: in order, apart, whole windows inside, and honest about too little history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daycast.errors import NotEnoughDataError
from daycast.features.splits import Block, split_hours


@given(st.integers(0, 20_000), st.integers(1, 90), st.integers(1, 90), st.integers(8, 60))
def test_no_hour_is_in_two_blocks_and_no_window_crosses_a_border(
    hours: int, validation_days: int, holdout_days: int, least: int
) -> None:
    try:
        split = split_hours(hours, validation_days, holdout_days, least)
    except NotEnoughDataError:
        return
    taken: list[set[int]] = []
    for block in (split.train, split.validation, split.holdout):
        origins = range(block.first_origin, block.last_origin + 1)
        read = {h for t0 in origins[:: max(len(origins) - 1, 1)] for h in range(t0 - 167, t0 + 25)}
        assert read <= set(range(block.start, block.end))
        assert all(read.isdisjoint(other) for other in taken)
        taken.append(set(range(block.start, block.end)))
    assert sum(map(len, taken)) == len(set().union(*taken)) == hours
    assert max(taken[0]) < min(taken[1])
    assert max(taken[1]) < min(taken[2])


def test_with_much_history_the_blocks_have_the_days_asked_for_after_a_week_of_history() -> None:
    split = split_hours(10_000, 20, 30, 30)
    assert split.holdout == Block(10_000 - 30 * 24 - 168, 10_000)
    assert split.validation == Block(9_112 - 20 * 24 - 168, 9_112)
    assert split.train == Block(0, 8_464)


def test_with_little_history_the_later_blocks_shrink_to_a_share_of_it() -> None:
    split = split_hours(1_000, 60, 60, 15)  # 0.15 of 1000 hours is 150: 1000 - 150 - 168 = 682, 682 - 150 - 168 = 364
    assert (split.train.end, split.validation.end, split.holdout.end) == (364, 682, 1_000)


def test_too_little_to_train_on_is_refused_to_the_hour() -> None:
    hours = 20 * 24 + 2 * (24 + 168)  # one day each, 20 to train on
    assert split_hours(hours, 1, 1, 20).train == Block(0, 480)
    with pytest.raises(NotEnoughDataError, match=r"model\.least_training_days is 20"):
        split_hours(hours - 1, 1, 1, 20)


def test_the_first_and_last_origin_have_their_whole_window_in_the_block() -> None:
    block = Block(100, 100 + 168 + 24)  # exactly one window
    assert block.first_origin == block.last_origin == 100 + 167
