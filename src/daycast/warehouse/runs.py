"""The log of runs."""

from datetime import datetime

import duckdb

from daycast.warehouse.statements import statement


def start_run(con: duckdb.DuckDBPyConnection, run_id: str, flow: str, as_of: datetime, started_at: datetime) -> None:
    """Note that a run began, and of earlier ones of its flow that never said how they ended that they failed."""
    con.execute(statement("update_abandoned_runs"), {"flow": flow})
    con.execute(statement("insert_run"), {"run_id": run_id, "flow": flow, "as_of": as_of, "started_at": started_at})


def finish_run(
    con: duckdb.DuckDBPyConnection, run_id: str, finished_at: datetime, status: str, message: str | None
) -> None:
    """Note how a run ended: status `done` or `failed`."""
    con.execute(
        statement("update_run"),
        {"run_id": run_id, "finished_at": finished_at, "status": status, "message": message},
    )
