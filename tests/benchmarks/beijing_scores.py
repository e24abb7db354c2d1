"""The lines that the benchmarks on Beijing print: CRPS beside the baselines, and coverage.

Coverage leaves rain out: an interval that is exactly 0 in dry weather holds nearly always, whatever its name; its share stands in
`by_variable`.
"""

import polars as pl
from measurement import say

from daycast.model.baselines import BASELINES

LIMITS = {"crps": 1.0, "coverage": 0.02, "coverage_worst": 0.05}


def say_scores(settings, model_id: str, scores: pl.DataFrame) -> None:
    """Print CRPS beside that of the baselines, and coverage."""
    for (variable,), rows in scores.group_by("variable", maintain_order=True):
        crps = means(rows, "crps")
        best = min(value for name, value in crps.items() if name in BASELINES)
        say("crps", model=model_id, variable=variable, crps=crps, ratio=crps[model_id] / best, limit=LIMITS["crps"])
    often_none = [name for name, variable in settings.glossary.items() if variable.trace > 0]
    say_coverage(model_id, scores.filter(pl.col("model") == model_id), often_none)


def means(rows: pl.DataFrame, score: str) -> dict[str, float]:
    """The mean over all leads of each forecaster."""
    return dict(rows.group_by("model", maintain_order=True).agg(pl.col(score).mean()).iter_rows())


def say_coverage(model_id: str, every: pl.DataFrame, often_none: list[str]) -> None:
    rows = every.filter(~pl.col("variable").is_in(often_none))
    for percent in (50, 80, 90):
        covered, name = pl.col(f"coverage_{percent}"), percent / 100
        overall = rows.select((covered * pl.col("n")).sum() / pl.col("n").sum()).item()
        by_variable = every.group_by("variable", maintain_order=True)
        each = by_variable.agg((covered * pl.col("n")).sum() / pl.col("n").sum())
        worst = rows.sort((covered - name).abs()).row(-1, named=True)
        say("coverage", model=model_id, interval=percent, covered=overall, off=abs(overall - name), limit=LIMITS["coverage"],
            by_variable=dict(each.iter_rows()), worst_variable=worst["variable"], worst_lead=worst["lead_hours"],
            worst_covered=worst[f"coverage_{percent}"], worst_off=abs(worst[f"coverage_{percent}"] - name),
            worst_limit=LIMITS["coverage_worst"])  # fmt: skip
