"""The summary that `daycast run` prints: what the run did and what there is now, on one screen.

First the data it needs (`Summary` and its parts), then `render_summary` and its sections from top to bottom, last
`example_query`, the command it suggests.
"""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from daycast.evaluation.drift import Drift
from daycast.evaluation.serving import Fallback
from daycast.report.skill import (
    Champion,
    SkillLine,
    SkillSpan,
    better,
    compare_with_naive,
    describe_basis,
    label,
    tell_server,
)
from daycast.report.terminal import Column, render_pairs, render_table, wrap_text
from daycast.variables import Variable

BEST_KNOWN = ("air_temperature_c", "wind_speed_m_s", "precipitation_mm")  # first columns of the example query
FEW = 3  # rejection reasons and silent stations that are named; the rest is counted


class Account(Protocol):
    """What one source delivered, in numbers of rows; delivered = kept + refused. Kept rows may be repeats or corrections."""

    @property
    def source(self) -> str:
        """The name of the source."""

    @property
    def delivered(self) -> int:
        """Rows the source delivered."""

    @property
    def kept(self) -> int:
        """Rows that were stored."""

    @property
    def repeated(self) -> int:
        """Kept rows that were known already."""

    @property
    def revised(self) -> int:
        """Kept rows that correct a reading of the same time."""

    @property
    def refused(self) -> int:
        """Rows that were quarantined."""

    @property
    def waiting(self) -> int:
        """Rows with a time later than the run; they are read again when their time has come."""

    @property
    def reread(self) -> str:
        """What came of reading the source again; empty if that was not done."""

    @property
    def flagged(self) -> Mapping[str, int]:
        """The number of hourly values that each check newly flagged."""


@dataclass(frozen=True)
class Rejection:
    """One reason why rows were refused, and the number of rows."""

    column: str
    reason: str
    n: int


@dataclass(frozen=True)
class Silence:
    """A station that has sent nothing for long, and its last observation; None for never."""

    station_id: str
    last_observed_at: datetime | None


@dataclass(frozen=True)
class Issue:
    """The newest forecasts."""

    issued_at: datetime
    stations: int
    variables: Sequence[str]
    example_station: str
    implausible: int = 0  # forecast values far outside anything observed at their station


@dataclass(frozen=True)
class Summary:
    """Everything the summary shows; all times are UTC."""

    now: datetime
    ingested: Sequence[Account]
    rejections: tuple[Rejection, ...]  # of this run, the most frequent first
    silent: tuple[Silence, ...]  # longest first
    silent_after: str  # the configured duration after which a station counts as silent
    retraining: str | None  # the reason of this run's decision; None if no retraining was due
    next_due: datetime | None
    champion: Champion | None
    skill: pl.DataFrame  # basis, variable, forecaster, n, mae, rmse, bias, crps, coverage_80
    span: SkillSpan
    issue: Issue | None
    variables: Mapping[str, Variable]
    published: Path
    report: Path
    fallbacks: Sequence[Fallback] = ()  # that serve in the champion's place
    drifts: Sequence[Drift] = ()  # of the champion
    changes: tuple[str, ...] = ()  # what made this run's retraining due at once
    retired: tuple[str, ...] = ()  # the sources whose stations are not served any more
    demonstration: Path | None = None  # the folder of one that ran here before


def render_summary(summary: Summary, width: int, sql_command: str = "daycast sql") -> str:
    """The summary as plain text in lines of at most `width` cells; paths and commands are never wrapped, so they can be copied.

    sql_command: how the reader calls `daycast sql`.
    """
    parts = [
        f"daycast, as of {_time(summary.now)}",
        _render_ingested(summary, width),
        _render_champion(summary, width),
        _render_skill(summary, width),
        _render_issue(summary, sql_command),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _render_ingested(summary: Summary, width: int) -> str:
    lines = [("Rows", _count(ingested)) for ingested in summary.ingested]
    if summary.rejections and any(ingested.refused for ingested in summary.ingested):
        reasons = [f"{_label(one.column, summary)} {one.reason} ({one.n:,}×)" for one in summary.rejections]
        lines.append(("  refused", _few(reasons, "; ")))
    flagged = sum((Counter(ingested.flagged) for ingested in summary.ingested), Counter())
    if flagged:
        checks = [f"{check} {count:,}" for check, count in flagged.most_common()]
        lines.append(("  flagged", f"{_plural(flagged.total(), 'value')}: {', '.join(checks)}"))
    if summary.silent:
        names = [
            f"{one.station_id} (since {_time(one.last_observed_at) if one.last_observed_at else 'ever'})"
            for one in summary.silent
        ]
        who = _plural(len(summary.silent), "station")
        lines.append(("  silent", f"{who} for more than {summary.silent_after}: {_few(names, ', ')}"))
    lines += [("Retired", one) for one in summary.retired]
    if summary.demonstration:
        lines.append(("Apart", f"the demonstration; nothing of it is used here: {summary.demonstration}"))
    return render_pairs(lines, width)


def _count(ingested: Account) -> str:
    repeated = f", {ingested.repeated:,} of them repeats" if ingested.repeated else ""
    revised = f", {ingested.revised:,} corrections" if ingested.revised else ""
    waiting = f", {ingested.waiting:,} wait (stamped later than now)" if ingested.waiting else ""
    kept = f"{ingested.kept:,} kept{repeated}{revised}"
    rows = f"{ingested.delivered:,} in, {kept}, {ingested.refused:,} refused{waiting}"
    if ingested.reread:
        rows = f"{ingested.reread}; {'new are ' + rows if ingested.delivered else f'nothing new{waiting}'}"
    return f"{ingested.source}: {rows}"


def _render_champion(summary: Summary, width: int) -> str:
    champion = summary.champion
    lines = [("Champion", "none yet: nothing can be forecast until `daycast retrain` has found one")]
    if champion:
        since = f", serving since {_time(champion.promoted_at)}" if champion.promoted_at else ""
        lines = [
            (
                "Champion",
                f"{label(champion.forecaster)} ({champion.model_id}), trained up to {champion.trained_until:%Y-%m-%d}{since}",
            ),
            ("  why", champion.reason),
        ]
        lines += [("  drift", drift.tell(_label(drift.variable, summary))) for drift in summary.drifts]
    lines += [("Changed", one) for one in summary.changes]
    if summary.retraining is None:
        lines.append(("Retraining", f"not due before {_time(summary.next_due)}" if summary.next_due else "none yet"))
    elif not champion or summary.retraining != champion.reason:
        lines.append(("Retraining", summary.retraining))
    else:
        lines.append(("Retraining", "done: this champion is the outcome"))
    return render_pairs(lines, width)


def _render_skill(summary: Summary, width: int) -> str:
    champion = summary.champion
    if champion is None:
        return ""
    lines = compare_with_naive(summary.skill, champion.forecaster, summary.variables, summary.fallbacks)
    if not lines:
        return "Skill       not evaluated yet"
    basis = describe_basis(summary.skill["basis"][0], summary.span, champion.trained_until)
    return render_pairs([("Skill", basis)], width) + "\n" + _render_table(lines, width)


_HEADINGS: tuple[Column, ...] = (
    ("variable", "left"),
    ("served by", "left"),
    ("error", "right"),
    ("", "left"),
    ("than", "left"),
    ("at", "right"),
    ("CRPS", "right"),
    ("in 80 %", "right"),
)
_LEGEND = (
    "error: mean absolute of who serves, leads 1 to 24 h; than, at: the best naive forecast and its error; CRPS: saving if "
    "intervals count too; in 80 %: share of observations inside that interval"
)


def _render_table(lines: Sequence[SkillLine], width: int) -> str:
    rows = [
        [
            line.variable.label,
            tell_server(label(line.server), line.exceptions),
            f"{line.mae:.2f} {line.variable.unit}",
            better(line.saving),
            label(line.rival) if line.rival else "–",
            "–" if line.rival_mae is None else f"{line.rival_mae:.2f}",
            _percent(line.crps_saving),
            _percent(line.coverage_80),
        ]
        for line in lines
    ]
    return f"{render_table(_HEADINGS, rows, width)}\n{wrap_text(_LEGEND, width)}"


def _render_issue(summary: Summary, sql_command: str) -> str:
    issue, where = summary.issue, f"Tables      {summary.published}\nReport      {summary.report}"
    if issue is None:
        return f"Forecasts   none yet\n{where}"
    count = f"{_plural(issue.stations, 'station')} × {_plural(len(issue.variables), 'variable')} × 24 h"
    query = example_query(issue.example_station, issue.variables, sql_command)
    doubt = (
        f"\n  doubtful  {_plural(issue.implausible, 'value')} far outside anything observed there"
        if issue.implausible
        else ""
    )
    return f"Forecasts   issued {_time(issue.issued_at)}: {count}{doubt}\n{where}\nSee them with\n{query}"


def example_query(station_id: str, variables: Sequence[str], sql_command: str = "daycast sql") -> str:
    """A command for a POSIX shell that shows the next hours of a station: the best known variables, as many as fit into 80 cells.

    If the station's id has control characters, the command names no station.
    """
    room = 80 - len("2026-06-01 03:00")  # beside valid_at
    columns = ["valid_at"]
    for name in sorted(variables, key=lambda name: (*BEST_KNOWN, name).index(name)):
        if name.isprintable() and room >= len(name) + 2:
            columns.append(name if re.fullmatch(r"[a-z][a-z0-9]*_[a-z0-9_]*", name) else _as_sql(name, '"'))
            room -= len(name) + 2
    named = _as_sql(station_id, "'")
    which = f"where station_id = {named}" if station_id.isprintable() else "limit 24"
    query = f"\n  select {', '.join(columns)}\n  from next_hours {which}"
    return f"{sql_command} {_as_shell_word(query)}"


def _as_sql(text: str, quote: str) -> str:
    return f"{quote}{text.replace(quote, 2 * quote)}{quote}"


def _as_shell_word(text: str) -> str:
    """The text in double quotes, which are easier to read, or in single ones if it has a `!`, which interactive bash replaces."""
    if "!" in text:
        return shlex.quote(text)
    escaped = re.sub(r'[\\"$`]', r"\\\g<0>", text)
    return f'"{escaped}"'


def _few(texts: Sequence[str], between: str) -> str:
    more = f"{between}and {len(texts) - FEW:,} more" if len(texts) > FEW else ""
    return between.join(texts[:FEW]) + more


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"


def _label(column: str, summary: Summary) -> str:
    return summary.variables[column].label if column in summary.variables else column


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
