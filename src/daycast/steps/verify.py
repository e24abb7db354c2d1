"""Verify: score served forecasts and their baselines against observations, and look for drift of the champion."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.evaluation.drift import Drift, DriftLimits, find_drifts
from daycast.evaluation.scores import score_groups
from daycast.features.panel import make_panel, with_neighbours
from daycast.model.baselines import BASELINES
from daycast.model.checkpoint import load_checkpoint
from daycast.model.forecaster import Forecaster
from daycast.model.training.parallel import run_parallel, threads_for
from daycast.model.windows import Windows, find_neighbours
from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.times import DAY, HISTORY_HOURS, HORIZON_HOURS, HOUR, UTC_TIME, floor_hour
from daycast.warehouse.forecasts import (
    read_days_to_verify,
    read_forecasts_of_days,
    replace_scores,
    write_verification,
)
from daycast.warehouse.models import (
    ModelRow,
    add_drifts,
    find_model,
    read_champion,
    read_daily_scores,
    read_drifts,
    read_fallbacks,
    read_holdout_crps,
)
from daycast.warehouse.observations import read_stations, read_versions

_DAYS_AT_ONCE = 7  # of forecasts, with the week before them that the baselines read
_ROWS_AT_ONCE = 1_000_000  # of forecasts, by their cost, beside as many of each baseline
# of a station's day, in forecasts: however few it has, the baselines read the week before them and forecast for each issue
_COST = pl.col("rows").clip(2_000)
_AT_ONCE, _TURNS = 500_000, 24  # more forecasts than this are verified in turns: so many verifications go round once
_log = logging.getLogger("daycast")


def verify_forecasts(settings: Settings, now: datetime, until: datetime | None = None) -> int:
    """Bring `scores` up to date with what was known by `until`, by default `now`. Returns how many forecast rows were scored.

    Days of stations with a new observation, a correction or a new forecast since the last verification are scored again as a
    whole, a few days at a time; others are not read. In large networks a part of them has its turn, and the rest is left to the
    next verifications: days that are over come first, then those that wait longest. A call that is killed is made up for by the
    next one. Values that failed their checks meanwhile no longer count as truth, and scores that rested only on them are
    deleted. Backfilled forecasts are not scored, because nobody was served them. Scores record when they were written
    (`scored_at`) and `until` (`as_of`); after a verification as of a past moment, the next call starts from that moment.
    """
    with settings.warehouse.read(now) as con:
        due, seen = read_days_to_verify(con, now, until or now)
    chosen, left = _take_turns(due)
    week = pl.col("day").cast(pl.Int32) // _DAYS_AT_ONCE  # days that are far apart would have all between them read
    weeks = chosen.with_columns(week=week).sort("week", maintain_order=True).partition_by("week", maintain_order=True)
    scored = sum(_score_days(settings, some, now, until) for some in weeks)
    with settings.warehouse.write(now) as con:
        write_verification(con, now, until or now, left, seen)
    if len(left):
        _log.info("%s of %s days of stations wait for the next verifications", f"{len(left):,}", f"{len(due):,}")
    return scored


def _take_turns(due: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The days to verify now, and those that are left for later, of days in the order of their turns."""
    most = max(_AT_ONCE, due.select(_COST.sum()).item() // _TURNS)
    is_first = (_COST.cum_sum() - _COST) < most
    return due.filter(is_first), due.filter(~is_first)


@dataclass(frozen=True)
class _Span:
    """The hours of forecasts that are valid on some days, and the whole network."""

    start: datetime  # the first hour that a model read
    end: datetime  # the last hour that may have been observed
    stations: pl.DataFrame
    neighbours: NDArray[np.int32]  # those that baselines read, from `find_neighbours`


@dataclass(frozen=True)
class _Truth:
    """What came, and what the models saw, at some stations and their neighbours."""

    start: datetime
    end: datetime
    versions: pl.DataFrame
    stations: pl.DataFrame
    neighbours: NDArray[np.int32]  # rows of `stations`
    variables: list[str]


def _score_days(settings: Settings, days: pl.DataFrame, now: datetime, until: datetime | None) -> int:
    """Score all forecasts of these days anew, some stations at a time, see `verify_forecasts`. days: station_id, day, rows"""
    as_of = until or now
    first, last = (datetime.combine(day, time(), UTC) for day in (days["day"].min(), days["day"].max()))  # type: ignore[arg-type]
    start, end = first - (HORIZON_HOURS + HISTORY_HOURS - 1) * HOUR, min(last + DAY - HOUR, floor_hour(as_of))
    with settings.warehouse.read(now) as con:
        stations = read_stations(con)
    span = _Span(start, end, stations, find_neighbours(stations, one_by_one=False))
    return sum(_score_stations(settings, span, some, now, until) for some in _split(days))


def _split(days: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Days in parts of about as much work as fits into memory, those of a station together."""
    part = (_COST.cum_sum() - _COST) // _ROWS_AT_ONCE
    yield from days.sort("station_id").with_columns(part=part).partition_by("part", maintain_order=True)


def _score_stations(settings: Settings, span: _Span, days: pl.DataFrame, now: datetime, until: datetime | None) -> int:
    """The same for some stations. The warehouse is open while their forecasts are read, and while their scores are written."""
    with settings.warehouse.read(now) as con:
        served = read_forecasts_of_days(con, days, until or now)
        truth = _read_truth(con, settings, span, days, until or now)
        models = [find_model(con, name) for name in served["model_id"].unique().sort()]
    served = _with_observed(served, truth)
    tables, count = [], 0
    for model in models:
        rows = served.filter(pl.col("model_id") == model.model_id)
        tables += _score_model(_open(settings, model, truth), rows)
        count += len(rows) - rows["observed"].null_count()
    scored = None
    if tables:
        written = {"scored_at": pl.lit(now, UTC_TIME), "as_of": pl.lit(until, UTC_TIME)}
        scored = pl.concat(tables).with_columns(**written)
    with settings.warehouse.write(now) as con:
        replace_scores(con, scored, days)
    return count


def _read_truth(
    con: duckdb.DuckDBPyConnection, settings: Settings, span: _Span, days: pl.DataFrame, as_of: datetime
) -> _Truth:
    """What is known of the stations of these days and of their neighbours."""
    own = np.flatnonzero(span.stations["station_id"].is_in(days["station_id"].unique().implode()))
    rows, near = with_neighbours(own, span.neighbours)
    stations, variables = span.stations[rows], list(settings.glossary)
    versions = keep_usable(read_versions(con, span.start, span.end, as_of, stations), variables)
    return _Truth(span.start, span.end, versions, stations, near, variables)


def _with_observed(served: pl.DataFrame, truth: _Truth) -> pl.DataFrame:
    """The forecasts with what was observed, in the variable's unit, null where that is missing.

    It comes from the table, not from the model's array, which is scaled in single precision: a dry hour must not become 1e-9 mm.
    """
    current = truth.versions.filter(
        pl.col("known_until").is_null(), pl.col("station_id").is_in(served["station_id"].unique().implode())
    ).rename({"observed_at": "valid_at"})
    long = current.unpivot(
        truth.variables, index=["station_id", "valid_at"], variable_name="variable", value_name="observed"
    )
    return served.join(long.drop_nulls("observed"), on=["station_id", "valid_at", "variable"], how="left")


@dataclass(frozen=True)
class _Opened:
    """A model with the panel that it reads."""

    model: ModelRow
    forecaster: Forecaster
    windows: Windows


def _open(settings: Settings, model: ModelRow, truth: _Truth) -> _Opened:
    forecaster = load_checkpoint(settings.checkpoints / model.checkpoint, settings.model.device)
    panel = make_panel(truth.versions, truth.stations, forecaster.header.channels, truth.start, truth.end)
    windows = forecaster.open(panel, neighbours=truth.neighbours, for_network=False)  # only baselines are made anew
    return _Opened(model, forecaster, windows)


def _score_model(opened: _Opened, served: pl.DataFrame) -> list[pl.DataFrame]:
    """Scores of one model's served forecasts, and of its baselines for those of them that were observed."""
    forecaster, name = opened.forecaster, opened.model.forecaster
    groups = _Groups.of(served, forecaster.header.targets)
    group, truth = groups.number(served), served["observed"].to_numpy()
    tables = {name: score_groups(served.select(QUANTILE_COLUMNS).to_numpy(), truth, group)}
    others = [other for other in BASELINES if other in forecaster.names and other != name]
    tables |= _score_baselines(opened, others, served.with_columns(group=group))
    return [groups.describe(table, opened.model.model_id, who) for who, table in tables.items()]


def _score_baselines(opened: _Opened, names: list[str], served: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Scores of the model's baselines for these forecasts, by `group`, where they were observed."""
    windows, targets = opened.windows, opened.forecaster.header.targets
    at = windows.panel.stations.select("station_id").with_row_index("at")
    issues = served.select("station_id", "issued_at").unique(maintain_order=True).join(at, on="station_id")
    known = served.filter(pl.col("observed").is_not_null() & pl.col("variable").is_in(targets))
    known = known.join(issues.with_row_index("issue"), on=["station_id", "issued_at"])
    if known.is_empty():
        return {}
    where = known["issue"], known["lead_hours"] - 1, known["variable"].cast(pl.Enum(targets)).to_physical()
    shape = (len(issues), HORIZON_HOURS, len(targets))
    truth, group = np.full(shape, np.nan), np.zeros(shape, np.int64)
    truth[*where], group[*where] = known["observed"], known["group"]
    is_known = ~np.isnan(truth)
    quantiles: dict[str, list[np.ndarray]] = {name: [] for name in names}
    t0 = (issues["issued_at"] - windows.panel.start).dt.total_hours().to_numpy()
    for part, forecast, _, _ in opened.forecaster.predict(windows, issues["at"].to_numpy(), t0, names):
        for name in names:
            quantiles[name].append(forecast[name][is_known[part]].astype(np.float64))

    def score(name: str) -> pl.DataFrame:
        return score_groups(np.concatenate(quantiles.pop(name)), truth[is_known], group[is_known])

    return dict(zip(names, run_parallel(score, names, threads_for(opened.forecaster.device)), strict=True))


@dataclass(frozen=True)
class _Groups:
    """Numbers for what is scored together: a station, a day of validity, a lead and a variable."""

    stations: list[str]
    days: list[date]
    variables: list[str]

    @classmethod
    def of(cls, served: pl.DataFrame, targets: Sequence[str]) -> "_Groups":
        """The groups of these forecasts."""
        days = served["valid_at"].dt.date().unique().sort().to_list()
        others = served["variable"].unique().sort()
        return cls(served["station_id"].unique().sort().to_list(), days, list(dict.fromkeys([*targets, *others])))

    def number(self, served: pl.DataFrame) -> np.ndarray:
        """The group of each forecast. (K,) int64"""
        station, day, variable = (
            column.replace_strict({value: at for at, value in enumerate(values)}, return_dtype=pl.Int64)
            for column, values in (
                (pl.col("station_id"), self.stations),
                (pl.col("valid_at").dt.date(), self.days),
                (pl.col("variable"), self.variables),
            )
        )
        lead = pl.col("lead_hours").cast(pl.Int64) - 1
        group = ((station * len(self.days) + day) * HORIZON_HOURS + lead) * len(self.variables) + variable
        return served.select(group).to_series().to_numpy()

    def describe(self, table: pl.DataFrame, model_id: str, forecaster: str) -> pl.DataFrame:
        """Rows of `scores` from the mean scores of groups, but for when they were made."""
        group = pl.col("group")
        per_day = HORIZON_HOURS * len(self.variables)
        places: dict[str, tuple[list[Any], pl.Expr]] = {
            "station_id": (self.stations, group // (per_day * len(self.days))),
            "variable": (self.variables, group % len(self.variables)),
            "valid_on": (self.days, group // per_day % len(self.days)),
        }
        return table.select(
            model_id=pl.lit(model_id),
            forecaster=pl.lit(forecaster),
            lead_hours=(group // len(self.variables) % HORIZON_HOURS + 1).cast(pl.UInt8),
            **{name: pl.lit(pl.Series(values)).gather(at) for name, (values, at) in places.items()},
        ).hstack(table.drop("group"))


def note_drifts(settings: Settings, now: datetime, until: datetime | None = None) -> tuple[str | None, list[Drift]]:
    """Look for drift of the champion. Returns its id (None without a champion) and the new drifts, which are recorded.

    A drift (variable and measure) is new once per champion. The window ends with the day before `until`, by default `now`,
    because that day is not over.
    """
    limits = DriftLimits(**settings.drift.model_dump())
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
        if champion is None or champion.promoted_at is None:
            return None, []
        model_id, last = champion.model_id, ((until or now) - DAY).date()
        since = last - timedelta(days=limits.days + limits.lasting)
        daily = read_daily_scores(con, model_id, champion.promoted_at, since, last)
        served_by = {one.variable: one.forecaster for one in read_fallbacks(con, model_id) if one.station_id is None}
        holdout_crps = read_holdout_crps(con, model_id)
        known = {(one.variable, one.measure) for one in read_drifts(con)}
    found = find_drifts(daily, champion.forecaster, holdout_crps, served_by, limits, last)
    new = [one for one in found if (one.variable, one.measure) not in known]
    if new:
        with settings.warehouse.write(now) as con:
            add_drifts(con, new, model_id, now)
    return model_id, new
