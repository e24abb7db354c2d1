"""What training costs beyond the network itself: windows a second of the training loop against a bare loop over the same modules.

The bare loop runs the same network, loss, gradient clipping and optimizer over batches that lie ready as tensors; the training
loop also draws, gathers, hides and carries forward, asks neighbours and the linear path, and averages the weights. One forecast
origin a window, GRU of 64, batches of 256, simulated network of 12 stations. After each epoch of the one comes as much of
the other; `ratio` is the median over the epochs of windows a second over those of the bare loop: at least 0.85 is wanted. About a
minute on two cores.

    python tests/benchmarks/bench_training.py
"""

import copy
import statistics
import time
from datetime import timedelta

import numpy as np
import torch
from measurement import say
from simulated_versions import make_versions

from daycast.features.panel import make_panel
from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.model.linear.ridge import linear_forecast, path_features
from daycast.model.training.sampling import draw_outages
from daycast.model.training.trainer import pinball_loss
from daycast.variables import BUILT_IN

STEPS, EPOCHS, READY = 10, 7, 4
SHORT = {"cell": "gru", "ensemble_size": 1, "validation_days": 5, "holdout_days": 5, "device": "cpu"}
CONFIG = ModelConfig(steps_per_epoch=STEPS, epochs=EPOCHS, patience=EPOCHS, **SHORT)


def main() -> None:
    versions, stations = make_versions(12, timedelta(days=80))
    once = ModelConfig(steps_per_epoch=1, epochs=1, **SHORT)
    forecaster = fit_forecaster(versions, stations, BUILT_IN, once, "")
    panel = make_panel(
        versions, stations, forecaster.header.channels, versions["observed_at"].min(), versions["observed_at"].max()
    )
    windows, rng = forecaster.open(panel), np.random.default_rng(1)
    origins = [rng.integers(200, panel.hours - 24, CONFIG.batch_size) for _ in range(READY)]
    at = [rng.integers(0, len(panel.stations), CONFIG.batch_size) for _ in range(READY)]
    hide = [draw_outages(CONFIG.batch_size, CONFIG.input_dropout, rng) for _ in range(READY)]
    index = [(torch.from_numpy(s), torch.from_numpy(t), *h) for s, t, h in zip(at, origins, hide, strict=True)]
    ready = [windows.gather(*part) for part in index]
    net = copy.deepcopy(forecaster.network.members[0])
    weights = forecaster.weights.path
    linear = [linear_forecast(weights, batch, net.targets, path_features) for batch in ready]
    net.requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    pairs = []

    def bare_epoch() -> float:
        net.train()
        started = time.perf_counter()
        for step in range(STEPS):
            batch = ready[step % READY]
            loss = pinball_loss(net(batch, linear[step % READY]), *batch.truth_of(net.targets))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        return STEPS * CONFIG.batch_size / (time.perf_counter() - started)

    bare_epoch()
    fit_forecaster(
        versions, stations, BUILT_IN, CONFIG, "", lambda progress: pairs.append((progress.windows_per_s, bare_epoch()))
    )
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    gather = milliseconds(lambda i: windows.gather(*index[i]))
    path = milliseconds(lambda i: linear_forecast(weights, ready[i], net.targets, path_features))
    say("training", windows_per_s=ours, bare_windows_per_s=bare, ratio=ratio, limit=0.85, gather_ms=gather,
        linear_path_ms=path, bare_step_ms=1000 * CONFIG.batch_size / bare, threads=torch.get_num_threads())  # fmt: skip


def milliseconds(work) -> float:
    """The median time of one call, over the ready batches."""
    times = []
    for i in [*range(READY)] * 3:
        started = time.perf_counter()
        work(i)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


if __name__ == "__main__":
    main()
