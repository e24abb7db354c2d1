"""What the members of an ensemble learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from daycast.model.cross_fit import CrossFit
from daycast.model.warm_start import Weights
from daycast.model.windows import Batch, Windows
from daycast.prepare.splits import Block


@dataclass(frozen=True)
class Lesson:
    """What the members of an ensemble learn from, and what tells them to stop."""

    windows: Windows
    block: Block
    eligible: np.ndarray  # (S, T) bool: the training windows, all in the block
    linear: CrossFit  # the linear path, which stays as it is
    spread: Tensor  # (H, V, Q): the distances between quantiles to start from
    validation: Sequence[tuple[Batch, Tensor]]  # later windows, each with the linear path's forecast (B, H, V)
    spread_alone: Tensor | None = None  # (H, V, Q): the same where nobody else forecast; None: nobody does
    beginnings: Mapping[str, Sequence[Weights]] = field(
        default_factory=dict
    )  # by cell: weights for networks to begin with
