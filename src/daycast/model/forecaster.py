"""`Forecaster`: everything that one fit produced, ready to forecast (scale, baselines, linear path, networks, calibration).

`Header` describes a fit, `Ensemble` is the mean of its networks. Read `Forecaster.predict` for how a forecast comes about.

N windows, S stations, H leads, V targets, Q quantiles; a batch has B windows, C channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daycast.features.channels import Channel, Scale
from daycast.features.external_forecasts import make_external_forecasts
from daycast.features.panel import Panel
from daycast.features.solar import solar_hours
from daycast.model.base.network import BaseNetwork, base_quantiles
from daycast.model.baselines import BASE, RIDGE, persistence, same_hour_yesterday
from daycast.model.calibration.calibration import Calibration, inputs_of
from daycast.model.config import ModelConfig
from daycast.model.linear.ridge import linear_forecast, path_features, ridge_features
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.physical_limits import apply_physical_limits, find_implausible, per_level
from daycast.model.training.parallel import map_parallel, threads_for
from daycast.model.windows import Batch, Windows
from daycast.times import DAY, EPOCH, HISTORY_HOURS, HORIZON_HOURS

_YEAR_D = 365.2425
# days from the nearest day of the year that the networks learned from, see `unseen_season`
_SEEN_D, _UNSEEN_D = 14, 42
_AT_ONCE_ON_CPU, _AT_ONCE = 256, 2048  # windows of one forward pass, on a CPU for each thread; bounds memory


class Ensemble(nn.Module):
    """Networks trained from different seeds, which forecast the mean of each of their quantiles.

    Averaging quantiles keeps the members' sharpness; averaging their probabilities would widen the intervals (Lichtendahl,
    Grushka-Cockayne & Winkler 2013, doi:10.1287/mnsc.1120.1667).
    """

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, batch: Batch, linear: Tensor) -> Tensor:
        """Quantiles (B, H, V, Q) in scaled units. linear (B, H, V): the linear path's forecast."""
        total = cast(Tensor, self.members[0](batch, linear))
        for member in self.members[1:]:
            total = total + member(batch, linear)
        return total / len(self.members)


@dataclass(frozen=True)
class Header:
    """Description of a fit, the header of its checkpoint. All of it can be written as JSON; times are ISO 8601."""

    model_id: str
    cell: str  # name of the networks' forecaster, from their cells; empty if there are no networks
    members: tuple[str, ...]  # the cell of each member
    channels: tuple[Channel, ...]  # the first V are the targets
    targets: tuple[str, ...]  # V variable names
    limits: tuple[tuple[float, float], ...]  # lowest and highest value of each target, in its unit
    traces: tuple[float, ...]  # of each target, in its unit: smaller forecasts become 0
    stations: tuple[str, ...]  # station ids of the training data
    config: ModelConfig
    data_hash: str
    trained_until: str  # no row at or after it was used, except for early stopping and calibration
    calibrated_until: str  # no row at or after it was used, except to refresh the weights
    refreshed_until: str  # no row at or after it was used at all
    validation_loss: dict[str, float]  # pinball loss of each choice of members
    manifest: dict[str, str]  # what repeating the fit needs: see `fit.make_manifest`
    external_forecasts: tuple[Channel, ...] = ()  # K channels with external forecasts that the model reads
    base_weights: tuple[float, ...] = ()  # of the base network in the mean with the networks, for each target
    base_weights_alone: tuple[float, ...] = ()  # the same at leads without an external forecast; (): those above
    departures: tuple[float, ...] = ()  # mean absolute ones of the targets from their climatology; () before 0.1.0
    learned_from: str = ""  # no row before it was used; "" before 0.1.0

    @property
    def has_holdout(self) -> bool:
        """Whether the fit had a holdout block, which only refreshed the weights. Too little history gives none."""
        return self.calibrated_until < self.refreshed_until


@dataclass(frozen=True)
class LearnedWeights:
    """What a fit learned up to some hour. The linear weights are (P, H·V), each with its own number of features P."""

    ridge: Tensor  # of the baseline
    path: Tensor | None = None  # of the linear path; None: there are no networks
    network: Ensemble | None = None

    def to(self, device: torch.device) -> "LearnedWeights":
        """The same on a device, ready to forecast."""
        path = None if self.path is None else self.path.to(device)
        network = None if self.network is None else self.network.to(device).eval()
        return LearnedWeights(self.ridge.to(device), path, network)


class Forecaster:
    """The forecasters of one fit, by name: baselines, `base`, and the networks under the name `header.cell`."""

    def __init__(
        self,
        header: Header,
        scale: Scale,
        climatology: Tensor,
        fitted: LearnedWeights | None,
        refreshed: LearnedWeights | None,
        residuals: dict[str, Tensor],
        device: torch.device,
        observed: Tensor | None = None,
        base: BaseNetwork | None = None,
    ) -> None:
        self.header = header
        self.scale = scale
        self.climatology = climatology.to(device)  # (S + 1, 12, 24, V)
        self.fitted = fitted and fitted.to(device)  # to the training block, for forecasts that are scored
        self.refreshed = refreshed and refreshed.to(device)  # to all hours, for forecasts that are served
        self.weights = self.fitted  # in use
        # quantiles of each baseline's residuals, (H, V, Q)
        self.residuals = {name: own.to(device) for name, own in residuals.items()}
        self.calibrations: dict[str, Calibration] = {}  # of forecasters, by name; set by the caller
        self.device = device
        self.base = None if base is None else base.to(device).eval()
        self.observed = observed  # (S + 1, V, 2) as from `observed_ranges`; earlier versions' checkpoints have none

    @property
    def network(self) -> Ensemble | None:
        """The networks in use; None if there are none."""
        return self.weights.network if self.weights else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all forecasters of this fit."""
        others = {BASE: self.base, self.header.cell: self.network}
        return (*self.residuals, *(name for name, own in others.items() if own is not None))

    def open(
        self,
        panel: Panel,
        external_forecasts: pl.DataFrame | None = None,
        neighbours: NDArray[np.int32] | None = None,
        *,
        for_network: bool = True,
    ) -> Windows:
        """The windows of a panel, scaled as in training. Its channels must be those of the header.

        external_forecasts: rows for `make_external_forecasts`; neighbours: as for `Windows`. for_network: whether the networks
        are to read them, too, which takes longer.
        """
        if self.header.external_forecasts:
            arrays = make_external_forecasts(
                external_forecasts, panel.stations, self.header.external_forecasts, panel.start
            )
            panel = replace(panel, external_forecasts=arrays)
        one_by_one = for_network and self.network is not None and self.header.config.neighbour_attention
        return Windows(panel, self.scale, self.device, neighbours, one_by_one=one_by_one)

    @torch.inference_mode()
    def predict(
        self, windows: Windows, stations: np.ndarray, origins: np.ndarray, names: Sequence[str]
    ) -> Iterator[tuple[slice, dict[str, np.ndarray], np.ndarray, np.ndarray]]:
        """Forecast the windows of these stations and hours of issue, both (N,), some at a time. The forecast that is served.

        Yields their slice, calibrated quantiles by name (n, H, V, Q), truth (n, H, V) with NaN where missing, and the input
        regime (n,), an index into REGIMES. Quantiles and truth are in the variables' units. Raises KeyError for an unknown name.
        """
        panel = windows.panel
        for part, batch, quantiles in self.forecast(windows, stations, origins, names):
            at, t0 = stations[part], origins[part]
            issued = torch.from_numpy(panel.hours_since_1970(t0)).to(self.device)
            rows, origin = (torch.from_numpy(each.astype(np.int64)).to(self.device) for each in (at, t0))
            hour = torch.from_numpy(solar_hours(panel, at, t0)).to(self.device)
            for name in self.calibrations.keys() & quantiles.keys():
                quantiles[name] = self.calibrations[name].apply(quantiles[name], issued, hour, inputs_of(batch))
            in_units = {name: self._in_units(own).cpu().numpy() for name, own in quantiles.items()}
            truth = windows.gather_targets(rows, origin, len(self.header.targets))
            yield part, in_units, truth.cpu().numpy(), batch.regime().cpu().numpy()

    @torch.inference_mode()
    def forecast(
        self,
        windows: Windows,
        stations: np.ndarray,
        origins: np.ndarray,
        names: Sequence[str],
        outages: tuple[Tensor, Tensor] | None = None,
    ) -> Iterator[tuple[slice, Batch, dict[str, Tensor]]]:
        """Forecast windows as `predict`, before calibration: yields slice, batch, and quantiles by name, scaled and sorted.

        outages: hours to take out of the stations and of their neighbours, each (N, T) bool, as in `Windows.gather`.
        """
        rows, threads = self.climatology_rows(windows.panel), threads_for(self.device)

        @torch.inference_mode()
        def forecast_part(part: slice) -> tuple[slice, Batch, dict[str, Tensor]]:
            at, t0 = (torch.from_numpy(index[part].astype(np.int64)).to(self.device) for index in (stations, origins))
            masks = () if outages is None else (mask[part].to(self.device) for mask in outages)
            batch = windows.gather(at, t0, *masks)
            cells = self.cells_of(windows.panel, t0)
            unseen = self.unseen_season(windows.panel, t0)
            quantiles = {name: self.scaled_quantiles(name, batch, rows[at], cells, unseen) for name in names}
            return part, batch, {name: own.sort(dim=-1).values for name, own in quantiles.items()}

        at_once = _AT_ONCE_ON_CPU if self.device.type == "cpu" else _AT_ONCE
        parts = [slice(start, min(start + at_once, len(stations))) for start in range(0, len(stations), at_once)]
        yield from map_parallel(forecast_part, parts, threads)

    def scaled_quantiles(
        self, name: str, batch: Batch, rows: Tensor, cells: tuple[Tensor, Tensor], unseen: Tensor
    ) -> Tensor:
        """The forecast of one forecaster, scaled. A baseline adds quantiles of its residuals to a point forecast. (B, H, V, Q)

        rows (B,): of `climatology_rows`; cells: of `cells_of`; unseen (B,): of `unseen_season`. Raises KeyError for an unknown
        name.
        """
        V = len(self.header.targets)
        if name == "persistence":
            point = persistence(batch, V)
        elif name == "same_hour_yesterday":
            point = same_hour_yesterday(batch, V)
        elif name == "climatology":
            point = self.climatology[rows[:, None], cells[0], cells[1]]
        elif name == RIDGE and self.weights is not None:
            point = linear_forecast(self.weights.ridge, batch, V, ridge_features)
        elif name == BASE and self.base is not None:
            quantiles, known = self._base_quantiles(batch)
            unknown = self.scaled_quantiles("climatology", batch, rows, cells, unseen)
            return torch.where(known[:, None, :, None], quantiles, unknown)
        elif name == self.header.cell and self.weights is not None and self.weights.network is not None:
            path = cast(Tensor, self.weights.path)  # networks have one
            quantiles = cast(Tensor, self.weights.network(batch, linear_forecast(path, batch, V, path_features)))
            return self._add_base(quantiles, batch, unseen)
        else:
            raise KeyError(name)
        return point[..., None] + self.residuals[name]

    def _base_quantiles(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return base_quantiles(
            cast(BaseNetwork, self.base), batch, self.header.channels, self.header.targets, self.scale
        )

    def _add_base(self, quantiles: Tensor, batch: Batch, unseen: Tensor) -> Tensor:
        """The mean of the networks' quantiles (B, H, V, Q) and those of the base network, which has a weight for each target.

        Where the season is `unseen` (B,), the base network's weight rises to 1.
        """
        header, is_unseen = self.header, bool(unseen.any())
        if self.base is None or not (is_unseen or any((*header.base_weights, *header.base_weights_alone))):
            return quantiles
        base, known = self._base_quantiles(batch)
        weights = quantiles.new_tensor(header.base_weights or [0.0] * len(header.targets))  # (V,)
        if batch.external_forecasts is not None and header.base_weights_alone:
            alone = quantiles.new_tensor(header.base_weights_alone)
            weights = torch.where(batch.external_forecasts.missing[..., None], alone, weights)  # (B, H, V)
        if is_unseen:
            weights = torch.lerp(weights, torch.ones_like(weights), unseen[:, None, None])  # (B, 1 or H, V)
        return torch.lerp(quantiles, base, (weights * known[:, None])[..., None])

    def implausible(self, panel: Panel, stations: NDArray[np.integer], t0: int, medians: np.ndarray) -> np.ndarray:
        """Which medians (N, H, V), issued at hour t0 for the stations (N,) of a panel, are implausible. (N, H, V) bool"""
        V = len(self.header.targets)
        newest = panel.values[stations, max(0, t0 + 1 - HISTORY_HOURS) : t0 + 1, :V]
        if self.observed is None:
            ranges = np.full((len(stations), V, 2), np.nan, np.float32)
        else:
            ranges = self.observed.numpy()[self.climatology_rows(panel).cpu().numpy()[stations]]
        return find_implausible(medians, ranges, newest, self.header.limits)

    def climatology_rows(self, panel: Panel) -> Tensor:
        """The row of the climatology for each station of a panel; the last row for stations that training did not know. (S,)"""
        known = {station: row for row, station in enumerate(self.header.stations)}
        rows = [known.get(station, len(known)) for station in panel.stations["station_id"]]
        return torch.tensor(rows, device=self.device)

    def cells_of(self, panel: Panel, origins: Tensor) -> tuple[Tensor, Tensor]:
        """Month (0 to 11) and hour of the day (UTC) of each lead of each window, both (B, H)."""
        base = np.datetime64(panel.start.replace(tzinfo=None), "h")
        leads = np.arange(1, HORIZON_HOURS + 1)
        times = base + (origins.cpu().numpy()[:, None] + leads)
        month = times.astype("datetime64[M]").astype(np.int64) % 12
        hour = (times - times.astype("datetime64[D]")).astype(np.int64)
        return torch.from_numpy(month).to(self.device), torch.from_numpy(hour).to(self.device)

    def unseen_season(self, panel: Panel, origins: Tensor) -> Tensor:
        """How far the season of each window is from those that were learned from: 0, seen, to 1, unseen. (B,)

        The networks know a season if they have learned from a day of it within two weeks, in any year. Six weeks away they are
        lost: heat, light and rain lie outside all they have seen. Forecasters that do not tell since when they learned know all.
        """
        if not self.header.learned_from:
            return torch.zeros(len(origins), device=self.device)
        first, end = (datetime.fromisoformat(text) for text in (self.header.learned_from, self.header.refreshed_until))
        issued = panel.hours_since_1970(origins.cpu().numpy()) / 24
        days, since = (end - first) / DAY, (issued - (first - EPOCH) / DAY) % _YEAR_D
        away = np.where(
            since <= days, 0.0, np.minimum(since - days, _YEAR_D - since)
        )  # from the nearest day of the year
        share = np.clip((away - _SEEN_D) / (_UNSEEN_D - _SEEN_D), 0.0, 1.0)
        return torch.from_numpy(share.astype(np.float32)).to(self.device)

    def _in_units(self, quantiles: Tensor) -> Tensor:
        """Turn scaled, sorted quantiles (..., V, Q) into units, within the physical limits."""
        V = len(self.header.targets)
        mean, deviation = (per_level(part[:V].tolist(), quantiles) for part in (self.scale.mean, self.scale.deviation))
        values = (quantiles.flatten(-2) * deviation + mean).view(quantiles.shape)
        return apply_physical_limits(values, self.header.targets, self.header.limits, self.header.traces)
