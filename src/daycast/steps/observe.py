"""Compute the observations of every stale hour from the readings: hourly versions with their flags.

`make_observations` is the step; `_observe_chunk` does one chunk: read, compute block by block, write. `flag_block`, the pure
part, runs wherever `map_blocks` sends it.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.features.hourly import make_hourly_versions
from daycast.features.neighbours import nearest_stations
from daycast.features.panel import with_neighbours
from daycast.quality.contracts import observations_contract, validate_frame
from daycast.quality.flag_table import CheckContext
from daycast.quality.flags import LOOK_BACK_HOURS
from daycast.quality.limits import Limits
from daycast.quality.thresholds import Thresholds, flag_by_thresholds_in_force, thresholds_text
from daycast.settings import Settings
from daycast.steps.map_blocks import MapBlocks
from daycast.times import DAY, HISTORY_HOURS, HOUR, UTC_TIME, floor_hour
from daycast.variables import Variable, check_column
from daycast.warehouse.observations import (
    mark_stale,
    mark_thresholds_applied,
    read_climatology,
    read_readings_of,
    read_stations,
    read_thresholds,
    replace_versions,
    settle_stale_hours,
    write_thresholds,
)
from daycast.warehouse.readings import read_batch_tolerances
from daycast.warehouse.runs import read_newest_observed
from daycast.warehouse.warehouse import transaction

Neighbours = NDArray[np.int32]  # (S, K) positions of the stations' neighbours, see features.neighbours

_log = logging.getLogger("daycast")
_BEFORE_EVERYTHING = datetime(1, 1, 1, tzinfo=UTC)
LONGEST_SILENCE = 31 * DAY  # a clock further than this after the newest observation may be wrong, and is not trusted
_RECENT = HISTORY_HOURS * HOUR + 2 * DAY  # what a forecast reads, and the hours that its flags rest on
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
    thresholds: tuple[Thresholds, ...] = ()  # over time; none: the limits of the context


def make_observations(
    settings: Settings,
    now: datetime,
    progress: Callable[[int, int], None] = lambda *_: None,
    map_blocks: MapBlocks = map,
) -> Counter[str]:
    """Bring the observations up to date with the readings. Returns how many hourly values each check newly flagged.

    Works in chunks of a month or less, each one transaction, so the next run completes a killed one. The result depends only on
    the readings, the stations and the limits over time, not on the order in which readings arrived. What is due after `now` (the
    comparison with neighbours) stays stale. New limits hold from now on, at once for the last days; `recheck` applies them to the
    rest. progress: called with the number of chunks done and of all chunks. map_blocks: computes the blocks of a chunk.
    """
    with settings.warehouse.write(now) as con:
        stations = read_stations(con)
        thresholds = adopt_thresholds(con, settings, stations, now)
        neighbours = nearest_stations(stations)
        stale = settle_stale_hours(con, _as_pairs(stations, neighbours))
    counts: Counter[str] = Counter()
    chunks = list(enumerate(_split_into_chunks(stale), 1))
    remaining = iter(chunks)
    for first in remaining:
        deadline = time.monotonic() + _LONGEST_HOLD_S
        with settings.warehouse.write(now) as con:
            for number, chunk in chain([first], remaining):
                counts += _observe_chunk(con, chunk, settings, stations, neighbours, thresholds, now, map_blocks)
                progress(number, len(chunks))
                if time.monotonic() > deadline:
                    break
    return counts


def adopt_thresholds(
    con: duckdb.DuckDBPyConnection, settings: Settings, stations: pl.DataFrame, now: datetime
) -> tuple[Thresholds, ...]:
    """The thresholds over time, with those of the settings last: if they are new, they are in force from now on.

    The hours of the last days become stale then, those that a forecast reads; the others wait for `recheck`.
    """
    held, text = read_thresholds(con), thresholds_text(settings.glossary, settings.limits)
    over_time = tuple(Thresholds(since, limits) for since, limits, _ in held.iter_rows())
    if over_time and over_time[-1].text == text:
        return over_time
    newest = read_newest_observed(con)
    since = _BEFORE_EVERYTHING
    if over_time:
        since = max(min(now, (newest or now) + LONGEST_SILENCE), over_time[-1].since + timedelta(microseconds=1))
        _log.warning(
            "thresholds of checks have changed: they hold from now on; `daycast maintain` applies them to the past"
        )
    with transaction(con):
        write_thresholds(con, since, text, is_applied=not over_time)
        if over_time and newest:
            _mark_all_stale(con, stations, floor_hour(newest) - _RECENT)
    return (*over_time, Thresholds(since, text))


def _mark_all_stale(con: duckdb.DuckDBPyConnection, stations: pl.DataFrame, since: datetime) -> None:
    later = stations.select("station_id", boundary=pl.lit(since, UTC_TIME))
    mark_stale(con, pl.DataFrame(schema={"station_id": pl.String, "since": UTC_TIME, "until": UTC_TIME}), later)


def recheck(
    settings: Settings,
    now: datetime,
    progress: Callable[[int, int], None] = lambda *_: None,
    map_blocks: MapBlocks = map,
    *,
    asked: bool = False,
) -> Counter[str] | None:
    """Check all hours again by the thresholds in force, unless that was done since they changed, and not `asked` for.

    Returns what `make_observations` does; None if nothing was to be done. What was believed before they changed stays as it was.
    If a run is killed, the next one completes it, whichever makes observations.
    """
    with settings.warehouse.write(now) as con:
        stations = read_stations(con)
        adopt_thresholds(con, settings, stations, now)
        if read_thresholds(con)["is_applied"].all() and not asked:
            return None
        with transaction(con):
            _mark_all_stale(con, stations, _BEFORE_EVERYTHING)
            mark_thresholds_applied(con)
    return make_observations(settings, now, progress, map_blocks)


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
    thresholds: tuple[Thresholds, ...],
    now: datetime,
    map_blocks: MapBlocks,
) -> Counter[str]:
    """Compute the observations of one chunk of stale ranges. Returns how many values each check newly flagged."""
    variables, limits = settings.glossary, settings.limits
    rewritten = _widen(chunk, _LOOK_BACK)
    readings = _with_tolerance(con, read_readings_of(con, _ranges_to_read(chunk, stations, neighbours)))
    context = CheckContext(stations, neighbours, _climatology(con, rewritten, limits, now), limits)
    block = FlagBlock(rewritten, readings, tuple(variables.values()), context, now, thresholds)
    # alone, one block is best: with several, each also takes the readings of neighbours in other blocks
    most = len(rewritten) if map_blocks is map else settings.compute.block_stations
    flagged = pl.concat(map_blocks(flag_block, split_block(block, most)))
    validate_frame(flagged, observations_contract(variables.values()), "observations")
    changed = replace_versions(con, flagged, rewritten, chunk, _still_pending(chunk, now), now)
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


def _climatology(
    con: duckdb.DuckDBPyConnection, rewritten: pl.DataFrame, limits: Mapping[str, Limits], now: datetime
) -> pl.DataFrame:
    """The climatology of every station and month to rewrite, for the variables whose climatology is checked.

    A month to come, whose past is not over, is left out: nothing has been observed in it.
    """
    names = [name for name, limit in limits.items() if limit.climatology_deviations is not None]
    first = pl.col("since").dt.truncate("1mo").dt.date()
    last = pl.min_horizontal("until", pl.max_horizontal("since", pl.lit(now, UTC_TIME))).dt.date()
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
    flagged = flag_by_thresholds_in_force(versions, block.variables, block.context, block.thresholds, block.now)
    return (
        flagged.join(block.rewritten, on="station_id", how="inner", maintain_order="left")
        .filter(pl.col("observed_at").is_between("since", "until"))
        .drop("since", "until")
    )
