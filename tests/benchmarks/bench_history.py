"""What a network's own history is worth: served CRPS by months of history, with the base network and without it.

    python tests/benchmarks/bench_history.py --data FOLDER [--only us] [--months 1 4 24]

The fit ends at one date and reads the months before it; all forecasters are scored on the half year that follows, calibrated
every week as in service. With less than 63 days there are no networks, and the best of ridge and the naive baselines is what
would serve without the base network. Prints the CRPS of each variable over that of the same forecasts without the base network,
and one JSON line a fit with their geometric mean. Four minutes a fit on two cores.
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from networks import read_left_out, read_network

from daycast.model import fit as fitting
from daycast.model.checkpoint import load_base
from daycast.model.config import ModelConfig
from daycast.steps.evaluate import calibrate_weekly, evaluate, open_block
from daycast.times import DAY, HISTORY_HOURS, HOUR

ENDS = {"beijing": (2015, 3), "us": (2013, 1), "knmi": (2020, 1), "inmet": (2022, 1)}
MONTH, AFTER = 30 * DAY, 183 * DAY
EVERY_H = 31  # so that all hours of the day are issued


def judge(name: str, months: int, data: Path, left_out: list[str], minutes: float) -> pl.DataFrame:
    """CRPS by variable of each forecaster, and of the networks `alone`."""
    end = datetime(*ENDS[name], 1, tzinfo=UTC)
    glossary, versions, stations = read_network(name, data, end - months * MONTH, end + AFTER + DAY, left_out)
    config = ModelConfig(max_minutes=minutes, device="cpu")
    before = versions.filter(pl.col("observed_at") < end)
    forecaster = fitting.fit_forecaster(before, stations, glossary, config, "bench")
    forecaster.weights = forecaster.refreshed
    later = versions.filter(pl.col("observed_at") >= end - (HISTORY_HOURS - 1) * HOUR)
    block = open_block(forecaster, later, stations, EVERY_H, end, end + AFTER)
    tables = []
    cell, weights = forecaster.header.cell, forecaster.header.base_weights
    for label, used in (("with", weights), ("alone", ())) if cell else (("with", ()),):
        forecaster.header = replace(forecaster.header, base_weights=used)
        names = forecaster.names if label == "with" else [cell]
        if cell:
            calibrate_weekly(forecaster, names, block)
        tables.append(evaluate(block, {one if label == "with" else "alone": (forecaster, one) for one in names}))
    shares = dict(zip(forecaster.header.targets, weights, strict=False))
    mean = (pl.col("crps", "mae") * pl.col("n")).sum() / pl.col("n").sum()
    table = pl.concat(tables, how="diagonal").group_by("variable", "forecaster", maintain_order=True).agg(mean)
    return table.with_columns(share=pl.col("variable").replace_strict(shares, default=None, return_dtype=pl.Float64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a warehouse for each network")
    parser.add_argument("--only", nargs="+", choices=ENDS, default=list(ENDS))
    parser.add_argument("--months", nargs="+", type=int, default=[1, 2, 4, 8, 24])
    parser.add_argument("--minutes", type=float, default=3.0, help="of a training (default: 3)")
    parser.add_argument("--base", type=Path, help="the file of another base network")
    parser.add_argument("--left-out", type=Path, help="a folder with NETWORK.out: names of stations, one a line")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    if args.base:
        fitting.load_base = lambda: load_base(args.base)
    for name in args.only:
        left_out = read_left_out(args.left_out, name)
        for months in args.months:
            begun = time.monotonic()
            table = judge(name, months, args.data, left_out, args.minutes)
            crps = table.pivot("forecaster", index=["variable", "share"], values="crps")
            others = [one for one in crps.columns[2:] if one != "base" and one[:3] not in ("gru", "lst")]
            networks = [one for one in crps.columns[2:] if one[:3] in ("gru", "lst")]
            served, without = (networks[0], "alone") if networks else ("base", "without")
            if not networks:
                crps = crps.with_columns(without=pl.min_horizontal(others))
            crps = crps.with_columns(ratio=pl.col(served) / pl.col(without))
            with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3, tbl_width_chars=160):
                print(name, months, crps, flush=True)
            warmth = crps.filter(pl.col("variable") == "air_temperature_c")
            line = {
                "measured": f"history_{name}_{months}",
                "value": round(float(np.exp(crps["ratio"].log().mean())), 3),
                "temperature": round(warmth["ratio"].item(), 3),
                "base_over_ridge": round((warmth["base"] / warmth["ridge"]).item(), 3) if "ridge" in others else None,
                "minutes": round((time.monotonic() - begun) / 60, 1),
            }
            print(json.dumps({**line, "limit": 1.0, "ratio": line["value"]}), flush=True)


if __name__ == "__main__":
    main()
