"""Real files through the real ingest: what becomes of them is compared with what is right.

A case is a folder beside the checkout with its input and `expected.csv`, and here a configuration `NAME.toml` for it. To add a
case, add its configuration: a daycast.toml whose paths are relative to the folder of the case, and a table `[case]` (`Case`).
A case whose input is no file (a service, a database) or that needs more than ingests one after the other has its own test.
"""

import shutil
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from pydantic import BaseModel, ConfigDict

from daycast.settings import Settings
from daycast.steps.ingest import Ingested, ingest_source
from daycast.times import UTC_TIME

CASES = Path(__file__).parents[4] / "shared" / "cases"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"the folder of real files and situations is not at {CASES}"),
]
TOLERANCE = 0.001
KEY = ["station_id", "observed_at", "variable"]
CONFIGURATIONS = sorted(Path(__file__).parent.glob("*.toml"))


class Case(BaseModel):
    """The table `[case]` of a configuration: what is right beside the values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str | None = None  # of the case, if it is not named like the configuration: for a second way to read it
    until: datetime | None = None  # the clock; by default a day after the last hour expected
    kept: int | None = None  # rows, over all sources
    refused: int = 0  # rows, over all sources
    doubts: tuple[str, ...] = ()  # a part of each; there must be no others
    not_compared: tuple[tuple[str, datetime, str], ...] = ()  # station, hour, variable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A new folder, where state is written and the files of the case are copied to."""
    return tmp_path / "case"


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda path: path.stem)
def test_a_real_file_gives_the_observations_that_are_right(configuration: Path, folder: Path):
    table = tomllib.loads(configuration.read_text())
    case = Case(**table.pop("case", {}))
    given = CASES / (case.folder or configuration.stem)
    expected = read_expected(given / "expected.csv")
    settings = settings_of(table, given, folder)
    ingested = list(ingest_each(settings, case.until or last_hour(expected) + timedelta(days=1)))
    assert differences(expected, read_observed(settings), case) == []
    assert sum(one.refused for one in ingested) == case.refused
    assert case.kept in {None, sum(one.kept for one in ingested)}
    doubts = [doubt for one in ingested for doubt in one.doubts]
    assert [part for part in case.doubts if not any(part in doubt for doubt in doubts)] == []
    assert [doubt for doubt in doubts if not any(part in doubt for part in case.doubts)] == []


def settings_of(table: dict[str, Any], given: Path, folder: Path) -> Settings:
    """The settings for a copy of the case, so that files may be moved and state is written elsewhere."""
    shutil.copytree(given, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)  # the original may be read-only
    return Settings.model_validate({"data": "state", **table}, context={"folder": folder})


def ingest_each(settings: Settings, now: datetime) -> Iterator[Ingested]:
    """Ingest the sources one after the other, in the order of the configuration."""
    for source in settings.sources:
        yield ingest_source(settings, source, now)


def read_expected(path: Path) -> pl.DataFrame:
    """station_id, observed_at, variable, value and flag (null: not compared)."""
    table = pl.read_csv(path, infer_schema=False)
    flag = pl.col("flag").cast(pl.Int64) if "flag" in table.columns else pl.lit(None, pl.Int64).alias("flag")
    observed = pl.col("observed_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    return table.with_columns(observed, pl.col("value").cast(pl.Float64), flag).select(*KEY, "value", "flag")


def last_hour(expected: pl.DataFrame) -> datetime:
    """The last hour of what is expected."""
    last: datetime | None = expected["observed_at"].max()  # type: ignore[assignment]
    return last or datetime(2026, 1, 1, tzinfo=UTC)


def read_observed(settings: Settings) -> pl.DataFrame:
    """Every value of the observations: station_id, observed_at, variable, value, flag."""
    names = list(settings.glossary)
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        wide = con.sql("from observations").pl()
    parts = [
        wide.select(
            "station_id",
            pl.col("observed_at").cast(UTC_TIME),
            pl.lit(name).alias("variable"),
            pl.col(name).cast(pl.Float64).alias("value"),
            pl.col(f"{name}_flag").cast(pl.Int64).alias("flag"),
        )
        for name in names
    ]
    return pl.concat(parts).drop_nulls("value")


def differences(expected: pl.DataFrame, observed: pl.DataFrame, case: Case) -> list[str]:
    """What is not as expected, a line each: values that differ, are missing, or are there where there should be none."""
    left_out = pl.DataFrame(
        case.not_compared, schema=dict(zip(KEY, [pl.String, UTC_TIME, pl.String], strict=True)), orient="row"
    )
    both = expected.join(observed, on=KEY, how="full", coalesce=True, suffix="_got").join(left_out, on=KEY, how="anti")
    same_value = pl.col("value").is_null() & pl.col("value_got").is_null()
    same_value |= ((pl.col("value") - pl.col("value_got")).abs() <= TOLERANCE).fill_null(value=False)
    same_flag = pl.col("flag").is_null() | pl.col("flag").eq_missing(pl.col("flag_got"))
    wrong = both.filter(~(same_value & same_flag)).sort(KEY)
    return [
        f"{row['station_id']} {row['observed_at']:%Y-%m-%dT%H:%MZ} {row['variable']}: {row['value_got']} with flag "
        f"{row['flag_got']}, right is {row['value']}" + (f" with flag {row['flag']}" if row["flag"] is not None else "")
        for row in wrong.to_dicts()
    ]
