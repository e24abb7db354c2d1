"""From a snapshot of observations to a forecaster: split, scale, baselines, linear path, networks, calibration."""

import hashlib
import json
import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import cast

import numpy as np
import polars as pl
import torch
from torch import Tensor

import daycast
from daycast.errors import ConfigError, NotEnoughDataError
from daycast.model.baselines import NAIVE, RIDGE, calendar_cells, fit_climatology, level_shift
from daycast.model.config import MEDIAN, QUANTILES, ModelConfig
from daycast.model.device import choose_device
from daycast.model.forecaster import Forecaster, Header
from daycast.model.linear_path import fit_linear_path, linear_error, linear_forecast
from daycast.model.sampling import draw, eligible_origins, spread_evenly
from daycast.model.seq2seq import CELLS
from daycast.model.train import Progress, train_seq2seq
from daycast.model.windows import Batch, Windows
from daycast.prepare.channels import make_channels
from daycast.prepare.network import Network, make_network
from daycast.prepare.scaler import fit_scale
from daycast.prepare.splits import Block, Split, split_hours
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, hours_between
from daycast.variables import Variable

_log = logging.getLogger("daycast")
LINEAR_WINDOWS = 60_000  # that the linear path is fitted to; more change its error by less than a hundredth
VALIDATION_WINDOWS = 3_000
_PART = 2_000  # windows gathered at a time
_NAIVE_NEEDS_H = 2 * HORIZON_HOURS + 1


def fit_forecaster(
    versions: pl.DataFrame,
    stations: pl.DataFrame,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    data_hash: str,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Forecaster:
    """Fit everything to the usable observation versions (station_id, observed_at, known_from, known_until, variables, weights).

    Where there is too little history for the linear path and the networks, the naive baselines are fitted alone. Raises
    NotEnoughDataError where even those have nothing to stand on, ConfigError where a target is not in the data.
    """
    if versions.is_empty():
        raise NotEnoughDataError("there is no observation yet: ingest something first")
    start, end = _extent(versions)
    hours = hours_between(start, end) + 1
    if hours < _NAIVE_NEEDS_H:
        raise NotEnoughDataError(f"there are {hours} hours of history and {_NAIVE_NEEDS_H} are the least: ingest more")
    try:
        split = split_hours(hours, config.validation_days, config.judgement_days, config.least_training_days)
    except NotEnoughDataError as error:
        _log.info("%s", error)
        everything = Block(HORIZON_HOURS - HISTORY_HOURS, hours)  # windows that begin before the first hour
        return _fit_naive(versions, stations, glossary, config, data_hash, Split(everything, everything, everything))
    training_rows = versions.filter(pl.col("observed_at") < start + split.train.end * HOUR)
    targets, others = choose_variables(training_rows, glossary, config)
    network = make_network(versions, stations, make_channels([*targets, *others]), start, end)
    return _Fit(network, split, targets, config, data_hash, watch).run()


def choose_variables(
    rows: pl.DataFrame, glossary: Mapping[str, Variable], config: ModelConfig
) -> tuple[list[Variable], list[Variable]]:
    """The targets, and the other variables to learn from: those the training rows have values of."""
    counts = rows.select(pl.col(name).count() for name in glossary if name in rows.columns).row(0, named=True)
    present = [glossary[name] for name, count in counts.items() if count]
    if absent := [name for name in config.targets if not counts.get(name)]:
        raise ConfigError(f"model.targets names {absent[0]!r}, which no training row has a value of")
    targets = [v for v in present if (v.name in config.targets if config.targets else v.target) and not v.circular]
    if not targets:
        raise NotEnoughDataError("no target variable has a value yet: map at least one column to a variable")
    return targets, [variable for variable in present if variable not in targets]


def _fit_naive(
    versions: pl.DataFrame,
    stations: pl.DataFrame,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    data_hash: str,
    split: Split,
) -> Forecaster:
    targets, others = choose_variables(versions, glossary, config)
    start, end = _extent(versions)
    network = make_network(versions, stations, make_channels([*targets, *others]), start, end)
    fit = _Fit(network, split, targets, config, data_hash, lambda _: None)
    return fit.calibrated(fit.assemble("", None, None, {}))


class _Fit:
    """The parts of one fit, made in order; each uses the training block, but for early stopping and calibration."""

    def __init__(
        self,
        network: Network,
        split: Split,
        targets: Sequence[Variable],
        config: ModelConfig,
        data_hash: str,
        watch: Callable[[Progress], None],
    ) -> None:
        self.network, self.split, self.targets, self.config = network, split, targets, config
        self.data_hash, self.watch = data_hash, watch
        self.device = choose_device(config.device)
        self.scale = fit_scale(network.values[:, : split.train.end])
        self.windows = Windows(network, self.scale, self.device)
        self.eligible = eligible_origins(network, split.train, len(targets))
        self.rng = np.random.default_rng(config.seed)

    def run(self) -> Forecaster:
        """Fit the linear path and the network that validation prefers."""
        if not self.eligible.any():
            raise NotEnoughDataError("no station has a day of readings followed by another in the training block")
        weights, steps = self.fit_ridge()
        validation = list(self._gather(*spread_evenly(self._eligible(self.split.validation), VALIDATION_WINDOWS)))
        if not validation:
            raise NotEnoughDataError("no station has readings in the validation block, the weeks before the newest")
        cells = tuple(CELLS) if self.config.cell == "auto" else (self.config.cell,)
        trained = {
            cell: train_seq2seq(
                cell, steps, weights, self.windows, self.split.train, self.eligible, validation, self.config, self.watch
            )
            for cell in cells
        }
        losses = {cell: loss for cell, (_, loss) in trained.items()}
        best = min(losses, key=losses.__getitem__)
        return self.calibrated(self.assemble(best, weights, trained[best][0], losses))

    def fit_ridge(self) -> tuple[Tensor, Tensor]:
        """The linear path's weights, and the spread it leaves on held-out rows.

        The penalty is chosen on the newest part of the training block, then the whole block is fitted.
        """
        train = self.split.train
        border = train.start + int(0.85 * (train.end - train.start))
        early, late = Block(train.start, border), Block(border, train.end)
        if late.last_origin <= late.first_origin or not self._eligible(late).any() or not self._eligible(early).any():
            early = late = train
        V = len(self.targets)
        held_out = list(self._gather(*spread_evenly(self._eligible(late), VALIDATION_WINDOWS)))
        candidates = fit_linear_path(self._draw(early), V)
        errors = [np.mean([linear_error(weights, batch, V) for batch in held_out]) for weights in candidates]
        best = int(np.argmin(errors))
        point = torch.cat([linear_forecast(candidates[best], batch, V) for batch in held_out])
        truth = torch.cat([batch.truth[..., :V] for batch in held_out])
        spread = level_shift(point[..., None].expand(-1, -1, -1, len(QUANTILES)), truth, QUANTILES)
        steps = torch.zeros_like(spread)
        steps[..., MEDIAN + 1 :] = spread.diff(dim=-1)[..., MEDIAN:]
        steps[..., :MEDIAN] = spread.diff(dim=-1)[..., :MEDIAN]
        return fit_linear_path(self._draw(train), V)[best], steps

    def assemble(
        self, cell: str, weights: Tensor | None, net: torch.nn.Module | None, losses: dict[str, float]
    ) -> Forecaster:
        """A forecaster of these parts, not yet calibrated: its intervals have no width but the network's own."""
        V, end = len(self.targets), self.split.train.end
        month, hour = calendar_cells(self.network, end)
        scaled = (self.network.values[:, :end, :V] - self.scale.mean[:V]) / self.scale.deviation[:V]
        weight = None if self.network.weight is None else self.network.weight[:, :end, :V]
        climatology = torch.from_numpy(fit_climatology(scaled, month, hour, weight))
        names = (*NAIVE, *((RIDGE,) if weights is not None else ()), *((cell,) if cell else ()))
        zero = torch.zeros(HORIZON_HOURS, V, len(QUANTILES))
        header = self._header(cell, losses)
        return Forecaster(header, self.scale, climatology, weights, dict.fromkeys(names, zero), net, self.device)  # type: ignore[arg-type]

    @torch.inference_mode()
    def calibrated(self, forecaster: Forecaster) -> Forecaster:
        """The forecaster with each level shifted so that its share of the validation block's truth lies below it."""
        V = len(self.targets)
        stations, origins = spread_evenly(self._eligible(self.split.validation), VALIDATION_WINDOWS)
        if not len(stations):
            raise NotEnoughDataError("no station has a day of readings followed by another: ingest more")
        rows = forecaster.climatology_rows(self.network)
        quantiles: dict[str, list[Tensor]] = {name: [] for name in forecaster.names}
        truth = []
        for part in range(0, len(stations), _PART):
            at, t0 = (self._index(index[part : part + _PART]) for index in (stations, origins))
            batch = self.windows.gather(at, t0)
            cells = forecaster.cells_of(self.network, t0)
            truth.append(batch.truth[..., :V])
            for name, parts in quantiles.items():
                parts.append(forecaster.scaled_quantiles(name, batch, rows[at], cells))
        came = torch.cat(truth)
        forecaster.shifts = {name: level_shift(torch.cat(parts), came, QUANTILES) for name, parts in quantiles.items()}
        return forecaster

    def _header(self, cell: str, losses: dict[str, float]) -> Header:
        trained_until = self.network.time_of(self.split.train.end)
        return Header(
            model_id=_model_id(cell, trained_until, self.data_hash, self.config),
            cell=cell,
            channels=self.network.channels,
            targets=tuple(variable.name for variable in self.targets),
            limits=tuple((variable.lowest, variable.saturates_at or variable.highest) for variable in self.targets),
            traces=tuple(variable.trace for variable in self.targets),
            stations=tuple(self.network.stations["station_id"]),
            config=self.config,
            data_hash=self.data_hash,
            trained_until=trained_until.isoformat(),
            calibrated_until=self.network.time_of(self.split.validation.end).isoformat(),
            validation_loss=losses,
            versions={"daycast": daycast.__version__, "torch": torch.__version__, "python": platform.python_version()},
        )

    def _eligible(self, block: Block) -> np.ndarray:
        return eligible_origins(self.network, block, len(self.targets))

    def _index(self, index: np.ndarray) -> Tensor:
        return torch.from_numpy(index.astype(np.int64)).to(self.device)

    def _gather(self, stations: np.ndarray, origins: np.ndarray) -> Iterator[Batch]:
        for part in range(0, len(stations), _PART):
            yield self.windows.gather(
                self._index(stations[part : part + _PART]), self._index(origins[part : part + _PART])
            )

    def _draw(self, block: Block) -> Iterator[Batch]:
        """Windows of a block for the linear path: all of them if they are few, else as many at random."""
        eligible = self._eligible(block)
        if eligible.sum() <= LINEAR_WINDOWS:
            yield from self._gather(*np.nonzero(eligible))
            return
        for _ in range(LINEAR_WINDOWS // _PART):
            stations, origins = draw(eligible, _PART, block, self.rng)
            yield self.windows.gather(stations.to(self.device), origins.to(self.device))


def _extent(versions: pl.DataFrame) -> tuple[datetime, datetime]:
    """The first and the last hour there is a version of."""
    times = versions["observed_at"]
    return cast(datetime, times.min()), cast(datetime, times.max())


def _model_id(cell: str, trained_until: datetime, data_hash: str, config: ModelConfig) -> str:
    """A name that tells the cell and the date, and is the same for the same data and configuration."""
    text = json.dumps([data_hash, asdict(replace(config, device="auto"))], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{cell or 'baseline'}-{trained_until:%Y%m%d}-{digest}"
