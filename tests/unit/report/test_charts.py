from datetime import UTC, datetime, timedelta

import polars as pl

from daycast.report.charts import CHAMPION_COLOR, make_fan_chart, make_lead_charts
from daycast.variables import BUILT_IN

T0 = datetime(2026, 1, 1, tzinfo=UTC)
WIND = BUILT_IN["wind_speed_m_s"]


def _forecasts(stations):
    quantiles = {"q05": 1.0, "q25": 2.0, "q50": 3.0, "q75": 4.0, "q95": 5.123456}
    rows = [
        {"station_id": name, "issued_at": T0, "valid_at": T0 + timedelta(hours=h), **quantiles}
        for name in stations
        for h in (1, 2)
    ]
    return pl.DataFrame(rows).cast({"issued_at": pl.Datetime("us", "UTC"), "valid_at": pl.Datetime("us", "UTC")})


def _observations(values):
    times = [T0 - timedelta(hours=h) for h in range(len(values))]
    return pl.DataFrame(
        {"station_id": ["a"] * len(values), "observed_at": times, WIND.name: values},
        schema_overrides={"observed_at": pl.Datetime("us", "UTC"), WIND.name: pl.Float64},
    )


def _datasets(spec):
    return list(spec.get("datasets", {}).values()) or [layer["data"]["values"] for layer in spec["layer"]]


def test_a_fan_chart_holds_its_data_as_instants():
    spec = make_fan_chart(_forecasts(["a"]), _observations([2.0, None]), WIND)
    fan = next(rows for rows in _datasets(spec) if "q05" in rows[0])
    assert fan[0]["at"] == 1_767_229_200_000  # 2026-01-01T01:00Z
    assert fan[0]["q95"] == 5.123
    assert spec["title"] == "wind speed (m/s)"


def test_the_line_is_broken_where_an_hour_or_a_value_is_missing():
    observed = _observations([5.0, 4.0, None, 2.0, 1.0])  # newest first
    spec = make_fan_chart(_forecasts(["a"]), observed.filter(pl.col(WIND.name).ne_missing(4.0)), WIND)
    came = next(rows for rows in _datasets(spec) if "value" in rows[0])
    assert [row["value"] for row in came] == [1.0, 2.0, None, None, 5.0]


def test_the_lead_chart_leaves_out_challengers_that_do_not_serve():
    names = ["ridge", "lstm", "champion", "gru", "ridge"]
    by_lead = pl.DataFrame(
        {
            "variable": WIND.name,
            "forecaster": names,
            "lead_hours": [1, 1, 1, 2, 24],
            "mae": [4.0, 2.0, 3.0, 1.23456, 5.0],
        }
    )
    (chart,) = make_lead_charts(by_lead, "gru", BUILT_IN)
    assert (chart["title"], chart["unit"]) == ("wind speed", "m/s")
    champion, ridge = chart["lines"]
    assert (champion["name"], champion["color"]) == ("GRU", CHAMPION_COLOR)
    assert champion["values"] == [None, 1.235, *[None] * 22]
    assert (ridge["name"], ridge["values"]) == ("ridge regression", [4.0, *[None] * 22, 5.0])
