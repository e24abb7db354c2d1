"""Dropout whose random numbers come from a generator that is told, so that several threads can train at once and still repeat."""

import torch
from torch import Tensor, nn

Chance = torch.Generator | None  # None: torch's own


class Dropout(nn.Module):
    """In training a share of the values is taken out, and the rest is raised to the same sum in the mean.

    Srivastava et al. (2014), JMLR 15(56), 1929.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor, chance: Chance = None) -> Tensor:
        """What is left of values of any shape; but in training, all of them."""
        if not self.training or self.share == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.share, generator=chance)
        return x * kept / (1 - self.share)
