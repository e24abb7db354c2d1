"""The panel: holes are NaN, known_from is rounded up to the hour, earlier versions are kept as revisions; blocks of stations."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from daycast.features.channels import Channel, make_channels
from daycast.features.panel import NEVER, Panel, Revisions, make_panel, split_panel
from daycast.quality.flags import keep_usable
from daycast.times import HOUR, UTC_TIME
from daycast.variables import BUILT_IN, flag_column

START = datetime(2026, 2, 1, tzinfo=UTC)
SCHEMA = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "known_from": UTC_TIME,
    "known_until": UTC_TIME,
    "air_temperature_c": pl.Float64,
    "dew_point_c": pl.Float64,
}
CHANNELS = (Channel("air_temperature_c"), Channel("dew_point_c"))
TWO = pl.DataFrame(
    {"station_id": ["b", "a"], "latitude": [2.0, 1.0], "longitude": [0.0, 0.0], "elevation_m": [0.0, 0.0]}
)


def small_panel(*rows: tuple[str, int, float, float | None, float | None, float | None], hours: int = 5) -> Panel:
    """Rows of (station, hour, hours known from, hours known until or None, temperature, dew point)."""
    frame = pl.DataFrame(
        [
            (s, START + o * HOUR, START + f * HOUR, None if u is None else START + u * HOUR, t, d)
            for s, o, f, u, t, d in rows
        ],
        schema=SCHEMA,
        orient="row",
    )
    return make_panel(frame, TWO, CHANNELS, START, START + (hours - 1) * HOUR)


def test_every_value_stands_at_its_station_hour_and_channel() -> None:
    made = small_panel(("a", 0, 0, None, 1.0, 2.0), ("b", 4, 4, None, 3.0, None))
    expected = np.full((2, 5, 2), np.nan, np.float32)
    expected[0, 0] = 1.0, 2.0
    expected[1, 4, 0] = 3.0
    np.testing.assert_array_equal(made.values, expected)
    assert made.stations["station_id"].to_list() == ["a", "b"]
    assert made.values.dtype == np.float32


def test_a_network_read_some_stations_at_a_time_is_the_one_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, ids = np.random.default_rng(3), [f"s{k}" for k in range(7)]
    S, T = len(ids), 6
    hour = pl.Series([START + t * HOUR for t in range(T)] * S, dtype=UTC_TIME)
    now = pl.DataFrame({"station_id": np.repeat(ids, T), "observed_at": hour, "known_from": hour})
    value = pl.Series("air_temperature_c", rng.normal(size=S * T))
    weight = pl.Series("air_temperature_c_truth_weight", np.where(now["station_id"] == "s5", 0.5, 1.0), pl.Float32)
    now = now.with_columns(value, weight, known_until=pl.lit(None, UTC_TIME), known_from=hour + HOUR)
    before = now[::4].with_columns(
        pl.lit(9.0).alias("air_temperature_c"), known_from=hour[::4], known_until=hour[::4] + HOUR
    )
    versions = pl.concat([now, before], how="diagonal").filter(pl.col("station_id") != "s2")
    stations = pl.DataFrame({"station_id": ids, "latitude": 1.0, "longitude": 0.0, "elevation_m": 0.0})
    arguments = stations, CHANNELS[:1], START, START + (T - 1) * HOUR
    whole = make_panel(versions, *arguments)
    monkeypatch.setattr("daycast.features.panel._AT_ONCE", 2 * T)
    parts = make_panel(versions.lazy(), *arguments)
    expected = value.to_numpy().astype(np.float32).reshape(S, T, 1).copy()
    expected[2] = np.nan
    np.testing.assert_array_equal(parts.values, expected)
    for name in ("values", "known_from", "weight"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for name in ("station", "hour", "known_from", "known_until", "values"):
        np.testing.assert_array_equal(getattr(parts.revisions, name), getattr(whole.revisions, name))
    assert len(parts.revisions.hour) == 9


def test_an_hour_without_a_row_is_never_known() -> None:
    made = small_panel(("a", 1, 1, None, 1.0, 2.0))
    assert made.known_from[0].tolist() == [NEVER, 1, NEVER, NEVER, NEVER]


@pytest.mark.parametrize(
    ("known_after", "index"),
    [(timedelta(0), 2), (timedelta(microseconds=1), 3), (timedelta(minutes=59), 3), (timedelta(hours=1), 3)],
)
def test_knowledge_rounds_up_to_the_hour(known_after: timedelta, index: int) -> None:
    assert small_panel(("a", 2, 2 + known_after / HOUR, None, 1.0, 2.0)).known_from[0, 2] == index


def test_a_former_version_is_a_revision_and_the_current_one_the_value() -> None:
    made = small_panel(("a", 1, 1.25, 3.5, 1.0, None), ("a", 1, 3.5, None, 9.0, 2.0))
    assert made.values[0, 1].tolist() == [9.0, 2.0]
    assert made.known_from[0, 1] == 4
    past = made.revisions
    assert (past.station.tolist(), past.hour.tolist()) == ([0], [1])
    assert (past.known_from.tolist(), past.known_until.tolist()) == ([2], [4])
    np.testing.assert_array_equal(past.values, [[1.0, np.nan]])


def test_a_version_that_no_full_hour_saw_is_left_out() -> None:
    assert len(small_panel(("a", 1, 1.25, 1.5, 1.0, None), ("a", 1, 1.5, None, 9.0, 2.0)).revisions.hour) == 0


def test_revisions_are_sorted_by_station_hour_and_time() -> None:
    made = small_panel(
        ("b", 0, 0, 1, 1.0, 1.0),
        ("a", 2, 4, 5, 4.0, 1.0),
        ("a", 2, 3, 4, 3.0, 1.0),
        ("a", 1, 1, 3, 2.0, 1.0),
    )
    assert made.revisions.values[:, 0].tolist() == [2.0, 3.0, 4.0, 1.0]


def test_hours_outside_and_unlisted_stations_are_left_out() -> None:
    made = small_panel(("a", -1, 0, None, 1.0, 1.0), ("a", 5, 5, None, 1.0, 1.0), ("c", 1, 1, None, 1.0, 1.0))
    assert np.isnan(made.values).all()


def flagged(*rows: tuple[str, int, int, int | None, int, int]) -> Panel:
    """Rows of (station, hour, known from, known until or None, flag of the wind's speed, flag of its direction)."""
    names = ("wind_speed_m_s", "wind_from_deg")
    frame = pl.DataFrame(
        [
            (s, START + o * HOUR, START + f * HOUR, None if u is None else START + u * HOUR, 5.0, 90.0, *of)
            for s, o, f, u, *of in rows
        ],
        schema={
            **dict(list(SCHEMA.items())[:4]),
            **dict.fromkeys(names, pl.Float64),
            **{flag_column(n): pl.UInt8 for n in names},
        },
        orient="row",
    )
    return make_panel(
        keep_usable(frame, names), TWO, make_channels(BUILT_IN[n] for n in names), START, START + 2 * HOUR
    )


def test_a_suspect_value_stands_and_counts_half_as_truth() -> None:
    made = flagged(("a", 0, 0, None, 1, 1), ("a", 1, 1, None, 3, 1), ("b", 2, 2, None, 2, 1))
    expected = np.ones((2, 3, 3), np.float16)
    expected[0, 1, 0] = 0.5
    np.testing.assert_array_equal(made.weight, expected)
    assert made.weight.dtype == np.float16
    assert made.values[0, 1, 0] == 5.0


def test_both_parts_of_a_direction_have_its_weight() -> None:
    made = flagged(("a", 1, 1, None, 1, 3))
    assert made.channels == (
        Channel("wind_speed_m_s"),
        Channel("wind_from_deg", "sin"),
        Channel("wind_from_deg", "cos"),
    )
    assert made.weight[0, 1].tolist() == [1.0, 0.5, 0.5]
    assert (np.delete(made.weight[0], 1, axis=0) == 1).all()


def test_a_failed_value_is_missing_and_needs_no_weight() -> None:
    made = flagged(("a", 1, 1, None, 4, 1))
    assert np.isnan(made.values[0, 1, 0])
    assert not np.isnan(made.values[0, 1, 1:]).any()
    assert made.weight is None


def test_where_only_a_former_version_is_suspect_every_truth_counts_whole() -> None:
    assert flagged(("a", 1, 1, 2, 3, 3), ("a", 1, 2, None, 1, 1)).weight is None


def test_a_value_that_failed_later_is_still_what_was_believed_before() -> None:
    made = flagged(("a", 1, 1, 2, 1, 1), ("a", 1, 2, None, 4, 1))
    assert np.isnan(made.values[0, 1, 0])
    assert made.revisions.values[0, 0] == 5.0


def test_indices_and_instants_are_inverse() -> None:
    made = small_panel()
    assert made.hours == 5
    assert [made.index_of(made.time_of(hour)) for hour in (0, 3, 7)] == [0, 3, 7]
    assert made.time_of(3) == datetime(2026, 2, 1, 3, tzinfo=UTC)


BLOCK_START = datetime(2026, 1, 1, tzinfo=UTC)
NEIGHBOURS = np.array([[5, -1], [3, 0], [-1, -1], [1, 5], [2, -1], [0, 3]], np.int32)


def six_stations() -> Panel:
    """Six stations A to F with two hours; station s says 10 s and 10 s + 1; B and F were revised at hour 1."""
    ids = list("ABCDEF")
    stations = pl.DataFrame(
        {"station_id": ids, "latitude": [0.0] * 6, "longitude": [0.0] * 6, "elevation_m": [0.0] * 6}
    )
    values = (np.arange(6)[:, None] * 10 + np.arange(2)).astype(np.float32)[..., None]
    two = np.array([1, 1], np.int32)
    revisions = Revisions(np.array([1, 5], np.int32), two, two, two + 1, np.array([[-1.0], [-5.0]], np.float32))
    return Panel(
        stations, BLOCK_START, (Channel("x"),), values, np.tile(np.arange(2, dtype=np.int32), (6, 1)), revisions
    )


def test_blocks_are_consecutive_and_cover_each_wanted_station_once():
    blocks = list(split_panel(six_stations(), np.array([0, 1, 3, 4, 5]), NEIGHBOURS, 2))
    own = [block.panel.stations["station_id"].gather(block.own).to_list() for block in blocks]
    assert own == [["A", "B"], ["D", "E"], ["F"]]


def test_a_block_brings_the_neighbours_of_its_own_stations_and_nobody_else():
    blocks = split_panel(six_stations(), np.array([0, 1, 3, 4, 5]), NEIGHBOURS, 2)
    assert [block.panel.stations["station_id"].to_list() for block in blocks] == [
        ["A", "B", "D", "F"],
        ["B", "C", "D", "E", "F"],
        ["A", "D", "F"],
    ]


def test_a_station_of_a_block_sees_the_same_neighbours_in_the_same_order():
    for block in split_panel(six_stations(), np.arange(6), NEIGHBOURS, 2):
        ids = block.panel.stations["station_id"].to_list()
        for row in block.own:
            ids_here = [ids[other] if other >= 0 else None for other in block.neighbours[row]]
            whole = NEIGHBOURS["ABCDEF".index(ids[row])]
            assert ids_here == ["ABCDEF"[other] if other >= 0 else None for other in whole]


def test_values_and_revisions_stay_with_their_station():
    (_, block, _) = split_panel(six_stations(), np.arange(6), NEIGHBOURS, 2)
    assert block.panel.stations["station_id"].to_list() == ["B", "C", "D", "F"]
    assert block.panel.values[:, 1, 0].tolist() == [11, 21, 31, 51]
    assert block.panel.revisions.station.tolist() == [0, 3]
    assert block.panel.revisions.values[:, 0].tolist() == [-1, -5]
