"""What rules of promotion cost: the CRPS lost to the best choice in hindsight, walking forward through years of four networks.

Every four weeks a challenger is judged on its holdout beside the champion and the baselines, and whoever is chosen serves the
next four weeks, with its fallbacks. Two challengers of every seven are deliberately bad: mixed with persistence, whose scores
they share by a third or a tenth. Prints a JSON line a rule:

- `regret`: the served CRPS less that of the best of challenger, baselines and the two challengers before it, chosen in
  hindsight for each four weeks without fallbacks; of each variable over its mean CRPS of the walk, and averaged. Fallbacks can
  make it negative;
- `ratio`: to the regret of a paired test at 5 %, the rule of earlier versions (limit 0.5);
- `worse`: the share of decisions that served something more than 2 % worse than the best baseline of those weeks, and
  `worse_for_long`: how often that was so twice in a row (limit 0).

The last line says how often a chance came true: of all pairs of forecasters of one fit, by the chance told for the likelier one.

    python tests/benchmarks/bench_promotion.py --walks FOLDER [--collect --data FOLDER]

With --collect, what is missing of the walks is made first; hours on two cores, and it goes on where it was interrupted.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from measurement import say
from promotion_by_test import decide_by_test
from promotion_walks import BASELINES, NETWORK, WALKS, Fit, Walk, collect, days_of, mean_crps

from daycast.evaluation.gain import average, estimate_gain
from daycast.evaluation.promotion import CHAMPION, decide_on_holdout
from daycast.evaluation.serving import DailyCrps, Fallback, assign, pick_daily

BADNESS = (0.0, 0.0, 0.3, 0.0, 0.1, 0.0, 0.0)  # of the challengers in turn: the share of persistence in them
WORSE = 0.02
Rule = Callable[["Case"], tuple[str, dict[str, tuple[Fallback, ...]]]]


@dataclass(frozen=True)
class Server:
    """A forecaster of one fit with its fallbacks."""

    fit: Fit
    forecaster: str
    fallbacks: tuple[Fallback, ...]
    badness: float

    def scores(self, walk: Walk, today: Fit, *, served: bool) -> DailyCrps:
        """Over the whole calendar. The naive forecasts are those of `today`, for every fit has nearly the same."""
        own = self.fit.served if served else self.fit.judged
        naive = today.served if served else today.judged
        daily = {name: (own if name in (NETWORK, "ridge") else naive)[name] for name in (NETWORK, *BASELINES)}
        if self.badness:
            share, other = self.badness, daily["persistence"]
            total = (1 - share) * daily[NETWORK].total + share * other.total
            daily[NETWORK] = DailyCrps(total, np.minimum(daily[NETWORK].count, other.count))
        return pick_daily(daily, assign(self.forecaster, self.fallbacks, walk.stations, walk.variables))


@dataclass(frozen=True)
class Case:
    """What a rule decides on."""

    walk: Walk
    fit: Fit
    daily: dict[str, DailyCrps]  # on the holdout
    more_history: float


def by_expected_gain(case: Case) -> tuple[str, dict[str, tuple[Fallback, ...]]]:
    """The rule of daycast."""
    walk = case.walk
    decision = decide_on_holdout(
        case.daily, NETWORK, BASELINES, walk.variables, walk.stations, case.fit.usual, case.more_history
    )
    return decision.winner, decision.fallbacks


def by_paired_test(case: Case) -> tuple[str, dict[str, tuple[Fallback, ...]]]:
    """The rule of earlier versions."""
    return decide_by_test(case.daily, NETWORK, BASELINES, case.walk.variables, case.walk.stations)


def always(name: str) -> Rule:
    """The newest fit's forecaster of this name, whatever the scores."""
    return lambda _: (name, {})


RULES: dict[str, Rule] = {
    "paired test": by_paired_test,
    "expected gain": by_expected_gain,
    "newest networks": always(NETWORK),
    "newest ridge": always("ridge"),
}


def live_through(walk: Walk, rule: Rule) -> np.ndarray:
    """The cost of each decision: that of what served, of the best in hindsight and of the best baseline. (decisions, 3)"""
    champion: Server | None = None
    costs = []
    for k, fit in enumerate(walk.fits):
        badness = BADNESS[k % len(BADNESS)]
        challengers = {name: Server(fit, name, (), badness) for name in (NETWORK, *BASELINES)}
        daily = {name: days_of(one.scores(walk, fit, served=False), fit.holdout) for name, one in challengers.items()}
        more_history = 0.0
        if champion:
            daily[CHAMPION] = days_of(champion.scores(walk, fit, served=False), fit.holdout)
            more_history = math.log(fit.hours / champion.fit.hours)
        winner, fallbacks = rule(Case(walk, fit, daily, more_history))
        if winner != CHAMPION:
            champion = Server(fit, winner, fallbacks.get(winner, ()), badness)
        before = [Server(walk.fits[j], NETWORK, (), BADNESS[j % len(BADNESS)]) for j in range(max(k - 2, 0), k)]
        options = [cost(walk, fit, one) for one in (*challengers.values(), *before)]
        costs.append((cost(walk, fit, champion), min(options), min(options[1 : 1 + len(BASELINES)])))  # type: ignore[arg-type]
    return np.array(costs)


def cost(walk: Walk, fit: Fit, server: Server) -> float:
    """The CRPS of the weeks after a decision, of each variable over its usual one, averaged."""
    return float(np.nanmean(mean_crps(server.scores(walk, fit, served=True), walk.days_after(fit)) / walk.level))


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--walks", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--only", nargs="+", choices=WALKS, default=list(WALKS))
    args = parser.parse_args()
    if args.collect:
        for name in args.only:
            collect(name, args.data or args.walks, args.walks)
    walks = [Walk(name, args.walks) for name in args.only]
    reference = None
    for name, rule in RULES.items():
        costs = {walk.name: live_through(walk, rule) for walk in walks}
        together = np.concatenate(list(costs.values()))
        regret = float((together[:, 0] - together[:, 1]).mean())
        reference = regret if reference is None else reference
        say(
            "promotion",
            rule=name,
            decisions=len(together),
            regret=regret,
            ratio=regret / reference,
            limit=0.5,
            worse=float(is_worse(together).mean()),
            worse_for_long=int(sum((is_worse(one)[1:] & is_worse(one)[:-1]).sum() for one in costs.values())),
            by_walk={name: float((one[:, 0] - one[:, 1]).mean()) for name, one in costs.items()},
        )
    say_chances(walks)


def say_chances(walks: list[Walk]) -> None:
    """Print how often the likelier of two forecasters was better in the weeks after, beside the chance that was told."""
    pairs = []
    for walk in walks:
        for fit in walk.fits:
            days, names = walk.days_after(fit), (NETWORK, *BASELINES)
            crps = {name: days_of(fit.judged[name], fit.holdout).of_network.T for name in names}
            came = {name: float(np.nanmean(mean_crps(fit.served[name], days) / walk.level)) for name in names}
            for one, other in combinations(names, 2):
                chance = float(average(estimate_gain(crps[one], crps[other], fit.usual)).chance)
                pairs.append((max(chance, 1 - chance), (came[one] < came[other]) == (chance > 0.5)))
    told, true = (np.array(column, float) for column in zip(*pairs, strict=True))
    bands = [(low, (told >= low) & (told < high)) for low, high in pairwise((0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.01))]
    found = {
        f"from {low:.0%}": {"told": told[at].mean(), "true": true[at].mean(), "pairs": int(at.sum())}
        for low, at in bands
    }
    say("chances", **{name: {key: float(value) for key, value in one.items()} for name, one in found.items()})


def is_worse(costs: np.ndarray) -> np.ndarray:
    """Which decisions served something worse than the best baseline of those weeks."""
    worse: np.ndarray = costs[:, 0] > costs[:, 2] * (1 + WORSE)
    return worse


if __name__ == "__main__":
    main()
