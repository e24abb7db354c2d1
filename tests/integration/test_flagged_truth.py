"""What failed its checks is truth in no served score, judgement, backtest or snapshot; what is suspect is scored as it is."""

from collections.abc import Callable
from datetime import datetime

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from daycast.settings import Settings
from daycast.steps.backtest import backtest
from daycast.steps.evaluate import evaluate_holdout
from daycast.steps.forecast import issue_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.train import write_snapshot
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR, UTC_TIME
from daycast.warehouse.forecasts import read_days_to_verify, replace_scores, write_verification
from daycast.warehouse.observations import mark_unverified, replace_versions
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


def test_a_flag_that_is_dated_before_the_last_scoring_is_found(
    verified: tuple[Settings, datetime, datetime],
) -> None:
    """As one from a reading that came late, but says that it was received before, gives it to an hour near by."""
    settings, t0, now = verified
    hour = t0.replace(hour=0) + DAY + 3 * HOUR
    ranges = pl.DataFrame({"station_id": ["S0001"], "since": [hour], "until": [hour]})
    ranges = ranges.with_columns(pl.col("since", "until").cast(UTC_TIME))
    assert verify_forecasts(settings, now + HOUR) == 0
    held = rows_of(settings, now, f"from observation_versions where station_id = 'S0001' and observed_at = '{hour}'")
    other = held.with_columns(air_temperature_c=pl.lit(None, pl.Float64), air_temperature_c_flag=pl.lit(4, pl.UInt8))
    for versions, changed in ((held, False), (other, True)):
        with settings.warehouse.write(now) as con:
            replace_versions(con, versions, ranges, ranges.clear(), ranges.clear(), now)
        assert (verify_forecasts(settings, now + HOUR) > 0) == changed
    lead = (hour - t0) // HOUR
    left = f"from scores where station_id = 'S0001' and variable = 'air_temperature_c' and lead_hours = {lead}"
    assert rows_of(settings, now, left).is_empty()


def test_what_changes_while_a_verification_computes_is_left_to_the_next_one(
    verified: tuple[Settings, datetime, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clock of the one who changes it says, which may have begun before the verification."""
    settings, t0, now = verified
    scores = scores_of(settings, now)
    everything, first = f"observed_at >= '{t0}'", "S0001"
    hours = rows_of(settings, now, f"select station_id, observed_at from observation_versions where {everything}")
    with settings.warehouse.write(now) as con:
        con.execute("delete from scores")
        mark_unverified(con, hours, now - HOUR)

    def change_then_replace(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame | None, days: pl.DataFrame) -> None:
        replace_scores(con, scored, days)
        mark_unverified(con, hours.filter(pl.col("station_id") == first), now - HOUR)

    with monkeypatch.context() as patched:
        patched.setattr("daycast.steps.verify.replace_scores", change_then_replace)
        assert verify_forecasts(settings, now + HOUR) > 0
    assert_frame_equal(scores_of(settings, now), scores, check_exact=True)
    waiting = rows_of(settings, now, "from unverified_days")
    assert set(waiting["station_id"]) == {first}
    assert verify_forecasts(settings, now + HOUR) > 0
    assert rows_of(settings, now, "from unverified_days").is_empty()
    assert verify_forecasts(settings, now + HOUR) == 0


def test_of_two_verifications_at_once_the_first_that_ends_is_recorded(
    verified: tuple[Settings, datetime, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other cannot tell what has been marked meanwhile by a clock that is behind, and leaves all marks to the next one."""
    settings, t0, now = verified
    hours = rows_of(
        settings, now, f"select station_id, observed_at from observation_versions where observed_at >= '{t0}'"
    )
    mine, others = hours.filter(pl.col("station_id") == "S0001"), hours.filter(pl.col("station_id") == "S0002")
    with settings.warehouse.write(now) as con:
        mark_unverified(con, mine, now)

    def verified_by_another_then_replace(
        con: duckdb.DuckDBPyConnection, scored: pl.DataFrame | None, days: pl.DataFrame
    ) -> None:
        due, seen = read_days_to_verify(con, now + HOUR / 2, now + HOUR / 2)
        write_verification(con, now + HOUR / 2, now + HOUR / 2, due.clear(), seen)
        assert con.sql("from unverified_days").fetchall() == []
        mark_unverified(con, others, now - DAY)
        replace_scores(con, scored, days)

    with monkeypatch.context() as patched:
        patched.setattr("daycast.steps.verify.replace_scores", verified_by_another_then_replace)
        assert verify_forecasts(settings, now + HOUR) > 0
    assert set(rows_of(settings, now, "from unverified_days")["station_id"]) == {"S0002"}
    assert verify_forecasts(settings, now + HOUR) > 0
    assert rows_of(settings, now, "from unverified_days").is_empty()


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
