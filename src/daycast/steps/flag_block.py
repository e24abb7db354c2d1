"""The flagged versions of a block of stations, made of nothing but what the block holds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from daycast.prepare.hourly_versions import make_hourly_versions
from daycast.prepare.station_blocks import with_neighbours
from daycast.quality.flagging import Surroundings, flag_versions
from daycast.variables import Variable


@dataclass(frozen=True)
class FlagBlock:
    """The hours of some stations that are to be judged."""

    rewritten: pl.DataFrame  # station_id, since, until, one row a station: these hours
    readings: pl.DataFrame  # of them and around, and of their neighbours beside them
    variables: tuple[Variable, ...]
    around: Surroundings
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
