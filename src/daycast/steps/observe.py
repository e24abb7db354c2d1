"""Make the observations of every stale hour again from the readings: versions, flags, and nothing where nothing changed."""

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

# The flagged versions of a block of stations, made of nothing but what the block holds.


@dataclass(frozen=True)
class FlagBlock:
    """The hours of some stations that are to be judged."""

    rewritten: pl.DataFrame  # station_id, since, until, one row a station: these hours
    readings: pl.DataFrame  # of them and around, and of their neighbours beside them
    variables: tuple[Variable, ...]
    around: CheckContext
    now: datetime


def split(whole: FlagBlock, most: int) -> Iterator[FlagBlock]:
    """The same in blocks of at most so many stations, in the order of `rewritten`; one that is no larger is left as it is."""
    if len(whole.rewritten) <= most:
        yield whole
        return
    ids = whole.around.stations["station_id"]
    for some in whole.rewritten.iter_slices(most):
        own = ids.is_in(some["station_id"].implode()).arg_true().to_numpy().astype("int64")
        rows, near = with_neighbours(own, whole.around.neighbours)
        beside = ids[rows].implode()
        around = replace(
            whole.around,
            stations=whole.around.stations[rows],
            neighbours=near,
            climatology=whole.around.climatology.filter(pl.col("station_id").is_in(beside)),
        )
        readings = whole.readings.filter(pl.col("station_id").is_in(beside))
        yield replace(whole, rewritten=some, readings=readings, around=around)


def flag_block(block: FlagBlock) -> pl.DataFrame:
    """The versions of the hours of `rewritten`, with their flags, in the order of station, hour and known_from."""
    versions = make_hourly_versions(block.readings, block.variables)
    flagged = flag_versions(versions, block.variables, block.around, block.now)
    return (
        flagged.join(block.rewritten, on="station_id", how="inner", maintain_order="left")
        .filter(pl.col("observed_at").is_between("since", "until"))
        .drop("since", "until")
    )


Neighbours = NDArray[np.int32]  # (S, K), as of features.neighbours

_REACH = LOOK_BACK_HOURS * HOUR  # how far a reading can change flags, before its hour and after
_DUE = HOUR  # after which the neighbours are asked
_HELD_S = 5.0  # how long the warehouse is kept from others at a time
_MOST_HOURS = 1_500_000  # station-hours at once: about 1 GB


def make_observations(
    settings: Settings, now: datetime, watch: Callable[[int, int], None] = lambda *_: None, map_blocks: MapBlocks = map
) -> Counter[str]:
    """Bring the observations up to date with the readings, as far as they can be judged `now`; a month at a time.

    Each piece is one transaction, and what a killed run left is done by the next. The result depends on the readings, the
    stations and the limits alone, not on the order in which readings came. Returns how many hourly values each check newly
    found fault with. `watch` is told how many pieces are done, of how many; `map_blocks` computes the blocks of a piece.
    """
    with settings.warehouse.write(now) as con:
        stations = read_stations(con)
        neighbours = nearest_stations(stations)
        stale = settle_stale_hours(con, _as_pairs(stations, neighbours))
    found: Counter[str] = Counter()
    pieces = list(enumerate(_pieces(stale), 1))
    left = iter(pieces)
    for first in left:
        deadline = time.monotonic() + _HELD_S
        with settings.warehouse.write(now) as con:
            for number, piece in chain([first], left):
                found += _make_again(con, piece, settings, stations, neighbours, now, map_blocks)
                watch(number, len(pieces))
                if time.monotonic() > deadline:
                    break
    return found


def _as_pairs(stations: pl.DataFrame, neighbours: Neighbours) -> pl.DataFrame:
    """The neighbours as a table: station_id, neighbour_id, rank from 0."""
    station, rank = (neighbours >= 0).nonzero()
    ids = stations["station_id"]
    return pl.DataFrame(
        {"station_id": ids[station], "neighbour_id": ids[neighbours[station, rank]], "rank": rank},
        schema={"station_id": pl.String, "neighbour_id": pl.String, "rank": pl.UInt8},
    )


def _pieces(stale: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The ranges month by month, so that each month finds the climatology of those before it, and not too many at once."""
    if stale.is_empty():
        return
    hours = (pl.col("until") - pl.col("since")).dt.total_hours() + 4 * LOOK_BACK_HOURS
    sized = stale.with_columns(
        pl.col("since").dt.truncate("1mo").alias("month"),
    ).with_columns((hours.cum_sum().over("month") // _MOST_HOURS).alias("part"))
    for _, piece in sized.group_by("month", "part", maintain_order=True):
        yield piece.select("station_id", "since", "until")


def _make_again(
    con: duckdb.DuckDBPyConnection,
    piece: pl.DataFrame,
    settings: Settings,
    stations: pl.DataFrame,
    neighbours: Neighbours,
    now: datetime,
    map_blocks: MapBlocks,
) -> Counter[str]:
    variables, limits = settings.glossary, settings.limits
    rewritten = _widened(piece, _REACH)
    readings = read_readings_of(con, _needed(piece, stations, neighbours))
    around = CheckContext(stations, neighbours, _climatology(con, rewritten, limits), limits)
    whole = FlagBlock(rewritten, readings, tuple(variables.values()), around, now)
    most = len(rewritten) if map_blocks is map else settings.compute.block_stations  # alone, why read neighbours twice
    flagged = pl.concat(map_blocks(flag_block, split(whole, most)))
    validate_frame(flagged, observations_contract(variables.values()), "observations")
    fresh = replace_versions(con, flagged, rewritten, piece, _not_due(piece, now))
    current = fresh.filter(pl.col("known_until").is_null())
    return sum((_counts(current[check_column(name)]) for name in variables), Counter())


def _needed(piece: pl.DataFrame, stations: pl.DataFrame, neighbours: Neighbours) -> pl.DataFrame:
    """The hours to read, one row a station: those to be rewritten and around them, and their neighbours' beside them."""
    rewritten = _widened(piece, _REACH)
    beside = rewritten.join(_as_pairs(stations, neighbours), on="station_id").select(
        pl.col("neighbour_id").alias("station_id"), "since", "until"
    )
    return (
        pl.concat([_widened(rewritten, _REACH), beside])
        .group_by("station_id")
        .agg(pl.col("since").min(), pl.col("until").max())
    )


def _widened(ranges: pl.DataFrame, by: timedelta) -> pl.DataFrame:
    return ranges.with_columns(pl.col("since") - by, pl.col("until") + by)


def _climatology(con: duckdb.DuckDBPyConnection, rewritten: pl.DataFrame, limits: Mapping[str, Limits]) -> pl.DataFrame:
    names = [name for name, limit in limits.items() if limit.climatology_deviations is not None]
    first, last = pl.col("since").dt.truncate("1mo").dt.date(), pl.col("until").dt.date()
    wanted = rewritten.select("station_id", pl.date_ranges(first, last, "1mo").alias("month")).explode("month")
    return read_climatology(con, wanted, names)


def _not_due(piece: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The hours of which something will be decided only later: they stay stale."""
    pending = pl.max_horizontal("since", pl.lit(now - _DUE).dt.truncate("1h"))
    return piece.with_columns(pending.alias("since")).filter(pl.col("since") <= pl.col("until"))


def _counts(checks: pl.Series) -> Counter[str]:
    return Counter(dict(checks.drop_nulls().value_counts().iter_rows()))
