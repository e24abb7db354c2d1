"""Retention: what is kept is what the settings say, and everything by default."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.settings import Settings
from daycast.steps.maintain import maintain
from daycast.warehouse.forecasts import replace_forecasts, replace_scores
from daycast.warehouse.publish.query import query_published

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 10, 14, tzinfo=UTC)
DAY = timedelta(days=1)
MODEL = "insert into models by name select $id as model_id, 'gru' as forecaster, $id || '.safetensors' as checkpoint, "
MODEL += (
    "'data-' || $id as data_hash, $at as trained_until, $at as registered_at, $role as role, $promoted as promoted_at, "
)
MODEL += "'because' as reason, '{}' as decision"


def settings_of(folder: Path, **retention: int) -> Settings:
    table = {"retention": retention, "publish": {"parquet_above": 0}}
    return Settings.model_validate(table, context={"folder": folder})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forecasts and scores of the last 40 days, and models m0 (oldest) to m5, of which m3 serves and m1 served before."""
    settings = settings_of(tmp_path)
    days = [NOW.replace(hour=0) - i * DAY for i in range(40)]
    told = {"station_id": "a", "variable": "warmth_c", "lead_hours": 1, "model_id": "m3", "forecaster": "gru"}
    names = ["n", "mae", "rmse", "bias", "crps", "coverage_50", "coverage_80", "coverage_90"]
    with settings.warehouse.write(NOW) as con:
        forecasts = pl.DataFrame({"issued_at": days}).with_columns(
            pl.lit(value).alias(name) for name, value in {**told, "value": 1.0, "input_regime": "full"}.items()
        )
        replace_forecasts(
            con,
            forecasts.with_columns(
                *(pl.lit(1.0).alias(name) for name in QUANTILE_COLUMNS),
                valid_at=pl.col("issued_at") + timedelta(hours=1),
                created_at=pl.col("issued_at"),
                backfilled=False,
            ),
        )
        scores = forecasts.select(*told, valid_on=pl.col("issued_at").dt.date(), scored_at="issued_at")
        scores = scores.with_columns(pl.lit(1).alias(name) for name in names)
        replace_scores(con, scores, scores.select("station_id", day="valid_on"))
        for i in range(6):
            role = "champion" if i == 3 else "retired"
            promoted = NOW - (50 - i) * DAY if i in (1, 3) else None
            con.execute(MODEL, {"id": f"m{i}", "at": NOW - (50 - i) * DAY, "role": role, "promoted": promoted})
            (settings.snapshots / f"data-m{i}").mkdir(parents=True)
            settings.checkpoints.mkdir(exist_ok=True)
            (settings.checkpoints / f"m{i}.safetensors").touch()
    return tmp_path


def counts(settings: Settings) -> tuple[int, int]:
    query = "select (select count(*) from forecasts), (select count(*) from scores)"
    return query_published(settings.published, query).row(0)


def files(settings: Settings) -> set[str]:
    return {
        path.name.split(".")[0].removeprefix("data-")
        for path in [*settings.checkpoints.iterdir(), *settings.snapshots.iterdir()]
    }


def test_by_default_nothing_goes(folder: Path) -> None:
    settings = settings_of(folder)
    assert str(maintain(settings, NOW)) == "0 forecasts, 0 scores; no file"
    assert counts(settings) == (40, 40)
    assert len(files(settings)) == 6


def test_rows_older_than_they_are_kept_go_from_the_warehouse_and_from_what_is_published(folder: Path) -> None:
    maintain(settings_of(folder), NOW)
    settings = settings_of(folder, forecasts_days=5, scores_days=30)
    would = maintain(settings, NOW, dry_run=True)
    assert counts(settings) == (40, 40)
    assert maintain(settings, NOW) == would
    assert (would.forecasts, would.scores) == (34, 9)  # today and the days before it stay
    assert counts(settings) == (6, 31)
    oldest = query_published(settings.published, "select min(issued_at) from forecasts").item()
    assert oldest == NOW.replace(hour=0) - 5 * DAY
    assert maintain(settings, NOW).forecasts == 0


@pytest.mark.parametrize(("models", "kept"), [(0, "135"), (1, "135"), (2, "1345"), (9, "012345")])
def test_models_that_neither_serve_nor_are_newest_lose_their_files(folder: Path, models: int, kept: str) -> None:
    settings = settings_of(folder, models=models)
    would = maintain(settings, NOW, dry_run=True)
    assert len(files(settings)) == 6
    assert maintain(settings, NOW) == would
    assert files(settings) == {f"m{i}" for i in kept}
    assert len(would.files) == 2 * (6 - len(kept))


def test_a_model_whose_forecasts_are_there_keeps_its_checkpoint(folder: Path) -> None:
    settings = settings_of(folder, models=0)
    with settings.warehouse.write(NOW) as con:
        con.execute("update forecasts set model_id = 'm0' where issued_at = $at", {"at": NOW.replace(hour=0)})
    maintain(settings, NOW)
    assert files(settings) == {"m0", "m1", "m3", "m5"}


def test_what_killed_processes_left_half_written_goes_and_what_is_somebody_elses_stays(folder: Path) -> None:
    settings = settings_of(folder)
    here, gone = os.uname().nodename, subprocess.Popen(["true"])
    gone.wait()
    mine = [
        settings.data / f".published.duckdb.{here}.{gone.pid}.0123abcd.draft",
        settings.checkpoints / f".a.safetensors.{here}.{gone.pid}.0123abcd.draft",
        settings.snapshots / "data-m1" / f".observations.parquet.{here}.{gone.pid}.0123abcd.draft",
        settings.data / "published.tmp",  # of earlier versions
        settings.data / "report.123.tmp",
        settings.checkpoints / "0123456789abcdef.tmp",
        settings.snapshots / "observations.tmp",
    ]
    others = [settings.data / "notes.tmp", settings.checkpoints / "mine.tmp"]
    for file in [*mine, *others]:
        file.write_text("half")
        os.utime(file, (0, 0))
    young = settings.snapshots / "stations.tmp"
    young.touch()
    os.utime(young, (NOW.timestamp(), NOW.timestamp()))
    maintain(settings, NOW, dry_run=True)
    assert all(file.exists() for file in mine)
    maintain(settings, NOW)
    assert [file for file in mine if file.exists()] == []
    assert all(file.exists() for file in [*others, young])
