"""Blocks of time: train, then validation, then judgement; no hour in two of them, no window across a border."""

from dataclasses import dataclass

from daycast.errors import NotEnoughDataError
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

LARGEST_SHARE = 0.15  # of all hours, that the validation or the judgement may take


@dataclass(frozen=True)
class Block:
    """The hours [start, end); the windows of a block lie in it whole, history and horizon."""

    start: int
    end: int

    @property
    def first_origin(self) -> int:
        """The earliest t0 with a whole history in the block."""
        return self.start + HISTORY_HOURS - 1

    @property
    def last_origin(self) -> int:
        """The latest t0 with a whole horizon in the block."""
        return self.end - HORIZON_HOURS - 1


@dataclass(frozen=True)
class Split:
    """Three blocks in the order of time."""

    train: Block
    validation: Block
    holdout: Block


def split_hours(hours: int, validation_days: int, holdout_days: int, least_training_days: int) -> Split:
    """Split the hour indices [0, hours).

    Validation and judgement get the days asked for as hours of issue, each preceded by the 168 hours of history its first window
    reads: these purge what neighbouring blocks could share. Where there is little history both shrink to LARGEST_SHARE of it.
    Raises NotEnoughDataError where fewer than `least_training_days` would remain to learn from.
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
