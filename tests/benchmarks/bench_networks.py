"""How good forecasts of four real networks are: the model beside ridge, LightGBM and the naive forecasts, as served.

Beijing (12 sites, trained until March 2015), the Netherlands (KNMI, 42 stations, until 2020), Brazil (INMET, 99, until 2022) and
the US (5, until 2013), each judged on a forecast a day of the year after. A training decides on its holdout who serves, and is
refreshed, as `daycast retrain` does; then everything is calibrated weekly by what was known by then. LightGBM learns from what
was known at the end of training, for air temperature, one model a lead, with lags of the station's own and of its neighbours;
its trees are counted on its newest 90 days, and the residuals of those days give its quantiles.

Prints a JSON line for each network, seed and variable: `mae`, `crps` and coverage of the three intervals of what serves; `ratio`
is its CRPS over that of the better of ridge and LightGBM, wanted to be at most `limit`. Last, the same as a table.

    python tests/benchmarks/bench_networks.py --data FOLDER [--only us] [--seeds 1 2 3]

Warehouses, checkpoints and LightGBM's forecasts are kept in FOLDER, so that it goes on where it was interrupted. Every training
takes as many steps as two idle cores take in the ten minutes allowed by default; judging takes up to ten minutes more, LightGBM
about ten a network.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from lightgbm_arrays import TARGET, read_forecasts
from measurement import say
from networks import NETWORKS, NOW, Network, open_network
from other_packages import DEFAULT, python_with

from daycast.evaluation.scores import score_elements
from daycast.evaluation.serving import assign
from daycast.model.baselines import BASE, NAIVE, RIDGE
from daycast.model.calibration.hindcasts import first_hindcast
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.quality.flags import keep_usable
from daycast.steps.evaluate import calibrate_weekly, evaluate_daily, evaluate_holdout, open_block
from daycast.steps.train import fit_snapshot, write_snapshot
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR
from daycast.warehouse.observations import read_stations, read_versions

EPOCHS = 5  # what ten minutes on two idle cores allow: so that a busy machine comes to the same forecasts
EVERY_H = 24  # hours between the hours of issue that are judged
LEARNED_FROM = 45_000  # forecasts, by LightGBM
STOPPED_ON = timedelta(days=90)  # before the end of training, by LightGBM
PATIENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # threads that wait for each other do not spin
LIMITS = {"beijing": 0.90, "knmi": 0.85, "inmet": 0.90, "us": 0.95}  # of air temperature
LIMIT = 0.97  # of every other variable
SERVED, LIGHTGBM = "served", "lightgbm"


def main() -> None:
    """Print the lines and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--packages", type=Path, default=DEFAULT)
    args = parser.parse_args()
    rows = []
    for name in args.only:
        settings, network = open_network(name, args.data), NETWORKS[name]
        opponent = forecast_lightgbm(settings, network, args.packages)
        for seed in args.seeds:
            for row in judge(settings, name, network, seed, opponent):
                say("networks", **row)
                rows.append(row)
    print_table(rows)


def judge(settings, name: str, network: Network, seed: int, opponent: dict[str, np.ndarray]):
    """Train, decide and score: yields the figures of each variable."""
    started = time.perf_counter()
    model = replace(settings.model, seed=seed, epochs=EPOCHS, max_minutes=60.0)
    snapshot = write_snapshot(settings, network.trained_until)
    checkpoint = fit_snapshot(snapshot, settings.checkpoints, settings.glossary, model, lambda _: None)
    decision, _ = evaluate_holdout(settings, checkpoint, network.trained_until)
    minutes = (time.perf_counter() - started) / 60
    header = read_header(checkpoint)
    since, until = network.trained_until, network.until
    first = first_hindcast(header, since) - (HISTORY_HOURS - 1) * HOUR
    with settings.warehouse.read(NOW) as con:
        versions = keep_usable(read_versions(con, first, until + HORIZON_HOURS * HOUR, NOW), list(settings.glossary))
        stations = read_stations(con)
    forecaster = load_checkpoint(checkpoint, settings.model.device)
    block = open_block(forecaster, versions, stations, EVERY_H, since, until, whole_history=False)
    calibrate_weekly(forecaster, forecaster.names, block)
    ids, targets = block.windows.panel.stations["station_id"].to_list(), list(header.targets)
    servers = {one: assign(one, (), ids, targets) for one in forecaster.names}
    servers[SERVED] = assign(decision.winner, decision.fallbacks.get(decision.winner, ()), ids, targets)
    scores, _ = evaluate_daily(block, forecaster, servers)
    check_same_forecasts(block, opponent)
    for variable in targets:
        crps = means(scores, variable, "crps")
        if variable == TARGET:
            crps[LIGHTGBM] = float(np.nanmean(crps_of(opponent), axis=0).mean())
        mae = means(scores, variable, "mae")
        rivals = [one for one in (RIDGE, LIGHTGBM) if one in crps]
        best = min(rivals, key=lambda one: crps[one])
        yield {
            "network": name,
            "seed": seed,
            "variable": variable,
            "minutes": minutes,
            "serves": str(decision.winner),
            "mae": mae[SERVED],
            "crps": crps[SERVED],
            **{f"over_{one}": crps[SERVED] / crps[one] for one in rivals},
            "networks_over_ridge": crps[header.cell] / crps[RIDGE] if header.cell else None,
            "over_best_naive": crps[SERVED] / min(crps[one] for one in NAIVE),
            "base_over_ridge": crps[BASE] / crps[RIDGE] if BASE in crps else None,
            "base_mae": mae.get(BASE),
            **{f"covered_{level}": means(scores, variable, f"coverage_{level}")[SERVED] for level in (50, 80, 90)},
            "worst_lead_off": worst_lead(scores, variable),
            "ratio": crps[SERVED] / crps[best],
            "limit": LIMITS[name] if variable == TARGET else LIMIT,
        }


def means(scores: pl.DataFrame, variable: str, score: str) -> dict[str, float]:
    """The mean over all leads of each forecaster."""
    rows = scores.filter(pl.col("variable") == variable)
    return dict(rows.group_by("forecaster").agg(pl.col(score).mean()).iter_rows())


def worst_lead(scores: pl.DataFrame, variable: str) -> float:
    """How far the coverage of the lead and interval that is off the most is from its name."""
    rows = scores.filter(pl.col("variable") == variable, pl.col("forecaster") == SERVED)
    return max(float((rows[f"coverage_{level}"] - level / 100).abs().max()) for level in (50, 80, 90))  # type: ignore[arg-type]


def forecast_lightgbm(settings, network: Network, packages: Path) -> dict[str, np.ndarray]:
    """LightGBM's forecasts of the year: station, issued_at, truth, forecast and residuals; made once and kept."""
    kept = settings.data / "lightgbm.npz"
    if kept.exists():
        return dict(np.load(kept))
    started = time.perf_counter()
    train, test, out = (settings.data / f"lightgbm-{name}.npz" for name in ("train", "test", "out"))
    trained, until = network.trained_until, network.until
    known = read_forecasts(settings, datetime(2000, 1, 1, tzinfo=NOW.tzinfo), trained, trained, LEARNED_FROM, None)
    history, last = (HISTORY_HOURS - 1) * HOUR, until + (HORIZON_HOURS - 1) * HOUR
    asked = read_forecasts(settings, trained - history, last, NOW, EVERY_H, trained)
    np.savez(train, **vars(known))
    np.savez(test, **vars(asked))
    python = python_with(packages, "lightgbm>=4.6,<5")
    script, border = Path(__file__).with_name("lightgbm_leads.py"), f"{trained - STOPPED_ON:%Y-%m-%dT%H}"
    subprocess.run([python, script, train, test, border, out], check=True, stdout=sys.stderr, env=PATIENT)
    made = dict(np.load(out))
    draft = kept.with_suffix(".draft.npz")
    np.savez(draft, station=asked.station, issued_at=asked.issued_at, truth=asked.truth, **made)
    draft.replace(kept)
    for file in (train, test, out):
        file.unlink()
    say("lightgbm", network=settings.data.name, learned_from=len(known.station), seconds=time.perf_counter() - started)
    return dict(np.load(kept))


def crps_of(opponent: dict[str, np.ndarray]) -> np.ndarray:
    """The CRPS of LightGBM's forecasts with the quantiles of its residuals, (N, H)."""
    quantiles = opponent["forecast"][..., None] + opponent["residuals"]  # (N, H, Q)
    crps: np.ndarray = score_elements(quantiles, opponent["truth"])["crps"]
    return np.where(np.isnan(opponent["truth"]), np.nan, crps)


def check_same_forecasts(block, opponent: dict[str, np.ndarray]) -> None:
    """Stop unless LightGBM forecast the very stations and hours of issue that are judged."""
    panel = block.windows.panel
    issued_at = np.datetime64(panel.start.replace(tzinfo=None), "us") + block.origins * np.timedelta64(HOUR)
    ids = panel.stations["station_id"].to_numpy().astype(str)[block.stations]
    ours = set(zip(ids.tolist(), issued_at.tolist(), strict=True))
    theirs = set(zip(opponent["station"].tolist(), opponent["issued_at"].tolist(), strict=True))
    assert ours == theirs, f"{len(ours - theirs)} forecasts of ours alone, {len(theirs - ours)} of LightGBM alone"


def print_table(rows: list[dict[str, object]]) -> None:
    """The figures as a Markdown table, means over seeds."""
    columns = [
        "mae",
        "crps",
        "ratio",
        "limit",
        "networks_over_ridge",
        "over_best_naive",
        "base_over_ridge",
        "covered_50",
        "covered_80",
        "covered_90",
    ]
    columns += ["worst_lead_off", "minutes"]
    by_variable = pl.DataFrame(rows, infer_schema_length=None).group_by("network", "variable", maintain_order=True)
    table = by_variable.agg(pl.col(columns).mean())
    print(f"| network | variable | {' | '.join(columns)} |\n| --- | --- |{' --- |' * len(columns)}")
    for row in table.iter_rows(named=True):
        figures = " | ".join("–" if row[name] is None else f"{row[name]:.3f}" for name in columns)
        print(f"| {row['network']} | {row['variable']} | {figures} |")


if __name__ == "__main__":
    main()
