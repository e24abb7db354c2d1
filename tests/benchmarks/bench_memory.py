"""How much memory a fit takes: its peak over the bare imports, in multiples of the data array (stations × hours × channels).

Prints a JSON line for 12 and for 1,000 stations × 3 years: `ratio` is wanted to be at most 3. `working_mb` is what a fit of next
to no data takes (batches of windows, moments of the linear path, gradients; give or take a fifth): it does not grow with it,
and at 12 stations, with an array of 6 MB, it is all there is. Each fit reads a snapshot in a process of its own and trains for a
few steps. Three minutes on two cores, most of it for the 1,000 stations.

    python tests/benchmarks/bench_memory.py [stations ...]
"""

import contextlib
import importlib
import json
import resource
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import polars as pl
from measurement import say

LIMIT = 3.0
YEARS, CHANNELS, TOGETHER = 3, 5, 25  # stations simulated; the rest are copies of them
CONFIG = {"ensemble_size": 2, "epochs": 1, "steps_per_epoch": 4, "device": "cpu"}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = peak_mb("fit", write_snapshot(folder / "small", 3, timedelta(days=200)))
        bare = peak_mb("imports", folder)
        working = small - bare
        for stations in [int(argument) for argument in sys.argv[1:]] or [12, 1_000]:
            history = timedelta(days=365 * YEARS)
            peak = peak_mb("fit", write_snapshot(folder / str(stations), stations, history)) - bare
            array = stations * (history.days * 24) * CHANNELS * 4 / 2**20
            say("memory", stations=stations, years=YEARS, array_mb=array, peak_mb=peak, working_mb=working, imports_mb=bare,
                ratio=peak / array, limit=LIMIT)  # fmt: skip


def peak_mb(what: str, folder: Path) -> float:
    """The most memory a process of its own held."""
    answer = subprocess.run(
        [sys.executable, __file__, "--in", what, folder], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(answer.stdout)


def write_snapshot(folder: Path, stations: int, history: timedelta) -> Path:
    """A snapshot as `daycast retrain` writes it, in which one value in a hundred is suspect."""
    from simulated_versions import VARIABLES, make_versions

    folder.mkdir()
    versions, places = make_versions(min(stations, TOGETHER), history)
    weight = pl.when(pl.int_range(pl.len()) % 100 == 0).then(0.5).otherwise(1.0).cast(pl.Float32)
    versions = versions.with_columns(weight.alias(f"{name}_truth_weight") for name in VARIABLES)
    for k in range(-(-stations // TOGETHER)):
        number = pl.concat_str(pl.lit(f"{k:03}"), "station_id").alias("station_id")
        versions.with_columns(number).write_parquet(folder / f"part{k:03}.parquet")
        places.with_columns(number).write_parquet(folder / f"place{k:03}.parquet")
    pl.scan_parquet(folder / "part*.parquet").sink_parquet(folder / "observations.parquet")
    pl.read_parquet(folder / "place*.parquet").head(stations).write_parquet(folder / "stations.parquet")
    return folder


def in_child(what: str, folder: Path) -> None:
    from daycast.model.config import ModelConfig
    from daycast.steps.train import fit_snapshot
    from daycast.variables import BUILT_IN

    if what == "fit":
        fit_snapshot(folder, folder / "checkpoints", BUILT_IN, ModelConfig(**CONFIG), lambda _: None)
        (folder.parent / "imported.json").write_text(json.dumps([name for name in sys.modules if name != "__main__"]))
    else:  # also what a fit imports only when it gets there
        for name in json.loads((folder / "imported.json").read_text()):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in"]:
        in_child(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
