"""Hindcasts: forecasts of past hours as they were possible then, before calibration. Calibrations are learned from them.

N windows, S stations, T history hours, H leads, V targets, Q quantiles.
"""

from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
from torch import Tensor

from daycast.features.panel import NEVER
from daycast.features.solar import solar_hours
from daycast.features.splits import Block
from daycast.model.baselines import BASE
from daycast.model.calibration.calibration import inputs_of
from daycast.model.forecaster import Forecaster, Header
from daycast.model.training.sampling import eligible_origins, subsample_hours
from daycast.model.windows import Windows
from daycast.times import DAY, EPOCH, HISTORY_HOURS, HORIZON_HOURS

LOOK_BACK_DAYS = 90
_WINDOWS_A_DAY = 60  # of all stations together: their weather is alike, and more windows add little
_MASK_EVERY = 3  # one window in so many is forecast a second time with a part of its history masked


@dataclass(frozen=True)
class Hindcasts:
    """N forecasts and their truth, both scaled.

    The truth of zero-inflated variables (rain) is masked: their lower quantiles lie at the limit of 0, where coverage says
    nothing about an interval.
    """

    quantiles: dict[str, Tensor]  # by forecaster (N, H, V, Q)
    truth: Tensor  # (N, H, V), NaN where missing
    known_from: Tensor  # (N, H) hours since 1970: when the truth was known
    issued: Tensor  # (N,) hours since 1970
    hour: Tensor  # (N,) hour of issue in the station's mean solar time
    inputs: Tensor  # (N,) index into INPUTS
    masked: Tensor  # (N,) bool: a part of the history was masked
    superseded: Tensor  # (N,) bool: forecast with other weights than those that serve

    def select(self, rows: Tensor) -> "Hindcasts":
        """The windows of a mask (N,)."""
        quantiles = {name: own[rows] for name, own in self.quantiles.items()}
        parts = (self.truth, self.known_from, self.issued, self.hour, self.inputs, self.masked, self.superseded)
        return Hindcasts(quantiles, *(part[rows] for part in parts))


def first_hindcast(header: Header, now: datetime, names: Collection[str] = ()) -> datetime:
    """The first hour of issue that a calibration at `now` learns from: after training, and at most LOOK_BACK_DAYS ago.

    names: of the forecasters; the base network has learned from no hour of this place.
    """
    return min(max(now - LOOK_BACK_DAYS * DAY, _unseen_since(header, names)), now)


def _unseen_since(header: Header, names: Collection[str]) -> datetime:
    """The first hour of issue that none of these forecasters has learned from."""
    return EPOCH if set(names) == {BASE} else datetime.fromisoformat(header.trained_until)


def make_hindcasts(
    forecaster: Forecaster,
    windows: Windows,
    since: datetime,
    until: datetime,
    names: Sequence[str],
    stations: np.ndarray | None = None,
) -> Hindcasts | None:
    """Forecast a sample of the windows issued in [since, until), at all hours of the day; some again with masked inputs.

    stations: the rows of the panel to forecast, by default all. Returns None if there is no window. Hours that one of the
    forecasters has learned from are left out, because forecasts of them are too good. For hours that the refreshed weights have
    seen, those of the training block are used instead.
    """
    first = max(since, _unseen_since(forecaster.header, names))
    chosen, origins = _choose(forecaster, windows, first, until, stations)
    if not len(chosen):
        return None
    panel, device = windows.panel, forecaster.device
    chosen, origins, masked, outages = _add_masked(chosen, origins)
    refreshed_until = datetime.fromisoformat(forecaster.header.refreshed_until)
    seen = (origins + 1 < panel.index_of(refreshed_until)) & (set(names) != {BASE})
    unrefreshed = copy(forecaster)
    unrefreshed.weights = forecaster.fitted
    zero_inflated = torch.tensor([trace > 0 for trace in forecaster.header.traces], device=device)  # (V,)
    parts = []
    for owner, rows in ((unrefreshed, np.flatnonzero(seen)), (forecaster, np.flatnonzero(~seen))):
        index = chosen[rows], origins[rows]
        for part, batch, quantiles in owner.forecast(windows, *index, names, (outages[0][rows], outages[1][rows])):
            at, t0 = (one[part] for one in index)
            parts.append(
                Hindcasts(
                    quantiles=quantiles,
                    truth=batch.truth[..., : len(zero_inflated)].masked_fill(zero_inflated, torch.nan),
                    known_from=_known_from(windows, at, t0),
                    issued=torch.from_numpy(panel.hours_since_1970(t0)).to(device),
                    hour=torch.from_numpy(solar_hours(panel, at, t0)).to(device),
                    inputs=inputs_of(batch),
                    masked=torch.from_numpy(masked[rows][part]).to(device),
                    superseded=torch.full((len(at),), owner.weights is not forecaster.weights, device=device),
                )
            )
    return concat(parts)


def concat(parts: Sequence[Hindcasts]) -> Hindcasts:
    """All windows of these, in order."""
    quantiles = {name: torch.cat([part.quantiles[name] for part in parts]) for name in parts[0].quantiles}
    rest = ("truth", "known_from", "issued", "hour", "inputs", "masked", "superseded")
    return Hindcasts(quantiles, *(torch.cat([getattr(part, name) for part in parts]) for name in rest))


def _choose(
    forecaster: Forecaster, windows: Windows, since: datetime, until: datetime, among: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Stations and origins (N,) of a sample of the windows issued in [since, until), of these rows of the panel or of all."""
    panel = windows.panel
    first = max(panel.index_of(since), 0)
    block = Block(first + 1 - HISTORY_HOURS, min(panel.index_of(until) + HORIZON_HOURS, panel.hours))
    eligible = eligible_origins(panel, block, len(forecaster.header.targets))
    if among is not None:
        eligible[np.setdiff1d(np.arange(len(eligible)), among)] = False
    days = max(block.last_origin + 1 - first, 24) / 24
    return subsample_hours(eligible, int(days * _WINDOWS_A_DAY))


def _add_masked(
    stations: np.ndarray, origins: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Tensor, Tensor]]:
    """Repeat some of the windows (N,) with masked inputs: stations, origins and masked (M,), and the outages, two (M, T)."""
    repeated = np.arange(0, len(stations), _MASK_EVERY)
    none = torch.zeros(len(stations), HISTORY_HOURS, dtype=torch.bool)
    outage, outage_around = (torch.cat([none, mask]) for mask in choose_outages(len(repeated)))
    masked = np.repeat([False, True], [len(stations), len(repeated)])
    stations, origins = (np.concatenate([index, index[repeated]]) for index in (stations, origins))
    return stations, origins, masked, (outage, outage_around)


def choose_outages(size: int) -> tuple[Tensor, Tensor]:
    """Hours to mask: of the station, and of its neighbours. Both (size, T) bool

    Three cases take turns: the station fails, the station and its neighbours fail, the station is new. A failure takes the
    newest 3 to 24 hours, short ones more often; a new station has only the newest 3 to 23 hours.
    """
    rng = np.random.default_rng(size)
    hours, case = np.arange(HISTORY_HOURS), np.arange(size)[:, None] % 3
    failed = hours >= HISTORY_HOURS - (3 + np.floor(22 * rng.random(size) ** 2))[:, None]
    new = hours < HISTORY_HOURS - rng.integers(3, 24, size)[:, None]
    return torch.from_numpy(np.where(case < 2, failed, new)), torch.from_numpy(failed & (case == 1))


def _known_from(windows: Windows, stations: np.ndarray, origins: np.ndarray) -> Tensor:
    """When the truth of each lead was known, in hours since 1970. (n, H)"""
    panel = windows.panel
    hours = origins[:, None] + np.arange(1, HORIZON_HOURS + 1)
    known = panel.known_from[stations[:, None], np.minimum(hours, panel.hours - 1)]
    return torch.from_numpy(panel.hours_since_1970(np.where(hours < panel.hours, known, NEVER))).to(windows.device)
