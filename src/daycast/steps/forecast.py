"""Issue the next 24 hours: the champion reads what was known at t0 and its quantiles become rows."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from daycast.errors import ConfigError, ModelError, NotEnoughDataError, WarehouseError, WorkerError, describe
from daycast.evaluation.serving import Fallback, assign, pick
from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import Panel, StationBlock, make_panel, split_panel
from daycast.model.calibration.calibration import from_rows
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.config import MEDIAN
from daycast.model.windows import REGIMES, find_neighbours
from daycast.quality.contracts import QUANTILE_COLUMNS, forecasts_contract, validate_frame
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.sources.batch import EXTERNAL_FORECAST_KEYS
from daycast.steps.map_blocks import MapBlocks
from daycast.steps.to_long import to_long
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
from daycast.warehouse.observations import read_stations, read_versions

# The forecasts of a block of stations, made of nothing but what the block holds and the checkpoint that it names.


@dataclass(frozen=True)
class Issue:
    """What the blocks of one hour of issue have in common."""

    t0: datetime
    checkpoint: Path
    device: str
    calibrated: pl.DataFrame  # as of model.calibration_rows


@dataclass(frozen=True)
class ForecastBlock:
    """Some of the stations to be forecast, B."""

    issue: Issue
    stations: StationBlock
    external_forecasts: pl.DataFrame  # what others had forecast for them
    who: np.ndarray  # (B, V) names of forecasters


def make_blocks(
    issue: Issue, panel: Panel, external_forecasts: pl.DataFrame, wanted: np.ndarray, who: np.ndarray, most: int
) -> Iterator[ForecastBlock]:
    """The `wanted` rows of a network (W,), at most so many a block; who: the forecaster of each station and target, (W, V)."""
    first = 0
    for stations in split_panel(panel, wanted, find_neighbours(panel.stations), most):
        own = external_forecasts.filter(pl.col("station_id").is_in(stations.panel.stations["station_id"].implode()))
        yield ForecastBlock(issue, stations, own, who[first : first + len(stations.own)])
        first += len(stations.own)


def forecast_block(block: ForecastBlock) -> pl.DataFrame:
    """The block's rows of the table of forecasts, but for who made them when; in the order of station, variable and lead."""
    issue, stations = block.issue, block.stations
    forecaster = load_checkpoint(issue.checkpoint, issue.device)
    targets = forecaster.header.targets
    forecaster.calibrations = from_rows(issue.calibrated, targets, forecaster.device)
    windows = forecaster.open(stations.panel, block.external_forecasts, stations.neighbours)
    issued = stations.panel.stations.select(pl.col("station_id").gather(stations.own))
    issued = issued.with_columns(issued_at=pl.lit(issue.t0, UTC_TIME))
    origins = np.full(len(stations.own), stations.panel.index_of(issue.t0))
    names = [str(name) for name in np.unique(block.who)]
    parts = []
    for part, quantiles, _, regime in forecaster.predict(windows, stations.own, origins, names):
        keys = issued[part].with_columns(pl.Series("input_regime", np.array(REGIMES)[regime]))
        values = pick(quantiles, block.who[part])
        implausible = forecaster.implausible(stations.panel, stations.own[part], origins[0], values[..., MEDIAN])
        parts.append(
            to_long(values, QUANTILE_COLUMNS, keys, targets).with_columns(
                pl.Series("forecaster", np.repeat(block.who[part].ravel(), HORIZON_HOURS)),
                pl.Series("implausible", implausible.transpose(0, 2, 1).ravel()),
            )
        )
    return pl.concat(parts).with_columns(value=pl.col("q50"))


_NO_CALIBRATIONS = pl.DataFrame(schema={"forecaster": pl.String})
_log = logging.getLogger("daycast")


@dataclass(frozen=True)
class IssuePlan:
    """What is forecast from one hour: by whom, and what is written."""

    issued_at: datetime
    model_id: str
    checkpoint: str
    stations: int
    rows: int
    replaced: int  # of the rows that are there

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
    """Make forecasts (see `make_forecasts`), write them, and return what was written.

    What comes too late is not written where somebody was served a forecast; that is a warning.
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
    """Forecast from `issued_at`, by default the last full hour, for every station heard of in the week before.

    Returns rows of the table `forecasts`; nothing is written. model_id: who makes them; by default the champion of now.
    until: as if that moment were the present: the last full hour is that of it. `backfilled` says that nobody was served them,
    because their first hour is over, or because the model was registered only after `until`.
    spread: who computes the blocks of stations. On machines of one kind the same blocks give the same bits, whoever computes
    them; blocks of other sizes agree to rounding, a relative 1e-5 or so, because other shapes have other kernels.

    Only what was observed at or before issued_at and received by then is read. Where calibrations or external forecasts cannot be
    used the champion forecasts without them, and where its checkpoint cannot be used the champion before it does: each a warning.
    Raises ModelError without a champion, ConfigError for a station that is not there, NotEnoughDataError where no station was
    heard of.
    """
    t0 = _hour_of_issue(issued_at, until or now)
    rows = _forecast_somehow(settings, now, t0, stations, model_id, map_blocks, until)
    return validate_frame(rows, forecasts_contract(), "forecasts")


def _forecast_somehow(
    settings: Settings,
    now: datetime,
    t0: datetime,
    stations: Collection[str],
    model_id: str | None,
    map_blocks: MapBlocks,
    until: datetime | None,
) -> pl.DataFrame:
    """The rows of the first way to make them that works; the first error where none does."""
    errors: list[Exception] = []
    for name in [model_id] if model_id else _champions(settings, now):
        for bare in (False, True):
            try:
                known = _read_known(settings, now, t0, stations, name, bare=bare)
                return _forecast(settings, now, t0, known, map_blocks, until)
            except (ConfigError, NotEnoughDataError, WarehouseError, WorkerError):  # no other model helps
                raise
            except ModelError as error:
                errors.append(error)
                _log.warning("%s cannot forecast: %s", name, error)
                break
            except Exception as error:  # noqa: BLE001 - whatever it is, there is another way
                errors.append(error)
                how = "at all" if bare else "with its calibrations and external forecasts"
                _log.warning("%s cannot forecast %s: %s", name, how, describe(error), exc_info=error)
    raise errors[0]


def _champions(settings: Settings, now: datetime) -> list[str]:
    """The champion's id, and those of the champions before it, newest first. Raises ModelError where there is none."""
    with settings.warehouse.read(now) as con:
        champion, before = read_champion(con), read_champions_until(con, now)
    if champion is None:
        raise ModelError("there is no champion to forecast with: run `daycast retrain` first")
    return list(dict.fromkeys(one.model_id for one in (champion, *before)))


def _forecast(
    settings: Settings, now: datetime, t0: datetime, known: "_Known", map_blocks: MapBlocks, until: datetime | None
) -> pl.DataFrame:
    checkpoint = settings.checkpoints / known.model.checkpoint
    header = read_header(checkpoint)
    start = t0 - (HISTORY_HOURS - 1) * HOUR
    usable = keep_usable(known.versions, list(settings.glossary))
    panel = make_panel(usable, known.heard, header.channels, start, t0)  # the neighbours of those wanted, too
    wanted = np.flatnonzero(panel.stations["station_id"].is_in(known.wanted["station_id"].implode()))
    ids = panel.stations["station_id"].gather(wanted).to_list()
    who = assign(known.model.forecaster, known.fallbacks, ids, header.targets)
    issue = Issue(t0, checkpoint, settings.model.device, known.calibrated)
    blocks = make_blocks(issue, panel, known.external_forecasts, wanted, who, settings.compute.block_stations)
    return pl.concat(map_blocks(forecast_block, blocks)).with_columns(
        model_id=pl.lit(known.model.model_id),
        created_at=pl.lit(now, UTC_TIME),
        backfilled=pl.lit(_is_too_late(now, t0, until, known.model)),
    )


def _is_too_late(now: datetime, t0: datetime, until: datetime | None, model: ModelRow) -> bool:
    """Whether nobody can have been served a forecast that is made now."""
    return now - t0 >= HOUR or (until is not None and model.registered_at > until)


def plan_forecasts(
    settings: Settings,
    now: datetime,
    issued_at: datetime | None = None,
    stations: Collection[str] = (),
    model_id: str | None = None,
    until: datetime | None = None,
) -> IssuePlan:
    """What `issue_forecasts` would do with the same arguments; it raises the same errors, and nothing is written."""
    t0 = _hour_of_issue(issued_at, until or now)
    known = _read_known(settings, now, t0, stations, model_id or _champions(settings, now)[0])
    header = read_header(settings.checkpoints / known.model.checkpoint)
    ids = known.wanted["station_id"].to_list()
    with settings.warehouse.read(now) as con:
        replaced, served = count_forecasts(con, t0, ids)
    rows = len(ids) * len(header.targets) * HORIZON_HOURS
    if _is_too_late(now, t0, until, known.model):
        rows, replaced = rows - served, replaced - served
    return IssuePlan(t0, known.model.model_id, known.model.checkpoint, len(ids), rows, replaced)


def _hour_of_issue(issued_at: datetime | None, now: datetime) -> datetime:
    t0 = issued_at or floor_hour(now)
    if t0 != floor_hour(t0) or t0 > now:
        raise ConfigError(f"{t0.isoformat()} cannot be an hour of issue: give a full hour that is not in the future")
    return t0


@dataclass(frozen=True)
class _Known:
    """What a forecast rests on."""

    model: ModelRow
    fallbacks: tuple[Fallback, ...]
    calibrated: pl.DataFrame
    heard: pl.DataFrame  # the stations of which something was received in the week before
    wanted: pl.DataFrame  # those of them that are forecast
    versions: pl.DataFrame
    external_forecasts: pl.DataFrame


def _read_known(
    settings: Settings, now: datetime, t0: datetime, stations: Collection[str], model_id: str, *, bare: bool = False
) -> _Known:
    """bare: without calibrations and external forecasts."""
    with settings.warehouse.read(now) as con:
        model = find_model(con, model_id)
        fallbacks = read_fallbacks(con, model_id)
        calibrated = _NO_CALIBRATIONS if bare else read_calibrations(con, model_id, t0)
        listed = read_stations(con)
        versions = read_versions(con, t0 - (HISTORY_HOURS - 1) * HOUR, t0, t0)
        external_forecasts = (
            _no_external_forecasts(settings) if bare else read_external_forecasts(con, t0 - OLDEST_H * HOUR, t0, t0)
        )
    if unknown := sorted(set(stations) - set(listed["station_id"])):
        raise ConfigError(f"there is no station {unknown[0]!r}; there are: {', '.join(listed['station_id'].head(20))}")
    heard = listed.filter(pl.col("station_id").is_in(versions["station_id"].unique().implode()))
    wanted = heard.filter(pl.col("station_id").is_in(list(stations))) if stations else heard
    if wanted.is_empty():
        raise NotEnoughDataError(
            f"no station reported in the {HISTORY_HOURS} hours before {t0.isoformat()}: ingest first"
        )
    return _Known(model, fallbacks, calibrated, heard, wanted, versions, external_forecasts)


def _no_external_forecasts(settings: Settings) -> pl.DataFrame:
    return pl.DataFrame(schema={**EXTERNAL_FORECAST_KEYS, **dict.fromkeys(settings.glossary, pl.Float64)})
