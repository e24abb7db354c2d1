"""What doctor shows of a source: some readings as daycast understood them, and their profile, in lines for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import polars as pl

from daycast.features.profile import Coverage, DailyCycle, Profile, Rain
from daycast.report.terminal import Column, cut, render_pairs, render_table
from daycast.times import HOUR
from daycast.variables import Variable

WIDTH = 80
_INDENT = "  "
_NAMES = 9  # cells
_MONTHS = 6  # that are shown, the newest
_STATIONS = 3  # that are named
_OF_ALL_HOURS = ("gaps", "rain")  # parts of a profile that a sample of files says nothing about
_LONGEST_ROW = 300  # cells, of a refused row
_CELL = 10  # cells of a reading's column, as wide as a date


@dataclass(frozen=True)
class SourceView:
    """What is to be shown. `sample`: readings with their keys and variables; `names`: the variables that the source maps.

    read: what was read, in words. zone: the time zone of the source, None if it has none. longitudes: of the stations whose
    position is known. columns: lines of TOML for columns that are not mapped and look like weather.
    """

    read: str
    sample: pl.DataFrame
    profile: Profile | None
    names: Sequence[str]
    zone: str | None
    longitudes: Mapping[str, float]
    columns: Sequence[str] = ()
    has_gaps: bool = False  # whether files between those that were read are left out, so that gaps say nothing


def render_source(view: SourceView, variables: Mapping[str, Variable], width: int = WIDTH) -> list[str]:
    """The lines, indented, of at most `width` cells; only lines of TOML are never broken."""
    inside = width - len(_INDENT)
    lines = render_pairs([("read", view.read), *_describe_stations(view)], inside, _NAMES).splitlines()
    if not view.sample.is_empty():
        lines += render_table(*_sample(view, variables), inside).splitlines()
    if view.profile is not None and (told := _describe_profile(view.profile)):
        told = [(name, text) for name, text in told if not (view.has_gaps and name in _OF_ALL_HOURS)]
        lines += render_pairs(told, inside, _NAMES).splitlines()
    if view.columns:
        lines += ["not mapped, and looks like weather; to add under [sources.columns]:"]
        lines += [_INDENT + line for line in view.columns]
    return [_INDENT + line for line in lines]


@dataclass(frozen=True)
class RefusedRow:
    """A row that would be refused, or a value of it, as an example of several."""

    column: str  # that is why
    count: int
    where: str
    row: Mapping[str, object]  # as the source wrote it


def render_refused(rows: Sequence[RefusedRow], width: int = WIDTH) -> list[str]:
    """The lines, indented, of at most `width` cells: for each reason the first row that it holds for."""
    pairs = []
    for one in rows:
        cells = ", ".join(f"{name} {_cell(value)}" for name, value in one.row.items() if value is not None)
        pairs.append(("refused", f"{one.column} ({one.count:,}×), {one.where}: {cut(cells, _LONGEST_ROW)}"))
    return [_INDENT + line for line in render_pairs(pairs, width - len(_INDENT), _NAMES).splitlines()]


def _cell(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)


def _describe_stations(view: SourceView) -> list[tuple[str, str]]:
    coverage = view.profile.coverage if view.profile else None
    if coverage is None:
        return []
    named = ", ".join(coverage.station_ids[:_STATIONS]) + (" …" if coverage.stations > _STATIONS else "")
    unplaced = sum(station not in view.longitudes for station in coverage.station_ids)
    position = {0: "", coverage.stations: "; no position is known: set station_list"}
    of_some = f"; {unplaced:,} without a known position"
    return [("stations", f"{coverage.stations:,}: {named}{position.get(unplaced, of_some)}")]


def _sample(view: SourceView, variables: Mapping[str, Variable]) -> tuple[list[Column], list[list[str]]]:
    """The sample as a table with a column for each reading."""
    stations = view.sample["station_id"].to_list()
    columns: list[Column] = [("station", "left"), *((_cut(station), "right") for station in stations)]
    rows = []
    for key, label in (("issued_at", "issued, UTC"), ("valid_at", "valid, UTC"), ("observed_at", "UTC")):
        if key in view.sample.columns:
            rows += _times(label, view.sample[key].to_list())
    if "observed_at" in view.sample.columns:
        rows += _local_times(view, stations, view.sample["observed_at"].to_list())
    for name in view.names:
        values = [_number(value) for value in view.sample[name]]
        rows.append([f"{variables[name].label}, {variables[name].unit}", *values])
    return columns, rows


def _local_times(view: SourceView, stations: Sequence[str], instants: Sequence[datetime]) -> list[list[str]]:
    """The times in the source's zone; where it has none besides UTC, by the sun at the stations whose longitude is known."""
    if view.zone not in {None, "UTC"}:
        zone = zone_of(str(view.zone))
        place = str(view.zone).rpartition("/")[2].replace("_", " ")
        return _times(f"local, {place}", [instant.astimezone(zone) for instant in instants])
    if not view.longitudes.keys() & set(stations):
        return []
    by_the_sun = [
        instant + timedelta(hours=view.longitudes[station] / 15) if station in view.longitudes else None
        for station, instant in zip(stations, instants, strict=True)
    ]
    return _times("by the sun", by_the_sun)


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name, or of a fixed offset such as +02:00."""
    if name[:1] in {"+", "-"}:
        return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo or UTC
    return ZoneInfo(name)


def _times(label: str, instants: Sequence[datetime | None]) -> list[list[str]]:
    """Two rows: the dates, and the times of day, with seconds if any time has some."""
    clock = "%H:%M:%S" if any(instant and instant.second for instant in instants) else "%H:%M"
    return [
        [label, *(f"{instant:%Y-%m-%d}" if instant else "unknown" for instant in instants)],
        ["", *(f"{instant:{clock}}" if instant else "" for instant in instants)],
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{round(value, 2):.10g}"


def _describe_profile(profile: Profile) -> list[tuple[str, str]]:
    """Name and text of each part of a profile."""
    pairs = [] if profile.coverage is None else _describe_coverage(profile.coverage)
    if profile.values:
        repeated = (
            f"{_share(profile.repeated, profile.values)} of {profile.values:,} values repeat station, time and variable"
        )
        pairs.append(("repeated", repeated))
    if profile.missing:
        pairs.append(("missing", _describe_missing(profile.missing)))
    if "air_temperature_c" in profile.missing:
        pairs.append(("day", _describe_cycle(profile.cycle)))
    if profile.rain is not None:
        pairs.append(("rain", _describe_rain(profile.rain)))
    return pairs


def _describe_coverage(coverage: Coverage) -> list[tuple[str, str]]:
    step = f", rows mostly {_duration(coverage.step)} apart" if coverage.step else ""
    gaps = f"none in {coverage.hours:,} hours"
    if coverage.longest_gap:
        longest = coverage.longest_gap
        without = coverage.hours - coverage.covered
        gaps = (
            f"{_share(without, coverage.hours)} of {coverage.hours:,} hours have no reading, the longest gap is "
            f"{longest.hours:,} h after {longest.after:%Y-%m-%d %H:%M} UTC at {longest.station_id}"
        )
    span = f"{coverage.first:%Y-%m-%d %H:%M} to {coverage.last:%Y-%m-%d %H:%M} UTC{step}"
    return [("hours", span), ("gaps", gaps)]


def _describe_missing(missing: Mapping[str, float]) -> str:
    shares = ", ".join(f"{name} {_percent(share)}" for name, share in missing.items() if share)
    others = "; of the others none" if any(not share for share in missing.values()) else ""
    return f"{shares} of the hours with readings{others}" if shares else "none"


def _describe_cycle(cycle: DailyCycle | None) -> str:
    if cycle is None:
        return "unknown: it takes three days of air temperature with every hour of the day"
    above = f"{cycle.amplitude_c:.1f} °C above the mean of the day"
    if cycle.warmest_by_the_sun_h is None:
        return f"warmest about {_clock(cycle.warmest_h)} UTC, {above}; by the sun it is unknown without positions"
    by_the_sun = f"{_clock(cycle.warmest_by_the_sun_h)} by the sun (usual is 14:30; {_clock(cycle.warmest_h)} UTC)"
    return f"warmest about {by_the_sun}, {above}"


def _describe_rain(rain: Rain) -> str:
    months = ", ".join(f"{month:%Y-%m} {_number(amount)} mm" for month, amount in rain.months[-_MONTHS:])
    before = f" (and {len(rain.months) - _MONTHS} months before)" if len(rain.months) > _MONTHS else ""
    wettest = f"{_number(rain.highest_mm)} mm at {rain.highest_station}, {rain.highest_at:%Y-%m-%d %H:%M} UTC"
    return f"{months}{before}; the highest hour is {wettest}"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({_percent(part / whole)})" if part else "none"


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


def _duration(span: timedelta) -> str:
    for unit, word in ((HOUR, "h"), (timedelta(minutes=1), "min"), (timedelta(seconds=1), "s")):
        if span >= unit and span % unit == timedelta(0):
            return f"{span // unit:,} {word}"
    return f"{span.total_seconds():g} s"


def _clock(hour: float) -> str:
    minutes = round(hour * 60) % (24 * 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"
