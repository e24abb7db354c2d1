"""The pinball (quantile) loss."""

import torch
from torch import Tensor

from daycast.model.config import QUANTILES


def pinball_loss(quantiles: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean pinball loss over what is there; 0 where nothing is. quantiles (B, H, V, Q), truth (B, H, V) with NaN where missing.

    weight (B, H, V), above 0: how much each truth counts in the mean; None counts all alike.
    Koenker & Bassett (1978), Econometrica 46(1), 33, doi:10.2307/1913643.
    """
    levels = torch.tensor(QUANTILES, device=quantiles.device, dtype=quantiles.dtype)
    there = ~truth.isnan()
    error = truth.nan_to_num(0.0)[..., None] - quantiles  # (B, H, V, Q)
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)
    if weight is None:
        return (loss * there).sum() / there.sum().clamp(min=1)
    counted = weight * there
    return (loss * counted).sum() / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)
