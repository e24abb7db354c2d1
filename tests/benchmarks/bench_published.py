"""What publishing, asking and verifying cost with a long history: of 10,000 stations × 5 variables × 24 hours, every hour.

Prints a JSON line a measurement; `ratio` is wanted to be at most `limit`:

- latest_one_station, latest_one_variable: a query on `latest_forecasts` from a cold connection (a process that has only imported
  duckdb), against its limit in milliseconds; `over_bare` is how much longer it takes than the same on a file of only those rows;
- publish_one_more_hour: over publishing a warehouse that holds nothing but that hour;
- verify_one_more_day: finding the forecasts to score and writing their scores, over the same with three days of history (of 500
  stations and a quarter of the rows; the forward pass between the two does not see the history).

15 GB on disk and half an hour on two cores for 100 million rows.

    python tests/benchmarks/bench_published.py [--rows 100_000_000] [--folder FOLDER]
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
from measurement import say

from daycast.variables import BUILT_IN
from daycast.warehouse.append_only import touch
from daycast.warehouse.forecasts import (
    VerificationState,
    read_days_to_verify,
    read_forecasts_of_days,
    replace_scores,
    write_verification,
)
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.warehouse import Warehouse

T0, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
STATIONS, FEWER, LEADS = 10_000, 500, 24
VARIABLES = ("air_temperature_c", "dew_point_c", "relative_humidity_pct", "sea_level_pressure_hpa", "wind_speed_m_s")
AN_HOUR = """
insert into forecasts by name
select
    format('S{:05}', number) as station_id, variable, $t0 as issued_at, $t0 + to_hours(lead::int) as valid_at,
    lead as lead_hours, q50 as value, q50 - 3 as q05, q50 - 2 as q10, q50 - 1 as q25, q50, q50 + 1 as q75, q50 + 2 as q90,
    q50 + 3 as q95, 'model' as model_id, 'full' as input_regime, $t0 + interval 5 minute as created_at, 'gru' as forecaster
from (
    select number, variable, lead, (hash(number, variable, lead, $t0) % 1000003 / 29131)::float::double as q50
    from range($stations) as stations (number), unnest($variables) as variables (variable), range(1, 25) as leads (lead)
)
"""
OBSERVED = """
insert into observation_versions by name
select
    format('S{{:05}}', number) as station_id, hour as observed_at, hour + interval 5 minute as known_from,
    {values}
from range($stations) as stations (number), range($since, $until, interval 1 hour) as hours (hour)
"""
ASK = """
import json, sys, time
import duckdb
import pyarrow
begin = time.perf_counter()
con = duckdb.connect(sys.argv[1], read_only=True)
table = con.execute(sys.argv[2]).to_arrow_table()
print(json.dumps([time.perf_counter() - begin, table.num_rows]))
"""
QUESTIONS = {
    "latest_one_station": ("select * from latest_forecasts where station_id = 'S07777'", 0.05),
    "latest_one_variable": ("select * from latest_forecasts where variable = 'air_temperature_c'", 1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--folder", type=Path, help="on a disk with room (default: that of temporary files)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        needed, free = args.rows * 200, shutil.disk_usage(folder).free
        if free < needed:
            sys.exit(f"{folder} has {free / 1e9:.0f} GB free, and {args.rows:,} rows need {needed / 1e9:.0f} GB")
        measure_publishing(folder, args.rows)
        for template in QUESTIONS:
            measure_question(folder / "published.duckdb", template)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        measure_verification(Path(name), args.rows // 4)


def measure_publishing(folder: Path, rows: int) -> None:
    hours = max(rows // (STATIONS * len(VARIABLES) * LEADS), 2)
    with Warehouse(folder / "alone.duckdb", BUILT_IN.values()).write(T0) as con:
        issue(con, T0 + hours * HOUR, STATIONS)
        alone = statistics.median(
            timed(lambda i=i: publish(con, folder / f"alone{i}.published.duckdb", 0)) for i in range(3)
        )
    with Warehouse(folder / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        con.execute("set memory_limit = '6GB'")
        begin = time.perf_counter()
        for hour in range(hours):
            issue(con, T0 + hour * HOUR, STATIONS)
        written = time.perf_counter() - begin
        anew = timed(lambda: publish(con, folder / "published.duckdb", 0))
        more = []
        for hour in range(hours, hours + 3):
            issue(con, T0 + hour * HOUR, STATIONS)
            more.append(timed(lambda: publish(con, folder / "published.duckdb", 0)))
        rows = con.execute("select count(*) from forecasts").fetchall()[0][0]
    size = sum(file.stat().st_size for file in (folder / "published").rglob("*.parquet"))
    say("publish_one_more_hour", rows=rows, seconds=statistics.median(more), that_hour_alone_s=alone, anew_s=anew,
        written_s=written, history_gb=size / 1e9, warehouse_gb=(folder / "warehouse.duckdb").stat().st_size / 1e9,
        ratio=statistics.median(more) / alone, limit=2)  # fmt: skip


def measure_question(published: Path, name: str) -> None:
    query, limit = QUESTIONS[name]
    bare = published.with_name(f"{name}.duckdb")
    with duckdb.connect(bare) as con:
        con.execute(f"attach '{published}' as whole (read_only)")
        con.execute(f"create table latest_forecasts as {query.replace('latest_forecasts', 'whole.latest_forecasts')}")
    seconds, rows = ask(published, query)
    at_best, _ = ask(bare, "select * from latest_forecasts")
    say(name, rows=rows, ms=seconds * 1e3, bare_ms=at_best * 1e3, over_bare=seconds / at_best, ratio=seconds / limit,
        limit=1)  # fmt: skip


def measure_verification(folder: Path, rows: int) -> None:
    hours = max(rows // (FEWER * len(VARIABLES) * LEADS), 120)
    small, scored = verify_last_day(folder / "small.duckdb", hours - 72, hours)
    large, again = verify_last_day(folder / "large.duckdb", 0, hours)
    say("verify_one_more_day", rows=hours * FEWER * len(VARIABLES) * LEADS, rows_scored=scored, same=scored == again,
        seconds=large, with_three_days_s=small, ratio=large / small, limit=2)  # fmt: skip


def verify_last_day(path: Path, first: int, last: int) -> tuple[float, int]:
    """Seconds to find and to replace the scores of the newest day of the hours [first, last), and how many forecasts that are."""
    with Warehouse(path, BUILT_IN.values()).write(T0) as con:
        con.execute("set memory_limit = '6GB'")
        for hour in range(first, last):
            issue(con, T0 + hour * HOUR, FEWER)
        values = ", ".join(f"1.5 as {name}, 1 as {name}_flag" for name in BUILT_IN)
        span = {"since": T0 + first * HOUR, "until": T0 + (last - 24) * HOUR}
        con.execute(OBSERVED.format(values=values), {"stations": FEWER, **span})
        scored = [
            scores_of(con.sql(f"select * from forecasts where issued_at = '{T0 + hour * HOUR}'").pl())
            for hour in range(first, last - 24, 24)
        ]
        days = pl.concat(scored).select("station_id", day="valid_on").unique()
        replace_scores(con, pl.concat(scored).with_columns(scored_at=span["until"]), days)
        none_left, at_first = days.clear().with_columns(since=span["until"]), VerificationState(None, 0, None)
        write_verification(con, span["until"], span["until"], none_left, at_first)
        con.execute(
            OBSERVED.format(values=values), {"stations": FEWER, "since": span["until"], "until": T0 + last * HOUR}
        )
        con.execute("delete from scores where valid_on >= $day", {"day": span["until"].date()})
        con.execute("checkpoint")
        begin = time.perf_counter()
        now = T0 + last * HOUR
        days, _ = read_days_to_verify(con, now, now)
        found = read_forecasts_of_days(con, days, now)
        replace_scores(con, scores_of(found).with_columns(scored_at=now), days)
        return time.perf_counter() - begin, len(found)


def scores_of(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Rows such as scoring makes, of as many groups."""
    by = ["model_id", "forecaster", "station_id", "variable", "lead_hours", "valid_on"]
    names = ["mae", "rmse", "bias", "crps", "coverage_50", "coverage_80", "coverage_90"]
    grouped = forecasts.with_columns(valid_on=pl.col("valid_at").dt.date()).group_by(by)
    return grouped.agg(n=pl.len(), mae=pl.col("value").mean()).with_columns(
        pl.col("mae").alias(name) for name in names[1:]
    )


def issue(con: duckdb.DuckDBPyConnection, t0: datetime, stations: int) -> None:
    con.execute(AN_HOUR, {"t0": t0, "stations": stations, "variables": list(VARIABLES)})
    touch(con, "forecasts", pl.Series([t0]))


def ask(path: Path, query: str) -> tuple[float, int]:
    """Seconds (the median of nine processes) from connecting to having the rows, and how many rows."""
    answers = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", ASK, path, query], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
        )
        for _ in range(9)
    ]
    return statistics.median(seconds for seconds, _ in answers), answers[0][1]


def timed(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
