"""Read a source again whose readings daycast had read wrongly: the same receipts, new values, the old ones retracted.

The source is first loaded into a warehouse of its own, beside the real one, as if nothing had ever been loaded of it. So what
comes out is what a clean ingest gives, and a killed run goes on where it was. Then `restate_source` brings the difference over,
month by month. Until that is done the old values stay in use, and ordinary loads of the source wait.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import duckdb
import polars as pl

from daycast.errors import ConfigError, listed
from daycast.features.deduplicate import deduplicate
from daycast.features.restate import Restated, restate
from daycast.settings import Settings
from daycast.sources.batch import Source
from daycast.sources.files.inbox import Inbox
from daycast.stations import unplaced_stations
from daycast.steps.edited_files import unit_of
from daycast.steps.load import find_superseded_units, stale_ranges
from daycast.times import DAY, HOUR
from daycast.variables import Variable
from daycast.warehouse.observations import mark_stale, read_stations
from daycast.warehouse.readings import read_batches, supersede_batches, upsert_stations
from daycast.warehouse.restatements import (
    EXTERNAL_FORECASTS,
    READINGS,
    Reread,
    RowTable,
    copy_batches,
    end_reread,
    forget_numbers,
    make_reread,
    read_mapping,
    read_months,
    read_origins,
    read_reread,
    read_rows,
    write_mapping,
    write_reread,
    write_restated,
)
from daycast.warehouse.warehouse import Warehouse, holding_slot, transaction

_FOLDER = "reread"  # below the data folder
_LARGEST_SHIFT = DAY + 2 * HOUR  # between two readings of one time: time zones differ by up to 26 hours
_BEFORE_EVERYTHING = datetime(1, 1, 1, tzinfo=UTC)
_ALL = ""  # the unit of a source that answers for spans of time
_SHOWN = 3  # changed settings in a line


def mapping_of(source: Source, variables: Mapping[str, Variable]) -> str | None:
    """How a source is read, as JSON; None if it has no settings for that."""
    mapping = getattr(source, "mapping", None)
    return mapping(variables) if mapping else None


def _read_times(mapping: str | None) -> Any:
    """How a mapping says that times are read."""
    return {key: value for key, value in json.loads(mapping or "{}").items() if key in {"time", "timezone"}}


def _read_as_before(before: str | None, after: str | None) -> list[str]:
    """The variables that both mappings read alike, if they differ in columns of variables alone."""
    old, new = json.loads(before or "{}"), json.loads(after or "{}")
    of_variables = ("columns", "declared")
    if old == new or any(old.get(key) != new.get(key) for key in {*old, *new} - {*of_variables}):
        return []

    def reads(mapping: Mapping[str, Any], name: str) -> list[Any]:
        return [mapping.get(key, {}).get(name) for key in of_variables]

    return [name for name in new.get("columns", {}) if reads(old, name) == reads(new, name)]


def mapping_id(mapping: str | None) -> str | None:
    """What stands for a mapping in `batches`."""
    return mapping and sha256(mapping.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Due:
    """What has to be read again, and why; reread: None if nothing of it can be."""

    reread: Reread | None
    changes: str  # of the settings; empty if the reread was asked for


@dataclass(frozen=True)
class Asked:
    """A reread that was asked for, of what was observed from `since` on; None: everything."""

    since: datetime | None


def find_due(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    variables: Mapping[str, Variable],
    now: datetime,
    asked: Asked | None,
) -> Due | None:
    """What has to be read again of a source, which is recorded; None if nothing has: its mapping is that of the held rows.

    If the mapping changed, everything is read again whatever was asked for. Raises ConfigError if a reread is asked for of a
    source that hands over everything once.
    """
    mapping, held, pending = (
        mapping_of(source, variables),
        read_mapping(con, source.name),
        read_reread(con, source.name),
    )
    forgets = getattr(source, "forgets", False)
    if asked and forgets:
        raise ConfigError(f"source {source.name!r} hands over each message once: nothing of it can be read again")
    is_empty = pending is None and read_batches(con, source.name).is_empty()
    changed = mapping is not None and held not in {None, mapping} and not is_empty
    if mapping is not None and mapping != held and (held is None or is_empty or forgets):
        with transaction(con):
            write_mapping(con, source.name, mapping)
    if is_empty or not (changed or asked or pending):
        return None
    changes = _changes(json.loads(held), json.loads(mapping)) if changed and held and mapping else ""
    if forgets:
        return Due(None, changes)
    since = asked.since if asked and not changed else None if changed or pending is None else pending.since
    if pending is None or pending.since != since:
        pending = make_reread(con, source.name, since, now)
        with transaction(con):
            write_reread(con, pending)
    return Due(pending, changes)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The settings that differ, each with both values."""
    old, new = dict(_flat(before)), dict(_flat(after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    told = [f"{name} is {_shown(new.get(name))}, was {_shown(old.get(name))}" for name in names[:_SHOWN]]
    return "; ".join(told) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _flat(table: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _shown(value: object) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def source_again(source: Source) -> Source:
    """The source as it is read again: with the files that it has put away."""
    return source.with_files_put_away() if isinstance(source, Inbox) else source


def put_away_by(source: Source) -> str | None:
    """The folder to which the source moves the files that it has read, if it does."""
    return source.after.move_to if isinstance(source, Inbox) and source.after != "keep" else None


def scratch_of(settings: Settings, reread: Reread, mapping: str | None) -> Warehouse:
    """The warehouse into which a source is read again; files of other rereads of the source are removed."""
    about = sha256(f"{mapping} {reread.since} {reread.begun_at.isoformat()}".encode()).hexdigest()[:16]
    remove_scratch(settings, reread.source, kept=about)
    return Warehouse(settings.data / _FOLDER / f"{_stem(reread.source)}-{about}.duckdb", settings.glossary.values())


def _stem(source: str) -> str:
    return sha256(source.encode()).hexdigest()[:16]


def remove_scratch(settings: Settings, source: str, kept: str | None = None) -> None:
    """Delete the warehouses into which a source was read again, except the one `kept`."""
    for file in (settings.data / _FOLDER).glob(f"{_stem(source)}-*"):
        if kept is None or not file.name.startswith(f"{_stem(source)}-{kept}"):
            file.unlink(missing_ok=True)


@contextmanager
def opened(scratch: Warehouse, now: datetime) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to such a warehouse, which needs no slot: nobody else opens it."""
    with holding_slot(nullcontext), scratch.write(now) as con:
        yield con


@dataclass
class Restatement:
    """What a reread came to, in rows."""

    retracted: int = 0
    left: int = 0  # rows that could not be read again
    left_until: datetime | None = None  # the newest of them

    def __str__(self) -> str:
        told = f"{self.retracted:,} rows were read wrongly and are restated with their times of receipt"
        told = told if self.retracted else "it was read again, and nothing had been read wrongly"
        if not self.left:
            return told
        return (
            f"{told}; {self.left:,} up to {self.left_until:%Y-%m-%dT%H:%MZ} cannot be read again and stay as they are"
        )


@dataclass(frozen=True)
class _Run:
    """What is known while a source is restated."""

    settings: Settings
    source: Source
    reread: Reread
    mapping: str | None
    scratch: Warehouse
    unread: Collection[str]  # files of which not everything could be read again, or anything of a source without files
    times_differ: bool  # whether times are read in another way now
    as_before: Sequence[str]  # variables that are read as before; empty if more than columns has changed
    now: datetime

    @contextmanager
    def both(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]]:
        """Connections to the warehouse and to the scratch."""
        with self.settings.warehouse.write(self.now) as con, opened(self.scratch, self.now) as again_con:
            yield con, again_con

    def unit(self) -> pl.Expr:
        """Of a frame with `origin`: the file that a row came from, or _ALL."""
        return pl.lit(_ALL) if self.source.resumes else unit_of(pl.col("origin"))


def restate_source(
    settings: Settings,
    source: Source,
    reread: Reread,
    scratch: Warehouse,
    stations: pl.DataFrame,
    unread: Collection[str],
    now: datetime,
) -> Restatement:
    """Bring what was read again into the warehouse, each month in a transaction; twice does no harm. Deletes the scratch.

    stations: those that the source lists. unread: the files (origins) that could not be read again; their rows stay. Rows that
    the source does not give again are retracted where it covers their time, else they stay. `make_observations` has to follow.
    """
    mapping = mapping_of(source, settings.glossary)
    with settings.warehouse.read(now) as con:
        before = read_mapping(con, source.name)
    times_differ = _read_times(before) != _read_times(mapping)
    run = _Run(settings, source, reread, mapping, scratch, unread, times_differ, _read_as_before(before, mapping), now)
    with run.both() as (con, again_con), transaction(con):
        records = copy_batches(again_con, con, source.name, reread.since)
        upsert_stations(con, stations, unplaced_stations(read_stations(again_con)["station_id"]))
        if reread.since is None:
            superseded = find_superseded_units(read_batches(con, source.name), records, whole=source.resumes)
            supersede_batches(con, superseded, now)
    outcome = Restatement()
    for table in (READINGS, EXTERNAL_FORECASTS):
        _restate_table(run, table, outcome)
    with settings.warehouse.write(now) as con:
        outcome.retracted = end_reread(con, reread, mapping, now, outcome.left)
    remove_scratch(settings, source.name)
    return outcome


def _restate_table(run: _Run, table: RowTable, outcome: Restatement) -> None:
    with run.both() as (con, again_con):
        name, since = run.source.name, run.reread.since
        months = {*read_months(con, table, name, since), *read_months(again_con, table, name, since)}
        floors = _floors(run, read_origins(con, table, name), read_origins(again_con, table, name))
        known = set(read_stations(again_con)["station_id"])
    for month in sorted(months):
        first = max(month, run.reread.since or month)
        until = _next_month(month)
        with run.both() as (con, again_con):
            rows, again = (read_rows(one, table, first, until) for one in (con, again_con))
            own = rows.filter(pl.col("source") == name)
            variables = list(run.settings.glossary)
            others = other_columns(rows, table, variables)
            restated = restate(
                own, again, variables, table.key, mapping_id(run.mapping), others, run.as_before, run.now
            )
            gone = own.join(again, on=table.key, how="anti").with_columns(unit=run.unit())
            gone = gone.join(floors, on="unit", how="left").with_columns(
                is_covered=(pl.col(table.instant) >= pl.col("floor")).fill_null(value=False)
                & (pl.lit(not run.source.resumes) | pl.col("station_id").is_in(list(known)))
                & pl.all_horizontal(pl.lit(value=True), pl.col(run.as_before).is_null())  # else it has them no more
            )
            left = gone.filter(~pl.col("is_covered"))
            _write_month(run, con, again_con, table, _with_gone(restated, gone.filter("is_covered")), rows)
        outcome.left += len(left)
        if not left.is_empty():  # months come in order
            outcome.left_until = left.select(pl.col(table.instant).max()).item()


def other_columns(rows: pl.DataFrame, table: RowTable, variables: Collection[str]) -> list[str]:
    """The variables that are not configured any more."""
    fixed = {*table.key, "received_at", "batch_id", "row_number", "source", "origin", "mapping", "is_stated"}
    return [name for name in rows.columns if name not in fixed and name not in variables]


def _next_month(month: datetime) -> datetime:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def _floors(run: _Run, held: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """unit, floor: from when on everything of a unit was read again, so that what did not come again was read wrongly.

    That is all of it if the rows that were held of it begin no earlier than another time zone explains; or if times are read in
    another way, and at least as many rows came again.
    """
    held, again = (one.group_by(unit=run.unit()).agg(pl.col("first").min(), pl.col("n").sum()) for one in (held, again))
    if run.source.resumes and run.unread:
        again = again.clear()
    again = again.filter(~pl.col("unit").is_in(list(run.unread)))
    again = again.with_columns(pl.col("first").fill_null(pl.col("first").min()))
    floors = again.join(held, on="unit", how="left", suffix="_held")
    is_all = pl.col("first_held") >= pl.col("first") - pl.lit(_LARGEST_SHIFT)
    is_all |= pl.lit(run.times_differ) & (pl.col("n") >= pl.col("n_held"))
    return floors.select("unit", floor=pl.when(is_all).then(pl.lit(_BEFORE_EVERYTHING)).otherwise("first"))


def _with_gone(restated: Restated, gone: pl.DataFrame) -> Restated:
    """The same, with rows that are retracted and have no successor."""
    rows = gone.select(restated.gone.columns)
    return replace(restated, retracted=pl.concat([restated.retracted, rows]), gone=pl.concat([restated.gone, rows]))


def _write_month(
    run: _Run,
    con: duckdb.DuckDBPyConnection,
    again_con: duckdb.DuckDBPyConnection,
    table: RowTable,
    restated: Restated,
    rows: pl.DataFrame,
) -> None:
    others = rows.filter(pl.col("source") != run.source.name)
    restated = replace(restated, fresh=_news(run, table, restated.fresh, others))
    if restated.gone.is_empty() and restated.stated.is_empty() and restated.fresh.is_empty():
        return
    restated = replace(restated, fresh=restated.fresh.drop("is_stated"))
    is_new = not restated.fresh.is_empty() or len(restated.stated) != len(restated.gone)
    with transaction(con):
        write_restated(con, table, restated, max(run.now, run.reread.begun_at))
        if table is READINGS and (is_new or not restated.retracted.is_empty()):
            parts = [restated.retracted, restated.stated, restated.fresh]
            changed = pl.concat(part.select(*table.key, "received_at") for part in parts)
            mark_stale(con, *stale_ranges(changed))
            for name, instants in _without_value(run, restated):
                forget_numbers(con, again_con, run.source.name, name, instants)


def _without_value(run: _Run, restated: Restated) -> Iterator[tuple[str, pl.DataFrame]]:
    """Of each variable that may be an amount, the station_id and observed_at of values that were retracted without another."""
    key = list(READINGS.key)
    for name, variable in run.settings.glossary.items():
        if variable.cell_method == "sum" and name in restated.retracted.columns:
            retracted, stated = (
                one.filter(pl.col(name).is_not_null()).select(key) for one in (restated.retracted, restated.stated)
            )
            without = retracted.join(stated, on=key, how="anti").unique()
            if not without.is_empty():
                yield name, without


def _news(run: _Run, table: RowTable, fresh: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The rows of keys of which the source had none, without those that say only what another source has said."""
    rows = fresh.with_row_index("row")
    held = others.join(rows, on=table.key, how="semi")
    if held.is_empty():
        return fresh
    variables = list(run.settings.glossary)
    keyed = [*table.key, "received_at", "row_number", *variables]
    parts = []
    for is_stated in (True, False):
        part = rows.filter(pl.col("is_stated") == is_stated).drop("row_number").rename({"row": "row_number"})
        clock = None if is_stated else run.now
        parts.append(deduplicate(part.select(keyed), held.select(keyed), variables, clock, None, table.key))
    new = pl.concat(parts).rename({"row_number": "row"})
    return new.join(rows.select("row", "batch_id", "row_number", "is_stated"), on="row", maintain_order="left")


def describe(due: Due, outcome: Restatement | None) -> str:
    """What was read again, and why, in one line; outcome: None if nothing can be."""
    why = f"how it is read has changed ({due.changes}): " if due.changes else ""
    return f"{why}{outcome or 'what was handed over before cannot be read again and stays as it is'}"


def unread_line(errors: Collection[str]) -> str:
    """What is said if not everything could be read again."""
    return f"; not read again: {listed(errors)}" if errors else ""
