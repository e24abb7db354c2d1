"""Publish the newest tables and the newest report for analysts."""

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.stages import Stages
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import clock, load_settings
from daycast.steps import publish as publish_steps
from daycast.steps.record_run import recorded

publish_tables = warehouse_task(publish_steps.publish_tables)
write_report = warehouse_task(publish_steps.write_report)


@flow
def publish(config: str | None = None) -> None:
    """Replace the published file and the report page. If one fails, the other is still replaced.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
    """
    settings, now = load_settings(config), clock()
    with recorded(settings, "publish", now, clock):
        stages = Stages()
        published, report = stages.run(publish_tables, settings, now), stages.run(write_report, settings, now)
        made = [f"{what}: `{path}`" for what, path in (("Tables", published), ("Report", report)) if path]
        show_summary("publish", "\n\n".join([*made, *(f"Failed: {error}" for error in stages.errors)]))
        stages.raise_errors()
