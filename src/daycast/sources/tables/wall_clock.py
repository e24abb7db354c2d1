"""Wall clocks: from local times without an offset to UTC, over the two nights a year on which clocks change.

Order: time zones (`validate_timezone`), `WallClock`, how it tells the two meanings of a time apart (`_decide`), and what proves
that a logger does not follow its zone (`_doubts`).
"""

import re
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

from daycast.errors import did_you_mean
from daycast.times import HOUR, UTC_TIME

_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?")
_MAX_OFFSET_H = 14
_STILL_REMEMBERED = 3 * HOUR  # of the chunk before: longer than any hour that comes twice, and a row before it
_SAME_NIGHT = 6 * HOUR  # rows before and after the hour that are nearer belong to it
_SLACK = 1.5  # a gap of up to so many usual steps is none

TOLD_TWICE = (
    "came twice on that day, and neither the rows around it nor the readings that are known tell which of the two is meant: "
    "deliver it together with the rows before or after it, or set timezone to a fixed offset"
)


def validate_timezone(name: str) -> str:
    """Return an IANA zone as it is, and a fixed offset from UTC (+02:00, UTC+02:00, GMT-5) in the form +02:00.

    Raises ValueError with close matches for anything else. The sign counts as in ISO 8601: +02:00 is east of Greenwich.
    """
    match = _OFFSET.fullmatch(name.strip())
    if match and int(match[2]) <= _MAX_OFFSET_H:
        return f"{match[1]}{int(match[2]):02d}:{match[3] or '00'}"
    if not match and _is_known(name):
        return name
    matches = did_you_mean(name, available_timezones())
    raise ValueError(
        f"{name!r} is not a time zone{matches}: write an IANA name, for example Europe/Berlin, or an offset from UTC, "
        "for example +01:00"
    )


def _is_known(name: str) -> bool:
    """Whether both Python and polars know a zone of this name."""
    if name not in available_timezones():
        return False
    try:
        pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(name)  # noqa: DTZ001 wall time is meant
    except pl.exceptions.PolarsError:
        return False
    return True


def _offset_of(zone: str) -> timedelta | None:
    """The fixed offset from UTC that a zone is; None for a zone with a name."""
    match = _OFFSET.fullmatch(zone)
    if zone == "UTC" or match is None:
        return timedelta(0) if zone == "UTC" else None
    east = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return east if match[1] == "+" else -east


def follows_clock_changes(zone: str) -> bool:
    """Whether the zone may skip and repeat hours, so that the rows before a row matter."""
    return _offset_of(zone) is None


class Instants(NamedTuple):
    """What wall times mean. `at` is null where the clock skipped the time; `later` is null except where it came twice and nothing
    tells which of the two is meant: then `at` is the earlier one, and `later` the other.
    """

    at: pl.Series
    later: pl.Series


class WallClock:
    """Converts wall time of one zone to UTC; remembers the end of a chunk for the next chunk of the same sequence of rows."""

    def __init__(self, zone: str) -> None:
        self._zone, self._offset = zone, _offset_of(zone)
        self._before: pl.DataFrame | None = None  # key, wall: the chunk before
        self._doubts: list[str] = []

    def to_utc(self, wall: pl.Series, keys: pl.Series, latest: pl.Series | datetime | None = None) -> Instants:
        """The instants (UTC_TIME) of naive times `wall`; `keys` says which rows are one sequence, such as a station's.

        When the clock is set back, the times of one hour come twice. Which of the two is meant follows from the rows around it:
        times that jump back (or forth, in a file with the newest row on top) begin the second pass, and a pass that goes on from
        the row before the hour is the first, one that leads to the row after it the second. A row cannot be later than `latest`.
        """
        if self._offset is not None:
            at = wall.dt.replace_time_zone("UTC") - self._offset
            return Instants(at, _nulls(len(wall)))
        rows = pl.DataFrame({"key": keys, "wall": wall}).with_columns(
            _utc(self._zone, "earliest").alias("earlier"),
            _utc(self._zone, "latest").alias("later"),
            latest=_nulls(len(wall)) if latest is None else latest,
        )
        before, self._before = self._before, rows.select("key", "wall")
        twice = (rows["earlier"] != rows["later"]).fill_null(value=False)
        skipped = rows["earlier"].is_null() & rows["wall"].is_not_null()
        once = self._decide_and_doubt(rows, before, twice, skipped) if twice.any() or skipped.any() else None
        if once is None:
            return Instants(rows["earlier"], _nulls(len(wall)))
        meant = rows.with_columns(second=once).select(
            at=pl.when("second").then("later").otherwise("earlier"),
            later=pl.when(pl.col("second").is_null() & (pl.col("earlier") != pl.col("later"))).then("later"),
        )
        return Instants(meant["at"], meant["later"])

    def take_doubts(self) -> tuple[str, ...]:
        """What was odd about the times since the last call, one line each."""
        doubts, self._doubts = tuple(self._doubts), []
        return doubts

    def _decide_and_doubt(
        self, rows: pl.DataFrame, before: pl.DataFrame | None, twice: pl.Series, skipped: pl.Series
    ) -> pl.Series | None:
        """Whether each row is the second of two meanings, null where nothing tells; None if no time came twice."""
        touched = rows["key"].filter(twice | skipped).unique().implode()
        own = rows.with_row_index("row").with_columns(twice=twice, skipped=skipped)
        own = own.filter(pl.col("key").is_in(touched) & pl.col("wall").is_not_null())
        if before is not None:
            own = pl.concat([self._remembered(before, touched), own], how="diagonal")
        sequence = _with_neighbours(own)
        passes = _passes(sequence)
        self._doubts += _doubts(sequence, passes, self._zone)
        if not twice.any():
            return None
        decided = _decide(sequence, passes).filter(pl.col("row").is_not_null())
        second = pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
        return second.scatter(decided["row"], decided["second"])

    def _remembered(self, before: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
        """The last rows of the chunk before, of these keys; without a row number."""
        wall = pl.col("wall")
        rows = before.filter(pl.col("key").is_in(keys) & wall.is_not_null())
        rows = rows.filter((wall - wall.last().over("key")).abs() <= _STILL_REMEMBERED).with_columns(
            _utc(self._zone, "earliest").alias("earlier"), _utc(self._zone, "latest").alias("later")
        )
        return rows.with_columns(
            twice=(pl.col("earlier") != pl.col("later")).fill_null(value=False), skipped=pl.col("earlier").is_null()
        )


class WallClocks:
    """A clock for each column of times, all of the same zone."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._clocks: dict[tuple[str, ...], WallClock] = {}

    def of(self, *columns: str) -> WallClock:
        """The clock of the times in these columns."""
        return self._clocks.setdefault(columns, WallClock(self._zone))

    def take_doubts(self) -> tuple[str, ...]:
        """What was odd about any of the times since the last call."""
        return tuple(doubt for clock in self._clocks.values() for doubt in clock.take_doubts())


_BETWEEN = "\n"  # a station and what else tells a sequence of rows apart


def sequence_of(stations: pl.Series, apart: pl.Series | str) -> pl.Series:
    """The keys of rows that are one sequence if they share the station and `apart`, such as the issue of a forecast."""
    return stations + _BETWEEN + apart


def _utc(zone: str, ambiguous: str) -> pl.Expr:
    local = pl.col("wall").dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]
    return local.dt.convert_time_zone("UTC")


def _nulls(count: int) -> pl.Series:
    return pl.repeat(None, count, dtype=UTC_TIME, eager=True)


def _with_neighbours(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the ones beside them in the same sequence and the usual step there.

    `part` numbers consecutive rows of one hour that came twice; `change` says how the time changes from row to row of a part.
    """
    sequence = rows.with_row_index("order").sort("key", "order")
    beside = [
        pl.col(name).shift(by).over("key").alias(f"{name}_{which}")
        for by, which in ((1, "above"), (-1, "below"))
        for name in ("wall", "earlier", "twice")
    ]
    sequence = sequence.with_columns(beside)
    day, step = pl.col("wall").dt.date(), (pl.col("wall") - pl.col("wall_above")).abs()
    goes_on = pl.col("twice") & pl.col("twice_above") & (day == pl.col("wall_above").dt.date())
    plain = pl.col("twice").eq_missing(pl.col("twice_above")) & (step > pl.duration())
    return sequence.with_columns(
        part=(~goes_on.fill_null(value=False)).cum_sum(),
        change=pl.when(goes_on).then((pl.col("wall") - pl.col("wall_above")).dt.total_microseconds().sign()),
        step=step.filter(plain).median().over("key"),
    )


def _passes(sequence: pl.DataFrame) -> pl.DataFrame:
    """One row for each part: its direction (1: the oldest row on top), how often it begins anew, and which meaning fits better.

    `is_disordered` says whether any part of that night is between two rows that are both later, or both earlier than it, or has
    several times twice in a row.
    `as_before` and `as_after` say whether with the later meaning the gap to the row before it, and after it, is nearer to the
    usual step than with the earlier one; null if there is no such row, or it is too far away. An unknown step is an hour at most.
    """
    wall, change = pl.col("wall"), pl.col("change")
    parts = sequence.filter("twice").group_by("part", maintain_order=True).agg(
        pl.col("key", "step").first(), wall.first(),
        valid_min=wall.min(), valid_max=wall.max(),
        above=pl.col("wall_above").first(), below=pl.col("wall_below").last(),
        above_at=pl.col("earlier_above").first(), below_at=pl.col("earlier_below").last(),
        top=pl.struct("earlier", "later").first(), bottom=pl.struct("earlier", "later").last(),
        up=(change > 0).sum(), down=(change < 0).sum(), equal=(change == 0).sum(),
    ).with_columns(_direction())  # fmt: skip
    parts = parts.with_columns(_is_disordered())
    ascends = pl.col("direction") == 1
    first = pl.when(ascends).then("top").otherwise("bottom").struct
    last = pl.when(ascends).then("bottom").otherwise("top").struct
    before, after = (
        pl.when(ascends).then(one).otherwise(other)
        for one, other in (("above_at", "below_at"), ("below_at", "above_at"))
    )
    return parts.with_columns(anew=pl.when(ascends).then("down").otherwise("up")).with_columns(
        times_anew=pl.when(pl.col("anew") > 0).then("anew").otherwise("equal"),
        as_before=_fits_later(*(first.field(meaning) - before for meaning in ("earlier", "later"))),
        as_after=_fits_later(*(after - last.field(meaning) for meaning in ("earlier", "later"))),
    )


def _fits_later(earlier_gap: pl.Expr, later_gap: pl.Expr) -> pl.Expr:
    """Whether the gap that a row of the later meaning has beside it is nearer to the usual step than that of the earlier one."""
    step, limit = pl.col("step").fill_null(pl.duration()), _limit()
    is_beside = (pl.min_horizontal(earlier_gap, later_gap) > pl.duration()) & (
        pl.min_horizontal(earlier_gap, later_gap) <= limit
    )
    as_earlier, as_later = ((gap - step).abs() for gap in (earlier_gap, later_gap))
    return pl.when(is_beside & (as_earlier != as_later)).then(as_later < as_earlier)


def _limit() -> pl.Expr:
    """The longest gap between rows that follow each other."""
    return (pl.col("step") * _SLACK).fill_null(HOUR)


def _direction() -> pl.Expr:
    """1 where the rows of a part ascend, -1 where they descend, null where nothing tells.

    The nearer of the rows above and below it tells, else its own rows: those that begin anew are fewer than the others.
    """
    above = pl.when(pl.col("above") < pl.col("valid_min")).then(1).when(pl.col("above") > pl.col("valid_max")).then(-1)
    below = pl.when(pl.col("below") > pl.col("valid_max")).then(1).when(pl.col("below") < pl.col("valid_min")).then(-1)
    is_nearer = (pl.col("above") - pl.col("wall")).abs() <= (pl.col("below") - pl.col("wall")).abs()
    up, down = pl.col("up"), pl.col("down")
    inside = pl.when((up > 1) & (down == 1)).then(1).when((down > 1) & (up == 1)).then(-1)
    nearer = (
        pl.when(is_nearer.fill_null(value=True)).then(pl.coalesce(above, below)).otherwise(pl.coalesce(below, above))
    )
    return pl.coalesce(nearer, inside).cast(pl.Int8).alias("direction")


def _is_disordered() -> pl.Expr:
    """Whether the rows around any part of the night of this one, or its own, are not in the order in which they were measured."""
    later = (pl.col("above") > pl.col("valid_max")) & (pl.col("below") > pl.col("valid_max"))
    earlier = (pl.col("above") < pl.col("valid_min")) & (pl.col("below") < pl.col("valid_min"))
    farther = pl.max_horizontal((pl.col(name) - pl.col("wall")).abs() for name in ("above", "below"))
    sorted_by_clock = (pl.col("equal") > 1) & (pl.min_horizontal("up", "down") == 0)
    found = ((later | earlier) & (farther <= _SAME_NIGHT)) | sorted_by_clock
    return found.fill_null(value=False).any().over("key", pl.col("wall").dt.date()).alias("is_disordered")


def _decide(sequence: pl.DataFrame, passes: pl.DataFrame) -> pl.DataFrame:
    """row, second: whether the row is the second of its two meanings, null where nothing tells."""
    rows = sequence.filter("twice").join(
        passes.select("part", "direction", "anew", "times_anew", "as_before", "as_after", "is_disordered"),
        on="part",
        maintain_order="left",
    )
    turns = pl.when(pl.col("anew") > 0).then(pl.col("change") == -pl.col("direction")).otherwise(pl.col("change") == 0)
    is_below = turns.fill_null(value=False).cum_sum().over("part") > 0
    known = pl.col("direction").is_not_null()
    second = (
        pl.when(known & (pl.col("times_anew") == 1)).then(is_below == (pl.col("direction") == 1))
        .when((pl.col("times_anew") == 0) & ~_is_torn()).then(pl.coalesce("as_before", "as_after"))
    )  # fmt: skip
    told = pl.when(~pl.col("is_disordered")).then(second)
    cannot_be = (pl.col("later") > pl.col("latest")).fill_null(value=False)
    return rows.select("row", second=pl.when(cannot_be).then(pl.lit(value=False)).otherwise(told))


def _is_torn() -> pl.Expr:
    """Whether a part goes on from the row before the hour and leads to the one after it, though an hour is missing between."""
    return (pl.col("as_before") != pl.col("as_after")).fill_null(value=False)


def _doubts(sequence: pl.DataFrame, passes: pl.DataFrame, zone: str) -> list[str]:
    """One line if rows go on through an hour that the clock skipped, or show one only once that came twice."""
    wall, limit = pl.col("wall"), _limit()
    near = ((wall - pl.col("wall_above")).abs() <= limit) & ((pl.col("wall_below") - wall).abs() <= limit)
    between = (pl.col("wall_above") < wall) == (wall < pl.col("wall_below"))
    through = sequence.filter(pl.col("skipped") & near & between)
    once = passes.filter((pl.col("times_anew") == 0) & _is_torn() & ~pl.col("is_disordered"))
    return [*_doubt_order(passes, zone), *_doubt_summer_time(through, once, zone)]


def _doubt_order(passes: pl.DataFrame, zone: str) -> list[str]:
    found = passes.filter("is_disordered")
    if found.is_empty():
        return []
    seen = f"{_whose(found)} has rows out of order around {_example(found)}, which the clocks of {zone} show twice"
    return [
        f"{seen}: deliver rows in the order in which they were measured, not sorted by the clock, or with their offset"
    ]


def _doubt_summer_time(through: pl.DataFrame, once: pl.DataFrame, zone: str) -> list[str]:
    if through.is_empty() and once.is_empty():
        return []
    shown_once = f"{_example(once)} only once, which they show twice" if len(once) else ""
    if through.is_empty():
        seen = f"{_whose(once)} stands at {_example(once)} only once, which the clocks of {zone} show twice"
        kept = _clocks_that_stay(once["wall"].max(), zone)  # type: ignore[arg-type]
        return [f"{seen}: {kept}; else one of the two is missing, and nothing tells which"]
    seen = f"{_whose(through)} goes on through {_example(through)}, which the clocks of {zone} skip"
    seen += f", and stands at {shown_once}" if shown_once else ""
    kept = _clocks_that_stay(through["wall"].min(), zone)  # type: ignore[arg-type]
    return [f"{seen}, so the logger's clock is not that of {zone}: {kept}"]


def _whose(rows: pl.DataFrame) -> str:
    stations = rows["key"].str.split(_BETWEEN).list.first()
    others = stations.n_unique() - 1
    return f"station {stations[0]}" + (f" and {others} more" if others else "")


def _example(rows: pl.DataFrame) -> str:
    shown: datetime = rows["wall"][0]
    return f"{shown:%Y-%m-%d %H:%M}"


def _clocks_that_stay(wall: datetime, zone: str) -> str:
    """What to set for each clock that is not changed: UTC, and the two offsets that the zone has around this time."""
    at = [(wall + shift).replace(tzinfo=ZoneInfo(zone)).utcoffset() or timedelta(0) for shift in (-3 * HOUR, 3 * HOUR)]
    told = {_offset_text(max(at)): "summer time", _offset_text(min(at)): "standard time"}
    settings = [f'"{offset}" if {name} all year' for offset, name in reversed(told.items()) if offset != "+00:00"]
    return f'if it keeps UTC, set timezone = "UTC"; {"; ".join(settings)}'


def _offset_text(offset: timedelta) -> str:
    """An offset from UTC, such as +01:00."""
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
