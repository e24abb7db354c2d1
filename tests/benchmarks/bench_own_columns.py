"""Variables that a network declares itself: six air pollutants beside the five weather variables of the same twelve sites.

Trained until 2015-03-01 as configured, judged on a forecast a day of the year after.
Prints its lines `crps`, for each variable, and `coverage`. Eight minutes on two cores.

    python tests/benchmarks/bench_own_columns.py --data FOLDER [--model ID]
"""

import argparse
from pathlib import Path

from beijing_data import EVERY, NOW, SINCE, UNTIL, open_beijing, train
from beijing_scores import say_scores

from daycast.steps.backtest import backtest

POLLUTANTS = {
    "pm25_ug_m3": ("PM2.5", 1500.0),
    "pm10_ug_m3": ("PM10", 2000.0),
    "so2_ug_m3": ("SO2", 2000.0),
    "no2_ug_m3": ("NO2", 1000.0),
    "co_ug_m3": ("CO", 20000.0),
    "o3_ug_m3": ("O3", 1500.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="another folder than that of the other benchmarks")
    parser.add_argument("--model", help="id of a model in the warehouse of FOLDER, instead of training")
    args = parser.parse_args()
    settings = open_beijing(args.data, POLLUTANTS)
    model_id = args.model or train(settings, settings.model)
    scores, _ = backtest(settings, SINCE, UNTIL, EVERY, NOW, model_id)
    say_scores(settings, model_id, scores)


if __name__ == "__main__":
    main()
