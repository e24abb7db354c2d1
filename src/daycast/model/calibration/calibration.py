"""Calibrations as the rows of a table, one for each forecaster and variable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from daycast.model.config import MEDIAN, QUANTILES
from daycast.model.windows import REGIMES, Batch
from daycast.times import EPOCH, HORIZON_HOURS, hours_between

# Calibration: quantiles are moved so that each has its share of what comes at or below it.


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


_SHAPES = {
    "shift": (24, HORIZON_HOURS),
    "stretch": (24, HORIZON_HOURS, len(QUANTILES)),
    "widening": (len(INPUTS), HORIZON_HOURS, len(QUANTILES)),
}


def to_rows(learned: Mapping[str, Calibration], targets: Sequence[str]) -> pl.DataFrame:
    """What was learned last: forecaster, variable, and shift, stretch and widening as lists in the order of their axes."""
    rows = [
        {
            "forecaster": name,
            "variable": target,
            **{part: getattr(one, part)[-1].select(2, v).flatten().tolist() for part in _SHAPES},
        }
        for name, one in learned.items()
        for v, target in enumerate(targets)
    ]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(_SHAPES, pl.List(pl.Float32)))


def from_rows(rows: pl.DataFrame, targets: Sequence[str], device: torch.device) -> dict[str, Calibration]:
    """The calibration of each forecaster, of rows that hold from one moment on, their column `calibrated_at`."""
    loaded = {}
    for (name,), own in rows.partition_by("forecaster", as_dict=True).items():
        since = torch.tensor([hours_between(EPOCH, own["calibrated_at"][0])])
        ordered = pl.DataFrame({"variable": targets}).join(own, on="variable", how="left", maintain_order="left")
        parts = (torch.tensor(ordered[part].to_list()).reshape(-1, *shape) for part, shape in _SHAPES.items())
        loaded[str(name)] = Calibration(since, *(part.movedim(0, 2)[None] for part in parts)).to(device)
    return loaded
