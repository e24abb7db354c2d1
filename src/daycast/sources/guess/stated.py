"""Units that the header of a file states, where the settings say another: a file in °F that is read in °C is plausible weather.

A header is believed only where it is plain: `_stated_unit` says when. The words are those of columns.py.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from daycast.sources.guess.columns import OF_MERCURY, NamedUnit, best_match, plain, split_last, split_unit, unit_in
from daycast.sources.tables.columns import ValueColumn
from daycast.sources.tables.units import UNITS, Unit, possible_units
from daycast.variables import Variable

_OF_ONE_UNIT = {"direction", "percentage"}  # quantities whose words say little
_BRACKETS = "()[]{} "
_IS_LAST = re.compile(r"\w[\s_]+[^\s_]+$")  # a word behind another, and behind no comma
_BEHIND_A_NUMBER = re.compile(r"(?:^|[\s_])\d+[\s_]+[^\s_]+$")  # a depth or height, as in "rain 100 cm"


def doubt_units(
    columns: Mapping[str, tuple[ValueColumn, Collection[str]]],
    variables: Mapping[str, Variable],
    position: Callable[[str], int],
    header: Sequence[str],
    below: Sequence[Sequence[str]] = (),
) -> Iterator[str]:
    """The doubts about variables that are read in another unit than the header states, one each.

    columns: the settings of each variable, and the columns it is read from; numbers that are multiplied may be of any unit.
    position: where a column stands in `header`, the names as they are written, and in `below`, the lines between header and rows.
    """
    for name, (mapped, names) in columns.items():
        declared = mapped.amount_unit[0] or variables[name].unit
        possible = possible_units(variables[name])
        if (mapped.factor, mapped.offset) != (1.0, 0.0) or declared not in possible:
            continue
        for column in names:
            stated = _stated_unit(variables[name], position(column), header, below)
            if stated is None or _are_same(possible[stated], possible[declared]):
                continue
            per = (mapped.unit or "/h").removeprefix(declared) if mapped.cell_method == "rate" else ""
            seen = (
                f"the header has column {header[position(column)]!r} in {stated}, and {name} is read in {declared}{per}"
            )
            yield f'{seen}: if the header is right, set unit = "{stated}{per}" on its column'
            break


def _are_same(one: Unit, other: Unit) -> bool:
    return math.isclose(one.factor, other.factor) and math.isclose(one.zero, other.zero)


def _stated_unit(
    variable: Variable, position: int, header: Sequence[str], below: Sequence[Sequence[str]]
) -> str | None:
    """The unit of the variable that a header states for a column beyond doubt; None if it does not.

    A unit counts in a line of units; in a column's name it counts in brackets, behind a comma, a dash or "in", and if it belongs
    to the name, as in tempf. As the last word of a name it counts if it cannot be another word: "in" may be one, and a letter
    is one where columns are lettered (temp_a, temp_c).
    """
    lines = [line for line in below if len(line) == len(header) and _has_units(line)]
    for line in lines:
        if unit := _possible(unit_in(line[position].strip(_BRACKETS)), variable):
            return unit
    name = header[position]
    words, named = split_unit(name)
    unit = _possible(named, variable)
    if (
        unit
        and _IS_LAST.search(name)
        and (words, named) == split_last(name)
        and _may_be_a_word(name, words, unit, header)
    ):
        return None
    return unit or (_possible(_implied_unit(name, variable.name), variable) if named is None else None)


@lru_cache(10_000)
def _implied_unit(name: str, variable: str) -> NamedUnit | None:
    """The unit that belongs to a name of the variable, if the name is all there is: °F to tempf."""
    match = best_match(name)
    unit = match.implied.get("unit") if match and match.variable == variable and not match.rest else None
    return NamedUnit(unit) if unit in UNITS else None


def _has_units(line: Sequence[str]) -> bool:
    """Whether a line is one of units: one has more than a letter. Letters alone may be types of columns."""
    return any(unit_in(cell.strip(_BRACKETS)) for cell in line if len(cell) > 1)


def _may_be_a_word(name: str, words: str, unit: str, header: Sequence[str]) -> bool:
    last = re.split(r"[\s_]+", name)[-1].casefold()
    if _BEHIND_A_NUMBER.search(name):
        return True
    if last == "in":
        return unit != "in" or not name.casefold().endswith("_in")  # the pressure inside, rain in
    beside = {plain(other) for other in header if other != name}
    return len(last) == 1 and any(re.fullmatch(rf"{re.escape(words)} \w", other) for other in beside)


def _possible(named: NamedUnit | None, variable: Variable) -> str | None:
    """The unit, if the variable can be in it. One with a factor may be the resolution of the sensor, as "Rain (0.2 mm)"."""
    own = UNITS.get(variable.unit)
    if named is None or named.unit is None or named.factor != 1 or own is None or own.quantity in _OF_ONE_UNIT:
        return None
    unit = OF_MERCURY.get(named.unit, named.unit) if own.quantity == "pressure" else named.unit
    return unit if unit in possible_units(variable) else None
