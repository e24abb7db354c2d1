"""What the sources of a fault run deliver, file by file, and every row that daycast has to account for."""

import gzip
import math
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from daycast.times import HOUR

LOGGERS = ("Zürich", "Bern", "Alp")
INBOX, PLANT = "Kiosk", "Werk"
STATIONS = {*LOGGERS, INBOX, PLANT}
DELAY = timedelta(minutes=10)  # reporting_delay of the files
BACKLOG_DAYS = 60
FIRST_MOMENT = datetime(2026, 3, 1, 0, 20, tzinfo=UTC)
HEADER = "time,station,temp,wind,note"
SMALL_MODEL = """
[model]
targets = ["air_temperature_c"]
inputs = ["wind_speed_m_s"]
cell = "gru"
hidden_size = 4
ensemble_size = 1
epochs = 1
steps_per_epoch = 2
batch_size = 16
validation_days = 7
holdout_days = 9
least_training_days = 10
device = "cpu"
"""  # that learns next to nothing in no time
CONFIG = """
[[sources]]
kind = "csv"
name = "loggers"
files = "readings/*.csv*"
reporting_delay = "10min"
station = "station"
time = "time"
columns = { air_temperature_c = "temp", wind_speed_m_s = "wind" }

[[sources]]
kind = "csv"
name = "inbox"
files = "inbox/*.csv"
after = { move_to = "done" }
reporting_delay = "10min"
station = "station"
time = "time"
columns = { air_temperature_c = "temp", wind_speed_m_s = "wind" }

[[sources]]
kind = "sql"
name = "plant"
query = "select * from plant.log where stored > $since and stored <= $until order by stored, observed"
attach = { plant = "plant.duckdb" }
received = "stored"
station = "site"
time = "observed"
columns = { air_temperature_c = "temp", wind_speed_m_s = "wind" }
"""
CONFIG += (
    SMALL_MODEL
    + """
[retention]
forecasts_days = 20
models = 1

[publish]
parquet_above = 2000
"""
)


@dataclass(frozen=True)
class Row:
    """One line of a file, or one row of the plant's table; every field as it is written."""

    time: str
    station: str
    temp: str
    wind: str
    note: str = ""
    observed_at: datetime = FIRST_MOMENT  # what `time` means
    received_at: datetime = FIRST_MOMENT
    must: str = "be kept"  # or "be refused", or "be either"
    beyond: str = ""  # fields that the header has no name for

    @property
    def has_time(self) -> bool:
        """Whether its time can be read."""
        return self.time == f"{self.observed_at:%Y-%m-%d %H:%M}"

    @property
    def line(self) -> bytes:
        """As it stands in a file. A note may hold a byte that is no UTF-8."""
        fields = [self.time, self.station, self.temp, self.wind, self.note]
        return (",".join(fields) + self.beyond + "\n").encode(errors="surrogateescape")


@dataclass(frozen=True)
class Version:
    """What a file held, and what has to become of it."""

    source: str
    path: Path
    rows: tuple[Row, ...]
    fate: str = "read"  # or "refused" whole, for it has too many bad rows; or "unreadable"; or "unfinished"


def make_row(station: str, observed_at: datetime, rng: random.Random) -> Row:
    """What a station measured."""
    hours = observed_at.timestamp() / 3600
    temp = 8 + 5 * math.sin(2 * math.pi * (hours - 9) / 24) + rng.gauss(0, 0.7)
    received = observed_at + DELAY
    wind = f"{abs(rng.gauss(3, 1.5)):.1f}"
    return Row(f"{observed_at:%Y-%m-%d %H:%M}", station, f"{temp:.1f}", wind, "", observed_at, received)


@dataclass
class Logbook:
    """The folder's files as they stand, and every row that daycast must account for."""

    folder: Path
    now: datetime = FIRST_MOMENT
    files: dict[Path, Version] = field(default_factory=dict)
    plant: list[Row] = field(default_factory=list)
    owed: dict[tuple[str, Row, str], None] = field(default_factory=dict)  # source, row, origin where refused whole
    repairs: list[tuple[int, Callable[[], None]]] = field(default_factory=list)  # after which command, what to do
    damaged: set[Path] = field(default_factory=set)  # files that are mended later
    late: list[Row] = field(default_factory=list)
    said: dict[tuple[str, datetime], set[float]] = field(default_factory=lambda: defaultdict(set))  # ever
    count: int = 0

    def begin(self) -> None:
        """Write the history that is there before the first command."""
        rng = random.Random("backlog")
        for name in ("readings", "inbox"):
            (self.folder / name).mkdir(parents=True)
        hours = [FIRST_MOMENT.replace(minute=0) - k * HOUR for k in range(BACKLOG_DAYS * 24, 0, -1)]
        rows = [make_row(station, hour, rng) for hour in hours for station in (*LOGGERS, INBOX)]
        self.write(self.folder / "readings" / "backlog.csv.gz", rows)
        with duckdb.connect(self.folder / "plant.duckdb") as con:
            con.execute(
                "create table log (site varchar, observed timestamptz, stored timestamptz, temp double, wind double)"
            )
        self.store([make_row(PLANT, hour, rng) for hour in hours[-400:]])
        (self.folder / "daycast.toml").write_text(CONFIG)

    def write(self, path: Path, rows: Iterable[Row], fate: str = "read", content: bytes | None = None) -> None:
        """Have a file hold these rows, or this content."""
        source = "inbox" if path.parent.name == "inbox" else "loggers"
        version = Version(source, path, tuple(rows), fate)
        lines = f"{HEADER}\n".encode() + b"".join(row.line for row in version.rows)
        written = lines if content is None else content
        path.write_bytes(gzip.compress(written) if path.suffix == ".gz" and content is None else written)
        if path.parent.name == "inbox" or fate == "unreadable":
            os.utime(path, (0, 0))  # nobody is writing it any more
        self.files[path] = version
        self._note_said(version.rows)

    def _note_said(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.must == "be kept":
                self.said[row.station, row.observed_at].add(float(row.temp))

    def remove(self, path: Path) -> None:
        """Take a file away, whatever it is."""
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.files.pop(path, None)

    def store(self, rows: Sequence[Row]) -> None:
        """Add rows to the plant's table."""
        self.plant += rows
        self._note_said(rows)
        values = [(row.station, row.observed_at, row.received_at, float(row.temp), float(row.wind)) for row in rows]
        with duckdb.connect(self.folder / "plant.duckdb") as con:
            con.executemany("insert into log values (?, ?, ?, ?, ?)", values)

    def advance(self, rng: random.Random) -> None:
        """Let time pass, more than a command takes, and write what was measured meanwhile; some of it only later."""
        before = self.now.replace(minute=0, second=0)
        self.now += timedelta(minutes=rng.choice([10, 10, 10, 30, 60, 60, 60, 120, 240]))
        hours = [before + k * HOUR for k in range(1, (self.now - before) // HOUR + 1)]
        for hour in hours:
            rows = [make_row(station, hour, rng) for station in LOGGERS]
            silent = [row for row in rows if rng.random() < 0.05]
            self.late += silent
            self.append(self.folder / "readings" / f"{hour:%Y-%m-%d}.csv", [row for row in rows if row not in silent])
            self.write(self.folder / "inbox" / f"kiosk-{hour:%Y-%m-%dT%H}.csv", [make_row(INBOX, hour, rng)])
        self._advance_plant(hours, rng)
        if self.late and rng.random() < 0.1:
            self.count += 1
            self.write(self.folder / "readings" / f"late-{self.count}.csv", self.late)
            self.late = []

    def _advance_plant(self, hours: Sequence[datetime], rng: random.Random) -> None:
        rows = [make_row(PLANT, hour, rng) for hour in hours]
        if hours and rng.random() < 0.2:  # corrected, or late
            old = rng.choice(self.plant)
            rows.append(replace(old, temp=f"{float(old.temp) + rng.choice([-1.3, 2.2]):.1f}", received_at=hours[-1]))
        if rows:
            self.store([replace(row, received_at=max(row.received_at, hours[0])) for row in rows])

    def append(self, path: Path, rows: Sequence[Row]) -> None:
        """Add rows to the end of a file, as a logger does."""
        there = self.files.get(path)
        if path.is_dir() or (there and there.fate != "read"):
            self.late += rows  # nobody writes to what is damaged
            return
        self.write(path, [*(there.rows if there else ()), *rows])

    def days(self) -> list[Path]:
        """The files that are still good and were written in the run."""
        return sorted(
            path
            for path, version in self.files.items()
            if version.fate == "read" and path.parent.name == "readings" and path.name != "backlog.csv.gz"
        )

    def is_whole(self) -> bool:
        """Whether every file that stands can be read and is good enough to be taken in."""
        return all(version.fate in ("read", "unfinished") for version in self.files.values())

    def standing(self) -> list[Version]:
        """The files as they are."""
        return [version for path, version in self.files.items() if path.exists()]

    def moved(self) -> list[Path]:
        """The files that daycast put away from the inbox, as far as that is not noted yet."""
        return [path for path in self.files if path.parent.name == "inbox" and not path.exists()]

    def note_taken_in(self, standing: Iterable[Version], until: datetime, sources: Iterable[str]) -> None:
        """From now on daycast has to account for what was received by `until`, for it has seen it."""
        for version in standing:
            if version.source in sources and version.fate in ("read", "refused"):
                self._owe(version, until)
        if "plant" in sources:
            self.owed |= {("plant", row, ""): None for row in self.plant if row.received_at <= until}

    def note_moved(self, until: datetime) -> None:
        """What daycast put away from the inbox it has taken in."""
        for path in self.moved():
            self._owe(self.files.pop(path), until)

    def _owe(self, version: Version, until: datetime) -> None:
        whole = version.path.relative_to(self.folder).as_posix() if version.fate == "refused" else ""
        if whole and any(row.received_at > until for row in version.rows):
            return  # what of it is delivered may be good enough
        last = {(row.station, row.observed_at): row for row in version.rows if row.must == "be kept"}
        for row in version.rows:  # of several rows of one instant in one file the last one counts
            superseded = row.must == "be kept" and last[row.station, row.observed_at] is not row
            if (row.received_at <= until or not row.has_time) and not superseded:
                self.owed[version.source, row, whole] = None
