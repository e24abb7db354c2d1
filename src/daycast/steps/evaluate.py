"""Forecast many past hours at once, as things were known at each, and score what came."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from daycast.errors import NotEnoughDataError
from daycast.model.forecaster import Forecaster
from daycast.model.sampling import eligible_origins
from daycast.model.windows import Windows
from daycast.prepare.network import make_network
from daycast.prepare.splits import Block
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR
from daycast.verify.scores import Tally


@dataclass(frozen=True)
class Evaluation:
    """The windows to forecast and score."""

    windows: Windows
    stations: np.ndarray  # (N,) index of the station
    origins: np.ndarray  # (N,) hour index of t0
    since: datetime  # the first hour of issue
    until: datetime  # after the last


def open_block(
    forecaster: Forecaster,
    versions: pl.DataFrame,
    stations: pl.DataFrame,
    every: int,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    whole_history: bool = True,
    covariates: pl.DataFrame | None = None,
) -> Evaluation:
    """The windows issued every so many hours in [since, until), by default wherever `versions` hold history and horizon.

    versions: usable observation versions; what was not known at an hour of issue is not read at it. A station takes part where it
    had a day of readings before and some truth after. covariates: what others forecast; likewise only what was known is read.
    """
    if versions.is_empty():
        raise NotEnoughDataError("there are no observations in that time: ingest them first")
    start, end = versions["observed_at"].min(), versions["observed_at"].max()
    network = make_network(versions, stations, forecaster.header.channels, start, end)  # type: ignore[arg-type]
    reach = 0 if whole_history else HORIZON_HOURS - HISTORY_HOURS
    block = Block(reach, network.hours)
    first = block.first_origin if since is None else network.index_of(since)
    last = block.last_origin + 1 if until is None else network.index_of(until)
    wide = Block(first - HISTORY_HOURS + 1, min(last + HORIZON_HOURS, network.hours))
    eligible = eligible_origins(network, wide, len(forecaster.header.targets))
    eligible[:, [t for t in range(network.hours) if t < first or t >= last or (t - first) % every]] = False
    at, origins = np.nonzero(eligible)
    return Evaluation(
        forecaster.open(network, covariates), at, origins, network.time_of(first), network.start + last * HOUR
    )


def evaluate(block: Evaluation, forecasters: Mapping[str, tuple[Forecaster, str]]) -> pl.DataFrame:
    """Score forecasters that read the same windows: a row for each name, variable and lead, as Tally.table makes them."""
    tables = []
    by_owner: dict[int, tuple[Forecaster, dict[str, str]]] = {}
    for label, (owner, name) in forecasters.items():
        by_owner.setdefault(id(owner), (owner, {}))[1][label] = name
    for owner, names in by_owner.values():
        tallies = {label: Tally() for label in names}
        for _, quantiles, truth, _ in owner.predict(block.windows, block.stations, block.origins, list(names.values())):
            for label, name in names.items():
                tallies[label].add(quantiles[name], truth)
        tables += [tally.table(label, owner.header.targets) for label, tally in tallies.items()]
    return pl.concat([table for table in tables if not table.is_empty()], how="diagonal") if tables else pl.DataFrame()
