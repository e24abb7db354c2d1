"""The simulated network: reproducible numbers, believable weather, faults on record, and external forecasts of it."""

import math
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from daycast.errors import ConfigError
from daycast.sources.batch import EXTERNAL_FORECAST_KEYS, READING_KEYS
from daycast.sources.simulated.source import SimulatedSource
from daycast.stations import STATION_SCHEMA
from daycast.times import DAY, HOUR
from daycast.variables import BUILT_IN

NOW = datetime(2026, 2, 1, 10, 5, tzinfo=UTC)
YEAR = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
MEASURED = [
    "air_temperature_c",
    "dew_point_c",
    "relative_humidity_pct",
    "sea_level_pressure_hpa",
    "wind_speed_m_s",
    "wind_from_deg",
    "precipitation_mm",
]
FAULTS = [f"{name}_fault" for name in MEASURED]
KEYS = ["station_id", "observed_at"]
SINCE = NOW - 100 * DAY
WARMTH = "air_temperature_c"


def readings(
    source: SimulatedSource, since: datetime | None, until: datetime, seen: Collection[str] = ()
) -> pl.DataFrame:
    return pl.concat([batch.readings for batch in source.fetch(since, until, BUILT_IN, seen)])


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    return SimulatedSource(faults=False).truth(*YEAR)


@pytest.fixture(scope="module")
def received() -> pl.DataFrame:
    """All readings of the year, and those that came up to two days after it."""
    return readings(SimulatedSource(stations=60), YEAR[0], YEAR[1] + 2 * DAY)


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return SimulatedSource(stations=60).truth(*YEAR)


# The same numbers, whoever asks


def test_two_fetches_give_bit_for_bit_what_one_would() -> None:
    start = NOW.replace(minute=0) - 40 * DAY
    between = start + 19 * DAY + timedelta(hours=3, minutes=57, seconds=30)  # amid the minutes in which readings arrive
    at_once = readings(SimulatedSource(history="40d"), None, NOW)
    early = readings(SimulatedSource(history="19d"), None, start + 19 * DAY)
    middle = readings(SimulatedSource(), start + 19 * DAY, between)
    rest = readings(SimulatedSource(), between, NOW)
    assert_frame_equal(pl.concat([early, middle, rest]), at_once, check_exact=True)
    assert at_once["received_at"].min() > start
    assert at_once.height > 12 * 24 * 39


def test_hour_by_hour_is_the_same_as_all_at_once() -> None:
    source = SimulatedSource(stations=4)
    hours = [readings(source, NOW + hour * HOUR, NOW + (hour + 1) * HOUR) for hour in range(48)]
    assert_frame_equal(pl.concat(hours), readings(source, NOW, NOW + 48 * HOUR), check_exact=True)


@pytest.mark.parametrize("faults", [True, False])
def test_the_first_station_does_not_change_when_the_network_grows(faults: bool) -> None:
    first = pl.col("station_id") == "S0001"
    small, large = (SimulatedSource(stations=count, faults=faults) for count in (3, 30))
    span = (NOW - 60 * DAY, NOW)
    few, many = (readings(source, *span).filter(first) for source in (small, large))
    assert_frame_equal(few, many, check_exact=True)
    assert_frame_equal(small.truth(*span).filter(first), large.truth(*span).filter(first))  # which is not rounded
    assert_frame_equal(small.stations(), large.stations().head(3), check_exact=True)


def test_a_network_of_any_size_is_made_in_parts_under_one_weather(monkeypatch: pytest.MonkeyPatch) -> None:
    small = readings(SimulatedSource(stations=5), SINCE, NOW)
    monkeypatch.setattr("daycast.sources.simulated.source.PART", 5)
    source = SimulatedSource(stations=12)
    assert source.stations()["station_id"].to_list() == [f"S{number:04d}" for number in range(1, 13)]
    assert source.stations().select("latitude", "longitude").is_unique().all()
    of_all = readings(source, SINCE, NOW)
    assert of_all["station_id"].n_unique() == 12
    assert_frame_equal(of_all.filter(pl.col("station_id") <= "S0005"), small, check_exact=True)
    middle = NOW - 30 * DAY
    halves = pl.concat([readings(source, SINCE, middle), readings(source, middle, NOW)])
    order = [*KEYS, "received_at", WARMTH]
    assert_frame_equal(halves.sort(order), of_all.sort(order), check_exact=True)
    truth = source.truth(NOW.replace(minute=0) - 60 * DAY, NOW.replace(minute=0))
    assert truth.select("valid_time", "station_id").equals(truth.select("valid_time", "station_id").sort("valid_time"))
    pressure = truth.pivot(on="station_id", index="valid_time", values="sea_level_pressure_hpa").drop("valid_time")
    assert np.corrcoef(pressure.to_numpy().T).min() > 0.8  # the same highs and lows
    assert not np.allclose(pressure["S0001"], pressure["S0006"])  # and each its own


def test_another_seed_is_another_weather() -> None:
    one, two = (readings(SimulatedSource(seed=seed, faults=False), NOW, NOW + DAY) for seed in (7, 8))
    assert one["air_temperature_c"].to_list() != two["air_temperature_c"].to_list()


def test_time_before_the_epoch_is_simulated_too() -> None:
    old = readings(SimulatedSource(faults=False), datetime(1999, 12, 31, tzinfo=UTC), datetime(2000, 1, 2, tzinfo=UTC))
    assert old.height == 12 * 48


# Deliveries


def test_batches_are_bounded_follow_each_other_and_are_ordered_by_reception_then_station() -> None:
    batches = list(SimulatedSource().fetch(None, NOW, BUILT_IN, ()))
    assert len(batches) == math.ceil(540 * 24 / 512)  # 25.3 blocks of 512 hours, cut by neither end
    assert len({batch.fingerprint for batch in batches}) == len(batches)
    assert batches[-1].origin.endswith("..2026-02-01T10:05Z")
    for batch in batches:
        assert batch.complete
        assert batch.problems.is_empty()
        assert batch.readings.schema == READING_KEYS | dict.fromkeys(MEASURED, pl.Float64)
    together = pl.concat([batch.readings for batch in batches])
    order = ["received_at", "station_id"]
    assert_frame_equal(together.select(order), together.select(order).sort(order))


def test_what_was_seen_is_not_delivered_again() -> None:
    source = SimulatedSource(history="100d")
    first, *others = source.fetch(None, NOW, BUILT_IN, ())
    again = list(source.fetch(None, NOW, BUILT_IN, {first.fingerprint}))
    assert [batch.fingerprint for batch in again] == [batch.fingerprint for batch in others]


def test_the_fingerprint_knows_the_configuration_but_not_the_length_of_history() -> None:
    def fingerprint(**settings: object) -> str:
        return next(SimulatedSource(**settings).fetch(NOW, NOW + DAY, BUILT_IN, ())).fingerprint

    assert fingerprint() == fingerprint(history="9d")
    assert len({fingerprint(), fingerprint(seed=1), fingerprint(stations=2), fingerprint(faults=False)}) == 4


def test_a_span_without_readings_brings_no_batch() -> None:
    assert list(SimulatedSource(faults=False).fetch(NOW, NOW, BUILT_IN, ())) == []
    assert list(SimulatedSource(faults=False).fetch(NOW, NOW + timedelta(minutes=5), BUILT_IN, ())) == []


def test_only_variables_of_the_glossary_are_delivered() -> None:
    glossary = {"precipitation_mm": BUILT_IN["precipitation_mm"]}
    (batch,) = SimulatedSource().fetch(NOW, NOW + DAY, glossary, ())
    assert batch.readings.columns == [*READING_KEYS, "precipitation_mm"]


def test_a_reading_is_stamped_minutes_before_its_hour_and_received_at_once() -> None:
    frame = readings(SimulatedSource(faults=False), NOW, NOW + 30 * DAY)
    assert frame.height == 12 * 24 * 30
    assert frame.select(KEYS).is_duplicated().sum() == 0
    assert set(frame["observed_at"].dt.minute()) <= set(range(50, 59))
    wait = frame["received_at"] - frame["observed_at"]
    assert wait.is_between(timedelta(minutes=1), timedelta(minutes=2)).all()
    assert (frame["received_at"].dt.hour() == frame["observed_at"].dt.hour()).all()
    assert frame.group_by("station_id").agg(pl.col("observed_at").dt.minute().n_unique())["observed_at"].max() == 1


def test_without_trouble_readings_are_the_truth() -> None:
    source = SimulatedSource(faults=False)
    start = NOW.replace(minute=0)
    frame = readings(source, start, start + 30 * DAY).drop("received_at").sort(KEYS)
    facts = source.truth(start, start + 30 * DAY)
    assert_frame_equal(frame, facts.select(frame.columns).sort(KEYS), check_exact=True)
    assert facts.select(pl.col(*FAULTS, "row_fault").count()).row(0) == (0,) * 8


def test_the_configuration_refuses_what_it_does_not_know() -> None:
    assert SimulatedSource.model_validate({"kind": "simulated", "stations": 3, "history": "2w"}).history == 14 * DAY
    with pytest.raises(ValidationError, match="Extra inputs"):
        SimulatedSource.model_validate({"staitons": 3})
    with pytest.raises(ConfigError, match="'soon' is no duration"):
        SimulatedSource(history="soon")
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        SimulatedSource(stations=0)


# Stations


def test_stations_stand_within_the_extent_and_most_of_them_low() -> None:
    stations = SimulatedSource(stations=400, latitude=-30.0, longitude=179.9, extent_km=300).stations()
    assert stations.schema == STATION_SCHEMA
    assert stations["station_id"].n_unique() == stations["name"].n_unique() == 400
    north = (stations["latitude"] + 30.0) * 111.2
    east = ((stations["longitude"] - 179.9 + 180) % 360 - 180) * 111.2 * math.cos(math.radians(30))
    distance = (north**2 + east**2).sqrt()
    assert 140 < distance.max() < 150.1
    assert stations["longitude"].is_between(-180, 180).all()
    assert stations["elevation_m"].is_between(0, 1500).all()
    assert stations["elevation_m"].median() < 0.8 * stations["elevation_m"].mean()


# Weather


def test_humidity_temperature_and_dew_point_agree_by_the_magnus_formula(clean: pl.DataFrame) -> None:
    def vapour_pressure_hpa(t: float) -> float:  # Alduchov & Eskridge 1996, equation 21
        return 6.1094 * math.exp(17.625 * t / (243.04 + t))

    assert vapour_pressure_hpa(20.0) == pytest.approx(23.3, abs=0.1)  # the steam tables' 23.39 hPa, within 0.4 %
    sample = clean.sample(500, seed=1).select("air_temperature_c", "dew_point_c", "relative_humidity_pct")
    for air, dew, humidity in sample.iter_rows():
        assert humidity == pytest.approx(100 * vapour_pressure_hpa(dew) / vapour_pressure_hpa(air), abs=0.501)


def test_the_dew_point_is_never_above_the_temperature(clean: pl.DataFrame) -> None:
    assert (clean["dew_point_c"] <= clean["air_temperature_c"]).all()


def test_values_lie_within_the_limits_of_the_glossary_at_the_resolution_of_sensors(clean: pl.DataFrame) -> None:
    resolution = dict.fromkeys(MEASURED, 1) | {"relative_humidity_pct": 0, "wind_from_deg": -1}
    for name in MEASURED:
        assert clean[name].is_between(BUILT_IN[name].valid_min, BUILT_IN[name].valid_max).all()
        values = clean[name].head(5000).to_list()
        assert values == [round(value, resolution[name]) for value in values]
    assert ((clean["wind_from_deg"] == 0) == (clean["wind_speed_m_s"] == 0)).all()


def test_the_afternoon_is_warmest(clean: pl.DataFrame) -> None:
    by_hour = clean.group_by(clean["valid_time"].dt.hour()).agg(pl.col("air_temperature_c").mean()).sort("valid_time")
    warmest, coldest = by_hour["air_temperature_c"].arg_max(), by_hour["air_temperature_c"].arg_min()
    assert warmest in {13, 14}  # 8° E: the sun is highest at 11:28 UTC, the air warmest about two hours later
    assert coldest in {3, 4, 5, 6}
    assert 4 < by_hour["air_temperature_c"].max() - by_hour["air_temperature_c"].min() < 12


def test_clear_days_swing_more_than_cloudy_ones(clean: pl.DataFrame) -> None:
    day = clean.filter(pl.col("valid_time").dt.month().is_in([5, 6, 7])).group_by(
        "station_id", pl.col("valid_time").dt.date()
    )
    swing = day.agg(
        (pl.col("air_temperature_c").max() - pl.col("air_temperature_c").min()).alias("swing"),
        pl.col("precipitation_mm").sum(),
    )
    wet, dry = (
        swing.filter(rain)["swing"].mean() for rain in (pl.col("precipitation_mm") > 3, pl.col("precipitation_mm") == 0)
    )
    assert dry > 1.2 * wet


@pytest.mark.parametrize(("latitude", "warmer"), [(47.0, 7), (-35.0, 1)])
def test_summer_is_in_july_in_the_north_and_in_january_in_the_south(latitude: float, warmer: int) -> None:
    frame = SimulatedSource(faults=False, latitude=latitude).truth(*YEAR)
    month = frame.group_by(frame["valid_time"].dt.month()).agg(pl.col("air_temperature_c").mean())
    means = dict(month.iter_rows())
    assert means[warmer] - means[8 - warmer] > 8


def test_higher_stations_are_colder_by_the_lapse_rate(clean: pl.DataFrame) -> None:
    mean = clean.group_by("station_id").agg(pl.col("air_temperature_c").mean())
    joined = mean.join(SimulatedSource().stations(), on="station_id")
    slope, _ = np.polyfit(joined["elevation_m"].to_numpy(), joined["air_temperature_c"].to_numpy(), 1)
    assert slope * 1000 == pytest.approx(-6.5, abs=0.7)  # latitude, 1 K in the extent, is not taken out


def test_fronts_reach_the_eastern_station_later_by_the_way_they_have_to_go() -> None:
    source = SimulatedSource(faults=False, extent_km=600)
    stations = source.stations().sort("longitude")
    west, east = stations.row(0, named=True), stations.row(-1, named=True)
    frame = source.truth(*YEAR)
    pressure = {
        side["station_id"]: frame.filter(pl.col("station_id") == side["station_id"])[
            "sea_level_pressure_hpa"
        ].to_numpy()
        for side in (west, east)
    }
    before, after = (np.diff(pressure[side["station_id"]]) for side in (west, east))
    lags = range(-20, 21)
    correlation = [np.corrcoef(before[20:-20], after[20 + lag : len(after) - 20 + lag])[0, 1] for lag in lags]
    kilometres = 111.2 * (
        (east["longitude"] - west["longitude"]) * math.cos(math.radians(47)) * math.sin(math.radians(80))
        + (east["latitude"] - west["latitude"]) * math.cos(math.radians(80))
    )
    assert kilometres > 200
    assert lags[int(np.argmax(correlation))] == pytest.approx(kilometres / 40, abs=1)


def test_pressure_falls_before_rain_and_rises_after_it(clean: pl.DataFrame) -> None:
    change = pl.col("sea_level_pressure_hpa").diff(6).over("station_id")
    frame = clean.with_columns(before=change, after=change.shift(-8).over("station_id"))
    heavy = frame.filter(pl.col("precipitation_mm") > 1.5)
    assert heavy["before"].mean() < -1
    assert heavy["after"].mean() > 1


def test_rain_is_rare_and_skewed(clean: pl.DataFrame) -> None:
    rain = clean["precipitation_mm"]
    wet = rain.filter(rain > 0)
    assert 0.08 < len(wet) / len(rain) < 0.16
    assert wet.median() < 0.7 * wet.mean()
    assert 400 < rain.sum() / 12 < 1500  # mm a year


def test_tomorrow_is_as_hard_as_in_the_world(clean: pl.DataFrame) -> None:
    stations = clean.sort("station_id", "valid_time")["air_temperature_c"].to_numpy().reshape(12, -1)
    last = stations.shape[1] - 24
    ahead = np.stack([stations[:, lead : lead + last] for lead in range(1, 25)])
    persistence = np.abs(ahead - stations[:, :last]).mean()
    yesterday = np.abs(
        ahead[:, :, 24:] - np.stack([stations[:, lead : lead + last - 24] for lead in range(1, 25)])
    ).mean()
    assert 2.5 < persistence < 4
    assert 2 < yesterday < 3
    anomaly = stations - stations.mean(axis=1, keepdims=True)
    hourly = np.mean([np.corrcoef(row[:-1], row[1:])[0, 1] for row in anomaly])
    assert hourly > 0.97


# Trouble


def share(frame: pl.DataFrame, column: str, fault: str) -> float:
    return (frame[column] == fault).sum() / frame.height


def test_faults_are_as_frequent_as_stated(truth: pl.DataFrame) -> None:
    """Bounds by hand: the rate, a few standard deviations of its count in 527,040 station-hours either way."""
    rates = {"missing": (0.0027, 0.0033), "duplicate": (0.0018, 0.0022), "late": (0.0046, 0.0054)}
    rates |= {"corrected": (0.0018, 0.0022), "outage": (0.001, 0.0035)}
    for fault, (least, most) in rates.items():
        assert least < share(truth, "row_fault", fault) < most, fault
    for fault, least, most in [("missing", 0.0004, 0.0006), ("spike", 0.00015, 0.00025), ("gross", 0.00002, 0.00006)]:
        assert least < np.mean([share(truth, column, fault) for column in FAULTS]) < most, fault
    assert 0.0003 < np.mean([share(truth, column, "stuck") for column in FAULTS[:-1]]) < 0.001
    disturbed = truth.select(pl.any_horizontal(pl.col(*FAULTS, "row_fault").is_not_null())).to_series()
    assert 0.015 < disturbed.mean() < 0.04
    refused = truth.select(pl.any_horizontal(pl.col(FAULTS).eq_missing("gross"))).to_series()
    assert refused.mean() < 0.0005


def test_nothing_is_received_before_it_was_observed(received: pl.DataFrame) -> None:
    wait = received["received_at"] - received["observed_at"]
    assert wait.min() >= timedelta(minutes=1)
    assert timedelta(hours=40) < wait.max() < timedelta(hours=48)


def test_rows_come_as_often_as_the_record_says(truth: pl.DataFrame, received: pl.DataFrame) -> None:
    times = received.group_by(KEYS).agg(
        pl.len().alias("times"), (pl.col("received_at") - pl.col("observed_at")).max().alias("wait")
    )
    joined = truth.join(times, on=KEYS, how="left").with_columns(pl.col("times").fill_null(0))
    expected = {None: 1, "missing": 0, "outage": 0, "duplicate": 2, "late": 1, "corrected": 2}
    counts = joined.group_by("row_fault").agg(pl.col("times").unique())
    assert {fault: seen for fault, (*seen,) in counts.iter_rows()} == {
        fault: [times] for fault, times in expected.items()
    }
    assert (joined.filter(pl.col("row_fault") == "late")["wait"] >= timedelta(hours=2)).all()
    assert (joined.filter(pl.col("row_fault") == "corrected")["wait"] >= timedelta(hours=1)).all()


def test_a_doubled_row_is_the_very_same_row(truth: pl.DataFrame, received: pl.DataFrame) -> None:
    doubled = received.join(truth.filter(pl.col("row_fault") == "duplicate").select(KEYS), on=KEYS, how="semi")
    assert doubled.height == 2 * doubled.unique().height


@pytest.mark.parametrize("name", MEASURED)
def test_each_fault_shows_in_the_readings_and_nothing_else_does(
    name: str, truth: pl.DataFrame, received: pl.DataFrame
) -> None:
    first = received.unique(KEYS, keep="first", maintain_order=True).select(*KEYS, pl.col(name).alias("read"))
    joined = first.join(
        truth.select(*KEYS, pl.col(name).alias("true"), pl.col(f"{name}_fault").alias("fault")), on=KEYS
    )
    cases = {fault: joined.filter(pl.col("fault") == fault) for fault in ("missing", "spike", "gross", "first_wrong")}
    assert all(case.height > 3 for case in cases.values())
    assert cases["missing"]["read"].is_null().all()
    assert (cases["gross"]["read"] < BUILT_IN[name].valid_min).all()
    for fault in ("spike", "first_wrong"):
        assert ((cases[fault]["read"] - cases[fault]["true"]).abs() > 7.99).all()
        assert cases[fault]["read"].is_between(BUILT_IN[name].valid_min, BUILT_IN[name].valid_max).all()
    sound = joined.filter(pl.col("fault").is_null())
    assert (sound["read"] == sound["true"]).all()


def test_a_correction_brings_the_truth(truth: pl.DataFrame, received: pl.DataFrame) -> None:
    corrected = truth.filter(
        (pl.col("row_fault") == "corrected") & ~pl.any_horizontal(pl.col(FAULTS).eq_missing("stuck"))
    )
    last = received.unique(KEYS, keep="last", maintain_order=True).join(corrected.select(KEYS), on=KEYS, how="semi")
    assert last.height == corrected.height > 500
    assert_frame_equal(last.select(*KEYS, *MEASURED).sort(KEYS), corrected.select(*KEYS, *MEASURED).sort(KEYS))


@pytest.mark.parametrize("name", MEASURED[:-1])
def test_a_stuck_sensor_repeats_the_last_true_value(name: str, truth: pl.DataFrame, received: pl.DataFrame) -> None:
    fault = pl.col(f"{name}_fault")
    first = received.unique(KEYS, keep="first", maintain_order=True).select(*KEYS, pl.col(name).alias("read"))
    record = (
        truth.sort("station_id", "valid_time")
        .with_columns(
            spell=fault.rle_id(),
            sound_before=(fault.is_null() & pl.col("row_fault").is_null()).shift(1).over("station_id"),
            before=pl.col(name).shift(1).over("station_id"),
        )
        .filter(fault == "stuck")
        .join(first, on=KEYS, maintain_order="left")
    )
    spells = record.group_by("spell").agg(
        pl.len(), pl.col("read").n_unique().alias("different"), pl.col("read", "before", "sound_before").first()
    )
    assert spells["different"].to_list() == [1] * spells.height
    assert 6 <= spells["len"].max() <= 48
    sound = spells.filter("sound_before")
    assert sound.height > 5
    assert sound["read"].to_list() == sound["before"].to_list()


# External forecasts: the truth to come with an error that grows with the lead


def external_forecasts(source: SimulatedSource, since: datetime, until: datetime) -> pl.DataFrame:
    batchs = [batch for batch in source.fetch(since, until, BUILT_IN, ()) if batch.is_forecast]
    return pl.concat([batch.readings for batch in batchs])


@pytest.fixture(scope="module")
def forecasts() -> pl.DataFrame:
    return external_forecasts(SimulatedSource(stations=5, forecasts=True), SINCE, NOW)


def test_there_are_none_unless_they_are_asked_for_and_readings_stay_the_same() -> None:
    plain, more = (
        SimulatedSource(stations=2, forecasts=on).fetch(NOW - DAY, NOW, BUILT_IN, ()) for on in (False, True)
    )
    plain, more = list(plain), list(more)
    assert not any(batch.is_forecast for batch in plain)
    assert [batch.fingerprint for batch in plain] == [batch.fingerprint for batch in more if not batch.is_forecast]


def test_an_issue_comes_every_six_hours_three_hours_later_except_some_that_never_do(forecasts: pl.DataFrame) -> None:
    assert set(forecasts["issued_at"].dt.hour().unique()) == {0, 6, 12, 18}
    assert (forecasts["received_at"] - forecasts["issued_at"] == 3 * HOUR).all()
    assert (forecasts["received_at"] > SINCE).all()
    assert 0.85 * 400 < forecasts["issued_at"].n_unique() < 400
    leads = forecasts.with_columns(lead=(pl.col("valid_at") - pl.col("issued_at")).dt.total_hours())
    assert leads.group_by("station_id", "issued_at").agg(pl.col("lead"))["lead"].to_list()[0] == list(range(1, 49))
    assert list(forecasts.columns[:4]) == list(EXTERNAL_FORECAST_KEYS)


def test_the_error_grows_with_the_lead_and_lasts_from_hour_to_hour(forecasts: pl.DataFrame) -> None:
    truth = SimulatedSource(stations=5).truth(SINCE - DAY, NOW + 3 * DAY).select("station_id", "valid_time", WARMTH)
    both = forecasts.join(
        truth, left_on=["station_id", "valid_at"], right_on=["station_id", "valid_time"], suffix="_true"
    )
    assert both.height == forecasts.height
    errors = both.with_columns(
        error=pl.col(WARMTH) - pl.col(f"{WARMTH}_true"),
        lead=(pl.col("valid_at") - pl.col("issued_at")).dt.total_hours(),
    ).sort("station_id", "issued_at", "valid_at")
    deviation = errors.group_by("lead").agg(pl.col("error").std()).sort("lead")["error"]
    assert deviation[0] == pytest.approx(2.0 * (0.3 + 0.7 * (1 / 48) ** 0.5), rel=0.1)
    assert deviation[47] == pytest.approx(2.0, rel=0.1)
    assert abs(errors["error"].mean()) < 0.1
    after = errors.with_columns(next=pl.col("error").shift(-1).over("station_id", "issued_at"))
    assert after.select(pl.corr("error", "next")).item() > 0.75


def test_two_fetches_and_a_larger_network_give_the_same(forecasts: pl.DataFrame) -> None:
    source, between = SimulatedSource(stations=5, forecasts=True), NOW - 17 * DAY + 2 * HOUR
    assert_frame_equal(
        pl.concat([external_forecasts(source, SINCE, between), external_forecasts(source, between, NOW)]), forecasts
    )
    more = external_forecasts(SimulatedSource(stations=9, forecasts=True), NOW - 9 * DAY, NOW)
    few = forecasts.filter(pl.col("received_at") > NOW - 9 * DAY)
    assert_frame_equal(more.filter(pl.col("station_id") <= "S0005"), few)


def test_no_wind_is_forecast_below_none(forecasts: pl.DataFrame) -> None:
    assert forecasts["wind_speed_m_s"].min() == 0.0
