"""A fit by several processes, each on a GPU of its own, which torch's launcher starts on this machine.

The launcher runs this module once in each of them, with the request as its only argument.
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

# From a snapshot to a checkpoint, in this very process.


def fit_and_save(
    snapshot: Path,
    checkpoint: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    context: TrainContext,
    watch: Callable[[Progress], None],
) -> None:
    """Fit a forecaster to the Parquet files of a snapshot and write its checkpoint; of several processes the first one does."""
    versions = pl.scan_parquet(snapshot / "observations.parquet", glob=False)  # a folder may be called "[garden]"
    stations = pl.read_parquet(snapshot / "stations.parquet", glob=False)
    external = snapshot / "external_forecasts.parquet"
    external_forecasts = pl.read_parquet(external, glob=False) if external.exists() else None
    forecaster = fit_forecaster(versions, stations, glossary, config, snapshot.name, watch, context, external_forecasts)
    if context.ranks.rank == 0:
        save_checkpoint(forecaster, checkpoint)


def fit_in_processes(
    snapshot: Path,
    checkpoint: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    champion: Path | None,
) -> None:
    """Fit with `config.processes` of them. Raises ModelError where one failed; it has said why on stderr."""
    request = {
        "snapshot": str(snapshot),
        "checkpoint": str(checkpoint),
        "champion": None if champion is None else str(champion),
        "variables": [asdict(variable) for variable in glossary.values()],
        "model": asdict(config),
    }
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(config.processes)]
    command = [sys.executable, "-m", *launcher, "-m", "daycast.steps.fit", json.dumps(request)]
    process = subprocess.Popen(command)  # noqa: S603 - nothing of it is a shell's
    try:
        status = process.wait()
    except BaseException:
        process.terminate()  # not killed, which would leave its processes behind; whoever interrupts does not wait
        raise
    if status:
        raise ModelError(
            f"training in {config.processes} processes ended with status {status}; the reason stands above"
        )


def main(text: str) -> int:
    """The part of this process in a fit; returns the exit status."""
    request = json.loads(text)
    config = ModelConfig.from_json(request["model"])
    variables = {fields["name"]: Variable(**fields) for fields in request["variables"]}
    champion, checkpoint = request["champion"], Path(request["checkpoint"])
    try:
        with join_ranks(config.device) as ranks, _shown(first=ranks.rank == 0) as watch:
            context = TrainContext(checkpoint.with_suffix(""), champion and Path(champion), ranks)
            fit_and_save(Path(request["snapshot"]), checkpoint, variables, config, context, watch)
    except DaycastError as error:
        print(f"daycast: {error}", file=sys.stderr)  # noqa: T201 - this is an entry point
        return 1
    return 0


def _shown(*, first: bool) -> AbstractContextManager[Callable[[Progress], None]]:
    """What to hand to the training loop as `watch`: the first process speaks for all."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("daycast").setLevel(logging.INFO if first else logging.CRITICAL)
    return show_training() if first else nullcontext(lambda _: None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
