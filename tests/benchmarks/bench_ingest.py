"""From CSV files to flagged observations: 1,000 stations × 1 year, 5 variables, against DuckDB's bare read_csv of the same files.

Prints JSON lines: `ingest` (rows a second, and as a share of what bare read_csv into a table makes: at least 0.25 is wanted,
peak memory under 3 GB), `contract` (pandera's time over that of the same checks in plain polars: at most 2.5) and `neighbours`
(seconds a station-hour of the spatial check with many stations over that with few: 1 is linear).

    python tests/benchmarks/bench_ingest.py [stations]
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

VARIABLES = ("air_temperature_c", "dew_point_c", "sea_level_pressure_hpa", "wind_speed_m_s", "precipitation_mm")
UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
CONFIG = """
[[sources]]
kind = "csv"
name = "files"
files = "csv/*.csv"
station = "station"
time = "time"

[sources.station_list]
file = "stations.csv"
station = "station_id"
latitude = "latitude"
longitude = "longitude"
elevation_m = "elevation_m"
[sources.columns]
{columns}
"""


def main() -> None:
    stations = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_files(folder, stations)
        os.sync()  # else the system writes them out while both are timed
        bare = seconds_of(lambda: run(folder, "bare"))
        seconds = seconds_of(lambda: run(folder, "ingest"))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        bare = min(bare, seconds_of(lambda: run(folder, "bare")))
    say("ingest", station_hours=stations * 8760, rows=rows, seconds=seconds, rows_per_second=rows / seconds,
        limit="duckdb read_csv into a table", limit_seconds=bare, ratio=bare / seconds, peak_memory_gb=peak)  # fmt: skip
    contract()
    neighbours()


def write_files(folder: Path, stations: int) -> int:
    """One CSV file a station, as a logger would export it; returns the rows."""
    import polars as pl

    from daycast.sources.simulated.source import SimulatedSource
    from daycast.variables import BUILT_IN

    (folder / "csv").mkdir()
    (folder / "daycast.toml").write_text(CONFIG.format(columns="\n".join(f'{v} = "{v}"' for v in VARIABLES)))
    source = SimulatedSource(stations=stations, history=YEAR)
    source.stations().write_csv(folder / "stations.csv")
    rows = 0
    for delivery in source.fetch(None, UNTIL, BUILT_IN, ()):
        frame = delivery.readings.sort("observed_at").select(
            pl.col("station_id").alias("station"),
            pl.col("observed_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("time"),
            *VARIABLES,
        )
        rows += len(frame)
        for (station,), part in frame.group_by("station"):
            path = folder / "csv" / f"{station}.csv"
            with path.open("a") as file:
                part.write_csv(file, include_header=file.tell() == 0)
    return rows


def run(folder: Path, what: str) -> None:
    """In a process of its own, so that each starts with nothing and its memory can be told."""
    subprocess.run([sys.executable, __file__, "--in", str(folder), what], check=True)


def bare_read(folder: Path) -> None:
    import duckdb

    path = folder / "bare.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(path) as con:
        con.execute("create table readings as from read_csv($files)", {"files": str(folder / "csv" / "*.csv")})


def ingest(folder: Path) -> None:
    from daycast.settings import load_settings
    from daycast.steps.ingest import ingest_source

    settings = load_settings(str(folder / "daycast.toml"))
    print(ingest_source(settings, settings.sources[0], UNTIL), file=sys.stderr)


def contract() -> None:
    """pandera's contract of readings against the same checks written down in polars."""
    import numpy as np
    import polars as pl

    from daycast.quality.contracts import find_rejections, readings_contract
    from daycast.variables import BUILT_IN

    n, rng = 6_000_000, np.random.default_rng(0)
    one_year = pl.datetime_range(UNTIL - timedelta(hours=8759), UNTIL, "1h", eager=True).cast(pl.Datetime("us", "UTC"))
    time_of = pl.concat([one_year] * (n // len(one_year) + 1)).head(n)
    frame = pl.DataFrame(
        {"station_id": pl.repeat("S0001", n, eager=True), "observed_at": time_of, "received_at": time_of}
    )
    frame = frame.with_columns(pl.Series(name, rng.normal(size=n)) for name in VARIABLES)
    earliest = datetime(1900, 1, 1, tzinfo=UTC)
    schema = readings_contract([BUILT_IN[name] for name in VARIABLES], earliest)
    observed, received = pl.col("observed_at"), pl.col("received_at")
    plain = [
        pl.col("station_id").str.len_bytes() >= 1,
        observed.is_not_null(),
        received.is_not_null(),
        observed >= earliest,
        observed <= received + timedelta(hours=1),
        *(pl.col(name).is_finite() for name in VARIABLES),
    ]
    limit = seconds_of(lambda: frame.select(check.all().alias(str(i)) for i, check in enumerate(plain)), times=5)
    seconds = seconds_of(lambda: find_rejections(frame, schema), times=5)
    say(
        "contract",
        rows=n,
        seconds=seconds,
        limit="the same checks in polars",
        limit_seconds=limit,
        ratio=seconds / limit,
    )


def neighbours() -> None:
    """The spatial check alone, of few and of many stations with five neighbours each."""
    few, many = (spatial_seconds(stations) / stations for stations in (250, 1_000))
    say("neighbours", few=250, many=1_000, microseconds_per_station_hour=many / 720 * 1e6, ratio=many / few)


def spatial_seconds(stations: int) -> float:
    import polars as pl

    from daycast.features.neighbours import nearest_stations
    from daycast.quality.flag_table import CheckContext, flag_versions
    from daycast.quality.limits import Limits
    from daycast.sources.simulated.source import SimulatedSource
    from daycast.variables import BUILT_IN

    source = SimulatedSource(stations=stations, history=timedelta(days=30))
    truth = source.truth(UNTIL - timedelta(days=30), UNTIL)
    versions = truth.select(
        "station_id",
        pl.col("valid_time").alias("observed_at"),
        pl.col("valid_time").alias("known_from"),
        *VARIABLES[:3],
    )
    versions = versions.sort("station_id", "observed_at").with_columns(
        pl.lit(None, pl.Datetime("us", "UTC")).alias("known_until")
    )
    places = source.stations().sort("station_id")
    nobody = pl.DataFrame(
        schema={
            "station_id": pl.String,
            "month": pl.Date,
            "variable": pl.String,
            "n": pl.Int64,
            "mean": pl.Float64,
            "deviation": pl.Float64,
        }
    )
    limits = {name: Limits(neighbour_difference=8.0) for name in VARIABLES[:3]}
    variables = [BUILT_IN[name] for name in VARIABLES[:3]]
    none = nearest_stations(places) * 0 - 1
    with_check, without = (
        seconds_of(
            lambda who=who: flag_versions(versions, variables, CheckContext(places, who, nobody, limits), UNTIL),
            times=3,
        )
        for who in (nearest_stations(places), none)
    )
    return with_check - without


def seconds_of(work: Callable[[], object], times: int = 1) -> float:
    """The shortest of several runs."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def say(benchmark: str, **figures: object) -> None:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"benchmark": benchmark, **rounded}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in"]:
        {"bare": bare_read, "ingest": ingest}[sys.argv[3]](Path(sys.argv[2]))
    else:
        main()
