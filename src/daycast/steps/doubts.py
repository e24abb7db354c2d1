"""Doubts: what is odd about rows that can be read, so that ingest and doctor point at it. Nothing is changed or held back.

A doubt is one line: what was seen with an example, and what to set. Write a check as a function of the stacked readings of some
batches, and add it to `_CHECKS`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from daycast.features.deduplicate import KEY
from daycast.sources.batch import SourceBatch
from daycast.variables import Variable

_SHOWN = 3  # values of an example


def find_doubts(batches: Sequence[SourceBatch], variables: Mapping[str, Variable]) -> list[str]:
    """The doubts about batches of one source, each once: those of the source itself, then those about its readings."""
    own = [doubt for batch in batches for doubt in batch.doubts]
    frames = [batch.readings for batch in batches if not batch.is_forecast and len(batch.readings)]
    found: Iterable[str] = ()
    if frames:
        readings = pl.concat(frames, how="diagonal").drop_nulls(KEY)
        names = [name for name in variables if name in readings.columns]
        found = (doubt for check in _CHECKS for doubt in check(readings, names))
    return list(dict.fromkeys([*own, *found]))


def find_conflicts(readings: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """One doubt if rows of one station and instant differ in a value, with an example of the first such instant."""
    repeated = readings.filter(pl.struct(KEY).is_duplicated()) if len(names) else readings.clear()
    if repeated.is_empty():
        return []
    by_key = repeated.group_by(KEY, maintain_order=True).agg(pl.col(*names).drop_nulls().unique(maintain_order=True))
    differ = [pl.col(name).list.len() > 1 for name in names]
    conflicts = by_key.filter(pl.any_horizontal(differ)).sort(KEY)
    if conflicts.is_empty():
        return []
    first = conflicts.row(0, named=True)
    name = next(name for name in names if len(first[name]) > 1)
    values = ", ".join(f"{value:g}" for value in first[name][:_SHOWN])
    example = f"station {first['station_id']}, {first['observed_at']:%Y-%m-%dT%H:%MZ}, {name} {values}"
    way_out = "map the column that tells them apart, or take the second export away"
    times = f"{len(conflicts):,} {'time' if len(conflicts) == 1 else 'times'}"
    return [f"rows of one station and instant differ, {times} ({example}), and the last row counts: {way_out}"]


_CHECKS: tuple[Callable[[pl.DataFrame, Sequence[str]], list[str]], ...] = (find_conflicts,)
