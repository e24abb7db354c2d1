"""The `[[sources]]` table for a file: what a known layout says, if it is one, and guesses for all that is left open."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import polars as pl

from daycast.errors import SourceError, listed
from daycast.sources.files.layout import Layout
from daycast.sources.guess.columns import (
    KNOWN,
    Mapped,
    best_match,
    find_by_values,
    find_labels,
    find_stations_by_values,
    find_variables,
    look_at_cells,
    map_by_unit,
    means,
    numbers_in,
    plain,
    unit_in,
    use_one_system,
)
from daycast.sources.guess.databases import is_sqlite, propose_database
from daycast.sources.guess.text import Sample, read_sample, read_text
from daycast.sources.guess.times import Time, find_time, find_tolerance, find_zone, offset, why_no_time
from daycast.sources.streams import open_bytes
from daycast.sources.tables.units import UNITS

_ORDER = (
    "kind", "name", "files", "separator", "lines_before_header", "lines_after_header", "comment", "header_in_comment",
    "names", "widths", "encoding", "decimal", "thousands", "missing", "timezone", "station", "station_width", "time", "tolerance",
    "tidy", "columns", "wide",
)  # fmt: skip
_LISTS = ("missing", "zero", "strip")
_TYPED = ("column", "unit", "factor", "offset", "cell_method", "resets")  # what a column of a Parquet file may say
_ROWS = 20_000  # of a Parquet file
_PARQUET = b"PAR1"
_NUMERIC = 0.5  # the share of a column's cells that are numbers, at least
_MANY = 200  # different words; a column with more does not name variables
_REPEATED = 0.75  # of the rows have a time of their own at most, where several belong to each time
_STATED = re.compile(  # what the text above the rows calls the station
    r"^\W*(?:station|site|device|estaci[oó]n|esta[cç][aã]o|stazione)(?:[ _]?(?:id|name|no|nr|number|code|nummer))?\W{0,2}[:=]"
    r'\s*"?([^";:=\n]{1,40}?)"?[;,\s]*$',
    re.IGNORECASE | re.MULTILINE,
)
_DECIMALS = {  # by decimal mark and mark of thousands: what numbers look like
    (",", "."): r"^[+-]?\d{1,3}(?:\.\d{3})+,\d+$",
    (".", ","): r"^[+-]?\d{1,3}(?:,\d{3})+\.\d+$",
    (",", None): r"^[+-]?\d*,\d+$",
    (".", None): r"^[+-]?\d*\.\d+$",
}


@dataclass
class Proposal:
    """Settings of a source, what is a guess about them by setting, and what else was seen."""

    settings: dict[str, Any]
    doubts: dict[str, str] = field(default_factory=dict)
    layout: str | None = None  # its name, if it is a known one
    unread: tuple[str, ...] = ()  # columns of numbers that no variable is read from


def propose(path: Path, files: str) -> Proposal:
    """The source that reads a file; `files` is its address in the configuration, a pattern.

    Raises SourceError for a file that cannot be read, and for one in which no table, time or variable can be made out.
    """
    if is_sqlite(path):
        table = propose_database(path, (PurePath(_unescaped(files)).parent / path.name).as_posix())
        return Proposal(table.settings, table.doubts, table.program)
    with open_bytes(path, path.name) as file:
        is_typed = file.read(len(_PARQUET)) == _PARQUET
    sample, layout = (_typed_sample(path), {}) if is_typed else _text_sample(path)
    finder = _Finder(path, sample, layout)
    finder.find()
    name = plain(path.name.split(".")[0]).replace(" ", "-") or "files"
    settings = {"kind": "csv", "name": name, "files": files, **finder.settings}
    if is_typed:
        settings = _without_text({**settings, "kind": "parquet"})
    in_order = {key: settings[key] for key in _ORDER if key in settings}
    return Proposal(in_order, finder.doubts, layout.get("name"), finder.unread)


def _unescaped(pattern: str) -> str:
    """A pattern without what keeps it from being one."""
    return re.sub(r"\[([*?[])\]", r"\1", pattern)


@cache
def _layouts() -> list[dict[str, Any]]:
    return list(tomllib.loads((Path(__file__).parent / "layouts.toml").read_text(encoding="utf-8"))["layouts"])


def _text_sample(path: Path) -> tuple[Sample, dict[str, Any]]:
    """The beginning of the file, and its known layout if it has one."""
    text = read_text(path)
    for layout in _layouts():
        if re.search(layout["sign"], text, re.MULTILINE):
            given = {key: value for key, value in layout.get("settings", {}).items() if key in Layout.model_fields}
            sample = read_sample(path, given)
            when = layout.get("when", {}).items()
            if all(name in sample.table and sample.table[name].eq(value).all() for name, value in when):
                return sample, layout
    return read_sample(path), {}


def _typed_sample(path: Path) -> Sample:
    try:
        table = pl.scan_parquet(path).head(_ROWS).collect()
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path.name} is a damaged Parquet file: {str(error).splitlines()[0][:120]}") from None
    flat = [name for name, dtype in table.schema.items() if not dtype.is_nested()]
    times = {name: dtype for name, dtype in table.schema.items() if isinstance(dtype, pl.Datetime)}
    return Sample(table.select(pl.col(flat).cast(pl.String, strict=False)), typed_times=times)


def _without_text(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as kind parquet has them: numbers are marked missing for the source, never words for a column."""
    columns = {name: one if isinstance(one, dict) else {"column": one} for name, one in settings["columns"].items()}
    marks = [mark for one in (settings, *columns.values()) for mark in one.get("missing", [])]
    typed = {name: {key: one[key] for key in _TYPED if key in one} for name, one in columns.items()}
    missing = list(dict.fromkeys(mark for mark in marks if not isinstance(mark, str)))
    rest = {key: value for key, value in settings.items() if key != "missing"} | (
        {"missing": missing} if missing else {}
    )
    return rest | {"columns": {name: _shortest(one) for name, one in typed.items()}}


def _shortest(column: dict[str, Any]) -> dict[str, Any] | str:
    return column if len(column) > 1 else str(column["column"])


class _Finder:
    """Finds the time, the station and the variables in the beginning of one file; `settings` and `doubts` are what it found."""

    def __init__(self, path: Path, sample: Sample, layout: dict[str, Any]) -> None:
        self._path, self._sample, self._layout, self._table = path, sample, layout, sample.table
        self._found: dict[str, str] = layout.get("found", {})
        self.settings: dict[str, Any] = {**sample.settings, **layout.get("settings", {})}
        self.doubts: dict[str, str] = dict(sample.doubts)
        self.unread: tuple[str, ...] = ()

    def find(self) -> None:
        """Find all of it. Raises SourceError if there is no time, or no variable."""
        time = self._find_time()
        names = [name for name in self._table.columns if name not in time.columns]
        self._find_decimal(names)
        tidy = None if self._layout.get("columns") else self._find_tidy(names, time)
        taken = {value for key, value in self.settings.get("tidy", {}).items() if key != "ignore"}
        station = self._find_station(time, [name for name in names if name not in taken])
        self._find_variables([name for name in names if name != station], station, tidy)
        for key, doubt in self._layout.get("doubts", {}).items():
            if key in self.settings or key in self.settings.get("columns", {}):
                self.doubts[f"columns.{key}" if key in KNOWN else key] = doubt

    def _find_time(self) -> Time:
        time = self._given_time() or find_time(self._table)
        if time is None:
            raise SourceError(f"{self._path.name}: {why_no_time(self._table)}")
        self._find_zone(time)
        self.settings["time"] = time.setting
        self.doubts |= time.doubts
        if issued := next((name for name in self._table.columns if means("issued", name)), None):
            self.doubts["time"] = (
                f"{issued!r} looks as if these are forecasts; daycast reads them from another table of the file"
            )
        if not self._sample.typed_times and (tolerance := find_tolerance(self._table, time)):
            self.settings["tolerance"] = tolerance
            self.doubts["tolerance"] = "hourly stamps lie seconds around full hours"
        return time

    def _given_time(self) -> Time | None:
        """The time as the layout, or the type of a column, says it."""
        if times := self._sample.typed_times:
            name = next((name for name in times if means("time", name)), next(iter(times)))
            return Time((name,), name, names_instants=times[name].time_zone is not None)
        given = self.settings.get("time")
        if isinstance(given, dict):
            columns = given.get("columns") or [value for key, value in given.items() if key not in {"format", "epoch"}]
            return Time(tuple(columns), given, names_instants="epoch" in given)
        names = [name for name in ([given] if isinstance(given, str) else given or []) if name in self._table]
        return find_time(self._table.select(names[0])) if names else None

    def _find_zone(self, time: Time) -> None:
        for key, an_hour in (("hours", 1), ("seconds", 3600)):
            if found := self._search(key):
                self.settings["timezone"] = offset(float(found) / an_hour)
        if "timezone" in self.settings or time.names_instants:
            return
        is_standard = self._layout.get("standard_time") or "LST" in " ".join(time.columns)
        if is_standard and (longitude := self._longitude()) is not None:
            self.settings["timezone"] = offset(round(longitude / 15))
            self.doubts["timezone"] = f"standard time all year, as far from UTC as the longitude {longitude:g} says"
            return
        find_zone(time, self._head_without([name for name in self._table.columns if name not in time.columns]))
        self.settings["timezone"] = time.timezone

    def _head_without(self, names: Sequence[str]) -> str:
        """The text above the rows without the names of other columns, which may be those of another time."""
        head = self._sample.head
        for name in names:
            head = head.replace(name, "")
        return head

    def _longitude(self) -> float | None:
        name = next((name for name in self._table.columns if plain(name).startswith("lon")), None)
        return None if name is None else self._table[name].cast(pl.Float64, strict=False).drop_nulls().first()  # type: ignore[return-value]

    def _search(self, key: str) -> str | None:
        """What the text above the rows says of a setting, by the layout's expression for it."""
        found = re.search(self._found[key], self._sample.head, re.MULTILINE) if key in self._found else None
        return found[1].strip() if found else None

    def _find_decimal(self, names: Sequence[str]) -> None:
        cells = pl.concat([pl.Series("", [""]), *(self._table[name].alias("").drop_nulls() for name in names)])
        counts = {marks: int(cells.str.contains(form).sum()) for marks, form in _DECIMALS.items()}
        decimal, thousands = next(
            (marks for marks in _DECIMALS if counts[marks] and (marks[1] or counts[marks] > counts[".", None])),
            (".", None),
        )
        self.settings |= {"decimal": decimal} if decimal != "." else {}
        self.settings |= {"thousands": thousands} if thousands else {}

    def _numbers(self, cells: pl.Series) -> pl.Series:
        return numbers_in(cells, self.settings.get("decimal", "."), self.settings.get("thousands"))

    def _is_numeric(self, name: str) -> bool:
        cells = self._table[name].drop_nulls()
        return len(cells) > 0 and self._numbers(cells).count() > _NUMERIC * len(cells)

    def _find_station(self, time: Time, columns: Sequence[str]) -> str | None:
        """The column of the station, if one of them names it; else what does is set."""
        given = self.settings.get("station")
        if isinstance(given, dict):
            return None
        if isinstance(given, str) and given in self._table:
            return given
        self.settings.pop("station_width", None)
        if constant := self._search("station"):
            self.settings["station"] = {"constant": constant}
            return None
        if column := self._named_station(columns) or self._find_repeating(time, columns):
            self.settings["station"] = column
            return column
        if stated := _STATED.search(self._sample.head):
            self.settings["station"] = {"constant": stated[1].strip()}
            self.doubts["station"] = "as the text above the rows names it"
            return None
        suffixes = self._path.suffixes[-2:] if self._path.suffix == ".gz" else self._path.suffixes[-1:]
        self.settings["station"] = {"file_name": f"(.+){re.escape(''.join(suffixes))}"}
        self.doubts["station"] = 'no column names it, so it is called like its file; or { constant = "…" }'
        return None

    def _named_station(self, columns: Sequence[str]) -> str | None:
        names = [name for name in columns if self._may_be_station(name)]
        names.sort(key=lambda name: not means("station_id", name))
        if others := names[1:]:
            self.doubts["station"] = f"or {listed(map(repr, others))}"
        return next(iter(names), None)

    def _find_repeating(self, time: Time, columns: Sequence[str]) -> str | None:
        """The column with each of whose values each time comes once, where times repeat: the one with the fewest values."""
        times, rows = list(time.columns), self._table.height
        kinds = [*times, self.settings["tidy"]["variable"]] if "tidy" in self.settings else times
        if self._table.n_unique(kinds) > _REPEATED * rows:
            return None
        found = [
            name
            for name in columns
            if 2 * self._table[name].n_unique() <= rows
            and best_match(name) is None
            and not self._table[name].str.contains(r"^[+-]?\d*[.,]\d+$").any()
            and self._table.n_unique([*kinds, name]) == rows
        ]
        best = min(found, key=lambda name: self._table[name].n_unique(), default=None)
        if best:
            self.doubts["station"] = "because each time comes once with each of its values"
        return best

    def _may_be_station(self, name: str) -> bool:
        different, count = self._table[name].drop_nulls().n_unique(), self._table[name].count()
        return (
            (means("station_id", name) or means("station_name", name))
            and count > 0
            and (different == 1 or 2 * different <= count)
        )

    def _find_variables(self, names: Sequence[str], station: str | None, tidy: dict[str, Mapped] | None) -> None:
        numeric = [name for name in names if self._is_numeric(name)]
        rows = self._table.filter(pl.col(station) == pl.col(station).drop_nulls().first()) if station else self._table
        if self._layout.get("columns") or tidy:
            mapped = self._that_fit(tidy or self._of_layout(), rows)
        elif station is None and (wide := find_labels(numeric, self._sample.units)):
            return self._set_wide(wide, "one column a station")
        else:
            mapped = self._find_by_name(names, rows)
        numbers = {name: self._numbers(self._table[name]) for name in numeric}
        if not mapped and self.settings.get("names") == []:
            mapped = self._that_fit(find_by_values(numbers), rows)
        elif not mapped and "station" in self.doubts and (wide := find_stations_by_values(numbers)):
            return self._set_wide(wide, "one column a station, and the variable by its values alone")
        if not mapped:
            raise SourceError(
                f"{self._path.name}: no column is called like a variable; its columns are {listed(map(repr, names))}: rename "
                "them in the file, or write its [[sources]] table by hand"
            )
        use_one_system(mapped)
        self._set_columns(mapped)
        if not tidy:
            read = {one.column for one in mapped.values()}
            self.unread = tuple(name for name in names if name not in read and name in {*numeric, *self.unread})
        return None

    def _that_fit(self, mapped: Mapping[str, Mapped], rows: pl.DataFrame) -> dict[str, Mapped]:
        return {variable: one for variable, one in mapped.items() if self._look_at(variable, one, rows)}

    def _find_by_name(self, names: Sequence[str], rows: pl.DataFrame) -> dict[str, Mapped]:
        """A column for each variable whose cells can be values of it, by names; `unread` are those whose cells cannot."""
        refused: set[tuple[str, str]] = set()
        while True:
            mapped = find_variables(names, self._sample.units, refused, self._sample.repeated)
            fitting = self._that_fit(mapped, rows)
            if len(fitting) == len(mapped):
                self.unread = tuple(name for _, name in refused)
                return fitting
            refused |= {(variable, one.column) for variable, one in mapped.items() if variable not in fitting}

    def _of_layout(self) -> dict[str, Mapped]:
        found = {}
        for variable, given in self._layout["columns"].items():
            several = [
                one if isinstance(one, dict) else {"column": one}
                for one in (given if isinstance(given, list) else [given])
            ]
            if settings := next((dict(one) for one in several if one["column"] in self._table), None):
                settings |= {
                    key: [settings[key]] for key in _LISTS if key in settings and not isinstance(settings[key], list)
                }
                settings |= {"strip": self._layout["marks"]} if "marks" in self._layout else {}
                found[variable] = Mapped(settings.pop("column"), settings, unit_is_named=True)
        return found

    def _look_at(self, variable: str, mapped: Mapped, rows: pl.DataFrame) -> bool:
        """Add to the settings what the cells say; whether they can be values of the variable."""
        column = mapped.column
        if tidy := self.settings.get("tidy"):
            rows, column = rows.filter(pl.col(tidy["variable"]) == mapped.column), tidy["value"]
        cells = rows[column].drop_nulls()
        return look_at_cells(variable, mapped, cells, self._numbers(cells)) or bool(self._layout.get("columns"))

    def _set_columns(self, mapped: Mapping[str, Mapped]) -> None:
        """Set the columns; markers of missing values that several have are those of the source."""
        given = self.settings.get("missing", [])
        counts = Counter(mark for one in mapped.values() for mark in one.settings.get("missing", []))
        everywhere = given if isinstance(given, list) else [given]
        everywhere = [*everywhere, *(mark for mark, count in counts.items() if count > 1 and mark not in everywhere)]
        self.settings |= {"missing": everywhere} if everywhere else {}
        self.settings["columns"] = {}
        for variable, one in mapped.items():
            own = [mark for mark in one.settings.pop("missing", []) if mark not in everywhere]
            settings = {"column": one.column, **one.settings} | ({"missing": own} if own else {})
            self.settings["columns"][variable] = _shortest(settings)
            if one.doubts:
                self.doubts[f"columns.{variable}"] = "; ".join(one.doubts)

    def _find_tidy(self, names: Sequence[str], time: Time) -> dict[str, Mapped] | None:
        """The variables of a table with one value a row, whose setting is set; None if it is none."""
        for name in names:
            words = self._table[name].drop_nulls().unique(maintain_order=True).to_list()
            is_named = means("variable", name)
            if len(words) > _MANY or self._is_numeric(name) or not (is_named or self._name_variables(words, time)):
                continue
            others = [other for other in names if other != name]
            unit, value = self._column_of_units(others), self._column_of_values(others)
            if value and (mapped := self._set_tidy(name, value, unit, words)):
                if not (is_named and means("value", value)):
                    self.doubts["tidy"] = "one value a row, by the words in it"
                return mapped
        return None

    def _name_variables(self, words: Sequence[str], time: Time) -> bool:
        """Whether most words are called like variables, and each time has several rows."""
        repeat = self._table.n_unique(list(time.columns)) <= _REPEATED * self._table.height
        return repeat and len(words) > 1 and 2 * sum(best_match(word) is not None for word in words) > len(words)

    def _column_of_values(self, names: Sequence[str]) -> str | None:
        numeric = [name for name in names if self._is_numeric(name)]
        named = [name for name in numeric if means("value", name)]
        others = [name for name in numeric if not (means("station_id", name) or means("station_name", name))]
        return next(iter(named), others[0] if len(others) == 1 else None)

    def _column_of_units(self, names: Sequence[str]) -> str | None:
        named = [name for name in names if means("unit", name)]
        cells = {name: self._table[name].drop_nulls().unique().head(_MANY).to_list() for name in names}
        units = [name for name in names if cells[name] and all(unit_in(cell) for cell in cells[name])]
        return next(iter([*named, *units]), None)

    def _set_tidy(self, name: str, value: str, unit: str | None, words: Sequence[str]) -> dict[str, Mapped]:
        cells = self._table.drop_nulls(name).unique(name, keep="first")
        units = dict(cells.select(name, pl.col(unit).fill_null("") if unit else pl.lit("").alias("unit")).iter_rows())
        mapped = find_variables(words, units)
        left_out = [word for word in words if word not in {one.column for one in mapped.values()}]
        tidy: dict[str, Any] = {"variable": name, "value": value} | ({"ignore": left_out} if left_out else {})
        if unit and all(one in UNITS for one in units.values() if one):
            tidy |= {"unit": unit}
            for one in mapped.values():
                one.settings.pop("unit", None)
        if mapped:
            self.settings["tidy"] = tidy
        return mapped

    def _set_wide(self, wide: Mapping[str, dict[str, str]], doubt: str) -> None:
        """Set the columns of a table with one column a station."""
        del self.settings["station"]
        self.doubts.pop("station", None)
        self.settings["wide"] = {}
        for variable, stations in wide.items():
            column = next(iter(stations.values()))
            named = find_variables([column], self._sample.units)
            first = named.get(variable) or map_by_unit(variable, column)
            self._look_at(variable, first, self._table)
            self.settings["wide"][variable] = {"stations": stations, **first.settings} if first.settings else stations
            self.doubts[f"wide.{variable}"] = "; ".join([doubt, *(one for one in first.doubts if "name" not in one)])
