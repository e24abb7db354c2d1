"""Migrations: each once, whole or not at all, and never over a file that another version made."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
import torch

from daycast.errors import StorageError, WarehouseError
from daycast.files import explained
from daycast.model.calibration.calibration import from_rows
from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.times import DAY, HOUR
from daycast.variables import BUILT_IN, Variable, check_column, flag_column
from daycast.warehouse import migrations as module
from daycast.warehouse.migrations import add_variable_columns, create_views, migrate
from daycast.warehouse.models import read_calibrations
from daycast.warehouse.publish.publication import PUBLIC_TABLES
from daycast.warehouse.statements import sql_folder
from daycast.warehouse.warehouse import Warehouse

NOW = datetime(2026, 2, 1, tzinfo=UTC)
RELEASED = sql_folder()  # before a test replaces it
SOIL = Variable("soil_moisture_pct", "soil moisture", "%", 0.0, 100.0)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect(tmp_path / "warehouse.duckdb")
    yield con
    con.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations that holds the released first one, in place of the real folder."""
    folder = tmp_path / "sql" / "migrations"
    folder.mkdir(parents=True)
    released = sql_folder() / "migrations" / "0001_tables.sql"
    (folder / released.name).write_text(released.read_text())
    monkeypatch.setattr(module, "sql_folder", lambda: tmp_path / "sql")
    return folder


def tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}


def columns(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    query = "select column_name from duckdb_columns() where table_name = $table order by column_index"
    return [name for (name,) in con.execute(query, {"table": table}).fetchall()]


def release_before(number: str, folder: Path) -> None:
    """Put the migrations before this number into the folder."""
    for path in (RELEASED / "migrations").glob("*.sql"):
        if path.stem < number:
            (folder / path.name).write_text(path.read_text())


def test_a_fresh_file_gets_every_table_once(con: duckdb.DuckDBPyConnection) -> None:
    assert migrate(con, NOW) == sorted(path.stem for path in (sql_folder() / "migrations").glob("*.sql"))
    assert set(PUBLIC_TABLES) | {
        "readings",
        "counters",
        "watermarks",
        "migrations",
        "stale_hours",
        "tolerances",
        "unverified_days",
        "verifications",
        "station_sources",
        "retired_sources",
        "mappings",
        "rereads",
        "restatements",
        "retracted_readings",
        "retracted_external_forecasts",
        "thresholds",
        "neighbours",
        "month_statistics",
        "calibrations",
        "unpublished",
        "publications",
    } == tables(con)
    before = con.execute("select * from migrations").fetchall()
    assert migrate(con, NOW.replace(year=2027)) == []
    assert con.execute("select * from migrations").fetchall() == before


def test_an_empty_file_migrated_has_the_columns_of_the_contracts(con: duckdb.DuckDBPyConnection) -> None:
    migrate(con, NOW)
    keys = ["station_id", "observed_at", "known_from", "known_until"]
    flagged = [column for name in BUILT_IN for column in (name, flag_column(name))]
    found = columns(con, "observation_versions")
    assert found[:4] == keys
    assert sorted(found[4:]) == sorted([*flagged, *map(check_column, BUILT_IN)])
    keys = ["station_id", "observed_at", "received_at", "batch_id", "row_number"]
    assert sorted(columns(con, "readings")) == sorted([*keys, *BUILT_IN])
    assert [name for name in columns(con, "forecasts") if name in QUANTILE_COLUMNS] == list(QUANTILE_COLUMNS)


def test_every_table_says_what_it_is_for(con: duckdb.DuckDBPyConnection) -> None:
    migrate(con, NOW)
    silent = con.execute("select table_name from duckdb_tables() where comment is null").fetchall()
    assert silent == [("migrations",)]


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    migrate(con, NOW)
    with (folder / "0001_tables.sql").open("a") as file:
        file.write("\n-- an afterthought\n")
    with pytest.raises(WarehouseError, match="'0001_tables' was edited"):
        migrate(con, NOW)


def test_a_file_with_a_migration_from_a_newer_version_is_refused(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    (folder / "0002_more.sql").write_text("create table more (x integer)")
    assert migrate(con, NOW) == ["0001_tables", "0002_more"]
    (folder / "0002_more.sql").unlink()
    with pytest.raises(WarehouseError, match="'0002_more', from a newer daycast: upgrade daycast"):
        migrate(con, NOW)


def test_a_migration_whose_second_statement_fails_leaves_nothing_and_can_be_mended(
    con: duckdb.DuckDBPyConnection, folder: Path
) -> None:
    later = folder / "0002_more.sql"
    later.write_text("create table more (x integer);\ninsert into more values ('no number');")
    with pytest.raises(WarehouseError, match="'0002_more' failed and was undone"):
        migrate(con, NOW)
    assert "more" not in tables(con)
    assert con.execute("select name from migrations").fetchall() == [("0001_tables",)]  # what came before stays
    later.write_text("create table more (x integer);\ninsert into more values (3);")
    assert migrate(con, NOW) == ["0002_more"]
    assert con.execute("select x from more").fetchall() == [(3,)]


class FullDisk:
    """A connection whose commits fail, as DuckDB's do on a full disk: the transaction is gone then."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def execute(self, text: str, *parameters: object) -> duckdb.DuckDBPyConnection:
        if text != "commit":
            return self._con.execute(text, *parameters)
        self._con.execute("rollback")
        message = 'Failed to commit: Could not write file "/srv/.warehouse.duckdb.draft.wal": No space left on device'
        raise duckdb.TransactionException(f"TransactionContext Error: {message}")


@pytest.mark.parametrize("is_migrated", [False, True])
def test_a_full_disk_is_told_by_a_change_of_the_schema(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, *, is_migrated: bool
) -> None:
    if is_migrated:
        migrate(con, NOW)
    said = f"{tmp_path} cannot be written: No space left on device; without it .* are free in {tmp_path}: make room$"
    with pytest.raises(StorageError, match=said), explained(tmp_path):
        module.renew_views(FullDisk(con)) if is_migrated else migrate(FullDisk(con), NOW)


def test_a_declared_variable_gets_its_columns_once(con: duckdb.DuckDBPyConnection) -> None:
    migrate(con, NOW)
    for _ in range(2):
        add_variable_columns(con, [*BUILT_IN.values(), SOIL])
    assert columns(con, "readings").count(SOIL.name) == 1
    assert {SOIL.name, flag_column(SOIL.name), check_column(SOIL.name)} <= set(columns(con, "observation_versions"))


def test_rows_from_before_a_variable_was_declared_have_it_missing(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with Warehouse(path, BUILT_IN.values()).write(NOW) as con:
        flags = ", ".join(f"1 as {flag_column(name)}" for name in BUILT_IN)
        con.execute(
            f"insert into observation_versions by name select 'a' as station_id, $at as observed_at, $at as known_from, {flags}",
            {"at": NOW},
        )
    with Warehouse(path, [*BUILT_IN.values(), SOIL]).write(NOW) as con:
        row = con.execute(f"select {SOIL.name}, {flag_column(SOIL.name)} from observations").fetchall()
    assert row == [(None, 9)]


@pytest.mark.parametrize("done", [1, 2])
def test_columns_that_were_half_added_when_the_process_died_are_completed(
    con: duckdb.DuckDBPyConnection, done: int
) -> None:
    migrate(con, NOW)

    class Dying:
        """The connection, until it has done so many statements that alter."""

        altered = 0

        def execute(self, text: str, *rest: object) -> duckdb.DuckDBPyConnection:
            self.altered += text.startswith("alter")
            if self.altered > done:
                raise KeyboardInterrupt
            return con.execute(text, *rest)

    with pytest.raises(KeyboardInterrupt):
        add_variable_columns(Dying(), [SOIL])
    add_variable_columns(con, [SOIL])
    assert SOIL.name in columns(con, "readings")
    assert {SOIL.name, flag_column(SOIL.name), check_column(SOIL.name)} <= set(columns(con, "observation_versions"))


def test_every_view_is_made_and_can_be_read_when_empty(con: duckdb.DuckDBPyConnection) -> None:
    migrate(con, NOW)
    create_views(con)
    for view in (path.stem for path in (sql_folder() / "views").glob("*.sql")):
        assert con.execute(f"select count(*) from {view}").fetchall() == [(0,)]
    assert con.execute("select count(*) from observations_as_of(now())").fetchall() == [(0,)]


OLD_MODEL = "select 'm' as model_id, 'gru' as forecaster, 'c' as checkpoint, 'h' as data_hash, $at as trained_until, "
OLD_MODEL += "$at as registered_at, 'champion' as role, $at as promoted_at, 'because' as reason, '{}' as decision"
OLD_FORECAST = (
    "select 's' as station_id, 'v' as variable, $at as issued_at, $at + interval 1 hour as valid_at, 1 as lead_hours, "
)
OLD_FORECAST += "0 as value, 0 as q05, 0 as q10, 0 as q25, 0 as q50, 0 as q75, 0 as q90, 0 as q95, "
OLD_FORECAST += "$model as model_id, 'full' as input_regime, $at as created_at"


def test_forecasts_from_before_say_who_made_them_as_far_as_their_model_is_known(
    con: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(con, NOW)
    con.execute(f"insert into models by name {OLD_MODEL}", {"at": NOW})
    for model in ("m", "m", "forgotten"):
        con.execute(f"insert into forecasts by name {OLD_FORECAST}", {"at": NOW, "model": model})
    con.close()
    monkeypatch.undo()
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as migrated:
        rows = migrated.execute("select model_id, forecaster from latest_forecasts order by all").fetchall()
        assert rows == [("forgotten", None), ("m", "gru"), ("m", "gru")]
        assert migrated.execute("select model_id, promoted_by, reason from champion").fetchall() == [
            ("m", None, "because")
        ]


def test_calibrations_of_three_hours_each_become_those_of_every_hour(
    con: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_before("0011", folder)
    migrate(con, NOW)
    shape = {"shift": (8, 24), "stretch": (8, 24, 7), "widening": (5, 24, 7)}
    old = {part: np.random.default_rng(0).random(size).astype(np.float32) for part, size in shape.items()}
    key = {"model_id": "m", "forecaster": "gru", "calibrated_at": NOW, "variable": "v"}
    rows = pl.DataFrame([key | {part: own.ravel().tolist() for part, own in old.items()}])
    con.register("rows", rows)
    con.execute("insert into calibrations by name from rows")
    con.close()
    monkeypatch.undo()
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as migrated:
        learned = from_rows(read_calibrations(migrated, "m", NOW), ["v"], torch.device("cpu"))["gru"]
    for hour in range(24):
        for part in ("shift", "stretch"):
            np.testing.assert_array_equal(getattr(learned, part)[0, hour, :, 0], old[part][hour // 3])
    np.testing.assert_array_equal(learned.widening[0, :, :, 0], old["widening"])


def test_tables_get_the_names_of_the_field_and_keep_the_old_ones_as_views(
    con: duckdb.DuckDBPyConnection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_before("0014", folder)
    migrate(con, NOW)
    con.execute(f"insert into models by name {OLD_MODEL}, 'judgement' as promoted_by", {"at": NOW})
    con.execute("""update models set decision = '{"substitutes": {"gru": []}}'""")
    con.execute("insert into substitutes values ('m', 'v', null, 'ridge', 0.9, 0.01, 60)")
    con.execute(
        "insert into unpublished by name select uuid() as touch_id, 'covariates' as table_name, "
        "$1 as since, $1 + interval 1 day as until",
        [NOW],
    )
    flags = ", ".join(f"9 as {flag_column(name)}" for name in BUILT_IN)
    checks = "'step' as air_temperature_c_check, 'spike' as dew_point_c_check"
    seen = f"'s' as station_id, $1 as observed_at, $1 as known_from, {flags}, {checks}"
    con.execute(f"insert into observation_versions by name select {seen}", [NOW])
    con.close()
    monkeypatch.undo()
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as migrated:
        assert migrated.execute("select forecaster, chance from fallbacks").fetchall() == [("ridge", 0.99)]
        assert migrated.execute("select forecaster from substitutes").fetchall() == [("ridge",)]
        for name in ("external_forecasts", "covariates", "holdout_scores", "judgements"):
            assert migrated.execute(f"from {name}").fetchall() == []
        assert migrated.execute("select table_name from unpublished").fetchall() == [("external_forecasts",)]
        assert migrated.execute("select promoted_by, decision from models").fetchall() == [
            ("holdout", '{"fallbacks": {"gru": []}}')
        ]
        checks = "select air_temperature_c_check, dew_point_c_check from observation_versions"
        assert migrated.execute(checks).fetchall() == [("rate_of_change", "spike")]


def test_which_source_delivered_a_station_is_read_from_what_was_ingested_before(
    con: duckdb.DuckDBPyConnection, folder
) -> None:
    release_before("0020", folder)
    migrate(con, NOW)
    for source, station in (("roof", "A"), ("roof", "B"), ("noaa", "B")):
        con.execute(
            "insert into batches by name select $1 || $2 as batch_id, $1 as source, '' as origin, '' as fingerprint, "
            "true as complete, $3 as received_until, 1 as rows_delivered, 1 as rows_kept, 0 as rows_repeated, 0 as rows_revised, "
            "0 as rows_refused, $3 as ingested_at",
            [source, station, NOW],
        )
        con.execute(
            "insert into readings by name select $2 as station_id, $3 as observed_at, $3 as received_at, $1 || $2 as batch_id, "
            "0 as row_number",
            [source, station, NOW],
        )
    release_before("0021", folder)
    migrate(con, NOW)
    rows = con.execute("select source, station_id from station_sources order by all").fetchall()
    assert rows == [("noaa", "B"), ("roof", "A"), ("roof", "B")]


def test_days_around_readings_that_came_late_since_the_last_verification_wait_for_the_next(
    con: duckdb.DuckDBPyConnection, folder
) -> None:
    release_before("0027", folder)
    migrate(con, NOW)
    con.execute(f"insert into forecasts by name {OLD_FORECAST}", {"at": NOW - DAY, "model": "m"})
    con.execute("insert into verifications by name select $1 as scored_at, $1 as as_of", [NOW])
    for station in ("A", "B"):
        con.execute("insert into stations by name select $1 as station_id", [station])
    for batch, ingested in (("before", -1), ("after", 1)):
        con.execute(
            "insert into batches by name select $1 as batch_id, '' as source, '' as origin, '' as fingerprint, true as complete, "
            "$2 as received_until, 1 as rows_delivered, 1 as rows_kept, 0 as rows_repeated, 0 as rows_revised, "
            "0 as rows_refused, $2 as ingested_at",
            [batch, NOW + ingested * HOUR],
        )
        for observed, received in ((-HOUR / 2, -HOUR / 3), (10 * HOUR, HOUR / 2)):
            con.execute(
                "insert into readings by name select 'A' as station_id, $1 as observed_at, $2 as received_at, $3 as batch_id, "
                "0 as row_number",
                [NOW + observed, NOW + received, batch],
            )
    release_before("0028", folder)
    migrate(con, NOW)
    days = [(NOW + shift * DAY).date() for shift in (-1, 0, 1)]
    expected = [(station, day, NOW) for station in ("A", "B") for day in days]
    assert con.execute("from unverified_days order by all").fetchall() == expected
