"""After a year of faults: is every reading accounted for, and are the tables those of a year in which nothing happened?"""

import random
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from daycast.settings import Settings, load_settings
from daycast.steps.forecast import make_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.verify import verify_forecasts
from daycast.times import HOUR
from soak.accounts import find_faults
from soak.sensor_year import SensorYear

if TYPE_CHECKING:
    from soak.year import Year

SETTLED = 8  # hours after the last one, by which all that is late has come
REISSUED = 24  # hours of issue to forecast anew
LAST = ("ingest", "forecast", "verify", "maintain", "publish", "report")
_REPEATABLE = """
select distinct issued_at from forecasts
where not backfilled and issued_at not in (select calibrated_at from calibrations)  -- made after the forecast of their hour
"""
KEPT = ["station_id", "variable", "issued_at", "lead_hours", "value", "q05", "q50", "q95"]
SCORED = ["model_id", "forecaster", "station_id", "variable", "lead_hours", "valid_on", "n", "mae", "crps"]


def find_faults_of_year(year: "Year") -> Iterator[str]:
    """Do every step once undisturbed, and compare; yields the lines of the table, and notes what is wrong as violations."""
    book = year.book
    book.faulty = 0.0
    for hour in range(1, SETTLED + 1):
        book.advance(book.now + HOUR)
        for step in LAST if hour == SETTLED else LAST[:1]:
            year.do_undisturbed(step)
    year.stop()
    settings = load_settings(str(year.folder / "daycast.toml"))
    aside = year.folder / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "again").mkdir(parents=True)
    year.violate_all(find_faults(book, aside / "again"))
    yield f"readings accounted for: {len(book.owed):,}"
    for name, wrong in compare(year, settings, aside):
        if wrong:
            year.violate(f"{name}: {wrong}")
        yield f"{name}: {wrong or 'equal'}"


def compare(year: "Year", settings: Settings, aside: Path) -> Iterator[tuple[str, str]]:
    """The tables beside those of an undisturbed year; each with what differs."""
    clean = undisturbed(year.book, aside / "undisturbed")
    for table in ("observation_versions", "stations"):
        yield f"{table} of an undisturbed year", _difference(_all(settings, table), _all(clean, table))
    published = _query(settings.published, "select count(*), bit_xor(hash(t)) from (from {}) as t")
    yield (
        "forecasts and scores as published",
        _difference(
            published,
            _query(settings.data / "warehouse.duckdb", "select count(*), bit_xor(hash(t)) from (from {}) as t"),
        ),
    )
    yield "scores made anew", _scores_made_anew(settings, aside / "scores", year.book.now)
    yield from _forecasts_made_anew(year, settings)


def undisturbed(book: SensorYear, folder: Path) -> Settings:
    """A folder that takes in everything at once, and without any fault."""
    (folder / "inbox").mkdir(parents=True)
    again = SensorYear(folder, book.seed, book.now)
    again.write_all()
    (folder / "daycast.toml").write_text((book.folder / "daycast.toml").read_text())
    settings = load_settings(str(folder / "daycast.toml"))
    for source in settings.sources:
        ingest_source(settings, source, book.now)
    return settings


def _all(settings: Settings, table: str) -> pl.DataFrame:
    with duckdb.connect(settings.data / "warehouse.duckdb") as con:
        con.execute("set TimeZone = 'UTC'")
        return con.sql(f"from {table} order by all").pl()


def _query(path: Path, query: str) -> pl.DataFrame:
    with duckdb.connect(path, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return pl.concat([con.sql(query.format(table)).pl() for table in ("forecasts", "scores")])


def _difference(one: pl.DataFrame, other: pl.DataFrame) -> str:
    """What of two tables is not the same, in words; empty if they are."""
    lacking, beside = (
        left.join(right, on=left.columns, how="anti", nulls_equal=True) for left, right in ((other, one), (one, other))
    )
    if lacking.is_empty() and beside.is_empty():
        return ""
    first = next(iter((lacking if len(lacking) else beside).head(1).iter_rows()))
    return f"lacks {len(lacking)} rows and has {len(beside)} others of {len(other)}: {first}"


def _scores_made_anew(settings: Settings, folder: Path, now: datetime) -> str:
    """Verify everything once, in a copy, and compare."""
    shutil.copytree(settings.data, folder / "data")
    shutil.copyfile(settings.data.parent / "daycast.toml", folder / "daycast.toml")
    copy = load_settings(str(folder / "daycast.toml"))
    with duckdb.connect(copy.data / "warehouse.duckdb") as con:
        con.execute("delete from scores; delete from verifications")
    verify_forecasts(copy, now)
    found, expected = (
        _all(one, "scores").select(pl.col(SCORED)).with_columns(pl.col("mae", "crps").round(6))
        for one in (settings, copy)
    )
    kept = expected["valid_on"].min()
    return _difference(found.filter(pl.col("valid_on") > kept), expected.filter(pl.col("valid_on") > kept))


def _forecasts_made_anew(year: "Year", settings: Settings) -> Iterator[tuple[str, str]]:
    """Forecast some hours again in which all had gone well: they were issued from what was known then."""
    with duckdb.connect(settings.data / "warehouse.duckdb") as con:
        con.execute("set TimeZone = 'UTC'")
        kept = {f"{time:%Y-%m-%dT%H}" for (time,) in con.execute(_REPEATABLE).fetchall()}
    hours = sorted(kept & set(year.journal.undisturbed))
    chosen = random.Random(year.size.seed).sample(hours, min(REISSUED, len(hours)))
    different = []
    for hour in sorted(chosen):
        t0 = datetime.fromisoformat(f"{hour}:00+00:00")
        with duckdb.connect(settings.data / "warehouse.duckdb") as con:
            con.execute("set TimeZone = 'UTC'")
            issued = con.execute(f"from forecasts where issued_at = '{t0.isoformat()}'").pl()
        again = make_forecasts(settings, year.book.now, t0, model_id=issued["model_id"][0])
        rounded = [
            frame.select(KEPT).with_columns(pl.col(pl.Float64, pl.Float32).round(3)) for frame in (issued, again)
        ]
        if wrong := _difference(
            *(frame.cast({"issued_at": pl.Datetime("us", "UTC"), "lead_hours": pl.Int64}) for frame in rounded)
        ):
            different.append(f"{hour}: {wrong}")
    yield f"forecasts made anew, {len(chosen)} hours of issue", "; ".join(different[:3])
