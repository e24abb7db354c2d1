"""How much better the champion is than the best naive alternative: the numbers of every skill table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from daycast.variables import Variable

NAIVE = ("persistence", "same_hour_yesterday", "climatology")  # what costs nothing; spelt as in the tables
LABELS = {
    "persistence": "persistence",
    "same_hour_yesterday": "same hour yesterday",
    "climatology": "climatology",
    "ridge": "ridge regression",
    "gru": "GRU",
    "lstm": "LSTM",
    "rnn": "RNN",
}


@dataclass(frozen=True)
class Champion:
    """Who serves, and why."""

    model_id: str
    forecaster: str
    trained_until: datetime
    promoted_at: datetime | None
    reason: str
    promoted_by: str | None = None  # judgement, hand or rollback


@dataclass(frozen=True)
class SkillSpan:
    """What the champion's scores rest on; without a judgement there is no since and until."""

    judged_since: datetime | None
    judged_until: datetime | None
    verified_days: int


@dataclass(frozen=True)
class SkillLine:
    """The champion's errors of one variable, all leads together, beside the best naive alternative's."""

    variable: Variable
    mae: float  # in the variable's unit
    bias: float  # forecast minus observation, in the variable's unit
    coverage_80: float  # share of observations inside the 80 % interval
    rival: str | None  # the naive forecaster with the lowest MAE that is not the champion itself
    rival_mae: float | None
    saving: float | None  # share of the rival's MAE that is saved; below 0 the champion is worse
    crps_saving: float | None  # likewise of the lowest naive CRPS


def label(forecaster: str) -> str:
    """The forecaster as a reader would call it."""
    return LABELS.get(forecaster, forecaster)


def better(saving: float | None) -> str:
    """A saving in words: `28 % better`, `3 % worse`, or a dash where there is nothing to compare with."""
    if saving is None:
        return "–"
    share = round(abs(saving) * 100)
    return f"{share} % {'worse' if saving < 0 else 'better'}" if share else "equal"


def compare_with_naive(
    skill: pl.DataFrame, forecaster: str, variables: Mapping[str, Variable]
) -> tuple[SkillLine, ...]:
    """One line for each variable on which `forecaster` was scored, in the order of `variables`.

    skill: variable, forecaster, mae, bias, crps, coverage_80, one row for each variable and forecaster.
    """
    ours = {row["variable"]: row for row in skill.filter(pl.col("forecaster") == forecaster).iter_rows(named=True)}
    naive = skill.filter(pl.col("forecaster").is_in(NAIVE), pl.col("forecaster") != forecaster)
    return tuple(
        _compare(variable, ours[name], naive.filter(pl.col("variable") == name))
        for name, variable in variables.items()
        if name in ours
    )


def _compare(variable: Variable, ours: dict[str, float], naive: pl.DataFrame) -> SkillLine:
    best = naive.sort("mae", "forecaster").row(0, named=True) if len(naive) else None
    lowest_crps: float | None = naive["crps"].min()  # type: ignore[assignment]
    return SkillLine(
        variable=variable,
        mae=ours["mae"],
        bias=ours["bias"],
        coverage_80=ours["coverage_80"],
        rival=best["forecaster"] if best else None,
        rival_mae=best["mae"] if best else None,
        saving=_saving(ours["mae"], best["mae"] if best else None),
        crps_saving=_saving(ours["crps"], lowest_crps),
    )


def _saving(ours: float, theirs: float | None) -> float | None:
    return 1 - ours / theirs if theirs else None


def describe_basis(basis: str, span: SkillSpan, trained_until: datetime) -> str:
    """What the scores were measured on, as the end of a sentence; basis: judged or verified."""
    if basis == "verified":
        return f"verified against what came on {_days(span.verified_days)}"
    if span.judged_since is None or span.judged_until is None:
        return "not judged yet"
    days = _days(max(1, round((span.judged_until - span.judged_since).total_seconds() / 86400)))
    if trained_until > span.judged_since:
        return f"judged on {days} that it was also fitted on: too little history yet for an independent judgement"
    return f"judged on the newest {days} to {span.judged_until:%Y-%m-%d}, never trained on"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
