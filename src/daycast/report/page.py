"""The report page: one HTML file with everything in it, to be opened without a network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from daycast.evaluation.drift import Drift
from daycast.evaluation.serving import Fallback
from daycast.files import atomic_write
from daycast.report.charts import make_calibration_chart, make_fan_chart, make_lead_chart
from daycast.report.sections import (
    Markup,
    as_html,
    render_calibration,
    render_champion,
    render_coverage,
    render_fans,
    render_ingestion,
    render_leads,
    render_skill,
    render_tiles,
    tag,
)
from daycast.report.skill import Champion, HoldoutResult, SkillLine, SkillSpan, compare_with_naive, describe_basis
from daycast.variables import Variable

# How the page looks and how its charts come alive; both stand inside it, so that it needs no network.


CSS = """
:root {
  color-scheme: light dark;
  --ink: #1d2733;
  --soft: #5c6b7a;
  --line: #dde3ea;
  --paper: #f5f7f9;
  --card: #fff;
  --accent: #2f7fd1;
  --good: #1c7f58;
  --bad: #b4452c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e9ef;
    --soft: #97a5b4;
    --line: #2c3743;
    --paper: #12181f;
    --card: #1a222b;
    --accent: #63a7ec;
    --good: #54c497;
    --bad: #ee8a70;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--paper);
  color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 36px 0 4px; }
p { margin: 4px 0 12px; max-width: 80ch; }
.soft { color: var(--soft); }
.tiles {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(210px, 1fr));
  gap: 12px;
  margin: 20px 0 8px;
}
.tile, .card {
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 10px;
  padding: 14px 16px;
}
.tile b {
  display: block;
  font-size: 22px;
  line-height: 1.25;
  margin: 2px 0;
  overflow-wrap: anywhere;
}
.tile span { color: var(--soft); font-size: 13px; }
.grid {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr));
  gap: 12px;
}
.grid.small { grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); }
.narrow { max-width: 620px; }
.card { min-width: 0; }
.chart { width: 100%; }
.wide { overflow-x: auto; padding: 4px 0; }
table {
  border-collapse: collapse;
  width: 100%;
  font-variant-numeric: tabular-nums;
  font-size: 14px;
}
th, td {
  text-align: left;
  padding: 7px 12px;
  border-bottom: 1px solid var(--line);
  white-space: nowrap;
}
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 12em; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
.number { text-align: right; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.bar {
  display: inline-block;
  width: 90px;
  height: 8px;
  border-radius: 4px;
  background: var(--line);
  margin-right: 8px;
  overflow: hidden;
  vertical-align: 1px;
}
.bar i { display: block; height: 100%; background: var(--accent); }
.key {
  display: inline-flex;
  align-items: center;
  gap: 6px;
  margin: 0 16px 8px 0;
  font-size: 13px;
  color: var(--soft);
}
.key i { width: 18px; height: 0; border-top: 3px solid; display: inline-block; }
.key i.band { height: 10px; border: 0; border-radius: 2px; background: #2f7fd1; }
select {
  font: inherit;
  padding: 4px 8px;
  border-radius: 6px;
  border: 1px solid var(--line);
  background: var(--card);
  color: var(--ink);
  margin: 0 20px 8px 0;
}
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
"""

SCRIPT = """
const charts = JSON.parse(document.getElementById('charts').textContent);
const views = Object.entries(charts).map(([id, spec]) =>
  vegaEmbed(document.getElementById(id), spec, {actions: false, renderer: 'svg'}).then(made => made.view));
const station = document.getElementById('station');
if (station) station.addEventListener('change', () => views.forEach(made => made.then(view => {
  if ('station' in view.getState().signals) view.signal('station', station.value).runAsync();
})));
"""


@dataclass(frozen=True)
class Page:
    """What the page shows; all times UTC, every frame may be empty."""

    now: datetime
    champion: Champion | None
    result: HoldoutResult | None  # of the champion's judgement
    fallbacks: Sequence[Fallback]  # the baselines that serve in the champion's place, and where
    skill: pl.DataFrame  # basis, variable, forecaster, n, mae, rmse, bias, crps, coverage_80; all leads together
    by_lead: pl.DataFrame  # of skill_by_lead
    span: SkillSpan
    forecasts: (
        pl.DataFrame
    )  # station_id, name, variable, issued_at, valid_at, quantiles: the newest issue of a few stations
    observations: pl.DataFrame  # station_id, observed_at, variables: of those stations
    regimes: Mapping[str, int]  # stations of the newest issue by input regime
    coverage: pl.DataFrame  # of station_coverage
    silent_before: datetime  # a station not heard of since then is silent
    batches: pl.DataFrame  # the last ones, newest first
    rejections: pl.DataFrame  # column_name, reason, n, example, the commonest first
    variables: Mapping[str, Variable]
    drifts: Sequence[Drift] = ()  # of the champion


def write_page(path: Path, page: Page) -> None:
    """Write the page to `path`, in one move: whoever opens it sees the former page or this one, whole."""
    text = render_page(page)
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")


def render_page(page: Page) -> str:
    """The page as HTML."""
    charts = _make_charts(page)
    champion = page.champion
    lines = compare_with_naive(page.skill, champion.forecaster, page.variables) if champion else ()
    sections = [
        _render_head(page, lines),
        render_fans(page.forecasts, page.regimes, _ids(charts, "fan")),
        render_champion(champion, page.result, page.fallbacks, page.variables, page.drifts),
        render_skill(lines, page.skill, champion, _basis(page)),
        render_leads(_ids(charts, "lead"), page.by_lead, champion),
        render_calibration(_ids(charts, "calibration")),
        render_coverage(page.coverage, page.silent_before),
        render_ingestion(page.batches, page.rejections),
    ]
    return _document(sections, charts)


def _render_head(page: Page, lines: tuple[SkillLine, ...]) -> Markup:
    heading = tag("h1", "daycast report")
    when = tag("p", f"as of {page.now:%Y-%m-%d %H:%M} UTC; every time on this page is UTC", css="soft")
    silent = len(
        page.coverage.filter(
            pl.col("last_observed_at").fill_null(pl.lit(0).cast(pl.Datetime("us", "UTC"))) < page.silent_before
        )
    )
    issued = page.forecasts["issued_at"].to_list()[:1]
    return Markup(
        heading + when + render_tiles(issued[0] if issued else None, len(page.coverage), silent, page.champion, lines)
    )


def _basis(page: Page) -> str:
    if page.champion is None or page.skill.is_empty():
        return "not judged yet"
    return describe_basis(page.skill["basis"][0], page.span, page.champion.trained_until)


def _make_charts(page: Page) -> dict[str, dict[str, Any]]:
    """Specifications by the id of the element they are drawn in."""
    charts: dict[str, dict[str, Any]] = {}
    for name, variable in page.variables.items():
        forecasts = page.forecasts.filter(pl.col("variable") == name)
        by_lead = page.by_lead.filter(pl.col("variable") == name)
        if len(forecasts):
            charts[f"fan-{len(charts)}"] = make_fan_chart(forecasts, page.observations, variable)
        if len(by_lead) and page.champion:
            charts[f"lead-{len(charts)}"] = make_lead_chart(by_lead, page.champion.forecaster, variable)
    coverage = _coverage(page)
    if len(coverage):
        charts["calibration-0"] = make_calibration_chart(coverage)
    return charts


def _coverage(page: Page) -> pl.DataFrame:
    """The champion's observed coverage of each interval and variable over all leads, in percent."""
    served = page.champion.forecaster if page.champion else ""
    nominal = (50, 80, 90)
    ours = page.by_lead.filter(pl.col("forecaster") == served, pl.col("variable").is_in(list(page.variables)))
    shares = [
        (100 * (pl.col(f"coverage_{at}") * pl.col("n")).sum() / pl.col("n").sum()).alias(str(at)) for at in nominal
    ]
    wide = ours.group_by("variable", maintain_order=True).agg(shares)
    long = wide.unpivot(index="variable", variable_name="nominal", value_name="observed").cast({"nominal": pl.Int64})
    labels = {name: variable.label for name, variable in page.variables.items()}
    return long.with_columns(pl.col("variable").replace(labels)).drop_nulls()


def _ids(charts: Mapping[str, object], kind: str) -> list[str]:
    return [name for name in charts if name.startswith(f"{kind}-")]


def _document(sections: list[Markup], charts: dict[str, dict[str, Any]]) -> str:
    import vl_convert  # noqa: PLC0415 – holds a whole JavaScript engine

    bundle = vl_convert.javascript_bundle() if charts else ""  # type: ignore[call-arg]  # its default is not in its types
    data = json.dumps(charts, separators=(",", ":"), allow_nan=False).replace(
        "<", "\\u003c"
    )  # nothing in it ends a script
    scripts = [
        f'<script type="application/json" id="charts">{data}</script>',
        f"<script>{bundle}</script>",
        f'<script type="module">{SCRIPT}</script>',
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>daycast report</title><style>{CSS}</style></head><body><main>",
            *(as_html(section) for section in sections),
            tag("footer", "Written by daycast. Tables behind it: ", tag("code", 'daycast sql "show tables"')),
            "</main>",
            *(scripts if charts else []),
            "</body></html>\n",
        ]
    )
