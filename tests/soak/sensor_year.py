"""A year of a small network, all of it drawn from a seed: what its stations measure, and how badly that is delivered.

Two stations are behind a SensorThings service, of whose requests a tenth fail, are slow, truncated or answered twice. A third
drops a file an hour into an inbox, of which a tenth come late, twice, empty at first or cut off at first. Nothing is kept: any
hour can be made again, so that a year can be interrupted.
"""

import json
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from daycast.times import HISTORY_HOURS, HOUR
from soak.logbook import BACKLOG_DAYS, HEADER, INBOX, LOGGERS, PLANT, SMALL_MODEL, Row, make_row
from unit.sources.http_server import Answer, Request

BEGIN = datetime(2040, 3, 1, 0, 5, tzinfo=UTC)  # far ahead, so that files are older than any hour of the year
SERVED = (LOGGERS[1], PLANT)
FAULTY = 0.1  # of the requests, and of the files
MISSING, LATE, CORRECTED = 0.005, 0.03, 0.01
SILENT_DAYS = (200, 209)  # of the year, in which nobody measures anything
UNITS = {"temp": "°C", "wind": "m/s"}
REQUEST_FAULTS = ("failed", "failed", "slow", "truncated", "duplicated")
FILE_FAULTS = ("late", "duplicated", "empty at first", "cut off")
CONFIG = """
[[sources]]
kind = "sensorthings"
name = "service"
url = "http://127.0.0.1:{port}/v1.1"
columns = {{ air_temperature_c = "temp", wind_speed_m_s = "wind" }}
receipt = "result_time"
start = "{start}"
look_back = "6h"
http = {{ timeout = "20s", retries = 1, requests_per_second = 1000000 }}

[[sources]]
kind = "csv"
name = "inbox"
files = "inbox/*.csv"
after = {{ move_to = "done" }}
reporting_delay = "10min"
station = "station"
time = "time"
columns = {{ air_temperature_c = "temp", wind_speed_m_s = "wind" }}
"""
CONFIG += (
    SMALL_MODEL
    + """
[retention]
forecasts_days = 20
scores_days = 30
models = 1

[publish]
parquet_above = 20000
"""
)


@lru_cache(maxsize=5000)
def measured(seed: int, station: str, hour: datetime) -> tuple[Row, ...]:
    """What a station measured at a full hour: nothing, one row, or a second one that corrects the first."""
    rng = random.Random(f"{seed} {station} {hour:%Y-%m-%dT%H}")
    silent = BEGIN + timedelta(days=SILENT_DAYS[0]) < hour <= BEGIN + timedelta(days=SILENT_DAYS[1])
    if rng.random() < MISSING or silent:
        return ()
    row = make_row(station, hour, rng)
    if station != INBOX and rng.random() < LATE:
        row = replace(row, received_at=hour + rng.randint(1, 5) * HOUR)
    if station == INBOX or rng.random() > CORRECTED:
        return (row,)
    right = f"{float(row.temp) + rng.choice([-1.3, 2.2]):.1f}"
    return (row, replace(row, temp=right, received_at=row.received_at + rng.randint(1, 4) * HOUR))


@dataclass
class SensorYear:
    """The network as it stands at `now`, in a folder of its own: the same attributes as a Logbook has."""

    folder: Path
    seed: int
    now: datetime = BEGIN
    faulty: float = FAULTY
    counts: Counter[str] = field(default_factory=Counter)  # of faults, and of all requests and files
    asked: int = 0  # requests in this hour

    @property
    def first(self) -> datetime:
        """The first hour that was measured."""
        return BEGIN.replace(minute=0) - BACKLOG_DAYS * 24 * HOUR

    def write_config(self, port: int) -> None:
        """Write daycast.toml, which asks the service at this port."""
        (self.folder / "inbox").mkdir(exist_ok=True)
        (self.folder / "daycast.toml").write_text(
            CONFIG.format(port=port, start=f"{self.first - HOUR:%Y-%m-%dT%H:%MZ}")
        )

    def rows(self, station: str, first: datetime, last: datetime) -> Iterator[Row]:
        """What a station measured in these full hours, as far as it is received by now."""
        for k in range((last - first) // HOUR + 1):
            yield from (row for row in measured(self.seed, station, first + k * HOUR) if row.received_at <= self.now)

    def is_anything_known(self) -> bool:
        """Whether anything that was measured in the last week was received."""
        last = self.now.replace(minute=0)
        return any(
            next(self.rows(station, last - (HISTORY_HOURS - 1) * HOUR, last), None) for station in (*SERVED, INBOX)
        )

    # the inbox

    def write_backlog(self) -> None:
        """Drop one file with all that the station of the inbox measured before."""
        self._drop("backlog.csv", list(self.rows(INBOX, self.first, self.now.replace(minute=0) - HOUR)))

    def write_all(self) -> None:
        """Drop one file with all that it ever measured, without a fault."""
        self._drop("all.csv", list(self.rows(INBOX, self.first, self.now)))

    def advance(self, now: datetime) -> None:
        """Let it be `now`, and drop the files of this hour: what was measured in the hour before, and what is late."""
        self.now, self.asked = now, 0
        hour = now.replace(minute=0) - HOUR
        for back in range(4):
            self._deliver(hour - back * HOUR, back)

    def is_behind(self) -> bool:
        """Whether the inbox still lacks a file that counts as received: the time of its receipt is assumed."""
        hour = self.now.replace(minute=0) - HOUR
        return any(self._fate(hour - back * HOUR)[1] > back for back in range(4))

    def _fate(self, hour: datetime) -> tuple[str, int]:
        """What is wrong with an hour's file, and how many hours later all of it is there."""
        rng = random.Random(f"{self.seed} file {hour:%Y-%m-%dT%H}")
        fault = rng.choice(FILE_FAULTS) if rng.random() < self.faulty else ""
        return fault, rng.randint(1, 3) if fault == "late" else int(fault in ("cut off", "empty at first"))

    def _deliver(self, hour: datetime, back: int) -> None:
        """Drop what is due of an hour's file, `back` hours after it was due first."""
        rows, name = list(measured(self.seed, INBOX, hour)), f"kiosk-{hour:%Y-%m-%dT%H}"
        if hour < BEGIN - HOUR or not rows:
            return
        fault, whole_after = self._fate(hour)
        if back == 0:
            self.counts[f"files {fault}" if fault else "files as they should be"] += 1
        if back == whole_after:
            self._drop(f"{name}.csv", rows)
        elif back == 0 and fault != "late":
            self._drop(f"{name}.csv", rows, cut=fault == "cut off", empty=fault == "empty at first")
        if fault == "duplicated" and back == 1:
            self._drop(f"{name}-again.csv", rows)

    def _drop(self, name: str, rows: list[Row], *, cut: bool = False, empty: bool = False) -> None:
        path, content = self.folder / "inbox" / name, f"{HEADER}\n".encode() + b"".join(row.line for row in rows)
        path.write_bytes(content[:-5] if cut else content[: len(HEADER) + 1] if empty else content)
        if not cut:
            os.utime(path, (0, 0))  # nobody is writing it any more

    # the service

    def answer(self, request: Request) -> Answer:
        """What the service answers, or what a bad line makes of it."""
        self.asked += 1
        rng = random.Random(f"{self.seed} {self.now:%Y-%m-%dT%H} {self.asked}")
        fault = rng.choice(REQUEST_FAULTS) if rng.random() < self.faulty else ""
        self.counts[f"requests {fault}" if fault else "requests answered"] += 1
        if fault == "failed":
            return rng.choice([Answer(500), Answer(503), Answer(429, headers={"Retry-After": "0"}), Answer(404)])
        found = self._entities(request)
        if fault == "duplicated":
            found = [one for one in found for _ in range(2)]
        body = json.dumps({"value": found}).encode()
        return Answer(
            body=body,
            truncate_to=len(body) // 2 if fault == "truncated" else None,
            delay_s=rng.random() / 2 if fault == "slow" else 0,
        )

    def _entities(self, request: Request) -> list[dict]:
        if request.path.endswith("/Things"):
            return [thing(number) for number in range(len(SERVED))]
        key = int(re.search(r"Datastreams\((\d+)\)", request.path)[1])
        station, variable = SERVED[key // 10], list(UNITS)[key % 10]
        bounds = dict(re.findall(r"phenomenonTime (gt|le) (\S+)", request.query["$filter"]))
        after, end = (datetime.fromisoformat(bounds[name]) for name in ("gt", "le"))
        first = max(after.replace(minute=0, second=0, microsecond=0) + HOUR, self.first)
        return [
            {
                "phenomenonTime": row.observed_at.isoformat(),
                "result": float(getattr(row, variable)),
                "resultTime": row.received_at.isoformat(),
            }
            for row in self.rows(station, first, min(end, self.now))
        ]

    # the accounts

    @property
    def owed(self) -> dict[tuple[str, Row, str], None]:
        """Every row that daycast must have by now: its source, the row, and the file where that was refused whole."""
        return {
            ("inbox" if station == INBOX else "service", row, ""): None
            for station in (*SERVED, INBOX)
            for row in self.rows(station, self.first, self.now.replace(minute=0))
        }

    @property
    def said(self) -> dict[tuple[str, datetime], set[float]]:
        """All that was ever said of a station and hour."""
        said = defaultdict(set)
        for _, row, _ in self.owed:
            said[row.station, row.observed_at].add(float(row.temp))
        return said


def thing(number: int) -> dict:
    """A station, as the service describes it."""
    point = {"type": "Point", "coordinates": [8.25 + number / 10, 47.5 - number / 10, 412.0]}
    return {
        "@iot.id": number,
        "name": SERVED[number],
        "Locations": [{"@iot.id": number, "encodingType": "application/geo+json", "location": point}],
        "Datastreams": [
            {
                "@iot.id": 10 * number + k,
                "name": name,
                "unitOfMeasurement": {"symbol": unit},
                "ObservedProperty": {"@iot.id": k, "name": name},
            }
            for k, (name, unit) in enumerate(UNITS.items())
        ],
    }
