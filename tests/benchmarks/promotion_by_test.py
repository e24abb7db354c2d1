"""The rule of promotion of earlier versions: a challenger serves once a paired test proves it better than all others."""

import numpy as np

from daycast.evaluation.promotion import CHAMPION
from daycast.evaluation.serving import DailyCrps, Fallback, assign, pick_daily
from daycast.evaluation.significance import paired_test

SIGNIFICANCE = 0.05


def decide_by_test(
    daily: dict[str, DailyCrps], challenger: str, baselines: list[str], variables: list[str], stations: list[str]
) -> tuple[str, dict[str, tuple[Fallback, ...]]]:
    """Who serves, and the fallbacks of each that may be registered. Parameters as of `decide_on_holdout`."""
    raw = {name: one.of_network for name, one in daily.items()}
    best = min(baselines, key=lambda name: _ratio(raw[name], raw[baselines[0]]))
    arguments = baselines, variables, stations
    compared = dict(raw)
    for name in (challenger, best):
        compared[name] = _as_served(daily, name, *arguments).of_network
    rivals = [name for name in (CHAMPION, *baselines) if name in daily]
    fallbacks = {name: choose_by_test(daily, name, *arguments) for name in (challenger, best)}
    if all(_proven(compared[challenger], compared[name]) for name in rivals):
        return challenger, fallbacks
    if CHAMPION not in daily:
        return best, fallbacks
    better = [name for name in baselines if _proven(compared[name], compared[CHAMPION])]
    if not better:
        return CHAMPION, {}
    winner = min(better, key=lambda name: _ratio(compared[name], compared[CHAMPION]))
    return winner, fallbacks | {winner: choose_by_test(daily, winner, *arguments)}


def choose_by_test(
    daily: dict[str, DailyCrps], model: str, baselines: list[str], variables: list[str], stations: list[str]
) -> tuple[Fallback, ...]:
    """The baselines that are proven better than the model: for a variable, then at single stations, with Holm's correction."""
    candidates = [name for name in baselines if name != model]
    model_crps = daily[model].of_network.T[..., None]  # (V, D, 1)
    tests = [paired_test(daily[name].of_network.T[..., None], model_crps) for name in candidates]
    found = [
        Fallback(variables[v], None, candidates[i], 0.0, 0.0, 0)
        for i, v in _lowest(tests, [test.p_value < SIGNIFICANCE for test in tests])
    ]
    serving = pick_daily(daily, assign(model, found, stations, variables))
    tests = [
        paired_test(*(one.of_stations.transpose(0, 2, 1)[..., None] for one in (daily[name], serving)))
        for name in candidates
    ]
    better = _holm(np.stack([test.p_value for test in tests]))
    at_stations = [
        Fallback(variables[v], stations[s], candidates[i], 0.0, 0.0, 0) for i, s, v in _lowest(tests, list(better))
    ]
    return (*found, *at_stations)


def _as_served(daily, model, baselines, variables, stations) -> DailyCrps:
    """With the fallbacks of each half of the days chosen on the other half."""
    middle = daily[model].total.shape[1] // 2
    parts = []
    for scored, chosen_on in ((slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))):
        there, here = ({name: _days(one, part) for name, one in daily.items()} for part in (chosen_on, scored))
        found = choose_by_test(there, model, baselines, variables, stations)
        parts.append(pick_daily(here, assign(model, found, stations, variables)))
    total, count = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("total", "count"))
    return DailyCrps(total, count)


def _days(scores: DailyCrps, part: slice) -> DailyCrps:
    return DailyCrps(scores.total[:, part], scores.count[:, part])


def _ratio(candidate: np.ndarray, rival: np.ndarray) -> float:
    ratio = float(paired_test(candidate, rival).crps_ratio)
    return 1.0 if np.isnan(ratio) else ratio


def _proven(candidate: np.ndarray, rival: np.ndarray) -> bool:
    return bool(paired_test(candidate, rival).p_value < SIGNIFICANCE)


def _lowest(tests, better) -> list[tuple[int, ...]]:
    """For each place where some test says better: the index of the one with the lowest CRPS ratio, and the place."""
    ratio = np.stack([np.where(wins, test.crps_ratio, np.inf) for test, wins in zip(tests, better, strict=True)])
    best = ratio.argmin(axis=0)
    return [(int(best[tuple(place)]), *map(int, place)) for place in np.argwhere(np.isfinite(ratio.min(axis=0)))]


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Holm (1979), https://www.jstor.org/stable/4615733: which hypotheses are rejected at SIGNIFICANCE among all of them."""
    flat = p_values.ravel()
    order, count = np.argsort(flat), int((~np.isnan(flat)).sum())
    left = np.maximum(count - np.arange(len(flat)), 1)
    result = np.zeros(flat.shape, bool)
    result[order] = np.logical_and.accumulate(flat[order] * left < SIGNIFICANCE)
    return result.reshape(p_values.shape)
