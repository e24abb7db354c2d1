"""`--until T`, for every command that has it: nothing later is used, and what is written bears the real time."""

import argparse
from pathlib import Path

import duckdb
import pytest

from daycast.__main__ import build_parser
from integration.chain.conftest import CHAIN, UNTIL
from integration.chain.tables import copy_of

pytestmark = pytest.mark.slow

NOW = "2026-06-09T12:00:00Z"  # the champion was registered on the first of June, at UNTIL
BEFORE, AFTER = "2026-05-24T06:30:00Z", "2026-06-05T06:30:00Z"


@pytest.fixture(scope="module")
def lived(chain, daycast, tmp_path_factory) -> Path:
    """The chain's folder nine days later: forecast once in between, and ingested now."""
    folder = copy_of(chain, tmp_path_factory.mktemp("lived"))
    for command, clock in (("ingest", AFTER), ("forecast", AFTER), ("ingest", NOW)):
        done = daycast(folder, command, clock=clock)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(lived: Path, tmp_path: Path) -> Path:
    return copy_of(lived, tmp_path)


def ask(folder: Path, query: str) -> list[tuple]:
    with duckdb.connect(folder / "data" / "warehouse.duckdb", read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(query).fetchall()


def text(moment: str) -> str:
    return moment.replace("T", " ").replace("Z", "+00")


def commands_with_until() -> set[str]:
    (commands,) = (one for one in build_parser()._actions if isinstance(one, argparse._SubParsersAction))
    return {name for name, one in commands.choices.items() if any(each.dest == "until" for each in one._actions)}


SPAN = {"backtest": ["--since", "2026-05-25"], "backfill": ["--since", "2026-05-25"]}
HERE = {"run", "ingest", "retrain", "forecast", "verify", "report", "maintain", "doctor", "backtest", "backfill"}


def test_every_command_with_until_is_here() -> None:
    assert commands_with_until() == HERE


@pytest.mark.parametrize("command", sorted(HERE - {"backtest"}))
def test_a_moment_that_lies_ahead_is_refused(daycast, tmp_path, command) -> None:
    (tmp_path / "daycast.toml").write_text(CHAIN)
    done = daycast(tmp_path, command, *SPAN.get(command, []), "--until", "2026-06-09T13:00:00Z", clock=NOW)
    assert done.returncode == 1
    assert "lies in the future" in done.stderr


def test_publish_has_no_until_because_it_publishes_all_there_is(daycast, folder) -> None:
    done = daycast(folder, "publish", "--until", AFTER, clock=NOW)
    assert done.returncode == 2
    assert "--until" in done.stderr


def test_forecasts_as_of_the_past_bear_the_time_of_now_and_are_never_scored(daycast, folder) -> None:
    until = BEFORE
    done = daycast(folder, "run", "--until", until, clock=NOW)
    assert done.returncode == 0, done.stderr
    hour = f"issued_at = date_trunc('hour', '{until}'::timestamptz)"
    rows = ask(folder, f"select distinct created_at::varchar, backfilled from forecasts where {hour}")
    assert rows == [(text(NOW), True)]
    runs = f"select distinct as_of::varchar, started_at::varchar from runs where started_at = '{NOW}'"
    assert (text(until), text(NOW)) in ask(folder, f"{runs} and as_of = '{until}'")
    assert daycast(folder, "verify", clock="2026-06-09T13:00:00Z").returncode == 0
    day = until[:10]
    assert ask(folder, f"select count(*) from scores where valid_on between '{day}'::date and '{day}'::date + 1") == [
        (0,)
    ]
    ((calibrated,),) = ask(folder, "select coalesce(sum(n), 0) from calibration")
    ((served,),) = ask(folder, "select count(*) from forecast_errors where backfilled is not true")
    assert calibrated == served


def test_what_was_served_at_that_moment_stays(daycast, folder) -> None:
    done = daycast(folder, "run", "--until", AFTER, clock=NOW)
    assert done.returncode == 0, done.stderr
    hour = f"issued_at = date_trunc('hour', '{AFTER}'::timestamptz)"
    rows = ask(folder, f"select distinct created_at::varchar, backfilled from forecasts where {hour}")
    assert rows == [(text(AFTER), False)]


def test_a_forecast_as_of_the_past_is_made_by_who_was_champion_then(daycast, folder) -> None:
    ((then,),) = ask(folder, "select model_id from champion")
    (other, *_) = (row[0] for row in ask(folder, "select model_id from models where role <> 'champion' order by all"))
    assert daycast(folder, "models", "promote", other, clock="2026-06-07T00:00:00Z").returncode == 0
    for until, who in ((AFTER, then), ("2026-06-08T06:30:00Z", other)):
        done = daycast(folder, "forecast", "--until", until, clock=NOW)
        assert done.returncode == 0, done.stderr
        hour = f"issued_at = date_trunc('hour', '{until}'::timestamptz)"
        assert ask(folder, f"select distinct model_id from forecasts where {hour}") == [(who,)]


def test_retrain_learns_from_what_was_known_then_and_registers_now(daycast, folder) -> None:
    known = {row[0] for row in ask(folder, "select model_id from models")}
    done = daycast(folder, "retrain", "--until", BEFORE, "--cell", "gru", clock=NOW)
    assert done.returncode == 0, done.stderr
    new = [
        row
        for row in ask(
            folder, "select model_id, registered_at::varchar, promoted_at::varchar, trained_until::varchar from models"
        )
        if row[0] not in known
    ]
    assert new
    for model_id, registered_at, promoted_at, trained_until in new:
        assert registered_at == text(NOW)
        assert promoted_at in (None, text(NOW))
        assert trained_until < text(BEFORE)
        judged = f"select max(until) <= '{BEFORE}' from holdout_scores where model_id = '{model_id}'"
        assert ask(folder, judged) == [(True,)]


def test_verify_scores_with_what_was_known_then_and_the_next_one_goes_on_from_there(daycast, folder) -> None:
    until = "2026-06-05T18:30:00Z"
    assert daycast(folder, "verify", "--until", until, clock=NOW).returncode == 0
    times = ask(folder, "select distinct scored_at::varchar, as_of::varchar, valid_on::varchar from scores")
    leads = "select max(lead_hours) from scores where valid_on = '2026-06-05'"
    assert {row[:2] for row in times} == {(text(NOW), text(until))}
    assert max(row[2] for row in times) == "2026-06-05"
    assert ask(folder, leads) == [(12,)]  # issued at 6
    assert daycast(folder, "verify", clock="2026-06-09T13:00:00Z").returncode == 0
    assert ask(folder, leads) == [(17,)]
    assert ask(folder, "select max(valid_on)::varchar from scores") == [("2026-06-06",)]


def test_the_report_shows_the_forecasts_of_then(daycast, folder) -> None:
    page = folder / "data" / "report.html"
    assert daycast(folder, "report", clock=NOW).returncode == 0
    now = page.read_text()
    assert daycast(folder, "report", "--until", "2026-06-01T02:00:00Z", clock=NOW).returncode == 0
    then = page.read_text()
    assert "2026-06-05 06:00" in now or "2026-06-05T06:00" in now
    assert "2026-06-05 06:00" not in then
    assert "2026-06-05T06:00" not in then


def test_maintain_counts_back_from_then(daycast, folder) -> None:
    config = folder / "daycast.toml"
    config.write_text(config.read_text() + "\n[retention]\nforecasts_days = 2\n")
    kept = "select distinct issued_at::varchar from forecasts order by all"
    assert daycast(folder, "maintain", "--until", "2026-06-02T00:00:00Z", clock=NOW).returncode == 0
    assert ask(folder, kept) == [(text(UNTIL),), ("2026-06-05 06:00:00+00",)]
    assert daycast(folder, "maintain", "--until", "2026-06-06T00:00:00Z", clock=NOW).returncode == 0
    assert ask(folder, kept) == [("2026-06-05 06:00:00+00",)]


def test_backfill_and_backtest_stop_before_it(daycast, folder) -> None:
    span = ("--since", "2026-06-05T06:00:00Z", "--until", "2026-06-05T09:00:00Z")
    done = daycast(folder, "backfill", *span, clock=NOW)
    assert done.returncode == 0, done.stderr
    made = f"select issued_at::varchar, backfilled from forecasts where created_at = '{NOW}' group by all order by all"
    assert ask(folder, made) == [(f"2026-06-05 0{hour}:00:00+00", True) for hour in (7, 8)]
    done = daycast(folder, "backtest", *span, "--every", "1h", "--format", "csv", clock=NOW)
    assert done.returncode == 2  # its formats are table and json
    done = daycast(folder, "backtest", *span, "--every", "1h", "--format", "json", clock=NOW)
    assert done.returncode == 0, done.stderr
    import json

    assert max(row["n"] for row in json.loads(done.stdout)) == 3 * 3  # hours of issue, stations
