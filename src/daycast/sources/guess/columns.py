"""Which columns are which variables, guessed from their names, their units and their values; the names are in names.toml.

`find_variables` chooses a column for each variable by its name, `look_at_cells` adds what its cells say about it.
"""

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import polars as pl

from daycast.sources.tables.units import COMPASS, COMPASS_DEGREES, NO_DIRECTION, UNITS
from daycast.sources.tables.values import parse_number
from daycast.variables import BUILT_IN, IF_MAPPED

KNOWN = {**BUILT_IN, **IF_MAPPED}
_NAMES = tomllib.loads((Path(__file__).parent / "names.toml").read_text(encoding="utf-8"))
_UNITS = {spelling: unit for unit, spellings in _NAMES["units"].items() for spelling in spellings}
OF_MERCURY = {"in": "inHg", "mm": "mmHg"}  # what pressures are in
_FRACTIONS = {"fraction", "fractions", "0-1", "0..1", "0 - 1"}  # of 1
_PER_HOUR = re.compile(r"(.+?) ?/ ?(?:h|hr|hour)")
_TIMES = r"(?:[x×*·]|times) ?"
_SCALES = (  # of units, in words: what stands behind them, and by what numbers are multiplied
    (re.compile(r"(?:tenths?|10ths?|zehntel|dixiemes?|decimas?)(?: of| de)? ?(.+)"), 0.1),
    (re.compile(r"(?:hundredths?|100ths?|hundertstel|centiemes?|centesimas?)(?: of| de)? ?(.+)"), 0.01),
    (re.compile(r"c(m/s)"), 0.01),
    (re.compile(r"(?:10s?|tens)(?: of)? ?((?:°|º|deg).*)"), 10.0),
)
_SCALED = (  # the same in numbers: 1/100 in, 0.1 mm, mm/10, mm x 10
    re.compile(rf"(?:1 ?/ ?(?P<over>10+)|(?P<times>0[.,]\d+)) ?(?:{_TIMES})?(?P<unit>.+)"),
    re.compile(rf"(?P<unit>.+?) ?(?:(?:/ ?|{_TIMES})(?P<over>10+)|{_TIMES}(?P<times>0[.,]\d+))"),
)
_TIMES_TEN = re.compile(rf"(.+?)[\s_(\[]*{_TIMES}(10+)[)\]]*", re.IGNORECASE)
_SERIAL = re.compile(r"S/N|\d{5,}|\bS-[A-Z]{2,4}\b")  # of a sensor, in a column's name
_APART = re.compile(r"(?<=[a-z]{2})(\d+[a-z]?)\b")  # temp1, rain24h
_IN_UNIT = re.compile(r"(.+?) in (.+)")
_MARKED = re.compile(r"[+\u2212-]?\d+(?:[.,]\d+)?(\s*[^\d\s.,][^\d]{0,5})")
_NO_VALUE = {
    "na",
    "nan",
    "n/a",
    "null",
    "none",
    "m",
    "mm",
    "mq",
    "missing",
    "unknown",
    "unavailable",
    "nd",
    "///",
    "x",
    "?",
    "-",
    "--",
    "---",
    "----",
}
_SENTINELS = (
    -99,
    -99.9,
    -999,
    -999.9,
    -6999,
    -7999,
    -9999,
    -9999.9,
    -32768,
    999,
    999.9,
    9999,
    9999.9,
    99999,
    32767,
    65535,
)
_BY_MEDIAN = (  # what a median says about the unit of a variable whose name begins or ends like that
    ("pressure", 25, 32, {"unit": "inHg"}),
    ("altimeter", 25, 32, {"unit": "inHg"}),
    ("pressure", 50, 110, {"unit": "kPa"}),
    ("pressure", 5_000, 11_000, {"factor": 0.1}),
    ("pressure", 50_000, 110_000, {"unit": "Pa"}),
    ("temperature", 48, 120, {"unit": "°F"}),
    ("dew_point", 46, 90, {"unit": "°F"}),
    ("temperature", 220, 330, {"unit": "K"}),
    ("dew_point", 220, 330, {"unit": "K"}),
)
_TENTHS = 140  # no temperature is as high, in °C and °F alike; in K whole numbers are rare
_TENS = 36  # of degrees are all around
_FEW = 20  # words beside numbers; a column with more of them is no column of numbers


class NamedUnit(NamedTuple):
    """A unit as names have it: daycast's word for it, by what numbers are to be multiplied, and whether it is per hour."""

    unit: str | None  # None: the variable's own, as far as the name says
    factor: float = 1.0
    per_hour: bool = False


@dataclass
class Mapped:
    """A column, its settings in `[sources.columns]`, and what is a guess about them."""

    column: str
    settings: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    unit_is_named: bool = False


class _Match(NamedTuple):
    """How well a column's name fits a variable: the fewer other words, the better, and then the higher its line in names.toml."""

    others: int
    line: int
    variable: str
    implied: dict[str, Any]
    unit: NamedUnit | None
    rest: str  # the other words
    is_code: bool  # one or two letters, such as T


def plain(name: str) -> str:
    """A name in plain words: lower case, no accents, no punctuation, camelCase apart."""
    text = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text).casefold()
    return " ".join(re.sub(r"[\W_]+", " ", text).split())


def means(what: str, name: str) -> bool:
    """Whether a column's name is one of those that names.toml lists for `what`: "station", "time", "year" …"""
    names = (plain(name), plain(re.sub(r"[(\[].*", "", name)))
    return any(re.fullmatch(_NAMES["words"][what], words) for words in names)


@lru_cache(10_000)
def unit_in(text: str) -> NamedUnit | None:
    """The unit that a text is; None if it is none."""
    text = " ".join(text.casefold().replace("^", "").split())
    if text in _FRACTIONS:
        return NamedUnit("%", factor=100.0)
    if unit := _UNITS.get(text):
        return NamedUnit(unit)
    if (found := _PER_HOUR.fullmatch(text)) and (unit := _UNITS.get(found[1])):
        return NamedUnit(unit, per_hour=True)
    if (found_scale := _scale(text)) and (scaled := unit_in(found_scale[0])):
        return scaled._replace(factor=scaled.factor * found_scale[1])
    return None


def _scale(text: str) -> tuple[str, float] | None:
    """The unit in "1/100 in" or "tenths of °C", and by what numbers are to be multiplied to be in it."""
    for words, factor in _SCALES:
        if found := words.fullmatch(text):
            return found[1], factor
    if found := next(filter(None, (form.fullmatch(text) for form in _SCALED)), None):
        return found["unit"], 1 / int(found["over"]) if found["over"] else float(found["times"].replace(",", "."))
    return None


def split_unit(name: str) -> tuple[str, NamedUnit | None]:
    """The plain words of a column's name, and the unit that it names: in brackets, behind a comma, a dash or "in", or last."""
    if found := _TIMES_TEN.fullmatch(name):
        words, unit = split_unit(found[1])
        unit = unit or NamedUnit(None)
        return words, unit._replace(factor=unit.factor / int(found[2]))
    if (found := _IN_UNIT.fullmatch(name)) and (unit := unit_in(found[2])):
        return plain(found[1]), unit
    parts = [part.strip() for part in re.split(r"[()\[\]{}]|(?<!\d),|,(?!\d)|\s-\s", name) if part.strip()]
    parts = [part for part in parts if not _SERIAL.search(part)]
    for part in parts[1:]:
        if unit := unit_in(part):
            return plain(" ".join(other for other in parts if other is not part)), unit
    return split_last(" ".join(parts))


def split_last(name: str) -> tuple[str, NamedUnit | None]:
    """The same, where the last of a name's words are the unit."""
    for words in (re.split(r"[\s_]+", name), plain(name).split(" ")):
        for count in range(min(4, len(words) - 1), 0, -1):
            last = words[-count:]
            joints = ("_", " ", "/", "") if count == 2 else (" ",)  # wind_m_s, temp_deg_c
            unit = next(filter(None, (unit_in(joint.join(last)) for joint in joints)), None)
            if unit and (count == 1 or len(words) > count) and unit.unit != "K":
                return plain(" ".join(words[:-count])), unit
    return plain(name), None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    lines = [(variable, dict(entry)) for variable, entries in _NAMES["variables"].items() for entry in entries]
    return [(variable, _whole_words(implied.pop("like")), implied) for variable, implied in lines]


@cache
def _whole_words(like: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{like})(?!\w)")


def _matches(name: str, unit_row: NamedUnit | None) -> list[_Match]:
    """The variables that a name may mean; digits at the end of a word count as one of their own if nothing else fits."""
    words, unit = split_unit(name)
    found = list(_matches_of(words, unit, unit_row))
    return found or list(_matches_of(_APART.sub(r" \1", words), unit, unit_row))


def _matches_of(words: str, unit: NamedUnit | None, unit_row: NamedUnit | None) -> Iterator[_Match]:
    for line, (variable, like, implied) in enumerate(_patterns()):
        found = max(like.finditer(words), key=lambda one: len(one[0]), default=None)
        if found is None:
            continue
        rest = " ".join((words[: found.start()], words[found.end() :]))
        rest = " ".join(_whole_words(_NAMES["words"]["harmless"]).sub(" ", rest).split())
        is_code = len(found[0]) <= 2 and found[0].isascii()
        if _whole_words(_NAMES["words"]["other"]).search(rest) or (is_code and rest):
            continue
        named = _of_variable(unit or unit_row, variable)
        if named is None and (unit is not None or "needs_unit" in implied):
            continue
        is_rate = named is not None and named.per_hour and KNOWN[variable].cell_method == "sum"
        rate = {"cell_method": "rate"} if is_rate else {}
        yield _Match(len(rest.split()), line + 100 * bool(rate), variable, {**implied, **rate}, named, rest, is_code)


def _of_variable(named: NamedUnit | None, variable: str) -> NamedUnit | None:
    """The unit, if it is one of the variable."""
    if named is None or named.unit is None:
        return named
    quantity = UNITS[KNOWN[variable].unit].quantity
    unit = OF_MERCURY.get(named.unit, named.unit) if quantity == "pressure" else named.unit
    return named._replace(unit=unit) if UNITS[unit].quantity == quantity else None


def best_match(name: str, unit_row: str = "", but: Collection[str] = ()) -> _Match | None:
    """The variable that a column's name most likely means, `but` those; None if it means none."""
    matches = (match for match in _matches(name, unit_in(unit_row)) if match.variable not in but)
    return min(matches, default=None, key=lambda match: match[:2])


def find_variables(
    names: Iterable[str],
    units: Mapping[str, str],
    refused: Collection[tuple[str, str]] = (),
    repeated: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Mapped]:
    """The column of each variable; `units` are those of a line below the header, by column.

    `refused` are variables and columns whose cells are no values of theirs, `repeated` the names that several columns share.
    """
    fits: dict[str, list[tuple[_Match, str]]] = {}
    for name in names:
        others = [variable for variable, one in refused if one == name]
        if match := best_match(repeated.get(name, name), units.get(name, ""), others):
            fits.setdefault(match.variable, []).append((match, name))
    in_order = (name for name in KNOWN if name in fits)
    return {name: _choose(sorted(fits[name], key=lambda fit: fit[0][:2])) for name in in_order}


def _choose(fits: list[tuple[_Match, str]]) -> Mapped:
    (best, column), others = fits[0], [name for _, name in fits[1:]]
    settings = {key: value for key, value in best.implied.items() if key not in {"doubt", "needs_unit"}}
    if best.unit:
        settings |= {"unit": best.unit.unit} if best.unit.unit not in {None, KNOWN[best.variable].unit} else {}
        settings |= {"factor": best.unit.factor} if best.unit.factor != 1 else {}
    mapped = Mapped(column, settings, unit_is_named="unit" in settings or bool(best.unit and best.unit.unit))
    if "doubt" in best.implied:
        mapped.doubts.append(best.implied["doubt"])
    if others and fits[1][0].others == best.others:
        mapped.doubts.append("or " + ", ".join(repr(name) for name in others[:3]))
    elif best.others or best.is_code:
        mapped.doubts.append("by its short name" if best.is_code else "by its name")
    return mapped


_BY_VALUES = (  # what a column without a name may be: (variable, low, high, whether its numbers have decimals)
    ("station_pressure_hpa", 600, 1080, None),
    ("air_temperature_c", -50, 50, True),
    ("relative_humidity_pct", 5, 100, None),
)
_ZEROS = 0.1  # of temperatures are 0 at most; of rain most are


def find_by_values(columns: Mapping[str, pl.Series]) -> dict[str, Mapped]:
    """A column for some variables by nothing but its numbers, where columns have no names."""
    found: dict[str, Mapped] = {}
    for column, numbers in columns.items():
        if name := next((name for name in _fitting(numbers) if name not in found), None):
            found[name] = Mapped(column, {}, ["by its values alone"], unit_is_named=True)
    return found


def find_stations_by_values(columns: Mapping[str, pl.Series]) -> dict[str, dict[str, str]]:
    """The columns as those of one variable, by station, where all of them have numbers as that variable has; empty if not.

    A unit in brackets behind a name is that of the numbers, and no part of the station.
    """
    fits = [set(_fitting(numbers, _bracketed(column)[1])) for column, numbers in columns.items()]
    alike = set.intersection(*fits) if len(fits) > 1 else set()
    is_told = all(_bracketed(column)[1] for column in columns)
    possible = _BY_VALUES if is_told else _BY_VALUES[:2]  # many a column is between 5 and 100
    name = next((name for name, *_ in possible if name in alike), None)
    stations = {_bracketed(column)[0]: column for column in columns}
    whole = stations if len(stations) == len(columns) else {column: column for column in columns}
    return {name: whole} if name else {}


def map_by_unit(variable: str, column: str) -> Mapped:
    """A column of the variable, with the unit in brackets behind its name."""
    unit = _of_variable(_bracketed(column)[1], variable)
    mapped = Mapped(column, unit_is_named=unit is not None)
    if unit:
        mapped.settings |= {"unit": unit.unit} if unit.unit not in {None, KNOWN[variable].unit} else {}
        mapped.settings |= {"factor": unit.factor} if unit.factor != 1 else {}
    return mapped


def _bracketed(name: str) -> tuple[str, NamedUnit | None]:
    """A name without the unit in brackets behind it, and that unit; the whole name if there is none."""
    found = re.fullmatch(r"(.+?)\s*[(\[]([^()\[\]]+)[)\]]\s*", name)
    unit = unit_in(found[2]) if found else None
    return (found[1], unit) if found and unit else (name, None)


def _fitting(numbers: pl.Series, unit: NamedUnit | None = None) -> Iterator[str]:
    known = numbers.drop_nulls()
    fractions = not _are_whole(known)
    for name, low, high, decimals in _BY_VALUES:
        named = _of_variable(unit, name)
        if unit and not named:
            continue
        own = UNITS[named.unit or KNOWN[name].unit] if named else UNITS[KNOWN[name].unit]
        at = (known * (named.factor if named else 1.0) - own.zero) * own.factor
        is_inside = known.n_unique() > 1 and at.is_between(low, high).all()
        if is_inside and decimals in {None, fractions} and (known == 0).sum() <= _ZEROS * len(known):
            yield name


def numbers_in(cells: pl.Series, decimal: str, thousands: str | None) -> pl.Series:
    """The number in each cell, marks behind it left out; null where there is none."""
    text = cells.to_frame("cell").select(pl.col("cell").str.replace(r"\s*[^\d\s.,][^\d]{0,5}$", ""))
    return text.select(parse_number(pl.col("cell"), decimal, thousands)).to_series()


def look_at_cells(variable: str, mapped: Mapped, cells: pl.Series, numbers: pl.Series) -> bool:
    """Add to the settings what the cells of one station say: marks, missing markers, the unit, a counter.

    False if these are no values of the variable at all.
    """
    words = cells.filter(numbers.is_null() | cells.str.contains(_MARKED.pattern)).drop_nulls()
    distinct = words.unique(maintain_order=True).to_list()
    if variable == "wind_from_deg" and _are_points(distinct) and numbers.drop_nulls().is_empty():
        mapped.settings["unit"], mapped.unit_is_named = COMPASS, True
        distinct = [word for word in distinct if word.upper() not in {*COMPASS_DEGREES, *NO_DIRECTION}]
    elif mapped.settings.get("unit") == COMPASS:
        return False
    odd = [word for word in distinct if not _MARKED.fullmatch(word) and word.casefold() not in _NO_VALUE]
    if (
        len(odd) > _FEW
        or (odd and not numbers.count() and mapped.settings.get("unit") != COMPASS)
        or (numbers.null_count() > len(numbers) / 2 and len(odd) > 1)
    ):
        return False
    for word in distinct:
        _take_word(variable, mapped, word)
    inside = _take_sentinels(variable, mapped, numbers.drop_nulls())
    if mapped.settings.get("factor", 1) < 1 and not _are_whole(inside):
        mapped.doubts.append(f"its numbers have decimals: is the factor {mapped.settings['factor']:g} right?")
    if not mapped.unit_is_named:
        _guess_unit(variable, mapped, inside)
    if KNOWN[variable].cell_method == "sum":
        _guess_counter(mapped, inside)
    return int(_is_outside(variable, mapped, inside).sum()) * 2 <= len(inside)


def _are_whole(numbers: pl.Series) -> bool:
    return bool((numbers == numbers.round()).all())


def _are_points(words: list[str]) -> bool:
    return sum(word.upper() in COMPASS_DEGREES for word in words) * 2 > len(words)


def _take_word(variable: str, mapped: Mapped, word: str) -> None:
    if found := _MARKED.fullmatch(word):
        mark = found[1].strip()
        if unit := _of_variable(unit_in(mark), variable):
            mapped.settings |= {"unit": unit.unit} if unit.unit != KNOWN[variable].unit else {}
            mapped.unit_is_named = True
        _append(mapped, "strip", mark)
    elif variable == "precipitation_mm" and word.casefold() in {"t", "trace"}:
        _append(mapped, "zero", word)
    else:
        _append(mapped, "missing", word)
        is_plain = word.casefold() in _NO_VALUE or (variable == "wind_from_deg" and word.upper() in NO_DIRECTION)
        if not is_plain:
            mapped.doubts.append(f"{word!r} is taken for missing")


def _append(mapped: Mapped, key: str, word: str | float) -> None:
    mapped.settings[key] = list(dict.fromkeys([*mapped.settings.get(key, []), word]))


def _take_sentinels(variable: str, mapped: Mapped, numbers: pl.Series) -> pl.Series:
    """The numbers without missing markers: numbers that are usual ones and no value of the variable."""
    marks = numbers.is_in(list(map(float, _SENTINELS))) & _is_outside(variable, mapped, numbers)
    for number in numbers.filter(marks).unique().sort():
        _append(mapped, "missing", int(number) if number == int(number) else number)
    return numbers.filter(~marks)


def _is_outside(variable: str, mapped: Mapped, numbers: pl.Series) -> pl.Series:
    """Where numbers are beyond the limits of the variable."""
    unit = UNITS[mapped.settings.get("unit", KNOWN[variable].unit)]
    at = (numbers * mapped.settings.get("factor", 1.0) - unit.zero) * unit.factor
    return ~at.is_between(KNOWN[variable].valid_min, KNOWN[variable].valid_max)


def _guess_unit(variable: str, mapped: Mapped, numbers: pl.Series) -> None:
    median, high = numbers.median(), numbers.max()
    guessed: dict[str, Any] = {}
    if isinstance(median, float) and isinstance(high, float):
        is_like = (entry for entry in _BY_MEDIAN if entry[0] in variable and entry[1] <= median <= entry[2])
        guessed = next((settings for _, _, _, settings in is_like), {})
        if variable == "relative_humidity_pct" and 0 < high <= 1:
            guessed = {"factor": 100}
        if variable == "wind_from_deg" and 0 < high <= _TENS and _are_whole(numbers):
            guessed = {"factor": 10}
        if variable in {"air_temperature_c", "dew_point_c"} and high > _TENTHS and _are_whole(numbers):
            guessed = {"factor": 0.1}
    guessed = {key: value for key, value in guessed.items() if key not in mapped.settings}
    mapped.settings |= guessed
    if guessed:
        mapped.doubts.append("the unit, by its values")
    elif variable not in {"wind_from_deg", "relative_humidity_pct"}:
        mapped.doubts.append(f"the unit is not named: {KNOWN[variable].unit}?")


def _guess_counter(mapped: Mapped, numbers: pl.Series) -> None:
    """Whether an amount behaves like a counter, or what is called a counter does not."""
    change = numbers.diff().drop_nulls()
    rises, falls = int((change > 0).sum()), int((change < 0).sum())
    stays = int(((change == 0) & (numbers[1:] > 0)).sum()) if len(numbers) else 0
    method = mapped.settings.get("cell_method")
    if method is None and rises > 1 and stays > rises + falls:
        mapped.settings["cell_method"] = "counter"
        mapped.doubts.append("a counter, because it rises and stays")
    if method == "counter" and falls > max(rises, 2):
        del mapped.settings["cell_method"]
        mapped.doubts.append("amounts, because it falls as often as it rises")
    is_shown = rises > 1 and (2 * falls <= rises or stays > rises + falls)
    if mapped.settings.get("cell_method") != "counter" or not is_shown:
        mapped.settings.pop("resets", None)
    elif "resets" in mapped.settings:
        mapped.doubts.append("it begins again at midnight by the timezone of the source, by its name")


def use_one_system(mapped: Mapping[str, Mapped]) -> None:
    """Where a unit is not named, take the one that goes with the temperature's: °F goes with mph and in."""
    temperature = mapped.get("air_temperature_c")
    unit = temperature.settings.get("unit") if temperature else None
    beside = {"dew_point_c": unit} | (
        {"wind_speed_m_s": "mph", "wind_gust_m_s": "mph", "precipitation_mm": "in"} if unit == "°F" else {}
    )
    for variable, other in beside.items():
        if (
            other
            and variable in mapped
            and not mapped[variable].unit_is_named
            and "unit" not in mapped[variable].settings
        ):
            mapped[variable].settings["unit"] = other
            mapped[variable].doubts = [
                f"the unit, because it goes with {unit}",
                *(text for text in mapped[variable].doubts if "the unit" not in text),
            ]


def find_labels(names: Iterable[str], units: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The columns of each variable by station, where a table has one column a station; empty if it does not look like that.

    Then all columns are of variables, each variable has several, and each column has other words, which are no heights.
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        match = best_match(name, units.get(name, ""))
        if (
            match is None
            or not match.rest
            or re.fullmatch(r"(?:\d+(?: ?c?m)? ?)+", match.rest)
            or match.rest in found.get(match.variable, {})
        ):
            return {}
        found.setdefault(match.variable, {})[match.rest] = name
    return found if found and all(len(stations) > 1 for stations in found.values()) else {}
