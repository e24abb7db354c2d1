"""From the model's arrays to the rows of tables."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def to_long(values: np.ndarray, columns: Sequence[str], issues: pl.DataFrame, targets: Sequence[str]) -> pl.DataFrame:
    """Rows by issue, variable and lead from values (N, H, V, K), one column of `columns` for each of the K.

    issues: N rows that say for which station and hour of issue, and whatever else goes beside; its columns come first, then
    variable, lead_hours (1 to H), valid_at = issued_at + lead_hours, and `columns` (Float64).
    """
    N, H, V, K = values.shape
    flat = values.transpose(0, 2, 1, 3).reshape(N * V * H, K).astype(np.float64)
    repeated = issues[np.repeat(np.arange(N), V * H)]
    return repeated.with_columns(
        pl.Series("variable", np.tile(np.repeat(np.array(targets), H), N)),
        pl.Series("lead_hours", np.tile(np.arange(1, H + 1, dtype=np.uint8), N * V)),
        *(pl.Series(name, flat[:, k]) for k, name in enumerate(columns)),
    ).with_columns(valid_at=pl.col("issued_at") + pl.duration(hours=pl.col("lead_hours")))
