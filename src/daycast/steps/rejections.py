"""What is wrong with delivered rows, when a delivery is refused whole for it, and the refused rows as they came."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from daycast.errors import ContractError
from daycast.quality.contracts import external_forecasts_contract, find_rejections, readings_contract
from daycast.sources.batch import SourceBatch
from daycast.variables import Variable

FEW_ROWS = 20  # in a batch this small, a share of bad rows says nothing: bad rows are refused one by one
_KEPT_ROWS = (
    1000  # of a delivery that is refused whole, in its order: the rest is where it came from, and will come again
)


@dataclass(frozen=True)
class BatchRejection:
    """A delivery of which nothing was taken in: why, and its first bad rows as find_problems names them."""

    error: ContractError
    problems: pl.DataFrame


def find_problems(
    rows: pl.DataFrame, deliveries: Mapping[str, SourceBatch], variables: Mapping[str, Variable], earliest: datetime
) -> pl.DataFrame:
    """Everything wrong with a row: what the source could not read, then what breaks the contract in the rest.

    Columns row, batch_id, row_number, column, value, reason.
    """
    unread = pl.concat(
        delivery.problems.with_columns(pl.lit(batch_id).alias("batch_id")) for batch_id, delivery in deliveries.items()
    )
    keys = rows.select("row", "batch_id", "row_number")
    unread = unread.join(keys, on=["batch_id", "row_number"], maintain_order="left")
    make_contract = external_forecasts_contract if "issued_at" in rows.columns else readings_contract
    contract = make_contract(variables.values(), earliest)
    broken = find_rejections(rows.drop("row", "batch_id", "row_number"), contract).rename({"row_number": "row"})
    broken = broken.join(unread, on="row", how="anti").join(keys, on="row", maintain_order="left")
    columns = ["row", "batch_id", "row_number", "column", "value", "reason"]
    return pl.concat([unread.select(columns), broken.select(columns)])


def reject_batch(
    rows: pl.DataFrame,
    problems: pl.DataFrame,
    deliveries: Mapping[str, SourceBatch],
    variables: Mapping[str, Variable],
    refuse_above: float,
) -> dict[str, BatchRejection]:
    """By batch_id each delivery in which too large a share of the rows is bad: unreadable, or beyond the limits."""
    bad = pl.col("row").is_in(problems["row"].unique().implode()) | pl.any_horizontal(
        _beyond(variable) for variable in variables.values()
    )
    counts = (
        rows.group_by("batch_id").agg(pl.len(), bad.fill_null(value=False).sum().alias("bad")).filter(pl.col("bad") > 0)
    )
    found = {}
    for batch_id, delivered, refused in counts.iter_rows():
        if refused <= refuse_above * delivered or (delivered < FEW_ROWS and refused < delivered) or delivered == 1:
            continue
        all_problems = _all_problems(rows.filter(pl.col("batch_id") == batch_id), problems, variables)
        error = ContractError(
            f"{deliveries[batch_id].origin}: {refused} of {delivered} rows are bad, more than ingest.refuse_above = "
            f"{refuse_above:g} allows, so nothing of it was ingested: {_commonest_reasons(all_problems)}. "
            "Correct the units, missing markers or columns of this source"
        )
        first = pl.col("row").rank("dense") <= _KEPT_ROWS
        found[batch_id] = BatchRejection(error, all_problems.sort("row", maintain_order=True).filter(first))
    return found


def _beyond(variable: Variable) -> pl.Expr:
    return ~pl.col(variable.name).is_between(variable.valid_min, variable.valid_max)


def _all_problems(rows: pl.DataFrame, problems: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
    """The problems of `rows`, and their values beyond the limits, which alone would be kept and flagged."""
    of_these = problems.join(rows, on="row", how="semi", maintain_order="left")
    beyond = [
        rows.filter(_beyond(variable)).select(
            "row",
            "batch_id",
            "row_number",
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("value"),
            pl.lit(variable.outside).alias("reason"),
        )
        for name, variable in variables.items()
    ]
    return pl.concat([of_these, *beyond])


def _commonest_reasons(problems: pl.DataFrame) -> str:
    common = (
        problems.group_by("column", "reason", maintain_order=True)
        .agg(pl.len(), pl.col("value").first())
        .sort("len", "column", "reason", descending=True)
    )
    return "; ".join(
        f"{row['column']} {row['reason']} ({row['len']}×, for example {row['value']!r})"
        for row in common.head(3).to_dicts()
    )


def as_they_came(problems: pl.DataFrame, deliveries: Mapping[str, SourceBatch], now: datetime) -> pl.DataFrame:
    """Refusals as rows of rejected_readings, each with its row of the delivery as JSON."""
    parts = []
    for (batch_id,), part in problems.group_by("batch_id", maintain_order=True):
        raw = deliveries[str(batch_id)].raw.with_row_index("row_number")
        raw = raw.filter(pl.col("row_number").is_in(part["row_number"].implode()))
        as_json = raw.select("row_number", pl.struct(pl.exclude("row_number")).struct.json_encode().alias("reading"))
        parts.append(part.join(as_json, on="row_number", how="left"))
    refused = pl.concat(parts) if parts else problems.with_columns(pl.lit(None, pl.String).alias("reading"))
    return refused.select(
        "batch_id",
        "row_number",
        pl.col("column").alias("column_name"),
        "value",
        "reason",
        "reading",
        pl.lit(now).alias("rejected_at"),
    )
