"""A preview of a source: what ingest would read, keep and refuse of it, found out without storing anything for good.

`preview_source` has ingest load the source, or a sample of it, into a warehouse that is thrown away, and watches. `Preview` has
what doctor tells of it.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from daycast.errors import ContractError, join_errors
from daycast.features.profile import Profile, make_profile
from daycast.settings import Settings
from daycast.sources.batch import Source, SourceBatch
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.inbox import Inbox, Sample, ends_its_file, file_of
from daycast.sources.tables.typed_table import TypedTable
from daycast.steps.ingest import try_source
from daycast.steps.load import CheckedRows
from daycast.steps.reasons import Reasons
from daycast.variables import Variable
from daycast.warehouse.warehouse import Warehouse

ALL_FILES = 1000  # if there are more, only SOME_FILES are read
SOME_FILES = 20
MOST_ROWS = 1_000_000  # of a source; after its share of them no more of a file is read
MOST_SECONDS = 20.0  # after which no further batch is read; the first one is always waited for
_SAMPLED_AT = (0.0, 0.23, 0.48, 0.77, 1.0)  # of all rows; quarters would often be the same hour of the day
_HEAD_ROWS = 1000  # kept of the first batch as it was written


@dataclass(frozen=True)
class Preview:
    """What ingest would make of the part of a source that was read.

    part: which part of the source that is, in words; limit: why it is not all of it, empty if it is; has_gaps: whether files
    between those that were read are left out. left: the files that ingest would leave for later, because they are still written
    to. errors: those that ingest would end with. rows: how many were delivered; kept: how many of them ingest would keep;
    waiting: how many it holds back because they are stamped later than now. readable: the rows without a problem, with a column
    for each variable; of refused files too. reasons: what would be refused, and why. doubts: what ingest would find odd. head:
    the first batch, with the first rows of `raw`. names: the variables that the source maps. profile: of readings; None for
    external forecasts.
    """

    part: str
    limit: str
    has_gaps: bool
    left: Sequence[str]
    errors: Sequence[Exception]
    rows: int
    kept: int
    waiting: int
    readable: pl.DataFrame
    reasons: Reasons
    doubts: Sequence[str]
    head: SourceBatch | None
    names: Sequence[str]
    profile: Profile | None

    @property
    def sample(self) -> pl.DataFrame:
        """Five of the readable rows, or as many as there are, from the first to the last."""
        last = len(self.readable) - 1
        return self.readable[sorted({round(share * last) for share in _SAMPLED_AT}) if last >= 0 else []]

    def raise_errors(self) -> None:
        """Raise the errors as one, if there are any, or a ContractError if no row could be kept."""
        if self.errors:
            raise join_errors(self.errors)
        if self.rows and not self.kept:
            raise ContractError(f"{self.part}: none of {self.rows:,} rows can be kept: {self.reasons.summary()}")


def preview_source(
    settings: Settings,
    source: Source,
    listed: pl.DataFrame,
    until: datetime,
    stations: pl.DataFrame,
    scratch: Warehouse,
    seconds: Callable[[], float] = time.monotonic,
) -> Preview:
    """Load a source, or a sample of it, into `scratch` as its first ingest would at `until`, and find out what is kept.

    listed: the stations that the source lists. stations: station_id, longitude of those that are known. seconds: a clock.
    """
    sampled = _Sampled(source, listed, seconds)
    watched = _Watched(settings.glossary)
    trial = try_source(settings, sampled, until, scratch, watched.add)
    readable = watched.readable
    names, tolerance = _mapped(source, settings, readable), getattr(source, "tolerance", timedelta(0))
    return Preview(
        part=sampled.describe(),
        limit=sampled.limit(),
        has_gaps=sampled.has_gaps,
        left=sampled.left(trial.errors),
        errors=trial.errors,
        rows=watched.rows,
        kept=sum(record.rows_kept for record in trial.records),
        waiting=trial.waiting,
        readable=readable,
        reasons=watched.reasons,
        doubts=trial.doubts,
        head=sampled.head,
        names=names,
        profile=make_profile(readable, names, stations, tolerance) if "observed_at" in readable.columns else None,
    )


class _Sampled:
    """A source, of which only a part is read if it is large; see `Source`.

    Of many files some are read, from the first to the last; of large files and other sources the beginning.
    """

    resumes = False

    def __init__(self, source: Source, listed: pl.DataFrame, seconds: Callable[[], float]) -> None:
        self.name = source.name
        self.head: SourceBatch | None = None
        self._source, self._listed, self._seconds = source, listed, seconds
        self._files, self._chosen = list[str](), list[str]()
        self._origins, self._ended = list[str](), dict[str, bool]()  # of batches; whether a file was read to its end
        self._is_cut = False  # whether no further batch was read

    def stations(self) -> pl.DataFrame:
        """The station list of the source."""
        return self._listed

    def fetch(
        self, since: datetime | None, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        """Yield the batches of the part."""
        source, deadline, rows = self._choose(), self._seconds() + MOST_SECONDS, 0
        for batch in source.fetch(since, until, variables, seen):
            self._note(batch)
            rows += len(batch.readings)
            yield batch
            if self._is_enough(rows, deadline):
                self._is_cut = True
                return

    def _note(self, batch: SourceBatch) -> None:
        self.head = self.head or replace(batch, raw=batch.raw.head(_HEAD_ROWS))
        self._origins.append(batch.origin)
        self._ended[file_of(batch.origin)] = ends_its_file(batch)

    def _is_enough(self, rows: int, deadline: float) -> bool:
        if getattr(self._source, "forgets", False):
            return True  # what was not confirmed would be waited for
        # of files, each has its own share of rows
        return self._seconds() >= deadline or (rows >= MOST_ROWS and not isinstance(self._source, Inbox))

    def _choose(self) -> Source:
        if not isinstance(self._source, Inbox):
            return self._source
        self._files = [file.origin for file in self._source.ready_files()]
        self._chosen = _sample_of(self._files, SOME_FILES) if len(self._files) > ALL_FILES else self._files
        share = max(MOST_ROWS // max(len(self._chosen), 1), 1)
        return self._source.with_sample(Sample(frozenset(self._chosen), share))

    @property
    def _read(self) -> list[str]:
        """The files of which anything was read."""
        return [file for file in self._chosen if file in self._ended]

    @property
    def _begun(self) -> int:
        """How many files were not read to their end."""
        return sum(not ended for ended in self._ended.values())

    @property
    def has_gaps(self) -> bool:
        """Whether files between those that were read are left out, or the ends of some."""
        return len(self._chosen) < len(self._files) or bool(self._begun and len(self._files) > 1)

    def describe(self) -> str:
        """Which part of the source was read, such as `20 of 4,000 files`; empty if nothing was."""
        if not self._origins:
            return ""
        if not isinstance(self._source, Inbox):
            return self._origins[0] if len(self._origins) == 1 else f"{len(self._origins):,} batches"
        if len(self._files) == 1:
            return f"the beginning of {self._files[0]}" if self._begun else self._files[0]
        read = len(self._read)
        return f"{read:,} files" if read == len(self._files) else f"{read:,} of {len(self._files):,} files"

    def limit(self) -> str:
        """Why not all of it was read, in words; empty if it was."""
        if not isinstance(self._source, Inbox):
            return "doctor reads the beginning only, and there may be more" if self._is_cut else ""
        sample = "a sample from the first to the last" if len(self._chosen) < len(self._files) else ""
        share = f"at most about {MOST_ROWS // len(self._chosen):,} rows of each" if self._begun else ""
        late = f"doctor stops after {MOST_SECONDS:g} s" if self._is_cut else ""
        return ", ".join(filter(None, [sample, share, late]))

    def left(self, errors: Sequence[Exception]) -> list[str]:
        """The files that ingest leaves for later, because they are still written to, or seem to be."""
        if not isinstance(self._source, Inbox) or self._is_cut:
            return []
        refused = {origin for error in errors for origin in getattr(error, "refused", {})}
        silent = (
            [file for file in self._chosen if file not in {*self._read, *refused}]
            if self._origins or not errors
            else []
        )
        return [*silent, *self._source.unsettled_files()]


def _sample_of(files: Sequence[str], count: int) -> list[str]:
    """So many of the files, evenly, with the first and the last."""
    return [files[round(number * (len(files) - 1) / (count - 1))] for number in range(count)]


class _Watched:
    """What becomes of rows while they are loaded."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self.rows, self.reasons = 0, Reasons()
        self._variables = variables
        self._readable: list[pl.DataFrame] = []

    def add(self, checked: CheckedRows) -> None:
        """Note the rows of some batches."""
        self.rows += len(checked.rows)
        self.reasons.add(checked, self._variables)
        refused = checked.problems.filter("costs_row").select("row").unique()
        readable = checked.rows.join(refused, on="row", how="anti", maintain_order="left").drop("batch_id", "row")
        if not readable.is_empty():
            self._readable.append(readable)

    @property
    def readable(self) -> pl.DataFrame:
        """The rows without a problem: readings, or forecasts if there are no readings."""
        readings = [rows for rows in self._readable if "issued_at" not in rows.columns]
        return pl.concat(readings or self._readable) if self._readable else pl.DataFrame()


def _mapped(source: Source, settings: Settings, readable: pl.DataFrame) -> list[str]:
    """The variables that a source maps; those that have a value, where it has no mapping."""
    if isinstance(source, CsvSource):
        return [name for name in settings.glossary if name in source.mapped]
    if isinstance(source, TypedTable):
        return [name for name in settings.glossary if name in source.columns]
    has_value = {column.name for column in readable if column.null_count() < len(column)}
    return [name for name in settings.glossary if name in has_value]
