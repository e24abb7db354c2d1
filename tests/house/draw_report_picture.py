"""Draw the fan chart of the report, one station and one variable, as a picture for the documents.

    python tests/house/draw_report_picture.py data/demo [--station S0003] [--variable air_temperature_c] [--out report.png]

Reads the published file of the data folder (after `make run` that is data/demo) and writes src/daycast/guide/report.png: what
was observed in the two days before the newest forecast, and its median with the 50 and 90 % intervals.
"""

import argparse
from pathlib import Path
from typing import Any

import altair as alt
import duckdb
import polars as pl
import polars.selectors as cs
import vl_convert

from daycast.report.charts import CHAMPION_COLOR
from daycast.variables import BUILT_IN, Variable

PICTURE = Path(__file__).parents[2] / "src/daycast/guide/report.png"
INK, SOFT, GRID = "#22272e", "#6a737d", "#e3e7ec"
WIDTH, HEIGHT, SCALE = 604, 250, 2  # pixels of the plot, and of the picture for each of them
OBSERVED_HOURS = 48
BANDS = (("q05", "q95", 0.16), ("q25", "q75", 0.34))  # the borders of each, and its opacity


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data folder, or a published file")
    parser.add_argument("--station", metavar="ID", help="default: the first station that was forecast from full input")
    parser.add_argument("--variable", default="air_temperature_c", choices=sorted(BUILT_IN))
    parser.add_argument("--out", type=Path, default=PICTURE)
    args = parser.parse_args()
    file = args.data / "published.duckdb" if args.data.is_dir() else args.data
    if not file.is_file():
        raise SystemExit(f"there is no published file {file}: run `make run` first, or name its folder")
    with duckdb.connect(file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        station = args.station or choose_station(con, args.variable)
        forecast, observed = read_forecast(con, station, args.variable), read_observed(con, station, args.variable)
        names = con.execute("select name from stations where station_id = ?", [station]).fetchall()
    if forecast.is_empty():
        raise SystemExit(f"there is no forecast of {args.variable} at {station}: name another --station")
    name = next((name for (name,) in names if name), station)
    chart = make_chart(forecast, observed, BUILT_IN[args.variable], name)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(vl_convert.vegalite_to_png(chart, scale=SCALE))


def choose_station(con: duckdb.DuckDBPyConnection, variable: str) -> str:
    """The first station whose newest forecast had full input, else the first that has one at all."""
    query = (
        "select station_id from latest_forecasts where variable = ? order by input_regime <> 'full', station_id limit 1"
    )
    found = con.execute(query, [variable]).fetchall()
    if not found:
        raise SystemExit(f"there is no forecast of {variable} yet: run `make run` first, or name another --variable")
    return str(found[0][0])


def read_forecast(con: duckdb.DuckDBPyConnection, station: str, variable: str) -> pl.DataFrame:
    """The newest forecast of a station and variable: issued_at, valid_at and the quantiles."""
    query = (
        "select issued_at, valid_at, q05, q25, q50, q75, q95 from latest_forecasts "
        "where station_id = ? and variable = ? order by valid_at"
    )
    return con.execute(query, [station, variable]).pl()


def read_observed(con: duckdb.DuckDBPyConnection, station: str, variable: str) -> pl.DataFrame:
    """The hours before that forecast: at, value; null where none was observed or its checks failed."""
    query = f"""
        with hours as (
            select
                unnest(generate_series(max(issued_at) - interval {OBSERVED_HOURS} hour, max(issued_at), interval 1 hour)) as hour
            from latest_forecasts
            where station_id = $station and variable = $variable
        )
        select hour as "at", case when "{variable}_flag" < 4 then "{variable}" end as value
        from hours
        left join observations on observed_at = hour and station_id = $station
        order by hour
    """
    return con.execute(query, {"station": station, "variable": variable}).pl()


def make_chart(forecast: pl.DataFrame, observed: pl.DataFrame, variable: Variable, station: str) -> dict[str, Any]:
    """The Vega-Lite specification of the picture."""
    issued = forecast["issued_at"][0]
    x = alt.X(
        "at:T",
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(title=None, format="%a %H:%M", values=make_ticks(observed, forecast), labelFlush=False),
    )
    seen = alt.Chart(rows(observed)).encode(x=x, y="value:Q")
    ahead = alt.Chart(rows(forecast.rename({"valid_at": "at"}))).encode(x=x)
    layers: list[Any] = [
        ahead.mark_area(opacity=opacity, color=CHAMPION_COLOR, interpolate="monotone").encode(
            y=alt.Y(
                f"{low}:Q", title=variable.unit, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6, format="~f")
            ),
            y2=high,
        )
        for low, high, opacity in BANDS
    ]
    layers += [
        ahead.mark_line(color=CHAMPION_COLOR, strokeWidth=2.4, interpolate="monotone").encode(y="q50:Q"),
        seen.mark_line(color=INK, strokeWidth=1.5, point=alt.OverlayMarkDef(color=INK, size=9)),
        alt.Chart(rows(forecast.select(at="issued_at").head(1)))
        .mark_rule(color=SOFT, strokeDash=[4, 3], strokeWidth=1.2)
        .encode(x=x),
        *make_labels(forecast, observed),
    ]
    title = alt.TitleParams(
        f"{station}: {variable.label}, the next 24 hours",
        subtitle=f"Issued {issued:%d %B %Y, %H:%M} UTC: the median, the 50 and the 90 % interval. In black: what was observed.",
    )
    chart = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title)
    return configured(chart).to_dict()


def make_ticks(observed: pl.DataFrame, forecast: pl.DataFrame) -> list[int]:
    """Midnight and noon, in milliseconds since 1970."""
    hours = pl.concat([observed.select(hour="at"), forecast.select(hour="valid_at")])["hour"]
    return hours.filter(hours.dt.hour() % 12 == 0).dt.epoch("ms").to_list()


def make_labels(forecast: pl.DataFrame, observed: pl.DataFrame) -> list[alt.Chart]:
    """What each line and border of a band is, at its right end; the less important ones only where there is room."""
    names = {"q50": "median", "q95": "95 %", "q05": "5 %", "q75": "75 %", "q25": "25 %"}
    values = pl.concat([observed["value"].drop_nulls(), forecast["q05"], forecast["q95"]])
    room = 0.06 * (values.max() - values.min())
    last, shown = forecast.row(-1, named=True), dict[str, float]()
    for q in names:
        if all(abs(last[q] - other) > room for other in shown.values()):
            shown[q] = last[q]
    ends = pl.DataFrame([{"at": last["valid_at"], "value": at, "text": names[q]} for q, at in shown.items()])
    return [
        alt.Chart(rows(ends))
        .mark_text(align="left", dx=7, fontSize=11, color=CHAMPION_COLOR)
        .encode(x="at:T", y="value:Q", text="text:N")
    ]


def configured(chart: alt.LayerChart) -> alt.LayerChart:
    """Light background, quiet axes."""
    return chart.configure(
        background="white",
        font="Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif",
        padding={"left": 14, "right": 14, "top": 14, "bottom": 12},
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=SOFT, titleColor=SOFT, gridColor=GRID, domainColor=GRID, tickColor=GRID, labelFontSize=12,
            titleFontSize=12, titleFontWeight="normal", labelPadding=6,
        ),
        axisY=alt.AxisConfig(titleAngle=0, titleAlign="right", titleY=-8, titleX=-8),
        title=alt.TitleConfig(
            anchor="start", fontSize=16, fontWeight=600, color=INK, subtitleColor=SOFT, subtitleFontSize=12, subtitlePadding=5,
            offset=18,
        ),
    )  # fmt: skip


def rows(frame: pl.DataFrame) -> alt.InlineData:
    """The frame inside the specification, times as milliseconds since 1970."""
    return alt.InlineData(values=frame.with_columns(cs.datetime().dt.epoch("ms")).to_dicts())


if __name__ == "__main__":
    main()
