"""From the daily scores of a judgement to who serves, and where a baseline does in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from daycast.verify.daily_crps import DailyCrps
from daycast.verify.promotion import CHAMPION, Decision, compare, decide, find_best
from daycast.verify.substitutes import choose_substitutes, score_as_served


def judge_daily(
    daily: Mapping[str, DailyCrps],
    challenger: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    significance: float,
) -> Decision:
    """The decision over the daily scores of the challenger (which may be empty, for none), the baselines and CHAMPION.

    The challenger and the best baseline are compared as they would serve, substitutes in place, because so are the champion's
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
    substitutes = {
        name: choose_substitutes(daily, name, baselines, variables, stations, significance)
        for name in sorted(registered)
    }
    return replace(decision, by_variable=by_variable, substitutes=substitutes)
