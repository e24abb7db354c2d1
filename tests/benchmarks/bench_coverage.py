"""Whether intervals miss their names by more than chance: the worst variable and lead beside that of a perfect forecast.

Of 96 cells (four variables at 24 leads), each judged by a year of days on which all stations share the weather, some lie far off
whatever the forecast is. From the Beijing backtest of one model the days are drawn anew, in blocks of a week, and each cell's
mean is put on its name: `perfect_worst` is how far the worst cell of such a forecast is off in the median, `as_far` how often at
least as far as the model's own, `beyond_limit` how often beyond 5 points. A minute on two cores.

    python tests/benchmarks/bench_coverage.py --data FOLDER --model ID [ID ...]
"""

import argparse
from pathlib import Path
from unittest import mock

import numpy as np
from beijing_data import EVERY, NOW, SINCE, UNTIL, open_beijing
from beijing_scores import LIMITS
from measurement import say

from daycast.model.config import QUANTILES
from daycast.steps.backtest import backtest
from daycast.steps.evaluate import evaluate

LEVELS = {50: (0.25, 0.75), 80: (0.10, 0.90), 90: (0.05, 0.95)}
INTERVALS = {percent: [QUANTILES.index(level) for level in ends] for percent, ends in LEVELS.items()}
DRAWS, BLOCK_DAYS = 2000, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="+", required=True)
    args = parser.parse_args()
    for model_id in args.model:
        days, quantiles, truth = forecast_year(open_beijing(args.data), model_id)
        for percent, (low, high) in INTERVALS.items():
            within = (truth >= quantiles[..., low]) & (truth <= quantiles[..., high])
            inside, there = by_day(days, within, ~np.isnan(truth))
            covered = inside.sum(axis=0) / there.sum(axis=0)  # (H, V)
            worst = np.abs(covered - percent / 100).max()
            perfect = worst_of_perfect(inside - covered * there, there)
            say("chance", model=model_id, interval=percent, worst_off=worst, perfect_worst=np.median(perfect),
                as_far=(perfect >= worst).mean(), beyond_limit=(perfect > LIMITS["coverage_worst"]).mean())  # fmt: skip


def forecast_year(settings, model_id: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each forecast the day (N,), quantiles (N, H, V, Q) and what came (N, H, V), of variables that are not mostly 0."""
    caught = []

    def catch(block, forecasters):
        forecaster, name = forecasters[model_id]
        parts = forecaster.predict(block.windows, block.stations, block.origins, [name])
        usual = [trace == 0 for trace in forecaster.header.traces]
        caught.extend(
            (block.origins[part], own[name][:, :, usual], target[:, :, usual]) for part, own, target, _ in parts
        )
        return evaluate(block, forecasters)

    with mock.patch("daycast.steps.backtest.evaluate", side_effect=catch):
        backtest(settings, SINCE, UNTIL, EVERY, NOW, model_id)
    return tuple(np.concatenate(parts) for parts in zip(*caught, strict=True))


def by_day(days: np.ndarray, *counted: np.ndarray) -> list[np.ndarray]:
    """The sums (D, H, V) over all stations of a day."""
    _, day = np.unique(days, return_inverse=True)
    sums = [np.zeros((day.max() + 1, *each.shape[1:])) for each in counted]
    for each, total in zip(counted, sums, strict=True):
        np.add.at(total, day, each)
    return sums


def worst_of_perfect(departure: np.ndarray, there: np.ndarray) -> np.ndarray:
    """How far the worst cell is off in each draw of days; both arguments (D, H, V), the first with sums of 0."""
    rng, D = np.random.default_rng(1), len(departure)
    blocks = rng.integers(0, D - BLOCK_DAYS + 1, (DRAWS, -(-D // BLOCK_DAYS)))
    drawn = (blocks[..., None] + np.arange(BLOCK_DAYS)).reshape(DRAWS, -1)[:, :D]
    return np.array([np.abs(departure[days].sum(axis=0) / there[days].sum(axis=0)).max() for days in drawn])


if __name__ == "__main__":
    main()
