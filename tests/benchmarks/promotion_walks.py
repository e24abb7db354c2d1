"""Walks through the years of four networks: a fit every fourth week, and the daily CRPS of all its forecasters from then on.

`collect` makes what is missing of a walk, a file a fit, and can be interrupted; `Walk` reads it. A fit is small (two networks of
32 units, 80 steps each, a third of the calibrations and hindcasts), for rules are judged by it and not forecasts: a minute or
two on a core.
"""

import dataclasses
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from networks import NOW, open_network

from daycast.evaluation.gain import USUAL
from daycast.evaluation.serving import DailyCrps
from daycast.times import DAY, HISTORY_HOURS, HOUR

EVERY = 28  # days
BASELINES = ["persistence", "same_hour_yesterday", "climatology", "ridge"]
NETWORK = "network"  # what the networks of a fit are called here, whatever their cells


class Span(NamedTuple):
    """What one walk goes through."""

    network: str
    since: datetime  # the beginning of the history
    first: datetime  # the first decision
    decisions: int
    stations: int  # those with the most readings by then


def _utc(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


WALKS = {  # short histories and long ones
    "us_short": Span("us", _utc(2012, 6), _utc(2012, 9), 13, 5),
    "beijing": Span("beijing", _utc(2013, 3), _utc(2013, 7), 13, 8),
    "inmet": Span("inmet", _utc(2020, 1), _utc(2020, 8), 13, 10),
    "us_long": Span("us", _utc(2009, 7), _utc(2011, 4), 13, 5),
    "knmi": Span("knmi", _utc(2017, 7), _utc(2019, 4), 13, 10),
}


class Fit(NamedTuple):
    """The scores of one fit: (S, D, V) on the walk's own calendar of days, by forecaster."""

    decided_on: int  # the day of the decision, the first that is forecast in service
    holdout: slice  # the days of its holdout
    judged: dict[str, DailyCrps]  # by the weights before they are refreshed
    served: dict[str, DailyCrps]  # by those that serve, from the decision on
    usual: np.ndarray  # (V,) the CRPS as it usually is
    hours: float  # of history


class Walk:
    """The fits of a walk, as far as they were collected."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._span = name, WALKS[name]
        self._files = [dict(np.load(path)) for path in sorted((folder / name).glob("[0-9][0-9].npz"))]
        if not self._files:
            raise SystemExit(f"nothing was collected of {name} in {folder}: run with --collect")
        self.variables = [str(one) for one in self._files[0]["targets"]]
        self.stations = [str(one) for one in self._files[0]["stations"]]

    @cached_property
    def fits(self) -> list[Fit]:
        """In the order of time."""
        return [self._read(one) for one in self._files]

    @cached_property
    def level(self) -> np.ndarray:
        """The mean CRPS of each variable over the walk, (V,): of ridge, served anew every four weeks."""
        means = [mean_crps(fit.served["ridge"], self.days_after(fit)) for fit in self.fits]
        return np.nanmean(means, axis=0)

    def days_after(self, fit: Fit) -> slice:
        """The days on which the decision about this fit holds."""
        return slice(fit.decided_on + 1, fit.decided_on + 1 + EVERY)

    def _read(self, file: dict[str, np.ndarray]) -> Fit:
        start = min(one["holdout_since"] for one in self._files)
        days = self._day(start, max(one["decided_at"] for one in self._files)) + EVERY + 1
        decided_on = self._day(start, file["decided_at"])
        parts = {"holdout": file["holdout_since"], "judged": file["decided_at"], "served": file["decided_at"]}

        def scores(name: str, *wanted: str) -> DailyCrps:
            total, count = np.zeros((len(self.stations), days, len(self.variables))), None
            count = np.zeros(total.shape, np.int64)
            for part in wanted:
                if f"{part}|{name}|total" in file:
                    first, own = self._day(start, parts[part]), file[f"{part}|{name}|total"]
                    n = min(own.shape[1], days - first)
                    columns = [self.variables.index(str(one)) for one in file["targets"]]
                    total[:, first : first + n, columns] += own[:, :n]
                    count[:, first : first + n, columns] += file[f"{part}|{name}|count"][:, :n]
            return DailyCrps(total, count)

        names = [NETWORK, *BASELINES]
        holdout = slice(self._day(start, file["holdout_since"]), decided_on)
        judged = {name: scores(name, "holdout", "judged") for name in names}
        served = {name: scores(name, "served") for name in names}
        usual = USUAL * file["departures"]
        hours = (file["decided_at"].astype("datetime64[s]").item().replace(tzinfo=UTC) - self._span.since) / HOUR
        return Fit(decided_on, holdout, judged, served, usual, hours)

    @staticmethod
    def _day(start: np.ndarray, moment: np.ndarray) -> int:
        return int((moment.astype("datetime64[D]") - start.astype("datetime64[D]")).astype(int))


def days_of(scores: DailyCrps, part: slice) -> DailyCrps:
    """The same for some of the days."""
    return DailyCrps(scores.total[:, part], scores.count[:, part])


def mean_crps(scores: DailyCrps, part: slice) -> np.ndarray:
    """The mean over these days and all stations, (V,); NaN where there is no truth."""
    total, count = (of[:, part].sum(axis=(0, 1)) for of in (scores.total, scores.count))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def collect(name: str, data: Path, folder: Path) -> None:
    """Fit and score what is missing of a walk. data: warehouses of the networks; folder: where walks are kept."""
    from daycast.model.calibration import hindcasts
    from daycast.model.config import ModelConfig
    from daycast.quality.flags import keep_usable
    from daycast.steps import evaluate
    from daycast.warehouse.observations import read_stations, read_versions

    hindcasts._WINDOWS_A_DAY, evaluate.EVERY_DAYS = 20, 14
    span = WALKS[name]
    settings = open_network(span.network, data)
    config = dataclasses.replace(
        ModelConfig(), ensemble_size=2, epochs=2, steps_per_epoch=40, hidden_size=32, device="cpu", max_minutes=60
    )
    end = span.first + EVERY * span.decisions * DAY
    with settings.warehouse.read(NOW) as con:
        stations = read_stations(con)
        versions = keep_usable(read_versions(con, span.since, end + 2 * DAY, NOW), list(settings.glossary))
    ids = _fullest(versions.filter(pl.col("observed_at") < span.first), span.stations)
    stations, versions = (table.filter(pl.col("station_id").is_in(ids)) for table in (stations, versions))
    (folder / name).mkdir(parents=True, exist_ok=True)
    for k in range(span.decisions):
        path = folder / name / f"{k:02d}.npz"
        if not path.exists():
            now = span.first + EVERY * k * DAY
            found = _fit_and_score(versions, stations, settings.glossary, config, now, end, path.with_suffix(".tmp"))
            draft = path.with_suffix(".tmp.npz")
            np.savez_compressed(draft, **found)
            draft.replace(path)
            print(f"{name} {k} {now:%Y-%m-%d}", flush=True)


def _fullest(versions: pl.DataFrame, count: int) -> list[str]:
    """The stations with the most readings of temperature and rain."""
    readings = pl.col("air_temperature_c").count() + pl.col("precipitation_mm").count()
    ranked = versions.group_by("station_id").agg(readings.alias("n")).sort("n", "station_id", descending=[True, False])
    return sorted(ranked["station_id"].head(count).to_list())


def _fit_and_score(
    versions: pl.DataFrame, stations: pl.DataFrame, glossary, config, now: datetime, end: datetime, checkpoint: Path
) -> dict[str, np.ndarray]:
    from daycast.evaluation.serving import assign
    from daycast.model.checkpoint import load_checkpoint, save_checkpoint
    from daycast.model.fit import fit_forecaster
    from daycast.steps.evaluate import calibrate_weekly, evaluate_daily, open_block

    known = versions.filter(pl.col("observed_at") <= now)
    save_checkpoint(fit_forecaster(known, stations, glossary, config, str(now)), checkpoint)
    header = load_checkpoint(checkpoint, "cpu").header
    holdout = datetime.fromisoformat(header.calibrated_until) + (HISTORY_HOURS - 1) * HOUR
    found: dict[str, np.ndarray] = {
        "targets": np.array(header.targets),
        "departures": np.array(header.departures),
        "decided_at": np.datetime64(now.replace(tzinfo=None)),
    }

    def score(part: str, since: datetime, until: datetime | None, names: list[str], *, refreshed: bool) -> None:
        forecaster = load_checkpoint(checkpoint, "cpu", refreshed=refreshed)
        rows = versions.filter(
            pl.col("observed_at").is_between(since - timedelta(days=100), (until or now - DAY) + DAY)
        )
        block = open_block(forecaster, rows, stations, 18, since, until)
        own = [header.cell if one == NETWORK else one for one in names]
        calibrate_weekly(forecaster, own, block)
        ids = block.windows.panel.stations["station_id"].to_list()
        servers = {name: assign(one, (), ids, header.targets) for name, one in zip(names, own, strict=True)}
        for name, daily in evaluate_daily(block, forecaster, servers)[1].items():
            found[f"{part}|{name}|total"] = daily.total.astype(np.float32)
            found[f"{part}|{name}|count"] = daily.count.astype(np.int16)
        found["stations"] = np.array(ids)
        found[f"{part}_since"] = np.datetime64(block.since.date())

    score("holdout", holdout, None, [NETWORK, *BASELINES], refreshed=False)
    score("judged", now, end, [NETWORK, "ridge"], refreshed=False)
    score("served", now, now + EVERY * DAY, BASELINES[:-1], refreshed=True)
    score("served", now, end, [NETWORK, "ridge"], refreshed=True)
    checkpoint.unlink()
    return found
