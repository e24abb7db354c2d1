"""Files that were edited, restored or renamed: what is held of them that they no longer say, and which of them to read again.

`DroppedValues` looks at each batch of a file of which another content is held, and changes nothing. What lies before or after the
rows of a station is not looked for: a log that begins anew says nothing about the past.

`DeliveredAgain` is about contents that are held under another name. Whoever renames a file or moves a folder delivers nothing. If
another file has corrected something since, a file that was written after that is a newer delivery, and its values count again.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from daycast.features.deduplicate import KEY
from daycast.sources.files.inbox import PART, Inbox, InboxFile, age_of, stamp_of

_NEEDED = [*KEY, "received_at", "row_number", "batch_id"]


def unit_of(origin: pl.Expr) -> pl.Expr:
    """The file or query that a batch is of, from its origin, which may name a part of it."""
    return origin.str.replace(PART, "")


def with_content(batches: pl.DataFrame) -> pl.DataFrame:
    """The batches with their unit, and the fingerprint of the whole content of which they may be a part."""
    part = r"^([0-9a-f]{64}) \d+(?: last)?$"
    fingerprint = pl.col("fingerprint")
    return batches.with_columns(
        unit=unit_of(pl.col("origin")),
        content=fingerprint.str.replace(part, "${1}"),
        is_part=fingerprint.str.contains(part),
    )


@dataclass
class _File:
    """What was found of one content of a file."""

    content: str
    found: pl.DataFrame  # station_id, observed_at, variable, value
    spans: pl.DataFrame  # station_id, since, until of the parts so far


@dataclass
class DroppedValues:
    """Finds them while the batches of one source are loaded, part by part, and tells them by file."""

    source: str
    put_away: str | None = None  # the folder of the earlier deliveries, which are read again too
    _files: dict[str, _File] = field(default_factory=dict)

    def add(
        self,
        file: str,
        content: str,
        said: pl.DataFrame,
        held: pl.DataFrame,
        earlier: Collection[str],
        counted: Collection[str],
    ) -> None:
        """Look at a part of a file.

        said: its rows, with station_id, observed_at and the variables as they were delivered; held: readings of the time of
        these rows at each station. earlier: the batches of other contents of the file. counted: the variables of which
        `said` has numbers of counters and the like: an amount may be held because of the row of another file.
        """
        spans = said.group_by("station_id").agg(since=pl.col("observed_at").min(), until=pl.col("observed_at").max())
        found = find_dropped(said, _within(held, spans), earlier, counted)
        before = self._files.get(file)
        if before is not None and before.content == content:  # parts that overlap may each have what the other lacks
            found = pl.concat([_beyond(before.found, spans), _beyond(found, before.spans)])
            spans = pl.concat([before.spans, spans])
        self._files[file] = _File(content, found, spans)

    @property
    def files(self) -> Collection[str]:
        """The names of the files that were looked at."""
        return self._files

    @property
    def _way_out(self) -> str:
        first = f"take the earlier file out of {self.put_away}, and " if self.put_away else ""
        return f"{first}`daycast ingest --reread {self.source}` retracts what no file has any more"

    def told(self) -> Iterator[str]:
        """One line for each file."""
        for name, file in self._files.items():
            if not file.found.is_empty():
                first, count = file.found.sort("observed_at", "station_id").row(0, named=True), len(file.found)
                at = f"{first['observed_at']:%Y-%m-%dT%H:%MZ}"
                example = f"station {first['station_id']}, {at}, {first['variable']} {first['value']:g}"
                values = f"{count:,} value{' is' if count == 1 else 's are'} held that the file no longer has"
                yield f"{name}: {values} ({example}): {self._way_out}"


def find_dropped(
    said: pl.DataFrame, held: pl.DataFrame, earlier: Collection[str], counted: Collection[str]
) -> pl.DataFrame:
    """station_id, observed_at, variable, value of what `earlier` batches hold and `said` lacks; see `DroppedValues.add`.

    A value that another batch has corrected is none of theirs; an amount is of the batch that brought the first one.
    """
    names = [name for name in said.columns if name in held.columns and name not in _NEEDED]
    own = held.filter(pl.col("batch_id").is_in(list(earlier)))
    has = said.select(*KEY, pl.col(names).is_not_null().name.suffix("_said"))
    lacks = {name: pl.col(name).is_not_null() & ~pl.col(f"{name}_said").fill_null(value=False) for name in names}
    suspects = own.join(has, on=KEY, how="left").filter(pl.any_horizontal(lacks.values())).select(KEY).unique()
    if suspects.is_empty():
        return _none()
    has = has.join(suspects, on=KEY, how="semi").group_by(KEY).agg(pl.all().any())  # in several rows, each with a value
    rows = held.join(suspects, on=KEY, how="semi").sort("received_at", "row_number")
    is_own, whose = pl.col("batch_id").is_in(list(earlier)), {True: pl.Expr.first, False: pl.Expr.last}
    latest = rows.group_by(KEY).agg(
        *(pl.col(name).drop_nulls().last() for name in names),
        *(whose[name in counted](is_own.filter(pl.col(name).is_not_null())).alias(f"{name}_own") for name in names),
    )
    latest = latest.join(has, on=KEY, how="left")
    kept = {name: pl.when(lacks[name] & pl.col(f"{name}_own")).then(name).alias(name) for name in names}
    return latest.select(*KEY, *kept.values()).unpivot(index=KEY, on=names).drop_nulls("value").select(_none().columns)


def _none() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "station_id": pl.String,
            "observed_at": pl.Datetime("us", "UTC"),
            "variable": pl.String,
            "value": pl.Float64,
        }
    )


def _within(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The rows in the span of their station; a station without one has none."""
    inside = pl.col("observed_at").is_between("since", "until")
    return rows.join(spans, on="station_id").filter(inside).drop("since", "until")


def _beyond(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The rows in none of the spans."""
    return rows.join(_within(rows, spans).select(rows.columns), on=rows.columns, how="anti")


class DeliveredAgain:
    """Tells which files to read though their content is held."""

    def __init__(self, source: Inbox, held: pl.DataFrame, now: datetime) -> None:
        """held: the batches of the source, as `read_batches` gives them. now: the clock that their ingested_at was read from."""
        self._source, self._now = source, now
        self._batches = with_content(held)
        is_last = ~pl.col("is_part") | pl.col("fingerprint").str.ends_with(" last")
        self._named = set(self._batches.filter(is_last).select("content", "unit").iter_rows())
        self._contents = {content for content, _ in self._named}

    def __call__(self, file: InboxFile, content: str) -> bool:
        """Whether the content is held under other names alone, and the file is newer than a correction since."""
        if content not in self._contents or (content, file.origin) in self._named:
            return False
        is_this = pl.col("content") == content
        since = self._batches.filter(is_this)["ingested_at"].max()
        corrections = self._batches.filter(~is_this & (pl.col("rows_revised") > 0) & (pl.col("ingested_at") >= since))
        first = corrections.group_by("unit").agg(pl.col("ingested_at").min())
        return any(self._is_newer(file, unit, at) for unit, at in first.iter_rows())

    def _is_newer(self, file: InboxFile, corrected_by: str, corrected_at: datetime) -> bool:
        """Whether a file was written after the one that corrected its content, or after that was ingested."""
        stamps = [stamp_of(path) for path in self._source.places_of(corrected_by)]
        if any(stamp is not None and stamp.modified_ns < file.stamp.modified_ns for stamp in stamps):
            return True
        return stamp_of(file.path) is not None and self._now - timedelta(seconds=age_of(file.path)) > corrected_at
