"""Variables that a network declares itself: six air pollutants beside the five weather variables of the same twelve sites.

As `bench_lightgbm.py` without LightGBM: trained until 2015-03-01 as configured, judged on a forecast a day of the year after.
Prints its lines `crps`, for each variable, and `coverage`. Eight minutes on two cores.

    python tests/benchmarks/bench_own_columns.py --data FOLDER [--model ID]
"""

import argparse
from pathlib import Path

import polars as pl
from beijing_data import EVERY, NOW, SINCE, UNTIL, open_beijing, train
from bench_lightgbm import say_coverage, say_crps

from daycast.steps.backtest import backtest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="another folder than that of bench_lightgbm.py")
    parser.add_argument("--model", help="id of a model in the warehouse of FOLDER, instead of training")
    args = parser.parse_args()
    settings = open_beijing(args.data, "beijing_air.toml")
    model_id = args.model or train(settings, settings.model)
    scores, _ = backtest(settings, SINCE, UNTIL, EVERY, NOW, model_id)
    say_crps(model_id, scores)
    often_none = [name for name, variable in settings.glossary.items() if variable.trace > 0]
    say_coverage(model_id, scores.filter(pl.col("model") == model_id), often_none)


if __name__ == "__main__":
    main()
