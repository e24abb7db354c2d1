"""Fit a snapshot: Parquet files in, a checkpoint out. No warehouse is needed, so it can run on any machine.

`fit_and_save` fits in this process. `fit_in_processes` starts several, each on its own GPU, with torch's launcher, which runs
this module as a script in each of them: `main` takes the request as JSON and calls `fit_and_save`.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import polars as pl

from daycast.errors import DaycastError, ModelError
from daycast.model.checkpoint import save_checkpoint
from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.model.training.parallel import join_ranks
from daycast.model.training.state import TrainContext
from daycast.model.training.trainer import Progress
from daycast.report.progress import show_training
from daycast.variables import Variable

_log = logging.getLogger("daycast")


def fit_and_save(
    snapshot: Path,
    checkpoint: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    context: TrainContext,
    progress: Callable[[Progress], None],
) -> None:
    """Fit a forecaster to a snapshot (a folder of Parquet files) and write its checkpoint; only the process of rank 0 writes.

    progress: called after each epoch.
    """
    versions = pl.scan_parquet(snapshot / "observations.parquet", glob=False)  # a folder may be called "[garden]"
    stations = pl.read_parquet(snapshot / "stations.parquet", glob=False)
    external = snapshot / "external_forecasts.parquet"
    external_forecasts = pl.read_parquet(external, glob=False) if external.exists() else None
    forecaster = fit_forecaster(
        versions, stations, glossary, config, snapshot.name, progress, context, external_forecasts
    )
    if context.ranks.rank == 0:
        save_checkpoint(forecaster, checkpoint)


def fit_in_processes(
    snapshot: Path,
    checkpoint: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    champion: Path | None,
) -> None:
    """Fit with `config.processes` processes. Raises ModelError if one fails; its reason is on stderr.

    champion: the checkpoint whose networks the new ones start from, if any.
    """
    request = {
        "snapshot": str(snapshot),
        "checkpoint": str(checkpoint),
        "champion": None if champion is None else str(champion),
        "variables": [asdict(variable) for variable in glossary.values()],
        "model": asdict(config),
    }
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(config.processes)]
    command = [sys.executable, "-m", *launcher, "-m", "daycast.steps.fit", json.dumps(request)]
    # a terminal shows the bar of the first process; elsewhere its lines are lines of our log
    pipe = None if sys.stderr.isatty() else subprocess.PIPE
    process = subprocess.Popen(command, stderr=pipe, text=True, errors="replace")  # noqa: S603 - no shell is involved
    try:
        for line in process.stderr or ():
            _log.info("%s", line.strip())
        status = process.wait()
    except BaseException:
        process.terminate()  # not kill: that would leave its child processes behind
        raise
    if status:
        raise ModelError(
            f"training in {config.processes} processes ended with status {status}; the reason stands above"
        )


def main(request_json: str) -> int:
    """Do this process's share of the fit described by `request_json`. Returns the exit status."""
    request = json.loads(request_json)
    config = ModelConfig.from_json(request["model"])
    variables = {fields["name"]: Variable(**fields) for fields in request["variables"]}
    champion, checkpoint = request["champion"], Path(request["checkpoint"])
    try:
        with join_ranks(config.device) as ranks, _showing_progress(first=ranks.rank == 0) as progress:
            context = TrainContext(checkpoint.with_suffix(""), champion and Path(champion), ranks)
            fit_and_save(Path(request["snapshot"]), checkpoint, variables, config, context, progress)
    except DaycastError as error:
        print(f"daycast: {error}", file=sys.stderr)  # noqa: T201 - this is an entry point
        return 1
    return 0


def _showing_progress(*, first: bool) -> AbstractContextManager[Callable[[Progress], None]]:
    """The progress callback of the training loop: only the first process shows progress and logs."""
    logging.basicConfig(format="%(asctime)s %(message)s" if sys.stderr.isatty() else "%(message)s", datefmt="%H:%M:%S")
    logging.getLogger("daycast").setLevel(logging.INFO if first else logging.CRITICAL)
    return show_training() if first else nullcontext(lambda _: None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
