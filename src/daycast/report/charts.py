"""The charts of the report page as Vega-Lite specifications, and one station's forecast as an SVG picture.

Axes and text have the colour of the page around them, so a chart fits light and dark pages alike.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from daycast.report.skill import label
from daycast.variables import Variable

if TYPE_CHECKING:
    import altair as alt  # takes a second to load, so it is loaded where a chart is made

CHAMPION_COLOR = "#2f7fd1"
BASELINE_COLORS = {
    "persistence": "#c46a1b",
    "same_hour_yesterday": "#2c9c74",
    "climatology": "#9467c4",
    "ridge": "#cc4f7b",
    "base": "#7a8b1f",
}
_QUANTILES = ("q05", "q25", "q50", "q75", "q95")
_INK = "currentColor"  # understood because the page draws SVG
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "gridColor": _INK,
        "gridOpacity": 0.12,
        "domainColor": _INK,
        "domainOpacity": 0.3,
        "tickColor": _INK,
        "tickOpacity": 0.3,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "axisY": {"minExtent": 34, "format": "~f"},
    "legend": {"labelColor": _INK, "labelLimit": 0},
    "title": {"color": _INK, "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 8},
}


def make_charts(
    forecasts: pl.DataFrame,
    observations: pl.DataFrame,
    by_lead: pl.DataFrame,
    champion: str | None,
    variables: Mapping[str, Variable],
) -> dict[str, dict[str, Any]]:
    """All charts of the page, by the id of the element they are drawn in: `fan-N`, `lead-N` and `calibration-N`.

    forecasts: station_id, variable, issued_at, valid_at, quantiles. observations: station_id, observed_at, variables.
    by_lead: variable, forecaster, lead_hours, n, mae, coverage_50, coverage_80, coverage_90. champion: the forecaster that
    serves. Where there are no rows, there is no chart.
    """
    charts: dict[str, dict[str, Any]] = {}
    for name, variable in variables.items():
        of_variable = pl.col("variable") == name
        forecast, errors = forecasts.filter(of_variable), by_lead.filter(of_variable)
        if len(forecast):
            charts[f"fan-{len(charts)}"] = make_fan_chart(forecast, observations, variable)
        if len(errors) and champion:
            charts[f"lead-{len(charts)}"] = make_lead_chart(errors, champion, variable)
    coverage = _measure_coverage(by_lead.filter(pl.col("forecaster") == (champion or "")), variables)
    if len(coverage):
        charts["calibration-0"] = make_calibration_chart(coverage)
    return charts


def _measure_coverage(by_lead: pl.DataFrame, variables: Mapping[str, Variable]) -> pl.DataFrame:
    """Share of observations in each interval over all leads, as make_calibration_chart wants it."""
    shares = [
        (100 * (pl.col(f"coverage_{nominal}") * pl.col("n")).sum() / pl.col("n").sum()).alias(str(nominal))
        for nominal in (50, 80, 90)
    ]
    wide = (
        by_lead.filter(pl.col("variable").is_in(list(variables))).group_by("variable", maintain_order=True).agg(shares)
    )
    long = wide.unpivot(index="variable", variable_name="nominal", value_name="observed").cast({"nominal": pl.Int64})
    labels = {name: variable.label for name, variable in variables.items()}
    return long.with_columns(pl.col("variable").replace(labels)).drop_nulls()


def choose_line_colors(by_lead: pl.DataFrame, champion: str) -> dict[str, str]:
    """The colour of each line of the lead charts, by forecaster, the champion's first.

    by_lead: forecaster. Only the champion and the baselines have a line, challengers that do not serve have none.
    """
    baselines = {name: color for name, color in BASELINE_COLORS.items() if name != champion}
    scored = set(by_lead["forecaster"])
    return {name: color for name, color in {champion: CHAMPION_COLOR, **baselines}.items() if name in scored}


def make_fan_chart(forecasts: pl.DataFrame, observations: pl.DataFrame, variable: Variable) -> dict[str, Any]:
    """Observations and forecast quantiles of one variable over time; the chart's parameter `station` chooses the station.

    forecasts: station_id, issued_at, valid_at and quantiles of this variable. observations: station_id, observed_at and the
    variable's column. Times are UTC, values in the variable's unit. The observed line has a gap where an hour is missing.
    """
    import altair as alt  # noqa: PLC0415

    fan = _rows(forecasts.select("station_id", "issued_at", at="valid_at", **{q: q for q in _QUANTILES}))
    hours = observations.select("station_id", at="observed_at", value=variable.name).sort("station_id", "at")
    if len(hours):  # a row without a value where an hour is missing
        hours = hours.upsample("at", every="1h", group_by="station_id", maintain_order=True)
    station = alt.param("station", value=forecasts["station_id"][0])
    x = alt.X(
        "at:T",
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(title=None, format="%d %b %Hh", labelOverlap=True, tickCount=6),
    )
    title = f"{variable.label} ({variable.unit})"
    future = alt.Chart(fan).transform_filter("datum.station_id == station").encode(x=x)
    past = alt.Chart(_rows(hours)).transform_filter("datum.station_id == station").encode(x=x)
    tooltip = [
        alt.Tooltip("at:T", format="%d %b %H:%M", title="UTC"),
        *(alt.Tooltip(f"{q}:Q", format=".1f") for q in _QUANTILES),
    ]
    layers = [
        future.mark_area(opacity=0.18, color=CHAMPION_COLOR).encode(
            y=alt.Y("q05:Q", title=None, scale=alt.Scale(zero=False)), y2="q95:Q"
        ),
        future.mark_area(opacity=0.32, color=CHAMPION_COLOR).encode(y="q25:Q", y2="q75:Q"),
        past.mark_line(color=_INK, strokeWidth=1.4, point=alt.OverlayMarkDef(color=_INK, size=6)).encode(y="value:Q"),
        future.mark_line(color=CHAMPION_COLOR, strokeWidth=2.2).encode(y="q50:Q", tooltip=tooltip),
        future.transform_aggregate(issued="max(issued_at)")
        .mark_rule(color=_INK, opacity=0.5, strokeDash=[3, 3])
        .encode(x="issued:T"),
    ]
    return _finish(alt.layer(*layers).add_params(station), title, 190)


def make_lead_chart(by_lead: pl.DataFrame, forecaster: str, variable: Variable) -> dict[str, Any]:
    """Mean absolute error by lead, one line for the champion and one for each baseline.

    by_lead: forecaster, lead_hours, mae of this variable, in its unit. forecaster: the champion's.
    """
    import altair as alt  # noqa: PLC0415

    colors = choose_line_colors(by_lead, forecaster)
    rows = by_lead.filter(pl.col("forecaster").is_in(list(colors))).select(
        "lead_hours", "mae", name=pl.col("forecaster").replace_strict({name: label(name) for name in colors})
    )
    width = alt.condition(alt.datum.name == label(forecaster), alt.value(3), alt.value(1.4))
    chart = (
        alt.Chart(_rows(rows))
        .mark_line()
        .encode(
            x=alt.X(
                "lead_hours:Q",
                title="hours ahead",
                axis=alt.Axis(values=[1, 6, 12, 18, 24]),
                scale=alt.Scale(domain=[1, 24]),
            ),
            y=alt.Y("mae:Q", title=None, scale=alt.Scale(zero=True)),
            color=alt.Color(
                "name:N",
                legend=None,
                scale=alt.Scale(domain=[label(name) for name in colors], range=list(colors.values())),
            ),
            strokeWidth=width,
            tooltip=[alt.Tooltip("name:N"), alt.Tooltip("lead_hours:Q"), alt.Tooltip("mae:Q", format=".2f")],
        )
    )
    return _finish(chart, f"{variable.label} ({variable.unit})", 170)


def make_calibration_chart(coverage: pl.DataFrame) -> dict[str, Any]:
    """Observed against nominal coverage of the intervals; on the diagonal the intervals are calibrated.

    coverage: variable (its label), nominal and observed, both in percent.
    """
    import altair as alt  # noqa: PLC0415

    scale = alt.Scale(domain=[40, 100])
    x = alt.X("nominal:Q", title="promised: inside the interval (%)", scale=scale, axis=alt.Axis(values=[50, 80, 90]))
    y = alt.Y("observed:Q", title="came true (%)", scale=alt.Scale(domain=[min(40.0, _floor_ten(coverage)), 100]))
    diagonal = alt.Chart(alt.InlineData(values=[{"nominal": at, "observed": at} for at in (40, 100)]))
    points = alt.Chart(_rows(coverage)).encode(
        x=x,
        y=y,
        color=alt.Color("variable:N", title=None, sort=None, legend=alt.Legend(orient="bottom", columns=2)),
        tooltip=["variable:N", "nominal:Q", alt.Tooltip("observed:Q", format=".1f")],
    )
    layers = [
        diagonal.mark_line(color=_INK, opacity=0.4, strokeDash=[4, 4]).encode(x=x, y=y),
        points.mark_line(strokeWidth=1.2, opacity=0.6),
        points.mark_point(filled=True, size=70, opacity=0.9),
    ]
    return _finish(alt.layer(*layers), "all leads together", 280)


def _floor_ten(coverage: pl.DataFrame) -> float:
    minimum: float = coverage["observed"].min()  # type: ignore[assignment]
    return minimum // 10 * 10


def _rows(frame: pl.DataFrame) -> "alt.InlineData":
    """The frame as data inside the specification: times in milliseconds since 1970, numbers with 3 decimals."""
    import altair as alt  # noqa: PLC0415
    import polars.selectors as cs  # noqa: PLC0415

    return alt.InlineData(values=frame.with_columns(cs.datetime().dt.epoch("ms"), cs.float().round(3)).to_dicts())


def _finish(chart: "alt.Chart | alt.LayerChart | alt.FacetChart", title: str, height: int) -> dict[str, Any]:
    made: dict[str, Any] = (
        chart.properties(width="container", height=height, title=title).configure(**_CONFIG).to_dict()
    )
    return made


_WIDTH = 560  # pixels


def draw_forecast(forecasts: pl.DataFrame, observations: pl.DataFrame, variable: Variable) -> str:
    """The fan chart of one station, black on white, as the data URL of an SVG: about 30 kB, half the size of a PNG.

    forecasts, observations: as for make_fan_chart, of this station and variable.
    """
    import vl_convert  # noqa: PLC0415 - holds a whole JavaScript engine

    chart: dict[str, Any] = {
        **make_fan_chart(forecasts, observations, variable),
        "width": _WIDTH,
        "background": "white",
        "padding": 10,
    }
    return "data:image/svg+xml;base64," + base64.b64encode(vl_convert.vegalite_to_svg(chart).encode()).decode()
