"""Blocks of time: training, then validation, then holdout. No hour is in two of them, and no window crosses a border."""

from dataclasses import dataclass

from daycast.errors import NotEnoughDataError
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

LARGEST_SHARE = 0.15  # of all hours that validation or holdout may take


@dataclass(frozen=True)
class Block:
    """The hours [start, end); history and horizon of a block's windows lie completely in it."""

    start: int
    end: int

    @property
    def first_origin(self) -> int:
        """The first hour of issue whose whole history is in the block."""
        return self.start + HISTORY_HOURS - 1

    @property
    def last_origin(self) -> int:
        """The last hour of issue whose whole horizon is in the block."""
        return self.end - HORIZON_HOURS - 1


@dataclass(frozen=True)
class Split:
    """The three blocks, in the order of time."""

    train: Block
    validation: Block
    holdout: Block


def split_hours(hours: int, validation_days: int, holdout_days: int, least_training_days: int) -> Split:
    """Split the hour indices [0, hours) into three blocks.

    Validation and holdout get that many days of hours of issue, and before these the 168 hours of history that their first
    window reads; so neighbouring blocks share no hour. With little history both shrink to LARGEST_SHARE of it.
    Raises NotEnoughDataError if fewer than `least_training_days` remain for training.
    """
    longest = int(hours * LARGEST_SHARE)
    holdout_start = hours - min(holdout_days * 24, longest) - HISTORY_HOURS
    validation_start = holdout_start - min(validation_days * 24, longest) - HISTORY_HOURS
    if validation_start < least_training_days * 24:
        raise NotEnoughDataError(
            f"{hours // 24} days of history leave {max(validation_start, 0) // 24} to train on, and model.least_training_days is "
            f"{least_training_days}: until there is more, the best baseline serves"
        )
    return Split(Block(0, validation_start), Block(validation_start, holdout_start), Block(holdout_start, hours))
