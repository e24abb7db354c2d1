"""The file and the lake hold the same, whatever is done, and each can become the other."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from daycast.errors import ConfigError, WarehouseError
from daycast.settings import Settings
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.maintain import migrate_warehouse
from daycast.steps.publish import publish_tables
from daycast.steps.verify import verify_forecasts
from daycast.variables import BUILT_IN
from daycast.warehouse.lake import Lake
from daycast.warehouse.publish.publication import PUBLIC_TABLES
from daycast.warehouse.warehouse import Warehouse, read_frame

pytestmark = pytest.mark.slow
NOW = datetime(2026, 2, 5, 10, 5, tzinfo=UTC)


def on(lake: Lake, settings: Settings) -> Settings:
    """The same settings, the lake in the file's place."""
    given = settings.model_dump(by_alias=True) | {
        "warehouse": {"lake": {"catalogue": lake.catalogue, "data": lake.data}}
    }
    return Settings.model_validate(given | {"model": settings.model})


def tables(settings: Settings) -> dict[str, pl.DataFrame]:
    """Every table, its columns by name and its rows in order."""
    with settings.warehouse.write(NOW) as con:
        found = {}
        for name in read_frame(con, "select_tables")["table_name"]:
            frame = pl.from_arrow(con.sql(f"from {name} order by all").to_arrow_table())
            found[name] = in_order(frame.select(sorted(frame.columns)))
        return found


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """By the keys first: numbers that were summed in another order may differ in their last digit."""
    return frame.sort(cs.exclude(cs.float(), pl.List), cs.float())


def assert_same_tables(left: dict[str, pl.DataFrame], right: dict[str, pl.DataFrame], exact: bool) -> None:
    """exact: one was copied from the other. Else both were computed, and sums over the rows of a lake may round otherwise."""
    assert left.keys() == right.keys()
    for name, frame in left.items():
        assert_frame_equal(frame, right[name], check_exact=exact)


def without_drawn(held: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables without the names that are drawn by lot wherever they are written."""
    drawn = {"unpublished": "touch_id", "publications": "publication_id"}
    rest = {name: frame.drop(drawn[name]) if name in drawn else frame for name, frame in held.items()}
    return {name: in_order(frame) if name in drawn else frame for name, frame in rest.items()}


def test_the_chain_gives_the_same_tables_on_both(
    trained, copy_of, new_lake_in_a_bucket: Callable[[], Lake], tmp_path: Path
) -> None:
    file = trained.settings
    lake = on(new_lake_in_a_bucket(), copy_of(file, "lake"))
    migrate_warehouse(lake, "lake", trained.at)
    for settings in (file, lake):
        issue_forecasts(settings, trained.at)
        later = trained.at + timedelta(hours=30)
        ingest_source(settings, settings.sources[0], later)
        verify_forecasts(settings, later)
        issue_forecasts(settings, later)
        publish_tables(settings, later)
    held = tables(file)
    assert len(held["scores"]) > 0
    assert len(held["forecasts"].unique(["issued_at"])) == 2
    assert_same_tables(without_drawn(held), without_drawn(tables(lake)), exact=False)
    shown = []
    for settings in (file, lake):
        with duckdb.connect(settings.published, read_only=True) as con:
            con.execute("set TimeZone = 'UTC'")
            names = [*PUBLIC_TABLES, "latest_forecasts", "forecast_errors", "station_coverage", "champion"]
            shown.append({name: in_order(pl.from_arrow(con.sql(f"from {name}").to_arrow_table())) for name in names})
            comments = "select table_name, column_name, comment from duckdb_columns() where not internal order by all"
            shown[-1]["comments"] = pl.from_arrow(con.sql(comments).to_arrow_table())
    assert_same_tables(*shown, exact=False)


def test_a_network_is_ingested_into_a_new_lake_as_into_a_new_file(new_lake: Callable[[], Lake], tmp_path: Path) -> None:
    source = {"kind": "simulated", "stations": 2, "history": "12d"}
    file = Settings.model_validate({"sources": [source]}, context={"folder": tmp_path})
    lake = on(new_lake(), Settings.model_validate({"sources": [source]}, context={"folder": tmp_path / "elsewhere"}))
    for settings in (file, lake):
        for moment in (NOW - timedelta(days=3), NOW):
            ingest_source(settings, settings.sources[0], moment)
    assert_same_tables(without_drawn(tables(file)), without_drawn(tables(lake)), exact=False)
    assert publish_tables(lake, NOW).is_file()


def test_file_to_lake_to_file_leaves_every_table_equal(trained, copy_of, new_lake: Callable[[], Lake]) -> None:
    before = tables(trained.settings)
    assert sum(len(frame) > 0 for frame in before.values()) >= 8
    lake = on(new_lake(), trained.settings)
    counts = migrate_warehouse(lake, "lake", trained.at)
    assert counts == {name: len(frame) for name, frame in before.items()}
    assert migrate_warehouse(lake, "lake", trained.at) == counts  # once more changes nothing
    assert_same_tables(before, tables(lake), exact=True)
    lake.warehouse_file.rename(lake.warehouse_file.with_name("old.duckdb"))
    assert migrate_warehouse(lake, "file", trained.at) == counts
    assert_same_tables(before, tables(trained.settings), exact=True)


def test_the_commands_of_the_guide_move_the_warehouse_to_the_lake_and_back(
    trained, copy_of, new_lake: Callable[[], Lake]
) -> None:
    lake, folder = new_lake(), trained.settings.data.parent
    (folder / "daycast.toml").write_text(
        f"[warehouse.lake]\ncatalogue = {json.dumps(lake.catalogue)}\ndata = {json.dumps(lake.data)}\n"
    )
    before = tables(trained.settings)
    for to in ("lake", "file"):
        moved = [sys.executable, "-m", "daycast", "migrate-warehouse", "--to", to]
        done = subprocess.run(moved, cwd=folder, capture_output=True, text=True, check=True)
        assert f"observation_versions: {len(before['observation_versions']):,} rows, the same in both" in done.stdout
        if to == "lake":
            trained.settings.warehouse_file.rename(folder / "old.duckdb")
    assert_same_tables(before, tables(trained.settings), exact=True)


def small(lake: Lake, folder: Path) -> Settings:
    settings = on(lake, Settings.model_validate({}, context={"folder": folder}))
    with Warehouse(settings.warehouse_file, BUILT_IN.values()).write(NOW) as con:
        con.execute("insert into watermarks select 'source' || range, $now from range(1000)", {"now": NOW})
        con.execute("insert into neighbours select 'a', 'b' || range, range from range(100)")
    return settings


@pytest.mark.parametrize("change", ["delete from {} where {} like '%7'", "insert into {} (select * from {} limit 1)"])
def test_rows_that_are_not_the_same_are_never_overwritten(
    new_lake: Callable[[], Lake], tmp_path: Path, change: str
) -> None:
    settings = small(new_lake(), tmp_path)
    migrate_warehouse(settings, "lake", NOW)
    second = "source" if "like" in change else "watermarks"
    with settings.warehouse.write(NOW) as con:
        con.execute(change.format("watermarks", second))
        there = con.execute("select count(*) from watermarks").fetchall()[0][0]
    with pytest.raises(
        WarehouseError, match=f"table watermarks already has {there:,} rows, other than the 1,000 to copy"
    ):
        migrate_warehouse(settings, "lake", NOW)
    assert len(tables(settings)["watermarks"]) == there


def test_what_has_no_lake_or_no_file_says_so(new_lake: Callable[[], Lake], tmp_path: Path) -> None:
    bare = Settings.model_validate({}, context={"folder": tmp_path})
    with pytest.raises(ConfigError, match=r"there is no \[warehouse.lake\]"):
        migrate_warehouse(bare, "lake", NOW)
    with pytest.raises(WarehouseError, match=r"there is no warehouse file .*warehouse\.duckdb"):
        migrate_warehouse(on(new_lake(), bare), "lake", NOW)


DIE = """
import json, os, sys
from datetime import UTC, datetime
import daycast.warehouse.maintenance as module
from daycast.settings import Settings
from daycast.steps.maintain import migrate_warehouse
given, fatal = json.loads(sys.argv[1]), int(sys.argv[2])
asked, real = 0, module._count_and_sum
def die(*arguments):
    global asked
    asked += 1
    if asked == fatal:
        os._exit(9)
    return real(*arguments)
module._count_and_sum = die
migrate_warehouse(Settings.model_validate(given), "lake", datetime(2026, 2, 5, tzinfo=UTC))
"""


def test_a_copy_that_was_killed_anywhere_is_completed_by_the_next(new_lake: Callable[[], Lake], tmp_path: Path) -> None:
    settings = small(new_lake(), tmp_path)
    given = json.dumps(json.loads(settings.model_dump_json(by_alias=True, include={"data", "stored"})))
    names = len(tables(settings))
    for fatal in (2, 20, 2 * names + 1):  # before a table, between two, and in the transaction that copied the last
        died = subprocess.run(
            [sys.executable, "-c", DIE, given, str(fatal)], check=False, capture_output=True, text=True
        )
        assert died.returncode == 9, died.stderr
        held = tables(settings)
        assert len(held["neighbours"]) in {0, 100}
        assert len(held["watermarks"]) in {0, 1000}
    migrate_warehouse(settings, "lake", NOW)
    with Warehouse(settings.warehouse_file, BUILT_IN.values()).write(NOW) as con:
        assert con.execute("select count(*) from watermarks").fetchall() == [(1000,)]
    assert len(tables(settings)["watermarks"]) == 1000
