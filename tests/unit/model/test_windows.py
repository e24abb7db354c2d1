"""Windows by index, against a Python loop that asks of each hour what was believed at t0."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daycast.features.channels import Channel, Scale
from daycast.features.panel import Panel, make_panel, split_panel
from daycast.features.solar import make_sun_table
from daycast.model.windows import REGIMES, Batch, Windows, find_neighbours
from daycast.times import HOUR, UTC_TIME

START = datetime(2025, 12, 20, 5, tzinfo=UTC)
S, T = 3, 260
NAMES = ("air_temperature_c", "dew_point_c")
SCALE = Scale(np.array([2.0, -1.0], np.float32), np.array([4.0, 0.5], np.float32))
STATIONS = pl.DataFrame(
    {
        "station_id": ["a", "b", "c"],
        "latitude": [47.0, -60.0, None],
        "longitude": [8.0, 170.0, None],
        "elevation_m": [0.0, 0.0, 0.0],
    }
)
Version = tuple[float, list[float | None]]  # known from (hours after START), values


@cache
def history(seed: int) -> dict[tuple[int, int], list[Version]]:
    """The versions of each station and hour: holes, delays of minutes to days, corrections, values that appear and disappear."""
    rng = np.random.default_rng(seed)
    versions: dict[tuple[int, int], list[Version]] = {}
    for s in range(S):
        for hour in range(T):
            if rng.random() < 0.25:
                continue
            known = float(hour)
            for _ in range(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
                known += float(rng.choice([0.0, 0.25, 0.5, 1.0, 2.5, 30.0, 100.0]))
                values = [None if rng.random() < 0.2 else float(rng.integers(-20, 20)) for _ in NAMES]
                if versions.get((s, hour)) and versions[s, hour][-1][0] == known:
                    known += 0.125
                versions.setdefault((s, hour), []).append((known, values))
    return versions


NEAR = STATIONS.with_columns(latitude=pl.Series([47.0, 47.3, 47.9]), longitude=pl.Series([8.0, 8.1, 8.2]))


@cache
def windows(seed: int, *, near: bool = False) -> Windows:
    rows = []
    for (s, hour), versions in history(seed).items():
        ends = [known for known, _ in versions[1:]] + [None]
        for (known, values), end in zip(versions, ends, strict=True):
            until = None if end is None else START + end * HOUR
            rows.append(("abc"[s], START + hour * HOUR, START + known * HOUR, until, *values))
    schema = {"station_id": pl.String, "observed_at": UTC_TIME, "known_from": UTC_TIME, "known_until": UTC_TIME}
    frame = pl.DataFrame(rows, schema={**schema, **dict.fromkeys(NAMES, pl.Float64)}, orient="row")
    panel = make_panel(
        frame, NEAR if near else STATIONS, [Channel(name) for name in NAMES], START, START + (T - 1) * HOUR
    )
    return Windows(panel, SCALE, torch.device("cpu"), one_by_one=near)


def scaled(value: float | None, c: int) -> float:
    return math.nan if value is None else (value - float(SCALE.mean[c])) / float(SCALE.deviation[c])


def believed(seed: int, s: int, hour: int, t0: int, c: int) -> float:
    """The value of an hour as a forecast issued at t0 could know it, scaled; NaN where it could not."""
    values = [values for known, values in history(seed).get((s, hour), []) if known <= t0]
    return scaled(values[-1][c], c) if values and hour <= t0 else math.nan


def target(seed: int, s: int, hour: int, c: int) -> float:
    versions = history(seed).get((s, hour))
    return scaled(versions[-1][1][c], c) if versions else math.nan


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, S - 1), st.integers(0, T - 1)), min_size=1, max_size=4))
def test_a_window_holds_what_was_believed_at_t0_and_the_later_truth(seed: int, at: list[tuple[int, int]]) -> None:
    stations, origins = (torch.tensor(part) for part in zip(*at, strict=True))
    batch = windows(seed).gather(stations, origins)
    for b, (s, t0) in enumerate(at):
        for c in range(len(NAMES)):
            last, age = 0.0, 168
            for t in range(168):
                value = believed(seed, s, t0 - 167 + t, t0, c)
                present = not math.isnan(value)
                last, age = (value, 0) if present else (last, 168 if age == 168 else age + 1)
                assert bool(batch.mask[b, t, c]) is present
                assert batch.filled[b, t, c].item() == pytest.approx(last)
                assert batch.staleness[b, t, c].item() == age
            assert batch.last[b, c].item() == pytest.approx(last)
            expected = [target(seed, s, t0 + lead, c) for lead in range(1, 25)]
            np.testing.assert_allclose(batch.truth[b, :, c].numpy(), expected, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, S - 1), st.integers(0, T - 1)), min_size=1, max_size=4))
def test_around_is_the_mean_of_the_neighbours_as_known_at_t0(seed: int, at: list[tuple[int, int]]) -> None:
    """Their mean less the station's own last value, 0 where none was known; of an hour revised later, what was believed then."""
    stations, origins = (torch.tensor(part) for part in zip(*at, strict=True))
    batch = windows(seed, near=True).gather(stations, origins)
    for b, (s, t0) in enumerate(at):
        for c in range(len(NAMES)):
            for a in range(72):
                hour = t0 - 71 + a
                others = [believed(seed, other, hour, t0, c) for other in range(S) if other != s]
                known = [v for v in others if not math.isnan(v)]
                expected = sum(known) / len(known) - batch.filled[b, 96 + a, c].item() if known else 0.0
                assert batch.around[b, a, c].item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2), st.integers(0, S - 1), st.integers(0, T - 1))
def test_each_neighbour_is_read_as_known_at_t0(seed: int, s: int, t0: int) -> None:
    """Values at six lags less what usually lies between the two and less the station's last value, and where it lies."""
    batch = windows(seed, near=True).gather(torch.tensor([s]), torch.tensor([t0]))
    C, lags = len(NAMES), (0, 1, 2, 3, 6, 12)
    found = {
        tuple(row[-4:].tolist()): row
        for row, known in zip(batch.each_neighbour[0], batch.neighbour_known[0], strict=True)
        if known
    }
    for other in (number for number in range(S) if number != s):
        values = {hour: [believed(seed, other, hour, t0, c) for c in range(C)] for hour in range(t0 - 71, t0 + 1)}
        newest = [[values[t0 - lag][c] for c in range(C)] for lag in lags]
        if all(math.isnan(value) for row in newest for value in row):
            continue
        (row,) = (
            row
            for place, row in found.items()
            if place[1] * (NEAR["latitude"][other] - NEAR["latitude"][s]) > 0
            and abs(place[2] - kilometres(s, other) / 100) < 0.01
        )
        for c in range(C):
            differences = [values[t0 - 23 + a][c] - batch.filled[0, 144 + a, c].item() for a in range(24)]
            known = [value for value in differences if not math.isnan(value)]
            usual = sum(known) / len(known) if known else 0.0
            assert row[2 * C * len(lags) + c].item() == pytest.approx(usual, abs=1e-4)
            for k in range(len(lags)):
                departure = newest[k][c] - usual - batch.last[0, c].item()
                expected = 0.0 if math.isnan(departure) else min(max(departure, -5.0), 5.0)
                assert row[k * C + c].item() == pytest.approx(expected, abs=1e-4)
                assert row[C * len(lags) + k * C + c].item() == (not math.isnan(departure))


def kilometres(s: int, other: int) -> float:
    north = 111.195 * (NEAR["latitude"][other] - NEAR["latitude"][s])
    east = 111.195 * (NEAR["longitude"][other] - NEAR["longitude"][s]) * math.cos(math.radians(NEAR["latitude"][s]))
    return math.hypot(north, east)


def test_without_neighbours_around_is_zero() -> None:
    assert not windows(0).gather(torch.tensor([0, 1, 2]), torch.tensor([200, 230, 100])).around.any()


def test_a_simulated_outage_of_the_neighbours_takes_exactly_its_hours_out() -> None:
    stations, origins = torch.tensor([0, 1]), torch.tensor([200, 230])
    outage, none = torch.zeros(2, 168, dtype=torch.bool), torch.zeros(2, 168, dtype=torch.bool)
    outage[0, 150:] = True
    plain = windows(0, near=True).gather(stations, origins)
    hidden = windows(0, near=True).gather(stations, origins, none, outage)
    assert not hidden.around[0, -18:].any()
    assert plain.around[0, -18:].any()  # or the outage would hide nothing
    assert torch.equal(hidden.around[0, :-18], plain.around[0, :-18])
    assert torch.equal(hidden.around[1], plain.around[1])
    assert torch.equal(hidden.filled, plain.filled)
    assert plain.neighbour_known[0].any()
    assert not hidden.neighbour_known[0].any()
    assert torch.equal(hidden.each_neighbour[1], plain.each_neighbour[1])


def test_a_simulated_outage_takes_exactly_its_hours_out() -> None:
    stations, origins = torch.tensor([0, 1]), torch.tensor([200, 230])
    outage = torch.zeros(2, 168, dtype=torch.bool)
    outage[0, 150:] = True
    plain, hidden = windows(0).gather(stations, origins), windows(0).gather(stations, origins, outage)
    assert not hidden.mask[0, 150:].any()
    assert torch.equal(hidden.mask[0, :150], plain.mask[0, :150])
    assert torch.equal(hidden.filled[1], plain.filled[1])
    assert torch.equal(hidden.truth.nan_to_num(9.0), plain.truth.nan_to_num(9.0))
    assert plain.mask[0, 150:].any()  # or the outage would hide nothing


def test_the_weight_of_the_truth_is_that_of_its_hour_and_changes_nothing_else(
    make_plain_panel: Callable[[np.ndarray], Panel],
) -> None:
    rng = np.random.default_rng(2)
    plain = make_plain_panel(rng.normal(size=(2, 230, 3)))
    weight = rng.choice([1.0, 0.5], size=(2, 230, 3))
    scale = Scale(np.zeros(3, np.float32), np.ones(3, np.float32))
    stations, origins = torch.tensor([1, 0, 1]), torch.tensor([200, 180, 3])
    bare, weighed = (
        Windows(panel, scale, torch.device("cpu")).gather(stations, origins)
        for panel in (plain, replace(plain, weight=weight.astype(np.float16)))
    )
    assert bare.weight is None
    assert weighed.weight.dtype == torch.float32
    for b, (s, t0) in enumerate([(1, 200), (0, 180), (1, 3)]):
        np.testing.assert_array_equal(weighed.weight[b].numpy(), weight[s, t0 + 1 : t0 + 25])
    for part in ("filled", "mask", "staleness", "calendar", "truth"):
        assert torch.equal(getattr(weighed, part), getattr(bare, part))
    truth, first = weighed.truth_of(2)
    assert torch.equal(truth, weighed.truth[..., :2])
    assert torch.equal(first, weighed.weight[..., :2])


def test_truth_after_the_last_hour_is_missing_and_its_weight_finite(
    make_plain_panel: Callable[[np.ndarray], Panel],
) -> None:
    panel = replace(make_plain_panel(np.zeros((1, 230, 1))), weight=np.full((1, 230, 1), 0.5, np.float16))
    scale = Scale(np.zeros(1, np.float32), np.ones(1, np.float32))
    batch = Windows(panel, scale, torch.device("cpu")).gather(torch.tensor([0]), torch.tensor([229]))
    assert batch.truth.isnan().all()
    assert (batch.weight == 0.5).all()


def test_the_calendar_is_the_height_of_the_sun_and_the_two_clocks() -> None:
    """The sine of the sun's elevation is the product of the unit vectors towards the sun and the zenith."""
    batch = windows(0).gather(torch.tensor([0, 1]), torch.tensor([200, 3]))
    for b, (latitude, longitude, t0) in enumerate([(47.0, 8.0, 200), (-60.0, 170.0, 3)]):
        table = make_sun_table(START + (t0 - 167) * HOUR, 192)
        for t in (0, 55, 167, 168, 191):
            declination, solar = float(table.declination[t]), float(table.hour_angle[t]) + math.radians(longitude)
            phi, year = math.radians(latitude), float(table.year_angle[t])
            sun = (
                math.cos(declination) * math.cos(solar),
                math.cos(declination) * math.sin(solar),
                math.sin(declination),
            )
            zenith = (math.cos(phi), 0.0, math.sin(phi))
            height = sum(x * y for x, y in zip(sun, zenith, strict=True))
            expected = (height, math.cos(solar), math.sin(solar), math.cos(year), math.sin(year))
            assert batch.calendar[b, t].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_station_without_a_position_has_a_calendar_all_the_same() -> None:
    calendar = windows(0).gather(torch.tensor([2]), torch.tensor([200])).calendar
    assert torch.isfinite(calendar).all()
    assert (calendar[..., 0] == 0).all()


def regime(seen: list[int]) -> str:
    """The regime of a window in which these hours of the 168 have a value."""
    mask = torch.zeros(1, 168, 2, dtype=torch.bool)
    mask[0, seen, 1] = True
    empty = torch.zeros(1, 168, 2)
    return REGIMES[Batch(empty, mask, empty, empty, empty, empty).regime().item()]


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (range(168), "full"),
        (range(16, 168), "full"),  # 152 of 168 is above nine tenths
        (range(17, 168), "gappy"),  # 151 is below
        (range(166), "full"),  # the newest is two hours old
        (range(165), "stale"),  # nothing in the last three hours
        (range(144, 168), "gappy"),  # a day in all
        (range(145, 168), "cold_start"),
        (range(20), "cold_start"),
        (range(0), "cold_start"),
    ],
)
def test_the_regime_says_what_the_model_had_to_work_with(seen: range, name: str) -> None:
    assert regime(list(seen)) == name


@pytest.mark.parametrize("most", [1, 2])
def test_windows_of_a_block_of_stations_are_those_of_the_whole_network(most):
    whole = windows(3, near=True)
    neighbours = find_neighbours(whole.panel.stations)
    assert (neighbours[:, :8] >= 0).sum() == 6
    assert (neighbours[:, 8:] >= 0).sum() == 6
    for number, block in enumerate(split_panel(whole.panel, np.arange(S), neighbours, most)):
        part = Windows(block.panel, SCALE, torch.device("cpu"), block.neighbours, one_by_one=True)
        for t0 in (180, 222, 235):
            origins = torch.full((len(block.own),), t0)
            own = part.gather(torch.from_numpy(block.own), origins)
            same = whole.gather(torch.arange(number * most, number * most + len(block.own)), origins)
            assert own.around.abs().sum() > 0
            for field in fields(Batch):
                expected, got = getattr(same, field.name), getattr(own, field.name)
                if field.name in (
                    "each_neighbour",
                    "neighbour_known",
                ):  # a block leaves out what none of its stations has
                    expected, got = expected[same.neighbour_known], got[own.neighbour_known]
                if expected is not None or got is not None:
                    torch.testing.assert_close(got, expected, equal_nan=True)
