"""What LightGBM learns from: for each forecast what was known at t0, cut from the same windows as the model's.

Features: temperature at lags 0 to 23, every other variable at lags 0, 1, 2, 3, 6, 12 and 23 h, the mean of the neighbours at the
same lags, mean, deviation and extremes of the last day and week, hours since last seen, the station's position and the hour of
issue; and for each lead the temperature at that hour of the day on each of the seven days before, and calendar and sun at the
hour forecast.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR

TARGET = "air_temperature_c"
_FEW_LAGS = (0, 1, 2, 3, 6, 12, 23)
_PART = 5_000


@dataclass(frozen=True)
class Forecasts:
    """N forecasts: which, what came, and what may be known of them."""

    station: np.ndarray  # (N,) station ids
    issued_at: np.ndarray  # (N,) datetime64[us]
    truth: np.ndarray  # (N, H) °C, NaN where missing
    last: np.ndarray  # (N,) °C, the last known temperature
    shared: np.ndarray  # (N, P) float32, the features of all leads
    by_lead: np.ndarray  # (N, H, 12) float32, those of each lead


def read_forecasts(settings, first: datetime, last: datetime, as_of: datetime, count: int, since: datetime | None):
    """Forecasts issued every `count` hours from `since` on, by what is known at `as_of`.

    Without `since` they are about `count` in all, from the first whole history on; their hours of issue are staggered over the
    stations, so that all hours of the day take part.
    """
    import torch

    from daycast.features.channels import fit_scale, make_channels
    from daycast.features.panel import make_panel
    from daycast.features.splits import Block
    from daycast.model.config import ModelConfig
    from daycast.model.fit import choose_variables
    from daycast.model.training.sampling import eligible_origins
    from daycast.model.windows import Windows
    from daycast.quality.flags import keep_usable
    from daycast.warehouse.observations import read_stations, read_versions

    with settings.warehouse.write(as_of) as con:
        versions, stations = read_versions(con, first, last, as_of), read_stations(con)
    versions = keep_usable(versions, list(settings.glossary))
    targets, others = choose_variables(versions, settings.glossary, ModelConfig())
    channels = make_channels([*targets, *others])
    start, end = versions["observed_at"].min(), versions["observed_at"].max()
    panel = make_panel(versions, stations, channels, start, end)
    scale = fit_scale(panel.values)
    windows = Windows(panel, scale, torch.device("cpu"))
    earliest = 0 if since is None else panel.index_of(since) - HISTORY_HOURS + 1
    eligible = eligible_origins(panel, Block(earliest, panel.hours), len(targets))
    every = count if since else max(int(eligible.sum()) // count, 1)
    while since is None and every > 1 and np.gcd(every, 24) > 1:
        every += 1
    hours, offset = np.arange(panel.hours), 0 if since is None else panel.index_of(since)
    stagger = np.arange(len(panel.stations)) if since is None else np.zeros(len(panel.stations), np.int64)
    eligible &= (hours - offset - stagger[:, None]) % every == 0
    at, origins = np.nonzero(eligible)
    c = channels.index(next(channel for channel in channels if channel.variable == TARGET))
    parts = []
    for part in range(0, len(at), _PART):
        index = (torch.from_numpy(i[part : part + _PART].astype(np.int64)) for i in (at, origins))
        parts.append(_features(windows.gather(*index), c, scale.mean[c], scale.deviation[c]))
    truth, last, shared, by_lead = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    place = panel.stations.select("latitude", "longitude", "elevation_m").to_numpy()[at].astype(np.float32)
    t0 = np.datetime64(start.replace(tzinfo=None), "us") + origins * np.timedelta64(HOUR)
    hour = ((t0 - t0.astype("datetime64[D]")) // np.timedelta64(HOUR)).astype(np.float32)[:, None]
    ids = panel.stations["station_id"].to_numpy().astype(str)[at]
    return Forecasts(ids, t0, truth, last, np.hstack([shared, place, hour]), by_lead)


def _features(batch, c: int, mean: float, deviation: float):
    values = batch.filled.numpy()  # (B, T, C)
    temperature = values[..., c] * deviation + mean  # (B, T)
    lags = [temperature[:, -24:]]
    lags += [values[:, [-1 - lag for lag in _FEW_LAGS], k] for k in range(values.shape[2]) if k != c]
    lags += [batch.around.numpy()[:, [-1 - lag for lag in _FEW_LAGS], k] for k in range(values.shape[2])]
    spans = [values[:, -24:], values]
    lags += [
        part for span in spans for part in (span.mean(axis=1), span.std(axis=1), span.min(axis=1), span.max(axis=1))
    ]
    lags.append(batch.staleness[:, -1].numpy())
    days = np.stack([temperature[:, 24 * day : 24 * day + HORIZON_HOURS] for day in range(7)], axis=2)  # (B, H, 7)
    by_lead = np.concatenate([days, batch.calendar[:, HISTORY_HOURS:].numpy()], axis=2)
    truth = batch.truth[..., c].numpy() * deviation + mean
    return truth, temperature[:, -1], np.hstack(lags).astype(np.float32), by_lead.astype(np.float32)


def keys_of(forecasts: Forecasts) -> pl.DataFrame:
    """Which forecasts they are: station_id, issued_at."""
    return pl.DataFrame({"station_id": forecasts.station, "issued_at": forecasts.issued_at})
