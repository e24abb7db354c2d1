"""Give analysts the newest tables."""

from datetime import datetime
from pathlib import Path

from daycast.settings import Settings
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.publish import publish


def publish_tables(settings: Settings, now: datetime) -> Path:
    """Replace the published file by one with all that is in the warehouse, and return its path."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        publish(con, settings.published)
    return settings.published
