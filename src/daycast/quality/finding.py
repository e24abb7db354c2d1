"""What a check hands back: where it fired, how grave that is, and which hours it speaks of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOOK_BACK_HOURS = 24  # no check looks further back
THE_HOUR_ITSELF = range(1)
THE_HOUR_BEFORE = range(1, 2)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check at one severity. It marks the hours `lags` before each hour at which it fired."""

    check: str
    flag: int  # SUSPECT or FAIL of daycast.quality.flags
    fired: Bools  # (…)
    lags: range
