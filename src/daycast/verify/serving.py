"""Who makes the forecast of each station and variable: the model, or a baseline of the same fit where that does better."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Substitute:
    """A baseline that serves one variable in a model's place, at one station or, where station_id is None, at all others."""

    variable: str
    station_id: str | None
    forecaster: str
    crps_ratio: float  # its CRPS over that of whoever would serve otherwise
    p_value: float  # of the paired test that found it
    days: int


def assign(
    model: str, substitutes: Iterable[Substitute], stations: Sequence[str], variables: Sequence[str]
) -> np.ndarray:
    """The name of who serves each station and variable. (S, V)"""
    rows, columns = ({name: i for i, name in enumerate(names)} for names in (stations, variables))
    who = np.full((len(stations), len(variables)), model, dtype=object)
    for one in sorted(substitutes, key=lambda one: one.station_id is not None):  # what holds for one station comes last
        if one.variable in columns and (one.station_id is None or one.station_id in rows):
            who[slice(None) if one.station_id is None else rows[one.station_id], columns[one.variable]] = one.forecaster
    return who.astype(str)


def pick(values: Mapping[str, np.ndarray], who: np.ndarray) -> np.ndarray:
    """From each forecaster's values (N, X, V, …) those of whoever is named by `who` (N, V)."""
    names = np.unique(who)
    picked = values[str(names[0])].copy()
    for name in names[1:]:
        mask = (who == name)[:, None]  # (N, 1, V)
        np.copyto(picked, values[str(name)], where=mask.reshape(mask.shape + (1,) * (picked.ndim - mask.ndim)))
    return picked
