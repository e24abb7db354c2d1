"""What a week of operation came to, as lines to print."""

from soak.week import Week

_SKILL = """
select
    variable,
    model_id,
    scores.forecaster,
    scores.forecaster = models.forecaster as serves,
    sum(n)::bigint as n,
    sum(n * mae) / sum(n) as mae,
    sum(n * crps) / sum(n) as crps,
    sum(n * coverage_80) / sum(n) as coverage_80,
from scores
join models using (model_id)
group by all
order by variable, min(promoted_at), model_id, crps
"""


def tell_skill(week: Week) -> str:
    """By variable and champion: what was served, and the baselines beside it."""
    lines = [f"{'variable':<20}{'model':<24}{'forecaster':<24}{'n':>9}{'MAE':>8}{'CRPS':>8}{'in 80 %':>9}"]
    for row in week.ask(_SKILL):
        who = f"{row['forecaster']} (daycast)" if row["serves"] else row["forecaster"]
        numbers = f"{row['n']:>9,}{row['mae']:>8.3f}{row['crps']:>8.3f}{row['coverage_80']:>9.1%}"
        lines.append(f"{row['variable']:<20}{row['model_id']:<24}{who:<24}{numbers}")
    return "\n".join(lines)


def tell_models(week: Week) -> str:
    """Every model in the order of its registration, who won, and why."""
    rows = week.ask("select * from models order by registered_at, promoted_at nulls first")
    return "\n".join(
        f"{row['registered_at']:%Y-%m-%d %H:%M} {row['model_id']}: {row['role']}, {row['promoted_by'] or 'never promoted'}; "
        f"{row['reason']}"
        for row in rows
    )


def tell_drifts(week: Week) -> str:
    """Every drift, when it was found, and what its retraining came to."""
    return "\n".join(
        f"{hour.now:%Y-%m-%d %H:%M} {drift.tell(drift.variable)}; retrained: {hour.retrained.decision.winner} serves"
        for hour in week.hours
        for drift in hour.drifts
        if hour.retrained
    )
