"""The report page: one HTML file with everything in it, to be opened without a network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from daycast.atomic_write import atomic_write
from daycast.report.champion_section import render_champion
from daycast.report.charts import make_calibration_chart, make_fan_chart, make_lead_chart
from daycast.report.html import Markup, as_html, tag
from daycast.report.sections import (
    render_calibration,
    render_coverage,
    render_fans,
    render_ingestion,
    render_leads,
    render_skill,
    render_tiles,
)
from daycast.report.skill import Champion, SkillLine, SkillSpan, compare_with_naive, describe_basis
from daycast.report.style import CSS, SCRIPT
from daycast.report.verdict import Verdict
from daycast.variables import Variable
from daycast.verify.drift import Drift
from daycast.verify.serving import Substitute


@dataclass(frozen=True)
class Page:
    """What the page shows; all times UTC, every frame may be empty."""

    now: datetime
    champion: Champion | None
    verdict: Verdict | None  # of the champion's judgement
    substitutes: Sequence[Substitute]  # the baselines that serve in the champion's place, and where
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
    refusals: pl.DataFrame  # column_name, reason, n, example, the commonest first
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
        render_champion(champion, page.verdict, page.substitutes, page.variables, page.drifts),
        render_skill(lines, page.skill, champion, _basis(page)),
        render_leads(_ids(charts, "lead"), page.by_lead, champion),
        render_calibration(_ids(charts, "calibration")),
        render_coverage(page.coverage, page.silent_before),
        render_ingestion(page.batches, page.refusals),
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
