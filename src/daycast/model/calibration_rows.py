"""Calibrations as the rows of a table, one for each forecaster and variable."""

from collections.abc import Mapping, Sequence

import polars as pl
import torch

from daycast.model.calibration import INPUTS, Calibration
from daycast.model.config import QUANTILES
from daycast.times import EPOCH, HORIZON_HOURS, hours_between

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
