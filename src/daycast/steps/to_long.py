"""Arrays to rows: the model's quantiles as a long table."""

from collections.abc import Sequence

import numpy as np
import polars as pl


def to_long(values: np.ndarray, columns: Sequence[str], issues: pl.DataFrame, targets: Sequence[str]) -> pl.DataFrame:
    """One row for each issue, variable and lead, from values (N, H, V, K).

    columns: K names for the last axis. issues: N rows with station_id, issued_at and any other columns. targets: V variables.
    Returns the columns of `issues`, then variable, lead_hours (1 to H), `columns` (Float64), valid_at = issued_at + lead_hours.
    """
    N, H, V, K = values.shape
    flat = values.transpose(0, 2, 1, 3).reshape(N * V * H, K).astype(np.float64)
    repeated = issues[np.repeat(np.arange(N), V * H)]
    return repeated.with_columns(
        pl.Series("variable", np.tile(np.repeat(np.array(targets), H), N)),
        pl.Series("lead_hours", np.tile(np.arange(1, H + 1, dtype=np.uint8), N * V)),
        *(pl.Series(name, flat[:, k]) for k, name in enumerate(columns)),
    ).with_columns(valid_at=pl.col("issued_at") + pl.duration(hours=pl.col("lead_hours")))
