"""How a forecaster did at past hours, before calibration: what calibrations are learned from."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
from torch import Tensor

from daycast.features.panel import NEVER
from daycast.features.solar import solar_hours
from daycast.features.splits import Block
from daycast.model.calibration.calibration import inputs_of
from daycast.model.forecaster import Forecaster, Header
from daycast.model.training.sampling import eligible_origins, subsample_hours
from daycast.model.windows import Windows
from daycast.times import DAY, HISTORY_HOURS, HORIZON_HOURS

LOOK_BACK_DAYS = 90
_WINDOWS_A_DAY = 60  # of all stations together: their weather is much the same, and more tell little more
_EVERY_DISTURBED = 3  # one window in so many is forecast once more with a part of its history hidden


@dataclass(frozen=True)
class Hindcasts:
    """N windows: what was forecast and what came, both scaled.

    Of variables that are often exactly nothing, as rain is, nothing is said to have come: there quantiles lie at the limit, and
    coverage says nothing of them.
    """

    quantiles: dict[str, Tensor]  # by forecaster (N, H, V, Q)
    truth: Tensor  # (N, H, V), NaN where missing
    known_from: Tensor  # (N, H) hours since 1970: when it was
    issued: Tensor  # (N,) hours since 1970
    hour: Tensor  # (N,) of issue, in the station's mean solar time
    inputs: Tensor  # (N,) index into INPUTS
    masked: Tensor  # (N,) bool: a part of the history was hidden
    superseded: Tensor  # (N,) bool: forecast by linear weights other than those that serve

    def of(self, rows: Tensor) -> "Hindcasts":
        """Some of its windows, by a mask (N,)."""
        quantiles = {name: own[rows] for name, own in self.quantiles.items()}
        parts = (self.truth, self.known_from, self.issued, self.hour, self.inputs, self.masked, self.superseded)
        return Hindcasts(quantiles, *(part[rows] for part in parts))

    def by(self, now: int) -> "Hindcasts":
        """What of it was known at an hour since 1970."""
        begun = self.of(self.issued < now)
        truth = begun.truth.masked_fill((begun.known_from > now)[..., None], torch.nan)
        rest = (begun.known_from, begun.issued, begun.hour, begun.inputs, begun.masked, begun.superseded)
        return Hindcasts(begun.quantiles, truth, *rest)


def make_hindcasts(
    forecaster: Forecaster, windows: Windows, since: datetime, until: datetime, names: Sequence[str]
) -> Hindcasts | None:
    """Forecast some of the windows issued in [since, until), at every hour of the day, and some of them with poorer inputs.

    None where there are none. Hours before the end of training are left out, for they tell nothing of what is to come. Where the
    linear weights were refreshed with what came, those of the training block are used instead.
    """
    stations, origins = _choose(forecaster, windows, since, until)
    if not len(stations):
        return None
    panel, device = windows.panel, forecaster.device
    stations, origins, masked, hide = _add_masked(stations, origins)
    seen = origins + 1 < panel.index_of(datetime.fromisoformat(forecaster.header.refreshed_until))
    unrefreshed = copy(forecaster)
    unrefreshed.linear = forecaster.fitted
    often_none = torch.tensor([trace > 0 for trace in forecaster.header.traces], device=device)
    parts = []
    for owner, rows in ((unrefreshed, np.flatnonzero(seen)), (forecaster, np.flatnonzero(~seen))):
        index = stations[rows], origins[rows]
        for part, batch, quantiles in owner.forecast(windows, *index, names, (hide[0][rows], hide[1][rows])):
            at, t0 = (one[part] for one in index)
            parts.append(
                Hindcasts(
                    quantiles,
                    batch.truth[..., : len(often_none)].masked_fill(often_none, torch.nan),
                    _known_from(windows, at, t0),
                    torch.from_numpy(panel.hours_since_1970(t0)).to(device),
                    torch.from_numpy(solar_hours(panel, at, t0)).to(device),
                    inputs_of(batch),
                    torch.from_numpy(masked[rows][part]).to(device),
                    torch.full((len(at),), owner.linear is not forecaster.linear, device=device),
                )
            )
    return _join(parts)


def _add_masked(
    stations: np.ndarray, origins: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Tensor, Tensor]]:
    """The windows (N,) and some of them once more, (M,): stations, origins, whether disturbed, and the hours to hide (M, T)."""
    again = np.arange(0, len(stations), _EVERY_DISTURBED)
    whole = torch.zeros(len(stations), HISTORY_HOURS, dtype=torch.bool)
    hide, hide_around = (torch.cat([whole, mask]) for mask in choose_masked(len(again)))
    masked = np.repeat([False, True], [len(stations), len(again)])
    stations, origins = (np.concatenate([index, index[again]]) for index in (stations, origins))
    return stations, origins, masked, (hide, hide_around)


def first_hindcast(header: Header, now: datetime) -> datetime:
    """The first hour of issue that a calibration at `now` is learned from: training has not seen it, and it is not too old."""
    return min(max(now - LOOK_BACK_DAYS * DAY, datetime.fromisoformat(header.trained_until)), now)


def choose_masked(size: int) -> tuple[Tensor, Tensor]:
    """Hours to hide: a station fails alone, it fails with its neighbours, or it is new, in turns. Both (size, T) bool.

    The newest 3 to 24 hours, the fewer the likelier; or all but the newest 3 to 23. The second mask is for the neighbours.
    """
    rng = np.random.default_rng(size)
    hours, kind = np.arange(HISTORY_HOURS), np.arange(size)[:, None] % 3
    failed = hours >= HISTORY_HOURS - (3 + np.floor(22 * rng.random(size) ** 2))[:, None]
    new = hours < HISTORY_HOURS - rng.integers(3, 24, size)[:, None]
    return torch.from_numpy(np.where(kind < 2, failed, new)), torch.from_numpy(failed & (kind == 1))


def _choose(
    forecaster: Forecaster, windows: Windows, since: datetime, until: datetime
) -> tuple[np.ndarray, np.ndarray]:
    panel, trained_until = windows.panel, datetime.fromisoformat(forecaster.header.trained_until)
    first = max(panel.index_of(max(since, trained_until)), 0)
    block = Block(first + 1 - HISTORY_HOURS, min(panel.index_of(until) + HORIZON_HOURS, panel.hours))
    eligible = eligible_origins(panel, block, len(forecaster.header.targets))
    days = max(block.last_origin + 1 - first, 24) / 24
    return subsample_hours(eligible, int(days * _WINDOWS_A_DAY))


def _known_from(windows: Windows, stations: np.ndarray, origins: np.ndarray) -> Tensor:
    """When the truth of each lead was known, in hours since 1970. (n, H)"""
    panel = windows.panel
    hours = origins[:, None] + np.arange(1, HORIZON_HOURS + 1)
    known = panel.known_from[stations[:, None], np.minimum(hours, panel.hours - 1)]
    return torch.from_numpy(panel.hours_since_1970(np.where(hours < panel.hours, known, NEVER))).to(windows.device)


def _join(parts: Sequence[Hindcasts]) -> Hindcasts:
    quantiles = {name: torch.cat([part.quantiles[name] for part in parts]) for name in parts[0].quantiles}
    rest = ("truth", "known_from", "issued", "hour", "inputs", "masked", "superseded")
    return Hindcasts(quantiles, *(torch.cat([getattr(part, name) for part in parts]) for name in rest))
