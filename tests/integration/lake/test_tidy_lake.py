"""A lake that is written every hour does not grow for ever, and whoever reads it meanwhile sees nothing of it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from daycast.settings import Settings
from daycast.steps.maintain import maintain
from daycast.variables import BUILT_IN
from daycast.warehouse import maintenance as module
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.lake import Lake
from daycast.warehouse.maintenance import vacuum_lake
from daycast.warehouse.warehouse import Warehouse
from integration.lake.storm_worker import T0, attached, forecasts

pytestmark = pytest.mark.slow
NOTHING = timedelta(0)


def files(lake: Lake) -> int:
    return sum(path.is_file() for path in Path(lake.data).rglob("*.parquet"))


def states(con: duckdb.DuckDBPyConnection) -> int:
    return con.execute("select count(*) from ducklake_snapshots('warehouse')").fetchall()[0][0]


def rows(con: duckdb.DuckDBPyConnection) -> list[tuple]:
    return con.execute("select count(*), min(value), max(value) from forecasts").fetchall()


@pytest.fixture
def lake(new_lake: Callable[[], Lake]) -> Lake:
    """A lake whose forecasts were replaced five times."""
    lake = new_lake()
    with Warehouse(lake, BUILT_IN.values()).write(T0) as con:
        for number in range(6):
            replace_forecasts(con, forecasts(float(number)))
    return lake


def test_past_states_and_their_files_go_and_every_row_stays(lake: Lake) -> None:
    assert files(lake) == 6
    with Warehouse(lake, BUILT_IN.values()).write(T0) as con:
        vacuum_lake(con, NOTHING)
        assert rows(con) == [(48, 5.0, 5.0)]
        assert states(con) == 1
        assert con.execute("select count(*) from ducklake_list_files('warehouse', 'forecasts')").fetchall() == [(1,)]
    assert files(lake) < 6
    with Warehouse(lake, BUILT_IN.values()).write(T0) as con:
        assert rows(con) == [(48, 5.0, 5.0)]
        replace_forecasts(con, forecasts(6.0))
        assert rows(con) == [(48, 6.0, 6.0)]


def test_a_day_of_states_is_kept_for_those_who_still_read_them(lake: Lake) -> None:
    with attached(lake) as reader:
        reader.execute("begin")
        assert rows(reader) == [(48, 5.0, 5.0)]
        with Warehouse(lake, BUILT_IN.values()).write(T0) as con:
            replace_forecasts(con, forecasts(6.0))
            before = states(con)
            vacuum_lake(con)
            assert states(con) >= before
            assert rows(con) == [(48, 6.0, 6.0)]
        assert rows(reader) == [(48, 5.0, 5.0)]
    assert files(lake) >= 7


def test_the_daily_upkeep_tidies_a_lake(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.vacuum_lake, "__defaults__", (NOTHING,))
    where = {"lake": {"catalogue": lake.catalogue, "data": lake.data}}
    settings = Settings.model_validate({"warehouse": where}, context={"folder": tmp_path})
    maintain(settings, T0, dry_run=True)
    assert files(lake) == 6
    maintain(settings, T0)
    assert files(lake) < 6
