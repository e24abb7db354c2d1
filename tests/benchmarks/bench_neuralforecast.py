"""How fast training is beside neuralforecast 3.3's GRU of the same width: windows a second of both in the same run.

Twelve sites in Beijing up to 2015-03-01 (or a simulated network where shared/data is not there); 168 hours to 24, GRU of 64, one
layer, batches of 256 windows, seven quantiles, one forecast origin a window. Theirs reads the same variables and a calendar and
forecasts the temperature alone; ours forecasts all targets, and trains as in every fit: as many members at once as there are
cores. It trains between two stretches of ours. `ratio` is theirs over ours: at most 1/7. `alone_windows_per_s` is theirs where it
reads nothing but the temperature itself. Three minutes on two cores, and more the first time, when neuralforecast is installed
into --packages (default .venv-bench-neuralforecast; 2 GB).

    python tests/benchmarks/bench_neuralforecast.py [--data FOLDER] [--packages FOLDER]
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import torch
from beijing_data import FILES, TRAINED_UNTIL, open_beijing
from measurement import say
from other_packages import DEFAULT, python_with
from simulated_versions import make_versions

from daycast.features.channels import make_channels
from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.quality.flags import keep_usable
from daycast.times import HOUR
from daycast.variables import BUILT_IN
from daycast.warehouse.observations import read_stations, read_versions

THEIR_STEPS, OUR_STEPS, LIMIT = 30, 20, 1 / 7
TARGET = "air_temperature_c"
CONFIG = ModelConfig(
    cell="gru",
    ensemble_size=torch.get_num_threads(),
    batch_size=256,
    steps_per_epoch=OUR_STEPS,
    epochs=6,
    patience=6,
    device="cpu",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with an ingested Beijing warehouse")
    parser.add_argument("--packages", type=Path, default=DEFAULT.with_name(f"{DEFAULT.name}-neuralforecast"))
    args = parser.parse_args()
    python = python_with(args.packages, "neuralforecast==3.3.*", f"torch=={torch.__version__.split('+')[0]}")
    with tempfile.TemporaryDirectory() as folder:
        versions, stations = read_data(args.data or Path(folder))
        series = Path(folder) / "series.parquet"
        alone = series.with_name("alone.parquet")
        write_series(versions, series)
        pl.read_parquet(series, columns=["unique_id", "ds", "y"]).write_parquet(alone)
        ours, theirs = [], []

        def watch(progress) -> None:
            ours.append(progress.windows_per_s)
            if (progress.member, progress.epoch) == (1, CONFIG.epochs // 2):
                theirs.extend(measure(python, file) for file in (series, alone))

        fit_forecaster(versions, stations, BUILT_IN, CONFIG, "", watch)
    speed = statistics.median(ours)
    say("neuralforecast", windows_per_s=theirs[0]["windows_per_s"], ours_windows_per_s=speed,
        ratio=theirs[0]["windows_per_s"] / speed, limit=LIMIT, times_faster=speed / theirs[0]["windows_per_s"],
        peak_gb=theirs[0]["peak_gb"],
        alone_windows_per_s=theirs[1]["windows_per_s"], stations=len(stations), threads=torch.get_num_threads())  # fmt: skip


def read_data(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    if not FILES.is_dir() and not (folder / "warehouse.duckdb").exists():
        return make_versions(12, timedelta(days=730))
    settings = open_beijing(folder)
    first = datetime(2000, 1, 1, tzinfo=TRAINED_UNTIL.tzinfo)
    with settings.warehouse.write(TRAINED_UNTIL) as con:
        versions, stations = read_versions(con, first, TRAINED_UNTIL, TRAINED_UNTIL), read_stations(con)
    return keep_usable(versions, list(settings.glossary)), stations


def write_series(versions: pl.DataFrame, path: Path) -> None:
    """Series without holes, as neuralforecast wants them: unique_id, ds, y, other variables (past_) and the calendar (known_)."""
    newest = (
        versions.sort("known_from").unique(["station_id", "observed_at"], keep="last").sort("station_id", "observed_at")
    )
    series = newest.upsample("observed_at", every=HOUR, group_by="station_id")
    others = make_channels(BUILT_IN[name] for name in BUILT_IN if name != TARGET and newest[name].count())
    day, year = (
        pl.col("observed_at").dt.hour() * (2 * math.pi / 24),
        pl.col("observed_at").dt.ordinal_day() * (2 * math.pi / 366),
    )
    calendar = {"hour_cos": day.cos(), "hour_sin": day.sin(), "year_cos": year.cos(), "year_sin": year.sin()}
    series.select(
        pl.col("station_id").forward_fill().alias("unique_id"),
        pl.col("observed_at").dt.replace_time_zone(None).alias("ds"),
        filled(pl.col(TARGET)).alias("y"),
        *(filled(channel.expression).alias(f"past_{channel.variable}_{channel.part}") for channel in others),
        *(angle.alias(f"known_{name}") for name, angle in calendar.items()),
    ).write_parquet(path)


def filled(expression: pl.Expr) -> pl.Expr:
    return expression.interpolate().forward_fill().backward_fill()


def measure(python: Path, series: Path) -> dict[str, float]:
    script = Path(__file__).with_name("neuralforecast_speed.py")
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "NIXTLA_ID_AS_COL": "1"}
    answer = subprocess.run(
        [python, script, series, str(THEIR_STEPS)], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return json.loads(answer.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
