"""After a fault run: is every reading accounted for, once, and are the observations those of a clean ingest?"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import duckdb
import polars as pl

from daycast.settings import load_settings
from daycast.steps.ingest import ingest_source
from integration.by_hand import ByHand, by_hand
from soak.fault_run import FaultRun
from soak.faulty_process import Running, TrainContext
from soak.hours import DOUBLED
from soak.logbook import STATIONS, Row

VALUES = {"air_temperature_c": "temp", "wind_speed_m_s": "wind"}
LAST = ("ingest", "retrain", "forecast", "verify", "maintain", "publish", "report")
_SHOWN = 3  # examples


def close_accounts(run: FaultRun, number: int, aside: Path) -> None:
    """Mend what is broken, run every command once undisturbed, and note what is not as it must be."""
    book = run.book
    for _, repair in book.repairs:
        repair()
    book.repairs = []
    for path in [path for path, version in book.files.items() if version.fate != "read"]:
        book.write(path, book.files[path].rows)
    book.now += timedelta(hours=3)
    standing = book.standing()
    for words in LAST:
        finished = Running(run.daycast, book.folder, [words], TrainContext(book.now)).wait()
        run._account(number, words, ["none, at the end"], finished)
        if finished.status:
            run.violate(number, words, ["none, at the end"], f"status {finished.status}: {finished.stderr[-400:]!r}")
    book.note_taken_in(standing, book.now, ("loggers", "inbox", "plant"))
    book.note_moved(book.now)
    for what in find_faults(book, aside):
        run.violate(number, "at the end", (), what)


class Book(Protocol):
    """What daycast has to account for."""

    folder: Path
    now: datetime

    @property
    def owed(self) -> Mapping[tuple[str, Row, str], None]:
        """Source, row, and the file where that was refused whole."""

    @property
    def said(self) -> Mapping[tuple[str, datetime], set[float]]:
        """All that was ever said of a station and hour."""


def find_faults(book: Book, aside: Path) -> Iterator[str]:
    """What is wrong in the warehouse, in words; `aside` is an empty folder to make observations anew in."""
    for faults in (_unaccounted(book), _counted_wrong(book), _left_behind(book), _other_observations(book, aside)):
        yield from faults


def _connect(book: Book) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(book.folder / "data" / "warehouse.duckdb", read_only=True)
    con.execute("set TimeZone = 'UTC'")
    return con


def _unaccounted(book: Book) -> Iterator[str]:
    """Rows that were delivered and are neither kept nor refused with a reason."""
    with _connect(book) as con:
        names = ", ".join(VALUES)
        kept = defaultdict(set)
        for station, observed, received, *values in con.execute(
            f"select station_id, epoch_us(observed_at), epoch_us(received_at), {names} from readings"
        ).fetchall():
            for name, value in zip(VALUES, values, strict=True):
                kept[station, observed].add((name, value))
                kept[station, observed, received].add((name, value))
        rejected = {
            (one.get("time") or "", one.get("station") or "", one.get("temp") or "", one.get("wind") or "")
            for (text,) in con.execute("select reading from rejected_readings where reason <> ''").fetchall()
            for one in [json.loads(text)]
        }
        whole, owed = _refused_whole(con), book.owed
    missing = [
        f"{source}: {row.station or 'no station'} at {row.time or 'no time'} = {row.temp or 'nothing'}, "
        f"which had to {row.must}{f' of {origin}, refused whole' if origin else ''}"
        for source, row, origin in owed
        if not (_is_kept(row, source, kept) and row.must != "be refused")
        and not (row.must != "be kept" and _fields(row) in rejected)
        and not (origin and origin in whole)
    ]
    if missing:
        yield f"{len(missing)} of {len(owed)} rows are not accounted for: {'; '.join(missing[:_SHOWN])}"


def _fields(row: Row) -> tuple[str, str, str, str]:
    return row.time, row.station, row.temp, row.wind


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _is_kept(row: Row, source: str, kept: dict) -> bool:
    if row.must == "be refused":
        return False
    key = (row.station, _micros(row.observed_at))
    if source in ("plant", "service"):  # which state when each row was received
        key = (*key, _micros(row.received_at))
    return all((name, float(getattr(row, field))) in kept[key] for name, field in VALUES.items())


def _refused_whole(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The files of which a batch says that and why nothing was taken in."""
    columns = {name for (name, *_) in con.execute("describe batches").fetchall()}
    if "reason" not in columns:
        return set()
    return {origin for (origin,) in con.execute("select origin from batches where reason is not null").fetchall()}


def _counted_wrong(book: Book) -> Iterator[str]:
    """Batches that do not add up, and rows that are there twice."""
    wrong = {
        "batches that do not add up": "from batches where rows_delivered <> rows_kept + rows_refused",
        "batches that are there twice": "select batch_id from batches group by all having count(*) > 1",
        "readings that are there twice": f"""
            select station_id, observed_at, received_at, {", ".join(VALUES)} from readings
            group by all having count(distinct batch_id) > 1
        """,
        "readings whose batch is missing": "from readings anti join batches using (batch_id)",
        "refusals whose batch is missing": "from rejected_readings anti join batches using (batch_id)",
        "readings received before they were observed": "from readings where received_at < observed_at",
        "receipts or observations that lie ahead": f"""
            from readings where greatest(observed_at, received_at) > timestamptz '{book.now.isoformat()}' + interval 1 hour
        """,
        "watermarks that lie ahead": f"""
            from watermarks where received_until > timestamptz '{book.now.isoformat()}' + interval 1 hour
        """,
        "forecasts issued ahead": f"from forecasts where issued_at > timestamptz '{book.now.isoformat()}'",
        **{
            f"rows that {table} has twice": f"select {key} from {table} group by all having count(*) > 1"
            for table, key in DOUBLED.items()
        },
    }
    with _connect(book) as con:
        for what, query in wrong.items():
            cursor = con.execute(query)
            if rows := cursor.fetchall():
                yield f"{len(rows)} {what}: {rows[:_SHOWN]}"
        strangers = {name for (name,) in con.execute("select distinct station_id from readings").fetchall()} - STATIONS
        if strangers:
            yield f"stations that nobody has: {sorted(strangers)}"


def _left_behind(book: Book) -> Iterator[str]:
    """Files in the data folder that nobody needs."""
    known = {
        "checkpoints",
        "errors.log",
        "heartbeat.json",
        "prefect",
        "published",
        "published.duckdb",
        "report.html",
        "snapshots",
        "warehouse.duckdb",
    }
    data = book.folder / "data"
    left = {path.name for path in data.iterdir()} - known
    drafts = {path.name for path in data.rglob("*") if path.suffix in (".tmp", ".new", ".draft")}
    if left := sorted(left | drafts):
        yield f"left behind in the data folder: {left[:10]}"


def _other_observations(book: Book, aside: Path) -> Iterator[str]:
    """Observations that differ from those that a clean ingest makes of the same readings in an empty folder."""
    (aside / "daycast.toml").write_text((book.folder / "daycast.toml").read_text())
    clean = load_settings(str(aside / "daycast.toml"))
    names = list(clean.glossary)
    with _connect(book) as con:
        readings = con.sql(
            f"select station_id, observed_at, received_at, {', '.join(names)} from readings "
            "order by station_id, observed_at, received_at, row_number"
        ).pl()
        found = _versions(con)
    ingest_source(clean, ByHand((by_hand(_in_utc(readings)),)), book.now)
    with clean.warehouse.write(book.now) as con:
        expected = _versions(con)
    for what, one, other in (("lacks", expected, found), ("has beside", found, expected)):
        rows = one.join(other, on=one.columns, how="anti", nulls_equal=True)
        if len(rows):
            yield f"observation_versions {what} {len(rows)} of {len(expected)} rows of a clean ingest: {_first(rows)}"
    yield from _unlike_the_files(book, found)


def _in_utc(readings: pl.DataFrame) -> pl.DataFrame:
    return readings.with_columns(pl.col(pl.Datetime).cast(pl.Datetime("us", "UTC")))


def _versions(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return con.sql("from observation_versions order by station_id, observed_at, known_from").pl()


def _first(rows: pl.DataFrame) -> Iterable[object]:
    columns = ["station_id", "observed_at", "known_from", "known_until", *VALUES]
    return [tuple(str(value) for value in row) for row in rows.select(columns).head(_SHOWN).iter_rows()]


def _unlike_the_files(book: Book, versions: pl.DataFrame) -> Iterator[str]:
    """Where a station ever said one thing only of an hour, that must be believed."""
    owed = {(row.station, row.observed_at) for _, row, origin in book.owed if row.must == "be kept" and not origin}
    ever = book.said
    said = {key: ever[key] for key in owed}
    current = versions.filter(pl.col("known_until").is_null()).select("station_id", "observed_at", "air_temperature_c")
    believed = {(station, observed): value for station, observed, value in current.iter_rows()}
    unlike = [
        f"{station} at {observed:%Y-%m-%d %H:%M}: {believed.get((station, observed))} and not {min(values)}"
        for (station, observed), values in said.items()
        if len(values) == 1 and believed.get((station, observed)) not in values
    ]
    if unlike:
        yield f"{len(unlike)} observations are not what the files say: {'; '.join(unlike[:_SHOWN])}"
