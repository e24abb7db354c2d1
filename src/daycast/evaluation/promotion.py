"""From the daily scores of a judgement to who serves, and where a baseline does in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from daycast.evaluation.fallbacks import choose_fallbacks, score_as_served
from daycast.evaluation.serving import DailyCrps, Fallback
from daycast.evaluation.significance import LEAST_DAYS, paired_test

# Who serves: the champion stays unless something is proven better, and nothing serves that a baseline is proven to beat.


CHAMPION = "champion"  # the name under which the champion of that day stands in a judgement


@dataclass(frozen=True)
class Comparison:
    """The judged forecaster against one rival; None where there were too few days for a test."""

    crps_ratio: float | None  # geometric mean over variables: below 1 the judged one is better
    difference: float | None  # mean daily relative difference
    standard_error: float | None
    p_value: float | None  # of such an advantage by luck
    days: int

    def proves(self, significance: float) -> bool:
        """Whether the judged forecaster is better, at this level."""
        return self.p_value is not None and self.p_value < significance


@dataclass(frozen=True)
class Decision:
    """The outcome of a judgement, with its numbers."""

    winner: str  # the forecaster to serve; CHAMPION if the old one stays
    promoted: bool
    reason: str
    judged: str  # whom the comparisons are about
    significance: float
    rivals: dict[str, Comparison]  # the judged forecaster over each of them
    by_variable: dict[str, dict[str, Comparison]] = field(default_factory=dict)  # the same of one variable alone
    fallbacks: dict[str, tuple[Fallback, ...]] = field(default_factory=dict)  # by who might be registered


def decide(
    daily: Mapping[str, np.ndarray],
    challenger: str,
    baselines: Sequence[str],
    significance: float,
) -> Decision:
    """Choose who serves from the daily scores of one block of time that none of them was fitted on.

    daily: mean CRPS (D, V) by day of issue and variable, NaN where there is none, of the challenger (which may be empty, for
    none), the baselines in the order of their simplicity and, if there is one, CHAMPION. The challenger must be better than all
    of them at this level of significance. Otherwise the champion stays, unless baselines are better than it, of which the best
    serves; without a champion the best baseline does, for what is simple needs no proof.
    """
    baselines = [name for name in baselines if name in daily]
    best = find_best(daily, baselines)
    judged = challenger or best
    rivals = [name for name in (CHAMPION, *baselines) if name in daily and name != judged]
    found = {name: compare(daily[judged], daily[name]) for name in rivals}
    winner, reason = judged, f"{judged} is better than {_listed(found)}"
    if not challenger or not all(one.proves(significance) for one in found.values()):
        winner, outcome = _without_challenger(daily, baselines, best, significance)
        doubted = rivals if challenger else [name for name in rivals if name == CHAMPION]
        unproven = {name: found[name] for name in doubted if not found[name].proves(significance)}
        reason = f"{judged} is not proven better than {_listed(unproven)}; {outcome}" if unproven else outcome
    reason += _span(max((one.days for one in found.values()), default=0), significance)
    return Decision(winner, winner != CHAMPION, reason, judged, significance, found)


def find_best(daily: Mapping[str, np.ndarray], baselines: Sequence[str]) -> str:
    """The baseline with the lowest daily scores (D, V); of equals the first, which is the simplest."""
    there = [name for name in baselines if name in daily]
    return min(there, key=lambda name: _lower(daily[name], daily[there[0]]))


def compare(ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    """One forecaster's daily scores (D, V) against another's."""
    test = paired_test(ours, theirs)
    ratio, difference, error, p = (
        None if np.isnan(number) else float(number)
        for number in (test.crps_ratio, test.difference, test.standard_error, test.p_value)
    )
    return Comparison(ratio, difference, error, p, int(test.days))


def _without_challenger(
    daily: Mapping[str, np.ndarray], baselines: Sequence[str], best: str, significance: float
) -> tuple[str, str]:
    """Who serves among the champion and the baselines, and why."""
    if CHAMPION not in daily:
        return best, f"{best} serves, the baseline with the lowest CRPS"
    over = {name: compare(daily[name], daily[CHAMPION]) for name in baselines}
    better = {name: one for name, one in over.items() if one.proves(significance)}
    if not better:
        return CHAMPION, "the champion stays"
    winner = min(better, key=lambda name: _lower(daily[name], daily[CHAMPION]))
    return winner, f"{winner} is better than the champion ({_told(better[winner])}) and serves"


def _lower(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The CRPS ratio, to choose the lowest; without a day in common as good as any."""
    ratio = compare(ours, theirs).crps_ratio
    return 1.0 if ratio is None else ratio


def _listed(found: Mapping[str, Comparison]) -> str:
    ordered = sorted(found.items(), key=lambda item: -(item[1].crps_ratio or 0))
    return ", ".join(f"{'the champion' if name == CHAMPION else name} ({_told(one)})" for name, one in ordered)


def _told(one: Comparison) -> str:
    ratio = "no CRPS in common" if one.crps_ratio is None else f"CRPS ×{one.crps_ratio:.3f}"
    return ratio if one.p_value is None else f"{ratio}, {tell_p(one.p_value)}"


def tell_p(p_value: float) -> str:
    """A p value as it is usually written."""
    return "p < 0.001" if p_value < 0.001 else f"p {p_value:.3f}" if p_value < 0.1 else f"p {p_value:.2f}"


def _span(days: int, significance: float) -> str:
    if days < LEAST_DAYS:
        return f" ({days} {'day' if days == 1 else 'days'} of issue are too few for a test, which needs {LEAST_DAYS})"
    return f" (over {days} days of issue, at the {significance:.0%} level)"


def decide_on_holdout(
    daily: Mapping[str, DailyCrps],
    challenger: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    significance: float,
) -> Decision:
    """The decision over the daily scores of the challenger (which may be empty, for none), the baselines and CHAMPION.

    The challenger and the best baseline are compared as they would serve, fallbacks in place, because so are the champion's
    scores; the other baselines, and everyone by variable, as they are.
    """
    raw = {name: one.of_network for name, one in daily.items()}
    entered = dict(raw)
    for name in (challenger, find_best(raw, baselines)):
        if name:
            served = score_as_served(daily, name, baselines, variables, stations, significance)
            entered[name] = served.of_network
    decision = decide(entered, challenger, baselines, significance)
    by_variable = {
        name: {rival: compare(raw[decision.judged][:, [v]], raw[rival][:, [v]]) for rival in decision.rivals}
        for v, name in enumerate(variables)
    }
    registered = {challenger, decision.winner} - {"", CHAMPION}
    fallbacks = {
        name: choose_fallbacks(daily, name, baselines, variables, stations, significance) for name in sorted(registered)
    }
    return replace(decision, by_variable=by_variable, fallbacks=fallbacks)
