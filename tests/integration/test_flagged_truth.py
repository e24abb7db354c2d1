"""What failed its checks is truth in no served score, judgement, backtest or snapshot; what is suspect is scored as it is."""

from collections.abc import Callable
from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from daycast.settings import Settings
from daycast.sources.batch import READING_KEYS
from daycast.steps.backtest import backtest
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.train import write_snapshot
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR
from integration.by_hand import ByHand, by_hand
from integration.conftest import Trained

pytestmark = pytest.mark.slow

ODD = "extract('hour' from observed_at) % 2 = 1"
FAILED = "air_temperature_c = 60, air_temperature_c_flag = 4"
MISSING = "air_temperature_c = null, air_temperature_c_flag = 9"
SUSPECT = "air_temperature_c_flag = case when air_temperature_c is null then 9 else 3 end"


def rows_of(settings: Settings, now: datetime, query: str) -> pl.DataFrame:
    with settings.warehouse.write(now) as con:
        return con.sql(query).pl()


def change(settings: Settings, now: datetime, values: str, where: str) -> None:
    """Write other values and flags into what is believed now, as if it had been so from the beginning."""
    with settings.warehouse.write(now) as con:
        con.execute(f"update observation_versions set {values} where known_until is null and {where}")


def find_out(settings: Settings, now: datetime, values: str, where: str) -> None:
    """Begin new versions at `now` that have these values and flags, as a check does that finds fault later."""
    with settings.warehouse.write(now) as con:
        believed = f"known_until is null and {where}"
        con.execute(f"create temp table found as from observation_versions where {believed}")
        con.execute(f"update observation_versions set known_until = $now where {believed}", {"now": now})
        con.execute(f"update found set {values}, known_from = $now", {"now": now})
        con.execute("insert into observation_versions from found")


def scores_of(settings: Settings, now: datetime) -> pl.DataFrame:
    return rows_of(settings, now, "select * exclude (scored_at) from scores order by all")


def errors_of(settings: Settings, now: datetime) -> pl.DataFrame:
    return rows_of(settings, now, "from forecast_errors order by all")


@pytest.fixture
def verified(trained: Trained) -> tuple[Settings, datetime, datetime]:
    """The settings, an hour of issue whose forecasts are served and verified, and the clock two days later."""
    settings, later = trained.settings, trained.at + 2 * DAY
    issue_forecasts(settings, trained.at)
    ingest_source(settings, settings.sources[0], later)
    assert verify_forecasts(settings, later) > 0
    return settings, trained.at.replace(minute=0), later


def is_hit(t0: datetime) -> pl.Expr:
    """Whether a row's valid hour is odd and its variable the temperature."""
    return (pl.col("variable") == "air_temperature_c") & ((t0.hour + pl.col("lead_hours").cast(pl.Int64)) % 2 == 1)


def test_truth_that_failed_later_is_in_no_score_and_leaves_all_others(
    verified: tuple[Settings, datetime, datetime],
) -> None:
    """One hour of issue: every score is of one forecast, so what is not hit must stay the same to the last digit."""
    settings, t0, now = verified
    scores, errors = scores_of(settings, now), errors_of(settings, now)
    assert 0 < scores.filter(is_hit(t0)).height < scores.height
    find_out(settings, now + HOUR, FAILED, ODD)
    assert verify_forecasts(settings, now + 2 * HOUR) > 0
    assert_frame_equal(scores_of(settings, now), scores.filter(~is_hit(t0)), check_exact=True)
    assert_frame_equal(errors_of(settings, now), errors.filter(~is_hit(t0)), check_exact=True)


def test_a_station_whose_whole_day_failed_has_no_score_of_it_left(
    verified: tuple[Settings, datetime, datetime],
) -> None:
    settings, t0, now = verified
    scores = scores_of(settings, now)
    hit = (pl.col("station_id") == "S0001") & (pl.col("valid_on") == t0.date())
    assert 0 < scores.filter(hit).height < scores.height
    rain = "precipitation_mm = 300, precipitation_mm_flag = 4"
    find_out(settings, now + HOUR, f"{FAILED}, {rain}", f"station_id = 'S0001' and observed_at::date = '{t0.date()}'")
    verify_forecasts(settings, now + 2 * HOUR)
    assert_frame_equal(scores_of(settings, now), scores.filter(~hit), check_exact=True)


def test_where_all_truth_failed_there_is_no_score_at_all(verified: tuple[Settings, datetime, datetime]) -> None:
    settings, _, now = verified
    find_out(settings, now + HOUR, f"{FAILED}, precipitation_mm_flag = 4", "true")
    assert verify_forecasts(settings, now + 2 * HOUR) == 0
    assert scores_of(settings, now).is_empty()
    assert errors_of(settings, now).is_empty()


def test_truth_that_is_suspect_is_scored_as_it_is(verified: tuple[Settings, datetime, datetime]) -> None:
    settings, _, now = verified
    scores, errors = scores_of(settings, now), errors_of(settings, now)
    find_out(settings, now + HOUR, SUSPECT, ODD)
    assert verify_forecasts(settings, now + 2 * HOUR) > 0
    assert_frame_equal(scores_of(settings, now), scores, check_exact=True)
    assert_frame_equal(errors_of(settings, now), errors, check_exact=True)


def test_a_flag_that_a_late_reading_of_the_next_day_gave_is_found(
    verified: tuple[Settings, datetime, datetime],
) -> None:
    """The reading says that it was received before the last scoring, so the flag is dated before that too."""
    settings, t0, now = verified
    day = t0.replace(hour=0) + DAY
    struck = "station_id = 'S0001' and observed_at = "
    change(settings, now, FAILED, f"{struck} '{day + 3 * HOUR}'")
    assert verify_forecasts(settings, now + HOUR) == 0
    row = ("S0001", day + DAY + 0.5 * HOUR, day + DAY + 0.6 * HOUR, 5.0)
    reading = pl.DataFrame([row], schema={**READING_KEYS, "air_temperature_c": pl.Float64()}, orient="row")
    ingest_source(settings, ByHand((by_hand(reading),)), now + HOUR)
    change(settings, now, FAILED, f"{struck} '{day + 3 * HOUR}'")
    assert verify_forecasts(settings, now + HOUR) > 0
    lead = (day + 3 * HOUR - t0) // HOUR
    left = f"from scores where station_id = 'S0001' and variable = 'air_temperature_c' and lead_hours = {lead}"
    assert rows_of(settings, now, left).is_empty()


def test_a_backtest_scores_no_failed_truth_and_all_other_truth_as_before(trained: Trained) -> None:
    until = trained.at.replace(minute=0)
    t0 = until - DAY
    before, _ = backtest(trained.settings, t0, t0 + HOUR, HOUR, trained.at)
    change(trained.settings, trained.at, FAILED, f"{ODD} and observed_at > '{t0}'")
    after, _ = backtest(trained.settings, t0, t0 + HOUR, HOUR, trained.at)
    assert 0 < before.filter(is_hit(t0)).height < before.height
    assert_frame_equal(after, before.filter(~is_hit(t0)), check_exact=True)


@pytest.fixture
def altered(trained: Trained, copy_of: Callable[[Settings, str], Settings]) -> Callable[[str, str], Settings]:
    """A copy in which every other hour of all that was believed has other values and flags."""

    def alter(name: str, values: str) -> Settings:
        settings = copy_of(trained.settings, name)
        change(settings, trained.at, values, ODD)
        return settings

    return alter


def test_to_judgement_snapshot_and_forecast_what_failed_is_missing(
    trained: Trained, altered: Callable[[str, str], Settings]
) -> None:
    failed, missing = altered("failed", FAILED), altered("missing", MISSING)
    assert write_snapshot(failed, trained.at).name == write_snapshot(missing, trained.at).name
    assert write_snapshot(failed, trained.at).name != write_snapshot(trained.settings, trained.at).name
    (decision, scores), (same_decision, same_scores), (_, every_score) = (
        evaluate_holdout(settings, next(settings.checkpoints.glob("*.safetensors")), trained.at)
        for settings in (failed, missing, trained.settings)
    )
    assert decision == same_decision
    assert_frame_equal(scores, same_scores, check_exact=True)
    assert scores["n"].sum() < every_score["n"].sum()
    served, expected = (issue_forecasts(settings, trained.at) for settings in (failed, missing))
    assert_frame_equal(served, expected, check_exact=True)


def test_suspect_values_are_inputs_like_any_other_and_marked_in_the_snapshot(
    trained: Trained, altered: Callable[[str, str], Settings]
) -> None:
    suspect = altered("suspect", SUSPECT)
    served, expected = (issue_forecasts(settings, trained.at) for settings in (suspect, trained.settings))
    assert_frame_equal(served, expected, check_exact=True)
    observations = pl.read_parquet(write_snapshot(suspect, trained.at) / "observations.parquet")
    doubted = observations.filter(pl.col("air_temperature_c_truth_weight") == 0.5)
    assert 0 < doubted.height < observations.height
    assert doubted["air_temperature_c"].null_count() == 0
