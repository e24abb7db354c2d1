"""`Calibration`: the correction of quantiles, how it is applied, and how it is stored as rows of a table.

B windows, P moments, I inputs, H leads, V targets, Q quantiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from daycast.model.config import MEDIAN, QUANTILES
from daycast.model.windows import REGIMES, Batch
from daycast.times import EPOCH, HORIZON_HOURS, hours_between

INPUTS = (*REGIMES, "alone")  # I: the input regimes; and `alone`, a stale station whose neighbours are silent too
_SILENT_H = 3
_SHAPES = {
    "shift": (24, HORIZON_HOURS),
    "stretch": (24, HORIZON_HOURS, len(QUANTILES)),
    "widening": (len(INPUTS), HORIZON_HOURS, len(QUANTILES)),
}


@dataclass(frozen=True)
class Calibration:
    """The correction of one forecaster's quantiles, learned at P moments; each holds until the next.

    A quantile becomes median + shift + (quantile - median) * stretch * widening. Stretching keeps the difference between
    certain and uncertain days, which adding a constant would not.
    """

    since: Tensor  # (P,) int64 hours since 1970, ascending
    shift: Tensor  # (P, 24, H, V) scaled, for each hour of issue in mean solar time
    stretch: Tensor  # (P, 24, H, V, Q), above 0
    widening: Tensor  # (P, I, H, V, Q), above 0

    def apply(self, quantiles: Tensor, issued: Tensor, hour: Tensor, inputs: Tensor) -> Tensor:
        """Calibrate quantiles (B, H, V, Q), scaled; the result is sorted. Those issued before the first moment stay the same.

        issued (B,): hours since 1970; hour (B,): hour of issue in mean solar time; inputs (B,): indices into INPUTS.
        """
        at = torch.searchsorted(self.since, issued, right=True) - 1  # (B,)
        known, at = at >= 0, at.clamp(min=0)
        median = quantiles[..., MEDIAN : MEDIAN + 1]  # (B, H, V, 1)
        stretched = (quantiles - median) * self.stretch[at, hour] * self.widening[at, inputs]
        moved = median + self.shift[at, hour][..., None] + stretched  # (B, H, V, Q)
        return torch.where(known[:, None, None, None], moved, quantiles).sort(dim=-1).values

    def to(self, device: torch.device) -> "Calibration":
        """The same on a device."""
        return Calibration(*(part.to(device) for part in (self.since, self.shift, self.stretch, self.widening)))


def join(calibrations: Sequence[Calibration]) -> Calibration:
    """Concatenate the calibrations of one forecaster, in order of time."""
    parts = ("since", "shift", "stretch", "widening")
    return Calibration(*(torch.cat([getattr(one, part) for one in calibrations]) for part in parts))


def inputs_of(batch: Batch) -> Tensor:
    """The index into INPUTS of each window. (B,)"""
    inputs = batch.regime()
    silent = (batch.around[:, -_SILENT_H:] == 0).flatten(1).all(dim=1)
    inputs[silent & (inputs == REGIMES.index("stale"))] = INPUTS.index("alone")
    return inputs


def to_rows(learned: Mapping[str, Calibration], targets: Sequence[str]) -> pl.DataFrame:
    """The last calibration of each forecaster as rows: forecaster, variable, and shift, stretch and widening as flat lists.

    learned: by forecaster; targets: V names.
    """
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
    """The calibration of each forecaster, by name, from rows as from `to_rows` with one `calibrated_at` per forecaster."""
    loaded = {}
    for (name,), own in rows.partition_by("forecaster", as_dict=True).items():
        since = torch.tensor([hours_between(EPOCH, own["calibrated_at"][0])])
        ordered = pl.DataFrame({"variable": targets}).join(own, on="variable", how="left", maintain_order="left")
        parts = (torch.tensor(ordered[part].to_list()).reshape(-1, *shape) for part, shape in _SHAPES.items())
        loaded[str(name)] = Calibration(since, *(part.movedim(0, 2)[None] for part in parts)).to(device)
    return loaded
