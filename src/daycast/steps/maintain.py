"""Move a network from the file onto the lake, or back."""

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl

from daycast.errors import ConfigError, WarehouseError
from daycast.files import remove_drafts
from daycast.settings import Settings
from daycast.steps.load import LONGEST_SILENCE
from daycast.times import DAY
from daycast.warehouse.lake import Lake, is_lake
from daycast.warehouse.maintenance import copy_tables, delete_old_rows, read_variables, vacuum_lake
from daycast.warehouse.models import read_models
from daycast.warehouse.publish.history import remove_unnamed
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.runs import read_newest_observed
from daycast.warehouse.warehouse import Warehouse

# Keep the state of a network from growing without end: what is older than it is kept goes, and small files become one.


_OF_EARLIER_VERSIONS = re.compile(
    r"published\.tmp|heartbeat\.tmp|report\.\d+\.tmp|[0-9a-f]{16}\.(.+\.)?tmp|(stations|covariates|observations)\.tmp"
)


@dataclass(frozen=True)
class Upkeep:
    """What went, or with a dry run would go."""

    forecasts: int
    scores: int
    files: tuple[Path, ...]  # checkpoints and snapshots

    def __str__(self) -> str:
        names = ", ".join(f"{file.parent.name}/{file.name}" for file in self.files) or "no file"
        return f"{self.forecasts:,} forecasts, {self.scores:,} scores; {names}"


def maintain(settings: Settings, now: datetime, *, dry_run: bool = False, until: datetime | None = None) -> Upkeep:
    """Delete what [retention] no longer keeps, and publish without it.

    Small files of the published history become one, and those of a lake, of which past states are forgotten after a day.
    Days are UTC days, counted back from that of `until`, by default `now`; yet at most from 31 days after the newest observation:
    a clock that is wrong once would delete everything. The checkpoint of a model is kept while it serves, could be rolled back
    to, is the newest, or any of its forecasts is there, because these may have to be verified again. With `dry_run` nothing is
    altered. Returns what went.
    """
    keep = settings.retention
    with settings.warehouse.write(now) as con:
        newest = read_newest_observed(con)
        last = min(until or now, newest + LONGEST_SILENCE) if newest else until or now
        today = last.replace(hour=0, minute=0, second=0, microsecond=0)
        old = delete_old_rows(
            con,
            today - keep.forecasts_days * DAY if keep.forecasts_days else None,
            today - keep.scores_days * DAY if keep.scores_days else None,
            dry_run=dry_run,
        )
        files = (
            () if keep.models is None else _superseded(settings, read_models(con), old.forecasting_models, keep.models)
        )
        if not dry_run:
            _remove_left_behind(settings, now)
            for file in files:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            publish(con, settings.published, settings.publish.parquet_above, compact=True)
            if is_lake(con):
                vacuum_lake(con)
            remove_unnamed(settings.published, now)
    return Upkeep(old.forecasts, old.scores, files)


def _remove_left_behind(settings: Settings, now: datetime) -> None:
    """Remove what killed processes left half written; of earlier versions, which did not say whose it was, after a day."""
    for folder in (settings.data, settings.checkpoints, settings.snapshots, *settings.snapshots.glob("*")):
        remove_drafts(folder)
        for file in folder.glob("*.tmp"):
            if _OF_EARLIER_VERSIONS.fullmatch(file.name) and file.stat().st_mtime < (now - DAY).timestamp():
                file.unlink()


def _superseded(settings: Settings, models: pl.DataFrame, forecasting: frozenset[str], others: int) -> tuple[Path, ...]:
    """The checkpoints and snapshots of models that are not kept; one that several share is kept for any of them."""
    order = models.sort(pl.col("promoted_at"), pl.col("registered_at"), descending=True, nulls_last=True)
    newest = pl.col("registered_at") == pl.col("registered_at").max()
    needed = order.filter(newest | (pl.col("role") == "champion") | pl.col("model_id").is_in(list(forecasting)))
    rest = order.join(needed, on="model_id", how="anti", maintain_order="left")
    promoted = rest.filter(pl.col("promoted_at").is_not_null()).height
    kept = pl.concat([needed, rest.head(max(others, min(promoted, 1)))])  # one to roll back to, whatever is configured
    gone = order.join(kept, on="model_id", how="anti", maintain_order="left")
    checkpoints = sorted(set(gone["checkpoint"]) - set(kept["checkpoint"]))
    snapshots = sorted(set(gone["data_hash"]) - set(kept["data_hash"]))
    places = [
        *(settings.checkpoints / name for name in checkpoints),
        *(settings.snapshots / name for name in snapshots),
    ]
    folders = (settings.checkpoints, settings.snapshots)
    return tuple(place for place in places if place.parent in folders and place.exists())


def migrate_warehouse(settings: Settings, to: Literal["lake", "file"], now: datetime) -> dict[str, int]:
    """Copy every table of the file onto the lake of the settings, or of that lake into the file; returns how many rows each has.

    What is copied from stays in place, and nobody writes to either meanwhile. Killed or run again, it completes what is missing.
    Raises ConfigError without a lake, WarehouseError where there is nothing to copy or other rows are in the way.
    """
    lake, file = settings.warehouse.where, settings.warehouse_file
    if not isinstance(lake, Lake):
        raise ConfigError("there is no [warehouse.lake] in the settings: both ways need to know where it is")
    if to == "lake" and not file.exists():
        raise WarehouseError(f"there is no warehouse file {file} to copy from")
    source, target = (file, lake) if to == "lake" else (lake, file)
    with (
        Warehouse(source, settings.glossary.values()).read(now) as here,
        Warehouse(target, read_variables(here)).write(now) as there,
    ):
        try:
            return copy_tables(here, there)
        except WarehouseError as error:
            raise WarehouseError(f"{target}: {error}") from None
