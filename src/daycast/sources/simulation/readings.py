"""One block of the simulated network as frames: the readings as received, and the truth with its faults."""

from functools import lru_cache

import numpy as np
import polars as pl

from daycast.sources.simulation.noise import BLOCK, EPOCH
from daycast.sources.simulation.places import Network, places, station_ids
from daycast.sources.simulation.trouble import ROW_FAULTS, VALUE_FAULTS, Codes, Index, send, stamped
from daycast.sources.simulation.weather import VARIABLES, Values, weather
from daycast.times import HOUR, UTC_TIME

BLOCK_SPAN = BLOCK * HOUR
MOST_STATIONS = 4000  # a block then has two million rows

_ORDER = "order"  # received_at, then station, as one number
_STATIONS_BOUND = 4096  # above MOST_STATIONS
_EPOCH_US = int(EPOCH.timestamp()) * 1_000_000


@lru_cache(maxsize=1)  # whoever fetches hour after hour asks for the same block again
def block_readings(network: Network, block: int, *, trouble: bool) -> pl.DataFrame:
    """All readings received in one block (start, end], ordered by received_at, then station.

    Late ones may have been observed in the block before: no reading is later than a block is long.
    """
    before = (
        [_sent_frames(network, block - 1, trouble=trouble)[1]] if trouble else []
    )  # made last time: ask for it first
    in_time, extras = _sent_frames(network, block, trouble=trouble)
    others = pl.concat([*before, extras]).filter(pl.col(_ORDER).is_between(*_orders(block), closed="left"))
    return in_time.merge_sorted(others.sort(_ORDER, maintain_order=True), key=_ORDER).drop(_ORDER)


def block_truth(network: Network, block: int, *, trouble: bool) -> pl.DataFrame:
    """The truth of one block and the faults that befell it, ordered by hour, then station."""
    truth = weather(network, block)
    sent = send(network, block, truth, trouble=trouble)
    rows = np.arange(network.stations * BLOCK).reshape(network.stations, BLOCK).T.ravel()
    stamps = stamped(network, block).ravel()[rows]
    columns = {
        "station_id": station_ids(network).gather(rows // BLOCK),
        "valid_time": _times((block * BLOCK + 1 + rows % BLOCK) * 3600),
        "observed_at": _times(stamps),
        **{name: values.ravel()[rows] for name, values in truth.items()},
        **{f"{name}_fault": _names(VALUE_FAULTS, codes[rows]) for name, codes in sent.value_faults.items()},
        "row_fault": _names(ROW_FAULTS, sent.row_faults[rows]),
    }
    return pl.DataFrame(columns)


@lru_cache(maxsize=2)  # a block needs the one before it
def _sent_frames(network: Network, block: int, *, trouble: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The readings of one block received in time, in order, and the late, doubled and corrected ones in no order."""
    sent = send(network, block, weather(network, block), trouble=trouble)
    faults = {fault: sent.row_faults == number for number, fault in enumerate(ROW_FAULTS)}
    in_time = _by_reception(network)
    in_time = in_time[~(faults["missing"] | faults["outage"] | faults["late"])[in_time]]
    extra = np.flatnonzero(faults["late"] | faults["duplicate"])
    again = faults["corrected"][sent.corrected]  # not those lost in an outage
    right = {name: values[again] for name, values in sent.right.items()}
    taken = {name: values[extra] for name, values in sent.values.items()}
    extras = [
        _frame(network, block, extra, sent.received[extra], taken),
        _frame(network, block, sent.corrected[again], sent.corrected_received[again], right),
    ]
    values = {name: values[in_time] for name, values in sent.values.items()}
    return _frame(network, block, in_time, sent.received[in_time], values), pl.concat(extras)


def _by_reception(network: Network) -> Index:
    """The rows of a block in the order of undisturbed reception: by hour, then as fast as the stations are."""
    at = places(network)
    stations = np.argsort(at.lag_s - at.offset_s, kind="stable")
    return (stations[None, :] * BLOCK + np.arange(BLOCK)[:, None]).ravel()


def _frame(network: Network, block: int, rows: Index, received: Index, values: Values) -> pl.DataFrame:
    """Readings of some rows of a block; `values` belongs to these rows, NaN becomes null."""
    station = rows // BLOCK
    columns = {
        "station_id": station_ids(network).gather(station),
        "observed_at": _times(stamped(network, block).ravel()[rows]),
        "received_at": _times(received),
        **{name: pl.Series(values[name], nan_to_null=True) for name in VARIABLES},
        _ORDER: received * _STATIONS_BOUND + station,
    }
    return pl.DataFrame(columns)


def _orders(block: int) -> tuple[int, int]:
    """The order of the first row that may be received in a block, and of the first one after it."""
    first, last = (block * BLOCK * 3600 + 1, (block + 1) * BLOCK * 3600)  # seconds; (start, end]
    return first * _STATIONS_BOUND, (last + 1) * _STATIONS_BOUND


def _times(seconds: Index) -> pl.Series:
    """Seconds after the epoch as UTC times."""
    return pl.Series(seconds * 1_000_000 + _EPOCH_US).cast(UTC_TIME)


def _names(faults: tuple[str | None, ...], codes: Codes) -> pl.Series:
    return pl.Series(faults, dtype=pl.String).gather(codes)
