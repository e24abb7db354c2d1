"""Decide on the holdout who serves: challenger, champion or a baseline.

The champion stays unless something is proven better, and nothing serves that a baseline is proven to beat. `decide_on_holdout`
makes the whole decision including fallbacks; `decide` is its core; `compare` and `find_best` are its parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from daycast.evaluation.fallbacks import choose_fallbacks, score_as_served
from daycast.evaluation.serving import DailyCrps, Fallback
from daycast.evaluation.significance import LEAST_DAYS, paired_test

CHAMPION = "champion"  # the name of the present champion among the forecasters of a holdout


@dataclass(frozen=True)
class Comparison:
    """One forecaster against one rival; None where there were too few days for a test."""

    crps_ratio: float | None  # geometric mean over variables: below 1 the forecaster is better than the rival
    difference: float | None  # mean of the daily relative differences
    standard_error: float | None  # of `difference`
    p_value: float | None  # one-sided: of such an advantage if neither were better
    days: int  # on which both have scores

    def proves(self, significance: float) -> bool:
        """Whether the forecaster is better at this level."""
        return self.p_value is not None and self.p_value < significance


@dataclass(frozen=True)
class Decision:
    """The outcome of a holdout, with its numbers. The names of the fields are those stored in `models.decision`."""

    winner: str  # the forecaster that serves from now on; CHAMPION if the champion stays
    promoted: bool
    reason: str  # for people, one line
    judged: str  # the forecaster that is compared: the challenger, or without one the best baseline
    significance: float
    rivals: dict[str, Comparison]  # `judged` against each rival, over all variables
    by_variable: dict[str, dict[str, Comparison]] = field(default_factory=dict)  # variable → rival → comparison
    fallbacks: dict[str, tuple[Fallback, ...]] = field(default_factory=dict)  # by forecaster that may be registered


def decide_on_holdout(
    daily: Mapping[str, DailyCrps],
    challenger: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    significance: float,
) -> Decision:
    """Decide who serves (see `decide`), from the daily scores of the challenger, the baselines and CHAMPION.

    challenger: its name, empty for none. The challenger and the best baseline are compared with their fallbacks in place,
    because the champion's scores include its fallbacks too. All others, and all comparisons by variable, are without fallbacks.
    """
    raw = {name: one.of_network for name, one in daily.items()}
    compared = dict(raw)
    for name in (challenger, find_best(raw, baselines)):
        if name:
            served = score_as_served(daily, name, baselines, variables, stations, significance)
            compared[name] = served.of_network
    decision = decide(compared, challenger, baselines, significance)
    by_variable = {
        name: {rival: compare(raw[decision.judged][:, [v]], raw[rival][:, [v]]) for rival in decision.rivals}
        for v, name in enumerate(variables)
    }
    registered = {challenger, decision.winner} - {"", CHAMPION}
    fallbacks = {
        name: choose_fallbacks(daily, name, baselines, variables, stations, significance) for name in sorted(registered)
    }
    return replace(decision, by_variable=by_variable, fallbacks=fallbacks)


def decide(
    daily: Mapping[str, np.ndarray],
    challenger: str,
    baselines: Sequence[str],
    significance: float,
) -> Decision:
    """Choose who serves, from daily scores on a block of time that no forecaster was fitted on.

    daily: by forecaster the mean CRPS (D, V) by day of issue and variable, NaN where there is none; CHAMPION stands for the
    champion, if there is one. challenger: its name, empty for none. baselines: their names, simplest first.

    The challenger serves if it is better than all others at this level of significance. Otherwise the champion stays, unless
    baselines are better than it; then the best of them serves. Without a champion the best baseline serves without proof.
    """
    baselines = [name for name in baselines if name in daily]
    best = find_best(daily, baselines)
    candidate = challenger or best
    rivals = [name for name in (CHAMPION, *baselines) if name in daily and name != candidate]
    comparisons = {name: compare(daily[candidate], daily[name]) for name in rivals}
    winner, reason = candidate, f"{candidate} is better than {_listed(comparisons)}"
    if not challenger or not all(one.proves(significance) for one in comparisons.values()):
        winner, outcome = _without_challenger(daily, baselines, best, significance)
        named = rivals if challenger else [name for name in rivals if name == CHAMPION]
        unproven = {name: comparisons[name] for name in named if not comparisons[name].proves(significance)}
        reason = f"{candidate} is not proven better than {_listed(unproven)}; {outcome}" if unproven else outcome
    reason += _span(max((one.days for one in comparisons.values()), default=0), significance)
    return Decision(winner, winner != CHAMPION, reason, candidate, significance, comparisons)


def find_best(daily: Mapping[str, np.ndarray], baselines: Sequence[str]) -> str:
    """The baseline with the lowest daily scores (D, V); of equal ones the first, which is the simplest."""
    scored = [name for name in baselines if name in daily]
    return min(scored, key=lambda name: _ratio(daily[name], daily[scored[0]]))


def compare(candidate: np.ndarray, rival: np.ndarray) -> Comparison:
    """Compare the daily scores (D, V) of a candidate with those of a rival; see `paired_test`."""
    test = paired_test(candidate, rival)
    ratio, difference, error, p = (
        None if np.isnan(number) else float(number)
        for number in (test.crps_ratio, test.difference, test.standard_error, test.p_value)
    )
    return Comparison(ratio, difference, error, p, int(test.days))


def tell_p(p_value: float) -> str:
    """A p-value for readers: `p < 0.001`, `p 0.023` or `p 0.45`."""
    return "p < 0.001" if p_value < 0.001 else f"p {p_value:.3f}" if p_value < 0.1 else f"p {p_value:.2f}"


def _without_challenger(
    daily: Mapping[str, np.ndarray], baselines: Sequence[str], best: str, significance: float
) -> tuple[str, str]:
    """Who of the champion and the baselines serves, and why."""
    if CHAMPION not in daily:
        return best, f"{best} serves, the baseline with the lowest CRPS"
    comparisons = {name: compare(daily[name], daily[CHAMPION]) for name in baselines}
    better = {name: one for name, one in comparisons.items() if one.proves(significance)}
    if not better:
        return CHAMPION, "the champion stays"
    winner = min(better, key=lambda name: _ratio(daily[name], daily[CHAMPION]))
    return winner, f"{winner} is better than the champion ({_describe(better[winner])}) and serves"


def _ratio(candidate: np.ndarray, rival: np.ndarray) -> float:
    """The CRPS ratio, by which the lowest is chosen; 1 without a day in common."""
    ratio = compare(candidate, rival).crps_ratio
    return 1.0 if ratio is None else ratio


def _listed(comparisons: Mapping[str, Comparison]) -> str:
    ordered = sorted(comparisons.items(), key=lambda item: -(item[1].crps_ratio or 0))
    return ", ".join(f"{'the champion' if name == CHAMPION else name} ({_describe(one)})" for name, one in ordered)


def _describe(one: Comparison) -> str:
    ratio = "no CRPS in common" if one.crps_ratio is None else f"CRPS ×{one.crps_ratio:.3f}"
    return ratio if one.p_value is None else f"{ratio}, {tell_p(one.p_value)}"


def _span(days: int, significance: float) -> str:
    if days < LEAST_DAYS:
        return f" ({days} {'day' if days == 1 else 'days'} of issue are too few for a test, which needs {LEAST_DAYS})"
    return f" (over {days} days of issue, at the {significance:.0%} level)"
