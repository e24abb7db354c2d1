"""The report page: one HTML file with everything in it, so that it opens without a network.

`make_context` turns the numbers into texts; how they look is written in `templates/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from daycast.evaluation.drift import Drift
from daycast.evaluation.serving import Fallback
from daycast.files import atomic_write
from daycast.report.charts import BASELINE_COLORS, CHAMPION_COLOR, choose_line_colors, make_charts
from daycast.report.skill import (
    Champion,
    HoldoutResult,
    Rival,
    SkillLine,
    SkillSpan,
    better,
    compare_with_naive,
    describe_basis,
    label,
    tell_chance_of,
    tell_fallback,
    tell_ratio,
)
from daycast.variables import Variable

LISTED_FALLBACKS = 12
LISTED_REJECTIONS = 12
LISTED_STATIONS = 12  # of a larger network, those that report worst
_REGIMES = {
    "full": "full input",
    "gappy": "holes in the last week",
    "stale": "silent in the last 3 hours",
    "cold_start": "new, under 24 hours of history",
}


@dataclass(frozen=True)
class Page:
    """What the page shows. All times are UTC; every frame may be empty."""

    now: datetime
    champion: Champion | None
    result: HoldoutResult | None  # the champion against its rivals on the holdout
    fallbacks: Sequence[Fallback]  # the baselines that serve in the champion's place, and where
    skill: pl.DataFrame  # basis, variable, forecaster, n, mae, rmse, bias, crps, coverage_80; all leads together
    by_lead: pl.DataFrame  # as the view skill_by_lead
    span: SkillSpan
    forecasts: (
        pl.DataFrame
    )  # newest issue of a few stations: station_id, name, variable, issued_at, valid_at, quantiles
    observations: pl.DataFrame  # station_id, observed_at, variables: of those stations
    regimes: Mapping[str, int]  # number of stations of the newest issue by input regime
    coverage: pl.DataFrame  # as the view station_coverage
    silent_before: datetime  # a station is silent if its last observation is older
    batches: pl.DataFrame  # the last ones, newest first
    rejections: pl.DataFrame  # column_name, reason, n, example; the most frequent first
    variables: Mapping[str, Variable]
    drifts: Sequence[Drift] = ()  # of the champion


def write_page(path: Path, page: Page) -> None:
    """Write the page to `path` in one move: a reader sees either the previous page or this one, whole."""
    text = render_page(page)
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")


def render_page(page: Page) -> str:
    """The page as HTML. Every value is escaped, so a station named like a tag is shown and does not run."""
    import vl_convert  # noqa: PLC0415 - holds a whole JavaScript engine
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only a page needs it

    templates = Environment(
        loader=PackageLoader("daycast.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: "–" if value is None else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    context = make_context(page)
    vega = vl_convert.javascript_bundle() if context["charts"] else ""  # type: ignore[call-arg]  # its default is not in its types
    return templates.get_template("page.html").render(context, vega=vega)


def make_context(page: Page) -> dict[str, Any]:
    """The texts that `templates/page.html` prints, section by section; a section without data is None.

    Inside a section, None is printed as a dash.
    """
    served = page.champion.forecaster if page.champion else None
    charts = make_charts(page.forecasts, page.observations, page.by_lead, served, page.variables)
    fans, leads, calibration = (
        [id_ for id_ in charts if id_.startswith(kind)] for kind in ("fan", "lead", "calibration")
    )
    lines = compare_with_naive(page.skill, served, page.variables) if served else ()
    return {
        "as_of": _time(page.now),
        "champion_color": CHAMPION_COLOR,
        "charts": charts,
        "summary": _summary(page, lines),
        "fans": {"charts": fans, **_issue(page)} if fans else None,
        "champion": _champion(page, page.champion, page.result) if page.champion and page.result else None,
        "skill": _skill(page, page.champion, lines) if page.champion and lines else None,
        "leads": {"charts": leads, "lines": _lead_lines(page.by_lead, served)} if served and leads else None,
        "calibration": calibration or None,
        "stations": _stations(page.coverage, page.silent_before) if len(page.coverage) else None,
        "batches": [_batch(row) for row in page.batches.to_dicts()] or None,
        "rejections": [{**row, "n": f"{row['n']:,}"} for row in page.rejections.head(LISTED_REJECTIONS).to_dicts()],
    }


def _summary(page: Page, lines: Sequence[SkillLine]) -> dict[str, str | None]:
    """The page in four numbers."""
    issued: datetime | None = page.forecasts["issued_at"][0] if len(page.forecasts) else None
    silent = page.coverage.select((pl.col("last_observed_at") < page.silent_before).fill_null(value=True).sum()).item()
    savings = [round(line.saving * 100) for line in lines if line.saving is not None]
    return {
        "issued_at": f"{issued:%d %b %H:%M}" if issued else None,
        "stations": f"{len(page.coverage):,}",
        "silent": f"{silent:,}",
        "champion": label(page.champion.forecaster) if page.champion else None,
        "model_id": page.champion.model_id if page.champion else None,
        "saved": f"{min(savings)} to {max(savings)} %".replace("-", "−") if savings else None,
    }


def _issue(page: Page) -> dict[str, Any]:
    """The newest issue: its hour, the stations one can choose, and how many stations are in which input regime."""
    stations = page.forecasts.select("station_id", "name").unique("station_id", maintain_order=True)
    return {
        "issued_at": _time(page.forecasts["issued_at"][0]),
        "regimes": ", ".join(f"{_REGIMES.get(regime, regime)} ({n:,})" for regime, n in page.regimes.items()),
        "stations": [
            {"station_id": station_id, "label": " · ".join(filter(None, (station_id, name)))}
            for station_id, name in stations.iter_rows()
        ],
    }


def _champion(page: Page, champion: Champion, result: HoldoutResult) -> dict[str, Any]:
    """The model that serves, why, where it does not, and which of its forecasts drifted."""
    by_hand = {"hand": ", by hand", "rollback": ", by a rollback"}.get(champion.promoted_by or "", "")
    fallbacks = [tell_fallback(fallback, page.variables) for fallback in page.fallbacks]
    more = f"; and {len(fallbacks) - LISTED_FALLBACKS:,} more" if len(fallbacks) > LISTED_FALLBACKS else ""
    return {
        "name": label(champion.forecaster),
        "model_id": champion.model_id,
        "trained_until": _time(champion.trained_until),
        "serving_since": f"{_time(champion.promoted_at)}{by_hand}" if champion.promoted_at else None,
        "by_hand": bool(by_hand),
        "reason": champion.reason,
        "drift": "; ".join(drift.tell(_name(page, drift.variable)) for drift in page.drifts) or None,
        "fallbacks": "; ".join(fallbacks[:LISTED_FALLBACKS]) + more,
        "evaluated": label(result.judged),
        "rivals": [rival.label for rival in result.rivals],
        "comparisons": [_compare(result, "all variables", result.rivals)]
        + [_compare(result, _name(page, variable), rivals) for variable, rivals in result.by_variable.items()],
    }


def _name(page: Page, variable: str) -> str:
    return page.variables[variable].label if variable in page.variables else variable


def _compare(result: HoldoutResult, title: str, rivals: Sequence[Rival]) -> dict[str, Any]:
    """One row of the table of rivals: CRPS ratio and chance against each, None where there was no comparison."""
    css = {"better": "good", "worse": "bad"}
    cells = {
        rival.name: {
            "text": f"{tell_ratio(rival.crps_ratio)} ({tell_chance_of(rival.chance)})",
            "css": css.get(rival.verdict),
        }
        for rival in rivals
    }
    return {"title": title, "cells": [cells.get(rival.name) for rival in result.rivals]}


def _skill(page: Page, champion: Champion, lines: Sequence[SkillLine]) -> dict[str, Any]:
    """The champion's errors of each variable beside those of every baseline."""
    scores = page.skill.drop_nulls("mae").iter_rows(named=True)
    mae = {(row["variable"], row["forecaster"]): f"{row['mae']:.2f}" for row in scores}
    scored = set(page.skill["forecaster"])
    baselines = [name for name in BASELINE_COLORS if name != champion.forecaster and name in scored]
    return {
        "basis": describe_basis(page.skill["basis"][0], page.span, champion.trained_until),
        "champion": label(champion.forecaster),
        "baselines": [label(name) for name in baselines],
        "rows": [
            {
                "variable": f"{line.variable.label} ({line.variable.unit})",
                "mae": f"{line.mae:.2f}",
                "baseline_maes": [mae.get((line.variable.name, name)) for name in baselines],
                "saving": better(line.saving),
                "css": "bad" if line.saving is not None and line.saving < 0 else "good",
                "crps_saving": None if line.crps_saving is None else f"{line.crps_saving * 100:.0f} %",
                "bias": f"{line.bias:+.2f}",
                "coverage_80": f"{line.coverage_80 * 100:.0f} %",
            }
            for line in lines
        ],
    }


def _lead_lines(by_lead: pl.DataFrame, champion: str) -> list[dict[str, str]]:
    """The key of the lead charts."""
    return [{"name": label(name), "color": color} for name, color in choose_line_colors(by_lead, champion).items()]


def _stations(coverage: pl.DataFrame, silent_before: datetime) -> dict[str, Any]:
    """Which stations report; of a larger network those that were silent longest, then those with most holes."""
    worst = coverage.sort("last_observed_at", "share_observed", "station_id", nulls_last=False)
    shown = worst.head(LISTED_STATIONS) if len(coverage) > LISTED_STATIONS else coverage
    return {
        "left_out": len(coverage) - len(shown),
        "rows": [_station(row, silent_before) for row in shown.iter_rows(named=True)],
    }


def _station(row: Mapping[str, Any], silent_before: datetime) -> dict[str, Any]:
    last, share = row["last_observed_at"], row["share_observed"]
    return {
        "station_id": row["station_id"],
        "name": row["name"],
        "first_observed_at": _time(row["first_observed_at"]),
        "last_observed_at": _time(last),
        "silent": last is None or last < silent_before,
        "hours_observed": f"{row['hours_observed']:,}",
        "share_observed": None if share is None else f"{share * 100:.1f} %",
        "bar_width": f"{min(share or 0, 1) * 100:.1f}%",
    }


def _batch(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: f"{n:,}" for name, n in row.items() if name.startswith("rows_")}
    return {**row, **counts, "ingested_at": _time(row["ingested_at"])}


def _time(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M}" if time else None
