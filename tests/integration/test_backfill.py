"""Hours nobody forecast are found, and only those; each is forecast by the model of its time, as it was known then."""

from datetime import timedelta

import pytest
from polars.testing import assert_frame_equal

from daycast.errors import ConfigError, ModelError
from daycast.steps.backfill import find_missing_hours, find_model_as_of, find_model_of_hour
from daycast.steps.forecast import issue_forecasts, make_forecasts
from daycast.steps.ingest import ingest_source
from daycast.steps.registry import promote, rollback
from daycast.steps.verify import verify_forecasts
from daycast.times import DAY, HOUR, floor_hour

pytestmark = pytest.mark.slow
MINUTE = timedelta(minutes=1)


def query(trained, now, text):
    with trained.settings.warehouse.write(now) as con:
        return con.execute(text).fetchall()


def test_the_missing_hours_are_those_without_a_forecast_in_a_half_open_range(trained):
    last = floor_hour(trained.at)
    hours = [last - timedelta(hours=back) for back in (4, 3, 2, 1, 0)]
    for there in (hours[1], hours[4]):
        issue_forecasts(trained.settings, trained.at, there)
    missing = find_missing_hours(trained.settings, hours[0] - timedelta(minutes=30), trained.at, trained.at)
    assert missing == [hours[0], hours[2], hours[3]]
    assert find_missing_hours(trained.settings, hours[2], hours[3], trained.at) == [hours[2]]


def test_a_range_without_a_full_hour_is_refused(trained):
    with pytest.raises(ConfigError, match="no full hour"):
        find_missing_hours(trained.settings, trained.at, trained.at + timedelta(minutes=10), trained.at)


@pytest.fixture
def served(trained):
    """`first` served from day 0, `other` from day 1, `first` again from day 2 by a rollback; and it is day 4."""
    settings, now = trained.settings, trained.at
    query(trained, now, "update models set model_id = 'first' where role = 'champion'")
    query(trained, now, "update promotions set model_id = 'first'")
    changed = "'other' as model_id, 'other.safetensors' as checkpoint, 'challenger' as role, null as promoted_at"
    query(trained, now, f"insert into models by name select * replace ({changed}) from models where role = 'champion'")
    (path,) = (path for path in settings.checkpoints.glob("*.safetensors"))
    (settings.checkpoints / "other.safetensors").write_bytes(path.read_bytes())
    promote(settings, "other", now + DAY)
    rollback(settings, now + 2 * DAY)
    ingest_source(settings, settings.sources[0], now + 4 * DAY)
    return trained


def test_an_hour_is_forecast_by_who_was_champion_at_it(served):
    settings, at, now = served.settings, served.at, served.at + 4 * DAY
    hours = {floor_hour(at + shift): name for shift, name in ((HOUR, "first"), (DAY, "first"), (DAY + HOUR, "other"))}
    hours |= {floor_hour(at + 2 * DAY): "other", floor_hour(at + 2 * DAY + HOUR): "first"}
    assert {hour: find_model_of_hour(settings, hour, now) for hour in hours} == hours


def test_the_champion_before_stands_in_for_one_whose_checkpoint_is_gone_and_none_that_came_later(served):
    settings, at, now = served.settings, served.at, served.at + 4 * DAY
    (settings.checkpoints / "other.safetensors").unlink()
    assert find_model_of_hour(settings, floor_hour(at + DAY + 5 * HOUR), now) == "first"
    with pytest.raises(ModelError, match=r"2026-02-05T10:00Z cannot be forecast as it was known then: no model served"):
        find_model_of_hour(settings, floor_hour(at), now)  # the first promotion was five minutes later
    for path in settings.checkpoints.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(ModelError, match="no checkpoint of other, first is there"):
        find_model_of_hour(settings, floor_hour(at + DAY + 5 * HOUR), now)


def test_as_of_a_moment_its_champion_serves_or_nobody_yet(served):
    settings, at, now = served.settings, served.at, served.at + 4 * DAY
    moments = {at - HOUR: None, at + HOUR: "first", at + DAY + HOUR: "other", at + 3 * DAY: "first"}
    assert {moment: find_model_as_of(settings, moment, now) for moment in moments} == moments


def test_what_a_model_makes_as_of_a_moment_before_it_was_registered_was_never_served(served):
    """Though the hour is not over: at the moment it was not there."""
    settings, at = served.settings, served.at
    assert not make_forecasts(settings, at + 20 * MINUTE, until=at + 10 * MINUTE)["backfilled"].any()
    query(served, at, f"update models set registered_at = '{at + 15 * MINUTE}'")
    rows = make_forecasts(settings, at + 20 * MINUTE, until=at + 10 * MINUTE)
    assert rows["backfilled"].all()
    assert rows["created_at"].unique().to_list() == [at + 20 * MINUTE]
    assert rows["issued_at"].unique().to_list() == [floor_hour(at)]
    assert not make_forecasts(settings, at + 20 * MINUTE)["backfilled"].any()


def test_the_hour_that_is_not_over_is_forecast_by_the_champion_of_now(served):
    at = served.at
    assert find_model_of_hour(served.settings, floor_hour(at), at) == "first"


def test_what_is_backfilled_is_what_was_served_but_for_its_mark(served):
    """Served in time at one place, missed and made up for days later at another: bit for bit the same."""
    settings, t0, now = served.settings, floor_hour(served.at + 3 * DAY), served.at + 4 * DAY
    in_time = make_forecasts(settings, t0 + timedelta(minutes=6), t0)
    assert not in_time["backfilled"].any()
    made_up = make_forecasts(settings, now, t0, model_id=find_model_of_hour(settings, t0, now))
    assert made_up["backfilled"].all()
    assert_frame_equal(
        in_time.drop("created_at", "backfilled"), made_up.drop("created_at", "backfilled"), check_exact=True
    )


def test_what_is_backfilled_is_not_scored_and_takes_the_place_of_nothing_that_was_served(served):
    settings, t0, now = served.settings, floor_hour(served.at + 2 * DAY), served.at + 4 * DAY
    came = "select count(*) from forecast_errors where issued_at in ({})"
    for hour in (t0, t0 + HOUR):
        issue_forecasts(settings, hour + timedelta(minutes=6), hour)
    ((both,),) = query(served, now, came.format(f"'{t0}', '{t0 + HOUR}'"))
    assert 200 < both <= 2 * 4 * 2 * 24
    assert verify_forecasts(settings, now) == both
    for later, hour in ((1, t0 + 5 * HOUR), (2, t0), (3, t0 + HOUR)):
        issue_forecasts(settings, now + later * HOUR, hour)
        verify_forecasts(settings, now + later * HOUR)
        assert query(served, now, "select sum(n) from scores where forecaster = 'gru'") == [(both,)]
    assert query(served, now, "select distinct issued_at from forecast_errors where backfilled") == [(t0 + 5 * HOUR,)]
