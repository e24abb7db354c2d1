"""Several networks trained from different seeds forecast as one: the mean of each of their quantiles.

Averaging quantiles keeps the members' sharpness, where averaging probabilities would widen them (Lichtendahl, Grushka-Cockayne &
Winkler 2013, doi:10.1287/mnsc.1120.1667).
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from daycast.model.seq2seq import Seq2Seq
from daycast.model.windows import Batch


class Ensemble(nn.Module):
    """The mean of its members."""

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, batch: Batch, linear: Tensor) -> Tensor:
        """Quantiles in scaled units. linear (B, H, V): the linear path's forecast. Returns (B, H, V, Q)."""
        total = cast(Tensor, self.members[0](batch, linear))
        for member in self.members[1:]:
            total = total + member(batch, linear)
        return total / len(self.members)
