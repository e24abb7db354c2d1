"""Whether several hours of issue from one pass of the encoder pay: one JSON line for each number of them.

Every line trains one network for the same time on the twelve sites, its learning rate falling to nothing at the end of it.
`origins_per_s` and `ratio` (to one hour of issue a pass, in the same run) say how much quicker forks are; `validation_loss` and
`seconds_to_reference` what that is worth: the seconds of training until the validation loss is at most that which every one of
them comes to. One hour a pass with a smaller step stands beside it, for a step of few passes is a smaller step. Seconds are those
of one core's work, so that a busy machine does not matter.

    python tests/benchmarks/bench_forks.py --data FOLDER [--cell lstm] [--seconds 15] [--seed 1]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import NoReturn
from unittest import mock

import numpy as np
import polars as pl
import torch
from beijing_data import TRAINED_UNTIL, open_beijing
from forked_origins import draw_forked, forecast_forks, forked
from measurement import say
from torch import Tensor

from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.model.network.seq2seq import Seq2Seq
from daycast.model.training.state import TrainingData
from daycast.model.training.trainer import Member, Progress, train_together
from daycast.model.windows import Batch
from daycast.steps.train import write_snapshot

SETTINGS = [(1, 256), (1, 64), (4, 64), (8, 32), (33, 8)]  # hours of issue a pass, passes a step
EPOCHS, JUDGED = 8, 600  # epochs of a training; windows its validation loss is taken from
Curve = list[tuple[float, float]]  # seconds of training and the validation loss, after each epoch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training_data, config = prepare(arguments.data)
    check(training_data, config, arguments.cell)
    speeds, curves = [], list[Curve]()
    for count, batch in SETTINGS:
        with forked(count):
            origins, curve = train(training_data, replace(config, batch_size=batch), arguments)
        speeds.append(origins * count / curve[-1][0])
        curves.append(curve)
    reference = max(min(loss for _, loss in curve) for curve in curves)
    for (count, batch), speed, curve in zip(SETTINGS, speeds, curves, strict=True):
        say(
            "forks",
            cell=arguments.cell,
            origins_per_pass=count,
            batch=batch,
            origins_per_s=round(speed),
            ratio=speed / speeds[0],
            seconds=curve[-1][0],
            validation_loss=min(loss for _, loss in curve),
            reference=reference,
            seconds_to_reference=next(seconds for seconds, loss in curve if loss <= reference),
        )


def train(training_data: TrainingData, config: ModelConfig, arguments: argparse.Namespace) -> tuple[int, Curve]:
    """One network for so long: how many passes it learnt from, and how it went."""
    curve: Curve = []

    def run(watch: Callable[[Progress], None] = lambda _: None, **changes: int) -> float:
        started = time.process_time()
        train_together([Member(arguments.cell, arguments.seed)], training_data, replace(config, **changes), watch)
        return time.process_time() - started

    run(epochs=1, steps_per_epoch=1)  # to warm up
    judging = run(epochs=0)
    a_step = (run(epochs=1, steps_per_epoch=10) - 2 * judging) / 10
    steps = max(1, round(arguments.seconds / EPOCHS / a_step))
    started = time.process_time()

    def watch(progress: Progress) -> None:
        spent = time.process_time() - started - judging * (progress.epoch + 1)
        curve.append((spent, progress.validation_loss))

    run(watch, epochs=EPOCHS, patience=EPOCHS, steps_per_epoch=steps)
    return EPOCHS * steps * config.batch_size, curve


class _CaughtError(Exception):
    def __init__(self, training_data: TrainingData) -> None:
        self.training_data = training_data


def prepare(data: Path) -> tuple[TrainingData, ModelConfig]:
    """What a retraining on the twelve sites would learn from."""
    settings = open_beijing(data)
    snapshot = write_snapshot(settings, TRAINED_UNTIL)
    versions, stations = (pl.read_parquet(snapshot / f"{name}.parquet") for name in ("observations", "stations"))

    def catch(training_data: TrainingData, *_: object) -> NoReturn:
        raise _CaughtError(training_data)

    try:
        with mock.patch("daycast.model.fit.train_ensemble", catch):
            fit_forecaster(versions, stations, settings.glossary, settings.model, snapshot.name)
    except _CaughtError as caught:
        return replace(caught.training_data, validation=few(caught.training_data.validation)), settings.model
    raise AssertionError("a fit trains no ensemble any more")


def few(validation: Sequence[tuple[Batch, Tensor]]) -> list[tuple[Batch, Tensor]]:
    """Some of the windows, evenly over the block, so that most of the time is training's."""
    step = -(-sum(len(linear) for _, linear in validation) // JUDGED)
    return [(every(batch, step), linear[::step]) for batch, linear in validation]


def every(batch: Batch, step: int) -> Batch:
    """Every so many-eth window of those that no forecasts of others belong to."""
    parts = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return replace(batch, **{name: part[::step] for name, part in parts.items() if part is not None})


@torch.no_grad()
def check(training_data: TrainingData, config: ModelConfig, cell: str) -> None:
    """Raises AssertionError where the first hour of issue is not forecast as it would be alone."""
    batch, linear = draw_forked(training_data, replace(config, batch_size=4), np.random.default_rng(1), 3)
    net = Seq2Seq(cell, batch.filled.shape[2], linear.shape[2], config).eval()
    torch.nn.init.normal_(net.head.weight)
    torch.testing.assert_close(forecast_forks(net, batch, linear, 3)[:4], net(batch, linear)[:4])


if __name__ == "__main__":
    main()
