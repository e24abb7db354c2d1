"""What held rows of a source become when the source is read again, because daycast had read it wrongly.

The rows that are read again say what the source holds now. When each value became known they cannot tell: the held rows do. So
a row keeps its time of receipt and gets another value. What the sensor corrected stays a correction: an earlier value that was
another one for the source too is not replaced by the later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

_OLD = ["old_batch_id", "old_row_number", "old_received_at"]


@dataclass(frozen=True)
class Restated:
    """The change to the held rows. All have the columns key, received_at, batch_id, row_number and the variables.

    retracted: held rows that were wrong, as they were. gone: these, and rows that say the same under the new mapping. stated:
    what takes the place of `gone`. fresh: rows read again of whose key nothing is held, and `is_stated`.
    """

    retracted: pl.DataFrame
    gone: pl.DataFrame
    stated: pl.DataFrame
    fresh: pl.DataFrame


def restate(
    held: pl.DataFrame,
    again: pl.DataFrame,
    variables: Sequence[str],
    key: Sequence[str],
    mapping: str | None,
    others: Sequence[str] = (),
    as_before: Sequence[str] = (),
    now: datetime | None = None,
) -> Restated:
    """Compare the held rows of a source with the rows that were read again. Held rows of other keys are left as they are.

    held: key, received_at, batch_id, row_number, mapping (how it was read; null if unknown), the variables, and `others`, columns
    that are not read any more and keep their values. again: the same without others, and with `is_stated` (whether the source
    states when it was received) in place of mapping. mapping: how `again` was read.

    Of a key with as many rows in both, each row gets the values of its counterpart, in order of receipt; a receipt that the
    source states is taken from there too. Else every held row gets the values that are read now, except a value that the source
    has corrected since: it stays if the mapping makes no difference to it, and is missing if it does, because what it was under
    the new mapping is not known. Rows of different mappings that differ do not count as corrections.

    as_before: variables that the new mapping reads as the old one did. Their held values stay; where the source says something
    else now, that is news: a further row, received `now` unless the source states when.
    """
    identity = [*key, "batch_id", "row_number", "received_at"]
    columns = [*identity, *variables, *others]
    held, again = _numbered(held, key), _numbered(again, key)
    both = held.join(again, on=key, how="semi", maintain_order="left")
    pairs = _pairs(both, again, [*variables], key).select(*columns, *_OLD, "at")
    alone = both.join(pairs, on=[*key, "at"], how="anti", maintain_order="left")
    stated = pl.concat([pairs.drop("at"), _revalued(both, alone, again, variables, key).select(*columns, *_OLD)])
    stated = _with_held(stated, both, as_before, key)
    beside = stated.drop(others)
    old = both.select(*columns, "mapping").join(
        beside, left_on=identity, right_on=[*key, *_OLD], how="left", suffix="_new", maintain_order="left"
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_new")) for name in variables)
    differs |= pl.col("received_at") != pl.col("received_at_new")
    wrong, gone = old.filter(differs), old.filter(differs | pl.col("mapping").ne_missing(pl.lit(mapping, pl.String)))
    taken = stated.join(gone, left_on=[*key, *_OLD], right_on=identity, how="semi").select(columns)
    added = again.join(both, on=key, how="semi", maintain_order="left").filter("is_stated")
    added = added.join(stated, on=[*key, "received_at"], how="anti").select(*identity, *variables)
    return Restated(
        retracted=wrong.select(columns),
        gone=gone.select(columns),
        stated=pl.concat([taken, added, _further(both, again, as_before, key, now)], how="diagonal"),
        fresh=again.join(both, on=key, how="anti", maintain_order="left").select(*identity, *variables, "is_stated"),
    )


def _with_held(stated: pl.DataFrame, held: pl.DataFrame, as_before: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """The rows with the values of these variables that the rows had whose place they take."""
    if not as_before:
        return stated
    own = held.select(*key, *(pl.col(name.removeprefix("old_")).alias(name) for name in _OLD), *as_before)
    return stated.drop(as_before).join(own, on=[*key, *_OLD], how="left", maintain_order="left").select(stated.columns)


def _further(
    held: pl.DataFrame, again: pl.DataFrame, as_before: Sequence[str], key: Sequence[str], now: datetime | None
) -> pl.DataFrame:
    """What the source says now of variables that are read as before, where it is not the last that was held."""
    identity = [*key, "received_at", "batch_id", "row_number"]
    if not as_before:
        return again.select(identity).clear()
    last = held.group_by(key).agg(pl.col(name).drop_nulls().last().alias(f"{name}_held") for name in as_before)
    told = again.group_by(key, maintain_order=True).agg(pl.all().last()).join(last, on=key)
    receipt = pl.when("is_stated").then("received_at").otherwise(pl.lit(now, told.schema["received_at"]))
    differs = {name: pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(f"{name}_held")) for name in as_before}
    further = told.filter(pl.any_horizontal(*differs.values()))
    values = [pl.when(one).then(name).alias(name) for name, one in differs.items()]
    return further.with_columns(*values, received_at=receipt).select(*identity, *as_before)


def _numbered(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows in order of receipt, each with its position among those of its key (`at`) and their number (`n`)."""
    ordered = rows.sort(*key, "received_at", "row_number")
    return ordered.with_columns(at=pl.int_range(pl.len()).over(key), n=pl.len().over(key))


def _pairs(held: pl.DataFrame, again: pl.DataFrame, variables: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """The held rows that have a counterpart, with its values; `at` is their position."""
    beside = [*key, "received_at", "batch_id", "row_number", *variables]
    ranked = held.join(again, on=[*key, "at", "n"], suffix="_new", maintain_order="left")
    rest = held.join(ranked, on=key, how="anti", maintain_order="left")
    received = again.filter("is_stated").unique([*key, "received_at"], keep="last", maintain_order=True)
    same = rest.unique([*key, "received_at"], keep="last", maintain_order=True).join(
        received.with_columns(received_at_new="received_at"), on=[*key, "received_at"], suffix="_new"
    )
    found = pl.concat([ranked, same.select(ranked.columns)])
    receipt = pl.when("is_stated").then("received_at_new").otherwise("received_at")
    new = [pl.col(f"{name}_new").alias(name) for name in beside if name not in {*key, "received_at"}]
    return found.with_columns(*_old_identity(), *new, received_at=receipt)


def _old_identity() -> list[pl.Expr]:
    return [pl.col(name.removeprefix("old_")).alias(name) for name in _OLD]


def _revalued(
    held: pl.DataFrame, alone: pl.DataFrame, again: pl.DataFrame, variables: Sequence[str], key: Sequence[str]
) -> pl.DataFrame:
    """The held rows without a counterpart, with the values that are read now."""
    last = again.group_by(key).agg(
        pl.col("batch_id", "row_number").last(), *(pl.col(name).drop_nulls().last() for name in variables)
    )
    rows = held.join(alone, on=key, how="semi", maintain_order="left").join(
        last, on=key, suffix="_new", maintain_order="left"
    )
    valued = rows.with_columns(_linked(name, key).alias(f"{name}_linked") for name in variables)
    valued = valued.with_columns(_value(name, key).alias(f"{name}_stated") for name in variables)
    wanted = valued.join(alone, on=[*key, "at"], how="semi", maintain_order="left")
    stated = [pl.col(f"{name}_stated").alias(name) for name in variables]
    return wanted.with_columns(*_old_identity(), *stated, batch_id="batch_id_new", row_number="row_number_new")


def _linked(name: str, key: Sequence[str]) -> pl.Expr:
    """Whether a value is the source's last word in its own reading: no later value of the same mapping differs."""
    old = pl.col(name)
    mapping = pl.when(old.is_not_null()).then(pl.col("mapping").fill_null(""))
    after, mapping_after = (one.backward_fill().shift(-1).over(key) for one in (old, mapping))
    same = (old == after) | (mapping != mapping_after)
    return same.fill_null(value=True).cast(pl.Int8).reverse().cum_min().reverse().over(key) == 1


def _value(name: str, key: Sequence[str]) -> pl.Expr:
    """What a held value becomes; see `restate`."""
    old, new, linked = pl.col(name), pl.col(f"{name}_new"), pl.col(f"{name}_linked")
    later = pl.when(linked).then(old).backward_fill().over(key)
    was_never_read = (pl.col("at") == 0) & (old.count().over(key) == 0)
    return (
        pl.when(old.is_null())
        .then(pl.when(was_never_read).then(new))
        .when(linked)
        .then(new)
        .when(later == new)
        .then(old)
    )
