"""`--until T` where nothing was ingested yet."""

import pytest

from integration.chain.conftest import CHAIN
from integration.chain.test_until import BEFORE, NOW, ask, text

pytestmark = pytest.mark.slow


def test_ingest_takes_in_what_was_received_by_then_and_says_when_it_did(daycast, tmp_path) -> None:
    (tmp_path / "daycast.toml").write_text(CHAIN)
    assert daycast(tmp_path, "ingest", "--until", BEFORE, clock=NOW).returncode == 0
    times = "select max(received_at) <= $until, max(observed_at) > $until::timestamptz - interval 2 hour from readings"
    assert ask(tmp_path, times.replace("$until", f"'{BEFORE}'")) == [(True, True)]
    assert ask(tmp_path, "select received_until::varchar from watermarks") == [(text(BEFORE),)]
    accounts = "select distinct received_until::varchar, ingested_at::varchar from batches"
    assert ask(tmp_path, accounts) == [(text(BEFORE), text(NOW))]
    assert ask(tmp_path, "select as_of::varchar, started_at::varchar from runs") == [(text(BEFORE), text(NOW))]


def test_doctor_asks_the_sources_for_what_was_received_by_then(daycast, tmp_path) -> None:
    (tmp_path / "daycast.toml").write_text(CHAIN)
    done = daycast(tmp_path, "doctor", "--until", "2026-03-22T00:00:00Z", clock=NOW)
    assert done.returncode == 0, done.stderr
    assert "hours      2026-01-01 00:" in done.stdout  # eighty days before
    assert " to 2026-03-21 23:" in done.stdout


def test_a_first_run_on_an_old_archive_forecasts_and_says_that_nobody_was_served(daycast, tmp_path) -> None:
    (tmp_path / "daycast.toml").write_text(CHAIN)
    done = daycast(tmp_path, "run", "--until", BEFORE, clock=NOW)
    assert done.returncode == 0, done.stderr
    assert ask(tmp_path, "select count(*), bool_and(backfilled) from forecasts") == [(3 * 4 * 24, True)]
    assert ask(tmp_path, "select distinct registered_at::varchar from models") == [(text(NOW),)]
    assert "2026-05-24 06:00" in done.stdout
