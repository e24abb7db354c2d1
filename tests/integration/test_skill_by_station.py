"""Skill of each station, from scores that were written down by hand."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from daycast.variables import BUILT_IN
from daycast.warehouse.warehouse import Warehouse

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LAST = date(2026, 2, 28)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(NOW) as con:
        for model, forecaster in (("new", "gru"), ("old", "persistence")):
            con.execute(
                "insert into models by name select $m as model_id, $f as forecaster, 'c' as checkpoint, 'h' as data_hash, "
                "$now as trained_until, $now as registered_at, 'retired' as role, '' as reason, '' as decision",
                {"m": model, "f": forecaster, "now": NOW},
            )
        yield con


def score(con: duckdb.DuckDBPyConnection, forecaster: str, mae: float, **other: object) -> None:
    row = {"model": "new", "station": "a", "day": LAST, "n": 1} | other
    con.execute(
        "insert into scores by name select $model as model_id, $forecaster as forecaster, $station as station_id, "
        "'warmth_c' as variable, 1 as lead_hours, $day as valid_on, $n as n, $mae as mae, $mae as rmse, $mae as bias, "
        "$mae / 2 as crps, 0.5 as coverage_50, 0.8 as coverage_80, 0.9 as coverage_90, $now as scored_at",
        {"forecaster": forecaster, "mae": mae, "now": NOW, **row},
    )


def skill(con: duckdb.DuckDBPyConnection, columns: str) -> list[tuple]:
    return con.execute(f"select station_id, {columns} from skill_by_station").fetchall()


def test_means_weigh_each_forecast_alike_and_only_what_was_served_counts(con) -> None:
    score(con, "gru", 1.0, n=3)
    score(con, "gru", 2.0, n=1, day=date(2026, 2, 27))
    score(con, "climatology", 9.0, n=4)
    score(con, "gru", 7.0, station="b")
    got = skill(con, "n, mae, rmse, bias, crps, coverage_80, first_day, last_day")
    assert got[0] == ("a", 4, 1.25, pytest.approx((7 / 4) ** 0.5), 1.25, 0.625, 0.8, date(2026, 2, 27), LAST)
    assert got[1][:3] == ("b", 1, 7.0)
    assert len(got) == 2


def test_skill_is_the_share_of_each_baselines_error_that_was_saved(con) -> None:
    score(con, "gru", 1.0)
    score(con, "persistence", 4.0)
    score(con, "same_hour_yesterday", 2.0)
    score(con, "climatology", 1.0)
    score(con, "ridge", 0.5)
    names = ("persistence", "same_hour_yesterday", "climatology", "ridge")
    assert skill(con, ", ".join(f"skill_over_{name}" for name in names)) == [("a", 0.75, 0.5, 0.0, -1.0)]


def test_a_baseline_is_compared_on_the_hours_it_stood_beside_alone(con) -> None:
    """While persistence served itself there is nothing to compare it with: those days do not count for or against."""
    score(con, "gru", 1.0)
    score(con, "persistence", 2.0)
    score(con, "persistence", 100.0, model="old", day=date(2026, 2, 20))
    score(con, "climatology", 50.0, model="old", day=date(2026, 2, 20))
    got = skill(con, "mae, skill_over_persistence, skill_over_climatology, skill_over_ridge")
    assert got == [("a", 50.5, 0.5, -1.0, None)]


def test_only_the_newest_thirty_days_of_scores_count(con) -> None:
    score(con, "gru", 1.0)
    score(con, "gru", 5.0, day=date(2026, 1, 30))  # the thirtieth day, counted from the last
    score(con, "gru", 99.0, day=date(2026, 1, 29))
    assert skill(con, "n, mae") == [("a", 2, 3.0)]
