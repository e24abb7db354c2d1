"""A long history lies in files: published is what the warehouse holds, whatever was written, and what was not is left alone."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from daycast.errors import WarehouseError
from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.variables import BUILT_IN, Variable
from daycast.warehouse.append_only import APPEND_ONLY
from daycast.warehouse.forecasts import replace_forecasts, replace_scores
from daycast.warehouse.publish.history import folder_of, remove_unnamed
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

T0 = datetime(2026, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATIONS, VARIABLES, LEADS = ("a", "b", "c"), ("warmth_c", "rain_mm"), (1, 2, 3)
SOIL = Variable("soil_moisture_pct", "soil moisture", "%", 0.0, 100.0)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        yield con


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "published.duckdb"


def issue(con: duckdb.DuckDBPyConnection, t0: datetime, value: float, stations: tuple[str, ...] = STATIONS) -> None:
    rows = [
        {"station_id": s, "variable": v, "issued_at": t0, "valid_at": t0 + h * HOUR, "lead_hours": h, "value": value}
        for s in stations
        for v in VARIABLES
        for h in LEADS
    ]
    told = {
        "model_id": pl.lit("m"),
        "input_regime": pl.lit("full"),
        "created_at": pl.lit(t0),
        "backfilled": pl.lit(value=False),
    }
    quantiles = {name: pl.col("value") for name in QUANTILE_COLUMNS}
    replace_forecasts(con, pl.DataFrame(rows).with_columns(**told, **quantiles, forecaster=pl.lit("gru")))


def publish_files(con: duckdb.DuckDBPyConnection, path: Path, *, compact: bool = False) -> set[str]:
    """Publish with every table that grows in files; which files of forecasts the published file names."""
    publish(con, path, 0, compact=compact)
    return set(query_published(path, "select file from history_files where table_name = 'forecasts'")["file"])


def assert_published(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The published file says what the warehouse holds."""
    for table in [*APPEND_ONLY, "latest_forecasts"]:
        query = f"select * from {table} order by all"
        assert query_published(path, query).equals(con.sql(query).pl()), table


def test_another_hour_adds_its_file_and_leaves_the_others_alone(con, path) -> None:
    for hour in range(3):
        issue(con, T0 + hour * HOUR, hour)
    before = publish_files(con, path)
    issue(con, T0 + 3 * HOUR, 3)
    written = {file: (folder_of(path) / file).stat().st_mtime_ns for file in before}
    after = publish_files(con, path)
    assert len(before) == 3
    assert before < after
    assert {file: (folder_of(path) / file).stat().st_mtime_ns for file in before} == written
    assert [file.rsplit("-", 1)[0] for file in after - before] == ["forecasts/day=2026-02-10/03-1h"]
    assert_published(con, path)


def test_nothing_new_is_no_new_file(con, path) -> None:
    issue(con, T0, 1)
    assert publish_files(con, path) == publish_files(con, path)


def test_an_hour_written_again_is_one_new_file_and_readers_of_the_old_publication_keep_theirs(con, path) -> None:
    for hour in range(3):
        issue(con, T0 + hour * HOUR, hour)
    before = publish_files(con, path)
    with duckdb.connect(path, read_only=True) as reader:
        issue(con, T0 + HOUR, 9, ("a",))
        publish(con, path, 0)
        assert reader.execute("select max(value) from forecasts").fetchall() == [(2,)]
    after = publish_files(con, path)
    assert (len(before - after), len(after - before)) == (1, 1)
    assert query_published(path, "select count(*) from forecasts where value = 9").item() == len(VARIABLES) * len(LEADS)
    assert_published(con, path)


def test_the_newest_forecasts_stay_those_of_the_warehouse_whatever_is_written(con, path) -> None:
    issue(con, T0, 1, ("silent",))
    issue(con, T0 + HOUR, 2)
    publish_files(con, path)
    for t0, stations in ((T0 + 2 * HOUR, ("a", "b")), (T0 - 5 * HOUR, ("old",)), (T0 + HOUR, ("c",))):
        issue(con, t0, 3, stations)
        publish_files(con, path)
        assert_published(con, path)
    assert query_published(path, "select distinct station_id from latest_forecasts").height == 5


def scores_of(days: pl.DataFrame, scored_at: datetime) -> pl.DataFrame:
    """A row of scores for each of `days` (station_id, day)."""
    names = ["n", "mae", "rmse", "bias", "crps", "coverage_50", "coverage_80", "coverage_90"]
    return days.rename({"day": "valid_on"}).with_columns(
        *(pl.lit(1).alias(name) for name in names),
        model_id=pl.lit("m"),
        forecaster=pl.lit("gru"),
        variable=pl.lit("warmth_c"),
        lead_hours=pl.lit(1),
        scored_at=pl.lit(scored_at),
    )


def test_scores_taken_back_and_observations_are_published_too(con, path) -> None:
    days = pl.DataFrame({"station_id": ["a", "a"], "day": [T0.date(), (T0 + 24 * HOUR).date()]})
    scored = scores_of(days, T0 + 48 * HOUR)
    replace_scores(con, scored, days)
    publish_files(con, path)
    assert_published(con, path)
    replace_scores(con, scored.head(0), days.head(1))
    publish_files(con, path)
    assert query_published(path, "select valid_on from scores").rows() == [(days["day"][1],)]


def test_stations_that_are_scored_in_turns_leave_the_files_of_others_alone(con, path) -> None:
    def score(stations: list[str], scored_at: datetime) -> set[str]:
        days = pl.DataFrame({"station_id": stations, "day": [T0.date()] * len(stations)})
        replace_scores(con, scores_of(days, scored_at), days)
        publish(con, path, 0)
        assert_published(con, path)
        return set(query_published(path, "select file from history_files where table_name = 'scores'")["file"])

    tomorrow = T0 + 24 * HOUR
    first = score(["a", "b"], tomorrow)
    second = score(["c"], tomorrow + HOUR)
    assert (len(first), len(second - first)) == (1, 1)
    assert first < second
    third = score(["b"], tomorrow + 2 * HOUR)  # a late reading
    assert (len(third - second), second - third) == (2, first)  # what was scored again, and where it stood


def test_small_tables_lie_in_the_file_itself_and_move_out_when_they_grow(con, path) -> None:
    issue(con, T0, 1)
    rows = len(STATIONS) * len(VARIABLES) * len(LEADS)
    publish(con, path, rows)
    assert not folder_of(path).exists()
    shutil.move(path, path.with_name("elsewhere.duckdb"))
    assert query_published(path.with_name("elsewhere.duckdb"), "select count(*) from forecasts").item() == rows
    publish(con, path, rows - 1)
    assert query_published(path, "select table_name, rows from history_files").rows() == [("forecasts", rows)]
    assert_published(con, path)


def test_a_moved_history_is_read_where_it_is(con, path) -> None:
    issue(con, T0, 1)
    publish_files(con, path)
    away = path.parent / "away"
    away.mkdir()
    for one in (path, folder_of(path)):
        shutil.move(one, away)
    assert query_published(away / path.name, "select count(*) from forecasts").item() == 18
    with duckdb.connect(away / path.name, read_only=True) as reader:
        reader.execute("set variable published_folder = $folder", {"folder": str(away / "published")})
        assert reader.execute("select count(*) from forecasts").fetchall() == [(18,)]


def test_comments_and_types_are_the_same_as_in_a_single_file(con, path, tmp_path) -> None:
    issue(con, T0, 1)
    publish(con, tmp_path / "single.duckdb")
    publish_files(con, path)
    columns = "select table_name, column_name, data_type, comment from duckdb_columns() where not internal order by all"
    assert query_published(path, columns).rows() == query_published(tmp_path / "single.duckdb", columns).rows()
    said = "select comment from {} where {} = 'forecasts'"
    as_view = query_published(path, said.format("duckdb_views()", "view_name")).item()
    assert as_view == query_published(tmp_path / "single.duckdb", said.format("duckdb_tables()", "table_name")).item()


def test_small_files_of_days_that_are_over_become_one(con, path) -> None:
    for hours in (range(0, 24, 8), range(24, 97, 8)):
        for hour in hours:
            issue(con, T0 + hour * HOUR, hour)
        files = publish_files(con, path)
    assert len(files) == 13
    assert len(publish_files(con, path, compact=True)) == 2 + 7  # two days are over for two days and more
    spans = query_published(path, "select since, until from history_files where table_name = 'forecasts' order by all")
    assert spans.rows()[0] == (T0, T0 + 24 * HOUR)
    assert spans.rows()[2] == (T0 + 48 * HOUR, T0 + 49 * HOUR)
    assert_published(con, path)
    issue(con, T0 + 5 * HOUR, 5)  # into a day that is one file by now
    publish_files(con, path)
    assert_published(con, path)


def test_a_published_file_that_is_not_of_this_warehouse_is_not_built_upon(con, path, tmp_path) -> None:
    issue(con, T0, 1)
    publish_files(con, path)
    with Warehouse(tmp_path / "other.duckdb", BUILT_IN.values()).write(T0) as other:
        issue(other, T0 + HOUR, 2)
        publish_files(other, path)
        assert_published(other, path)


@pytest.mark.parametrize("harm", ["file", "folder", "database", "rubbish"])
def test_what_was_deleted_or_damaged_is_published_again(con, path, harm) -> None:
    for hour in range(3):
        issue(con, T0 + hour * HOUR, hour)
    files = publish_files(con, path)
    if harm == "file":
        (folder_of(path) / min(files)).unlink()
    elif harm == "folder":
        shutil.rmtree(folder_of(path))
    elif harm == "database":
        path.unlink()
    else:
        path.write_text("no database")
    publish_files(con, path)
    assert_published(con, path)


def test_a_new_column_makes_the_history_anew(tmp_path, path) -> None:
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        flags = ", ".join(f"1 as {name}_flag" for name in BUILT_IN)
        con.execute(
            f"insert into observation_versions by name select 'a' as station_id, $t as observed_at, $t as known_from, {flags}",
            {"t": T0},
        )
        publish(con, path, 0)
    with Warehouse(tmp_path / "warehouse.duckdb", [*BUILT_IN.values(), SOIL]).write(T0) as con:
        publish(con, path, 0)
        assert query_published(path, f"select {SOIL.name}, {SOIL.name}_flag from observations").rows() == [(None, 9)]


def test_files_that_are_not_named_go_two_hours_after_they_were_let_go(con, path) -> None:
    issue(con, T0, 1)
    old = publish_files(con, path)
    for file in old:
        os.utime(folder_of(path) / file, (0, 0))  # written long ago, let go just now
    issue(con, T0, 2)
    new = publish_files(con, path)
    (folder_of(path) / "forecasts" / "day=2026-02-10" / "left.parquet").write_text("by a killed publication")
    now = datetime.now(UTC)
    assert remove_unnamed(path, now) == []
    gone = remove_unnamed(path, now + timedelta(hours=2, minutes=1))
    assert {str(file.relative_to(folder_of(path))) for file in gone} == old | {"forecasts/day=2026-02-10/left.parquet"}
    assert all((folder_of(path) / file).is_file() for file in new)
    assert_published(con, path)


@pytest.mark.parametrize(
    "sql",
    [
        "copy stations to '{file}'",
        "explain analyze copy stations to '{file}'",
        "prepare p as copy stations to '{file}'; execute p",
        "attach '{file}' as w",
        "export database '{folder}/dump'",
        "select 1; copy stations to '{file}'",
    ],
)
def test_a_query_may_not_write_into_the_history(con, path, sql) -> None:
    issue(con, T0, 1)
    file = folder_of(path) / next(iter(publish_files(con, path)))
    with pytest.raises(WarehouseError, match="the query failed"):
        query_published(path, sql.format(file=file, folder=folder_of(path)))
    assert not (folder_of(path) / "dump").exists()
    assert query_published(path, "select count(*) from forecasts").item() == 18


def test_a_query_may_pivot_describe_and_explain(con, path) -> None:
    issue(con, T0, 1)
    publish_files(con, path)
    pivoted = query_published(path, "pivot latest_forecasts on variable using max(value) group by station_id")
    assert set(pivoted.columns) == {"station_id", *VARIABLES}
    for query in (
        "describe forecasts",
        "summarize forecasts",
        "explain from forecasts",
        "explain analyze from forecasts",
    ):
        assert query_published(path, query).height
