"""How good the champion is, as numbers and words for people.

First its skill against naive forecasts (`compare_with_naive`, `describe_basis`), then the result of its holdout against all
rivals (`read_holdout_result`), last its fallbacks (`tell_fallback`, `name_servers`). Report page and terminal both use these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from daycast.evaluation.promotion import CHAMPION, tell_chance
from daycast.evaluation.serving import Fallback
from daycast.variables import Variable

NAIVE = ("persistence", "same_hour_yesterday", "climatology")  # forecasts without a model, named as in the tables
_SURE = 0.95  # chance above which a comparison counts as sure
LABELS = {
    "persistence": "persistence",
    "same_hour_yesterday": "same hour yesterday",
    "climatology": "climatology",
    "ridge": "ridge regression",
    "base": "base network",
    "gru": "GRU",
    "lstm": "LSTM",
    "rnn": "RNN",
}


@dataclass(frozen=True)
class Champion:
    """The model that serves, and why."""

    model_id: str
    forecaster: str
    trained_until: datetime
    promoted_at: datetime | None
    reason: str
    promoted_by: str | None = None  # holdout, hand or rollback


@dataclass(frozen=True)
class SkillSpan:
    """The time that the champion's scores cover; holdout_since and holdout_until are None without a holdout."""

    holdout_since: datetime | None
    holdout_until: datetime | None
    verified_days: int


@dataclass(frozen=True)
class SkillLine:
    """The errors of who serves one variable, over all leads, beside those of the best naive forecast."""

    variable: Variable
    server: str  # the forecaster that serves most stations
    exceptions: int  # stations that another one serves
    mae: float  # in the variable's unit
    bias: float  # forecast minus observation, in the variable's unit
    coverage_80: float  # share of observations inside the 80 % interval
    rival: str | None  # the naive forecaster with the lowest MAE, except the server itself
    rival_mae: float | None
    saving: float | None  # 1 − mae / rival_mae; below 0 the server is worse
    crps_saving: float | None  # the same for the CRPS, against the lowest naive CRPS


def label(forecaster: str) -> str:
    """The name of the forecaster for readers."""
    return LABELS.get(forecaster, forecaster)


def better(saving: float | None) -> str:
    """A saving in words: `28 % better`, `3 % worse`, `equal`, or a dash for None."""
    if saving is None:
        return "–"
    share = round(abs(saving) * 100)
    return f"{share} % {'worse' if saving < 0 else 'better'}" if share else "equal"


def compare_with_naive(
    skill: pl.DataFrame, forecaster: str, variables: Mapping[str, Variable], fallbacks: Sequence[Fallback] = ()
) -> tuple[SkillLine, ...]:
    """One line for each variable for which who serves it has scores, in the order of `variables`.

    skill: columns variable, forecaster, mae, bias, crps, coverage_80; one row for each variable and forecaster. fallbacks: those
    that serve in place of `forecaster`.
    """
    scores = {(row["variable"], row["forecaster"]): row for row in skill.iter_rows(named=True)}
    naive = skill.filter(pl.col("forecaster").is_in(NAIVE))
    return tuple(
        _compare(variables[name], server, exceptions, scores[name, server], naive.filter(pl.col("variable") == name))
        for name, (server, exceptions) in name_servers(forecaster, fallbacks, list(variables)).items()
        if (name, server) in scores
    )


def _compare(
    variable: Variable, server: str, exceptions: int, scores: dict[str, float], naive: pl.DataFrame
) -> SkillLine:
    naive = naive.filter(pl.col("forecaster") != server)
    best = naive.sort("mae", "forecaster").row(0, named=True) if len(naive) else None
    lowest_crps: float | None = naive["crps"].min()  # type: ignore[assignment]
    return SkillLine(
        variable=variable,
        server=server,
        exceptions=exceptions,
        mae=scores["mae"],
        bias=scores["bias"],
        coverage_80=scores["coverage_80"],
        rival=best["forecaster"] if best else None,
        rival_mae=best["mae"] if best else None,
        saving=_saving(scores["mae"], best["mae"] if best else None),
        crps_saving=_saving(scores["crps"], lowest_crps),
    )


def _saving(score: float, rival: float | None) -> float | None:
    return 1 - score / rival if rival else None


def describe_basis(basis: str, span: SkillSpan, trained_until: datetime) -> str:
    """What the scores were measured on, as the end of a sentence. basis: `judged` (on the holdout) or `verified` (as served)."""
    if basis == "verified":
        return f"verified against the observations of {_days(span.verified_days)}"
    if span.holdout_since is None or span.holdout_until is None:
        return "not evaluated yet"
    days = _days(max(1, round((span.holdout_until - span.holdout_since).total_seconds() / 86400)))
    if trained_until > span.holdout_since:
        return f"evaluated on {days} that it was also fitted on: too little history yet for an independent holdout"
    return f"evaluated on the newest {days} to {span.holdout_until:%Y-%m-%d}, never trained on"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


@dataclass(frozen=True)
class Rival:
    """One rival in a holdout, with the comparison."""

    name: str
    crps_ratio: float | None  # below 1 the evaluated forecaster is better than the rival
    chance: float | None  # that the evaluated forecaster will be better; None where nothing was compared
    days: int | None

    @property
    def label(self) -> str:
        """The name of the rival for readers."""
        return "the champion of that day" if self.name == CHAMPION else label(self.name)

    @property
    def verdict(self) -> str:
        """What the evaluated forecaster is, beside this rival: better, worse, perhaps better, perhaps worse or not compared."""
        if self.chance is None:
            return "not compared"
        sure = "" if max(self.chance, 1 - self.chance) > _SURE else "perhaps "
        return f"{sure}{'better' if self.chance > 0.5 else 'worse'}"


@dataclass(frozen=True)
class HoldoutResult:
    """The result of a holdout: one forecaster against its rivals, over all variables and for each variable."""

    judged: str  # the evaluated forecaster
    rivals: tuple[Rival, ...]  # the hardest first
    by_variable: Mapping[str, tuple[Rival, ...]]


def read_holdout_result(decision: Mapping[str, Any], forecaster: str) -> HoldoutResult:
    """The result from the JSON in `models.decision`. Decisions of early versions have CRPS ratios only, or p-values of tests.

    forecaster: that of the model, for early decisions that do not name the evaluated forecaster.
    """
    ratios = {name: {"crps_ratio": ratio} for name, ratio in decision.get("crps_ratio", {}).items()}
    by_variable = {name: _rivals(found) for name, found in decision.get("by_variable", {}).items()}
    return HoldoutResult(
        decision.get("judged", forecaster),
        _rivals(decision.get("rivals", ratios)),
        by_variable,
    )


def _rivals(found: Mapping[str, Mapping[str, Any]]) -> tuple[Rival, ...]:
    rivals = (Rival(name, one["crps_ratio"], _chance(one), one.get("days")) for name, one in found.items())
    return tuple(sorted(rivals, key=lambda rival: -(rival.crps_ratio or 0)))


def _chance(found: Mapping[str, Any]) -> float | None:
    p_value = found.get("p_value")
    return found.get("chance", None if p_value is None else 1 - p_value)


def tell_ratio(ratio: float | None) -> str:
    """A CRPS ratio as `×0.912`, or a dash for None."""
    return "–" if ratio is None else f"×{ratio:.3f}"


def tell_chance_of(chance: float | None) -> str:
    """A chance as `97 %`, or a dash for None."""
    return "–" if chance is None else tell_chance(chance)


def tell_fallback(one: Fallback, variables: Mapping[str, Variable]) -> str:
    """Where a fallback serves, and why, in one line."""
    name = variables[one.variable].label if one.variable in variables else one.variable
    place = "" if one.station_id is None else f" at {one.station_id}"
    numbers = f"CRPS ×{one.crps_ratio:.3f}, chance {tell_chance(one.chance)}, {one.days} days"
    return f"{name}{place} is served by {label(one.forecaster)} ({numbers})"


def tell_server(name: str, exceptions: int) -> str:
    """Who serves a variable, by its name for readers, and at how many stations another one does."""
    return name + (f", except {exceptions} stations" if exceptions > 1 else ", except 1 station" if exceptions else "")


def name_servers(
    forecaster: str, fallbacks: Sequence[Fallback], variables: Sequence[str]
) -> dict[str, tuple[str, int]]:
    """By variable: the forecaster that serves most stations, and the number of stations that another one serves."""
    everywhere = {one.variable: one.forecaster for one in fallbacks if one.station_id is None}
    exceptions = [one.variable for one in fallbacks if one.station_id is not None]
    return {name: (everywhere.get(name, forecaster), exceptions.count(name)) for name in variables}
