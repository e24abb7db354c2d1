"""`daycast run`, killed."""

import signal

import pytest

from integration.chain.conftest import CHAIN, UNTIL
from integration.chain.tables import every_table

# the fit of baselines is evaluated before the network is trained, which is evaluated then
POINTS = ("data/warehouse.duckdb", "rows delivered", "evaluated", "training lstm", "evaluated", "forecasts issued")


@pytest.mark.slow
def test_a_run_killed_at_six_points_and_run_again_gives_the_tables_of_an_undisturbed_run(chain, daycast, tmp_path):
    (tmp_path / "daycast.toml").write_text(CHAIN)
    for point in POINTS:
        killed = daycast(tmp_path, "run", clock=UNTIL, fatal=point)
        assert killed.returncode == -signal.SIGKILL, f"the run did not come to {point!r}: {killed.stderr}"
    done = daycast(tmp_path, "run", clock=UNTIL)
    assert done.returncode == 0, done.stderr
    disturbed, undisturbed = every_table(tmp_path), every_table(chain)
    for table, rows in undisturbed.items():
        assert disturbed[table] == rows, table
