"""The base network where it has never been: against the naive baselines, and ridge fitted on 63 days of the place itself.

    python tests/benchmarks/bench_base.py --data FOLDER [--only beijing us] [--base FILE]

Four times a year ridge is fitted on the 63 days before, and all forecast the four weeks after it; the base network reads 7 days,
and no more than that is ever known of the place. KNMI and INMET: only stations that pretraining left out, in a later year.
Prints a table, and one JSON line a network: MAE of the temperature over that of the best naive baseline (limit 0.80).
"""

import argparse
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from networks import read_left_out, read_network

from daycast.model import fit as fitting
from daycast.model.checkpoint import load_base
from daycast.model.config import ModelConfig
from daycast.steps.evaluate import evaluate, open_block
from daycast.times import DAY, HISTORY_HOURS, HOUR

YEARS = {"beijing": 2015, "us": 2013, "knmi": 2020, "inmet": 2022}
CUTS = ((1, 15), (4, 15), (7, 15), (10, 15))
NAIVE = ("persistence", "same_hour_yesterday", "climatology")
EVERY_H = 7
LIMIT = 0.80


def judge(name: str, data: Path, left_out: list[str]) -> pl.DataFrame:
    """Scores by forecaster, variable and lead, of all cuts together."""
    tables = []
    for month, day in CUTS:
        cut = datetime(YEARS[name], month, day, tzinfo=UTC)
        glossary, versions, stations = read_network(name, data, cut - 63 * DAY, cut + 29 * DAY, left_out)
        config = ModelConfig(ensemble_size=0, least_training_days=20, device="cpu")
        before = versions.filter(pl.col("observed_at") < cut)
        forecaster = fitting.fit_forecaster(before, stations, glossary, config, "bench")
        forecaster.weights = forecaster.refreshed
        later = versions.filter(pl.col("observed_at") >= cut - (HISTORY_HOURS - 1) * HOUR)
        block = open_block(forecaster, later, stations, EVERY_H, cut, cut + timedelta(days=28))
        tables.append(evaluate(block, {name: (forecaster, name) for name in forecaster.names}))
    return pl.concat(tables, how="diagonal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a warehouse for each network")
    parser.add_argument("--only", nargs="+", choices=YEARS, default=list(YEARS))
    parser.add_argument("--base", type=Path, help="the file of another base network")
    parser.add_argument("--left-out", type=Path, help="a folder with NETWORK.out: names of stations, one a line")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    if args.base:
        fitting.load_base = lambda: load_base(args.base)
    for name in args.only:
        scores = judge(name, args.data, read_left_out(args.left_out, name))
        mean = (pl.col("mae", "crps", "coverage_80") * pl.col("n")).sum() / pl.col("n").sum()
        table = scores.group_by("variable", "forecaster", maintain_order=True).agg(mean, pl.col("n").sum())
        with pl.Config(tbl_rows=-1, float_precision=3):
            print(name, table, flush=True)
        mae = dict(table.filter(pl.col("variable") == "air_temperature_c").select("forecaster", "mae").iter_rows())
        ratio = mae["base"] / min(mae[one] for one in NAIVE)
        line = {
            "measured": f"base_{name}",
            "value": round(ratio, 3),
            "over_ridge": round(mae["base"] / mae["ridge"], 3),
        }
        print(json.dumps({**line, "limit": LIMIT, "ratio": round(ratio / LIMIT, 3)}), flush=True)


if __name__ == "__main__":
    main()
