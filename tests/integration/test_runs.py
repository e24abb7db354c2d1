"""The table of runs, as an operator reads it after a bad night."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daycast.settings import Settings
from daycast.steps.record_run import recorded
from daycast.warehouse.runs import start_run

NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"sources": [{"kind": "simulated"}]}, context={"folder": tmp_path})


def runs(settings: Settings) -> list[tuple]:
    with settings.warehouse.write(NOW) as con:
        return con.execute("select flow, status, finished_at, message from runs order by started_at, flow").fetchall()


def run(settings: Settings, flow: str, minute: int) -> None:
    with recorded(settings, flow, NOW, lambda: NOW + timedelta(minutes=minute)):
        pass


def test_a_run_that_was_killed_failed_as_soon_as_the_next_of_its_flow_begins(settings: Settings) -> None:
    with settings.warehouse.write(NOW) as con:
        for flow in ("forecast", "ingest"):
            start_run(con, f"killed-{flow}", flow, NOW, NOW)
    run(settings, "ingest", 60)
    (forecast, killed, after) = runs(settings)
    assert forecast == ("forecast", "running", None, None)
    assert killed[:3] == ("ingest", "failed", None)
    assert "killed" in killed[3]
    assert after == ("ingest", "done", NOW + timedelta(minutes=60), None)


def test_a_run_that_was_at_work_after_all_says_how_it_ended(settings: Settings) -> None:
    with recorded(settings, "ingest", NOW, lambda: NOW):
        run(settings, "ingest", 1)
    assert [row[:2] + row[3:] for row in runs(settings)] == [("ingest", "done", None)] * 2


def test_a_run_that_fails_says_why(settings: Settings) -> None:
    with pytest.raises(ValueError, match="the roof is off"), recorded(settings, "ingest", NOW, lambda: NOW):
        raise ValueError("the roof is off")
    assert runs(settings) == [("ingest", "failed", NOW, "the roof is off")]


def test_a_run_that_fails_does_not_say_a_secret(settings: Settings) -> None:
    with pytest.raises(ValueError, match="hush"), recorded(settings, "ingest", NOW, lambda: NOW):
        raise ValueError("asking\nhttps://me:hush@example.org failed")
    assert runs(settings) == [("ingest", "failed", NOW, "asking https://…@example.org failed")]


def test_what_a_run_fails_of_is_told_even_where_it_cannot_be_noted(settings: Settings) -> None:
    def lose_the_warehouse() -> None:
        settings.warehouse_file.unlink()
        settings.warehouse_file.mkdir()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"), recorded(settings, "ingest", NOW, lambda: NOW):
        lose_the_warehouse()
