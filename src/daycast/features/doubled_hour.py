"""Readings of the hour that clocks show twice when they are set back: which of the two a row stands for, by what is known.

A source that tells the two apart by the order of its rows leaves nothing to do here. What is left has a column `later_at`.
"""

from collections.abc import Sequence

import polars as pl

from daycast.features.deduplicate import KEY

_MEANINGS = {"earlier": "observed_at", "later": "later_at"}
_PASS = ["batch_id", "station_id", "day"]  # the rows of a batch that stand in the same doubled hour of a station


def settle_doubled_hours(
    rows: pl.DataFrame, held: pl.DataFrame, variables: Sequence[str], *, stated: bool
) -> tuple[pl.DataFrame, pl.Series]:
    """The rows, with observed_at (and an assumed received_at) an hour later where `later_at` is meant; and who is undecided.

    rows: batch_id, station_id, observed_at, later_at, received_at and the variables. held: the readings stored for both meanings.
    stated: received_at is stated by the source. Then a row that is held with this receipt keeps its instant, and any other one
    has the later meaning if it was received after that. Otherwise a meaning is out for which other values are held, and a row
    whose values are held keeps its instant. Rows that this leaves open are True in the series.
    """
    open_rows = rows.with_row_index("position").filter(pl.col("later_at").is_not_null())
    known = open_rows.with_columns(day=pl.col("observed_at").dt.date())
    for meaning, instant in _MEANINGS.items():
        known = known.hstack(_compare(known, held, instant, variables, meaning))
    second = known.select(second=_by_receipt() if stated else _by_values()).to_series()
    is_later = pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True).scatter(known["position"], second)
    hour = pl.when(is_later.fill_null(value=False)).then(pl.col("later_at") - pl.col("observed_at"))
    shift = hour.fill_null(pl.duration())
    received = pl.col("received_at") if stated else pl.col("received_at") + shift
    return rows.with_columns(pl.col("observed_at") + shift, received.alias("received_at")), is_later.is_null()


def _compare(
    rows: pl.DataFrame, held: pl.DataFrame, instant: str, variables: Sequence[str], meaning: str
) -> pl.DataFrame:
    """For each row, what is held at this meaning of its time: `same` values, `other` values, this very `receipt`."""
    latest = held.sort("received_at", "row_number").group_by(KEY).agg(pl.col(*variables).drop_nulls().last())
    receipts = held.select(*KEY, "received_at").unique().with_columns(is_receipt=True)
    on = {"left_on": ["station_id", instant], "right_on": KEY, "how": "left", "maintain_order": "left"}
    beside = rows.join(latest, suffix="_held", **on)  # type: ignore[arg-type]
    beside = beside.join(
        receipts,
        left_on=["station_id", instant, "received_at"],
        right_on=[*KEY, "received_at"],
        how="left",
        maintain_order="left",
    )
    pairs = [(pl.col(name), pl.col(f"{name}_held")) for name in variables]
    return beside.select(
        pl.any_horizontal(own == there for own, there in pairs).fill_null(value=False).alias(f"same_{meaning}"),
        pl.any_horizontal(own != there for own, there in pairs).fill_null(value=False).alias(f"other_{meaning}"),
        pl.col("is_receipt").fill_null(value=False).alias(f"receipt_{meaning}"),
    )


def _by_receipt() -> pl.Expr:
    held_once = pl.col("receipt_earlier") != pl.col("receipt_later")
    return pl.when(held_once).then("receipt_later").otherwise(pl.col("later_at") <= pl.col("received_at"))


def _by_values() -> pl.Expr:
    """Whether the later meaning holds, null where it stays open.

    The rows of a batch are all of the earlier pass, or all of the later one, or begin in one and end in the other, with the
    oldest or the newest row on top. What contradicts the order of the rows or the values that are held is out. Of what is left,
    that counts under which most rows are known already.
    """
    change = (pl.col("observed_at") - pl.col("observed_at").shift().over(_PASS)).dt.total_microseconds()
    falls, rises = ((change <= 0).fill_null(value=False), (change >= 0).fill_null(value=False))
    falling, rising = (turn.sum().over(_PASS) for turn in (falls, rises))
    is_one_pass = (falling == 0) | (rising == 0)
    possible = {  # whether a row has the later meaning: whether the order of the rows allows it
        "earlier": (pl.lit(value=False), is_one_pass),
        "later": (pl.lit(value=True), is_one_pass),
        "ascending": (falls.cum_sum().over(_PASS) > 0, falling == 1),
        "descending": (rises.cum_sum().over(_PASS) == 0, rising == 1),
    }
    scores = [_known_rows(second, allowed) for second, allowed in possible.values()]
    best = pl.max_horizontal(scores)
    is_sole = pl.sum_horizontal(score == best for score in scores) == 1
    is_repeated = best == pl.len().over(_PASS)  # every row is known under each of them: nothing depends on the choice
    chosen = [
        pl.when((score == best) & (best >= 0) & (is_sole | is_repeated)).then(second)
        for score, (second, _) in zip(scores, possible.values(), strict=True)
    ]
    return pl.coalesce(chosen)


def _known_rows(second: pl.Expr, allowed: pl.Expr) -> pl.Expr:
    """How many rows of a pass are held already if `second` says which have the later meaning; -1 if that cannot be."""
    same, other = (pl.when(second).then(f"{what}_later").otherwise(f"{what}_earlier") for what in ("same", "other"))
    is_possible = allowed & ~other.any().over(_PASS)
    return pl.when(is_possible).then(same.sum().over(_PASS).cast(pl.Int64)).otherwise(-1)
