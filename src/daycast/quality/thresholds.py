"""The thresholds of the checks over time.

If thresholds change, the new ones hold from then on, for every hour: what was believed before rests on those of before. So a
version of an observation is flagged by the thresholds that were in force while it was believed, and is cut where new ones change
a flag.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import polars as pl

from daycast.quality.flag_table import CheckContext, flag_versions
from daycast.quality.limits import Limits
from daycast.times import UTC_TIME
from daycast.variables import Variable

_BOUNDS = ("valid_min", "valid_max")
_KNOWN = ["known_from", "known_until"]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds in force from `since` on, as `thresholds_text` writes them."""

    since: datetime
    text: str

    def of(self, variables: Sequence[Variable]) -> tuple[list[Variable], dict[str, Limits]]:
        """The variables with the bounds of that time, and the limits; a variable that was not there yet has those of today."""
        table: dict[str, dict[str, float]] = json.loads(self.text)
        limits = {
            name: Limits(**{key: value for key, value in given.items() if key not in _BOUNDS})
            for name, given in table.items()
        }
        known = [
            _bounded(variable, table[variable.name]) if variable.name in table else variable for variable in variables
        ]
        return known, limits


def _bounded(variable: Variable, given: Mapping[str, float]) -> Variable:
    return replace(variable, valid_min=given["valid_min"], valid_max=given["valid_max"]) if given else variable


def thresholds_text(variables: Mapping[str, Variable], limits: Mapping[str, Limits]) -> str:
    """The bounds and limits of every variable as JSON; a check that is off is left out."""
    table = {
        name: {"valid_min": variable.valid_min, "valid_max": variable.valid_max}
        | {key: value for key, value in asdict(limits.get(name, Limits())).items() if value is not None}
        for name, variable in variables.items()
    }
    return json.dumps(table, sort_keys=True)


def flag_by_thresholds_in_force(
    versions: pl.DataFrame,
    variables: Sequence[Variable],
    context: CheckContext,
    thresholds: Sequence[Thresholds],
    now: datetime,
) -> pl.DataFrame:
    """`flag_versions`, each version by the thresholds that were in force while it was believed.

    thresholds: in order of time, the first in force since ever; none: the limits of `context`. The result is sorted by station,
    hour and known_from.
    """
    first = versions["known_from"].min()
    ends = [one.since for one in thresholds[1:]]
    in_force = [
        (one, until)
        for one, until in zip(thresholds, [*ends, None], strict=True)
        if first is None or until is None or until > first  # type: ignore[operator]
    ]
    parts = []
    for one, until in in_force:
        known, limits = one.of(variables)
        flagged = flag_versions(versions, known, replace(context, limits={**context.limits, **limits}), now)
        parts.append(_within(flagged, one.since, until) if len(in_force) > 1 else flagged)
    if len(parts) > 1:
        return _joined(pl.concat(parts))
    return parts[0] if parts else flag_versions(versions, variables, context, now)


def _within(flagged: pl.DataFrame, since: datetime, until: datetime | None) -> pl.DataFrame:
    """The part of the versions that was believed in [since, until)."""
    begin, end = pl.lit(since, UTC_TIME), pl.lit(until, UTC_TIME)
    known_until = pl.when(pl.col("known_until") < end).then("known_until").otherwise(pl.coalesce(end, "known_until"))
    cut = flagged.with_columns(known_from=pl.max_horizontal("known_from", begin), known_until=known_until)
    return cut.filter(pl.col("known_until").is_null() | (pl.col("known_from") < pl.col("known_until")))


def _joined(parts: pl.DataFrame) -> pl.DataFrame:
    """The versions in order; those that follow each other and differ in nothing are one."""
    ordered = parts.sort("station_id", "observed_at", "known_from")
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).shift()) for name in ordered.columns if name not in _KNOWN
    )
    follows = same & (pl.col("known_from") == pl.col("known_until").shift()).fill_null(value=False)
    runs = ordered.with_columns(run=(~follows.fill_null(value=False)).cum_sum())
    return (
        runs.group_by("run", maintain_order=True)
        .agg(pl.col("known_until").last(), pl.exclude("known_until", "run").first())
        .select(parts.columns)
    )
