"""What could not be read of a CSV file, row by row and in words."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from daycast.sources.delivery import PROBLEM_SCHEMA
from daycast.sources.tables.csv_file import beyond_columns
from daycast.sources.tables.text_values import ValueReader


@dataclass(frozen=True, slots=True)
class Complaint:
    """One reason to refuse the rows at which `where` is True; `value` is a frame's column as it came."""

    column: str
    where: pl.Series
    value: pl.Series
    reason: str | pl.Series


def list_problems(complaints: Iterable[Complaint]) -> pl.DataFrame:
    """All complaints as problems (PROBLEM_SCHEMA), by row."""
    frames = [
        pl.select(
            row_number=pl.int_range(complaint.where.len(), dtype=pl.UInt32),
            column=pl.lit(complaint.column),
            value=complaint.value,
            reason=pl.lit(complaint.reason),
        ).filter(complaint.where)
        for complaint in complaints
        if complaint.where.any()
    ]
    empty = pl.DataFrame(schema=PROBLEM_SCHEMA)
    return pl.concat([empty, *frames]).sort("row_number", maintain_order=True)


def complaints_about_values(raw: pl.DataFrame, read: pl.DataFrame, readers: Iterable[ValueReader]) -> list[Complaint]:
    """Text where a number or a point of the compass belongs; `read` has what the readers' `unreadable` found."""
    return [
        Complaint(reader.column, read[reader.unreadable_name], raw[reader.column], reader.reason) for reader in readers
    ]


def complaints_about_layout(raw: pl.DataFrame, *, quoted: bool) -> list[Complaint]:
    """Fields beyond the header, and fields over several lines, where an open quotation mark may have swallowed rows.

    quoted: whether there is a quotation mark in the file at all; without one no field can go on over a line.
    """
    beyond = [
        Complaint(name, raw[name].is_not_null(), raw[name], "more fields than the header has")
        for name in beyond_columns(raw)
    ]
    reason = "goes on over several lines: a quotation mark that was never closed may have swallowed rows"
    if not quoted:
        return beyond
    return beyond + [
        Complaint(column.name, column.str.contains("\n", literal=True).fill_null(value=False), column, reason)
        for column in raw
    ]
