"""Give analysts the newest tables."""

from datetime import datetime
from pathlib import Path

from daycast.settings import Settings
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.history import remove_unnamed
from daycast.warehouse.publish import publish


def publish_tables(settings: Settings, now: datetime) -> Path:
    """Replace the published file by one with all that is in the warehouse, and return its path."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        publish(con, settings.published, settings.publish.parquet_above)
        remove_unnamed(settings.published, now)
    return settings.published
