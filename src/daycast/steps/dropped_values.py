"""Values that are held of a file that no longer has them: it was edited since, and they count until the source is read again.

`DroppedValues` looks at each batch of a file of which another content is held, and changes nothing. What lies before or after the
rows of a station is not looked for: a log that begins anew says nothing about the past.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import polars as pl

from daycast.features.deduplicate import KEY

_NEEDED = [*KEY, "received_at", "row_number", "batch_id"]


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
    def _way_out(self) -> str:
        first = f"take the earlier file out of {self.put_away}, and " if self.put_away else ""
        return f"{first}`daycast ingest --reread {self.source}` retracts what no file has any more"

    def told(self) -> Iterator[str]:
        """One line for each file."""
        for name, file in self._files.items():
            if not file.found.is_empty():
                first, count = file.found.sort("observed_at", "station_id").row(0, named=True), len(file.found)
                example = f"station {first['station_id']}, {first['observed_at']:%Y-%m-%dT%H:%MZ}, {first['variable']} "
                seen = f"{name} no longer has {count:,} value{'s' if count > 1 else ''} that {'are' if count > 1 else 'is'} held"
                yield f"{seen} ({example}{first['value']:g}): {self._way_out}"


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
