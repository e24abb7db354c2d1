"""`fit_forecaster`: from a snapshot of observations to a forecaster.

Read `fit_forecaster` and then `_Fit.run`, which makes the parts in order: split, scale, ridge and linear path, networks,
baselines. Below them: which variables are used, and the manifest.

S stations, T hours, H leads, V targets, Q quantiles.
"""

import hashlib
import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from types import MappingProxyType
from typing import cast

import numpy as np
import polars as pl
import torch
from torch import Tensor

import daycast
from daycast.errors import ConfigError, NotEnoughDataError
from daycast.features.channels import fit_scale, make_channels
from daycast.features.panel import Panel, make_panel
from daycast.features.splits import Block, Split, split_hours
from daycast.model.base.network import TARGETS, base_quantiles
from daycast.model.baselines import NAIVE, RIDGE, calendar_cells, fit_climatology, mean_departures, residual_quantiles
from daycast.model.checkpoint import base_digest, load_base
from daycast.model.config import MEDIAN, QUANTILES, ModelConfig
from daycast.model.device import choose_device, choose_precision, map_large_blocks, trim_memory
from daycast.model.external_forecasts import ExternalForecast
from daycast.model.forecaster import Ensemble, Forecaster, Header, LearnedWeights
from daycast.model.linear.external_correction import add_external, fit_external_correction
from daycast.model.linear.fit import LinearFit, fit_linear, fit_nested, gather_parts
from daycast.model.linear.ridge import linear_forecast, path_features, ridge_features
from daycast.model.physical_limits import observed_ranges
from daycast.model.training.ensemble import plan_ensemble, refresh_ensemble, train_ensemble, weigh_base
from daycast.model.training.sampling import eligible_origins, subsample
from daycast.model.training.state import FRESH, TrainContext, TrainingData, read_beginnings
from daycast.model.training.trainer import Progress
from daycast.model.windows import Batch, Windows
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, hours_between
from daycast.variables import Variable

VALIDATION_WINDOWS, _VALIDATED_AT_ONCE = 3_000, 250  # windows; the latter for each thread
_FOLDS_OF_RIDGE = 3
_YEAR_H, _USUAL_BASE_WEIGHT = 365 * 24, 0.3
_NAIVE_NEEDS_H, _BASE_NEEDS_H = 2 * HORIZON_HOURS + 1, HORIZON_HOURS  # hours of history
_log = logging.getLogger("daycast")


def fit_forecaster(
    versions: pl.DataFrame | pl.LazyFrame,
    stations: pl.DataFrame,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    data_hash: str,
    on_progress: Callable[[Progress], None] = lambda _: None,
    context: TrainContext = FRESH,
    external_forecasts: pl.DataFrame | None = None,
) -> Forecaster:
    """Fit scale, baselines, linear path and networks, and return the forecaster.

    versions: usable versions of observations, as for `make_panel`; of a lazy frame only some stations are in memory at a time.
    data_hash: identifies the data, for the model id and the manifest. on_progress: called after each epoch of each network.
    external_forecasts: rows for `make_external_forecasts`; only variables that are measured too, and that had arrived before the
    training block ended, are read.

    With too little history for the linear path and the networks, only the naive baselines are fitted. Raises NotEnoughDataError
    if there is not even enough for those, ConfigError if a variable named in the configuration is not in the data.
    """
    map_large_blocks()
    versions = versions.lazy()
    start, end = _extent(versions)
    hours = hours_between(start, end) + 1
    least = _BASE_NEEDS_H if config.base else _NAIVE_NEEDS_H
    if hours < least:
        raise NotEnoughDataError(f"there are {hours} hours of history and {least} are the least: ingest more")
    try:
        split = split_hours(hours, config.validation_days, config.holdout_days, config.least_training_days)
    except NotEnoughDataError as error:
        _log.info("%s", error)
        everything = Block(HORIZON_HOURS - HISTORY_HOURS, hours)  # its windows may start before the first hour
        return _fit_naive(versions, stations, glossary, config, data_hash, Split(everything, everything, everything))
    training_rows = versions.filter(pl.col("observed_at") < start + split.train.end * HOUR)
    targets, others = choose_variables(training_rows, glossary, config)
    panel = make_panel(versions, stations, make_channels([*targets, *others]), start, end)
    if external_forecasts is not None:
        panel = add_external(panel, external_forecasts, start + split.train.end * HOUR)
    return _Fit(panel, split, targets, config, data_hash, on_progress, context).run()


def _fit_naive(
    versions: pl.LazyFrame,
    stations: pl.DataFrame,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    data_hash: str,
    split: Split,
) -> Forecaster:
    targets, others = choose_variables(versions, glossary, config)
    start, end = _extent(versions)
    panel = make_panel(versions, stations, make_channels([*targets, *others]), start, end)
    fit = _Fit(panel, split, targets, config, data_hash, lambda _: None, FRESH)
    return fit.add_residual_quantiles(fit.assemble())


class _Fit:
    """One fit. Its parts use the training block, except early stopping, the baselines' residuals and the refreshed weights."""

    def __init__(
        self,
        panel: Panel,
        split: Split,
        targets: Sequence[Variable],
        config: ModelConfig,
        data_hash: str,
        on_progress: Callable[[Progress], None],
        context: TrainContext,
    ) -> None:
        self.panel, self.split, self.targets, self.config = panel, split, targets, config
        self.data_hash, self.on_progress, self.context = data_hash, on_progress, context
        self.device, self.started = choose_device(config.device), time.perf_counter()
        choose_precision(config.precision, self.device)  # an impossible one is refused now, not after the linear fit
        self.scale = fit_scale(panel.values[:, : split.train.end])
        one_by_one = bool(config.ensemble_size) and config.neighbour_attention
        self.windows = Windows(panel, self.scale, self.device, one_by_one=one_by_one)
        knows = any(variable.name in TARGETS for variable in targets)
        self.base = load_base().eval() if config.base and knows else None

    def run(self) -> Forecaster:
        """Fit ridge, the linear path and the networks, choose among these by validation; with ensemble_size 0 fit ridge alone."""
        if not eligible_origins(self.panel, self.split.train, len(self.targets)).any():
            raise NotEnoughDataError("no station has a day of readings followed by another in the training block")
        V, train, seed = len(self.targets), self.split.train, self.config.seed
        if not self.config.ensemble_size:
            ridge = fit_linear(self.windows, train, V, ridge_features, seed, _FOLDS_OF_RIDGE)
            return self.add_residual_quantiles(
                self.assemble((), LearnedWeights(ridge.path.weights), LearnedWeights(ridge.refreshed))
            )
        uncorrected, ridge = fit_nested(self.windows, train, V, path_features, ridge_features, seed)
        path = uncorrected
        if self.windows.external_forecasts:
            path = fit_external_correction(uncorrected, self.windows, train, V)
        training_data = self._prepare_training_data(path, uncorrected)
        fitted = LearnedWeights(ridge.path.weights, path.path.weights)
        refreshed = LearnedWeights(ridge.refreshed, path.refreshed)
        del path, uncorrected, ridge  # frees the held-out windows
        trim_memory()
        if not training_data.validation:
            raise NotEnoughDataError("no station has readings in the validation block, the weeks before the newest")
        spent = time.perf_counter() - self.started
        self.config = plan_ensemble(training_data, self.config, self.context, spent)
        cells, ensemble, losses, members = train_ensemble(training_data, self.config, self.on_progress, self.context)
        base_weights = self._weigh_base(ensemble, training_data.validation)
        base_weights_alone: tuple[float, ...] = ()
        if self.windows.external_forecasts:
            base_weights_alone = self._weigh_base(ensemble, self._without_external(training_data, fitted))
        served = refresh_ensemble(ensemble, training_data, self.config, self.context)
        self.config = replace(self.config, ensemble_size=members)
        fitted, refreshed = replace(fitted, network=ensemble), replace(refreshed, network=served)
        return self.add_residual_quantiles(
            self.assemble(cells, fitted, refreshed, losses, base_weights, base_weights_alone)
        )

    def _without_external(self, training_data: TrainingData, fitted: LearnedWeights) -> list[tuple[Batch, Tensor]]:
        """The validation batches as if no external forecast had arrived."""
        V, path = len(self.targets), cast(Tensor, fitted.path)
        batches = [
            replace(batch, external_forecasts=cast(ExternalForecast, batch.external_forecasts).masked(everywhere))
            for batch, _ in training_data.validation
            for everywhere in [torch.ones(len(batch.filled), dtype=torch.bool, device=self.device)]
        ]
        return [(batch, linear_forecast(path, batch, V, path_features)) for batch in batches]

    def _weigh_base(self, ensemble: Ensemble, validation: Sequence[tuple[Batch, Tensor]]) -> tuple[float, ...]:
        if self.base is None:
            return ()
        base, names = self.base.to(self.device), [variable.name for variable in self.targets]
        weights = weigh_base(
            ensemble,
            lambda batch: base_quantiles(base, batch, self.panel.channels, names, self.scale),
            validation,
        )
        if self.split.train.end - self.split.train.start >= _YEAR_H:  # validation knows one season only
            usual = [_USUAL_BASE_WEIGHT if name in TARGETS else 0.0 for name in names]
            weights = tuple((weight + other) / 2 for weight, other in zip(weights, usual, strict=True))
        shares = ", ".join(f"{name} {weight:.0%}" for name, weight in zip(names, weights, strict=True))
        _log.info("share of the base network in the forecasts: %s", shares)
        return weights

    def _prepare_training_data(self, path: LinearFit, uncorrected: LinearFit) -> TrainingData:
        """uncorrected: the linear path without the correction by external forecasts."""
        V, weights, champion = len(self.targets), path.path.weights, self.context.champion
        later = subsample(self._eligible(self.split.validation), VALIDATION_WINDOWS)
        return TrainingData(
            windows=self.windows,
            block=self.split.train,
            eligible=self._eligible(self.split.train),
            linear=path.path,
            quantile_steps=_quantile_steps(path.held_out),
            validation=[
                (batch, linear_forecast(weights, batch, V, path_features))
                for batch, _, _ in gather_parts(self.windows, *later, size=_VALIDATED_AT_ONCE)
            ],
            quantile_steps_alone=_quantile_steps(uncorrected.held_out) if self.windows.external_forecasts else None,
            beginnings=read_beginnings(champion, self._header((), {})) if champion else {},
        )

    def assemble(
        self,
        cells: tuple[str, ...] = (),
        fitted: LearnedWeights | None = None,
        refreshed: LearnedWeights | None = None,
        losses: Mapping[str, float] = MappingProxyType({}),
        base_weights: tuple[float, ...] = (),
        base_weights_alone: tuple[float, ...] = (),
    ) -> Forecaster:
        """A forecaster of these parts; the quantiles of its baselines are all equal to their point forecasts."""
        V, end = len(self.targets), self.split.train.end
        month, hour = calendar_cells(self.panel, end)
        weight = None if self.panel.weight is None else self.panel.weight[:, :end, :V]
        values = self.panel.values[:, :end, :V]
        climatology = fit_climatology(values, self.scale, month, hour, weight)
        departures = mean_departures(values, self.scale, climatology, month, hour)
        header = replace(self._header(cells, dict(losses)), departures=departures)
        header = replace(header, base_weights=base_weights, base_weights_alone=base_weights_alone)
        names = (*NAIVE, *((RIDGE,) if fitted else ()))
        zeros = {name: torch.zeros(HORIZON_HOURS, V, len(QUANTILES)) for name in names}
        observed = torch.from_numpy(observed_ranges(self.panel.values[..., :V]))
        return Forecaster(
            header,
            self.scale,
            torch.from_numpy(climatology),
            fitted,
            refreshed,
            zeros,
            self.device,
            observed,
            self.base,
        )

    @torch.inference_mode()
    def add_residual_quantiles(self, forecaster: Forecaster) -> Forecaster:
        """Give each baseline the quantiles of its residuals in the validation block. Returns the forecaster."""
        trim_memory()
        stations, origins = subsample(self._eligible(self.split.validation), VALIDATION_WINDOWS)
        if not len(stations):
            if self.base is not None:
                return forecaster  # the base network needs none
            raise NotEnoughDataError("no station has a day of readings followed by another: ingest more")
        points: dict[str, list[Tensor]] = {name: [] for name in forecaster.residuals}
        truth = []
        for _, batch, quantiles in forecaster.forecast(self.windows, stations, origins, list(points)):
            truth.append(batch.truth[..., : len(self.targets)])
            for name, own in quantiles.items():
                points[name].append(own[..., MEDIAN].clone())  # a view would keep all quantiles in memory
        target = torch.cat(truth)
        forecaster.residuals = {name: residual_quantiles(target - torch.cat(parts)) for name, parts in points.items()}
        return forecaster

    def _header(self, cells: tuple[str, ...], losses: dict[str, float]) -> Header:
        trained_until = self.panel.time_of(self.split.train.end)
        cell = "+".join(dict.fromkeys(cells))
        champion = self.context.champion
        manifest = make_manifest(
            self.data_hash, self.config, self.device, champion.stem if champion else "", trained=bool(cells)
        )
        return Header(
            model_id=_model_id(cell, trained_until, self.data_hash + manifest.get("warm_start_from", ""), self.config),
            cell=cell,
            members=cells,
            channels=self.panel.channels,
            targets=tuple(variable.name for variable in self.targets),
            limits=tuple(
                (variable.valid_min, variable.saturates_at or variable.valid_max) for variable in self.targets
            ),
            traces=tuple(variable.trace for variable in self.targets),
            stations=tuple(self.panel.stations["station_id"]),
            config=self.config,
            data_hash=self.data_hash,
            trained_until=trained_until.isoformat(),
            calibrated_until=self.panel.time_of(self.split.validation.end).isoformat(),
            refreshed_until=self.panel.time_of(self.panel.hours).isoformat(),
            learned_from=self.panel.time_of(0).isoformat(),
            validation_loss=losses,
            manifest=manifest,
            external_forecasts=self.panel.external_forecasts.channels if self.panel.external_forecasts else (),
        )

    def _eligible(self, block: Block) -> np.ndarray:
        return eligible_origins(self.panel, block, len(self.targets))


def _quantile_steps(held_out: Sequence[tuple[Batch, Tensor]]) -> Tensor:
    """The distances between neighbouring quantiles of the linear path's residuals, outwards from the median. (H, V, Q)"""
    point = torch.cat([forecast for _, forecast in held_out])  # (N, H, V)
    truth = torch.cat([batch.truth[..., : point.shape[2]] for batch, _ in held_out])  # (N, H, V)
    quantiles = residual_quantiles(truth - point)  # (H, V, Q)
    steps = torch.zeros_like(quantiles)
    steps[..., MEDIAN + 1 :] = quantiles.diff(dim=-1)[..., MEDIAN:]
    steps[..., :MEDIAN] = quantiles.diff(dim=-1)[..., :MEDIAN]
    return steps


def _extent(versions: pl.LazyFrame) -> tuple[datetime, datetime]:
    """The first and the last observed hour. Raises NotEnoughDataError if there is none."""
    time = pl.col("observed_at")
    first, last = versions.select(time.min(), time.max().alias("last")).collect(engine="streaming").row(0)
    if first is None:
        raise NotEnoughDataError("there is no observation yet: ingest something first")
    return first, last


def _model_id(cell: str, trained_until: datetime, data_hash: str, config: ModelConfig) -> str:
    """Cell, date and a digest: the same for the same data and configuration."""
    text = json.dumps([data_hash, asdict(replace(config, device="auto"))], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{cell or 'baseline'}-{trained_until:%Y%m%d}-{digest}"


def choose_variables(
    rows: pl.DataFrame | pl.LazyFrame, glossary: Mapping[str, Variable], config: ModelConfig
) -> tuple[list[Variable], list[Variable]]:
    """The targets, and the other variables that the model reads: all that have values in the training rows, unless the
    configuration names some. Values that are no longer believed, such as those of a stuck sensor, are none.

    Raises ConfigError if a named variable has no value, NotEnoughDataError if no target has any.
    """
    valid = rows.lazy().collect_schema().names()
    believed = rows.lazy().filter(pl.col("known_until").is_null()) if "known_until" in valid else rows.lazy()
    counted = believed.select(pl.col(name).count() for name in glossary if name in valid)
    counts = counted.collect(engine="streaming").row(0, named=True)
    for key, names in (("targets", config.targets), ("inputs", config.inputs)):
        if absent := [name for name in names if not counts.get(name)]:
            raise ConfigError(f"model.{key} names {absent[0]!r}, which no training row has a value of")
    targets, others = choose_reported([glossary[name] for name, count in counts.items() if count], config)
    if not targets:
        raise NotEnoughDataError("no target variable has a value yet: map at least one column to a variable")
    return targets, others


def choose_reported(reported: Sequence[Variable], config: ModelConfig) -> tuple[list[Variable], list[Variable]]:
    """Of the variables that are reported, the targets, and the others that the model reads."""
    targets = [v for v in reported if (v.name in config.targets if config.targets else v.target) and not v.circular]
    return targets, [v for v in reported if v not in targets and (not config.inputs or v.name in config.inputs)]


def make_manifest(
    data_hash: str, config: ModelConfig, device: torch.device, champion: str = "", *, trained: bool = True
) -> dict[str, str]:
    """What repeating a fit needs, to the last bit on a CPU: data, seed, versions, device, threads and precision.

    champion: the model of a warm start; trained: whether there are networks, then also how many, and for how many steps. Nothing
    in it depends on when the fit ran or how fast.
    """
    plan = {"networks": config.ensemble_size, "epochs": config.most_epochs, "steps_per_epoch": config.steps_per_epoch}
    return {
        "data": data_hash,
        **({"base": base_digest()} if config.base else {}),
        **({"warm_start_from": champion} if champion else {}),
        **({name: str(number) for name, number in plan.items()} if trained else {}),
        "seed": str(config.seed),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": str(choose_precision(config.precision, device)).removeprefix("torch."),
        "threads": str(torch.get_num_threads()),
        "daycast": daycast.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "polars": pl.__version__,
        "python": platform.python_version(),
    }
