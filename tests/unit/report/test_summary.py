import re
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daycast.report.skill import Champion, SkillSpan
from daycast.report.summary import Issue, Rejection, Silence, Summary, example_query, render_summary
from daycast.variables import BUILT_IN, Variable
from daycast.warehouse.statements import quoted

NOW = datetime(2026, 3, 20, 10, 3, tzinfo=UTC)
TARGETS = ["air_temperature_c", "dew_point_c", "relative_humidity_pct", "sea_level_pressure_hpa", "wind_speed_m_s"]


@dataclass(frozen=True)
class Brought:
    source: str
    delivered: int
    kept: int
    repeated: int
    revised: int
    refused: int
    waiting: int
    flagged: dict[str, int]
    reread: str = ""


def _skill():
    rows = [
        ("judged", name, who, mae, mae, 0.0, 0.79)
        for name in TARGETS
        for who, mae in [("gru", 0.72), ("same_hour_yesterday", 1.0)]
    ]
    return pl.DataFrame(
        rows, schema=["basis", "variable", "forecaster", "mae", "crps", "bias", "coverage_80"], orient="row"
    )


def _summary(**changes):
    full = Summary(
        now=NOW,
        ingested=(Brought("roofs", 24_000, 23_995, 7, 2, 5, 3, {"spike": 4, "flat_line": 1_200}),),
        rejections=(Rejection("air_temperature_c", "outside -95 to 65 °C", 5),),
        silent=(Silence("S0009", datetime(2026, 3, 1, tzinfo=UTC)),),
        silent_after="24h",
        retraining=None,
        next_due=datetime(2026, 3, 27, 10, 3, tzinfo=UTC),
        champion=Champion(
            "gru-20260301-ab12", "gru", datetime(2026, 3, 1, tzinfo=UTC), NOW, "gru is better than ridge"
        ),
        skill=_skill(),
        span=SkillSpan(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC), 0),
        issue=Issue(datetime(2026, 3, 20, 10, tzinfo=UTC), 12, TARGETS, "S0001"),
        variables=BUILT_IN,
        published=Path("/srv/" + "long/" * 30 + "published.duckdb"),
        report=Path("/srv/report.html"),
    )
    return replace(full, **changes)


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_of_five_variables_fits_a_screen(width):
    text = render_summary(_summary(), width)
    assert len(text.splitlines()) <= 40
    assert [line for line in text.splitlines() if len(line) > width and "/srv/" not in line] == []
    assert "\x1b" not in text


def test_rows_in_kept_and_refused_are_told_with_the_reason():
    text = render_summary(_summary(), 120)
    assert "roofs: 24,000 in, 23,995 kept, 7 of them repeats, 2 corrections, 5 refused, 3 wait" in text
    assert "1,204 values: flat_line 1,200, spike 4" in text
    assert "air temperature outside -95 to 65 °C (5×)" in text


def test_more_than_a_few_silent_stations_are_counted():
    silent = tuple(Silence(f"S{i}", None) for i in range(1000))
    text = render_summary(_summary(silent=silent), 200)
    assert "1,000 stations for more than 24h: S0 (since ever), S1 (since ever), S2 (since ever), and 997 more" in text


def test_the_saving_is_told_against_the_best_naive_forecast():
    line = next(line for line in render_summary(_summary(), 120).splitlines() if line.startswith("wind speed"))
    cells = ["wind speed", "GRU", "0.72 m/s", "28 % better", "same hour yesterday", "1.00", "28 %", "79 %"]
    assert re.split(r"\s{2,}", line) == cells  # 1 - 0.72 / 1.00 = 28 %


def test_what_a_reread_did_stands_in_place_of_no_rows():
    told = "80 rows were read wrongly and are restated"
    text = render_summary(_summary(ingested=(Brought("roof", 0, 0, 0, 0, 0, 0, {}, told),)), 120)
    assert f"roof: {told}; nothing new\n" in text
    text = render_summary(_summary(ingested=(Brought("roof", 5, 5, 0, 0, 0, 0, {}, told),)), 120)
    assert f"roof: {told}; new are 5 in, 5 kept, 0 refused\n" in text


def test_the_unit_of_a_declared_variable_is_told():
    moisture = Variable("soil_moisture_pct", "soil moisture", "vol %", 0, 100)
    skill = _skill().with_columns(variable=pl.lit("soil_moisture_pct")).unique("forecaster")
    text = render_summary(_summary(skill=skill, variables={**BUILT_IN, moisture.name: moisture}), 120)
    assert "0.72 vol %" in text


def test_paths_and_the_query_are_never_broken():
    text = render_summary(_summary(), 40)
    assert str(_summary().published) in text
    assert text.endswith(
        'daycast sql "\n'
        "  select valid_at, air_temperature_c, wind_speed_m_s, dew_point_c\n"
        "  from next_hours where station_id = 'S0001'\"\n"
    )


@given(
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1),
    st.lists(
        st.sampled_from([*TARGETS, "precipitation_mm", "two words", 'a"b', "$HOME", "`id`"]), unique=True, min_size=1
    ),
)
def test_a_shell_hands_the_example_on_as_sql_that_names_the_station_whatever_its_id(station_id, variables):
    command = example_query(station_id, variables, "printf %s")
    query = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, encoding="utf-8").stdout
    names = ["station_id", "valid_at", *variables]
    with duckdb.connect() as con:
        con.execute(f"create table next_hours ({', '.join(quoted(name) + ' varchar' for name in names)})")
        con.execute(
            "insert into next_hours (station_id, valid_at) values (?, 'then'), ('another', 'never')", [station_id]
        )
        answer = con.sql(query)
        assert set(answer.columns) <= {"valid_at", *variables}
        assert [row[0] for row in answer.fetchall()] == ["then"]


def test_a_station_id_that_bash_would_take_for_its_history_is_in_single_quotes():
    assert example_query("a!b", []).startswith("daycast sql '")


def test_a_station_id_that_a_terminal_would_obey_is_left_out_of_the_example():
    assert "\x1b" not in (text := example_query("\x1b[2J", ["air_temperature_c"]))
    assert text.endswith('from next_hours limit 24"')


def test_the_example_asks_for_as_many_variables_as_80_cells_hold():
    lines = example_query("S0001", [f"own_variable_{i}_c" for i in range(9)]).splitlines()
    assert (
        lines[1] == "  select valid_at, own_variable_0_c, own_variable_1_c, own_variable_2_c"
    )  # 16 + 3 × 18 = 70 cells
    assert all(len(line) <= 80 for line in lines)


def test_nothing_that_a_terminal_would_obey_comes_from_the_name_of_a_station():
    assert "\x1b" not in render_summary(_summary(silent=(Silence("\x1b[2J", None),)), 80)


def test_without_champion_and_forecasts_the_summary_says_so():
    text = render_summary(_summary(champion=None, skill=pl.DataFrame(), issue=None, ingested=(), silent=()), 80)
    assert "Champion    none yet" in text
    assert "Forecasts   none yet" in text
    assert "Skill" not in text


def test_retraining_is_told_with_its_outcome_or_when_it_is_due():
    assert "not due before 2026-03-27 10:03 UTC" in render_summary(_summary(), 120)
    kept = render_summary(_summary(retraining="lstm is not better than champion; the champion stays"), 120)
    assert "Retraining  lstm is not better than champion; the champion stays" in kept
    assert "Retraining  done: this champion is the outcome" in render_summary(
        _summary(retraining="gru is better than ridge"), 120
    )


def test_text_in_brackets_is_shown_as_it_is():
    assert "gru [red]is[/red] better" in render_summary(
        _summary(champion=Champion("m", "gru", NOW, NOW, "gru [red]is[/red] better")), 120
    )


def test_doubtful_forecasts_are_counted_and_none_are_not_mentioned():
    issue = _summary().issue
    assert "doubtful" not in render_summary(_summary(), 100)
    text = render_summary(_summary(issue=replace(issue, implausible=1_200)), 100)
    assert "  doubtful  1,200 values far outside anything observed there" in text.splitlines()
