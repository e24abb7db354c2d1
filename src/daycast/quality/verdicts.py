"""What the checks found about each version: at once, or later through a newer reading, which begins another version."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.quality.flags import GOOD, MISSING
from daycast.times import UTC_TIME
from daycast.variables import check_column, flag_column

Rows = NDArray[np.int64]
_SEGMENT = ["row", "moment"]


class Verdicts:
    """Flags of V variables of N versions, the worst finding deciding and the first of equal ones naming the check."""

    def __init__(self, versions: pl.DataFrame, variables: Sequence[str]) -> None:
        """`versions`: station_id, observed_at, known_from, known_until and the variables, in the order of the first three."""
        self._versions = versions
        self._known_from = versions["known_from"].to_physical().to_numpy()
        forever = np.iinfo(np.int64).max
        self._known_until = versions["known_until"].to_physical().fill_null(forever).to_numpy()
        self._checks: list[str | None] = [None]
        self.flag = {
            name: np.where(versions[name].is_null().to_numpy(), MISSING, GOOD).astype(np.uint8) for name in variables
        }
        self._check = {name: np.zeros(len(versions), np.uint8) for name in variables}
        self._later: list[pl.DataFrame] = []

    def doubts(self, variable: str) -> NDArray[np.bool_]:
        """Whether a check has found fault with the value, at the moment it became known. (N,)"""
        return self._check[variable] > 0

    def mark(self, variable: str, rows: Rows, check: str, flag: int) -> None:
        """Flag these versions from their beginning. A missing value stays missing."""
        held = self.flag[variable][rows]
        worse = rows[(held < flag) & (held != MISSING)]
        self.flag[variable][worse] = flag
        self._check[variable][worse] = self._code(check)

    def mark_later(self, variable: str, rows: Rows, moments: Rows, check: str, flag: int) -> None:
        """Flag these versions from `moments` on, as long as they are believed."""
        meant = (moments < self._known_until[rows]) & (self.flag[variable][rows] != MISSING)
        at_once = meant & (moments <= self._known_from[rows])
        self.mark(variable, rows[at_once], check, flag)
        after = meant & ~at_once
        if after.any():
            self._later.append(
                pl.DataFrame(
                    {
                        "row": rows[after],
                        "moment": moments[after],
                        "variable": pl.repeat(variable, int(after.sum()), eager=True),
                        "flag": np.full(after.sum(), flag, np.uint8),
                        "code": np.full(after.sum(), self._code(check), np.uint8),
                    }
                )
            )

    def flagged_versions(self) -> pl.DataFrame:
        """The versions with a flag and a check beside each variable, split where a flag got worse later; in order."""
        columns = []
        for name in self.flag:
            columns.append(pl.Series(flag_column(name), self.flag[name]))
            columns.append(pl.Series(check_column(name), self._check[name]))
        whole = self._versions.with_columns(columns)
        worsening = self._worsening()
        split = whole if worsening.is_empty() else self._split(whole, worsening)
        names = dict(enumerate(self._checks))
        named = [
            pl.col(check_column(name)).replace_strict(names, return_dtype=pl.String).alias(check_column(name))
            for name in self.flag
        ]
        return split.with_columns(named)

    def _code(self, check: str) -> int:
        if check not in self._checks:
            self._checks.append(check)
        return self._checks.index(check)

    def _worsening(self) -> pl.DataFrame:
        """The later findings that make a flag worse than it was by then: row, moment, variable, flag, code."""
        if not self._later:
            return pl.DataFrame(schema={"row": pl.Int64})
        found = pl.concat(self._later).sort("row", "variable", "moment", pl.col("flag").cast(pl.Int16).neg(), "code")
        own = pl.concat(
            part.with_columns(pl.Series("own", self.flag[str(name)][part["row"].to_numpy()]))
            for (name,), part in found.group_by("variable", maintain_order=True)
        )
        before = pl.col("flag").cum_max().shift(1).over("row", "variable", order_by="moment").fill_null(0)
        return own.filter(pl.col("flag") > pl.max_horizontal("own", before)).drop("own")

    def _split(self, whole: pl.DataFrame, worsening: pl.DataFrame) -> pl.DataFrame:
        segments = worsening.select(*_SEGMENT).unique().sort(*_SEGMENT)
        moment = pl.col("moment").cast(UTC_TIME)
        ends = segments.with_columns(pl.col("moment").shift(-1).over("row").alias("next"))
        numbered = whole.with_row_index("row").cast({"row": pl.Int64})
        parts = ends.join(numbered, on="row", how="left", maintain_order="left")
        for (name,), found in worsening.group_by("variable"):
            new = segments.join(found.select(*_SEGMENT, "flag", "code"), on=_SEGMENT, how="left", maintain_order="left")
            new = new.select(pl.col("flag", "code").forward_fill().over("row"))
            parts = parts.with_columns(
                pl.coalesce(new["flag"], flag_column(str(name))).alias(flag_column(str(name))),
                pl.coalesce(new["code"], check_column(str(name))).alias(check_column(str(name))),
            )
        parts = parts.with_columns(
            moment.alias("known_from"), pl.coalesce(pl.col("next").cast(UTC_TIME), "known_until").alias("known_until")
        )
        first = segments.group_by("row").agg(pl.col("moment").min().cast(UTC_TIME).alias("split_at"))
        begun = numbered.join(first, on="row", how="left", maintain_order="left").with_columns(
            pl.coalesce("split_at", "known_until").alias("known_until")
        )
        both = pl.concat([begun.select(numbered.columns), parts.select(numbered.columns)])
        return both.sort("row", "known_from").drop("row")  # a row's parts lie before the next row
