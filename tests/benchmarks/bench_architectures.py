"""What each architecture costs: forward and backward over ready tensors, beside the GRU of the same run.

Batches of 256 windows of six channels that are all targets, hidden 64, one layer. After each step of an architecture comes one of
the plain GRU; `ratio` is the median of its windows a second over those of the GRU, above 1 is faster. A forecast of the same
windows is timed likewise, because an autoregressive decoder pays there. Less than a minute on two cores.

    python tests/benchmarks/bench_architectures.py
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from daycast.features.neighbours import SURROUNDING
from daycast.model.config import ModelConfig
from daycast.model.network.seq2seq import Seq2Seq, count_parameters
from daycast.model.training.trainer import pinball_loss
from daycast.model.windows import AROUND_HOURS, KNOWN_FUTURE, Batch, neighbour_width

WINDOWS, CHANNELS, ROUNDS = 256, 6, 3
ARCHITECTURES = {
    "gru": ("gru", {}),
    "lstm": ("lstm", {}),
    "rnn": ("rnn", {}),
    "gru, 2 layers": ("gru", {"layers": 2}),
    "lstm, 2 layers": ("lstm", {"layers": 2}),
    "gru, bidirectional": ("gru", {"bidirectional": True}),
    "gru, attention": ("gru", {"attention": True}),
    "gru, neighbour attention": ("gru", {"neighbour_attention": True}),
    "gru, layer norm": ("gru", {"layer_norm": True}),
    "gru, station summary": ("gru", {"station_summary": True}),
    "gru, autoregressive": ("gru", {"decoder": "autoregressive"}),
    "lstm, autoregressive": ("lstm", {"decoder": "autoregressive"}),
}


def main() -> None:
    torch.manual_seed(1)
    batch, linear = make_batch(), torch.randn(WINDOWS, 24, CHANNELS)
    plain = ModelConfig(neighbour_attention=False)
    gru = Seq2Seq("gru", CHANNELS, CHANNELS, plain)
    for name, (cell, options) in ARCHITECTURES.items():
        net = Seq2Seq(cell, CHANNELS, CHANNELS, replace(plain, **options))
        training, ratio = compare(
            lambda net=net: train_once(net, batch, linear), lambda: train_once(gru, batch, linear)
        )
        forecast, forecast_ratio = compare(
            lambda net=net: forecast_once(net, batch, linear), lambda: forecast_once(gru, batch, linear)
        )
        print(json.dumps({
            "benchmark": "architectures",
            "architecture": name,
            "parameters": count_parameters(net),
            "windows_per_s": round(WINDOWS / training),
            "ratio": round(ratio, 2),
            "forecast_windows_per_s": round(WINDOWS / forecast),
            "forecast_ratio": round(forecast_ratio, 2),
            "threads": torch.get_num_threads(),
        }), flush=True)  # fmt: skip


def make_batch() -> Batch:
    """Windows of noise, nothing missing."""
    filled, around = torch.randn(WINDOWS, 168, CHANNELS), torch.randn(WINDOWS, AROUND_HOURS, CHANNELS)
    known, stale = torch.ones(filled.shape, dtype=torch.bool), torch.zeros(filled.shape)
    calendar, truth = torch.randn(WINDOWS, 192, KNOWN_FUTURE), torch.randn(WINDOWS, 24, CHANNELS)
    each, heard = (
        torch.randn(WINDOWS, SURROUNDING, neighbour_width(CHANNELS)),
        torch.ones(WINDOWS, SURROUNDING, dtype=torch.bool),
    )
    more = {"elevation": torch.rand(WINDOWS), "each_neighbour": each, "neighbour_known": heard}
    return Batch(filled, known, stale, around, calendar, truth, **more)


def train_once(net: Seq2Seq, batch: Batch, linear: torch.Tensor) -> None:
    net.train()
    net.zero_grad(set_to_none=True)
    pinball_loss(net(batch, linear), *batch.truth_of(CHANNELS)).backward()


@torch.inference_mode()
def forecast_once(net: Seq2Seq, batch: Batch, linear: torch.Tensor) -> None:
    net.eval()(batch, linear)


def compare(ours: Callable[[], None], other: Callable[[], None]) -> tuple[float, float]:
    """Median seconds of ours, and the median of the other's seconds over ours, taking turns."""
    ours(), other()
    pairs = [(seconds(ours), seconds(other)) for _ in range(ROUNDS)]
    return statistics.median(one for one, _ in pairs), statistics.median(two / one for one, two in pairs)


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
