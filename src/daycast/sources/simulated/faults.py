"""What sensors and networks do to the weather before it is received, with every fault on record.

`measure` turns the truth of a block into `Measurements`. Lasting faults (stuck sensors, outages) lie within one block, so
that a block can be made without its neighbours. Single faults exclude each other: at most one for each station and hour.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daycast.sources.simulated.places import BLOCK, Purpose, SimulationConfig, places, random_stream
from daycast.sources.simulated.weather import VARIABLES, Values

# probabilities for each station and hour
ROW_MISSING = 0.003
ROW_DUPLICATE = 0.002  # the very same row twice
ROW_LATE = 0.005  # received hours to two days later
ROW_CORRECTED = 0.002  # one variable wrong at first, the right row some hours later
# probabilities for each station, hour and variable
VALUE_MISSING = 0.0005
VALUE_SPIKE = 0.0002  # wrong by several standard deviations for one hour, inside the limits
VALUE_GROSS = 0.00004  # beyond every limit of daycast.variables
# probabilities for each block of 512 hours: of a station, and of a variable of a station
BLOCK_OUTAGE = 0.04
BLOCK_STUCK = 0.015

OUTAGE_HOURS = (3, 72)
STUCK_HOURS = (6, 48)
LATE_HOURS = (2, 47)
CORRECTION_HOURS = (1, 24)
GROSS_VALUE = -999.9  # what many loggers write if a sensor is silent; below the limits of every variable
STUCK_VARIABLES = VARIABLES[:-1]  # a rain gauge stuck at zero looks like dry weather

VALUE_FAULTS = (None, "missing", "stuck", "spike", "gross", "first_wrong")
ROW_FAULTS = (None, "missing", "outage", "duplicate", "late", "corrected")

_PROBABILITIES = {
    ("row", "missing"): ROW_MISSING,
    ("row", "duplicate"): ROW_DUPLICATE,
    ("row", "late"): ROW_LATE,
    ("row", "corrected"): ROW_CORRECTED,
    ("value", "missing"): VALUE_MISSING * len(VARIABLES),
    ("value", "spike"): VALUE_SPIKE * len(VARIABLES),
    ("value", "gross"): VALUE_GROSS * len(VARIABLES),
}
_SPIKES = {  # smallest and largest error; "up" where the value cannot fall, "inward" where it has two ends
    "air_temperature_c": (8.0, 20.0, "either"),
    "dew_point_c": (8.0, 20.0, "either"),
    "relative_humidity_pct": (30.0, 50.0, "inward"),
    "sea_level_pressure_hpa": (15.0, 40.0, "either"),
    "wind_speed_m_s": (12.0, 30.0, "up"),
    "wind_from_deg": (90.0, 180.0, "up"),
    "precipitation_mm": (20.0, 60.0, "up"),
}

Codes = NDArray[np.int8]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Measurements:
    """What the sensors reported in one block. N is stations x hours, station by station; C rows were corrected later."""

    values: Values  # each (N,); NaN where missing
    value_faults: dict[str, Codes]  # each (N,), positions in VALUE_FAULTS
    row_faults: Codes  # (N,), positions in ROW_FAULTS
    received: Index  # (N,) seconds after the epoch, of the first time each row was received
    corrected: Index  # (C,) which of the N rows were received again
    right: Values  # each (C,): the corrected values
    corrected_received: Index  # (C,) seconds after the epoch


@dataclass(frozen=True)
class _SingleFaults:
    """Single faults of one block: which row (of N), which fault, and three more draws between 0 and 1."""

    row: Index
    fault: Index  # position in _PROBABILITIES
    draws: NDArray[np.float64]  # (faults, 3): variable, size, sign

    def of(self, level: str, fault: str) -> "_SingleFaults":
        """The faults of this level ("row" or "value") and this name."""
        chosen = self.fault == list(_PROBABILITIES).index((level, fault))
        return replace(self, row=self.row[chosen], fault=self.fault[chosen], draws=self.draws[chosen])

    def of_variable(self, name: str) -> "_SingleFaults":
        """The faults that befall this variable."""
        chosen = np.floor(self.draws[:, 0] * len(VARIABLES)) == VARIABLES.index(name)
        return replace(self, row=self.row[chosen], fault=self.fault[chosen], draws=self.draws[chosen])


def measure(config: SimulationConfig, block: int, truth: Values, *, faults: bool) -> Measurements:
    """Pass the truth of one block, each (S, BLOCK), through the sensors and the network.

    Without `faults` every value arrives unchanged, once, and in time.
    """
    measured = _faultless(config, block, truth)
    if faults:
        _apply_stuck_sensors(config, block, measured)
        single = _single_faults(config, block, measured)
        _apply_value_faults(single, measured)
        measured = _apply_corrections(single, measured)
        _apply_row_faults(config, block, single, measured)
    return measured


def stamp_times(config: SimulationConfig, block: int) -> Index:
    """The instants that the sensors stamp (S, BLOCK) [seconds after EPOCH], some minutes before the full hours."""
    hours = block * BLOCK + 1 + np.arange(BLOCK)
    return hours[None, :] * 3600 - places(config).offset_s[:, None]


def _faultless(config: SimulationConfig, block: int, truth: Values) -> Measurements:
    nothing = np.empty(0)
    received = stamp_times(config, block) + places(config).lag_s[:, None]
    return Measurements(
        values={name: values.flatten() for name, values in truth.items()},
        value_faults={name: np.zeros(received.size, np.int8) for name in truth},
        row_faults=np.zeros(received.size, np.int8),
        received=received.ravel(),
        corrected=nothing.astype(np.int64),
        right=dict.fromkeys(truth, nothing),
        corrected_received=nothing.astype(np.int64),
    )


def _apply_stuck_sensors(config: SimulationConfig, block: int, measured: Measurements) -> None:
    """Let sensors repeat their last value for hours, in place."""
    draws = random_stream(config.station_seed, Purpose.STUCK, block).random((config.stations, len(STUCK_VARIABLES), 3))
    for number, name in enumerate(STUCK_VARIABLES):
        rows, before = _lasting_faults(draws[:, number], BLOCK_STUCK, STUCK_HOURS)
        measured.values[name][rows] = measured.values[name][before]
        measured.value_faults[name][rows] = VALUE_FAULTS.index("stuck")


def _lasting_faults(draws: NDArray[np.float64], chance: float, hours: tuple[int, int]) -> tuple[Index, Index]:
    """The rows (of N) of lasting faults, and for each the row just before its fault; `draws` is (S, 3)."""
    station = np.flatnonzero(draws[:, 0] < chance)
    length = _between(draws[station, 1] ** 2, hours)  # most are short
    start = _between(draws[station, 2], (1, BLOCK - hours[1]))
    ends = np.cumsum(length)
    within = np.arange(length.sum()) - np.repeat(ends - length, length)
    first = np.repeat(station * BLOCK + start, length)
    return first + within, first - 1


def _single_faults(config: SimulationConfig, block: int, measured: Measurements) -> _SingleFaults:
    """Draw once for each row, and draw details for the few that are hit. A stuck value has no other fault."""
    chance = random_stream(config.station_seed, Purpose.SINGLE, block).random(
        measured.row_faults.size, dtype=np.float32
    )
    limits = np.cumsum(list(_PROBABILITIES.values()))
    row = np.flatnonzero(chance < np.float32(limits[-1]))
    fault = np.minimum(np.searchsorted(limits, chance[row], side="right"), len(limits) - 1)
    draws = random_stream(config.station_seed, Purpose.SINGLE_DETAIL, block).random((len(row), 3))
    stuck = np.zeros(len(row), np.bool_)
    for number, name in enumerate(VARIABLES):
        stuck |= (np.floor(draws[:, 0] * len(VARIABLES)) == number) & (measured.value_faults[name][row] != 0)
    return _SingleFaults(row[~stuck], fault[~stuck], draws[~stuck])


def _apply_value_faults(single: _SingleFaults, measured: Measurements) -> None:
    """Apply missing values, spikes and gross errors, in place."""
    for name, values in measured.values.items():
        for fault in ("missing", "spike", "gross"):
            hit = single.of("value", fault).of_variable(name)
            constant = np.nan if fault == "missing" else GROSS_VALUE
            values[hit.row] = _wrong(name, values[hit.row], hit.draws) if fault == "spike" else constant
            measured.value_faults[name][hit.row] = VALUE_FAULTS.index(fault)


def _apply_corrections(single: _SingleFaults, measured: Measurements) -> Measurements:
    """Put one wrong value into each row that is corrected later, and keep the right row."""
    corrected_rows = single.of("row", "corrected")
    right = {name: values[corrected_rows.row] for name, values in measured.values.items()}
    for name, values in measured.values.items():
        hit = corrected_rows.of_variable(name)
        values[hit.row] = _wrong(name, values[hit.row], hit.draws)
        measured.value_faults[name][hit.row] = VALUE_FAULTS.index("first_wrong")
    later = _seconds(corrected_rows.draws[:, 2], CORRECTION_HOURS)
    return replace(
        measured,
        corrected=corrected_rows.row,
        right=right,
        corrected_received=measured.received[corrected_rows.row] + later,
    )


def _apply_row_faults(config: SimulationConfig, block: int, single: _SingleFaults, measured: Measurements) -> None:
    """Delay, double and drop whole rows in place; a row that is never sent has no other fault."""
    late = single.of("row", "late")
    measured.received[late.row] += _seconds(late.draws[:, 1] ** 2, LATE_HOURS)
    for fault in ("duplicate", "late", "corrected", "missing"):
        measured.row_faults[single.of("row", fault).row] = ROW_FAULTS.index(fault)
    outage, _ = _lasting_faults(
        random_stream(config.station_seed, Purpose.OUTAGE, block).random((config.stations, 3)),
        BLOCK_OUTAGE,
        OUTAGE_HOURS,
    )
    measured.row_faults[outage] = ROW_FAULTS.index("outage")
    lost = np.concatenate([single.of("row", "missing").row, outage])
    for codes in measured.value_faults.values():
        codes[lost] = 0


def _wrong(name: str, values: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values displaced by several standard deviations, inside the limits and at the sensor's resolution."""
    smallest, largest, direction = _SPIKES[name]
    error = np.rint(smallest + (largest - smallest) * draws[:, 1])
    if name == "wind_from_deg":
        turned: NDArray[np.float64] = (values + 10 * np.rint(error / 10) - 10) % 360 + 10
        return turned
    up = {"up": np.ones(len(values), np.bool_), "either": draws[:, 2] < 0.5, "inward": values < 50}[direction]
    return np.round(values + np.where(up, error, -error), 1)


def _between(draws: NDArray[np.float64], bounds: tuple[int, int]) -> Index:
    return (bounds[0] + np.floor(draws * (bounds[1] - bounds[0] + 1))).astype(np.int64)


def _seconds(draws: NDArray[np.float64], hours: tuple[int, int]) -> Index:
    return _between(draws, (3600 * hours[0], 3600 * hours[1]))
