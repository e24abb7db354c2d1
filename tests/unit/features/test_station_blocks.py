"""A block of stations holds what its own stations see, and nothing is renumbered wrongly."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from daycast.features.channels import Channel
from daycast.features.panel import Panel, Revisions, split_panel

START = datetime(2026, 1, 1, tzinfo=UTC)
NEIGHBOURS = np.array([[5, -1], [3, 0], [-1, -1], [1, 5], [2, -1], [0, 3]], np.int32)


def panel() -> Panel:
    """Six stations A to F with two hours; station s says 10 s and 10 s + 1; B and F were revised at hour 1."""
    ids = list("ABCDEF")
    stations = pl.DataFrame(
        {"station_id": ids, "latitude": [0.0] * 6, "longitude": [0.0] * 6, "elevation_m": [0.0] * 6}
    )
    values = (np.arange(6)[:, None] * 10 + np.arange(2)).astype(np.float32)[..., None]
    two = np.array([1, 1], np.int32)
    revisions = Revisions(np.array([1, 5], np.int32), two, two, two + 1, np.array([[-1.0], [-5.0]], np.float32))
    return Panel(stations, START, (Channel("x"),), values, np.tile(np.arange(2, dtype=np.int32), (6, 1)), revisions)


def test_blocks_are_consecutive_and_cover_each_wanted_station_once():
    blocks = list(split_panel(panel(), np.array([0, 1, 3, 4, 5]), NEIGHBOURS, 2))
    own = [block.panel.stations["station_id"].gather(block.own).to_list() for block in blocks]
    assert own == [["A", "B"], ["D", "E"], ["F"]]


def test_a_block_brings_the_neighbours_of_its_own_stations_and_nobody_else():
    blocks = split_panel(panel(), np.array([0, 1, 3, 4, 5]), NEIGHBOURS, 2)
    assert [block.panel.stations["station_id"].to_list() for block in blocks] == [
        ["A", "B", "D", "F"],
        ["B", "C", "D", "E", "F"],
        ["A", "D", "F"],
    ]


def test_a_station_of_a_block_sees_the_same_neighbours_in_the_same_order():
    for block in split_panel(panel(), np.arange(6), NEIGHBOURS, 2):
        ids = block.panel.stations["station_id"].to_list()
        for row in block.own:
            there = [ids[other] if other >= 0 else None for other in block.neighbours[row]]
            whole = NEIGHBOURS["ABCDEF".index(ids[row])]
            assert there == ["ABCDEF"[other] if other >= 0 else None for other in whole]


def test_values_and_revisions_stay_with_their_station():
    (_, block, _) = split_panel(panel(), np.arange(6), NEIGHBOURS, 2)
    assert block.panel.stations["station_id"].to_list() == ["B", "C", "D", "F"]
    assert block.panel.values[:, 1, 0].tolist() == [11, 21, 31, 51]
    assert block.panel.revisions.station.tolist() == [0, 3]
    assert block.panel.revisions.values[:, 0].tolist() == [-1, -5]
