"""`daycast run` from beginning to end, and again, and an hour later."""

import re
import shlex

import duckdb
import pytest

from integration.chain.conftest import UNTIL
from integration.chain.tables import copy_of, every_table, rows_of
from integration.chain.test_readme import IN_TEXT, LINES


def test_a_run_ends_with_forecasts_for_every_station_variable_and_lead(chain):
    forecasts = rows_of(chain, "forecasts")
    assert len(forecasts) == 3 * 4 * 24
    assert {row[2] for row in forecasts} == {"2026-06-01 00:00:00+00"}
    assert (chain / "data" / "published.duckdb").is_file()
    assert (chain / "data" / "report.html").is_file()


def test_a_baseline_forecasts_and_serves_before_the_network_is_trained(chain):
    with duckdb.connect(chain / "data" / "warehouse.duckdb", read_only=True) as con:
        flows = [
            flow for (flow,) in con.execute("select flow from runs order by rowid").fetchall()
        ]  # the clock stands still
    assert flows == ["pipeline", "ingest", "retrain", "forecast", "retrain", "forecast", "verify"]
    promoted = {row[0].split("-")[0] for row in rows_of(chain, "promotions")}
    assert promoted & {"base", "climatology", "persistence", "ridge", "same_hour_yesterday"}
    assert any(row[0].startswith("lstm-") for row in rows_of(chain, "models"))


def test_forecasts_are_possible_weather(chain):
    rows = rows_of(chain, "forecasts")
    highest = {
        variable: max(float(row[12]) for row in rows if row[1] == variable) for variable in {row[1] for row in rows}
    }
    lowest = {variable: min(float(row[6]) for row in rows if row[1] == variable) for variable in highest}
    assert highest["relative_humidity_pct"] <= 100  # though sensors may report 110
    assert lowest["precipitation_mm"] == 0
    assert lowest["wind_speed_m_s"] >= 0


def test_the_summary_is_the_last_thing_printed_and_its_example_shows_the_next_hours_of_a_station(chain, daycast):
    summary = (chain / "summary.txt").read_text()
    assert "refused" in summary
    assert len(summary.splitlines()) <= 45
    program, *arguments = shlex.split(summary.split("See them with\n")[1])
    assert program == "daycast"
    shown = daycast(chain, *arguments).stdout.splitlines()
    assert shown[0].split() == ["valid_at", "air_temperature_c", "wind_speed_m_s", "precipitation_mm"]
    assert shown[1].startswith("2026-06-01 01:00")
    assert shown[-1] == "24 rows, times in UTC"


def test_every_delivered_row_is_kept_or_refused(chain):
    batches = rows_of(chain, "batches")
    delivered, kept, repeated, refused = (sum(int(row[column]) for row in batches) for column in (6, 7, 8, 9))
    assert delivered == kept + refused
    assert len(rows_of(chain, "readings")) == kept - repeated
    assert len({row[:2] for row in rows_of(chain, "rejected_readings")}) == refused


def test_impossible_values_of_the_simulated_network_are_kept_and_failed(chain):
    failed = {row[3] for row in rows_of(chain, "flag_counts") if row[2] == "4"}
    assert "gross_range" in failed


@pytest.mark.parametrize(
    "line", [line for line in LINES if "daycast" in line] + [line for line in IN_TEXT if "run" not in line]
)
def test_a_daycast_command_of_the_readme_succeeds(chain, daycast, tmp_path, line):
    program, *arguments = shlex.split(line)
    assert program in (".venv/bin/daycast", "daycast")
    folder = tmp_path if arguments == ["init"] else copy_of(chain, tmp_path)
    done = daycast(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_running_again_at_the_same_moment_changes_nothing(chain, daycast, tmp_path):
    before = every_table(chain)
    folder = copy_of(chain, tmp_path)
    done = daycast(folder, "run", clock=UNTIL)
    assert done.returncode == 0, done.stderr
    assert every_table(folder) == before


@pytest.mark.slow
def test_an_hour_later_only_the_new_hour_is_ingested_and_the_past_is_scored(chain, daycast, tmp_path):
    folder = copy_of(chain, tmp_path)
    before = every_table(folder)
    done = daycast(folder, "run", clock="2026-06-01T02:00:00Z")
    assert done.returncode == 0, done.stderr
    after = every_table(folder)
    assert 3 <= len(after["readings"]) - len(before["readings"]) <= 12
    assert len(after["models"]) == len(before["models"])  # no retraining is due
    assert len(after["forecasts"]) == 2 * len(before["forecasts"])
    assert {row[5] for row in after["scores"]} == {"2026-06-01"}
    assert {row[4] for row in after["scores"]} == {"1", "2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["sql", "select count(*) as n from latest_forecasts", "--format", "csv"], r"n\n288\n"),
        (
            [
                "sql",
                "select count(*) as n from observations_as_of('2026-05-01T00:00:00Z'::timestamptz)",
                "--format",
                "json",
            ],
            r'\[\{"n": \d{4}\}\]',
        ),
        (["models", "list"], "champion"),
        (["doctor"], "ok   warehouse"),
        (["verify"], "0 forecasts scored"),
        (["publish"], "published.duckdb"),
        (["report"], "report.html"),
        (["ingest"], "simulated: 0 rows delivered"),
        (
            ["forecast", "--issued-at", UNTIL, "--station", "S0001"],
            "96 forecasts written",
        ),
        (["retrain", "--cell", "gru"], r"gru-\d{8}-|persistence|ridge"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_command_does_its_work(chain, daycast, tmp_path, command, expected):
    done = daycast(copy_of(chain, tmp_path), *command, clock=UNTIL)
    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout)


@pytest.mark.slow
def test_backtest_prints_a_row_for_each_model_variable_and_lead(chain, daycast, tmp_path):
    import json

    arguments = [
        "--since",
        "2026-05-25T00:00:00Z",
        "--until",
        "2026-05-30T00:00:00Z",
        "--every",
        "24h",
        "--format",
        "json",
    ]
    done = daycast(copy_of(chain, tmp_path), "backtest", *arguments)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    models = {row["model"] for row in rows}
    # a champion has its model's id
    champion = {one for one in ("base", "climatology") if any(model.startswith(f"{one}-") for model in models)}
    assert {"persistence", "same_hour_yesterday", "climatology", "base"} - champion <= models
    assert len(models) == 6
    assert len(rows) == 6 * 4 * 24
    assert all(row["n"] <= 5 * 3 for row in rows)
    assert set(rows[0]) == {
        "model",
        "variable",
        "lead_hours",
        "n",
        "mae",
        "rmse",
        "bias",
        "crps",
        "coverage_50",
        "coverage_80",
        "coverage_90",
    }
