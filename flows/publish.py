"""Publish the newest tables, the newest report and every other output for readers."""

from datetime import datetime
from pathlib import Path

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.runs import alone, named
from daycast.flows.stages import Stages
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import Settings, clock, load_settings
from daycast.steps import publish as publish_steps
from daycast.steps.record_run import recorded

OUTPUTS = {name: warehouse_task(make) for name, make in publish_steps.OUTPUTS.items()}


def make_outputs(stages: Stages, settings: Settings, until: datetime | None = None) -> dict[str, Path]:
    """Make every output, each as a stage of its own. Returns the files of those that did not fail, by name."""
    made = {name: stages.run(make, settings, clock(), until) for name, make in OUTPUTS.items()}
    return {name: path for name, path in made.items() if path}


@flow(flow_run_name=named("publish"))
@alone
def publish(config: str | None = None) -> None:
    """Replace the published file, the report page and every other output. If one fails, the others are still replaced.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
    """
    settings = load_settings(config)
    with recorded(settings, "publish", clock(), clock):
        stages = Stages()
        made = [f"{name}: `{path}`" for name, path in make_outputs(stages, settings).items()]
        show_summary("publish", "\n\n".join([*made, *(f"Failed: {error}" for error in stages.errors)]), settings)
        stages.raise_errors()
