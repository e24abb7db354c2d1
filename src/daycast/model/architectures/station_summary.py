"""What a station is like, told by its place and its own last week, so that a new station needs no learned identity."""

import torch
from torch import Tensor

from daycast.model.windows import Batch


def summary_width(channels: int) -> int:
    """W, how many numbers describe a station."""
    return 2 * channels + 2


def summarise_station(batch: Batch) -> Tensor:
    """Mean and deviation of what was known of each channel in the window, and the elevation. (B, W)

    The statistics are in scaled units, 0 where nothing was known, the elevation in km above the sea and beside it whether it is
    known: a fixed unit, because a network at one height has no spread to divide by.
    """
    mask = batch.mask.to(batch.filled.dtype)
    count = mask.sum(dim=1).clamp(min=1)  # (B, C)
    mean = (batch.filled * mask).sum(dim=1) / count
    deviation = (((batch.filled - mean[:, None]) ** 2 * mask).sum(dim=1) / count).sqrt()
    height = torch.full_like(mean[:, :1], torch.nan) if batch.elevation is None else batch.elevation[:, None]
    return torch.cat([mean, deviation, height.nan_to_num(0.0), (~height.isnan()).to(mean.dtype)], dim=1)
