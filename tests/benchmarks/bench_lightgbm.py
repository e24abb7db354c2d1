"""How accurate the model is beside what a practitioner would take instead: LightGBM, ridge and the naive forecasts.

Twelve sites in Beijing, `daycast retrain --until 2015-03-01T00:00:00Z`, then the forecasts of `daycast backtest
--since 2015-03-01T00:00:00Z --until 2016-02-28T00:00:00Z --every 24h`. LightGBM learns from what was
known then, one model a lead. Prints for each model (seed) JSON lines:

- `accuracy`: MAE of air temperature over all leads; `ratio` is the model's over the better of ridge's and LightGBM's, limit 0.97;
- `crps`, for each target variable: `ratio` is the model's over that of the best baseline, limit 1;
- `coverage`: the share of truth within the 50, 80 and 90 % intervals, all variables and leads together: `off` from its name by at
  most 0.02; and the variable and lead where it is off the most: at most 0.05. Without rain: an interval that is exactly 0 in dry
  weather holds nearly always, whatever its name; its share stands in `by_variable`.

    python tests/benchmarks/bench_lightgbm.py --data FOLDER [--seeds 1 2 3] [--packages FOLDER]
    python tests/benchmarks/bench_lightgbm.py --data FOLDER --model ID ...

The first trains; the second judges models that are in the warehouse of FOLDER (`DAYCAST_DATA`). A new FOLDER is filled from
shared/data. LightGBM is installed into --packages (default .venv-bench) and its forecasts are kept in FOLDER. On two cores
LightGBM takes about five minutes once, each seed what `model` in the configuration allows, judging half a minute.
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
from beijing_data import EVERY, NOW, SINCE, TRAINED_UNTIL, UNTIL, open_beijing, train
from lightgbm_arrays import TARGET, read_forecasts
from measurement import say
from other_packages import DEFAULT, python_with

from daycast.model.baselines import BASELINES, RIDGE
from daycast.model.checkpoint import load_checkpoint
from daycast.quality.flags import keep_usable
from daycast.steps.backtest import backtest
from daycast.steps.evaluate import open_block
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR
from daycast.warehouse.models import find_model
from daycast.warehouse.observations import read_stations, read_versions

BORDER = TRAINED_UNTIL - timedelta(days=90)  # LightGBM stops early on what was issued from here on
TRAIN_EVERY = 5  # hours between the hours of issue LightGBM learns from: 41,610 forecasts, for time's sake
PATIENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # threads that wait for each other do not spin
LIMITS = {"accuracy": 0.97, "crps": 1.0, "coverage": 0.02, "coverage_worst": 0.05}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--model", nargs="+", help="ids of models in the warehouse, instead of training")
    parser.add_argument("--packages", type=Path, default=DEFAULT)
    args = parser.parse_args()
    settings = open_beijing(args.data)
    opponent = forecast_lightgbm(settings, args.packages)
    for model_id in args.model or (train_seed(settings, seed) for seed in args.seeds):
        evaluate_holdout(settings, model_id, opponent)


def train_seed(settings, seed: int) -> str:
    started = time.perf_counter()
    model_id = train(settings, replace(settings.model, seed=seed))
    say("training", model=model_id, seed=seed, seconds=time.perf_counter() - started)
    return model_id


def forecast_lightgbm(settings, packages: Path) -> dict[str, np.ndarray]:
    """LightGBM's forecasts of the year: station, issued_at, truth and forecast; made once and kept beside the warehouse."""
    kept = settings.data / "lightgbm.npz"
    if not kept.exists():
        started = time.perf_counter()
        train_file, test_file, out = (
            settings.data / f"lightgbm-{name}" for name in ("train.npz", "test.npz", "out.npy")
        )
        first = datetime(2000, 1, 1, tzinfo=TRAINED_UNTIL.tzinfo)
        known = read_forecasts(settings, first, TRAINED_UNTIL, TRAINED_UNTIL, TRAIN_EVERY, None)
        history, last = (HISTORY_HOURS - 1) * HOUR, UNTIL + (HORIZON_HOURS - 1) * HOUR
        asked = read_forecasts(settings, SINCE - history, last, NOW, EVERY // HOUR, SINCE)
        np.savez(train_file, **vars(known))
        np.savez(test_file, **vars(asked))
        python = python_with(packages, "lightgbm>=4.6,<5")
        script, border = Path(__file__).with_name("lightgbm_leads.py"), f"{BORDER:%Y-%m-%dT%H}"
        subprocess.run([python, script, train_file, test_file, border, out], check=True, stdout=sys.stderr, env=PATIENT)
        np.savez(kept, station=asked.station, issued_at=asked.issued_at, truth=asked.truth, forecast=np.load(out))
        for file in (train_file, test_file, out):
            file.unlink()
        say("lightgbm", forecasts_learned_from=len(known.station), seconds=time.perf_counter() - started)
    return dict(np.load(kept))


def evaluate_holdout(settings, model_id: str, opponent: dict[str, np.ndarray]) -> None:
    """Print how the model did beside its baselines and the opponent."""
    scores, warning = backtest(settings, SINCE, UNTIL, EVERY, NOW, model_id)
    assert warning is None, warning
    check_same_forecasts(settings, model_id, opponent, scores)
    mae = means(scores.filter(pl.col("variable") == TARGET), "mae")
    mae["lightgbm"] = float(np.nanmean(np.abs(opponent["forecast"] - opponent["truth"]), axis=0).mean())
    ratio = mae[model_id] / min(mae[RIDGE], mae["lightgbm"])
    say("accuracy", model=model_id, variable=TARGET, mae=mae, ratio=ratio, limit=LIMITS["accuracy"])
    say_scores(settings, model_id, scores)


def say_scores(settings, model_id: str, scores: pl.DataFrame) -> None:
    """Print CRPS beside that of the baselines, and coverage."""
    for (variable,), rows in scores.group_by("variable", maintain_order=True):
        crps = means(rows, "crps")
        best = min(value for name, value in crps.items() if name in BASELINES)
        say("crps", model=model_id, variable=variable, crps=crps, ratio=crps[model_id] / best, limit=LIMITS["crps"])
    often_none = [name for name, variable in settings.glossary.items() if variable.trace > 0]
    say_coverage(model_id, scores.filter(pl.col("model") == model_id), often_none)


def means(rows: pl.DataFrame, score: str) -> dict[str, float]:
    """The mean over all leads of each forecaster."""
    return dict(rows.group_by("model", maintain_order=True).agg(pl.col(score).mean()).iter_rows())


def say_coverage(model_id: str, every: pl.DataFrame, often_none: list[str]) -> None:
    rows = every.filter(~pl.col("variable").is_in(often_none))
    for percent in (50, 80, 90):
        covered, name = pl.col(f"coverage_{percent}"), percent / 100
        overall = rows.select((covered * pl.col("n")).sum() / pl.col("n").sum()).item()
        by_variable = every.group_by("variable", maintain_order=True)
        each = by_variable.agg((covered * pl.col("n")).sum() / pl.col("n").sum())
        worst = rows.sort((covered - name).abs()).row(-1, named=True)
        say("coverage", model=model_id, interval=percent, covered=overall, off=abs(overall - name), limit=LIMITS["coverage"],
            by_variable=dict(each.iter_rows()), worst_variable=worst["variable"], worst_lead=worst["lead_hours"],
            worst_covered=worst[f"coverage_{percent}"], worst_off=abs(worst[f"coverage_{percent}"] - name),
            worst_limit=LIMITS["coverage_worst"])  # fmt: skip


def check_same_forecasts(settings, model_id: str, opponent: dict[str, np.ndarray], scores: pl.DataFrame) -> None:
    """Stop unless the opponent forecast the very stations, hours of issue and leads that the backtest scored."""
    with settings.warehouse.write(NOW) as con:
        model, stations = find_model(con, model_id), read_stations(con)
        versions = read_versions(con, SINCE - (HISTORY_HOURS - 1) * HOUR, UNTIL + HORIZON_HOURS * HOUR, NOW)
    forecaster = load_checkpoint(settings.checkpoints / str(model["checkpoint"]))
    usable = keep_usable(versions, list(settings.glossary))
    block = open_block(forecaster, usable, stations, every=EVERY // HOUR, since=SINCE, until=UNTIL, whole_history=False)
    panel, c = block.windows.panel, forecaster.header.targets.index(TARGET)
    issued_at = np.datetime64(panel.start.replace(tzinfo=None), "us") + block.origins * np.timedelta64(HOUR)
    assert (panel.stations["station_id"].to_numpy().astype(str)[block.stations] == opponent["station"]).all()
    assert (issued_at == opponent["issued_at"]).all()
    leads = block.origins[:, None] + np.arange(1, HORIZON_HOURS + 1)
    target = panel.values[block.stations[:, None], np.minimum(leads, panel.hours - 1), c]
    np.testing.assert_allclose(np.where(leads < panel.hours, target, np.nan), opponent["truth"], atol=1e-3)
    scored = scores.filter((pl.col("variable") == TARGET) & (pl.col("model") == model_id)).sort("lead_hours")
    assert scored["n"].to_list() == (~np.isnan(opponent["truth"])).sum(axis=0).tolist()


if __name__ == "__main__":
    main()
