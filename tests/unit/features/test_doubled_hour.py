"""The hour that comes twice, in pieces: never a wrong instant, and each one once enough is known, in whatever order they come."""

import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.features.doubled_hour import settle_doubled_hours
from daycast.sources.tables.wall_clock import WallClock
from daycast.times import HOUR, UTC_TIME

ZONES = {  # the instant at which the clock is set back, and the one at which it is set forward
    "Europe/Berlin": [datetime(2025, 10, 26, 1, tzinfo=UTC), datetime(2025, 3, 30, 1, tzinfo=UTC)],
    "America/Chicago": [datetime(2025, 11, 2, 7, tzinfo=UTC), datetime(2025, 3, 9, 8, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2025, 4, 5, 15, tzinfo=UTC), datetime(2025, 10, 4, 15, 30, tzinfo=UTC)],
}
SHIFT_MIN = {"Europe/Berlin": 60, "America/Chicago": 60, "Australia/Lord_Howe": 30}
TEMPERATURE = "air_temperature_c"
HELD = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "received_at": UTC_TIME,
    "row_number": pl.UInt32,
    TEMPERATURE: pl.Float64,
}


def truth(zone: str, change: datetime, step: timedelta) -> pl.DataFrame:
    """A station's readings around a change, each with a temperature of its own, and the wall time it is stamped with."""
    instants = pl.datetime_range(change - 4 * HOUR, change + 4 * HOUR, step, time_unit="us", eager=True).alias(
        "observed_at"
    )
    frame = instants.to_frame().with_columns(station_id=pl.lit("A"), received_at="observed_at")
    frame = frame.with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias(TEMPERATURE))
    return frame.with_columns(wall=pl.col("observed_at").dt.convert_time_zone(zone).dt.replace_time_zone(None))


def deliver(
    piece: pl.DataFrame, zone: str, held: pl.DataFrame, stated: pl.Series | None = None
) -> tuple[pl.DataFrame, bool]:
    """What is kept of a piece, whose rows are read with nothing known but what is held; and whether all of it is."""
    at, later = WallClock(zone).to_utc(piece["wall"], piece["station_id"], stated)
    rows = piece.select("station_id", observed_at=at, later_at=later, received_at=at if stated is None else stated)
    rows = rows.with_columns(
        piece[TEMPERATURE], batch_id=pl.lit("x"), row_number=pl.int_range(pl.len(), dtype=pl.UInt32)
    )
    settled, is_open = settle_doubled_hours(rows, held, [TEMPERATURE], stated=stated is not None)
    return settled.filter(~is_open).select(*HELD), not is_open.any()


def wrong_rows(kept: pl.DataFrame, whole: pl.DataFrame) -> pl.DataFrame:
    return kept.join(whole, on=["station_id", "observed_at", TEMPERATURE], how="anti")


def cut(
    zone: str, change: int, step_min: int, newest_first: bool, cuts: set[int], seed: int
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The readings around a change of the clocks, and the same cut at these percents of them and shuffled."""
    whole = truth(zone, ZONES[zone][change], timedelta(minutes=step_min))
    rows = whole.reverse() if newest_first else whole
    places = sorted({percent * len(rows) // 100 for percent in cuts} - {0})
    parts = [rows[start:end] for start, end in zip([0, *places], [*places, len(rows)], strict=True)]
    random.Random(seed).shuffle(parts)
    return whole, parts


drawn = given(
    zone=st.sampled_from(sorted(ZONES)),
    change=st.integers(0, 1),
    step_min=st.sampled_from([5, 10, 20, 30, 60]),
    newest_first=st.booleans(),
    cuts=st.sets(st.integers(25, 75), max_size=6),
    seed=st.integers(0, 1000),
    delay_min=st.integers(0, 50),
)


@drawn
@settings(max_examples=40, deadline=None)
def test_pieces_in_any_order_give_no_wrong_instant_and_all_once_each_is_told(
    zone, change, step_min, newest_first, cuts, seed, delay_min
):
    whole, waiting = cut(zone, change, min(step_min, SHIFT_MIN[zone]), newest_first, cuts, seed)
    held = pl.DataFrame(schema=HELD)
    for _ in waiting:  # a piece that is refused whole is delivered again
        left = []
        for part in waiting:
            kept, is_told = deliver(part, zone, held)
            held = pl.concat([held, kept]) if is_told else held
            left += [] if is_told else [part]
        waiting = left
    assert wrong_rows(held, whole).is_empty()
    assert len(held) == len(whole) - sum(map(len, waiting))
    twice = whole.filter(pl.col("wall").is_duplicated())["wall"].implode()
    assert all(part["wall"].is_in(twice).all() for part in waiting)  # nothing else stays open
    assert len(waiting) != 1  # and not if all others are known


@drawn
@settings(max_examples=20, deadline=None)
def test_rows_that_state_their_receipt_are_told_by_it_in_any_order(
    zone, change, step_min, newest_first, cuts, seed, delay_min
):
    whole, parts = cut(zone, change, min(step_min, SHIFT_MIN[zone]), newest_first, cuts, seed)
    held = pl.DataFrame(schema=HELD)
    for part in [*parts, *parts]:
        stated = part["observed_at"] + timedelta(minutes=min(delay_min, SHIFT_MIN[zone] - 1))
        kept, is_told = deliver(part, zone, held, stated)
        assert is_told
        held = pl.concat([held, kept])
    assert wrong_rows(held, whole).is_empty()
    assert held["observed_at"].n_unique() == len(whole)


def readings(zone: str, *rows: tuple[str, float]) -> pl.DataFrame:
    wall = pl.Series([f"2025-10-26 {clock}" for clock, _ in rows]).str.to_datetime("%Y-%m-%d %H:%M", time_unit="us")
    return pl.DataFrame({"station_id": ["A"] * len(rows), "wall": wall, TEMPERATURE: [value for _, value in rows]})


def kept_of(held: pl.DataFrame, *rows: tuple[str, float]) -> list[tuple[str, float]]:
    kept, _ = deliver(readings("Europe/Berlin", *rows), "Europe/Berlin", held)
    return list(zip(kept["observed_at"].dt.strftime("%H:%M"), kept[TEMPERATURE], strict=True))


def held_at(*rows: tuple[str, float]) -> pl.DataFrame:
    at = pl.Series([f"2025-10-26 {clock}" for clock, _ in rows]).str.to_datetime(
        "%Y-%m-%d %H:%M", time_unit="us", time_zone="UTC"
    )
    values = [value for _, value in rows]
    frame = pl.DataFrame({"station_id": ["A"] * len(rows), "observed_at": at, "received_at": at, TEMPERATURE: values})
    return frame.with_row_index("row_number").select(*HELD)


NOTHING = pl.DataFrame(schema=HELD)


@pytest.mark.parametrize(
    ("held", "rows", "kept"),
    [
        (NOTHING, [("02:00", 1.0), ("02:30", 2.0)], []),
        (held_at(("00:00", 8.0)), [("02:00", 1.0), ("02:30", 2.0), ("02:40", 3.0)],
         [("01:00", 1.0), ("01:30", 2.0), ("01:40", 3.0)]),
        (held_at(("01:30", 8.0)), [("02:30", 2.0)], [("00:30", 2.0)]),
        (held_at(("00:30", 2.0)), [("02:30", 2.0)], [("00:30", 2.0)]),
        (held_at(("01:30", 2.0)), [("02:30", 2.0)], [("01:30", 2.0)]),
        (held_at(("00:30", 2.0), ("01:30", 2.0)), [("02:30", 2.0)], [("00:30", 2.0)]),
        (held_at(("00:30", 7.0), ("01:30", 8.0)), [("02:30", 2.0)], []),
        (held_at(("00:00", 7.0)), [("02:40", 1.0), ("02:00", 2.0)], []),
        (held_at(("00:00", 7.0), ("01:40", 8.0)), [("02:40", 1.0), ("02:00", 2.0)], [("00:40", 1.0), ("01:00", 2.0)]),
        (held_at(("00:00", 1.0)), [("02:00", 1.0), ("02:00", 2.0)], [("00:00", 1.0), ("01:00", 2.0)]),
    ],
)  # fmt: skip
def test_what_is_held_tells_the_two_apart_or_leaves_them_open(held, rows, kept):
    assert kept_of(held, *rows) == kept
