"""The base network: it forecasts a station from 24 to 168 hours of readings, with nothing learned at that place.

So no input depends on the statistics of a network: values are departures from the window's own last day, in physical units; the
sun is that at the place; a mask says what a network does not measure. Read `read_window` for the inputs, then
`BaseNetwork.forward`.

B windows, T 168 history hours, P hours read at once, H 24 leads, C base channels, V base targets (the first V channels),
Q quantiles, D hidden units.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daycast.features.channels import Channel, Scale, make_channels
from daycast.model.config import MEDIAN, QUANTILES
from daycast.model.network.seq2seq import quantiles_from_steps
from daycast.model.windows import AROUND_HOURS, Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS
from daycast.variables import BUILT_IN

TARGETS = (
    "air_temperature_c",
    "dew_point_c",
    "relative_humidity_pct",
    "sea_level_pressure_hpa",
    "station_pressure_hpa",
    "wind_speed_m_s",
    "precipitation_mm",
)  # V
CHANNELS = make_channels([BUILT_IN[name] for name in (*TARGETS, "wind_from_deg")])  # C
IN_UNITS = Scale(np.zeros(len(CHANNELS), np.float32), np.ones(len(CHANNELS), np.float32))
_RAIN = TARGETS.index("precipitation_mm")
# what a departure is divided by, and the level's own middle and width, each in the channel's unit (rain: of its logarithm)
UNITS = (4.0, 3.0, 15.0, 5.0, 5.0, 2.0, 0.5, 0.7, 0.7)  # (C,)
_MIDDLE = (12.0, 7.0, 70.0, 1014.0, 960.0, 3.5, 0.1, 0.0, 0.0)  # (C,)
_WIDTH = (12.0, 10.0, 20.0, 10.0, 50.0, 2.5, 0.3, 1.0, 1.0)  # (C,)
# how much wider its intervals are than those it learned: in climates that it had not seen those were too narrow
_ELSEWHERE = 1.2
_SUN = 3  # sine of the sun's elevation; cosine and sine of the solar hour
_READ_AT_ONCE = 4  # P


class Reading(NamedTuple):
    """A window as the base network reads it."""

    history: Tensor  # (B, T, 3C + 1 + _SUN) departures, masks, neighbours' departures, whether there are any, sun
    station: Tensor  # (B, 3C + 2) level, deviation, share of hours known; elevation in km and whether it is known
    leads: Tensor  # (B, H, 3V + 1 + _SUN) last value, yesterday's, usual one at the hour, as departures; lead, sun
    anchor: Tensor  # (B, H, V) in units: what the median departs from


class BaseNetwork(nn.Module):
    """One GRU reads the history, four hours a step; another reads the 24 leads and looks back over the history."""

    def __init__(self, hidden_size: int) -> None:
        """hidden_size: D"""
        super().__init__()
        C, V, D = len(CHANNELS), len(TARGETS), hidden_size
        station = 3 * C + 2
        self.encoder = nn.GRU(_READ_AT_ONCE * (3 * C + 1 + _SUN), D, batch_first=True)
        self.begin = nn.Linear(station, D)
        self.decoder = nn.GRU(3 * V + 1 + _SUN + station, D, batch_first=True)
        self.merge = nn.Linear(2 * D, D)
        self.query = nn.Linear(D, D, bias=False)
        self.head = nn.Linear(D, V * len(QUANTILES))
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.fill_(-1.0).unflatten(0, (V, len(QUANTILES)))[:, MEDIAN] = 0.0
        self.unit: Tensor
        self.register_buffer("unit", torch.tensor(UNITS[:V]), persistent=False)  # (V,)

    def forward(self, batch: Batch) -> Tensor:
        """Forecast quantiles (B, H, V, Q) in units from a batch in units, whose channels are CHANNELS. They never cross."""
        read = read_window(batch)
        patches = read.history.unflatten(1, (-1, _READ_AT_ONCE)).flatten(2)  # (B, T / P, …)
        encoded, state = self.encoder(patches, torch.tanh(self.begin(read.station))[None])  # (B, T / P, D), (1, B, D)
        leads = torch.cat([read.leads, read.station[:, None].expand(-1, HORIZON_HOURS, -1)], dim=2)
        decoded, _ = self.decoder(leads, state)  # (B, H, D)
        context = nn.functional.scaled_dot_product_attention(self.query(decoded), encoded, encoded)  # (B, H, D)
        merged = decoded + torch.tanh(self.merge(torch.cat([decoded, context], dim=2)))  # (B, H, D)
        raw = self.head(merged).unflatten(2, (len(TARGETS), len(QUANTILES)))  # (B, H, V, Q)
        median = read.anchor + raw[..., MEDIAN] * self.unit  # (B, H, V)
        return quantiles_from_steps(median, nn.functional.softplus(raw) * self.unit[:, None])  # (B, H, V, Q)


def read_window(batch: Batch) -> Reading:
    """What the base network reads of a batch in units."""
    C, V = len(CHANNELS), len(TARGETS)
    unit, middle, width = (batch.filled.new_tensor(each) for each in (UNITS, _MIDDLE, _WIDTH))  # (C,) each
    mask = batch.mask.to(batch.filled.dtype)  # (B, T, C)
    filled = _log_rain(batch.filled)  # (B, T, C)
    seen = (batch.staleness < HISTORY_HOURS).to(filled.dtype)  # (B, T, C): there was a value by then
    known = seen[:, -1]  # (B, C)
    level = _mean(filled, mask, slice(-24, None))  # (B, C)
    recent = mask[:, -24:].any(dim=1)  # (B, C)
    level = torch.where(recent, level, _mean(filled, mask, slice(None))) * known
    level = level * (torch.arange(C, device=level.device) < V)  # the direction's sine and cosine are as they are
    departure = (filled - level[:, None]) / unit * seen  # (B, T, C)
    count = mask.sum(dim=1).clamp(min=1)  # (B, C)
    mean = (departure * mask).sum(dim=1) / count  # (B, C)
    deviation = (((departure - mean[:, None]) ** 2 * mask).sum(dim=1) / count).sqrt()  # (B, C)
    around, there = _neighbours(batch, unit)  # (B, T, C), (B, T, 1)
    height = batch.filled.new_full((len(filled),), torch.nan) if batch.elevation is None else batch.elevation  # (B,)
    elevation = torch.stack([height.nan_to_num(0.0), (~height.isnan()).to(filled.dtype)], dim=1)  # (B, 2)
    station = torch.cat([(level - middle) / width * known, deviation, mask.mean(dim=1), elevation], dim=1)
    sun = batch.calendar[..., :_SUN]  # (B, T + H, _SUN)
    history = torch.cat([departure, mask, around, there, sun[:, :HISTORY_HOURS]], dim=2)
    own, own_mask = departure[..., :V], mask[..., :V]  # (B, T, V)
    by_day, days = (part.unflatten(1, (-1, HORIZON_HOURS)) for part in (own * own_mask, own_mask))  # (B, 7, H, V)
    times = days.sum(dim=1)  # (B, H, V)
    yesterday = own[:, -HORIZON_HOURS:]  # (B, H, V)
    usual = torch.where(times > 0, by_day.sum(dim=1) / times.clamp(min=1), yesterday)  # (B, H, V)
    lead = torch.linspace(-1, 1, HORIZON_HOURS, device=filled.device)[None, :, None].expand(len(filled), -1, -1)
    last = own[:, -1:].expand(-1, HORIZON_HOURS, -1)  # (B, H, V)
    leads = torch.cat([last, yesterday, usual, lead, sun[:, HISTORY_HOURS:]], dim=2)
    anchor = level[:, None, :V] + yesterday * unit[:V]  # (B, H, V)
    anchor[..., _RAIN] = 0.0
    return Reading(history, station, leads, anchor)


def _log_rain(values: Tensor) -> Tensor:
    rain = torch.arange(values.shape[-1], device=values.device) == _RAIN
    return torch.where(rain, torch.log1p(values.clamp(min=0)), values)


def _mean(values: Tensor, mask: Tensor, hours: slice) -> Tensor:
    """The mean of the values (B, T, C) at these hours that are there; 0 where none is. (B, C)"""
    return (values * mask)[:, hours].sum(dim=1) / mask[:, hours].sum(dim=1).clamp(min=1)


def _neighbours(batch: Batch, unit: Tensor) -> tuple[Tensor, Tensor]:
    """How the neighbours' mean less the station's value departs from what it usually is, (B, T, C), and whether it is known."""
    there = (batch.around != 0).to(batch.around.dtype) * (batch.staleness[:, -AROUND_HOURS:] < HISTORY_HOURS)
    usual = (batch.around * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)
    rain = torch.arange(len(CHANNELS), device=unit.device) == _RAIN
    around = (batch.around - usual) / torch.where(rain, 1.0, unit) * there  # (B, A, C)
    padded = nn.functional.pad(around.clamp(-5, 5), (0, 0, HISTORY_HOURS - AROUND_HOURS, 0))
    return padded, nn.functional.pad(there.amax(dim=2, keepdim=True), (0, 0, HISTORY_HOURS - AROUND_HOURS, 0))


def base_quantiles(
    network: BaseNetwork, batch: Batch, channels: tuple[Channel, ...], targets: Sequence[str], scale: Scale
) -> tuple[Tensor, Tensor]:
    """The base network's forecast for the batch of a fit, in its scaled units, (B, H, V, Q), and where there is one, (B, V) bool.

    channels, targets (V names) and scale: those of the fit. There is none for a variable that the base network does not know, or
    that has no value in the window.
    """
    own = in_units(batch, channels, scale)
    columns = [TARGETS.index(name) if name in TARGETS else -1 for name in targets]
    index = torch.tensor([max(column, 0) for column in columns], device=batch.filled.device)  # (V,)
    V = len(columns)
    mean, deviation = (torch.from_numpy(part[:V]).to(index.device)[:, None] for part in (scale.mean, scale.deviation))
    quantiles = network(own)[:, :, index]  # (B, H, V, Q)
    median = quantiles[..., MEDIAN, None]  # (B, H, V, 1)
    quantiles = (median + _ELSEWHERE * (quantiles - median) - mean) / deviation
    known = (own.staleness[:, -1, index] < HISTORY_HOURS) & torch.tensor([c >= 0 for c in columns], device=index.device)
    return quantiles, known


def in_units(batch: Batch, channels: tuple[Channel, ...], scale: Scale) -> Batch:
    """The batch of a fit, whose channels and scale these are, as the base network reads it: CHANNELS in units."""
    device, rows = batch.filled.device, {channel: index for index, channel in enumerate(channels)}
    at = [rows.get(channel, -1) for channel in CHANNELS]
    there = torch.tensor([row >= 0 for row in at], device=device)  # (C,)
    index = torch.tensor([max(row, 0) for row in at], device=device)  # (C,)
    mean, deviation = (torch.from_numpy(part).to(device)[index] for part in (scale.mean, scale.deviation))
    filled = torch.where(there, batch.filled[..., index] * deviation + mean, 0.0)
    staleness = torch.where(there, batch.staleness[..., index], HISTORY_HOURS)
    around = torch.where(there, batch.around[..., index] * deviation, 0.0)
    return replace(batch, filled=filled, mask=batch.mask[..., index] & there, staleness=staleness, around=around)
