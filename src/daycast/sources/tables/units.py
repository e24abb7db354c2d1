"""Units that sources write, and their conversion to daycast's own.

Factors are exact by definition, except where noted:

- °F, K: NIST Special Publication 811 (2008), appendix B.8, https://doi.org/10.6028/NIST.SP.811e2008
- kt: the nautical mile of 1852 m in 3600 s; mph: the mile of 1609.344 m in 3600 s; in: 25.4 mm (same appendix)
- inHg: 3386.389 Pa, mmHg: 133.3224 Pa, the conventional columns of mercury (same appendix, which rounds both)
"""

from dataclasses import dataclass

import polars as pl

from daycast.errors import ConfigError, did_you_mean
from daycast.variables import Variable

COMPASS = "compass"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of one quantity: the value in daycast's unit is `(value - zero) * factor`.

    Do not rename the class or its fields: its `repr` is part of the fingerprints of Open-Meteo batches.
    """

    quantity: str
    factor: float = 1.0
    zero: float = 0.0

    def per(self, other: "Unit") -> "Unit":
        """The unit that converts from this one to `other`, of the same quantity, in place of daycast's."""
        factor = self.factor / other.factor
        return Unit(self.quantity, factor, self.zero - other.zero / factor)

    def to_daycast(self, value: pl.Expr) -> pl.Expr:
        """`value` [this unit] converted to daycast's unit of the quantity; unchanged if both are the same."""
        return value if (self.factor, self.zero) == (1.0, 0.0) else (value - self.zero) * self.factor


_CELSIUS = Unit("temperature")
_FAHRENHEIT = Unit("temperature", factor=5 / 9, zero=32.0)
_HECTOPASCAL = Unit("pressure")
_METRE_A_SECOND = Unit("speed")
_KM_AN_HOUR = Unit("speed", factor=1 / 3.6)
_KNOT = Unit("speed", factor=1852 / 3600)
_DEGREE = Unit("direction")

UNITS: dict[str, Unit] = {
    "°C": _CELSIUS,
    "C": _CELSIUS,
    "degC": _CELSIUS,
    "°F": _FAHRENHEIT,
    "F": _FAHRENHEIT,
    "degF": _FAHRENHEIT,
    "K": Unit("temperature", zero=273.15),
    "hPa": _HECTOPASCAL,
    "mbar": _HECTOPASCAL,
    "kPa": Unit("pressure", factor=10.0),
    "Pa": Unit("pressure", factor=0.01),
    "inHg": Unit("pressure", factor=33.86389),
    "mmHg": Unit("pressure", factor=1.333224),
    "m/s": _METRE_A_SECOND,
    "km/h": _KM_AN_HOUR,
    "kt": _KNOT,
    "kn": _KNOT,
    "mph": Unit("speed", factor=0.44704),
    "mm": Unit("depth"),
    "cm": Unit("depth", factor=10.0),
    "in": Unit("depth", factor=25.4),
    "l/m²": Unit("depth"),
    "W/m²": Unit("irradiance"),
    "kW/m²": Unit("irradiance", factor=1000.0),
    "µg/m³": Unit("concentration"),
    "mg/m³": Unit("concentration", factor=1000.0),
    "°": _DEGREE,
    "deg": _DEGREE,
    COMPASS: _DEGREE,  # after its words were converted to degrees
    "%": Unit("percentage"),
}
_POINTS = (
    "N NbE NNE NEbN NE NEbE ENE EbN E EbS ESE SEbE SE SEbS SSE SbE "
    "S SbW SSW SWbS SW SWbW WSW WbS W WbN WNW NWbW NW NWbN NNW NbW"
)  # fmt: skip
COMPASS_DEGREES: dict[str, float] = {point.upper(): 11.25 * index for index, point in enumerate(_POINTS.split())}
NO_DIRECTION = ("C", "CALM", "V", "VRB", "VAR", "VARIABLE")  # words for calm and variable wind


def unit_of(variable: Variable, given: str | None) -> Unit:
    """The unit to convert `variable` from; `given` None means the variable's own.

    Raises ConfigError naming a unit that is unknown or of another quantity.
    """
    if given is None or given == variable.unit:
        return Unit("as it is")
    possible = possible_units(variable)
    if given not in possible:
        raise ConfigError(
            f"unit {given!r} of {variable.name}: possible are {', '.join(possible)}{did_you_mean(given, possible)}"
        )
    return possible[given]


def possible_units(variable: Variable) -> dict[str, Unit]:
    """Every unit that `variable` is converted from, by name, its own first; each converts to the variable's unit.

    A declared variable is converted if this table knows its unit. Temperatures are converted as temperatures; K is not converted,
    because it is how differences are declared. Points of the compass become degrees only if the variable is circular.
    """
    own = UNITS.get(variable.unit) if variable.unit != "K" else None
    others = {name: unit for name, unit in UNITS.items() if own is not None and unit.quantity == own.quantity}
    if own is not None and (own.factor, own.zero) != (1.0, 0.0):
        others = {name: unit.per(own) for name, unit in others.items()}
    if not variable.circular:
        others.pop(COMPASS, None)
    return {variable.unit: Unit("as it is"), **{name: unit for name, unit in others.items() if name != variable.unit}}


def compass_to_degrees(text: pl.Expr) -> pl.Expr:
    """Degrees the wind comes from (N = 0) for up to 32 compass points in upper or lower case; null for any other word."""
    return text.str.to_uppercase().replace_strict(COMPASS_DEGREES, default=None, return_dtype=pl.Float64)


def says_no_direction(text: pl.Expr) -> pl.Expr:
    """True where a word of a compass column stands for calm or variable wind."""
    return text.str.to_uppercase().is_in(NO_DIRECTION)
