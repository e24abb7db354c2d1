"""Forecast: issue the next 24 hours. The champion reads what was known at t0, and its quantiles become rows of `forecasts`.

`issue_forecasts` makes and writes them; `make_forecasts` reads and computes; `plan_forecasts` tells what would be done.
`forecast_block`, the pure part, runs wherever `map_blocks` sends it. Shapes: W stations of the forecast, B of a block, V targets.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from daycast.errors import ConfigError, ModelError, NotEnoughDataError, WarehouseError, WorkerError, describe
from daycast.evaluation.serving import Fallback, assign, pick
from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import Panel, StationBlock, make_panel, split_panel
from daycast.model.base.network import TARGETS as KNOWN_TO_BASE
from daycast.model.baselines import BASE
from daycast.model.calibration.calibration import from_rows
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.config import MEDIAN
from daycast.model.device import choose_device
from daycast.model.forecaster import Forecaster, Header
from daycast.model.training.parallel import map_parallel, threads_for
from daycast.model.windows import REGIMES, find_neighbours
from daycast.quality.contracts import QUANTILE_COLUMNS, forecasts_contract, validate_frame
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.sources.batch import EXTERNAL_FORECAST_KEYS
from daycast.steps.changes import is_foreign
from daycast.steps.map_blocks import MapBlocks
from daycast.steps.serving import read_serving_stations, read_undelivered
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, UTC_TIME, floor_hour
from daycast.warehouse.forecasts import count_forecasts, read_external_forecasts, replace_forecasts
from daycast.warehouse.models import (
    ModelRow,
    find_model,
    read_calibrations,
    read_champion,
    read_champions_until,
    read_fallbacks,
)
from daycast.warehouse.observations import read_reported, read_stations, read_versions

CLIMATOLOGY, COLD_START = "climatology", "cold_start"
_NO_CALIBRATIONS = pl.DataFrame(schema={"forecaster": pl.String})
_NOTHING_TO_FORECAST = (
    "no station reported any variable that the model forecasts: run `daycast retrain`, or set forecast.impute = true"
)
_log = logging.getLogger("daycast")


@dataclass(frozen=True)
class Issue:
    """What all blocks of one hour of issue share."""

    t0: datetime  # the hour of issue
    checkpoint: Path
    device: str
    calibrated: pl.DataFrame  # the model's rows of `calibrations`


@dataclass(frozen=True)
class ForecastBlock:
    """Everything that is needed to forecast B stations."""

    issue: Issue
    stations: StationBlock
    external_forecasts: pl.DataFrame  # for these stations
    servers: np.ndarray  # (B, V) the name of the cell or baseline that forecasts each station and target; "" for nobody
    imputed: np.ndarray  # (B, V) where nothing of the target was ever reported, and climatology serves all the same


def make_blocks(
    issue: Issue,
    panel: Panel,
    external_forecasts: pl.DataFrame,
    selected: np.ndarray,
    servers: np.ndarray,
    imputed: np.ndarray,
    most: int,
) -> Iterator[ForecastBlock]:
    """Split the stations to forecast into blocks of at most `most`.

    selected: (W,) positions of the stations in the panel. servers, imputed: (W, V) as in ForecastBlock.
    """
    first = 0
    for stations in split_panel(panel, selected, find_neighbours(panel.stations), most):
        own = external_forecasts.filter(pl.col("station_id").is_in(stations.panel.stations["station_id"].implode()))
        part = slice(first, first + len(stations.own))
        yield ForecastBlock(issue, stations, own, servers[part], imputed[part])
        first += len(stations.own)


def forecast_block(block: ForecastBlock) -> pl.DataFrame:
    """The block's rows of `forecasts`, without model_id, created_at and backfilled; sorted by station, variable and lead."""
    issue, stations = block.issue, block.stations
    forecaster = load_checkpoint(issue.checkpoint, issue.device)
    targets = forecaster.header.targets
    forecaster.calibrations = from_rows(issue.calibrated, targets, forecaster.device)
    windows = forecaster.open(stations.panel, block.external_forecasts, stations.neighbours)
    issued = stations.panel.stations.select(pl.col("station_id").gather(stations.own))
    issued = issued.with_columns(issued_at=pl.lit(issue.t0, UTC_TIME))
    origins = np.full(len(stations.own), stations.panel.index_of(issue.t0))
    is_served = (block.servers != "") & ~(block.imputed & ~_has_climatology(forecaster))
    filler = next((name for name in block.servers.flat if name), CLIMATOLOGY)  # of the rows that are dropped
    servers = np.where(block.servers == "", filler, block.servers)
    parts = []
    for part, quantiles, _, regime in forecaster.predict(
        windows, stations.own, origins, [str(name) for name in np.unique(servers)]
    ):
        regimes = np.where(block.imputed[part], COLD_START, np.array(REGIMES)[regime][:, None])
        values = pick(quantiles, servers[part])
        implausible = forecaster.implausible(stations.panel, stations.own[part], origins[0], values[..., MEDIAN])
        rows = _to_rows(values, QUANTILE_COLUMNS, issued[part], targets).with_columns(
            pl.Series("input_regime", np.repeat(regimes.ravel(), HORIZON_HOURS)),
            pl.Series("forecaster", np.repeat(servers[part].ravel(), HORIZON_HOURS)),
            pl.Series("implausible", implausible.transpose(0, 2, 1).ravel()),
        )
        parts.append(rows.filter(pl.Series(np.repeat(is_served[part].ravel(), HORIZON_HOURS))))
    return pl.concat(parts).with_columns(value=pl.col("q50"))


def _to_rows(values: np.ndarray, columns: Sequence[str], issues: pl.DataFrame, targets: Sequence[str]) -> pl.DataFrame:
    """One row for each issue, variable and lead, from values (N, H, V, K).

    columns: K names for the last axis. issues: N rows with station_id, issued_at and any other columns. targets: V variables.
    Returns the columns of `issues`, then variable, lead_hours (1 to H), `columns` (Float64), valid_at = issued_at + lead_hours.
    """
    N, H, V, K = values.shape
    flat = values.transpose(0, 2, 1, 3).reshape(N * V * H, K).astype(np.float64)
    repeated = issues[np.repeat(np.arange(N), V * H)]
    return repeated.with_columns(
        pl.Series("variable", np.tile(np.repeat(np.array(targets), H), N)),
        pl.Series("lead_hours", np.tile(np.arange(1, H + 1, dtype=np.uint8), N * V)),
        *(pl.Series(name, flat[:, k]) for k, name in enumerate(columns)),
    ).with_columns(valid_at=pl.col("issued_at") + pl.duration(hours=pl.col("lead_hours")))


def _has_climatology(forecaster: Forecaster) -> np.ndarray:
    """Of which targets the climatology has intervals: it has none where the fit saw no values to learn them from. (V,)"""
    residuals = forecaster.residuals[CLIMATOLOGY]  # (H, V, Q)
    return np.asarray((residuals != 0).any(dim=2).any(dim=0).cpu())


@dataclass(frozen=True)
class IssuePlan:
    """What a forecast would do: the model, and how many rows it would write."""

    issued_at: datetime
    model_id: str
    checkpoint: str
    stations: int
    rows: int  # to write
    replaced: int  # existing rows that would be replaced

    def __str__(self) -> str:
        what = f"{self.rows:,} rows for {self.stations} station{'' if self.stations == 1 else 's'}"
        return f"{self.issued_at:%Y-%m-%dT%H:%MZ} by {self.model_id} ({self.checkpoint}): {what}, {self.replaced:,} replaced"


def issue_forecasts(
    settings: Settings,
    now: datetime,
    issued_at: datetime | None = None,
    stations: Collection[str] = (),
    model_id: str | None = None,
    map_blocks: MapBlocks = map,
    until: datetime | None = None,
) -> pl.DataFrame:
    """Make forecasts (see `make_forecasts`), write them, and return the rows written.

    Forecasts that come too late are not written where others were already served; that is a warning.
    """
    made = make_forecasts(settings, now, issued_at, stations, model_id, map_blocks, until)
    with settings.warehouse.write(now) as con:
        written = replace_forecasts(con, made)
    if kept := len(made) - len(written):
        _log.warning("%s of %s forecasts are not written: they come too late, and others were served", kept, len(made))
    if doubtful := int(written["implausible"].sum()):
        _log.warning(
            "%s of %s values lie far outside anything observed there: see column implausible", doubtful, len(written)
        )
    return written


def make_forecasts(
    settings: Settings,
    now: datetime,
    issued_at: datetime | None = None,
    stations: Collection[str] = (),
    model_id: str | None = None,
    map_blocks: MapBlocks = map,
    until: datetime | None = None,
) -> pl.DataFrame:
    """Forecast the 24 hours after `issued_at` for every station that reported in the week before. Nothing is written.

    Returns rows of `forecasts`. Reads only what was observed at or before issued_at and received by then. `backfilled` is true if
    nobody can have been served: the first hour is over, or the model was registered after `until`.

    issued_at: a full hour, by default the last one before `until`, which is `now` by default. stations: only these ids.
    model_id: by default the champion. map_blocks: computes the blocks of stations; on machines of one kind, equal blocks give
    bit-identical results, and other block sizes agree to a relative 1e-5.

    If calibrations or external forecasts cannot be used, the champion forecasts without them; if its checkpoint cannot be used,
    the previous champion forecasts. Both are warnings. Raises ModelError without a champion, ConfigError for an unknown station
    or hour, NotEnoughDataError if no station reported.
    """
    t0 = _hour_of_issue(issued_at, until or now)
    rows = _forecast_with_fallbacks(settings, now, t0, stations, model_id, map_blocks, until)
    return validate_frame(rows, forecasts_contract(), "forecasts")


def _forecast_with_fallbacks(
    settings: Settings,
    now: datetime,
    t0: datetime,
    stations: Collection[str],
    model_id: str | None,
    map_blocks: MapBlocks,
    until: datetime | None,
) -> pl.DataFrame:
    """Try the models in turn, each with all inputs and then without the optional ones. Raises the first error if all fail."""
    errors: list[Exception] = []
    for name in [model_id] if model_id else _champions(settings, now):
        for bare in (False, True):
            try:
                inputs = _read_inputs(settings, now, t0, stations, name, bare=bare)
                return _forecast(settings, now, t0, inputs, map_blocks, until)
            except (ConfigError, NotEnoughDataError, WarehouseError, WorkerError):  # another model would not help
                raise
            except ModelError as error:
                errors.append(error)
                _log.warning("%s cannot forecast: %s", name, error)
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, try the next way
                errors.append(error)
                how = "at all" if bare else "with its calibrations and external forecasts"
                _log.warning("%s cannot forecast %s: %s", name, how, describe(error), exc_info=error)
    raise errors[0]


def _champions(settings: Settings, now: datetime) -> list[str]:
    """The ids of the champion and of the champions before it, newest first. Raises ModelError if there is no champion."""
    with settings.warehouse.read(now) as con:
        champion, previous = read_champion(con), read_champions_until(con, now)
    if champion is None:
        raise ModelError("there is no champion to forecast with: run `daycast retrain` first")
    return list(dict.fromkeys(one.model_id for one in (champion, *previous)))


def _forecast(
    settings: Settings, now: datetime, t0: datetime, inputs: "_Inputs", map_blocks: MapBlocks, until: datetime | None
) -> pl.DataFrame:
    """The rows of `forecasts` that one model makes of its inputs."""
    checkpoint = settings.checkpoints / inputs.model.checkpoint
    header = read_header(checkpoint)
    start = t0 - (HISTORY_HOURS - 1) * HOUR
    # of all that report, because neighbours are inputs, too
    panel = make_panel(inputs.versions, inputs.reporting, header.channels, start, t0)
    selected = np.flatnonzero(panel.stations["station_id"].is_in(inputs.selected["station_id"].implode()))
    ids = panel.stations["station_id"].gather(selected).to_list()
    servers, imputed = _choose_servers(settings, header, inputs, ids)
    if not (servers != "").any():
        raise NotEnoughDataError(_NOTHING_TO_FORECAST)
    issue = Issue(t0, checkpoint, settings.model.device, inputs.calibrated)
    most = settings.compute.block_stations
    blocks = make_blocks(issue, panel, inputs.external_forecasts, selected, servers, imputed, most)
    if map_blocks is map and len(selected) > most:  # a block has too few windows for many cores
        cores = threads_for(choose_device(settings.model.device))
        map_blocks = partial(map_parallel, threads=min(cores, -(-len(selected) // most)))
    return pl.concat(map_blocks(forecast_block, blocks)).with_columns(
        model_id=pl.lit(inputs.model.model_id),
        created_at=pl.lit(now, UTC_TIME),
        backfilled=pl.lit(_is_too_late(now, t0, until, inputs.model)),
    )


def _choose_servers(
    settings: Settings, header: Header, inputs: "_Inputs", stations: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Who forecasts each of `stations` and each target, "" for nobody; and where that is imputed. Both (W, V).

    Where a station never reported a variable, nobody does, or climatology if `forecast.impute` is set. A model that was trained
    on none of these stations does not serve: its base network does, which learned elsewhere. Raises ModelError if it has none.
    """
    if inputs.is_foreign:
        if not header.config.base or not set(header.targets) & set(KNOWN_TO_BASE):
            raise ModelError(f"{inputs.model.model_id} was trained on none of these stations: run `daycast retrain`")
        _log.warning(
            "%s was trained on none of these stations: base serves until it is replaced", inputs.model.model_id
        )
        of_base = [BASE if name in KNOWN_TO_BASE else "" for name in header.targets]
        servers = np.array([of_base] * len(stations), dtype=object)
    else:
        servers = assign(inputs.model.forecaster, inputs.fallbacks, stations, header.targets).astype(object)
    pairs = pl.DataFrame({"station_id": stations}).with_row_index("row").join(inputs.unreported, on="station_id")
    columns = pl.DataFrame({"variable": header.targets}).with_row_index("column")
    at = pairs.join(columns, on="variable").select("row", "column").to_numpy().T
    imputed = np.zeros(servers.shape, bool)
    imputed[tuple(at)] = settings.forecast.impute and not inputs.is_foreign
    servers[tuple(at)] = ""
    servers[imputed] = CLIMATOLOGY
    return servers.astype(str), imputed


def _is_too_late(now: datetime, t0: datetime, until: datetime | None, model: ModelRow) -> bool:
    """Whether a forecast made now comes too late to have been served."""
    return now - t0 >= HOUR or (until is not None and model.registered_at > until)


def plan_forecasts(
    settings: Settings,
    now: datetime,
    issued_at: datetime | None = None,
    stations: Collection[str] = (),
    model_id: str | None = None,
    until: datetime | None = None,
) -> IssuePlan:
    """What `issue_forecasts` would do with the same arguments. Raises the same errors; nothing is written."""
    t0 = _hour_of_issue(issued_at, until or now)
    inputs = _read_inputs(settings, now, t0, stations, model_id or _champions(settings, now)[0])
    header = read_header(settings.checkpoints / inputs.model.checkpoint)
    ids = inputs.selected["station_id"].to_list()
    with settings.warehouse.read(now) as con:
        replaced, served = count_forecasts(con, t0, ids)
    servers, _ = _choose_servers(settings, header, inputs, ids)
    rows = int((servers != "").sum()) * HORIZON_HOURS
    if _is_too_late(now, t0, until, inputs.model):
        rows, replaced = rows - served, replaced - served
    return IssuePlan(t0, inputs.model.model_id, inputs.model.checkpoint, len(ids), rows, replaced)


def _hour_of_issue(issued_at: datetime | None, now: datetime) -> datetime:
    """The hour of issue: `issued_at`, by default the last full hour. Raises ConfigError unless it is a full hour up to `now`."""
    t0 = issued_at or floor_hour(now)
    if t0 != floor_hour(t0) or t0 > now:
        raise ConfigError(f"{t0.isoformat()} cannot be an hour of issue: give a full hour that is not in the future")
    return t0


@dataclass(frozen=True)
class _Inputs:
    """What a forecast reads from the warehouse."""

    model: ModelRow
    fallbacks: tuple[Fallback, ...]
    calibrated: pl.DataFrame
    reporting: pl.DataFrame  # the stations that reported in the week before
    selected: pl.DataFrame  # those of them to forecast
    versions: pl.DataFrame  # with the usable values alone
    external_forecasts: pl.DataFrame
    unreported: pl.DataFrame  # station_id, variable: what a station never reported, or is not asked for any more
    is_foreign: bool  # whether the model was trained on none of the selected stations


def _read_inputs(
    settings: Settings, now: datetime, t0: datetime, stations: Collection[str], model_id: str, *, bare: bool = False
) -> _Inputs:
    """Read what a forecast needs; with `bare`, without the optional calibrations and external forecasts."""
    with settings.warehouse.read(now) as con:
        model = find_model(con, model_id)
        header = read_header(settings.checkpoints / model.checkpoint)
        listed, serving = read_stations(con), read_serving_stations(con, settings)
        versions = keep_usable(read_versions(con, t0 - (HISTORY_HOURS - 1) * HOUR, t0, t0), list(settings.glossary))
        reporting = serving.filter(pl.col("station_id").is_in(versions["station_id"].unique().implode()))
        selected = _select(listed, serving, reporting, stations, t0)
        foreign = is_foreign(header, reporting)
        return _Inputs(
            model,
            read_fallbacks(con, model_id),
            _NO_CALIBRATIONS if bare or foreign else read_calibrations(con, model_id, t0),
            reporting,
            selected,
            versions,
            _no_external_forecasts(settings) if bare else read_external_forecasts(con, t0 - OLDEST_H * HOUR, t0, t0),
            _read_unreported(con, settings, selected, versions, header.targets, t0),
            foreign,
        )


def _select(
    listed: pl.DataFrame, serving: pl.DataFrame, reporting: pl.DataFrame, stations: Collection[str], t0: datetime
) -> pl.DataFrame:
    """The reporting stations to forecast: those named by `stations`, else all. Raises ConfigError for one that is not served."""
    if unknown := sorted(set(stations) - set(listed["station_id"])):
        raise ConfigError(f"there is no station {unknown[0]!r}; there are: {', '.join(listed['station_id'].head(20))}")
    if retired := sorted(set(stations) - set(serving["station_id"])):
        raise ConfigError(
            f"station {retired[0]!r} is retired: `daycast sources list` says why, and how to serve it again"
        )
    selected = reporting.filter(pl.col("station_id").is_in(list(stations))) if stations else reporting
    if selected.is_empty():
        raise NotEnoughDataError(
            f"no station reported in the {HISTORY_HOURS} hours before {t0.isoformat()}: ingest first"
        )
    return selected


def _read_unreported(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    selected: pl.DataFrame,
    versions: pl.DataFrame,
    targets: Sequence[str],
    t0: datetime,
) -> pl.DataFrame:
    """station_id, variable: the targets that stations never reported by t0, or that no source of theirs is asked for any more.

    versions: the usable values of the newest; only of stations that lack something in these is all history read.
    """
    reported = [pl.col(name).is_not_null().any() for name in targets]
    newest = versions.lazy().filter(pl.col("known_until").is_null())
    recent = newest.group_by("station_id").agg(reported).collect()
    recent = selected.select("station_id").join(recent, on="station_id", how="left")
    lacking = recent.filter(~pl.all_horizontal(pl.col(name).fill_null(value=False) for name in targets))
    undelivered = read_undelivered(con, settings, targets)
    if lacking.is_empty():
        return undelivered
    ever = lacking.select("station_id").join(read_reported(con, lacking, targets, t0), on="station_id", how="left")
    never = ever.unpivot(targets, index="station_id").filter(~pl.col("value").fill_null(value=False))
    return pl.concat([never.select("station_id", "variable"), undelivered]).unique()


def _no_external_forecasts(settings: Settings) -> pl.DataFrame:
    return pl.DataFrame(schema={**EXTERNAL_FORECAST_KEYS, **dict.fromkeys(settings.glossary, pl.Float64)})
