"""However readings come in, the same observations come out, and what was believed at a moment is what a run stopped there had."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daycast.settings import Settings
from daycast.sources.simulated.source import SimulatedSource
from daycast.steps.ingest import ingest_source
from daycast.steps.observe import make_observations
from daycast.times import DAY, HOUR
from daycast.variables import BUILT_IN
from integration.by_hand import ByHand, by_hand

pytestmark = pytest.mark.slow
END = datetime(2026, 3, 4, tzinfo=UTC)  # so that two months and the climatology of the first are in it
DAYS = 60
NETWORK = SimulatedSource(stations=5, history=timedelta(days=DAYS), extent_km=30, seed=3)
# tighter than anyone would have it, so that every check finds something in so small a network
TIGHT = {
    "flat_hours_suspect": 4,
    "flat_hours_fail": 7,
    "climatology_deviations": 2,
    "neighbour_difference": 3,
    "rate_of_change": 5,
}
QUALITY = {"air_temperature_c": TIGHT, "dew_point_c": {**TIGHT, "spike_suspect": 3}}


def with_warehouse(folder: Path) -> Settings:
    """Settings with an empty warehouse of their own."""
    return Settings.model_validate({"quality": QUALITY}, context={"folder": folder})


@pytest.fixture(scope="module")
def readings() -> pl.DataFrame:
    """What the network sent, with its late and doubled rows, and another 5 % of the rows corrected hours to weeks later."""
    sent = pl.concat(delivery.readings for delivery in NETWORK.fetch(None, END, BUILT_IN, ()))
    wrong = (pl.col("station_id") == "S0002") & pl.col("observed_at").is_between(END - 20 * DAY, END - 17 * DAY)
    hours = (pl.col("observed_at") - pl.col("observed_at").dt.truncate("3d")).dt.total_minutes() / 60
    stuck = (pl.col("station_id") == "S0003") & ~hours.is_between(6, 66)  # wherever pieces of three days meet
    sent = sent.with_columns(
        pl.when(stuck)
        .then(3.2)
        .when(wrong)
        .then(pl.col("air_temperature_c") + 6)
        .otherwise("air_temperature_c")
        .alias("air_temperature_c")
    )
    rng = np.random.default_rng(5)
    chosen = sent.filter(pl.Series(rng.random(len(sent)) < 0.05))
    hours = pl.Series(rng.integers(1, 500, len(chosen)))
    corrected = chosen.with_columns(
        pl.col("received_at") + pl.duration(hours=hours),
        pl.col("air_temperature_c") + pl.Series(rng.normal(0, 8, len(chosen))),
    )
    return pl.concat([sent, corrected]).filter(pl.col("received_at") <= END)


@pytest.fixture
def network(tmp_path: Path):
    """Settings by name."""
    return lambda name: with_warehouse(tmp_path / name)


class Placed(ByHand):
    """Deliveries by hand, from stations that have a place."""

    def stations(self) -> pl.DataFrame:
        return NETWORK.stations().with_columns(elevation_m=100.0)  # else too few are of one height to be neighbours


def feed(settings: Settings, *pieces: pl.DataFrame, now: datetime = END) -> None:
    for number, piece in enumerate(pieces):
        ingest_source(settings, Placed((by_hand(piece, origin=f"piece {number}"),)), now)


def versions(settings: Settings) -> pl.DataFrame:
    with settings.warehouse.write(END) as con:
        return con.sql("from observation_versions order by station_id, observed_at, known_from").pl()


def by_day(readings: pl.DataFrame, days: int) -> list[pl.DataFrame]:
    spans = readings.with_columns(pl.col("observed_at").dt.truncate(f"{days}d").alias("span"))
    return [part.drop("span") for part in spans.partition_by("span", maintain_order=True)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, readings: pl.DataFrame) -> pl.DataFrame:
    """The versions that one ingest of everything makes."""
    settings = with_warehouse(tmp_path_factory.mktemp("whole"))
    feed(settings, readings)
    found = versions(settings)
    checks = {"spike", "rate_of_change", "flat_line", "climatology", "neighbours"}
    assert checks <= {
        check for name in BUILT_IN for check in found[f"{name}_check"].unique()
    }  # else there is little to compare
    return found


def test_shuffled_pieces_make_the_same_observations(network, readings: pl.DataFrame, whole: pl.DataFrame) -> None:
    pieces = by_day(readings, 6)
    random.Random(1).shuffle(pieces)
    feed(network("pieces"), *pieces)
    assert versions(network("pieces")).equals(whole)


def test_station_after_station_makes_the_same_observations(
    network, readings: pl.DataFrame, whole: pl.DataFrame
) -> None:
    feed(network("stations"), *readings.partition_by("station_id"))
    assert versions(network("stations")).equals(whole)


def test_everything_twice_changes_nothing(network, readings: pl.DataFrame, whole: pl.DataFrame) -> None:
    feed(network("twice"), readings, readings.reverse(), *by_day(readings, 20))
    assert versions(network("twice")).equals(whole)


def test_overlapping_backfills_and_a_live_run_meet(network, readings: pl.DataFrame, whole: pl.DataFrame) -> None:
    settings = network("backfilled")
    start, observed = END - timedelta(days=DAYS), pl.col("observed_at")
    live = readings.filter(observed > start + timedelta(days=50))
    feed(settings, live.filter(pl.col("received_at") <= END - timedelta(days=2)), now=END - timedelta(days=2))
    feed(settings, readings.filter(observed <= start + timedelta(days=40)), now=END - timedelta(days=1))
    feed(settings, live, readings.filter(observed.is_between(start + timedelta(days=30), start + timedelta(days=51))))
    assert versions(settings).equals(whole)


def test_what_was_believed_at_a_moment_is_what_a_run_stopped_then_had(
    network, readings: pl.DataFrame, whole: pl.DataFrame
) -> None:
    for hours in (700, 333.5, 30.2):
        moment = END - hours * HOUR
        stopped = network(f"stopped {hours}")
        feed(stopped, readings.filter(pl.col("received_at") <= moment), now=moment)
        had = versions(stopped).filter(pl.col("known_from") <= moment).drop("known_until")
        believed = whole.filter(
            (pl.col("known_from") <= moment) & (pl.col("known_until").is_null() | (pl.col("known_until") > moment))
        ).drop("known_until")
        current = had.unique(["station_id", "observed_at"], keep="last", maintain_order=True)
        assert current.equals(believed), hours


def test_hour_by_hour_makes_the_same_observations(network, readings: pl.DataFrame, whole: pl.DataFrame) -> None:
    settings = network("hourly")
    received, start = pl.col("received_at"), END - timedelta(hours=8)
    feed(settings, readings.filter(received <= start), now=start)
    for hour in range(1, 9):
        now = start + hour * HOUR
        feed(settings, readings.filter((received > now - HOUR) & (received <= now)), now=now)
    assert versions(settings).equals(whole)


def test_a_run_killed_between_readings_and_observations_is_made_good(
    network, readings: pl.DataFrame, whole: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = network("killed")

    def die(*args: Sequence) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("daycast.steps.ingest.make_observations", die)
        with pytest.raises(KeyboardInterrupt):
            feed(settings, readings)
    pieces = 0

    def die_after_one(done: int, of: int) -> None:
        nonlocal pieces
        pieces = of
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_observations(settings, END, die_after_one)
    assert pieces > 1
    make_observations(settings, END)
    assert versions(settings).equals(whole)


def test_a_station_that_is_placed_later_is_judged_by_its_neighbours_all_the_same(
    network, readings: pl.DataFrame, whole: pl.DataFrame
) -> None:
    settings = network("placed later")
    ingest_source(settings, ByHand((by_hand(readings),)), END)
    assert not versions(settings).equals(whole)
    feed(settings, readings.head(1))
    assert versions(settings).equals(whole)
