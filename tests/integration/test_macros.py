"""The macros and the views of forecasts, against what was worked out by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from daycast.variables import BUILT_IN, Variable
from daycast.warehouse.publish.publication import publish
from daycast.warehouse.publish.query import query_published
from daycast.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

T0 = datetime(2026, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RISING = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0)
DRY = (0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 3.0)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Warehouse(tmp_path / "warehouse.duckdb", BUILT_IN.values()).write(T0) as con:
        yield con


def forecast(
    con: duckdb.DuckDBPyConnection,
    station: str,
    quantiles: tuple,
    issued_at: datetime = T0,
    lead: int = 1,
    variable: str = "warmth_c",
) -> None:
    row = [station, variable, issued_at, issued_at + lead * HOUR, lead, quantiles[3], *quantiles]
    marks = ", ".join("?" for _ in row)
    con.execute(f"insert into forecasts values ({marks}, 'm', 'full', ?, 'gru', false, false)", [*row, issued_at])


def risk(con: duckdb.DuckDBPyConnection, limit: float, columns: str) -> list[tuple]:
    return con.execute(f"select {columns} from threshold_risk('warmth_c', {limit})").fetchall()


@pytest.mark.parametrize(
    ("limit", "chances", "bounds", "texts"),
    [
        (-3.5, (None, None), (0, 0.05, 0.95, 1), ("<= 0.05", ">= 0.95")),
        (
            -3.0,
            (None, 0.95),
            (0, 0.05, 0.95, 0.95),
            ("<= 0.05", "0.95"),
        ),  # nothing is known below the outermost quantile
        (-1.5, (0.175, 0.825), (0.175, 0.175, 0.825, 0.825), None),  # half way from 0.10 to 0.25
        (0.0, (0.375, 0.625), (0.375, 0.375, 0.625, 0.625), None),
        (1.0, (0.5, 0.5), (0.5, 0.5, 0.5, 0.5), ("0.50", "0.50")),
        (3.8, (0.94, 0.06), (0.94, 0.94, 0.06, 0.06), ("0.94", "0.06")),
        (4.0, (0.95, None), (0.95, 0.95, 0, 0.05), ("0.95", "<= 0.05")),
        (9.0, (None, None), (0.95, 1, 0, 0.05), (">= 0.95", "<= 0.05")),
    ],
)
def test_a_chance_lies_on_the_line_between_two_quantiles_and_is_unknown_beyond_them(
    con, limit, chances, bounds, texts
) -> None:
    forecast(con, "a", RISING)
    assert risk(con, limit, "below, above") == [pytest.approx(chances, abs=1e-12)]
    named = "below_at_least, below_at_most, above_at_least, above_at_most"
    assert risk(con, limit, named) == [pytest.approx(bounds, abs=1e-12)]
    if texts:
        assert risk(con, limit, "below_text, above_text") == [texts]


def test_bounds_are_the_levels_themselves_so_that_more_than_5_per_cent_can_be_asked(con) -> None:
    forecast(con, "a", RISING)
    assert risk(con, 4.0, "above_at_most > 0.05, above_at_most = 0.05") == [(False, True)]  # 1 - 0.95 is more than 0.05
    assert risk(con, 3.0, "above = 0.1, below = 0.9") == [(True, True)]


@pytest.mark.parametrize("limit", ["0.05", "0.050::decimal(4, 3)", "5e-2", "0.05::float"])
def test_a_limit_is_not_rounded(con, limit: str) -> None:
    forecast(con, "a", (0.0, 0.01, 0.02, 0.05, 0.06, 0.07, 0.08))
    ((below, above),) = risk(con, limit, "below, above")
    assert (below, above) == (pytest.approx(0.5, abs=1e-6), pytest.approx(0.5, abs=1e-6))


def test_what_lies_exactly_on_the_limit_is_neither_above_nor_below(con) -> None:
    forecast(con, "a", DRY)
    assert risk(con, 0, "below, below_text") == [(None, "<= 0.05")]
    assert risk(con, 0, "above") == [(pytest.approx(0.25),)]  # up to the 75 % quantile it is dry


def test_each_station_says_the_largest_chance_of_its_hours(con) -> None:
    forecast(con, "a", RISING, lead=1)
    forecast(con, "a", tuple(q + 2 for q in RISING), lead=2)
    forecast(con, "b", tuple(q + 20 for q in RISING), lead=1)
    rows = risk(con, 0, "station_id, lead_hours, largest_below, largest_above")
    assert [row[:2] for row in rows] == [("a", 1), ("a", 2), ("b", 1)]
    assert [row[2] for row in rows] == pytest.approx([0.375, 0.375, 0])
    assert [row[3] for row in rows] == pytest.approx([0.9, 0.9, 0.95])  # 0 is the second one's 10 % quantile


def test_no_risk_is_told_of_hours_that_are_over(con) -> None:
    forecast(con, "silent", RISING, T0 - 3 * HOUR, lead=3)
    forecast(con, "silent", RISING, T0 - 3 * HOUR, lead=4)
    forecast(con, "heard", RISING, lead=1)
    assert risk(con, 0, "station_id, lead_hours") == [("heard", 1), ("silent", 4)]


@pytest.mark.parametrize("variable", ["rain_mm", "Warmth_c", "warmth", ""])
def test_the_risk_of_a_variable_that_is_not_forecast_is_an_error_that_names_those_that_are(con, variable: str) -> None:
    assert con.execute(f"from threshold_risk('{variable}', 0)").fetchall() == []  # nothing is forecast at all yet
    forecast(con, "a", RISING)
    forecast(con, "a", RISING, variable="moisture_pct")
    with pytest.raises(
        duckdb.Error, match=f"nothing is forecast of {variable}; there are forecasts of moisture_pct, warmth_c"
    ):
        con.execute(f"from threshold_risk('{variable}', 0)").fetchall()


def test_forecasts_issued_are_those_that_stood_at_a_moment(con) -> None:
    for hours in (0, 6, 12):
        forecast(con, "a", RISING, T0 + hours * HOUR)
    forecast(con, "b", RISING)

    def issues(hours: float) -> list[tuple]:
        query = "select station_id, epoch(issued_at - $t0) / 3600 from forecasts_issued($t) order by all"
        return con.execute(query, {"t0": T0, "t": T0 + hours * HOUR}).fetchall()

    assert issues(-1) == []
    assert issues(5.9) == [("a", 0), ("b", 0)]
    assert issues(6) == [("a", 6), ("b", 0)]
    assert issues(23) == [("a", 12), ("b", 0)]
    assert issues(24) == [("a", 12)]  # none of b's hours lies ahead any more
    assert issues(36) == []


def test_the_macros_answer_in_the_published_file_and_take_times_as_text(con, tmp_path: Path) -> None:
    forecast(con, "a", RISING)
    publish(con, tmp_path / "published.duckdb")
    issued = query_published(tmp_path / "published.duckdb", "from forecasts_issued('2026-02-01 03:00:00+00')")
    assert issued["station_id"].to_list() == ["a"]
    risks = query_published(tmp_path / "published.duckdb", "select below from threshold_risk('warmth_c', 1)")
    assert risks.item() == 0.5


def test_the_newest_forecasts_of_a_silent_station_are_those_it_had(con, tmp_path: Path) -> None:
    forecast(con, "silent", RISING, T0 - 90 * HOUR)
    for hours in (0, 1):
        forecast(con, "heard", RISING, T0 + hours * HOUR)
    publish(con, tmp_path / "published.duckdb")
    query = "select station_id, epoch(issued_at) from latest_forecasts"
    expected = [("heard", (T0 + HOUR).timestamp()), ("silent", (T0 - 90 * HOUR).timestamp())]
    assert con.execute(query).fetchall() == expected
    assert query_published(tmp_path / "published.duckdb", query).rows() == expected


def test_the_next_hours_are_a_row_an_hour_and_a_column_a_variable(con, tmp_path: Path) -> None:
    for lead in (2, 1):
        forecast(con, "it's b", tuple(lead + q for q in RISING), lead=lead, variable="air_temperature_c")
    forecast(con, "it's b", DRY, lead=1, variable="precipitation_mm")
    forecast(con, "a", RISING, lead=1, variable="air_temperature_c")
    publish(con, tmp_path / "published.duckdb")
    columns = "station_id, epoch(valid_at) - epoch($t0) as after, air_temperature_c, precipitation_mm, wind_speed_m_s"
    query = f"select {columns} from next_hours"
    expected = [
        ("a", 3600, 1.0, None, None),
        ("it's b", 3600, 2.0, 0.0, None),  # the medians are the fourth of seven quantiles
        ("it's b", 7200, 3.0, None, None),
    ]
    assert con.execute(query, {"t0": T0}).fetchall() == expected
    text = query.replace("$t0", f"timestamptz '{T0.isoformat()}'")
    assert query_published(tmp_path / "published.duckdb", text).rows() == expected


def test_hours_that_are_over_are_no_next_hours(con) -> None:
    for lead in (3, 4):
        forecast(con, "silent", RISING, T0 - 3 * HOUR, lead=lead, variable="air_temperature_c")
    forecast(con, "heard", RISING, lead=1, variable="air_temperature_c")
    assert con.execute("select station_id, valid_at = $t from next_hours", {"t": T0 + HOUR}).fetchall() == [
        ("heard", True),
        ("silent", True),
    ]


def test_variables_of_the_network_itself_are_columns_of_the_next_hours(tmp_path: Path) -> None:
    own = Variable('it\'s "soil"_pct', "soil moisture", "%", 0, 100)
    with Warehouse(tmp_path / "warehouse.duckdb", [*BUILT_IN.values(), own]).write(T0) as con:
        forecast(con, "a", RISING, variable=own.name)
        assert con.sql("from next_hours").pl()[own.name].to_list() == [1.0]


def test_values_that_polars_has_no_type_for_come_as_text(con, tmp_path: Path) -> None:
    publish(con, tmp_path / "published.duckdb")
    query = 'select interval 90 minute as span, [interval 1 day] as "two words", 1 as n, 2 as n'
    assert query_published(tmp_path / "published.duckdb", query).rows() == [("01:30:00", ["1 day"], 1, 2)]
