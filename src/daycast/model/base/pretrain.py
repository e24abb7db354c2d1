"""Pretraining: train the base network on the snapshots of several networks, and write it with a description of how.

Every step draws its windows from a seed of its own and the state is saved every few minutes, so a training that was interrupted
goes on where it was and ends in the same weights. Read `pretrain` first.
"""

import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import daycast
from daycast.errors import ConfigError, ModelError, NotEnoughDataError
from daycast.features.panel import make_panel
from daycast.features.splits import Block
from daycast.model.base.network import CHANNELS, IN_UNITS, TARGETS, UNITS, BaseNetwork
from daycast.model.checkpoint import read_tensors, save_base, write_tensors
from daycast.model.device import choose_device
from daycast.model.training.sampling import draw, draw_outages, eligible_origins
from daycast.model.training.trainer import pinball_losses
from daycast.model.windows import Batch, Windows
from daycast.times import HISTORY_HOURS

_log = logging.getLogger("daycast")
_SAVE_EVERY_S, _SAY_EVERY_S = 120.0, 30.0
_COLD, _ALONE, _OUTAGE, _UNMEASURED = 0.35, 0.3, 0.3, 0.2  # probabilities of what is simulated in a window
_WARM_UP = 300  # steps


@dataclass(frozen=True)
class PretrainConfig:
    """How a base network is trained."""

    steps: int = 12_000
    batch_size: int = 256  # B
    learning_rate: float = 3e-3  # the highest
    weight_decay: float = 1e-2
    ema_decay: float = 0.998  # of the running average of the weights, which is what is written
    hidden_size: int = 128  # D
    seed: int = 1


def pretrain(
    snapshots: Sequence[Path],
    out: Path,
    config: PretrainConfig,
    device: str = "auto",
    leave_out: Collection[str] = (),
) -> None:
    """Train a base network on snapshots, folders of Parquet files as a training writes them, and write it to `out`.

    leave_out: stations that are not read at all, so that they can be tried later. The state is kept beside `out` until the
    training is complete, and a call with the same arguments goes on from it. Raises NotEnoughDataError if a snapshot has no
    window to learn from, ModelError if the state beside `out` belongs to another training or a folder is no snapshot, ConfigError
    for less than one step, StorageError if `out` cannot be written.
    """
    if config.steps < 1:
        raise ConfigError(f"{config.steps} steps are none: give at least 1")
    place = choose_device(device)
    sources = [_Source(snapshot, leave_out, place) for snapshot in snapshots]
    about = {"snapshots": [one.name for one in snapshots], "left_out": sorted(leave_out), **asdict(config)}
    training = _Training(config, place)
    state = out.with_name(f"{out.name}.state")
    if state.exists():
        training.resume(state, about)
    else:
        training.save(state, about)  # so that a place that cannot be written is told now, and not in an hour
    share = np.sqrt([np.count_nonzero(source.eligible) for source in sources])
    begun, first = time.monotonic(), training.step
    saved = said = begun
    while training.step < config.steps:
        rng = np.random.default_rng([config.seed, training.step])
        source = sources[rng.choice(len(sources), p=share / share.sum())]
        training.learn(source.draw(config.batch_size, rng))
        now = time.monotonic()
        if now - said > _SAY_EVERY_S:
            left = (config.steps - training.step) * (now - begun) / (training.step - first)
            _log.info(
                "step %s of %s, loss %.4f, %.0f min left",
                f"{training.step:,}",
                f"{config.steps:,}",
                training.loss,
                left / 60,
            )
            said = now
        if now - saved > _SAVE_EVERY_S:
            training.save(state, about)
            saved = now
    save_base(cast(BaseNetwork, training.average.module), out, {**about, "daycast": daycast.__version__})
    state.unlink(missing_ok=True)


class _Source:
    """The windows of one snapshot."""

    def __init__(self, snapshot: Path, leave_out: Collection[str], device: torch.device) -> None:
        if not (snapshot / "observations.parquet").is_file():
            raise ModelError(
                f"{snapshot} is no snapshot: give a folder of data/snapshots, which `daycast retrain` writes"
            )
        versions = pl.scan_parquet(snapshot / "observations.parquet", glob=False)
        stations = pl.read_parquet(snapshot / "stations.parquet", glob=False)
        stations = stations.filter(~pl.col("station_id").is_in(list(leave_out)))
        versions = versions.filter(pl.col("station_id").is_in(stations["station_id"].to_list()))
        time = pl.col("observed_at")
        first, last = versions.select(time.min(), time.max().alias("last")).collect(engine="streaming").row(0)
        if first is None:
            raise NotEnoughDataError(f"{snapshot} has no observation of a station that is not left out")
        panel = make_panel(versions, stations, CHANNELS, first, last)
        self.block = Block(0, panel.hours)
        self.eligible = eligible_origins(panel, self.block, len(TARGETS))
        if not self.eligible.any():
            raise NotEnoughDataError(f"{snapshot} has no station with a day of readings followed by another")
        self._windows = Windows(panel, IN_UNITS, device)

    def draw(self, size: int, rng: np.random.Generator) -> Batch:
        """Windows in units, as they would be at stations that are new, alone, out of order or poorly equipped."""
        stations, origins = draw(self.eligible, size, self.block, rng)
        outage, outage_around = draw_outages(size, _OUTAGE, rng)
        hours = np.arange(HISTORY_HOURS)
        begun = np.where(rng.random(size) < _COLD, rng.integers(24, HISTORY_HOURS, size), HISTORY_HOURS)
        outage |= torch.from_numpy(hours < HISTORY_HOURS - begun[:, None])
        alone = torch.from_numpy(rng.random(size) < _ALONE)
        outage_around |= alone[:, None]
        device = self._windows.device
        batch = self._windows.gather(*(each.to(device) for each in (stations, origins, outage, outage_around)))
        return _take_away(batch, torch.from_numpy(_draw_unmeasured(size, rng)).to(device))


def _draw_unmeasured(size: int, rng: np.random.Generator) -> np.ndarray:
    """Which channels a station does not have: none in half of the windows. (B, C) bool; the wind direction's two go together."""
    some = rng.random(size) < 0.5
    taken = (rng.random((size, len(CHANNELS))) < _UNMEASURED) & some[:, None]
    taken[:, -1] = taken[:, -2]
    return taken


def _take_away(batch: Batch, taken: Tensor) -> Batch:
    """The batch without these channels (B, C), but in its truth."""
    gone = taken[:, None]
    return replace(
        batch,
        filled=batch.filled.masked_fill(gone, 0.0),
        mask=batch.mask & ~gone,
        staleness=batch.staleness.masked_fill(gone, HISTORY_HOURS),
        around=batch.around.masked_fill(gone, 0.0),
    )


class _Training:
    """The network in training. Everything that is random is drawn from the number of the step."""

    def __init__(self, config: PretrainConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.network = BaseNetwork(config.hidden_size).to(device)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
        self.step, self.loss = 0, math.nan
        self._config, self._device = config, device
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def learn(self, batch: Batch) -> None:
        """Take one step."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * self._share_of_rate()
        loss = base_loss(self.network(batch), batch)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self.average.update_parameters(self.network)
        self.step += 1
        self.loss = loss.item() if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * loss.item()

    def _share_of_rate(self) -> float:
        """Linear warm-up, times half a cosine."""
        return min((self.step + 1) / _WARM_UP, 1.0) * (1 + math.cos(math.pi * self.step / self._config.steps)) / 2

    def save(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write the state, from which training goes on to the same weights."""
        moments = self._optimizer.state_dict()["state"]
        tensors = {
            **{f"network.{name}": value for name, value in self.network.state_dict().items()},
            **{f"average.{name}": value for name, value in self.average.state_dict().items()},
            **{f"moments.{i}.{name}": value for i, part in moments.items() for name, value in part.items()},
        }
        write_tensors(path, tensors, {"about": about, "step": self.step, "loss": self.loss})

    def resume(self, path: Path, about: Mapping[str, Any]) -> None:
        """Go on from a state that was saved. Raises ModelError if it belongs to another training, or is damaged."""
        try:
            tensors, metadata = read_tensors(path)
            if metadata["about"] != about:
                raise ModelError(f"{path} is of another training: remove it to begin anew")
            part: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "moments": {}}
            for name, value in tensors.items():
                prefix, _, rest = name.partition(".")
                part[prefix][rest] = value.to(self._device)
            self.network.load_state_dict(part["network"])
            self.average.load_state_dict(part["average"])
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in part["moments"].items():
                i, _, key = name.partition(".")
                moments.setdefault(int(i), {})[key] = value
            self._optimizer.load_state_dict(
                {"state": moments, "param_groups": self._optimizer.state_dict()["param_groups"]}
            )
            self.step, self.loss = metadata["step"], metadata["loss"]
        except (ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{path} cannot be read ({error}): remove it to begin anew") from error


def base_loss(quantiles: Tensor, batch: Batch) -> Tensor:
    """Mean pinball loss in the channels' units of departure, over targets that the history has a value of.

    quantiles: (B, H, V, Q) in units; batch: in units.
    """
    V = len(TARGETS)
    truth, weight = batch.truth_of(V)  # (B, H, V)
    unknown = (batch.staleness[:, -1, :V] == HISTORY_HOURS)[:, None]  # (B, 1, V)
    losses, weights = pinball_losses(quantiles, truth.masked_fill(unknown, torch.nan), weight)
    return (losses / quantiles.new_tensor(UNITS[:V])).sum() / weights.sum().clamp(min=1)
