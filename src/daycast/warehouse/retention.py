"""Rows that are older than they are kept."""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import polars as pl

from daycast.times import EPOCH
from daycast.warehouse.connect import read_frame, transaction
from daycast.warehouse.growing import GROWING, touch
from daycast.warehouse.statements import statement


@dataclass(frozen=True)
class OldRows:
    """How many rows are older than they are kept, and which models' forecasts are not."""

    forecasts: int
    scores: int
    forecasting_models: frozenset[str]


def delete_old_rows(
    con: duckdb.DuckDBPyConnection, forecasts_until: datetime | None, scores_until: datetime | None, *, dry_run: bool
) -> OldRows:
    """Delete forecasts issued before the one moment and scores of days before that of the other; None keeps all.

    With `dry_run` nothing is deleted. Returns what was there.
    """
    until = {"forecasts": forecasts_until or EPOCH, "scores": scores_until or EPOCH}
    with transaction(con):
        row = read_frame(con, "select_old_rows", forecasts_until=until["forecasts"], scores_until=until["scores"]).row(
            0, named=True
        )
        if not dry_run:
            _delete(con, "delete_old_forecasts", "forecasts", row["first_issued_at"], until["forecasts"])
            _delete(con, "delete_old_scores", "scores", row["first_valid_on"], until["scores"])
    return OldRows(row["forecasts"], row["scores"], frozenset(row["models"] or []))


def _delete(con: duckdb.DuckDBPyConnection, query: str, table: str, first: object, until: datetime) -> None:
    """first: the time of the table's oldest row, a date or a moment; None where it is empty."""
    if not isinstance(first, datetime):
        first = datetime.fromisoformat(f"{first}T00:00:00+00:00") if first else until
    if first >= until:
        return
    con.execute(statement(query), {"until": until})
    moments = pl.datetime_range(
        first.astimezone(UTC), until, GROWING[table].periods[-1], closed="left", eager=True, time_unit="us"
    )
    touch(con, table, moments)
