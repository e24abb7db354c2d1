"""From the warehouse to the table of forecasts: 10,000 stations × 5 variables × 24 leads × 7 quantiles, in under a minute.

Prints a JSON line: `seconds` of `issue_forecasts` in a process that has imported everything (limit 60), and `ratio` to
a bare batched forward pass of the same network (as many members as by default) over the same windows as ready tensors. The
warehouse is made by direct inserts of a week of simulated hours with holes; the champion has learned nothing, which costs the
same. On two cores; a minute and a half in all.

With --dask, instead: the seconds of the step in one process, on two workers of Dask's, and with their start and end, in turn.

    python tests/benchmarks/bench_forecast.py [stations] [--profile | --dask]
"""

import os
import resource
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch
from measurement import say
from simulated_versions import UNTIL, VARIABLES, make_versions

from daycast.features.panel import make_panel
from daycast.model.checkpoint import load_checkpoint, save_checkpoint
from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.model.linear.ridge import linear_forecast, path_features
from daycast.settings import load_settings
from daycast.settings.sections import ComputeSettings
from daycast.steps.forecast import issue_forecasts
from daycast.times import HISTORY_HOURS, HOUR
from daycast.variables import BUILT_IN, check_column, flag_column
from daycast.warehouse.models import ModelEntry, register_model
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames

T0 = UNTIL - HOUR
LIMIT_S = 60
CONFIG = ModelConfig(epochs=1, steps_per_epoch=1, validation_days=5, holdout_days=5, device="cpu")


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    stations = int(arguments[0]) if arguments else 10_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DAYCAST_DATA"] = folder
        settings = load_settings()
        checkpoint = settings.checkpoints / "champion.safetensors"
        save_checkpoint(fit_forecaster(*make_versions(12, timedelta(days=80)), BUILT_IN, CONFIG, ""), checkpoint)
        versions, places = make_versions(stations, HISTORY_HOURS * HOUR)
        fill(settings, versions, places, checkpoint)
        if "--profile" in sys.argv:
            profile(settings)
        if "--dask" in sys.argv:
            compare_with_dask(settings, Path(folder))
            return
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        rows = issue_forecasts(settings, UNTIL, T0)
        seconds = time.perf_counter() - started
        bare = bare_forward_seconds(load_checkpoint(checkpoint, "cpu"), versions, places)
    assert len(rows) == stations * len(VARIABLES) * 24, len(rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say("forecast", stations=stations, rows=len(rows), seconds=seconds, limit_seconds=LIMIT_S, ratio_to_limit=seconds / LIMIT_S,
        bare_forward_seconds=bare, ratio=seconds / bare, peak_memory_gb=peak, peak_before_gb=before / 2**20,
        threads=torch.get_num_threads())  # fmt: skip


def compare_with_dask(settings, folder: Path) -> None:
    """Three times each, in turn; the shortest counts."""
    from daycast.service.ephemeral_server import EphemeralServer

    server = EphemeralServer(folder / "prefect")
    os.environ |= {"PREFECT_HOME": str(folder / "prefect"), **server.environment}
    server.wait()
    from prefect import flow

    from daycast.flows.map_blocks import mapping_blocks

    @flow
    def issue(settings) -> tuple[float, float]:
        started = time.perf_counter()
        with mapping_blocks(settings) as map_blocks:
            ready = time.perf_counter()
            issue_forecasts(settings, UNTIL, T0, map_blocks=map_blocks)
            done = time.perf_counter()
        return done - ready, time.perf_counter() - started

    compute = {"process": settings.compute, "dask": ComputeSettings(task_runner="dask", workers=2)}
    times = {name: [] for name in compute}
    for _ in range(3):
        for name, runner in compute.items():
            times[name].append(issue(settings.model_copy(update={"compute": runner})))
    alone, _ = map(min, zip(*times["process"], strict=True))
    step, whole = map(min, zip(*times["dask"], strict=True))
    say("forecast_on_dask", seconds=alone, step_on_dask_seconds=step, whole_on_dask_seconds=whole,
        ratio=step / alone, ratio_of_whole=whole / alone, threads=torch.get_num_threads(), every=str(times))  # fmt: skip


def fill(settings, versions: pl.DataFrame, places: pl.DataFrame, checkpoint: Path) -> None:
    """A warehouse with these observations, all of them good, and the checkpoint's network as champion."""
    flagged = versions.with_columns(
        *(pl.lit(1 if v in VARIABLES else 9, pl.UInt8).alias(flag_column(v)) for v in settings.glossary),
        *(pl.lit(None, pl.String).alias(check_column(v)) for v in settings.glossary),
    )
    forecaster = load_checkpoint(checkpoint, "cpu")
    entry = ModelEntry("champion", forecaster.header.cell, checkpoint.name, "", T0, T0, "a benchmark", "{}")
    nothing = {"forecaster": pl.String, "variable": pl.String, "lead_hours": pl.UInt8, "n": pl.Int64}
    with settings.warehouse.write(UNTIL) as con:
        with frames(con, versions=flagged, listed=places):
            con.execute(statement("insert_observation_versions"))
            con.execute(statement("insert_stations"))
        register_model(con, entry, pl.DataFrame(schema=nothing), promote=True)


@torch.inference_mode()
def bare_forward_seconds(forecaster, versions: pl.DataFrame, places: pl.DataFrame) -> float:
    """All windows through the network, as they lie ready; the shorter of two runs."""
    panel = make_panel(versions, places, forecaster.header.channels, T0 - (HISTORY_HOURS - 1) * HOUR, T0)
    windows, weights, V = forecaster.open(panel), forecaster.weights.path, len(forecaster.header.targets)
    parts = torch.arange(len(places)).split(2_048)
    times = []
    for _ in range(2):
        seconds = 0.0
        for at in parts:  # one ready at a time: all of them would need ten gigabytes
            batch = windows.gather(at, torch.full_like(at, HISTORY_HOURS - 1))
            linear = linear_forecast(weights, batch, V, path_features)
            started = time.perf_counter()
            forecaster.network(batch, linear)
            seconds += time.perf_counter() - started
        times.append(seconds)
    return float(np.min(times))


def profile(settings) -> None:
    """Where the time goes, on stderr; the forecasts are then made once more."""
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.runcall(issue_forecasts, settings, UNTIL, T0)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
