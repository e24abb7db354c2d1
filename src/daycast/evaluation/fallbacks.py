"""Where a baseline serves in a model's place: for a variable, or for a variable at a station, if the judgement proves it."""

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
    """The baselines that are better than the model, by a paired test over days of one variable's CRPS.

    First for each variable over the whole network, at this level; then for each station and variable against whoever serves it,
    with Holm's correction over all that are tried (Holm 1979, https://www.jstor.org/stable/4615733). Of several the lowest CRPS.
    """
    others = [name for name in baselines if name != model and name in daily]
    if not others:
        return ()
    ours = daily[model].of_network.T[..., None]  # (V, D, 1)
    tests = [paired_test(daily[name].of_network.T[..., None], ours) for name in others]
    better = [test.p_value < significance for test in tests]
    by_variable = [Fallback(variables[v], None, others[i], *_numbers(tests[i], v)) for i, v in _lowest(tests, better)]
    who = assign(model, by_variable, stations, variables)
    serving = pick_daily(daily, who)
    tests = [_test_stations(daily[name], serving) for name in others]
    better = list(holm(np.stack([test.p_value for test in tests]), significance))
    return (
        *by_variable,
        *(
            Fallback(variables[v], stations[s], others[i], *_numbers(tests[i], (s, v)))
            for i, s, v in _lowest(tests, better)
        ),
    )


def score_as_served(
    daily: Mapping[str, DailyCrps],
    model: str,
    baselines: Sequence[str],
    variables: Sequence[str],
    stations: Sequence[str],
    significance: float,
) -> DailyCrps:
    """The model's daily scores with fallbacks in place.

    Those that serve in one half of the days are chosen on the other half, so that the choice cannot flatter the model.
    """
    middle = daily[model].total.shape[1] // 2
    parts = []
    for scored, chosen in ((slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))):
        elsewhere = {name: one.days(chosen) for name, one in daily.items()}
        fallbacks = choose_fallbacks(elsewhere, model, baselines, variables, stations, significance)
        who = assign(model, fallbacks, stations, variables)
        parts.append(pick_daily({name: one.days(scored) for name, one in daily.items()}, who))
    return join_days(parts)


def holm(p_values: np.ndarray, significance: float) -> np.ndarray:
    """Which of the hypotheses are rejected at this level, all together; NaN is none. As p_values, bool."""
    flat = p_values.ravel()
    order = np.argsort(flat)  # NaN last
    count = int((~np.isnan(flat)).sum())
    left = np.maximum(count - np.arange(len(flat)), 1)
    rejected = np.logical_and.accumulate(flat[order] * left < significance)
    result = np.zeros(flat.shape, bool)
    result[order] = rejected
    return result.reshape(p_values.shape)


def _test_stations(ours: DailyCrps, theirs: DailyCrps) -> PairedTest:
    """Of each station and variable by itself, (S, V)."""
    return paired_test(*(part.of_stations.transpose(0, 2, 1)[..., None] for part in (ours, theirs)))


def _lowest(tests: Sequence[PairedTest], better: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """The index of the best test among those that are better, and the place, wherever there is one."""
    ratio = np.stack([np.where(wins, test.crps_ratio, np.inf) for test, wins in zip(tests, better, strict=True)])
    best = ratio.argmin(axis=0)
    places = np.argwhere(np.isfinite(ratio.min(axis=0)))
    return [(int(best[tuple(place)]), *map(int, place)) for place in places]


def _numbers(test: PairedTest, place: int | tuple[int, ...]) -> tuple[float, float, int]:
    return float(test.crps_ratio[place]), float(test.p_value[place]), int(test.days[place])
