"""Give analysts the newest tables and the newest report."""

from prefect import flow

from daycast.flows.artifacts import show_summary
from daycast.flows.links import Links
from daycast.flows.warehouse_task import warehouse_task
from daycast.settings import clock, load_settings
from daycast.steps import publish as publishing
from daycast.steps import publish as reporting
from daycast.steps.record_run import recorded

publish_tables = warehouse_task(publishing.publish_tables)
write_report = warehouse_task(reporting.write_report)


@flow
def publish(config: str | None = None) -> None:
    """Replace the published file and the report page by newer ones; one that fails does not stop the other.

    Args:
        config: The configuration file; by default DAYCAST_CONFIG of the worker.
    """
    settings, now = load_settings(config), clock()
    with recorded(settings, "publish", now, clock):
        links = Links()
        published, report = links.attempt(publish_tables, settings, now), links.attempt(write_report, settings, now)
        made = [f"{what}: `{path}`" for what, path in (("Tables", published), ("Report", report)) if path]
        show_summary("publish", "\n\n".join([*made, *(f"Failed: {error}" for error in links.errors)]))
        links.raise_failures()
