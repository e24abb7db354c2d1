"""External forecasts of a window: the newest issue that had arrived by t0, and nothing that came later."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import torch

from daycast.features.channels import Channel, Scale
from daycast.features.external_forecasts import OLDEST_H, make_external_forecasts
from daycast.model.external_forecasts import ExternalForecast, ExternalForecastIndex
from daycast.model.training.sampling import drop_external
from daycast.times import HORIZON_HOURS, HOUR, UTC_TIME

START = datetime(2026, 2, 1, tzinfo=UTC)
A, B = "air_temperature_c", "dew_point_c"
STATIONS = pl.DataFrame({"station_id": ["s0", "s1", "s2"]})
COLUMNS = [2, 0]  # of the external_forecasts A and B, among three channels
SCALE = Scale(np.array([1.0, 9.0, 3.0], np.float32), np.array([2.0, 9.0, 4.0], np.float32))


def random_rows(seed: int) -> pl.DataFrame:
    """Issues every 6 hours or so of two stations, some received late, in parts, again, or with holes; s2 has none."""
    rng = np.random.default_rng(seed)
    rows = []
    for station in ("s0", "s1"):
        for issued in range(-30, 150, 6):
            if rng.random() < 0.2 or (40 < issued < 100 and station == "s1"):
                continue
            for again in range(rng.integers(1, 4)):
                received = issued + rng.integers(0, 12) + rng.random() + 10 * again
                for lead in range(1, 60):
                    if rng.random() < (0.2 if again == 0 else 0.7):
                        continue
                    a, b = (None if rng.random() < 0.1 else float(rng.normal()) for _ in range(2))
                    rows.append((station, issued, issued + lead, received, a, b))
    times = [
        (s, START + i * HOUR, START + v * HOUR, START + round(r * 3600) * HOUR / 3600, a, b)
        for s, i, v, r, a, b in rows
    ]
    of_time = dict.fromkeys(("issued_at", "valid_at", "received_at"), UTC_TIME)
    return pl.DataFrame(times, schema={"station_id": pl.String, **of_time, A: pl.Float64, B: pl.Float64}, orient="row")


def gathered(rows: pl.DataFrame | None, stations: list[int], origins: list[int]) -> ExternalForecast:
    external_forecasts = make_external_forecasts(rows, STATIONS, [Channel(A), Channel(B)], START)
    return ExternalForecastIndex(external_forecasts, COLUMNS, SCALE, torch.device("cpu")).gather(
        torch.tensor(stations), torch.tensor(origins)
    )


def oracle(rows: pl.DataFrame, station: int, t0: int) -> tuple[list[list[float]], int]:
    """By reading the received rows one after the other."""
    now, issue, received = START + t0 * HOUR, None, {}
    for row in rows.sort("received_at").rows(named=True):
        if row["station_id"] != f"s{station}" or row["received_at"] > now:
            continue
        received.setdefault(row["issued_at"], []).append(row)
        issue = row["issued_at"] if issue is None else max(issue, row["issued_at"])
    nothing = [[np.nan] * 2 for _ in range(HORIZON_HOURS)]
    if issue is None or now - issue > OLDEST_H * HOUR:
        return nothing, OLDEST_H
    for row in received[issue]:
        lead = (row["valid_at"] - now) // HOUR
        if 1 <= lead <= HORIZON_HOURS:
            for k, (name, mean, deviation) in enumerate(((A, 3.0, 4.0), (B, 1.0, 2.0))):
                if row[name] is not None:
                    nothing[lead - 1][k] = (row[name] - mean) / deviation
    return nothing, (now - issue) // HOUR


@pytest.mark.parametrize("seed", range(3))
def test_a_window_reads_the_newest_issue_that_had_arrived_as_it_was_known_then(seed: int) -> None:
    rows = random_rows(seed)
    windows = [(s, t) for s in range(3) for t in range(-10, 240, 7)]
    got = gathered(rows, *map(list, zip(*windows, strict=True)))
    expected = [oracle(rows, s, t) for s, t in windows]
    np.testing.assert_allclose(got.values.numpy(), [values for values, _ in expected], rtol=1e-5, atol=1e-6)
    assert got.age.tolist() == [age for _, age in expected]
    present = ~got.values.isnan().all(dim=2).all(dim=1)
    assert 20 < present.sum() < len(windows) - 20
    assert torch.equal(got.absent, ~present)


def test_what_was_issued_or_received_after_t0_changes_nothing() -> None:
    rows, t0 = random_rows(3), 47
    now = START + t0 * HOUR
    after = (pl.col("received_at") > now) | (pl.col("issued_at") > now)
    lies = rows.with_columns(
        pl.when(after).then(pl.col(name) + 99).otherwise(pl.col(name)).alias(name) for name in (A, B)
    )
    corrections = rows.filter(~after).with_columns(pl.col(A) + 7, received_at=pl.lit(now + HOUR / 60))
    expected = gathered(rows, [0, 1], [t0, t0])
    for other in (lies, rows.filter(~after), pl.concat([rows, corrections])):
        got = gathered(other, [0, 1], [t0, t0])
        assert torch.equal(got.values.nan_to_num(-1e9), expected.values.nan_to_num(-1e9))
        assert torch.equal(got.age, expected.age)
    known = gathered(pl.concat([rows, corrections]), [0, 1], [t0 + 1, t0 + 1])
    assert not torch.equal(
        known.values.nan_to_num(-1e9), gathered(rows, [0, 1], [t0 + 1, t0 + 1]).values.nan_to_num(-1e9)
    )


def test_without_any_row_nothing_has_come() -> None:
    got = gathered(None, [0, 2], [5, 6])
    assert got.values.shape == (2, HORIZON_HOURS, 2)
    assert got.absent.all()
    assert got.age.tolist() == [OLDEST_H, OLDEST_H]


def test_features_are_departures_from_the_linear_path_or_the_last_value_then_masks_then_age() -> None:
    values = torch.full((1, HORIZON_HOURS, 2), torch.nan)
    values[0, 0] = torch.tensor([5.0, 4.0])  # of channel 2 and channel 0
    external_forecast = ExternalForecast(values, torch.tensor([12.0]), torch.tensor(COLUMNS))
    linear, last = torch.full((1, HORIZON_HOURS, 1), 1.5), torch.tensor([[0.0, 0.0, 2.0]])
    features = external_forecast.features(linear, last)
    assert features.shape == (1, HORIZON_HOURS, ExternalForecast.width(2))
    assert features[0, 0].tolist() == [5.0 - 2.0, 4.0 - 1.5, 1.0, 1.0, 0.25]
    assert features[0, 1].tolist() == [0.0, 0.0, 0.0, 0.0, 0.25]
    assert ExternalForecast.width(0) == 0


def test_dropped_external_forecasts_are_as_many_as_asked_and_of_the_oldest_age(make_batch) -> None:
    batch = make_batch(400, channels=3)
    external_forecast = ExternalForecast(
        torch.zeros(400, HORIZON_HOURS, 2), torch.full((400,), 3.0), torch.tensor(COLUMNS)
    )
    assert drop_external(batch, 0.2, np.random.default_rng(1)) is batch
    hidden = drop_external(
        replace(batch, external_forecasts=external_forecast), 0.2, np.random.default_rng(1)
    ).external_forecasts
    assert 50 < hidden.absent.sum() < 110
    assert (hidden.age[hidden.absent] == OLDEST_H).all()
    assert (hidden.age[~hidden.absent] == 3).all()
