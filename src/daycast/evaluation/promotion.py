"""Decide on the holdout who serves: challenger, champion or a baseline.

Whoever is expected to lose least over the next weeks serves. Nothing has to be proven: waiting for proof costs what the better
one would have saved meanwhile, and a choice that turns out wrong is made again at the next training. `decide_on_holdout` makes
the whole decision, `choose_fallbacks` that for single variables and stations. `gain.py` says what is to be expected, and
`tests/benchmarks/bench_promotion.py` measures what such decisions cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from daycast.evaluation.gain import Gain, average, estimate_gain
from daycast.evaluation.serving import DailyCrps, Fallback, assign, pick_daily

CHAMPION = "champion"  # the name of the present champion among the forecasters of a holdout
LEAST_GAIN = 0.002  # expected gain up to which the champion, or the simpler forecaster, serves
MARGIN = 0.03  # expected gain up to which a model serves, and no fallback in its place
LEARNING = 0.1  # expected gain of a model per unit of the log of how many times as much history it learned from
_STATION_STD = 0.05  # standard deviation of the gains at single stations about that of the network


@dataclass(frozen=True)
class Comparison:
    """One forecaster against one rival."""

    crps_ratio: float | None  # below 1 the forecaster was better, mean over variables by weight; None without a day
    expected_gain: float  # in the next weeks: 0.03 is a CRPS 3 % lower than the rival's
    chance: float  # that it will be better, by these days alone
    days: int  # on which both have scores


@dataclass(frozen=True)
class Decision:
    """The outcome of a holdout, with its numbers. The names of the fields are those stored in `models.decision`."""

    winner: str  # the forecaster that serves from now on; CHAMPION if the champion stays
    promoted: bool
    reason: str  # for people, one line
    judged: str  # the forecaster that is compared: the challenger, or without one the best baseline
    rivals: dict[str, Comparison]  # `judged` against each rival, over all variables
    by_variable: dict[str, dict[str, Comparison]] = field(default_factory=dict)  # variable → rival → comparison
    fallbacks: dict[str, tuple[Fallback, ...]] = field(default_factory=dict)  # by forecaster that may be registered


def decide_on_holdout(
    daily: Mapping[str, DailyCrps],
    challenger: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    usual: np.ndarray,
    more_history: float = 0.0,
) -> Decision:
    """Decide who serves, from the daily scores of the challenger, the baselines and CHAMPION, if there is one.

    challenger: its name, empty for none. baselines: their names, simplest first. usual (V,): a CRPS of each variable as it
    usually is. more_history: the log of how many times as much history this fit learned from as the champion's did.

    The best baseline and the challenger, each with its fallbacks, take the champion's place where that is worth it. Comparisons
    by variable are without fallbacks.
    """
    raw = {name: one.of_network.T for name, one in daily.items()}  # (V, D)
    best = find_best(raw, [name for name in baselines if name in daily], usual)
    fallbacks = {
        name: choose_fallbacks(daily, name, baselines, variables, stations, usual)
        for name in dict.fromkeys((best, challenger))
        if name
    }
    served = raw | {name: _serve(raw, name, found, variables) for name, found in fallbacks.items()}
    fresh = LEARNING * more_history

    def gain_over(candidate: str, rival: str) -> Gain:
        return average(estimate_gain(served[candidate], served[rival], usual, fresh if rival == CHAMPION else 0.0))

    winner = CHAMPION if CHAMPION in daily else best
    for candidate in fallbacks:
        if candidate != winner and gain_over(candidate, winner).expected > LEAST_GAIN:
            winner = candidate
    judged = challenger or best
    rivals = [name for name in (CHAMPION, *baselines) if name in daily and name != judged]
    comparisons = {name: _compare(gain_over(judged, name)) for name in rivals}
    by_variable = {
        name: {
            rival: _compare(estimate_gain(raw[judged][v], raw[rival][v], usual[v], fresh if rival == CHAMPION else 0.0))
            for rival in rivals
        }
        for v, name in enumerate(variables)
    }
    reason = _explain(winner, judged, comparisons) + _span(comparisons)
    registered = {name: found for name, found in fallbacks.items() if name in (challenger, winner)}
    return Decision(winner, winner != CHAMPION, reason, judged, comparisons, by_variable, registered)


def choose_fallbacks(
    daily: Mapping[str, DailyCrps],
    model: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    usual: np.ndarray,
) -> tuple[Fallback, ...]:
    """The baselines with the highest expected gain over the model, where it is above MARGIN.

    daily: scores by forecaster; usual (V,): a CRPS as it usually is, see `estimate_gain`. First for each variable
    over all stations; then for each station and variable over whoever serves it, where the gain over all stations is what to
    expect of a station unless its own days say otherwise.
    """
    candidates = [name for name in baselines if name != model and name in daily]
    if not candidates:
        return ()
    model_crps = daily[model].of_network.T  # (V, D)
    gains = [estimate_gain(daily[name].of_network.T, model_crps, usual) for name in candidates]
    by_variable = [Fallback(variables[v], None, candidates[i], *_numbers(gains[i], v)) for i, v in _highest(gains)]
    serving = pick_daily(daily, assign(model, by_variable, stations, variables))
    gains = [_gain_at_stations(daily[name], serving, usual) for name in candidates]
    by_station = [
        Fallback(variables[v], stations[s], candidates[i], *_numbers(gains[i], (s, v))) for i, s, v in _highest(gains)
    ]
    return (*by_variable, *by_station)


def find_best(crps: Mapping[str, np.ndarray], names: Sequence[str], usual: np.ndarray) -> str:
    """Of these forecasters the one that is expected to be best; of equal ones the first. crps: daily scores (V, D) of each."""
    best = names[0]
    for name in names[1:]:
        if average(estimate_gain(crps[name], crps[best], usual)).expected > LEAST_GAIN:
            best = name
    return best


def tell_chance(chance: float) -> str:
    """How sure it is, for readers: `97 %`, `> 99 %` or `< 1 %`."""
    return "> 99 %" if chance > 0.99 else "< 1 %" if chance < 0.01 else f"{chance * 100:.0f} %"


def _serve(
    crps: Mapping[str, np.ndarray], name: str, fallbacks: Sequence[Fallback], variables: Sequence[str]
) -> np.ndarray:
    """The daily scores (V, D) of a forecaster with its fallbacks for whole variables in place."""
    served = crps[name].copy()
    for one in fallbacks:
        if one.station_id is None:
            v = variables.index(one.variable)
            served[v] = crps[one.forecaster][v]
    return served


def _compare(gain: Gain) -> Comparison:
    ratio = None if np.isnan(gain.crps_ratio) else float(gain.crps_ratio)
    return Comparison(ratio, float(gain.expected), float(gain.chance), int(gain.days))


def _explain(winner: str, judged: str, comparisons: Mapping[str, Comparison]) -> str:
    if winner == judged:
        beaten = {name: one for name, one in comparisons.items() if one.expected_gain > 0}
        return f"{judged} is expected to be better than {_listed(beaten)}" if beaten else f"{judged} serves"
    better = {name: one for name, one in comparisons.items() if name == winner or one.expected_gain <= LEAST_GAIN}
    outcome = "the champion stays" if winner == CHAMPION else f"{winner} serves"
    return f"{judged} is not expected to be better than {_listed(better)}; {outcome}"


def _listed(comparisons: Mapping[str, Comparison]) -> str:
    ordered = sorted(comparisons.items(), key=lambda item: -(item[1].crps_ratio or 0))
    return ", ".join(f"{'the champion' if name == CHAMPION else name} ({_describe(one)})" for name, one in ordered)


def _describe(one: Comparison) -> str:
    ratio = "no CRPS in common" if one.crps_ratio is None else f"CRPS ×{one.crps_ratio:.3f}"
    return f"{ratio}, chance {tell_chance(one.chance)}"


def _span(comparisons: Mapping[str, Comparison]) -> str:
    days = max((one.days for one in comparisons.values()), default=0)
    return f" (over {days} {'day' if days == 1 else 'days'} of issue)"


def _gain_at_stations(candidate: DailyCrps, serving: DailyCrps, usual: np.ndarray) -> Gain:
    """The gain at each station for each variable, (S, V)."""
    network = estimate_gain(candidate.of_network.T, serving.of_network.T, usual)  # (V,)
    of_candidate, of_serving = (part.of_stations.transpose(0, 2, 1) for part in (candidate, serving))  # (S, V, D)
    return estimate_gain(of_candidate, of_serving, usual, network.expected, _STATION_STD)


def _highest(gains: Sequence[Gain]) -> list[tuple[int, ...]]:
    """For each place where some gain is above MARGIN: the index of the highest, and the place."""
    expected = np.stack([np.where(gain.days > 0, gain.expected, -np.inf) for gain in gains])
    best = expected.argmax(axis=0)
    places = np.argwhere(expected.max(axis=0) > MARGIN)
    return [(int(best[tuple(place)]), *map(int, place)) for place in places]


def _numbers(gain: Gain, place: int | tuple[int, ...]) -> tuple[float, float, int]:
    return float(gain.crps_ratio[place]), float(gain.chance[place]), int(gain.days[place])
