"""An hour of `daycast up` on a large network: ingest, forecast, publication and report, and verification, as workers run them.

A simulated network with 90 days of history and a day of served forecasts, most of them verified, stands an hour back; then
the flow that ingests is triggered, the others follow, and verification is triggered after them. Prints a JSON line for each
size: `seconds` from the start of the ingest to the end of the publication and those of verification (10,000 stations: limit
60), by flow, and the most memory that all processes of daycast held (limit 3 GB). Beside them, of the same run: a bare forward
pass of the network over ready tensors, and a bare copy of an hour's readings and forecasts into a DuckDB file; `ratio` is to
the sum of both.

    python tests/benchmarks/bench_cycle.py [stations …] [--profile] [--lake postgresql://…]

Preparing takes a minute for a thousand stations, on two cores with nothing else to do. With --profile, no flows run: the steps
are called one after the other in this process, which says on stderr where the time goes. With --lake, the tables lie on a lake
whose catalogue is in that empty database, and four Dask workers compute; it takes one size.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import duckdb
import polars as pl
import psutil
from bench_forecast import bare_forward_seconds
from measurement import say

SIZES = (1_000, 4_000, 10_000)
LIMIT_S, LIMIT_GB = 60, 3
HISTORY, LEARNED_FROM = timedelta(days=90), 12  # stations
ISSUES = 30  # hours of issue that are held, more than one hour's observations verify
# days of each station that wait to be verified, over a day of hourly verifications on average: the one that is not over, whose
# observations change each hour, and those of the day before that have not had their turn
WAITING = 1.4
WATCH_S, ASK_S, PATIENCE_S = 0.5, 1.0, 3_600  # seldom enough that watching takes little of the cores
CONFIG = """
[[sources]]
kind = "simulated"
stations = {stations}
history = "91d"

[retrain]
every = "365d"

[model]
max_minutes = 1
ensemble_size = {ensemble_size}
"""
ON_LAKE = """
[warehouse.lake]
catalogue = "{catalogue}"
data = "lake"

[compute]
task_runner = "dask"
workers = 4
"""
HOUR = timedelta(hours=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stations", type=int, nargs="*", default=SIZES)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--lake")
    args = parser.parse_args()
    for stations in args.stations:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            os.environ["DAYCAST_DATA"] = str(folder / "data")
            write_config(folder, stations, args.lake)
            subprocess.run([sys.executable, __file__, "prepare", str(folder)], check=True)
            if args.profile:
                profile(folder)
            else:
                say("cycle", stations=stations, lake=bool(args.lake), **measure(folder, stations))


def write_config(folder: Path, stations: int, lake: str | None) -> None:
    from daycast.model.config import ModelConfig

    config = CONFIG.format(stations=stations, ensemble_size=ModelConfig().ensemble_size)
    (folder / "daycast.toml").write_text(config + (ON_LAKE.format(catalogue=lake) if lake else ""))


def prepare(folder: Path) -> None:
    """A network whose last ingest, forecast, verification and publication are an hour old."""
    from daycast.settings import load_settings
    from daycast.steps.calibrate import calibrate
    from daycast.steps.ingest import ingest_source
    from daycast.steps.publish import publish_tables, write_report

    settings, now = load_settings(str(folder / "daycast.toml")), datetime.now(UTC) - HOUR
    ingest_source(settings, settings.sources[0], now)
    register_champion(settings, now)
    serve(settings, now)
    verify_all_but(settings, now, WAITING)
    calibrate(settings, now)  # as each week
    publish_tables(settings, now)
    write_report(settings, now)


def register_champion(settings, now: datetime) -> None:
    """A champion that has learned next to nothing from a few stations, which costs the same."""
    from daycast.model.checkpoint import save_checkpoint
    from daycast.model.config import ModelConfig
    from daycast.model.fit import fit_forecaster
    from daycast.warehouse.models import ModelEntry, register_model
    from daycast.warehouse.observations import read_stations, read_versions

    config = ModelConfig(epochs=1, steps_per_epoch=1, validation_days=5, holdout_days=5, device="cpu")
    nothing = {"forecaster": pl.String, "variable": pl.String, "lead_hours": pl.UInt8, "n": pl.Int64}
    with settings.warehouse.write(now) as con:
        some = read_stations(con).head(LEARNED_FROM)
        versions = read_versions(con, now - HISTORY, now, now).filter(
            pl.col("station_id").is_in(some["station_id"].implode())
        )
        forecaster = fit_forecaster(versions, some, settings.glossary, config, "")
        save_checkpoint(forecaster, settings.checkpoints / "champion.safetensors")
        entry = ModelEntry(
            "champion", forecaster.header.cell, "champion.safetensors", "", now, now, "a benchmark", "{}"
        )
        register_model(con, entry, pl.DataFrame(schema=nothing), promote=True)


def serve(settings, now: datetime) -> None:
    """Forecasts of the last hours of issue; those before the newest are its copies."""
    from daycast.steps.forecast import issue_forecasts

    issue_forecasts(settings, now)
    with settings.warehouse.write(now) as con:
        for hours in range(1, ISSUES):
            con.execute(
                "insert into forecasts by name (select * replace (issued_at - to_hours($1) as issued_at, "
                "valid_at - to_hours($1) as valid_at, created_at - to_hours($1) as created_at) "
                "from forecasts where issued_at = (select max(issued_at) from forecasts))",
                [hours],
            )


def verify_all_but(settings, now: datetime, waiting: float) -> None:
    """Verify until so many days of each station wait, as between two of many hours; a first verification would leave most."""
    from daycast.steps.verify import verify_forecasts
    from daycast.warehouse.forecasts import read_days_to_verify
    from daycast.warehouse.observations import read_stations

    def left() -> float:
        with settings.warehouse.read(now) as con:
            return len(read_days_to_verify(con, now, now)[0]) / len(read_stations(con))

    while left() > waiting:
        verify_forecasts(settings, now)


def measure(folder: Path, stations: int) -> dict:
    """A cycle under `daycast up`, and the references of the same minute."""
    daycast = [sys.executable, "-m", "daycast"]
    subprocess.run([*daycast, "up", "--detach"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    memory = Memory(folder)
    try:
        silence(folder)
        with memory:
            begun = datetime.now(UTC)
            subprocess.run([*daycast, "trigger", "ingest"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            runs = [wait_for(folder, flow, begun) for flow in ("ingest", "forecast", "publish")]
            subprocess.run([*daycast, "trigger", "verify"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            verified = wait_for(folder, "verify", begun)
    finally:
        subprocess.run([*daycast, "down"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    by_flow = {run["name"].split(" ")[0]: run["total_run_time"] for run in (*runs, verified)}
    seconds = (at(runs[-1]["end_time"]) - at(runs[0]["start_time"])).total_seconds() + verified["total_run_time"]
    forward, copy = references(folder)
    limits = {"limit_seconds": LIMIT_S, "limit_gb": LIMIT_GB, "ratio_to_limit": seconds / LIMIT_S}
    return {
        "seconds": seconds, "by_flow": by_flow, "memory_gb": memory.most, "largest_process_gb": memory.largest,
        **(limits if stations >= max(SIZES) else {}), "bare_forward_seconds": forward, "bare_copy_seconds": copy,
        "ratio": seconds / (forward + copy),
    }  # fmt: skip


def server_of(folder: Path):
    from daycast.service.access import read_auth
    from daycast.service.server import Server
    from daycast.service.supervisor import read_state

    home = folder / "data" / "prefect"
    return Server(read_state(home)["url"], read_auth(home))


def silence(folder: Path) -> None:
    """Pause the schedules and end what they began: only the measured flows are to run."""
    server = server_of(folder)
    for deployment in server.call("/deployments/filter", {}):
        server.call(f"/deployments/{deployment['id']}", {"paused": True}, "PATCH")
    wait_until(lambda: not unfinished(server))


def unfinished(server) -> list:
    states = {"any_": ["RUNNING", "PENDING", "CANCELLING"]}
    return server.call("/flow_runs/filter", {"flow_runs": {"state": {"type": states}}})


def wait_for(folder: Path, flow: str, begun: datetime) -> dict:
    """The newest run of the flow since then, once it has ended. Raises RuntimeError if it did not end well."""
    server, found = server_of(folder), []

    def has_ended() -> bool:
        named = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 50}
        runs = [run for run in server.call("/flow_runs/filter", named) if at(run["created"]) > begun]
        found[:] = [run for run in runs if run["end_time"] and run["state_type"] != "CANCELLED"]
        return bool(found)

    wait_until(has_ended)
    if found[0]["state_type"] != "COMPLETED":
        raise RuntimeError(f"{flow} ended as {found[0]['state_name']}: {found[0]['state'].get('message')}")
    return found[0]


def wait_until(condition) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {PATIENCE_S} s")
        time.sleep(ASK_S)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Memory:
    """The most memory that the processes of daycast in a folder held while the context was open, in GB, all and the largest."""

    def __init__(self, folder: Path) -> None:
        self.most = self.largest = 0.0
        self._mark, self._over = str(folder / "data"), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            held = [size for process in psutil.process_iter() if (size := self._size(process))]
            self.most, self.largest = max(self.most, sum(held)), max(self.largest, *held, 0.0)

    def _size(self, process: psutil.Process) -> float:
        try:
            is_own = process.environ().get("DAYCAST_DATA") == self._mark and process.pid != os.getpid()
            return process.memory_full_info().uss / 2**30 if is_own else 0.0
        except psutil.Error:
            return 0.0


def references(folder: Path) -> tuple[float, float]:
    """Seconds of a bare forward pass for all stations, and of a bare copy of an hour's readings and forecasts."""
    from daycast.model.checkpoint import load_checkpoint
    from daycast.settings import load_settings
    from daycast.times import HISTORY_HOURS, floor_hour
    from daycast.warehouse.observations import read_stations, read_versions
    from daycast.warehouse.warehouse import fetch_frame, frames

    settings, now = load_settings(str(folder / "daycast.toml")), floor_hour(datetime.now(UTC))
    forecaster = load_checkpoint(settings.checkpoints / "champion.safetensors", "cpu")
    with settings.warehouse.read(now) as con:
        versions = read_versions(con, now - (HISTORY_HOURS - 1) * HOUR, now, now)
        places = read_stations(con)
        newest = "select * from forecasts where issued_at = (select max(issued_at) from forecasts)"
        forecasts = fetch_frame(con, newest)
        readings = fetch_frame(con, "select * from readings where observed_at > $since", {"since": now - HOUR})
    forward = bare_forward_seconds(forecaster, versions, places)
    started = time.perf_counter()
    with duckdb.connect(str(folder / "copy.duckdb")) as con, frames(con, hour=readings, issue=forecasts):
        con.execute("create table readings as from hour")
        con.execute("create table forecasts as from issue")
    return forward, time.perf_counter() - started


def profile(folder: Path) -> None:
    """The steps of a cycle, one after the other in this process; on stderr what each spends its time on."""
    import cProfile
    import pstats

    from daycast.settings import load_settings
    from daycast.steps import forecast, ingest, publish, verify

    settings, now = load_settings(str(folder / "daycast.toml")), datetime.now(UTC)
    for name, step in {
        "ingest": lambda: ingest.ingest_source(settings, settings.sources[0], now),
        "forecast": lambda: forecast.issue_forecasts(settings, now),
        "publish": lambda: publish.publish_tables(settings, now),
        "report": lambda: publish.write_report(settings, now),
        "verify": lambda: verify.verify_forecasts(settings, now),
    }.items():
        profiler, cpu, started = cProfile.Profile(), time.process_time(), time.perf_counter()
        profiler.runcall(step)
        say("step", name=name, seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - cpu)
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(35)


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        prepare(Path(sys.argv[2]))
    else:
        main()
