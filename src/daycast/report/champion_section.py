"""The section of the page that says who serves, why, and where somebody else does."""

from collections.abc import Mapping, Sequence

from daycast.report.html import Markup, table, tag
from daycast.report.skill import Champion, label
from daycast.report.verdict import Rival, Verdict, tell_chance, tell_ratio, tell_substitute
from daycast.variables import Variable
from daycast.verify.drift import Drift
from daycast.verify.serving import Substitute

LISTED_SUBSTITUTES = 12


def render_champion(
    champion: Champion | None,
    verdict: Verdict | None,
    substitutes: Sequence[Substitute],
    variables: Mapping[str, Variable],
    drifts: Sequence[Drift] = (),
) -> Markup:
    """Who serves, why, the numbers of that decision, and where forecasts drifted since."""
    heading = tag("h2", "Who forecasts, and why")
    if champion is None or verdict is None:
        return Markup(heading + tag("p", "No model serves yet: daycast retrain trains one and judges it.", css="soft"))
    by_hand = {"hand": ", by hand", "rollback": ", by a rollback"}.get(champion.promoted_by or "", "")
    facts = {
        "Champion": f"{label(champion.forecaster)} ({champion.model_id})",
        "Trained up to": f"{champion.trained_until:%Y-%m-%d %H:%M}",
        "Serving since": f"{champion.promoted_at:%Y-%m-%d %H:%M}{by_hand}" if champion.promoted_at else None,
        "Judgement" if by_hand else "Why": champion.reason,
        "Drift": "; ".join(_tell_drift(drift, variables) for drift in drifts) or None,
    }
    pairs = [part for name, fact in facts.items() for part in (tag("dt", name), tag("dd", fact))]
    parts = [heading, tag("div", tag("dl", *pairs), css="card"), _render_rivals(verdict, variables)]
    return Markup("".join([*parts, _render_substitutes(substitutes, variables)]))


def _tell_drift(drift: Drift, variables: Mapping[str, Variable]) -> str:
    return drift.tell(variables[drift.variable].label if drift.variable in variables else drift.variable)


def _render_rivals(verdict: Verdict, variables: Mapping[str, Variable]) -> Markup:
    """All variables together, then each."""
    if not verdict.rivals:
        return Markup("")
    intro = (
        f"CRPS of {label(verdict.judged)} over that of each rival on the newest days, in brackets the chance that luck alone "
        f"gives such an advantage. Below 1 it is better; proven where that chance is below {verdict.significance:g}."
    )
    names = [rival.name for rival in verdict.rivals]
    headings = [("", ""), *((rival.label, "number") for rival in verdict.rivals)]
    rows: list[list[object]] = [["all variables", *(_cell(verdict, rival) for rival in verdict.rivals)]]
    for variable, rivals in verdict.by_variable.items():
        found = {rival.name: rival for rival in rivals}
        name = variables[variable].label if variable in variables else variable
        rows.append([name, *(_cell(verdict, found[rival]) if rival in found else None for rival in names)])
    return Markup(tag("p", intro, css="soft") + table(headings, rows))


def _cell(verdict: Verdict, rival: Rival) -> Markup:
    css = {"better": "good", "worse": "bad"}.get(verdict.tell(rival), "")
    return tag("span", f"{tell_ratio(rival.crps_ratio)} ({tell_chance(rival.p_value)})", css=css)


def _render_substitutes(substitutes: Sequence[Substitute], variables: Mapping[str, Variable]) -> Markup:
    if not substitutes:
        return Markup("")
    told = [tell_substitute(one, variables) for one in substitutes]
    more = len(told) - LISTED_SUBSTITUTES
    listed = "; ".join(told[:LISTED_SUBSTITUTES]) + (f"; and {more:,} more" if more > 0 else "")
    return tag("p", f"Where a baseline was proven better it serves: {listed}.", css="soft")
