"""A flow that fails is one line too: Prefect, which logs tracebacks, says nothing to the user."""

from datetime import UTC, datetime

import pytest

from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.slow
def test_a_flow_that_fails_is_told_in_one_line(daycast, tmp_path):
    data = tmp_path / "data" / "demo"  # of the demonstration, for there is no configuration
    with Warehouse(data / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        con.execute("drop table verifications cascade")
    done = daycast(tmp_path, "verify", "--until", "2026-06-01")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("daycast: ")
    with Warehouse(data / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        ((status, message),) = con.execute("select status, message from runs").fetchall()
    assert status == "failed"
    assert "verifications" in message
    assert "\n" not in message
