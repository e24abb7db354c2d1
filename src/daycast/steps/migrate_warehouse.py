"""Move a network from the file onto the lake, or back."""

from datetime import datetime
from typing import Literal

from daycast.errors import ConfigError, WarehouseError
from daycast.settings import Settings
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.lake import Lake
from daycast.warehouse.transfer import copy_tables, read_variables


def migrate_warehouse(settings: Settings, to: Literal["lake", "file"], now: datetime) -> dict[str, int]:
    """Copy every table of the file onto the lake of the settings, or of that lake into the file; returns how many rows each has.

    What is copied from stays in place, and nobody writes to either meanwhile. Killed or run again, it completes what is missing.
    Raises ConfigError without a lake, WarehouseError where there is nothing to copy or other rows are in the way.
    """
    lake, file = settings.warehouse, settings.warehouse_file
    if not isinstance(lake, Lake):
        raise ConfigError("there is no [warehouse.lake] in the settings: both ways need to know where it is")
    if to == "lake" and not file.exists():
        raise WarehouseError(f"there is no warehouse file {file} to copy from")
    source, target = (file, lake) if to == "lake" else (lake, file)
    with (
        open_warehouse(source, settings.glossary.values(), now) as here,
        open_warehouse(target, read_variables(here), now) as there,
    ):
        try:
            return copy_tables(here, there)
        except WarehouseError as error:
            raise WarehouseError(f"{target}: {error}") from None
