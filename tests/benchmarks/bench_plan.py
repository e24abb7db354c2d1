"""What each length of training on the ladder costs and gives, and how fast networks train beside other work.

Twelve sites in Beijing, trained on what was known on 1 March 2015 with 1, 2, 3 and 5 epochs of each network, then scored on the
forecasts of the year after (`beijing_data.py`). Prints JSON lines:

- `pace`: windows a second of one and of two networks at once, each by a thread of its own, alone and beside busy processes;
- `rung`, one for each number of epochs: seconds of the fit, its part in networks, MAE of air temperature, CRPS of every variable;
  `ratio` is the mean over variables of CRPS over that of the longest training, which the ladder reaches where time allows.

    python tests/benchmarks/bench_plan.py --data FOLDER [--seed 1] [--epochs 1 2 3 5] [--busy 4]

A new FOLDER is filled from shared/data. On two cores a quarter of an hour.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import torch
from beijing_data import EVERY, NOW, SINCE, UNTIL, open_beijing, train
from measurement import say
from simulated_versions import make_versions

from daycast.model import fit
from daycast.model.config import EPOCHS, ModelConfig
from daycast.model.training import plan
from daycast.model.training.parallel import ALONE
from daycast.model.training.trainer import Member
from daycast.steps.backtest import backtest
from daycast.variables import BUILT_IN

TARGET = "air_temperature_c"
SMALL = ModelConfig(ensemble_size=2, validation_days=5, holdout_days=5, epochs=1, steps_per_epoch=1, device="cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, nargs="*", default=list(EPOCHS))
    parser.add_argument(
        "--busy", type=int, default=4, help="processes beside which the pace is measured too; 0 for none"
    )
    args = parser.parse_args()
    say_paces(args.busy)
    settings = open_beijing(args.data)
    crps = {epochs: score_rung(settings, epochs, args.seed) for epochs in sorted(args.epochs, reverse=True)}
    for epochs, of_variable in crps.items():
        ratios = [value / crps[max(crps)][name] for name, value in of_variable.items()]
        say("rung_ratio", epochs=epochs, ratio=statistics.mean(ratios))


def score_rung(settings, epochs: int, seed: int) -> dict[str, float]:
    """Train so long and judge the year after; the CRPS of each variable."""
    started = time.perf_counter()
    model_id = train(settings, replace(settings.model, epochs=epochs, seed=seed, max_minutes=600.0))
    seconds = time.perf_counter() - started
    scores, _ = backtest(settings, SINCE, UNTIL, EVERY, NOW, model_id)
    own = scores.filter(pl.col("model") == model_id).group_by("variable", maintain_order=True)
    crps = dict(own.agg(pl.col("crps").mean()).iter_rows())
    mae = scores.filter((pl.col("model") == model_id) & (pl.col("variable") == TARGET))["mae"].mean()
    say("rung", epochs=epochs, seed=seed, model=model_id, fit_and_holdout_s=seconds, mae=mae, crps=crps)
    return crps


def say_paces(busy: int) -> None:
    training_data = make_training_data()
    for others in dict.fromkeys((0, busy)):
        with beside(others):
            for at_once in (1, 2):
                members = [Member("gru", 1), Member("lstm", 2)][:at_once]
                torch.set_num_threads(at_once)
                pace = plan.measure_pace(members, training_data, SMALL, ALONE)
                speed = at_once * SMALL.batch_size / pace.step
                say("pace", networks_at_once=at_once, busy_processes=others, windows_per_s=speed, step_s=pace.step)


def make_training_data():
    """What networks of twelve simulated stations learn from."""
    versions, stations = make_versions(12, timedelta(days=80))
    seen = []

    def keep(training_data, config, context, spent):
        seen.append(training_data)
        return config

    fit.plan_ensemble = keep
    fit.fit_forecaster(versions, stations, BUILT_IN, SMALL, "")
    return seen[0]


@contextmanager
def beside(processes: int) -> Iterator[None]:
    """So many processes that never rest, for the length of the block."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
