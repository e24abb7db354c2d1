"""Rejections: find bad rows, decide when a whole batch is rejected, and keep rejected rows as they were delivered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from daycast.errors import ContractError
from daycast.quality.contracts import external_forecasts_contract, find_rejections, readings_contract
from daycast.sources.batch import Problem, SourceBatch, problems_frame
from daycast.variables import Variable

FEW_ROWS = 20  # in a smaller batch a share says little: it is rejected only if every row is bad
_KEPT_ROWS = 1000  # bad rows kept of a rejected batch, in its order; the source still has the rest


@dataclass(frozen=True)
class BatchRejection:
    """A rejected batch: why nothing of it was loaded, and the problems of its first bad rows."""

    error: ContractError
    problems: pl.DataFrame


def without_negative_totals(batch: SourceBatch) -> SourceBatch:
    """The batch without totals and rates below 0, of which no amount may be made: they are bad values."""
    negative = {name: (batch.readings[name] < 0).fill_null(value=False) for name in batch.accumulations}
    names = [name for name, where in negative.items() if where.any()]
    if not names:
        return batch
    reason = "is below 0, which no total and no rate is: name it in missing, if it means that"
    found = problems_frame(
        Problem(name, negative[name], batch.readings[name].cast(pl.String), reason) for name in names
    )
    readings = batch.readings.with_columns(pl.when(pl.col(name) >= 0).then(name).alias(name) for name in names)
    bad_values = pl.concat([batch.bad_values, found]).sort("row_number", maintain_order=True)
    return replace(batch, readings=readings, bad_values=bad_values)


def find_problems(
    rows: pl.DataFrame, batches: Mapping[str, SourceBatch], variables: Mapping[str, Variable], earliest: datetime
) -> pl.DataFrame:
    """The problems of rows: what the source could not read, then what breaks the contract in the other rows.

    rows: row (counted over all batches), batch_id, row_number, the keys and every variable. batches: by batch_id. Returns row,
    batch_id, row_number, column, value, reason and costs_row: one row for each problem. A value that could not be read costs
    itself alone, everything else its row.
    """
    keys = rows.select("row", "batch_id", "row_number")
    unread, bad_values = (
        pl.concat(frame.with_columns(pl.lit(batch_id).alias("batch_id")) for batch_id, frame in frames).join(
            keys, on=["batch_id", "row_number"], maintain_order="left"
        )
        for frames in (
            [(batch_id, batch.problems) for batch_id, batch in batches.items()],
            [(batch_id, batch.bad_values) for batch_id, batch in batches.items()],
        )
    )
    make_contract = external_forecasts_contract if "issued_at" in rows.columns else readings_contract
    contract = make_contract(variables.values(), earliest)
    broken = find_rejections(rows.drop("row", "batch_id", "row_number"), contract).rename({"row_number": "row"})
    broken = broken.join(unread, on="row", how="anti").join(keys, on="row", maintain_order="left")
    columns = ["row", "batch_id", "row_number", "column", "value", "reason"]
    found = ((unread, True), (bad_values, False), (broken, True))
    return pl.concat(frame.select(*columns, pl.lit(costs_row).alias("costs_row")) for frame, costs_row in found)


def reject_batch(
    rows: pl.DataFrame,
    problems: pl.DataFrame,
    batches: Mapping[str, SourceBatch],
    variables: Mapping[str, Variable],
    refuse_above: float,
) -> dict[str, BatchRejection]:
    """The batches to reject, by batch_id: those with a share of bad rows above `refuse_above`.

    A row is bad if it has a problem or a value outside the physical limits. Batches of one row are never rejected, and those
    below FEW_ROWS only if every row is bad.
    """
    bad = pl.col("row").is_in(problems["row"].unique().implode()) | pl.any_horizontal(
        _beyond(variable) for variable in variables.values()
    )
    counts = (
        rows.group_by("batch_id").agg(pl.len(), bad.fill_null(value=False).sum().alias("bad")).filter(pl.col("bad") > 0)
    )
    found = {}
    for batch_id, delivered, rejected in counts.iter_rows():
        if rejected <= refuse_above * delivered or (delivered < FEW_ROWS and rejected < delivered) or delivered == 1:
            continue
        all_problems = _all_problems(rows.filter(pl.col("batch_id") == batch_id), problems, variables)
        error = ContractError(
            f"{batches[batch_id].origin}: {rejected} of {delivered} rows are bad, more than ingest.refuse_above = "
            f"{refuse_above:g} allows, so nothing of it was ingested: {commonest_reasons(all_problems)}. "
            "Correct the units, missing markers or columns of this source"
        )
        first = pl.col("row").rank("dense") <= _KEPT_ROWS
        found[batch_id] = BatchRejection(error, all_problems.sort("row", maintain_order=True).filter(first))
    return found


def make_rejected_rows(problems: pl.DataFrame, batches: Mapping[str, SourceBatch], now: datetime) -> pl.DataFrame:
    """Problems as rows of `rejected_readings`, each with its row as delivered, as JSON."""
    parts = []
    for (batch_id,), part in problems.group_by("batch_id", maintain_order=True):
        raw = batches[str(batch_id)].raw.with_row_index("row_number")
        raw = raw.filter(pl.col("row_number").is_in(part["row_number"].implode()))
        as_json = raw.select("row_number", pl.struct(pl.exclude("row_number")).struct.json_encode().alias("reading"))
        parts.append(part.join(as_json, on="row_number", how="left"))
    rejected = pl.concat(parts) if parts else problems.with_columns(pl.lit(None, pl.String).alias("reading"))
    return rejected.select(
        "batch_id",
        "row_number",
        pl.col("column").alias("column_name"),
        "value",
        "reason",
        "reading",
        pl.lit(now).alias("rejected_at"),
    )


def make_unread_rows(reasons: Mapping[str, str], now: datetime) -> pl.DataFrame:
    """A row of `rejected_readings` for each delivery, by batch_id, that has no rows because it could not be read."""
    return pl.DataFrame({"batch_id": list(reasons), "reason": list(reasons.values())}).select(
        "batch_id",
        pl.lit(0, pl.UInt32).alias("row_number"),
        pl.lit("").alias("column_name"),
        pl.lit(None, pl.String).alias("value"),
        "reason",
        pl.lit("{}").alias("reading"),
        pl.lit(now).alias("rejected_at"),
    )


def _beyond(variable: Variable) -> pl.Expr:
    """Whether a value is outside the physical limits; null where it is missing."""
    return ~pl.col(variable.name).is_between(variable.valid_min, variable.valid_max)


def _all_problems(rows: pl.DataFrame, problems: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
    """The problems of `rows`, and their values outside the physical limits, which alone would only be flagged."""
    of_these = problems.join(rows, on="row", how="semi", maintain_order="left")
    return pl.concat([of_these, find_outside(rows, variables)])


def find_outside(rows: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
    """The values outside the physical limits, as problems: they are flagged, and count when a batch is rejected."""
    return pl.concat(
        rows.filter(_beyond(variable)).select(
            "row",
            "batch_id",
            "row_number",
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("value"),
            pl.lit(variable.outside).alias("reason"),
            pl.lit(value=True).alias("costs_row"),
        )
        for name, variable in variables.items()
    )


def commonest_reasons(problems: pl.DataFrame) -> str:
    """The three most frequent problems in words."""
    common = (
        problems.group_by("column", "reason", maintain_order=True)
        .agg(pl.len(), pl.col("value").first())
        .sort("len", "column", "reason", descending=True)
    )
    return "; ".join(
        f"{row['column']} {row['reason']} ({row['len']}×, for example {row['value']!r})"
        for row in common.head(3).to_dicts()
    )
