"""Who serves: the champion stays unless something beats it, and nothing serves that a baseline beats."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

CHAMPION = "champion"  # the name under which the champion of that day stands in a judgement
_TINY = 1e-6  # a CRPS that is zero in every unit (no rain for weeks) compares as equal


@dataclass(frozen=True)
class Decision:
    """The outcome of a judgement, with its numbers."""

    winner: str  # the forecaster to serve; CHAMPION if the old one stays
    promoted: bool
    reason: str
    crps_ratio: dict[
        str, float
    ]  # the challenger's CRPS over each rival's, geometric mean over variables: below 1 is better


def decide(scores: pl.DataFrame, challenger: str, baselines: Sequence[str]) -> Decision:
    """Choose who serves from the scores of one block of time that none of them was fitted on.

    scores: forecaster, variable, lead_hours, crps, of the challenger (may be empty for none), the baselines and, if there is
    one, CHAMPION. The lowest CRPS wins, averaged over leads and, as a ratio, over variables; ties leave the champion in place.
    """
    rivals = [name for name in (CHAMPION, *baselines) if name in scores["forecaster"].unique()]
    names = [challenger, *rivals] if challenger else rivals
    crps = {name: _crps_by_variable(scores, name) for name in names}
    judged = challenger or min(rivals, key=lambda name: _ratio(crps[name], crps[rivals[0]]))
    ratio = {name: _ratio(crps[judged], crps[name]) for name in names if name != judged}
    if judged == CHAMPION:
        reason = f"the champion is no worse than {_listed(ratio)}; the champion stays"
        return Decision(CHAMPION, promoted=False, reason=reason, crps_ratio=ratio)
    ahead = [name for name, value in ratio.items() if value >= 1]
    if not ahead:
        return Decision(judged, promoted=True, reason=f"{judged} is better than {_listed(ratio)}", crps_ratio=ratio)
    best = CHAMPION if CHAMPION in rivals else max(ahead, key=ratio.__getitem__)
    challenged = f"{judged} is not better than {_listed({name: ratio[name] for name in ahead})}"
    better = [name for name in names if CHAMPION in rivals and _ratio(crps[name], crps[CHAMPION]) < 1]
    if best == CHAMPION and better:
        best = min(better, key=lambda name: _ratio(crps[name], crps[CHAMPION]))
        challenged += f"; {best} is better than the champion"
    if best == CHAMPION:
        return Decision(CHAMPION, promoted=False, reason=f"{challenged}; the champion stays", crps_ratio=ratio)
    return Decision(best, promoted=True, reason=f"{challenged}; {best} serves", crps_ratio=ratio)


def _crps_by_variable(scores: pl.DataFrame, name: str) -> dict[str, float]:
    rows = scores.filter(pl.col("forecaster") == name).group_by("variable").agg(pl.col("crps").mean())
    return dict(rows.iter_rows())


def _ratio(ours: dict[str, float], theirs: dict[str, float]) -> float:
    shared = sorted(set(ours) & set(theirs))
    return float(np.exp(np.mean([np.log((ours[name] + _TINY) / (theirs[name] + _TINY)) for name in shared])))


def _listed(ratio: dict[str, float]) -> str:
    return ", ".join(f"{name} (CRPS ×{value:.3f})" for name, value in sorted(ratio.items(), key=lambda item: -item[1]))
