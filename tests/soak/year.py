"""A year of operation while everything goes wrong: `make chaos`.

It lives through 365 simulated days hour by hour: ingest, forecast, publish and verify each hour, maintain each day, retrain each
week. Meanwhile processes are killed, requests fail, disks fill up, clocks jump, schemas change and files are damaged. At the end
it closes the accounts, prints one table, and fails if daycast broke a promise.

`DAYCAST_CHAOS_DAYS=7 DAYCAST_CHAOS_KILLS=20 DAYCAST_CHAOS_SEED=2 make chaos` is a short one. What it leaves in build/chaos shows
what went wrong; a year that was interrupted goes on at the hour it had reached.
"""

import json
import logging
import multiprocessing
import os
import random
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb

import daycast
from daycast.files import atomic_write
from daycast.times import HOUR
from integration.servers import free_port
from soak.hourly_process import PRELOADED, Done, Task, largest_file, use_schema_of, work
from soak.hours import DOUBLED
from soak.sensor_year import BEGIN, SensorYear
from soak.year_accounts import find_faults_of_year
from soak.year_plan import (
    DISK_FULL_HOURS,
    JUMPS,
    MADE_GOOD_AFTER,
    YEAR_DAYS,
    Kill,
    Size,
    plan_events,
    plan_kills,
    read_size,
)
from unit.sources.http_server import serve

LONGEST_S = 1800.0  # of a step, on a slow machine
MOST_MISSED = YEAR_DAYS * 24 // 1000  # hours of issue, in a year or less
FLAT = 1.25  # the last month against the first full one
AGAIN = {"ingest": "forecast", "forecast": "forecast"}  # what the deployments start when this one crashed
MIGRATIONS = {
    "schema upgraded: a column": "alter table forecasts add column remark varchar;\n",
    "schema upgraded: a table": (
        "create table readings_of_days as\n"
        "select station_id, observed_at::date as day, count(*) as rows\nfrom readings\ngroup by all;\n"
    ),
}


@dataclass
class Journal:
    """How far a year has come, and what happened so far. It is all that a year that was interrupted needs."""

    size: dict[str, int]
    port: int
    hour: int = 0
    now: str = ""  # of the network, beyond the last hour once the accounts were closed
    took_s: float = 0.0
    cpu_s: float = 0.0  # of the steps
    counts: dict[str, int] = field(default_factory=dict)
    due: int = 0  # hours of issue
    missed: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    days: list[dict[str, float]] = field(default_factory=list)  # memory and disk of each
    memory_mb: float = 0.0  # the most of today
    typical: dict[str, list[float]] = field(default_factory=dict)  # seconds and calls of each step
    undisturbed: list[str] = field(default_factory=list)  # hours in which all went well

    def save(self, path: Path) -> None:
        """Write it, whole."""
        with atomic_write(path) as draft:
            draft.write_text(json.dumps(asdict(self)))


class Year:
    """A folder in which a year is lived through."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        self.data, self._path = folder / "data", folder / "journal.json"
        self.journal = Journal(asdict(size), free_port())
        if self._path.exists():
            self.journal = Journal(**json.loads(self._path.read_text()))
        now = datetime.fromisoformat(self.journal.now) if self.journal.now else BEGIN
        self.book = SensorYear(folder, size.seed, now, counts=Counter(self.journal.counts))
        self.kills, self.events = plan_kills(size), plan_events(size)
        self._process, self._forks = None, multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload(PRELOADED)

    @property
    def counts(self) -> Counter[str]:
        """What happened, by kind."""
        return self.book.counts

    def begin(self) -> None:
        """Write the configuration, and all that is there before the first hour."""
        if self.journal.hour == 0:
            self.book.write_config(self.journal.port)
            self.book.write_backlog()

    def live(self) -> Iterator[int]:
        """Live through the hours that are left."""
        while self.journal.hour < self.size.hours:
            started = time.monotonic()
            self._live_through(self.journal.hour)
            self.journal.hour += 1
            self.journal.took_s += time.monotonic() - started
            self.save()
            yield self.journal.hour
        self.stop()

    def save(self) -> None:
        """Write down how far it has come."""
        self.journal.now, self.journal.counts = self.book.now.isoformat(), dict(self.counts)
        self.journal.save(self._path)

    def violate(self, what: str) -> None:
        """Note what must not be."""
        self.journal.violations.append(f"{self.book.now:%Y-%m-%d %H:%M} {what}")
        print(f"\n{self.journal.violations[-1]}", flush=True)

    def violate_all(self, faults: Iterable[str]) -> None:
        """Note each of these."""
        for what in faults:
            self.violate(what)

    def do_undisturbed(self, step: str) -> None:
        """Do a step at the present hour, which must go well."""
        if not self._do(step, self.book.now, None, resource.RLIM_INFINITY, quiet=True):
            self.violate(f"{step} failed though nothing was wrong any more")

    def judge(self) -> None:
        """Note what was promised of the whole year, and is not so."""
        if len(self.journal.missed) > MOST_MISSED:
            self.violate(f"{len(self.journal.missed)} hours of issue missed of {self.journal.due}")
        for what in ("memory_mb", "bytes_a_row"):  # readings are kept for ever, and their number grows
            first, last = months(self.journal, what)
            if last > FLAT * first:
                self.violate(f"{what} grew from {first:.1f} to {last:.1f}")

    # one hour

    def _live_through(self, number: int) -> None:
        now = BEGIN + number * HOUR
        self.book.advance(now)
        event, limit = self._happen(number)
        self.journal.due += self.book.is_anything_known()
        clocks = self._clocks(event)
        ended = []
        for step, kill in self.plan_hour(self._steps(now), self.kills.get(number, [])):
            ended.append(self._do(step, now + next(clocks), kill, limit, quiet=not event))
        if all(ended) and not event and not self.book.is_behind():
            self.journal.undisturbed.append(f"{now:%Y-%m-%dT%H}")
        if now.hour == 0:
            self._close_day(now)

    def _steps(self, now: datetime) -> list[str]:
        steps = ["ingest", "forecast", "publish", "verify"]
        if now.hour == 2:
            steps.append("maintain")
        if now.hour == 3 and now.weekday() == 0:
            steps.append("retrain")
        return [*steps, *["report"] * (now.hour == 4)]

    def _clocks(self, event: str) -> Iterator[timedelta]:
        """By how much the clock is wrong at each step; it is set right before the next hour."""
        jump = next((one for one in JUMPS if event == f"clock jumps by {one}"), timedelta(0))
        rng = random.Random(f"{self.size.seed} {event}")
        first = rng.randrange(3)
        last = rng.randint(first, 3)
        for step in range(1000):
            yield jump if first <= step <= last else timedelta(0)

    def plan_hour(self, steps: Sequence[str], kills: Sequence[Kill]) -> Iterator[tuple[str, Kill | None]]:
        """Each step, and the kill that finds it; what is killed is followed by what the deployments start then."""
        total = sum(self._typical(step)[0] for step in steps)
        left, begun, waiting = list(kills), 0.0, list(steps)
        while waiting:
            step = waiting.pop(0)
            share = self._typical(step)[0] / total
            if not left or (left[0].share >= begun + share and waiting):
                begun += share
                yield step, None
                continue
            kill = left.pop(0)
            within = min(max((kill.share - begun) / share, 0.0), 1.0)
            yield step, Kill(within, kill.at_call)
            begun += share
            if step in AGAIN and waiting[:1] != [AGAIN[step]]:
                waiting.insert(0, AGAIN[step])
                begun -= self._typical(AGAIN[step])[0] / total  # its time comes again

    def _typical(self, step: str) -> list[float]:
        return self.journal.typical.get(step, [1.0, 200])

    def _do(self, step: str, now: datetime, kill: Kill | None, limit: int, *, quiet: bool) -> bool:
        """Do a step; returns whether it went well."""
        seconds, calls = self._typical(step)
        die_at = 1 + int(kill.share * calls) if kill and kill.at_call else None
        connection = self._start()
        connection.send(Task(step, now, die_at, limit))
        done = self._wait(connection, kill.share * seconds if kill and not kill.at_call else None)
        if done is None:
            self.counts[f"SIGKILL during {step}"] += 1
            return False
        if kill:  # it was done faster than usual, and is killed before the next step
            self._kill()
            self.counts["SIGKILL between steps"] += 1
        return self._note(done, quiet=quiet)

    def _note(self, done: Done, *, quiet: bool) -> bool:
        typical = self.journal.typical.setdefault(done.step, [done.took_s, done.calls])
        typical[:] = [0.9 * old + 0.1 * new for old, new in zip(typical, (done.took_s, done.calls), strict=True)]
        self.journal.memory_mb = max(self.journal.memory_mb, done.memory_mb)
        self.journal.cpu_s += done.cpu_s
        for what in done.unexpected:
            self.violate(f"{done.step}: {what}")
        for what in done.errors:
            self.counts[f"error in {done.step}"] += 1
            expected = not quiet or what.startswith("SourceError") or not self.book.is_anything_known()
            if not expected and self.journal.hour not in self._restoring():
                self.violate(f"{done.step} failed though nothing was wrong: {what}")
        if done.asks_for:
            self._do(done.asks_for, self.book.now, None, resource.RLIM_INFINITY, quiet=quiet)
            if done.step == "forecast":
                self._do("forecast", self.book.now, None, resource.RLIM_INFINITY, quiet=quiet)
        return not done.errors and not done.unexpected

    def _restoring(self) -> range:
        """The hours in which a checkpoint is damaged."""
        first = next((hour for hour, what in self.events.items() if what == "checkpoint corrupted"), -99)
        return range(first, first + MADE_GOOD_AFTER + 1)

    # the process

    def _start(self) -> multiprocessing.connection.Connection:
        if self._process is None:
            self._connection, other = self._forks.Pipe()
            self._process = self._forks.Process(target=work, args=(other, self.folder), daemon=True)
            self._process.start()
            other.close()
        return self._connection

    def _wait(self, connection: multiprocessing.connection.Connection, kill_after_s: float | None) -> Done | None:
        """What came of a step; None if the process was killed meanwhile."""
        if kill_after_s is not None and not connection.poll(kill_after_s):
            self._kill()
            return None
        try:
            if connection.poll(LONGEST_S):
                return connection.recv()
            self.violate("a step goes on without end")
        except (EOFError, ConnectionError):
            pass
        self._kill()
        return None

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = None

    def stop(self) -> None:
        """End the process, as `daycast down` does."""
        if self._process is not None:
            self._connection.send(None)
            self._process.join()
            self._process = None

    # what happens once

    def _happen(self, number: int) -> tuple[str, int]:
        """What befalls this hour, and beyond how many bytes no file can grow."""
        event = self.events.get(number, "")
        if event:
            self.counts[event.partition(":")[0].partition(" by ")[0]] += 1
        lately = [self.events.get(number - back, "") for back in range(DISK_FULL_HOURS)]
        full = next((what for what in lately if what.startswith("disk full")), "")
        if event in MIGRATIONS:
            self.stop()
            name = f"{9000 + number}_later.sql"
            (self.folder / "sql" / "migrations" / name).write_text(f"-- Made up.\n\n{MIGRATIONS[event]}")
        if event == "published file corrupted":
            corrupt(self.data / "published.duckdb", self.size.seed)
        if event == "checkpoint corrupted":
            self._spoil_champion()
        if number == self._restoring()[-1]:
            (backup,) = (self.folder / "backup").iterdir()
            shutil.copyfile(backup, self.data / "checkpoints" / backup.name)
        if full:
            return full, largest_file(self.data, 1.0 if "cannot grow" in full else 0.5)
        return event, resource.RLIM_INFINITY

    def _spoil_champion(self) -> None:
        """Corrupt the champion's checkpoint, of which there is a backup."""
        with duckdb.connect(self.data / "warehouse.duckdb") as con:
            (name,) = con.execute("select checkpoint from models where role = 'champion'").fetchone()
        backup, path = self.folder / "backup" / name, self.data / "checkpoints" / name
        if not backup.exists():
            backup.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, backup)
        shutil.copyfile(backup, path)  # where an interrupted year goes on with this hour, it is corrupt already
        corrupt(path, self.size.seed)

    # one day

    def _close_day(self, now: datetime) -> None:
        """Note which hours of the last day have forecasts, whether rows are there twice, and what memory and disk are taken."""
        self.stop()
        with duckdb.connect(self.data / "warehouse.duckdb") as con:
            con.execute("set TimeZone = 'UTC'")
            rows = con.execute(
                f"""
                select issued_at, count(*), count(distinct ({DOUBLED["forecasts"]}))
                from forecasts
                where not backfilled and issued_at > ? and issued_at <= ?
                group by all
                """,
                (now - timedelta(days=1, minutes=5), now),
            ).fetchall()
            ((kept,),) = con.execute("select sum(estimated_size) from duckdb_tables()").fetchall()
        issued = {t0 for t0, *_ in rows}
        for t0, count, keys in rows:
            if count != keys or count % 24:
                self.violate(f"{count} forecasts of {t0:%Y-%m-%d %H:%M}, of which {keys} differ")
        for back in range(24):
            hour = now.replace(minute=0) - back * HOUR
            was = SensorYear(self.folder, self.size.seed, hour.replace(minute=5))
            if hour >= BEGIN.replace(minute=0) and hour not in issued and was.is_anything_known():
                self.journal.missed.append(f"{hour:%Y-%m-%dT%H}")
        size = sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())
        of_day = {"memory_mb": self.journal.memory_mb, "disk_mb": size / 2**20, "bytes_a_row": size / int(kept)}
        self.journal.days.append(of_day)
        self.journal.memory_mb = 0.0


def corrupt(path: Path, seed: int) -> None:
    """Flip 64 bytes in the second half of a file."""
    content = bytearray(path.read_bytes())
    start = random.Random(seed).randrange(len(content) // 2, len(content) - 64)
    content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    path.unlink()
    path.write_bytes(content)


def tell(year: Year, compared: Sequence[str]) -> str:
    """The table."""
    journal, counts = year.journal, year.counts
    kills = sum(count for name, count in counts.items() if name.startswith("SIGKILL"))
    each = 24 / max(journal.hour, 1)
    lines = [f"{journal.hour:,} hours, seed {year.size.seed}: {journal.took_s:,.0f} s"]
    lines += [
        f"a day: {journal.took_s * each:.1f} s, of which the steps had the processor for {journal.cpu_s * each:.1f} s"
    ]
    lines += ["", f"{'befell':<44}{'times':>9}", f"{'SIGKILL':<44}{kills:>9,}"]
    lines += [f"{name:<44}{count:>9,}" for name, count in sorted(counts.items()) if count]
    lines += ["", *compared, ""]
    lines.append(f"hours of issue: {journal.due:,} due, {len(journal.missed)} missed {', '.join(journal.missed[:12])}")
    lines.append(flatness(journal))
    lines += ["", f"{len(journal.violations)} promises broken", *journal.violations]
    return "\n".join(lines)


def months(journal: Journal, what: str) -> tuple[float, float]:
    """The median of the first month, once retention has begun to delete, and of the last one."""
    days = [day[what] for day in journal.days]
    month = min(30, max(len(days) // 4, 1))
    begin = min(len(days) // 2, 30)
    return median(days[begin : begin + month]), median(days[-month:])


def flatness(journal: Journal) -> str:
    """Memory and disk, in the beginning and at the end."""
    told = {"memory_mb": "MB of memory", "disk_mb": "MB of disk", "bytes_a_row": "bytes of disk a row"}
    of_months = {name: months(journal, what) for what, name in told.items()}
    return "first month and last: " + ", ".join(f"{a:.0f} and {b:.0f} {name}" for name, (a, b) in of_months.items())


def live_through(folder: Path, size: Size) -> tuple[Year, str]:
    """Live through what is left of a year in this folder, and close its accounts. Returns it, and the table."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    if not (folder / "sql").exists():
        shutil.copytree(daycast.resource_folder("sql"), folder / "sql")
    use_schema_of(folder)
    year = Year(folder, size)
    with serve(year.book.answer, port=year.journal.port):
        year.begin()
        for hour in year.live():
            if hour % 24 == 0:
                print(f"day {hour // 24:3}: {year.journal.took_s:6.0f} s, {flatness(year.journal)}", flush=True)
        compared = list(find_faults_of_year(year))
    year.judge()
    year.save()
    return year, tell(year, compared)


def main() -> int:
    """Live through a year; the exit status is 1 if a promise was broken."""
    folder = Path(os.environ.pop("DAYCAST_CHAOS_FOLDER", "build/chaos")).resolve()
    size = read_size()
    logging.getLogger("daycast").addHandler(logging.NullHandler())
    journal = folder / "journal.json"
    if journal.exists() and json.loads(journal.read_text())["size"] != asdict(size):
        shutil.rmtree(folder)
    year, table = live_through(folder, size)
    print(f"\n{table}")
    return int(bool(year.journal.violations))


if __name__ == "__main__":
    sys.exit(main())
