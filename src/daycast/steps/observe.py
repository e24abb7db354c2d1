"""Compute the observations of every stale hour from the readings: hourly versions with their flags.

`make_observations` is the step; `_observe_chunk` does one chunk: read, compute block by block, write. `flag_block`, the pure
part, runs wherever `map_blocks` sends it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.features.hourly import make_hourly_versions
from daycast.features.neighbours import nearest_stations
from daycast.features.panel import with_neighbours
from daycast.quality.contracts import observations_contract, validate_frame
from daycast.quality.flag_table import CheckContext, flag_versions
from daycast.quality.flags import LOOK_BACK_HOURS
from daycast.quality.limits import Limits
from daycast.settings import Settings
from daycast.steps.map_blocks import MapBlocks
from daycast.times import HOUR
from daycast.variables import Variable, check_column
from daycast.warehouse.observations import (
    read_climatology,
    read_readings_of,
    read_stations,
    replace_versions,
    settle_stale_hours,
)
from daycast.warehouse.readings import read_batch_tolerances

Neighbours = NDArray[np.int32]  # (S, K) positions of the stations' neighbours, see features.neighbours

_LOOK_BACK = LOOK_BACK_HOURS * HOUR  # a reading can change flags this long before and after its hour
_NEIGHBOURS_DUE_AFTER = HOUR  # after the observed hour
_LONGEST_HOLD_S = 5.0  # how long the warehouse is kept open, and others waiting, at a time
_CHUNK_STATION_HOURS = 1_500_000  # at once: about 1 GB


@dataclass(frozen=True)
class FlagBlock:
    """Everything that is needed to compute the observations of some stations."""

    rewritten: pl.DataFrame  # station_id, since, until (inclusive), one row per station: the hours to compute
    readings: pl.DataFrame  # of these hours, of LOOK_BACK_HOURS around them, and of the neighbours
    variables: tuple[Variable, ...]
    context: CheckContext
    now: datetime


def make_observations(
    settings: Settings,
    now: datetime,
    progress: Callable[[int, int], None] = lambda *_: None,
    map_blocks: MapBlocks = map,
) -> Counter[str]:
    """Bring the observations up to date with the readings. Returns how many hourly values each check newly flagged.

    Works in chunks of a month or less, each one transaction, so the next run completes a killed one. The result depends only on
    the readings, the stations and the limits, not on the order in which readings arrived. What is due after `now` (the comparison
    with neighbours) stays stale. progress: called with the number of chunks done and of all chunks. map_blocks: computes the
    blocks of a chunk.
    """
    with settings.warehouse.write(now) as con:
        stations = read_stations(con)
        neighbours = nearest_stations(stations)
        stale = settle_stale_hours(con, _as_pairs(stations, neighbours))
    counts: Counter[str] = Counter()
    chunks = list(enumerate(_split_into_chunks(stale), 1))
    remaining = iter(chunks)
    for first in remaining:
        deadline = time.monotonic() + _LONGEST_HOLD_S
        with settings.warehouse.write(now) as con:
            for number, chunk in chain([first], remaining):
                counts += _observe_chunk(con, chunk, settings, stations, neighbours, now, map_blocks)
                progress(number, len(chunks))
                if time.monotonic() > deadline:
                    break
    return counts


def _as_pairs(stations: pl.DataFrame, neighbours: Neighbours) -> pl.DataFrame:
    """The neighbours as a frame: station_id, neighbour_id, rank (from 0)."""
    station, rank = (neighbours >= 0).nonzero()
    ids = stations["station_id"]
    return pl.DataFrame(
        {"station_id": ids[station], "neighbour_id": ids[neighbours[station, rank]], "rank": rank},
        schema={"station_id": pl.String, "neighbour_id": pl.String, "rank": pl.UInt8},
    )


def _split_into_chunks(stale: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The stale ranges month by month, so that the climatology of earlier months is complete, and in bounded amounts."""
    if stale.is_empty():
        return
    hours = (pl.col("until") - pl.col("since")).dt.total_hours() + 4 * LOOK_BACK_HOURS
    sized = stale.with_columns(
        pl.col("since").dt.truncate("1mo").alias("month"),
    ).with_columns((hours.cum_sum().over("month") // _CHUNK_STATION_HOURS).alias("part"))
    for _, chunk in sized.group_by("month", "part", maintain_order=True):
        yield chunk.select("station_id", "since", "until")


def _observe_chunk(
    con: duckdb.DuckDBPyConnection,
    chunk: pl.DataFrame,
    settings: Settings,
    stations: pl.DataFrame,
    neighbours: Neighbours,
    now: datetime,
    map_blocks: MapBlocks,
) -> Counter[str]:
    """Compute the observations of one chunk of stale ranges. Returns how many values each check newly flagged."""
    variables, limits = settings.glossary, settings.limits
    rewritten = _widen(chunk, _LOOK_BACK)
    readings = _with_tolerance(con, read_readings_of(con, _ranges_to_read(chunk, stations, neighbours)))
    context = CheckContext(stations, neighbours, _climatology(con, rewritten, limits), limits)
    block = FlagBlock(rewritten, readings, tuple(variables.values()), context, now)
    # alone, one block is best: with several, each also takes the readings of neighbours in other blocks
    most = len(rewritten) if map_blocks is map else settings.compute.block_stations
    flagged = pl.concat(map_blocks(flag_block, split_block(block, most)))
    validate_frame(flagged, observations_contract(variables.values()), "observations")
    changed = replace_versions(con, flagged, rewritten, chunk, _still_pending(chunk, now))
    current = changed.filter(pl.col("known_until").is_null())
    return sum((_count_checks(current[check_column(name)]) for name in variables), Counter())


def _with_tolerance(con: duckdb.DuckDBPyConnection, readings: pl.DataFrame) -> pl.DataFrame:
    """The readings, with the `tolerance_s` of their source if any source has one."""
    tolerances = read_batch_tolerances(con)
    if tolerances.is_empty():
        return readings
    joined = readings.join(tolerances, on="batch_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("tolerance_s").fill_null(0.0))


def _ranges_to_read(chunk: pl.DataFrame, stations: pl.DataFrame, neighbours: Neighbours) -> pl.DataFrame:
    """The hours to read, one row per station: the hours to rewrite, the hours around them, and those of their neighbours."""
    rewritten = _widen(chunk, _LOOK_BACK)
    nearby = rewritten.join(_as_pairs(stations, neighbours), on="station_id").select(
        pl.col("neighbour_id").alias("station_id"), "since", "until"
    )
    return (
        pl.concat([_widen(rewritten, _LOOK_BACK), nearby])
        .group_by("station_id")
        .agg(pl.col("since").min(), pl.col("until").max())
    )


def _widen(ranges: pl.DataFrame, by: timedelta) -> pl.DataFrame:
    return ranges.with_columns(pl.col("since") - by, pl.col("until") + by)


def _climatology(con: duckdb.DuckDBPyConnection, rewritten: pl.DataFrame, limits: Mapping[str, Limits]) -> pl.DataFrame:
    """The climatology of every station and month to rewrite, for the variables whose climatology is checked."""
    names = [name for name, limit in limits.items() if limit.climatology_deviations is not None]
    first, last = pl.col("since").dt.truncate("1mo").dt.date(), pl.col("until").dt.date()
    months = rewritten.select("station_id", pl.date_ranges(first, last, "1mo").alias("month")).explode("month")
    return read_climatology(con, months, names)


def _still_pending(chunk: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The hours of a chunk whose comparison with neighbours is not due yet: they stay stale."""
    pending = pl.max_horizontal("since", pl.lit(now - _NEIGHBOURS_DUE_AFTER).dt.truncate("1h"))
    return chunk.with_columns(pending.alias("since")).filter(pl.col("since") <= pl.col("until"))


def _count_checks(checks: pl.Series) -> Counter[str]:
    return Counter(dict(checks.drop_nulls().value_counts().iter_rows()))


def split_block(block: FlagBlock, most: int) -> Iterator[FlagBlock]:
    """Split a block into blocks of at most `most` stations, in the order of `rewritten`."""
    if len(block.rewritten) <= most:
        yield block
        return
    ids = block.context.stations["station_id"]
    for ranges in block.rewritten.iter_slices(most):
        own = ids.is_in(ranges["station_id"].implode()).arg_true().to_numpy().astype("int64")
        rows, near = with_neighbours(own, block.context.neighbours)
        nearby = ids[rows].implode()
        context = replace(
            block.context,
            stations=block.context.stations[rows],
            neighbours=near,
            climatology=block.context.climatology.filter(pl.col("station_id").is_in(nearby)),
        )
        readings = block.readings.filter(pl.col("station_id").is_in(nearby))
        yield replace(block, rewritten=ranges, readings=readings, context=context)


def flag_block(block: FlagBlock) -> pl.DataFrame:
    """The flagged versions of the hours of `rewritten`, sorted by station_id, observed_at and known_from."""
    versions = make_hourly_versions(block.readings, block.variables)
    flagged = flag_versions(versions, block.variables, block.context, block.now)
    return (
        flagged.join(block.rewritten, on="station_id", how="inner", maintain_order="left")
        .filter(pl.col("observed_at").is_between("since", "until"))
        .drop("since", "until")
    )
