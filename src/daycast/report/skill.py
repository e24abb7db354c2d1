"""The numbers of a judgement, as they are kept with the model, for people to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from daycast.evaluation.promotion import CHAMPION, tell_p
from daycast.evaluation.serving import Fallback
from daycast.variables import Variable

# How much better the champion is than the best naive alternative: the numbers of every skill table.


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
    promoted_by: str | None = None  # holdout, hand or rollback


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
        return f"judged on {days} that it was also fitted on: too little history yet for an independent holdout"
    return f"judged on the newest {days} to {span.judged_until:%Y-%m-%d}, never trained on"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


@dataclass(frozen=True)
class Rival:
    """Whom the judged forecaster was compared with, and what came of it."""

    name: str
    crps_ratio: float | None  # below 1 the judged one is better
    p_value: float | None  # of such an advantage by luck; None where there were too few days
    days: int | None

    @property
    def label(self) -> str:
        """The rival as a reader would call it."""
        return "the champion of that day" if self.name == CHAMPION else label(self.name)


@dataclass(frozen=True)
class HoldoutResult:
    """A judgement: one forecaster against its rivals, over all variables and by each."""

    judged: str
    significance: float
    rivals: tuple[Rival, ...]  # the hardest first
    by_variable: Mapping[str, tuple[Rival, ...]]

    def tell(self, rival: Rival) -> str:
        """What the comparison proves."""
        if rival.p_value is None:
            return "not tested"
        if rival.p_value < self.significance:
            return "better"
        return "worse" if rival.p_value > 1 - self.significance else "not proven"


def read_holdout_result(decision: Mapping[str, Any], forecaster: str) -> HoldoutResult:
    """From the decision of a row of `models`; one of before there were tests has the ratios alone.

    forecaster: the model's, which is whom a decision that does not say so is about.
    """
    ratios = {name: {"crps_ratio": ratio} for name, ratio in decision.get("crps_ratio", {}).items()}
    by_variable = {name: _rivals(found) for name, found in decision.get("by_variable", {}).items()}
    return HoldoutResult(
        decision.get("judged", forecaster),
        decision.get("significance", 0.05),
        _rivals(decision.get("rivals", ratios)),
        by_variable,
    )


def _rivals(found: Mapping[str, Mapping[str, Any]]) -> tuple[Rival, ...]:
    rivals = (Rival(name, one["crps_ratio"], one.get("p_value"), one.get("days")) for name, one in found.items())
    return tuple(sorted(rivals, key=lambda rival: -(rival.crps_ratio or 0)))


def tell_ratio(ratio: float | None) -> str:
    """A CRPS ratio, or a dash."""
    return "–" if ratio is None else f"×{ratio:.3f}"


def tell_chance(p_value: float | None) -> str:
    """A p value in a column of its own, or a dash."""
    return "–" if p_value is None else tell_p(p_value).removeprefix("p ")


def tell_fallback(one: Fallback, variables: Mapping[str, Variable]) -> str:
    """Where a baseline serves, and why."""
    name = variables[one.variable].label if one.variable in variables else one.variable
    place = "" if one.station_id is None else f" at {one.station_id}"
    numbers = f"CRPS ×{one.crps_ratio:.3f}, {tell_p(one.p_value)}, {one.days} days"
    return f"{name}{place} is served by {label(one.forecaster)} ({numbers})"


def name_servers(
    forecaster: str, fallbacks: Sequence[Fallback], variables: Sequence[str]
) -> dict[str, tuple[str, int]]:
    """By variable, who serves it at most stations, and at how many somebody else does."""
    everywhere = {one.variable: one.forecaster for one in fallbacks if one.station_id is None}
    apart = [one.variable for one in fallbacks if one.station_id is not None]
    return {name: (everywhere.get(name, forecaster), apart.count(name)) for name in variables}
