"""A forecaster of standard normal quantiles, and calibrations of it."""

import torch

from daycast.model.calibration.calibration import INPUTS, Calibration
from daycast.times import HORIZON_HOURS

H = HORIZON_HOURS
# of a standard normal: 5, 10, 25, 50, 75, 90, 95 %
NORMAL = torch.tensor([-1.6449, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.6449])
NOW = 400_000  # hours since 1970


def unchanged(since: int = 0, P: int = 1) -> Calibration:
    ones = torch.ones(P, 24, H, 1, 7)
    return Calibration(torch.arange(since, since + P), ones[..., 0] * 0, ones, torch.ones(P, len(INPUTS), H, 1, 7))


def apply(calibration: Calibration, issued: int = NOW, hour: int = 12, inputs: str = "full") -> torch.Tensor:
    """The calibrated standard normal quantiles of every lead. (H, 7)"""
    index = (torch.tensor([i]) for i in (issued, hour, INPUTS.index(inputs)))
    return calibration.apply(NORMAL.expand(1, H, 1, 7), *index)[0, :, 0]
