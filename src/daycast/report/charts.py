"""The numbers of the report page's charts of skill, which its scripts draw, and one station's forecast as an SVG picture."""

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
_WIDTH = 560  # pixels of the picture
_INK = "black"
_CONFIG: dict[str, Any] = {
    "background": "white",
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
    "title": {"color": _INK, "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 8},
}


def make_lead_charts(by_lead: pl.DataFrame, champion: str, variables: Mapping[str, Variable]) -> list[dict[str, Any]]:
    """One chart a variable: the mean absolute error by lead, a line for the champion (the first) and one for each baseline.

    by_lead: variable, forecaster, lead_hours, mae. Challengers that do not serve have no line.
    """
    colors = choose_line_colors(by_lead, champion)
    return [
        {
            "title": variable.label,
            "unit": variable.unit,
            "lines": [
                {"name": label(name), "color": color, "values": _by_hour(rows.filter(pl.col("forecaster") == name))}
                for name, color in colors.items()
            ],
        }
        for variable in variables.values()
        if len(rows := by_lead.filter(pl.col("variable") == variable.name))
    ]


def _by_hour(rows: pl.DataFrame) -> list[float | None]:
    """The error at each lead from 1 to 24, None where there is none."""
    errors = dict(rows.select("lead_hours", pl.col("mae").round(3)).iter_rows())
    return [errors.get(lead) for lead in range(1, 25)]


def measure_coverage(
    by_lead: pl.DataFrame, champion: str, variables: Mapping[str, Variable]
) -> dict[str, dict[int, float]]:
    """By the label of each variable: the percentage of observations in the champion's 50, 80 and 90 % intervals, over all leads.

    by_lead: variable, forecaster, n, coverage_50, coverage_80, coverage_90.
    """
    shares = [
        (100 * (pl.col(f"coverage_{nominal}") * pl.col("n")).sum() / pl.col("n").sum()).alias(str(nominal))
        for nominal in (50, 80, 90)
    ]
    rows = by_lead.filter(pl.col("forecaster") == champion).group_by("variable").agg(shares).drop_nulls()
    found = {name: dict(zip((50, 80, 90), values, strict=True)) for name, *values in rows.iter_rows()}
    return {variable.label: found[name] for name, variable in variables.items() if name in found}


def choose_line_colors(by_lead: pl.DataFrame, champion: str) -> dict[str, str]:
    """The colour of each line of the lead charts, by forecaster, the champion's first.

    by_lead: forecaster. Only the champion and the baselines have a line, challengers that do not serve have none.
    """
    baselines = {name: color for name, color in BASELINE_COLORS.items() if name != champion}
    scored = set(by_lead["forecaster"])
    return {name: color for name, color in {champion: CHAMPION_COLOR, **baselines}.items() if name in scored}


def draw_forecast(forecasts: pl.DataFrame, observations: pl.DataFrame, variable: Variable) -> str:
    """The fan chart of one station, black on white, as the data URL of an SVG: about 30 kB, half the size of a PNG.

    forecasts, observations: as for make_fan_chart.
    """
    import vl_convert  # noqa: PLC0415 - holds a whole JavaScript engine

    chart = make_fan_chart(forecasts, observations, variable)
    return "data:image/svg+xml;base64," + base64.b64encode(vl_convert.vegalite_to_svg(chart).encode()).decode()


def make_fan_chart(forecasts: pl.DataFrame, observations: pl.DataFrame, variable: Variable) -> dict[str, Any]:
    """Observations and forecast quantiles of one station and variable over time, as a Vega-Lite specification.

    forecasts: issued_at, valid_at and quantiles. observations: observed_at and the variable's column. Times are UTC, values in
    the variable's unit. The observed line has a gap where an hour is missing.
    """
    import altair as alt  # noqa: PLC0415

    hours = observations.select(at="observed_at", value=variable.name).sort("at")
    if len(hours):  # a row without a value where an hour is missing
        hours = hours.upsample("at", every="1h", maintain_order=True)
    x = alt.X(
        "at:T",
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(title=None, format="%d %b %Hh", labelOverlap=True, tickCount=6),
    )
    future = alt.Chart(_rows(forecasts.select("issued_at", *_QUANTILES, at="valid_at"))).encode(x=x)
    past = alt.Chart(_rows(hours)).encode(x=x)
    layers = [
        future.mark_area(opacity=0.18, color=CHAMPION_COLOR).encode(
            y=alt.Y("q05:Q", title=None, scale=alt.Scale(zero=False)), y2="q95:Q"
        ),
        future.mark_area(opacity=0.32, color=CHAMPION_COLOR).encode(y="q25:Q", y2="q75:Q"),
        past.mark_line(color=_INK, strokeWidth=1.4, point=alt.OverlayMarkDef(color=_INK, size=6)).encode(y="value:Q"),
        future.mark_line(color=CHAMPION_COLOR, strokeWidth=2.2).encode(y="q50:Q"),
        future.transform_aggregate(issued="max(issued_at)")
        .mark_rule(color=_INK, opacity=0.5, strokeDash=[3, 3])
        .encode(x="issued:T"),
    ]
    chart = alt.layer(*layers).properties(
        width=_WIDTH, height=190, title=f"{variable.label} ({variable.unit})", padding=10
    )
    made: dict[str, Any] = chart.configure(**_CONFIG).to_dict()
    return made


def _rows(frame: pl.DataFrame) -> "alt.InlineData":
    """The frame as data inside the specification: times in milliseconds since 1970, numbers with 3 decimals."""
    import altair as alt  # noqa: PLC0415
    import polars.selectors as cs  # noqa: PLC0415

    return alt.InlineData(values=frame.with_columns(cs.datetime().dt.epoch("ms"), cs.float().round(3)).to_dicts())
