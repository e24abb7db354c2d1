"""A network in blocks of stations that can be worked on apart: each brings the neighbours that its own stations see."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daycast.prepare.neighbours import NOBODY
from daycast.prepare.network import Network, Revisions


@dataclass(frozen=True)
class StationBlock:
    """Some stations of a network, and those beside them."""

    network: Network  # own stations and neighbours, in the order of the whole network
    own: NDArray[np.int64]  # (B,) rows of `network`
    neighbours: NDArray[
        np.int32
    ]  # (S, N) of the own stations, as rows of `network`, in the order they have in the whole


def split_network(
    network: Network, wanted: NDArray[np.int64], neighbours: NDArray[np.int32], most: int
) -> Iterator[StationBlock]:
    """The `wanted` stations (W,), `most` at a time and in their order.

    network: without covariates, whose rows a block can be given as well. wanted: rows of it, ascending. neighbours: (S, N) rows
    of it, NOBODY where there is none.
    """
    for first in range(0, len(wanted), most):
        yield _take(network, wanted[first : first + most], neighbours)


def with_neighbours(
    own: NDArray[np.int64], neighbours: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The stations `own` (B,) and those that they have as neighbours, ascending (S',), and whom each of these has there (S', N).

    neighbours: (S, N) of all stations. Only the own stations' are kept, in their order; NOBODY stands for none.
    """
    beside = neighbours[own]
    rows = np.union1d(own, beside[beside != NOBODY]).astype(np.int64)
    near = np.full((len(rows), neighbours.shape[1]), NOBODY, np.int32)
    near[np.searchsorted(rows, own)] = np.where(beside == NOBODY, NOBODY, np.searchsorted(rows, beside))
    return rows, near


def _take(network: Network, own: NDArray[np.int64], neighbours: NDArray[np.int32]) -> StationBlock:
    rows, near = with_neighbours(own, neighbours)
    part = replace(
        network,
        stations=network.stations[rows],
        values=network.values[rows],
        known_from=network.known_from[rows],
        revisions=_take_revisions(network.revisions, rows),
        weight=None if network.weight is None else network.weight[rows],
    )
    return StationBlock(part, np.searchsorted(rows, own), near)


def _take_revisions(revisions: Revisions, rows: NDArray[np.int64]) -> Revisions:
    kept = np.isin(revisions.station, rows)
    return Revisions(
        np.searchsorted(rows, revisions.station[kept]).astype(np.int32),
        revisions.hour[kept],
        revisions.known_from[kept],
        revisions.known_until[kept],
        revisions.values[kept],
    )
