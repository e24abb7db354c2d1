"""Calibration: quantiles are moved so that each has its share of what comes at or below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from daycast.model.config import MEDIAN
from daycast.model.windows import REGIMES, Batch

INPUTS = (*REGIMES, "alone")  # I: the input regimes, and a stale station whose neighbours are silent too
_SILENT_H = 3


@dataclass(frozen=True)
class Calibration:
    """What was learned of one forecaster at P moments; each holds for the hours of issue from then until the next.

    A quantile becomes median + shift + (quantile - median) * stretch * widening. Stretching keeps what the forecaster says of how
    certain a day is, which adding a constant would not.
    """

    since: Tensor  # (P,) int64 hours since 1970, ascending
    shift: Tensor  # (P, 24, H, V) scaled, for each hour of issue in mean solar time
    stretch: Tensor  # (P, 24, H, V, Q), above 0
    widening: Tensor  # (P, I, H, V, Q), above 0

    def apply(self, quantiles: Tensor, issued: Tensor, hour: Tensor, inputs: Tensor) -> Tensor:
        """Calibrated quantiles, sorted; as they were where they were issued before anything was learned.

        quantiles (B, H, V, Q) scaled; issued (B,) hours since 1970; hour (B,) of the solar day; inputs (B,) indices into INPUTS.
        """
        at = torch.searchsorted(self.since, issued, right=True) - 1
        known, at = at >= 0, at.clamp(min=0)
        median = quantiles[..., MEDIAN : MEDIAN + 1]
        stretched = (quantiles - median) * self.stretch[at, hour] * self.widening[at, inputs]
        moved = median + self.shift[at, hour][..., None] + stretched
        return torch.where(known[:, None, None, None], moved, quantiles).sort(dim=-1).values

    def to(self, device: torch.device) -> "Calibration":
        """The same on a device."""
        return Calibration(*(part.to(device) for part in (self.since, self.shift, self.stretch, self.widening)))


def join(calibrations: Sequence[Calibration]) -> Calibration:
    """Calibrations of one forecaster, in the order of time, as one."""
    parts = ("since", "shift", "stretch", "widening")
    return Calibration(*(torch.cat([getattr(one, part) for one in calibrations]) for part in parts))


def inputs_of(batch: Batch) -> Tensor:
    """Index into INPUTS of each window. (B,)"""
    inputs = batch.regime()
    silent = (batch.around[:, -_SILENT_H:] == 0).flatten(1).all(dim=1)
    inputs[silent & (inputs == REGIMES.index("stale"))] = INPUTS.index("alone")
    return inputs
