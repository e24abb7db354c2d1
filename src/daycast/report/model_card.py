"""Models on the terminal: `render_models` lists all of them, `render_model` shows one with its holdout scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from daycast.evaluation.serving import Fallback
from daycast.report.skill import (
    HoldoutResult,
    label,
    name_servers,
    tell_chance_of,
    tell_fallback,
    tell_ratio,
    tell_server,
)
from daycast.report.terminal import Column, render_pairs, render_table, wrap_text
from daycast.variables import Variable

SHOWN_LEADS = (1, 3, 6, 12, 18, 24)
LISTED_FALLBACKS = 20
_PROMOTED_BY = {
    "hand": "by hand, whatever the holdout says",
    "rollback": "by a rollback",
    "holdout": "by its scores on the holdout",
}


@dataclass(frozen=True)
class ModelCard:
    """Everything that is known about a model; times are UTC."""

    model_id: str
    forecaster: str  # gru, lstm, rnn, ridge or another baseline
    role: str  # champion, challenger or retired
    registered_at: datetime
    promoted_at: datetime | None
    promoted_by: str | None
    reason: str
    fit: Mapping[str, str]  # how it was fitted, as lines of name and text; or why that is unknown
    result: HoldoutResult
    scores: pl.DataFrame  # rows of `holdout_scores`
    fallbacks: tuple[Fallback, ...]
    variables: Mapping[str, Variable]


def render_models(models: pl.DataFrame, width: int) -> str:
    """Every model on a line, with the reason for its role below it; lines have at most `width` cells.

    models: columns model_id, role, trained_until, promoted_at, promoted_by and reason.
    """
    if models.is_empty():
        return "no models yet: `daycast retrain` trains the first\n"
    columns: list[Column] = [
        ("model", "left"),
        ("role", "left"),
        ("trained until", "left"),
        ("promoted", "left"),
        ("by", "left"),
    ]
    rows = [
        [
            row["model_id"],
            row["role"],
            f"{row['trained_until']:%Y-%m-%d}",
            f"{row['promoted_at']:%Y-%m-%d %H:%M}" if row["promoted_at"] else "–",
            row["promoted_by"] or "–",
        ]
        for row in models.iter_rows(named=True)
    ]
    table = render_table(columns, rows, width, below=models["reason"].to_list())
    note = "times in UTC; `daycast models show ID` shows one in full"
    return f"{table}\n\n{wrap_text(note, width)}\n"


def render_model(card: ModelCard, width: int) -> str:
    """The card as plain text; lines have at most `width` cells."""
    parts = [_head(card, width), _rivals(card, width), _by_variable(card, width), _by_lead(card, width)]
    return "\n\n".join(part for part in [*parts, _fallbacks(card, width)] if part) + "\n"


def _head(card: ModelCard, width: int) -> str:
    role = card.role
    if card.promoted_at:
        role += f"; last promoted {_time(card.promoted_at)} {_PROMOTED_BY.get(card.promoted_by or '', '')}".rstrip()
    lines = [
        ("Model", f"{card.model_id} ({label(card.forecaster)}), registered {_time(card.registered_at)}"),
        ("Role", role),
        ("Holdout", card.reason),
        *card.fit.items(),
    ]
    return render_pairs(lines, width)


def _rivals(card: ModelCard, width: int) -> str:
    if not card.result.rivals:
        return ""
    columns: list[Column] = [
        ("rival", "left"),
        ("CRPS ratio", "right"),
        ("chance", "right"),
        ("days", "right"),
        ("", "left"),
    ]
    rows = [
        [
            rival.label,
            tell_ratio(rival.crps_ratio),
            tell_chance_of(rival.chance),
            "–" if rival.days is None else str(rival.days),
            rival.verdict,
        ]
        for rival in card.result.rivals
    ]
    forecaster = label(card.result.judged)
    heading = f"{forecaster} against each rival: below 1 it was better, chance: that it will be in the next weeks"
    return f"{wrap_text(heading, width)}\n{render_table(columns, rows, width)}"


def _by_variable(card: ModelCard, width: int) -> str:
    scores = card.scores.filter(pl.col("forecaster") == card.forecaster)
    if scores.is_empty():
        return ""
    numbers = {row["variable"]: row for row in _over_leads(scores).to_dicts()}
    servers = name_servers(card.forecaster, card.fallbacks, list(numbers))
    columns: list[Column] = [
        ("variable", "left"),
        ("error", "right"),
        ("hardest rival", "left"),
        ("ratio", "right"),
        ("chance", "right"),
        ("in 50", "right"),
        ("80", "right"),
        ("90 %", "right"),
        ("served by", "left"),
    ]
    rows = [
        [
            _label(name, card),
            f"{row['mae']:.3g} {card.variables[name].unit if name in card.variables else ''}".strip(),
            *_hardest(card, name),
            *(f"{row[f'coverage_{level}'] * 100:.0f}" for level in (50, 80, 90)),
            _server(card, *servers[name]),
        ]
        for name, row in numbers.items()
    ]
    span = f"{_time(scores['since'][0])} to {_time(scores['until'][0])}"
    heading = (
        f"By variable, issued {span}; error: mean absolute, leads 1 to 24 h; in 50, 80, 90 %: observations inside, in %"
    )
    return f"{wrap_text(heading, width)}\n{render_table(columns, rows, width)}"


def _server(card: ModelCard, forecaster: str, exceptions: int) -> str:
    return tell_server("itself" if forecaster == card.forecaster else label(forecaster), exceptions)


def _hardest(card: ModelCard, variable: str) -> tuple[str, str, str]:
    rivals = card.result.by_variable.get(variable, ()) if card.result.judged == card.forecaster else ()
    if not rivals:
        return "–", "–", "–"
    hardest = rivals[0]
    return hardest.label, tell_ratio(hardest.crps_ratio), tell_chance_of(hardest.chance)


def _by_lead(card: ModelCard, width: int) -> str:
    scores = card.scores.filter(pl.col("forecaster") == card.forecaster)
    if scores.is_empty():
        return ""
    mae = {(row["variable"], row["lead_hours"]): row["mae"] for row in scores.to_dicts()}
    columns: list[Column] = [("variable", "left"), *((f"{lead} h", "right") for lead in SHOWN_LEADS)]
    rows = [
        [_label(name, card), *(_number(mae.get((name, lead))) for lead in SHOWN_LEADS)]
        for name in scores["variable"].unique(maintain_order=True)
    ]
    return f"Mean absolute error by hours ahead\n{render_table(columns, rows, width)}"


def _fallbacks(card: ModelCard, width: int) -> str:
    if not card.fallbacks:
        return ""
    lines = [tell_fallback(one, card.variables) for one in card.fallbacks]
    more = len(lines) - LISTED_FALLBACKS
    shown = lines[:LISTED_FALLBACKS] + ([f"and {more:,} more: see the table fallbacks"] if more > 0 else [])
    return render_pairs([("Fallbacks", line) for line in shown], width)


def _over_leads(scores: pl.DataFrame) -> pl.DataFrame:
    """The means over all leads by variable, weighted by the number of forecasts."""
    means = ("mae", "coverage_50", "coverage_80", "coverage_90")
    weighted = [((pl.col(name) * pl.col("n")).sum() / pl.col("n").sum()).alias(name) for name in means]
    return scores.group_by("variable", maintain_order=True).agg(weighted)


def _label(variable: str, card: ModelCard) -> str:
    return card.variables[variable].label if variable in card.variables else variable


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
