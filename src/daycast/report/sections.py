"""The sections of the page, from top to bottom."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

import polars as pl

from daycast.evaluation.drift import Drift
from daycast.evaluation.serving import Fallback
from daycast.report.charts import BASELINE_COLORS, CHAMPION_COLOR
from daycast.report.skill import (
    Champion,
    HoldoutResult,
    Rival,
    SkillLine,
    better,
    label,
    tell_fallback,
    tell_p_value,
    tell_ratio,
)
from daycast.variables import Variable

# Small pieces of HTML. Whatever is not Markup is escaped, so nothing that a network calls its stations can run.


class Markup(str):
    """Text that already is HTML."""

    __slots__ = ()


def as_html(value: object) -> Markup:
    """A value as HTML: Markup as it is, everything else escaped, None as a dash."""
    if isinstance(value, Markup):
        return value
    return Markup("–" if value is None else escape(str(value)))


def tag(name: str, *content: object, css: str = "", **attributes: object) -> Markup:
    """An element around content, with a class and attributes."""
    given = {"class": css or None, **attributes}
    written = "".join(f' {key}="{escape(str(value))}"' for key, value in given.items() if value is not None)
    return Markup(f"<{name}{written}>{''.join(as_html(part) for part in content)}</{name}>")


def table(headings: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Markup:
    """A table in a card. headings: the text and the class of each column: `number`, `text` (may wrap) or none."""
    classes = [css for _, css in headings]
    head = tag("tr", *(tag("th", text, css=css) for text, css in headings))
    body = [tag("tr", *(tag("td", cell, css=css) for cell, css in zip(row, classes, strict=True))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), css="card wide")


def bar(share: float | None) -> Markup:
    """A share of 1 as a bar with its percentage."""
    if share is None:
        return as_html(None)
    fill = tag("i", style=f"width:{min(share, 1) * 100:.1f}%")
    return Markup(tag("span", fill, css="bar") + as_html(f"{share * 100:.1f} %"))


# The section of the page that says who serves, why, and where somebody else does.


LISTED_FALLBACKS = 12


def render_champion(
    champion: Champion | None,
    result: HoldoutResult | None,
    fallbacks: Sequence[Fallback],
    variables: Mapping[str, Variable],
    drifts: Sequence[Drift] = (),
) -> Markup:
    """Who serves, why, the numbers of that decision, and where forecasts drifted since."""
    heading = tag("h2", "Who forecasts, and why")
    if champion is None or result is None:
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
    parts = [heading, tag("div", tag("dl", *pairs), css="card"), _render_rivals(result, variables)]
    return Markup("".join([*parts, _render_fallbacks(fallbacks, variables)]))


def _tell_drift(drift: Drift, variables: Mapping[str, Variable]) -> str:
    return drift.tell(variables[drift.variable].label if drift.variable in variables else drift.variable)


def _render_rivals(result: HoldoutResult, variables: Mapping[str, Variable]) -> Markup:
    """All variables together, then each."""
    if not result.rivals:
        return Markup("")
    intro = (
        f"CRPS of {label(result.judged)} over that of each rival on the newest days, in brackets the chance that luck alone "
        f"gives such an advantage. Below 1 it is better; proven where that chance is below {result.significance:g}."
    )
    names = [rival.name for rival in result.rivals]
    headings = [("", ""), *((rival.label, "number") for rival in result.rivals)]
    rows: list[list[object]] = [["all variables", *(_cell(result, rival) for rival in result.rivals)]]
    for variable, rivals in result.by_variable.items():
        found = {rival.name: rival for rival in rivals}
        name = variables[variable].label if variable in variables else variable
        rows.append([name, *(_cell(result, found[rival]) if rival in found else None for rival in names)])
    return Markup(tag("p", intro, css="soft") + table(headings, rows))


def _cell(result: HoldoutResult, rival: Rival) -> Markup:
    css = {"better": "good", "worse": "bad"}.get(result.tell(rival), "")
    return tag("span", f"{tell_ratio(rival.crps_ratio)} ({tell_p_value(rival.p_value)})", css=css)


def _render_fallbacks(fallbacks: Sequence[Fallback], variables: Mapping[str, Variable]) -> Markup:
    if not fallbacks:
        return Markup("")
    told = [tell_fallback(one, variables) for one in fallbacks]
    more = len(told) - LISTED_FALLBACKS
    listed = "; ".join(told[:LISTED_FALLBACKS]) + (f"; and {more:,} more" if more > 0 else "")
    return tag("p", f"Where a baseline was proven better it serves: {listed}.", css="soft")


LISTED_STATIONS = 12  # of a larger network the ones that report worst
_REGIMES = {
    "full": "full input",
    "gappy": "holes in the last week",
    "stale": "silent in the last 3 hours",
    "cold_start": "new, under 24 hours of history",
}


def render_tiles(
    issued_at: datetime | None, stations: int, silent: int, champion: Champion | None, lines: Sequence[SkillLine]
) -> Markup:
    """The page in four numbers."""
    savings = [round(line.saving * 100) for line in lines if line.saving is not None]
    span = f"{min(savings)} to {max(savings)} %".replace("-", "−") if savings else None
    return tag(
        "div",
        _tile(
            "Newest forecast issued",
            f"{issued_at:%d %b %H:%M}" if issued_at else "none yet",
            "the 24 hours after it",
        ),
        _tile("Stations", f"{stations:,}", f"{silent:,} silent"),
        _tile(
            "Champion",
            label(champion.forecaster) if champion else "none yet",
            champion.model_id if champion else "nothing serves",
        ),
        _tile("Error saved", span, "against the best naive forecast, by variable"),
        css="tiles",
    )


def _tile(name: str, value: object, note: str) -> Markup:
    return tag("div", tag("span", name), tag("b", value), tag("span", note), css="tile")


def render_fans(forecasts: pl.DataFrame, regimes: Mapping[str, int], ids: Sequence[str]) -> Markup:
    """The next 24 hours at a few stations, one of which is chosen."""
    heading = tag("h2", "The next 24 hours")
    if not ids:
        return Markup(
            heading
            + tag("p", "There is no forecast yet. Once a model serves, daycast forecast issues one.", css="soft")
        )
    stations = forecasts.select("station_id", "name").unique("station_id", maintain_order=True)
    options = [tag("option", " · ".join(part for part in row if part), value=row[0]) for row in stations.iter_rows()]
    issued: datetime = forecasts["issued_at"][0]
    counts = ", ".join(f"{count:,} with {_REGIMES.get(regime, regime)}" for regime, count in regimes.items())
    intro = tag(
        "p",
        f"Issued {issued:%Y-%m-%d %H:%M}, stations by what the model had to work with: {counts}.",
        css="soft",
    )
    keys = [
        _key("observed", "border-color:currentColor"),
        _key("median", f"border-color:{CHAMPION_COLOR}"),
        _key("50 % interval", "opacity:.5", "band"),
        _key("90 % interval", "opacity:.2", "band"),
    ]
    chooser = tag("div", tag("label", "Station ", tag("select", *options, id="station")), *keys)
    return Markup(heading + intro + chooser + _cards(ids, "grid"))


def _key(text: str, style: str, css: str = "") -> Markup:
    return tag("span", tag("i", css=css, style=style), text, css="key")


def _cards(ids: Sequence[str], css: str) -> Markup:
    return tag("div", *(tag("div", tag("div", id=name, css="chart"), css="card") for name in ids), css=css)


def render_skill(lines: Sequence[SkillLine], skill: pl.DataFrame, champion: Champion | None, basis: str) -> Markup:
    """The champion's error beside every baseline's."""
    heading = tag("h2", "How good the forecasts are")
    if not lines or champion is None:
        return Markup(heading + tag("p", "Not judged yet.", css="soft"))
    mae = {(row["variable"], row["forecaster"]): row["mae"] for row in skill.iter_rows(named=True)}
    others = [name for name in BASELINE_COLORS if name != champion.forecaster and name in set(skill["forecaster"])]
    headings = [
        ("variable", ""),
        (f"{label(champion.forecaster)} (serves)", "number"),
        *((label(name), "number") for name in others),
        ("against best naive", ""),
        ("CRPS saved", "number"),
        ("bias", "number"),
        ("in 80 %", "number"),
    ]
    intro = tag("p", f"Mean absolute error over leads 1 to 24 h, {basis}. CRPS also scores the intervals.", css="soft")
    rows = [[*_errors(line, others, mae), *_verdict(line)] for line in lines]
    return Markup(heading + intro + table(headings, rows))


def _errors(line: SkillLine, others: Sequence[str], mae: Mapping[tuple[str, str], float]) -> list[object]:
    theirs = [mae.get((line.variable.name, name)) for name in others]
    ours = tag("b", f"{line.mae:.2f}")
    return [
        f"{line.variable.label} ({line.variable.unit})",
        ours,
        *(None if value is None else f"{value:.2f}" for value in theirs),
    ]


def _verdict(line: SkillLine) -> list[object]:
    css = "bad" if line.saving is not None and line.saving < 0 else "good"
    saved = None if line.crps_saving is None else f"{line.crps_saving * 100:.0f} %"
    return [tag("span", better(line.saving), css=css), saved, f"{line.bias:+.2f}", f"{line.coverage_80 * 100:.0f} %"]


def render_leads(ids: Sequence[str], by_lead: pl.DataFrame, champion: Champion | None) -> Markup:
    """The error by lead; nothing where there is no score."""
    if not ids or champion is None:
        return Markup("")
    colors = {
        champion.forecaster: CHAMPION_COLOR,
        **{k: v for k, v in BASELINE_COLORS.items() if k != champion.forecaster},
    }
    there = set(by_lead["forecaster"])
    keys = [_key(label(name), f"border-color:{color}") for name, color in colors.items() if name in there]
    heading = tag("h2", "Error by hours ahead")
    intro = tag("p", "Mean absolute error; the thick line serves. Lower is better.", css="soft")
    return Markup(heading + intro + tag("div", *keys) + _cards(ids, "grid small"))


def render_calibration(ids: Sequence[str]) -> Markup:
    """Whether the intervals keep their promise; nothing where there is no score."""
    if not ids:
        return Markup("")
    text = "Of 100 observations 80 should fall inside an 80 % interval: above the dashed line it is too wide, below too narrow."
    return Markup(tag("h2", "Are the intervals honest?") + tag("p", text, css="soft") + _cards(ids, "grid narrow"))


def render_coverage(coverage: pl.DataFrame, silent_before: datetime) -> Markup:
    """Which stations report; of a larger network those that were silent longest and have the most holes."""
    heading = tag("h2", "Stations")
    if coverage.is_empty():
        return Markup(heading + tag("p", "No station has been heard of yet.", css="soft"))
    worst = coverage.sort("last_observed_at", "share_observed", "station_id", nulls_last=False)
    many = len(coverage) > LISTED_STATIONS
    shown = worst.head(LISTED_STATIONS) if many else coverage
    text = (
        f"{len(coverage):,} stations; shown are the {LISTED_STATIONS} that were silent longest, then those with most holes."
        if many
        else ""
    )
    headings = [
        ("station", ""),
        ("name", "text"),
        ("first hour", ""),
        ("last hour", ""),
        ("hours", "number"),
        ("of the hours between", ""),
    ]
    rows = [
        [
            row["station_id"],
            row["name"],
            _time(row["first_observed_at"]),
            _last(row["last_observed_at"], silent_before),
            f"{row['hours_observed']:,}",
            bar(row["share_observed"]),
        ]
        for row in shown.iter_rows(named=True)
    ]
    return Markup(heading + (tag("p", text, css="soft") if text else "") + table(headings, rows))


def _last(time: datetime | None, silent_before: datetime) -> Markup:
    silent = time is None or time < silent_before
    return tag("span", _time(time) or "never", css="bad" if silent else "")


def render_ingestion(batches: pl.DataFrame, rejections: pl.DataFrame) -> Markup:
    """What came in last, and what was wrong with it."""
    heading = tag("h2", "What came in")
    if batches.is_empty():
        return Markup(heading + tag("p", "Nothing has been ingested yet.", css="soft"))
    headings = [
        ("ingested", ""),
        ("source", ""),
        ("from", "text"),
        ("rows", "number"),
        ("kept", "number"),
        ("repeats", "number"),
        ("refused", "number"),
    ]
    counts = ("rows_delivered", "rows_kept", "rows_repeated", "rows_refused")
    rows = [
        [_time(row["ingested_at"]), row["source"], row["origin"], *(f"{row[name]:,}" for name in counts)]
        for row in batches.iter_rows(named=True)
    ]
    return Markup(heading + table(headings, rows) + _render_rejections(rejections))


def _render_rejections(rejections: pl.DataFrame) -> Markup:
    heading = tag("h2", "Why rows were refused in the last 7 days")
    if rejections.is_empty():
        return Markup(heading + tag("p", "None was.", css="soft"))
    headings = [("column", ""), ("reason", "text"), ("rows", "number"), ("for example", "text")]
    rows = [
        [row["column_name"], row["reason"], f"{row['n']:,}", row["example"]]
        for row in rejections.head(LISTED_STATIONS).iter_rows(named=True)
    ]
    return Markup(heading + table(headings, rows))


def _time(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M}" if time else None
