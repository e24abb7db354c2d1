"""The numbers of a judgement, as they are kept with the model, for people to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daycast.report.skill import label
from daycast.variables import Variable
from daycast.verify.promotion import CHAMPION, tell_p
from daycast.verify.serving import Substitute


@dataclass(frozen=True)
class Rival:
    """Whom the judged forecaster was compared with, and what came of it."""

    name: str
    crps_ratio: float | None  # below 1 the judged one is better
    p_value: float | None  # of such an advantage by luck; None where there were too few days
    days: int | None

    @property
    def label(self) -> str:
        """The rival as a reader would call it."""
        return "the champion of that day" if self.name == CHAMPION else label(self.name)


@dataclass(frozen=True)
class Verdict:
    """A judgement: one forecaster against its rivals, over all variables and by each."""

    judged: str
    significance: float
    rivals: tuple[Rival, ...]  # the hardest first
    by_variable: Mapping[str, tuple[Rival, ...]]

    def tell(self, rival: Rival) -> str:
        """What the comparison proves."""
        if rival.p_value is None:
            return "not tested"
        if rival.p_value < self.significance:
            return "better"
        return "worse" if rival.p_value > 1 - self.significance else "not proven"


def read_verdict(decision: Mapping[str, Any], forecaster: str) -> Verdict:
    """From the decision of a row of `models`; one of before there were tests has the ratios alone.

    forecaster: the model's, which is whom a decision that does not say so is about.
    """
    ratios = {name: {"crps_ratio": ratio} for name, ratio in decision.get("crps_ratio", {}).items()}
    by_variable = {name: _rivals(found) for name, found in decision.get("by_variable", {}).items()}
    return Verdict(
        decision.get("judged", forecaster),
        decision.get("significance", 0.05),
        _rivals(decision.get("rivals", ratios)),
        by_variable,
    )


def _rivals(found: Mapping[str, Mapping[str, Any]]) -> tuple[Rival, ...]:
    rivals = (Rival(name, one["crps_ratio"], one.get("p_value"), one.get("days")) for name, one in found.items())
    return tuple(sorted(rivals, key=lambda rival: -(rival.crps_ratio or 0)))


def tell_ratio(ratio: float | None) -> str:
    """A CRPS ratio, or a dash."""
    return "–" if ratio is None else f"×{ratio:.3f}"


def tell_chance(p_value: float | None) -> str:
    """A p value in a column of its own, or a dash."""
    return "–" if p_value is None else tell_p(p_value).removeprefix("p ")


def tell_substitute(one: Substitute, variables: Mapping[str, Variable]) -> str:
    """Where a baseline serves, and why."""
    name = variables[one.variable].label if one.variable in variables else one.variable
    place = "" if one.station_id is None else f" at {one.station_id}"
    numbers = f"CRPS ×{one.crps_ratio:.3f}, {tell_p(one.p_value)}, {one.days} days"
    return f"{name}{place} is served by {label(one.forecaster)} ({numbers})"


def name_servers(
    forecaster: str, substitutes: Sequence[Substitute], variables: Sequence[str]
) -> dict[str, tuple[str, int]]:
    """By variable, who serves it at most stations, and at how many somebody else does."""
    everywhere = {one.variable: one.forecaster for one in substitutes if one.station_id is None}
    apart = [one.variable for one in substitutes if one.station_id is not None]
    return {name: (everywhere.get(name, forecaster), apart.count(name)) for name in variables}
