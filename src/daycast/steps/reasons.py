"""Why rows and values would be refused: the reasons, how often each holds, and a row as an example of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from daycast.steps.load import CheckedRows
from daycast.steps.rejections import find_outside
from daycast.variables import Variable

SHOWN = 3  # reasons
_KEPT = 20  # reasons of a group of batches whose example is kept
Cost = Literal["row", "value", "use"]  # a value that costs its use is kept and flagged: no model reads it


@dataclass(frozen=True)
class Reason:
    """One reason, and the first row that it holds for."""

    cost: Cost
    column: str  # as the source names it
    reason: str
    count: int
    value: str | None
    origin: str  # of the batch
    number: int  # of the row in it, from 1
    row: Mapping[str, object]  # as the source wrote it

    def __str__(self) -> str:
        return f"{self.column} {self.reason} ({self.count:,}×, for example {self.value!r})"


@dataclass
class Reasons:
    """What ingest would refuse of the batches that were added."""

    rows: int = 0
    values: int = 0  # in rows that are kept
    flagged: int = 0  # values outside the physical limits, in rows that are kept
    _reasons: dict[tuple[str, str, str], Reason] = field(default_factory=dict)

    def add(self, checked: CheckedRows, variables: Mapping[str, Variable]) -> None:
        """Count what was found in some batches. In rejected ones all rows are refused, and values outside the limits are why."""
        is_rejected = pl.col("batch_id").is_in(list(checked.rejected))
        outside = find_outside(checked.rows, variables)
        outside = outside.with_columns(cost=pl.when(is_rejected).then(pl.lit("row")).otherwise(pl.lit("use")))
        cost = pl.when(is_rejected | pl.col("costs_row")).then(pl.lit("row")).otherwise(pl.lit("value"))
        problems = checked.problems.with_columns(cost=cost)
        refused = problems.filter(cost="row").select("row").unique()
        outside = outside.join(refused, on="row", how="anti", maintain_order="left")
        rejected = checked.rows.filter(is_rejected)
        self.rows += len(rejected) + len(refused.join(rejected, on="row", how="anti"))
        self.values += len(problems.filter(cost="value"))
        self.flagged += len(outside.filter(cost="use"))
        self._add_reasons(pl.concat([problems, outside.select(problems.columns)]), checked)

    def _add_reasons(self, problems: pl.DataFrame, checked: CheckedRows) -> None:
        first = pl.col("value", "batch_id", "row_number").first()
        reasons = problems.group_by("cost", "column", "reason", maintain_order=True).agg(pl.len(), first)
        for one in reasons.sort("len", descending=True, maintain_order=True).head(_KEPT).iter_rows(named=True):
            key = (one["cost"], one["column"], one["reason"])
            if before := self._reasons.get(key):
                self._reasons[key] = replace(before, count=before.count + one["len"])
                continue
            batch, number = checked.batches[one["batch_id"]], one["row_number"]
            row = batch.raw.row(number, named=True)
            self._reasons[key] = Reason(*key, one["len"], one["value"], batch.origin, number + 1, row)

    def commonest(self, *costs: Cost) -> list[Reason]:
        """The most frequent reasons of these costs, at most SHOWN."""
        found = [one for one in self._reasons.values() if one.cost in costs]
        return sorted(found, key=lambda one: (one.count, one.column, one.reason), reverse=True)[:SHOWN]

    def summary(self) -> str:
        """The most frequent reasons for refusing rows and values, in words."""
        return "; ".join(map(str, self.commonest("row", "value")))

    def __str__(self) -> str:
        """How many rows and values would be refused; empty if none."""
        counts = [(self.rows, "row"), (self.values, "value")]
        return " and ".join(f"{count:,} {what}{'s' if count > 1 else ''}" for count, what in counts if count)
