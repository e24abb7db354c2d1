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
from daycast.report.charts import BASELINE_COLORS, make_lead_charts, measure_coverage
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
    tell_server,
)
from daycast.report.station_data import REGIMES, make_station_data
from daycast.variables import Variable

LISTED_FALLBACKS = 12
LISTED_REJECTIONS = 12
FAR_OFF = 10  # percentage points between an interval's share of observations and what it promises


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
    forecasts: pl.DataFrame  # each station's newest: station_id, variable, issued_at, valid_at, input_regime, quantiles
    observations: pl.DataFrame  # station_id, observed_at, variables: of the days before the newest issue
    coverage: pl.DataFrame  # as the view station_coverage and time_zone (null if unknown), without retired stations
    silent_before: datetime  # a station is silent if its last observation is older
    batches: pl.DataFrame  # the last ones, newest first
    rejections: pl.DataFrame  # column_name, reason, n, example; the most frequent first
    variables: Mapping[str, Variable]
    drifts: Sequence[Drift] = ()  # of the champion
    issued_at: datetime | None = None  # the newest issue, however old
    retired: Sequence[str] = ()  # the sources whose stations are not served any more, in words


def write_page(path: Path, page: Page) -> None:
    """Write the page to `path` in one move: a reader sees either the previous page or this one, whole."""
    text = render_page(page)
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")


def render_page(page: Page) -> str:
    """The page as HTML. Every value is escaped, so a station named like a tag is shown and does not run."""
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
    return templates.get_template("page.html").render(make_context(page))


def make_context(page: Page) -> dict[str, Any]:
    """The texts that `templates/page.html` prints, section by section; a section without data is None.

    Inside a section, None is printed as a dash.
    """
    served = page.champion.forecaster if page.champion else None
    lines = compare_with_naive(page.skill, served, page.variables, page.fallbacks) if served else ()
    leads = make_lead_charts(page.by_lead, served, page.variables) if served else []
    return {
        "as_of": _moment(page.now),
        "summary": _summary(page, lines),
        "issue": _issue(page) if len(page.forecasts) else None,
        "stations": _stations(page) if len(page.coverage) + len(page.forecasts) else None,
        "champion": _champion(page, page.champion, page.result) if page.champion and page.result else None,
        "skill": _skill(page, page.champion, lines) if page.champion and lines else None,
        "charts": {"leads": leads} if leads else None,
        "coverage": _coverage(page.by_lead, served, page.variables) if served else None,
        "retired": page.retired,
        "batches": [_batch(row) for row in page.batches.to_dicts()] or None,
        "rejections": [{**row, "n": f"{row['n']:,}"} for row in page.rejections.head(LISTED_REJECTIONS).to_dicts()],
    }


def _summary(page: Page, lines: Sequence[SkillLine]) -> dict[str, Any]:
    """The page in four numbers."""
    issued: datetime | None = page.forecasts["issued_at"].max() or page.issued_at  # type: ignore[assignment]
    silent = page.coverage.select((pl.col("last_observed_at") < page.silent_before).fill_null(value=True).sum()).item()
    savings = [round(line.saving * 100) for line in lines if line.saving is not None]
    return {
        "issued_at": _moment(issued),
        "stations": f"{len(page.coverage):,}",
        "silent": f"{silent:,}",
        "champion": label(page.champion.forecaster) if page.champion else None,
        "model_id": page.champion.model_id if page.champion else None,
        "saved": f"{min(savings)} to {max(savings)} %".replace("-", "−") if savings else None,
    }


def _issue(page: Page) -> dict[str, Any]:
    """The newest issue: its hour, and how many stations are in which input regime."""
    newest = page.forecasts.filter(pl.col("issued_at") == pl.col("issued_at").max())
    counts = (
        newest.group_by("input_regime")
        .agg(pl.col("station_id").n_unique())
        .sort("station_id", "input_regime", descending=[True, False])
    )
    return {
        "issued_at": _moment(newest["issued_at"][0]),
        "regimes": ", ".join(f"{REGIMES.get(regime, regime)} ({n:,})" for regime, n in counts.iter_rows()),
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
    """The errors of who serves each variable beside those of every baseline, and of the champion where that is not always it."""
    scores = page.skill.drop_nulls("mae").iter_rows(named=True)
    mae = {(row["variable"], row["forecaster"]): f"{row['mae']:.2f}" for row in scores}
    scored = set(page.skill["forecaster"])
    baselines = [name for name in BASELINE_COLORS if name != champion.forecaster and name in scored]
    if any(line.server != champion.forecaster for line in lines):
        baselines.insert(0, champion.forecaster)
    return {
        "basis": describe_basis(page.skill["basis"][0], page.span, champion.trained_until),
        "baselines": [label(name) for name in baselines],
        "rows": [
            {
                "variable": f"{line.variable.label} ({line.variable.unit})",
                "server": tell_server(label(line.server), line.exceptions),
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


def _coverage(by_lead: pl.DataFrame, champion: str, variables: Mapping[str, Variable]) -> list[dict[str, Any]]:
    """By variable: how many observations of 100 fell into each interval, and by how much that is off."""
    return [
        {"variable": label, "cells": [_coverage_cell(nominal, observed) for nominal, observed in shares.items()]}
        for label, shares in measure_coverage(by_lead, champion, variables).items()
    ]


def _coverage_cell(nominal: int, observed: float) -> dict[str, str | None]:
    off = observed - nominal
    told = "" if abs(off) < 0.5 else f"({off:+.0f})".replace("-", "−")
    return {"text": f"{observed:.0f} %", "off": told, "css": "bad" if abs(off) >= FAR_OFF else None}


def _stations(page: Page) -> dict[str, Any]:
    """What the scripts of the page read."""
    return make_station_data(
        page.now, page.silent_before, page.coverage, page.forecasts, page.observations, page.variables
    )


def _batch(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: f"{n:,}" for name, n in row.items() if name.startswith("rows_")}
    return {**row, **counts, "ingested_at": _time(row["ingested_at"])}


def _moment(time: datetime | None) -> dict[str, Any] | None:
    """A time as text, and in hours since 1970 for the script that adds the local time."""
    return {"text": _time(time), "hours": time.timestamp() / 3600} if time else None


def _time(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M}" if time else None
