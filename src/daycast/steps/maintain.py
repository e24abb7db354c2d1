"""Maintenance: delete what is older than [retention] allows, merge small files, and move the warehouse to a lake or back."""

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
from daycast.steps.map_blocks import MapBlocks
from daycast.steps.observe import LONGEST_SILENCE
from daycast.steps.observe import recheck as recheck_hours
from daycast.times import DAY
from daycast.warehouse.lake import Lake, is_lake
from daycast.warehouse.maintenance import copy_tables, delete_old_rows, read_variables, vacuum_lake
from daycast.warehouse.models import read_models
from daycast.warehouse.publish.history import remove_unnamed
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.runs import read_newest_observed
from daycast.warehouse.warehouse import Warehouse

_OF_EARLIER_VERSIONS = re.compile(
    r"published\.tmp|heartbeat\.tmp|report\.\d+\.tmp|[0-9a-f]{16}\.(.+\.)?tmp|(stations|covariates|observations)\.tmp"
)


@dataclass(frozen=True)
class Upkeep:
    """What was deleted, or in a dry run would be."""

    forecasts: int  # rows
    scores: int  # rows
    files: tuple[Path, ...]  # checkpoints and snapshots
    rechecked: int | None = None  # newly flagged values, if all hours were checked again by new thresholds

    def __str__(self) -> str:
        names = ", ".join(f"{file.parent.name}/{file.name}" for file in self.files) or "no file"
        again = (
            ""
            if self.rechecked is None
            else f"; all hours checked again, {self.rechecked:,} values of them changed and flagged"
        )
        return f"{self.forecasts:,} forecasts, {self.scores:,} scores; {names}{again}"


def maintain(
    settings: Settings,
    now: datetime,
    *,
    dry_run: bool = False,
    until: datetime | None = None,
    recheck: bool = False,
    map_blocks: MapBlocks = map,
) -> Upkeep:
    """Delete what is older than [retention] allows, then publish. Returns what was deleted.

    First all hours are checked again if the thresholds of checks have changed since, or if `recheck` asks for it.

    Also merges the small files of the published history and of a lake, whose snapshots expire after a day. Retention counts UTC
    days back from the day of `until`, by default `now`, or from 31 days after the newest observation if that is earlier: a wrong
    clock must not delete everything. A checkpoint is kept while its model serves, can be rolled back to, is the newest, or has
    forecasts, which may have to be verified again. With `dry_run` nothing changes.
    """
    retention = settings.retention
    flagged = None if dry_run else recheck_hours(settings, now, map_blocks=map_blocks, asked=recheck)
    with settings.warehouse.write(now) as con:
        newest = read_newest_observed(con)
        last = min(until or now, newest + LONGEST_SILENCE) if newest else until or now
        today = last.replace(hour=0, minute=0, second=0, microsecond=0)
        old = delete_old_rows(
            con,
            today - retention.forecasts_days * DAY if retention.forecasts_days else None,
            today - retention.scores_days * DAY if retention.scores_days else None,
            dry_run=dry_run,
        )
        files = (
            ()
            if retention.models is None
            else _superseded(settings, read_models(con), old.forecasting_models, retention.models)
        )
        if not dry_run:
            _remove_left_behind(settings, now)
            for file in files:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            publish(con, settings.published, settings.publish.parquet_above, compact=True)
            if is_lake(con):
                vacuum_lake(con)
            remove_unnamed(settings.published, now)
    return Upkeep(old.forecasts, old.scores, files, None if flagged is None else flagged.total())


def _remove_left_behind(settings: Settings, now: datetime) -> None:
    """Remove drafts of killed processes; those of earlier versions, which do not name their process, after a day."""
    for folder in (settings.data, settings.checkpoints, settings.snapshots, *settings.snapshots.glob("*")):
        remove_drafts(folder)
        for file in folder.glob("*.tmp"):
            if _OF_EARLIER_VERSIONS.fullmatch(file.name) and file.stat().st_mtime < (now - DAY).timestamp():
                file.unlink()


def _superseded(settings: Settings, models: pl.DataFrame, forecasting: frozenset[str], others: int) -> tuple[Path, ...]:
    """The checkpoints and snapshots to delete. A file shared by several models is kept if any of them is.

    forecasting: ids of models that have forecasts. others: how many models to keep beyond those that must be kept.
    """
    order = models.sort(pl.col("promoted_at"), pl.col("registered_at"), descending=True, nulls_last=True)
    newest = pl.col("registered_at") == pl.col("registered_at").max()
    needed = order.filter(newest | (pl.col("role") == "champion") | pl.col("model_id").is_in(list(forecasting)))
    rest = order.join(needed, on="model_id", how="anti", maintain_order="left")
    promoted = rest.filter(pl.col("promoted_at").is_not_null()).height
    kept = pl.concat([needed, rest.head(max(others, min(promoted, 1)))])  # always keep one to roll back to
    superseded = order.join(kept, on="model_id", how="anti", maintain_order="left")
    checkpoints = sorted(set(superseded["checkpoint"]) - set(kept["checkpoint"]))
    snapshots = sorted(set(superseded["data_hash"]) - set(kept["data_hash"]))
    places = [
        *(settings.checkpoints / name for name in checkpoints),
        *(settings.snapshots / name for name in snapshots),
    ]
    folders = (settings.checkpoints, settings.snapshots)
    return tuple(place for place in places if place.parent in folders and place.exists())


def migrate_warehouse(settings: Settings, to: Literal["lake", "file"], now: datetime) -> dict[str, int]:
    """Copy every table from the file to the configured lake, or from the lake to the file. Returns the rows of each table.

    The source stays as it is, and nobody can write to either meanwhile. Run again, it completes a killed copy. Raises ConfigError
    if no lake is configured, and WarehouseError if there is nothing to copy or the target has other rows.
    """
    lake, file = settings.warehouse.where, settings.warehouse_file
    if not isinstance(lake, Lake):
        raise ConfigError("there is no [warehouse.lake] in the settings: both ways need to know where it is")
    if to == "lake" and not file.exists():
        raise WarehouseError(f"there is no warehouse file {file} to copy from")
    source, target = (file, lake) if to == "lake" else (lake, file)
    with (
        Warehouse(source, settings.glossary.values()).read(now) as source_con,
        Warehouse(target, read_variables(source_con)).write(now) as target_con,
    ):
        try:
            return copy_tables(source_con, target_con)
        except WarehouseError as error:
            raise WarehouseError(f"{target}: {error}") from None
