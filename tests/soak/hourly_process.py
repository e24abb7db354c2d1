"""The steps of an hour in a process that lives for many hours, as a worker would do them, until it is killed in mid work.

Only the Prefect server is left out: it takes longer to start than an hour takes to live through. A kill comes from outside at a
moment, or from within at the n-th call of the database or the file system, which no timing can miss. The steps that open the
warehouse most often have it open from their first block to their last (`OpenInStep`): opening it 25 times took a third of an
hour's time.
"""

import gc
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import duckdb

import daycast
from daycast.errors import DaycastError, describe
from daycast.settings import Settings, load_settings
from daycast.sources.http import response
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.maintain import maintain
from daycast.steps.publish import publish_tables, write_report
from daycast.steps.record_run import recorded
from daycast.steps.train import find_changes, has_champion
from daycast.variables import Variable
from daycast.warehouse import warehouse
from daycast.warehouse.statements import sql_folder
from soak.hours import memory_mb, retrain, verify

R = TypeVar("R")
# what steps import only when they need it, which each process would do anew
PRELOADED = ["soak.hourly_process", "daycast.sources.http.transport", "sklearn", "torch._dynamo"]
CALLS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.copyfile"}  # of the file system


@dataclass(frozen=True)
class Task:
    """A step to do, at which time by its clock, and what befalls it meanwhile."""

    step: str
    now: datetime
    die_at: int | None = None  # the number of the call at which it is killed
    largest_file: int = resource.RLIM_INFINITY  # bytes; beyond them the disk is full


@dataclass(frozen=True)
class Done:
    """What came of a step."""

    step: str
    took_s: float
    cpu_s: float
    calls: int  # of the database and the file system
    memory_mb: float
    errors: list[str] = field(default_factory=list)  # expected ones, which tell the way out
    unexpected: list[str] = field(default_factory=list)
    asks_for: str = ""  # a step that has to follow


class Calls:
    """Counts the calls of the database and the file system; at one of them the process is killed."""

    def __init__(self) -> None:
        self.count, self.die_at = 0, None
        sys.addaudithook(lambda event, _: self.note() if event in CALLS else None)
        execute = duckdb.DuckDBPyConnection.execute

        def counted(*args: object, **named: object) -> duckdb.DuckDBPyConnection:
            self.note()
            return execute(*args, **named)

        duckdb.DuckDBPyConnection.execute = counted

    def note(self) -> None:
        """One more."""
        self.count += 1
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def work(connection: Connection, folder: Path) -> None:
    """Do what is asked for, one step after the other; the body of the process."""
    os.chdir(folder)
    logging.getLogger("daycast").addHandler(logging.FileHandler(folder / "daycast.log"))
    use_schema_of(folder)
    response.FIRST_BACKOFF_S = response.FIRST_OVERLOAD_BACKOFF_S = 0.01
    warehouse.SETTINGS["threads"] = 1  # there are more processes than cores, and threads would wait for each other
    warehouse.is_current = _once_current(warehouse.is_current)
    settings, calls = load_settings(), Calls()
    held = OpenInStep(settings.data / "warehouse.duckdb")
    sys.meta_path.insert(0, NoPandas())
    gc.freeze()  # the modules, which are not looked through again and again
    while (task := connection.recv()) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task.largest_file, resource.RLIM_INFINITY))
        calls.count, calls.die_at = 0, task.die_at
        started, stages = (time.monotonic(), time.process_time()), Stages()
        with held.during(task.step):
            asks_for = STEPS[task.step](settings, task.now, stages) or ""
        count, calls.die_at = calls.count, None
        took = time.monotonic() - started[0], time.process_time() - started[1]
        connection.send(Done(task.step, *took, count, memory_mb(), stages.errors, stages.unexpected, asks_for))


class NoPandas(MetaPathFinder):
    """Says at once that there is no pandas, which DuckDB looks for 300 times an hour."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Of no other module does it say anything."""
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")


def use_schema_of(folder: Path) -> None:
    """Have this process take its SQL from the folder, where migrations are added in the course of the year."""
    daycast.resource_folder = lambda name, of=daycast.resource_folder: folder / name if name == "sql" else of(name)
    sql_folder.cache_clear()


def _once_current(is_current: Callable[..., bool]) -> Callable[..., bool]:
    """The schema is looked at until it is current, for nobody else changes it: that takes a quarter of an hour's time."""
    found = set[str]()

    def looked_at(con: duckdb.DuckDBPyConnection, variables: Iterable[Variable]) -> bool:
        ((name,),) = con.execute("select current_database()").fetchall()
        if name not in found and is_current(con, variables):
            found.add(name)
        return name in found

    return looked_at


class OpenInStep:
    """Keeps the warehouse open within some steps, from the first block that has it open to the last.

    A block that fails closes it, for then the disk may be full, and so does the end of the step, which writes it out.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._open, self._is_on = path, warehouse._open_file, False
        self._root: duckdb.DuckDBPyConnection | None = None
        warehouse._open_file = self._block

    @contextmanager
    def during(self, step: str) -> Iterator[None]:
        """Keep it open in this step, if that opens it often."""
        self._is_on = step in ("ingest", "forecast", "verify")
        yield
        self._close()

    @contextmanager
    def _block(self, path: Path, *given: object) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self._is_on or path != self._path:
            with self._open(path, *given) as con:
                yield con
            return
        if self._root is None:
            with self._open(path, *given):  # creates it, and brings its schema up to date
                self._root = duckdb.connect(path, config=warehouse.SETTINGS)
        try:
            with self._root.cursor() as con:
                con.execute("set TimeZone = 'UTC'")
                yield con
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None


@dataclass
class Stages:
    """As the stages of a flow: if one fails, those after it still run."""

    errors: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def run(self, stage: Callable[..., R], *arguments: object) -> R | None:
        """The result of a stage; None if it fails."""
        try:
            return stage(*arguments)
        except DaycastError as error:
            self.errors.append(f"{type(error).__name__}: {error}")
        except Exception as error:
            self.unexpected.append(describe(error))
            logging.getLogger("daycast").exception("unexpected")
        return None


def ingest(settings: Settings, now: datetime, stages: Stages) -> None:
    """Every source; the run is noted, as that of the flow."""

    def run() -> None:
        with recorded(settings, "ingest", now, lambda: now):
            for source in settings.sources:
                stages.run(ingest_source, settings, source, now)

    stages.run(run)


def forecast(settings: Settings, now: datetime, stages: Stages) -> str | None:
    """The next 24 hours; without a champion a retraining is due."""
    if stages.run(has_champion, settings, now) is False:
        return "retrain"
    stages.run(issue_forecasts, settings, now)
    return None


def verify_hour(settings: Settings, now: datetime, stages: Stages) -> str | None:
    """Scores, drift, calibration, and what has changed since the last training."""
    drifts = verify(settings, now, stages.run)
    return "retrain" if drifts or stages.run(find_changes, settings, now) else None


def _single(step: Callable[[Settings, datetime], object]) -> Callable[[Settings, datetime, Stages], None]:
    def run(settings: Settings, now: datetime, stages: Stages) -> None:
        stages.run(step, settings, now)

    return run


STEPS: dict[str, Callable[[Settings, datetime, Stages], str | None]] = {
    "ingest": ingest,
    "forecast": forecast,
    "publish": _single(publish_tables),
    "verify": verify_hour,
    "maintain": _single(maintain),
    "retrain": _single(retrain),
    "report": _single(write_report),
}


def largest_file(data: Path, share: float) -> int:
    """So many bytes as this share of the largest file in the folder."""
    sizes: Iterable[int] = (path.stat().st_size for path in data.rglob("*") if path.is_file())
    return int(share * max(sizes))
