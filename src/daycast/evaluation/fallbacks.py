"""Choose fallbacks: baselines that serve in a model's place where the holdout proves them better.

`choose_fallbacks` chooses them for whole variables and for single stations, `score_as_served` scores the model together with
its fallbacks, and `holm` corrects for many tests at once.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from daycast.evaluation.serving import DailyCrps, Fallback, assign, join_days, pick_daily
from daycast.evaluation.significance import PairedTest, paired_test


def choose_fallbacks(
    daily: Mapping[str, DailyCrps],
    model: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    significance: float,
) -> tuple[Fallback, ...]:
    """The baselines that are better than the model, by a paired test over the days of one variable's CRPS.

    daily: scores by forecaster. First each variable over all stations is tested at this level. Then each station and variable
    is tested against whoever serves it, with Holm's correction over all these tests (Holm 1979,
    https://www.jstor.org/stable/4615733). If several baselines are better, the one with the lowest CRPS is chosen.
    """
    candidates = [name for name in baselines if name != model and name in daily]
    if not candidates:
        return ()
    model_crps = daily[model].of_network.T[..., None]  # (V, D, 1)
    tests = [paired_test(daily[name].of_network.T[..., None], model_crps) for name in candidates]
    better = [test.p_value < significance for test in tests]
    by_variable = [
        Fallback(variables[v], None, candidates[i], *_numbers(tests[i], v)) for i, v in _lowest(tests, better)
    ]
    serving = pick_daily(daily, assign(model, by_variable, stations, variables))
    tests = [_test_stations(daily[name], serving) for name in candidates]
    better = list(holm(np.stack([test.p_value for test in tests]), significance))
    by_station = [
        Fallback(variables[v], stations[s], candidates[i], *_numbers(tests[i], (s, v)))
        for i, s, v in _lowest(tests, better)
    ]
    return (*by_variable, *by_station)


def score_as_served(
    daily: Mapping[str, DailyCrps],
    model: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    significance: float,
) -> DailyCrps:
    """The daily scores of the model with its fallbacks in place.

    The fallbacks of each half of the days are chosen on the other half, so that the choice does not favour the model.
    """
    middle = daily[model].total.shape[1] // 2
    first, second = slice(0, middle), slice(middle, None)
    parts = []
    for scored, chosen_on in ((first, second), (second, first)):
        other_half = {name: one.days(chosen_on) for name, one in daily.items()}
        fallbacks = choose_fallbacks(other_half, model, baselines, variables, stations, significance)
        servers = assign(model, fallbacks, stations, variables)
        parts.append(pick_daily({name: one.days(scored) for name, one in daily.items()}, servers))
    return join_days(parts)


def holm(p_values: np.ndarray, significance: float) -> np.ndarray:
    """Holm's correction: True where a hypothesis is rejected at this level among all of them. NaN counts as no hypothesis.

    Returns an array of bool with the shape of `p_values`. Holm (1979), https://www.jstor.org/stable/4615733.
    """
    flat = p_values.ravel()
    order = np.argsort(flat)  # NaN last
    count = int((~np.isnan(flat)).sum())
    left = np.maximum(count - np.arange(len(flat)), 1)
    rejected = np.logical_and.accumulate(flat[order] * left < significance)
    result = np.zeros(flat.shape, bool)
    result[order] = rejected
    return result.reshape(p_values.shape)


def _test_stations(candidate: DailyCrps, serving: DailyCrps) -> PairedTest:
    """The test for each station and variable separately, (S, V)."""
    return paired_test(*(part.of_stations.transpose(0, 2, 1)[..., None] for part in (candidate, serving)))


def _lowest(tests: Sequence[PairedTest], better: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """For each place where some test says better: the index of the test with the lowest CRPS ratio, and the place."""
    ratio = np.stack([np.where(wins, test.crps_ratio, np.inf) for test, wins in zip(tests, better, strict=True)])
    best = ratio.argmin(axis=0)
    places = np.argwhere(np.isfinite(ratio.min(axis=0)))
    return [(int(best[tuple(place)]), *map(int, place)) for place in places]


def _numbers(test: PairedTest, place: int | tuple[int, ...]) -> tuple[float, float, int]:
    return float(test.crps_ratio[place]), float(test.p_value[place]), int(test.days[place])
