"""Readers while it is written and published: none fails, each sees whole forecasts; and a process killed anywhere harms none."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.variables import BUILT_IN
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

T0, HOUR = datetime(2026, 2, 10, tzinfo=UTC), timedelta(hours=1)
STATIONS, VARIABLES, LEADS = 20, ("warmth_c", "rain_mm"), 24
ROWS = STATIONS * len(VARIABLES) * LEADS
READ = """
import os, sys, time
import duckdb
path, stop, rows = sys.argv[1:]
reads = 0
while not reads or not os.path.exists(stop):
    with duckdb.connect(path, read_only=True, config={"threads": 1}) as con:
        sizes = con.execute("select count(*), count(distinct value) from forecasts group by issued_at").fetchall()
        newest = con.execute("select count(*), count(distinct value) from latest_forecasts").fetchall()
        assert set(sizes) == set(newest) == {(int(rows), 1)}, (sizes, newest)
    reads += 1
    time.sleep(0.1)  # ten of them share two cores with the writer
print(reads)
"""
HOLD = """
import sys
import duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute("begin")
print(con.execute("select count(*) from forecasts").fetchall()[0][0], flush=True)
sys.stdin.readline()
print(con.execute("select count(*) from forecasts").fetchall()[0][0])
"""
DIE = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path

import daycast.warehouse.publish.publication as publishing
import daycast.warehouse.forecasts as writing
sys.path.insert(0, sys.argv[3])
from test_readers import BUILT_IN, HOUR, T0, issue, Warehouse

folder, place = Path(sys.argv[1]), sys.argv[2]
module = writing if place == "touch" else publishing
before = getattr(module, place)

def die_after(*arguments, **named):
    before(*arguments, **named)
    os.kill(os.getpid(), 9)

with Warehouse(folder / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
    if module is publishing:
        issue(con, T0 + HOUR, 2.0)
        issue(con, T0, 3.0)  # again
    setattr(module, place, die_after)
    issue(con, T0 + HOUR, 2.0)
    publishing.publish(con, folder / "published.duckdb", 0)
"""


def issue(con: duckdb.DuckDBPyConnection, t0: datetime, value: float) -> None:
    """A forecast of every station, all of one value, in place of what was issued then."""
    stations = pl.DataFrame({"station_id": [f"S{i:02}" for i in range(STATIONS)]})
    rows = stations.join(pl.DataFrame({"variable": VARIABLES}), how="cross").join(
        pl.DataFrame({"lead_hours": range(1, LEADS + 1)}), how="cross"
    )
    told = {"model_id": "m", "input_regime": "full", "forecaster": "gru", "value": value}
    told |= dict.fromkeys(QUANTILE_COLUMNS, value)
    replace_forecasts(
        con,
        rows.with_columns(
            *(pl.lit(one).alias(name) for name, one in told.items()),
            issued_at=pl.lit(t0),
            created_at=pl.lit(t0),
            backfilled=False,
            valid_at=pl.lit(t0) + pl.duration(hours="lead_hours"),
        ),
    )


def test_ten_readers_see_whole_forecasts_while_they_are_written_and_published(tmp_path: Path) -> None:
    path = tmp_path / "published.duckdb"
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        issue(con, T0, 0)
        publish(con, path, 0)
        command = [sys.executable, "-c", READ, str(path), str(tmp_path / "stop"), str(ROWS)]
        readers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(10)
        ]
        for hour in range(4):
            for again in (hour, hour + 1):
                issue(con, T0 + again * HOUR, hour)
            publish(con, path, 0 if hour % 3 else 10**9)  # now in files, now in one
        (tmp_path / "stop").touch()
        answers = [reader.communicate() for reader in readers]
    assert [error for _, error in answers if error] == []
    assert sum(int(count) for count, _ in answers) > len(readers)


def test_an_analyst_in_a_transaction_blocks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "published.duckdb"
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        issue(con, T0, 0)
        publish(con, path, 0)
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as analyst:
            assert analyst.stdout.readline() == f"{ROWS}\n"
            issue(con, T0, 1)
            issue(con, T0 + HOUR, 1)
            publish(con, path, 0)
            assert query_published(path, "select count(*) from forecasts").item() == 2 * ROWS
            assert analyst.communicate("\n")[0] == f"{ROWS}\n"


@pytest.mark.parametrize("place", ["_write_history", "_create_latest", "start_grace_period", "_settle", "touch"])
def test_a_publication_killed_anywhere_leaves_the_old_file_or_the_new_and_the_next_one_is_right(
    tmp_path: Path, place: str
) -> None:
    path = tmp_path / "published.duckdb"
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        issue(con, T0, 1)
        publish(con, path, 0)
    source = DIE
    if place == "_settle":  # before it: the new file is there, and the warehouse does not know it
        source = DIE.replace("    before(*arguments, **named)\n", "")
    died = subprocess.run(
        [sys.executable, "-c", source, str(tmp_path), place, str(Path(__file__).parent)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert died.returncode == -9, died.stderr
    said = query_published(
        path, "select epoch(issued_at), count(*), min(value), max(value) from forecasts group by 1 order by 1"
    )
    old, new = [(T0.timestamp(), ROWS, 1, 1)], [(T0.timestamp(), ROWS, 3, 3), ((T0 + HOUR).timestamp(), ROWS, 2, 2)]
    assert said.rows() == (new if place == "_settle" else old)
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        held = con.sql("select * from forecasts order by all").pl()
        assert held.height == (ROWS if place == "touch" else 2 * ROWS)  # a write that was killed is not there at all
        publish(con, path, 0)
        assert query_published(path, "select * from forecasts order by all").equals(held)
        newest = con.sql("select * from latest_forecasts order by all").pl()
        assert query_published(path, "select * from latest_forecasts order by all").equals(newest)
    assert not list(tmp_path.glob("*.tmp*"))
