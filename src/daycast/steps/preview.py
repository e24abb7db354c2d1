"""A preview of a source: what ingest would read, refuse and keep of it, found out without storing anything.

`preview_source` reads as ingest does, batch by batch, until a limit of rows or time; `Preview` has what doctor tells of it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from daycast.errors import ContractError, join_errors
from daycast.features.amounts import accumulate
from daycast.features.deduplicate import KEY
from daycast.features.profile import Profile, make_profile
from daycast.settings import Settings
from daycast.sources.batch import PROBLEM_SCHEMA, READING_KEYS, Source, SourceBatch
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.inbox import Inbox
from daycast.sources.tables.typed_table import TypedTable
from daycast.steps.load import settle_rows, stack_rows
from daycast.steps.rejections import commonest_reasons, find_problems, reject_batch, without_negative_totals

MOST_ROWS = 1_000_000  # after so many no further batch is read
MOST_SECONDS = 10.0  # nor after this time; the first batch is always waited for
_SAMPLED_AT = (0.0, 0.23, 0.48, 0.77, 1.0)  # of all rows; quarters would often be the same hour of the day
_HEAD_ROWS = 1000  # kept of each batch as it was written
# nothing is computed at import: forked processes would wait for the threads of polars
_NO_NUMBERS = pl.DataFrame(schema={**READING_KEYS, "number": pl.Float64})
_NO_PROBLEMS = pl.DataFrame(schema={"row": pl.UInt32, **PROBLEM_SCHEMA, "costs_row": pl.Boolean})


@dataclass(frozen=True)
class Preview:
    """What ingest would make of the part of a source that was read.

    batches: as they were read, with only the first rows of `raw`. part: which part of the source they are, in words; whole:
    whether that is all of it. errors: those that ingest would end with: the source's own, and one for each batch that would be
    refused whole. readable: the rows without a problem, with a column for each variable. problems, refused_rows, refused_values:
    how many there are; reasons: the three most frequent of them in words. names: the variables that the source maps. profile:
    of readings; None for external forecasts.
    """

    batches: Sequence[SourceBatch]
    part: str
    whole: bool
    errors: Sequence[Exception]
    readable: pl.DataFrame
    problems: int
    refused_rows: int
    refused_values: int
    reasons: str
    names: Sequence[str]
    profile: Profile | None

    @property
    def rows(self) -> int:
        """The rows that were read."""
        return sum(len(batch.readings) for batch in self.batches)

    @property
    def waiting(self) -> int:
        """The rows held back because they are stamped later than now."""
        return sum(batch.waiting for batch in self.batches)

    @property
    def sample(self) -> pl.DataFrame:
        """Five of the readable rows, or as many as there are, from the first to the last."""
        last = len(self.readable) - 1
        return self.readable[sorted({round(share * last) for share in _SAMPLED_AT}) if last >= 0 else []]

    def raise_errors(self) -> None:
        """Raise the errors as one, if there are any, or a ContractError if no row could be kept."""
        if self.errors:
            raise join_errors(self.errors)
        if self.rows and self.readable.is_empty():
            raise ContractError(f"{self.part}: none of {self.rows:,} rows can be kept: {self.reasons}")


def preview_source(
    settings: Settings,
    source: Source,
    until: datetime,
    stations: pl.DataFrame,
    seconds: Callable[[], float] = time.monotonic,
) -> Preview:
    """Read the beginning of a source as its first ingest would at `until`, and find out what it would keep.

    Batches of files are read until MOST_ROWS rows or MOST_SECONDS are reached; of services and databases only the first one is.
    stations: station_id, longitude of those that are known. seconds: a clock.
    """
    batches, cut, error = _read(source, until, settings, seconds)
    part = _describe_part(source, batches, cut=cut)
    of_readings, of_forecasts = (
        _sort_out([batch for batch in batches if batch.is_forecast == is_forecast], settings)
        for is_forecast in (False, True)
    )
    problems = pl.concat([of_readings.problems, of_forecasts.problems], how="diagonal")
    readable = of_forecasts.readable if of_readings.readable.is_empty() else of_readings.readable
    names, tolerance = _mapped(source, settings, readable), getattr(source, "tolerance", timedelta(0))
    return Preview(
        batches=batches,
        part=part,
        whole=not cut,
        errors=[*of_readings.errors, *of_forecasts.errors, *([error] if error else [])],
        readable=readable,
        problems=len(problems),
        refused_rows=of_readings.refused_rows + of_forecasts.refused_rows,
        refused_values=len(problems.filter(~pl.col("costs_row"))),
        reasons=commonest_reasons(problems),
        names=names,
        profile=make_profile(readable, names, stations, tolerance) if "observed_at" in readable.columns else None,
    )


def _read(
    source: Source, until: datetime, settings: Settings, seconds: Callable[[], float]
) -> tuple[list[SourceBatch], bool, Exception | None]:
    """The batches, whether there may be more, and the error with which the source ended."""
    batches, rows, deadline = list[SourceBatch](), 0, seconds() + MOST_SECONDS
    try:
        for batch in source.fetch(None, until, settings.glossary, ()):
            batches.append(replace(without_negative_totals(batch), raw=batch.raw.head(_HEAD_ROWS)))
            rows += len(batch.readings)
            if not isinstance(source, Inbox) or rows >= MOST_ROWS or seconds() >= deadline:
                return batches, True, None
    except Exception as error:  # noqa: BLE001 - what was read before is shown, and the error is a failed check
        return batches, False, error
    return batches, False, None


def _describe_part(source: Source, batches: Sequence[SourceBatch], *, cut: bool) -> str:
    """Which part of the source was read, such as `the first 3 of 40 files`; empty if nothing was."""
    if not batches:
        return ""
    if not isinstance(source, Inbox):
        return batches[0].origin
    files = [file.origin for file in source.ready_files()]
    origins = {batch.origin for batch in batches} | {batch.origin.rpartition(" from ")[0] for batch in batches}
    read = [file for file in files if file in origins]
    if len(files) == 1:
        return f"the beginning of {files[0]}" if cut else files[0]
    if cut:
        return f"the first {len(read):,} of {len(files):,} files"
    return f"{len(read):,} files" if len(read) == len(files) else f"{len(read):,} of {len(files):,} files"


@dataclass(frozen=True)
class _Sorted:
    """Rows without a problem, the problems, and the errors of the batches that would be refused whole."""

    readable: pl.DataFrame
    problems: pl.DataFrame
    refused_rows: int
    errors: list[ContractError]


def _sort_out(batches: Sequence[SourceBatch], settings: Settings) -> _Sorted:
    """What ingest would do with the rows of batches of one kind."""
    if not batches:
        return _Sorted(pl.DataFrame(), _NO_PROBLEMS, 0, [])
    by_id = {str(number): batch for number, batch in enumerate(batches)}
    rows, undecided = _settled(stack_rows(by_id, settings.glossary), by_id, settings)
    rows = _with_amounts(rows, batches)
    problems = find_problems(rows, by_id, settings.glossary, settings.ingest.earliest)
    problems = pl.concat([problems, *undecided])
    rejections = reject_batch(rows, problems, by_id, settings.glossary, settings.ingest.refuse_above)
    refused = problems.filter("costs_row").select("row").unique()
    readable = rows.join(refused, on="row", how="anti", maintain_order="left")
    return _Sorted(readable, problems, len(refused), [one.error for one in rejections.values()])


def _settled(
    rows: pl.DataFrame, batches: Mapping[str, SourceBatch], settings: Settings
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows with one instant each, and the problems of those that may stand for two, as if only these batches were held.

    As in ingest, batches with such rows come last, one by one.
    """
    own = {batch_id: batch for batch_id, batch in batches.items() if "later_at" in batch.readings.columns}
    if not own:
        return rows, []
    settled, problems = [rows.filter(~pl.col("batch_id").is_in(list(own))).drop("later_at")], list[pl.DataFrame]()
    for batch_id, batch in own.items():
        held = pl.concat(settled)
        of_batch, undecided = settle_rows(
            rows.filter(pl.col("batch_id") == batch_id),
            {batch_id: batch},
            settings.glossary,
            partial(held.join, on=KEY, how="semi"),
        )
        settled.append(of_batch.select(held.columns))
        problems += undecided
    return pl.concat(settled).sort("row"), problems


def _with_amounts(rows: pl.DataFrame, batches: Sequence[SourceBatch]) -> pl.DataFrame:
    """The rows with amounts in place of the numbers of counters, of running hours and rates, as if nothing were held of them."""
    for name, accumulation in {name: one for batch in batches for name, one in batch.accumulations.items()}.items():
        rows = accumulate(rows, _NO_NUMBERS, name, accumulation).rows
    return rows


def _mapped(source: Source, settings: Settings, readable: pl.DataFrame) -> list[str]:
    """The variables that a source maps; those that have a value, where it has no mapping."""
    if isinstance(source, CsvSource):
        return [name for name in settings.glossary if name in source.mapped]
    if isinstance(source, TypedTable):
        return [name for name in settings.glossary if name in source.columns]
    has_value = {column.name for column in readable if column.null_count() < len(column)}
    return [name for name in settings.glossary if name in has_value]
