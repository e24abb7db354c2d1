"""The workers of `daycast up`: those of Prefect, but a run begins a second sooner.

    python -m daycast.service.worker start --pool cpu

Prefect 3.9 has a process prepare the run's workspace, fetching code and installing what it needs, and load Prefect once more to
run the flow in it. The flows of daycast are installed here, so its process begins with the run. The one thing that this costs,
hooks for a crashed run, for which the worker itself would load the flow and keep it in memory, no flow of daycast has.
"""

import sys
from functools import partial
from typing import Any

from prefect.cli import app
from prefect.client.schemas.objects import FlowRun
from prefect.flows import Flow
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.workers import process


class _Configuration(process.ProcessJobConfiguration):
    """How a run's process is started: by the usual command, as if somebody had chosen it, and then it is all there is."""

    def prepare_for_flow_run(self, *arguments: Any, **named: Any) -> None:
        super().prepare_for_flow_run(*arguments, **named)
        self._command_configured = True


async def _without_hooks(_run: FlowRun) -> Flow[[], None]:
    return Flow(lambda: None, name="without-hooks")


def main() -> None:
    """Start a worker, as `prefect worker` does with these arguments."""
    process.ProcessWorker.job_configuration = _Configuration
    # in a process group of its own, so that all of its processes end with a run
    start = partial(EngineCommandStarter, isolate_process_group=True)
    process.EngineCommandStarter = start  # type: ignore[assignment, attr-defined]
    process.load_flow_from_flow_run = _without_hooks  # type: ignore[assignment, attr-defined]
    sys.argv[1:1] = ["worker"]
    app()


if __name__ == "__main__":
    main()
